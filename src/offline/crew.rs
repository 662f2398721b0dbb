//! Several threads over one input, with the outcome of one. In: an input, what to do with a record by itself, and what to do
//! with its outcome in the input's order. Each thread takes a batch of pieces off the input, works on it, and lays the outcome
//! down; whoever lays down the batch that is next takes in all that are in a row by then. So there are no queues to fill up: a
//! thread holds one batch, and no more than `AHEAD` a thread lie waiting for a slow one.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::input::{Cutter, Entry, Parsed, Parser, Piece};
use crate::{normalise::line::Near, telemetry};

/// Batches a thread that may lie finished while an earlier one is being worked on.
const AHEAD: u64 = 4;

/// Cuts the whole input, hands each entry to `see` on `threads` threads, and what that gives to `take`, in the input's order.
pub fn run<T: Send>(
    threads: NonZeroUsize,
    cutter: Cutter<'_>,
    parser: &Parser,
    see: impl Fn(Entry) -> T + Sync,
    take: impl FnMut(T) + Send,
) -> io::Result<()> {
    let ahead = AHEAD.saturating_mul(threads.get() as u64);
    let order = Order {
        next: 1,
        waiting: BTreeMap::new(),
        now: telemetry::now(),
        nears: BTreeMap::new(),
        ahead,
        failed: None,
        dead: false,
        take,
    };
    let crew = Crew { input: Mutex::new((0, cutter)), parser, see, order: Mutex::new(order), changed: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 1..threads.get() {
            scope.spawn(|| crew.work());
        }
        crew.work();
    });
    match crew.order.into_inner().unwrap_or_else(PoisonError::into_inner).failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Crew<'i, T, S, K> {
    /// The number of the last batch, from 1, and what is left of the input.
    input: Mutex<(u64, Cutter<'i>)>,
    parser: &'i Parser,
    see: S,
    order: Mutex<Order<T, K>>,
    changed: Condvar,
}

/// What goes by the input's order.
struct Order<T, K> {
    /// The batch that is to be taken in next.
    next: u64,
    /// Batches that were finished before their turn.
    waiting: BTreeMap<u64, Vec<T>>,
    /// When the input is read.
    now: Timestamp,
    /// When the last record of a batch was received: the next one may date by it.
    nears: BTreeMap<u64, Near>,
    /// Most batches between the one that is next and one that waits.
    ahead: u64,
    failed: Option<io::Error>,
    /// A thread panicked: its batch never comes.
    dead: bool,
    take: K,
}

impl<T: Send, S: Fn(Entry) -> T + Sync, K: FnMut(T) + Send> Crew<'_, T, S, K> {
    fn work(&self) {
        let _alarm = Alarm(self);
        while let Some((number, pieces)) = self.batch() {
            let parsed: Vec<Parsed> = pieces.into_iter().map(|piece| self.parser.parse(piece)).collect();
            let Some(entries) = self.dated(number, parsed) else { break };
            if !self.lay_down(number, entries.into_iter().map(&self.see).collect()) {
                break;
            }
        }
    }

    fn order(&self) -> MutexGuard<'_, Order<T, K>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch and its number; `None` at the end.
    fn batch(&self) -> Option<(u64, Vec<Piece>)> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, cutter) = &mut *input;
        match cutter.batch() {
            Ok(Some(pieces)) => {
                *number += 1;
                Some((*number, pieces))
            }
            Ok(None) => None,
            Err(error) => {
                self.order().failed.get_or_insert(error);
                None
            }
        }
    }

    /// Dates a batch: by itself where it can, else after the one before. `None` when that never comes.
    fn dated(&self, number: u64, parsed: Vec<Parsed>) -> Option<Vec<Entry>> {
        let now = self.order().now;
        let ahead = parsed.iter().filter(|_| number == 1).filter_map(Parsed::undated_line);
        let begin = Near::begin(now, ahead);
        let last =
            parsed.iter().all(Parsed::is_dated).then(|| parsed.iter().rev().find_map(Parsed::received)).flatten();
        let mut near = last.map(|at| begin.after(at)).or((number == 1).then_some(begin));
        if near.is_none() {
            let before = |order: &mut Order<T, K>| !order.dead && !order.nears.contains_key(&(number - 1));
            let order = self.changed.wait_while(self.order(), before).unwrap_or_else(PoisonError::into_inner);
            near = order.nears.get(&(number - 1)).copied();
        }
        let mut near = near?;
        let entries = parsed.into_iter().map(|parsed| parsed.dated(&mut near)).collect();
        let mut order = self.order();
        let next = order.next;
        order.nears.retain(|number, _| number + 1 >= next); // none before it is asked for again
        order.nears.insert(number, near);
        self.changed.notify_all();
        Some(entries)
    }

    /// False when there is no use in going on.
    fn lay_down(&self, number: u64, outcome: Vec<T>) -> bool {
        let too_far = |order: &mut Order<T, K>| !order.dead && number > order.next + order.ahead;
        let mut order = self.changed.wait_while(self.order(), too_far).unwrap_or_else(PoisonError::into_inner);
        order.waiting.insert(number, outcome);
        while let Order { next, waiting, take, .. } = &mut *order
            && let Some(outcome) = waiting.remove(next)
        {
            outcome.into_iter().for_each(&mut *take);
            *next += 1;
        }
        self.changed.notify_all();
        !order.dead
    }
}

/// Tells the other threads when one panics, which would wait for its batch.
struct Alarm<'c, 'i, T, S, K>(&'c Crew<'i, T, S, K>);

impl<T, S, K> Drop for Alarm<'_, '_, T, S, K> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.order.lock().unwrap_or_else(PoisonError::into_inner).dead = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        path::Path,
    };

    use super::*;
    use crate::offline::input::InputArgs;

    /// Some batches of places that hold no record.
    fn input() -> String {
        (0..30_000).map(|number| format!("{{\"number\": {number}, \"text\": \"which makes it longer\"}}\n")).collect()
    }

    fn lines_of(threads: usize, see: impl Fn(u64) -> u64 + Sync) -> Vec<u64> {
        let (input, mut lines) = (input(), Vec::new());
        let parser = Parser::new(&InputArgs::default(), Path::new("-"));
        let cutter = Cutter::new(input.as_bytes(), false).unwrap();
        let threads = NonZeroUsize::new(threads).unwrap();
        run(threads, cutter, &parser, |entry| see(entry.line), |line| lines.push(line)).unwrap();
        lines
    }

    #[test]
    fn outcomes_come_in_the_order_of_the_input() {
        for threads in [1, 2, 5] {
            assert_eq!(lines_of(threads, |line| line), (1..=30_000).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    /// Else the others would wait for its batch without end.
    #[test]
    fn a_panic_of_one_thread_ends_all() {
        let see = |line| if line == 9_000 { panic!("as the test wants") } else { line };
        assert!(catch_unwind(AssertUnwindSafe(|| lines_of(3, see))).is_err());
    }
}
