//! Brings batches to the controller. In: batches from the reader. Out: `POST /records`, again until it is answered, and
//! checkpoints that move when it was. While the controller is away, batches go to the spool and checkpoints move once they
//! are durable there; what is in the spool goes first, oldest first. Dropped is only a line that the controller refuses,
//! and counted.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::mpsc, task::block_in_place, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    args::CollectorLimits,
    batch::Batch,
    census::lock,
    checkpoints::Checkpoints,
    door::{Denied, Door, Tally},
    metrics::{Loss, Metrics},
    spool::Spool,
};

pub struct Shipper {
    pub door: Arc<Door>,
    pub spool: Spool,
    pub checkpoints: Arc<Mutex<Checkpoints>>,
    pub limits: CollectorLimits,
    pub metrics: Metrics,
    /// A batch that could not be spooled.
    pub held: Option<Batch>,
    /// Cancelled when what is under way may be left.
    pub give_up: CancellationToken,
}

/// A batch on its way.
struct Parcel {
    body: Vec<u8>,
    /// What of the body is still to be sent; one range unless it had to be split.
    parts: VecDeque<Range<usize>>,
    from: From,
    failing: Option<Failing>,
}

enum From {
    /// The reader, with its checkpoints.
    Reader(Batch),
    /// The spool, by number.
    Spool(u64),
}

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    pause: Duration,
}

impl Parcel {
    fn new(mut batch: Batch) -> Parcel {
        let body = std::mem::take(&mut batch.body);
        let whole = 0..body.len();
        Parcel { body, parts: VecDeque::from([whole]), from: From::Reader(batch), failing: None }
    }

    /// Replaces the first part by its halves. A single line is dropped, and false returned.
    fn split(&mut self, part: Range<usize>) -> bool {
        self.parts.pop_front();
        let bytes = self.body.get(part.clone()).unwrap_or_default();
        let middle = bytes.len() / 2;
        // The end of a line in the first half, or else the first in the second that is not the last.
        let newline = |range: &[u8]| range.iter().position(|byte| *byte == b'\n');
        let before = bytes.get(..middle).and_then(|half| half.iter().rposition(|byte| *byte == b'\n'));
        let after = || bytes.get(middle..).and_then(newline).map(|at| middle + at);
        match before.or_else(after).map(|at| at + 1).filter(|at| *at < bytes.len()) {
            Some(at) => {
                self.parts.push_front(part.start + at..part.end);
                self.parts.push_front(part.start..part.start + at);
                true
            }
            None => false,
        }
    }

    /// Failed once more: since when, and how long to wait now. Half of the pause is left to chance, so that the collectors
    /// of all nodes don't come back together.
    fn fails(&mut self, limits: &CollectorLimits) -> Failing {
        let failing = match self.failing {
            None => Failing { since: Instant::now(), pause: limits.backoff_min },
            Some(before) => Failing { pause: (before.pause * 2).min(limits.backoff_max), ..before },
        };
        self.failing = Some(failing);
        let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        Failing { pause: failing.pause.mul_f64(0.5 + chance / 2.0), ..failing }
    }
}

impl Shipper {
    /// Sends until the reader has ended and all it handed over is sent, or `give_up`.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        loop {
            self.metrics.spool_bytes.set(self.spool.bytes().try_into().unwrap_or(i64::MAX));
            let parcel = match self.oldest_spooled() {
                Some(parcel) => parcel,
                None if self.held.is_some() => match self.held.take() {
                    Some(batch) => Parcel::new(batch),
                    None => continue,
                },
                None => match self.give_up.run_until_cancelled(batches.recv()).await {
                    Some(Some(batch)) => Parcel::new(batch),
                    Some(None) | None => return,
                },
            };
            if !self.deliver(parcel, &mut batches).await {
                return;
            }
        }
    }

    fn oldest_spooled(&mut self) -> Option<Parcel> {
        while let Some((number, body)) = block_in_place(|| self.spool.oldest()) {
            match body {
                Ok(body) => {
                    let whole = 0..body.len();
                    let parts = VecDeque::from([whole]);
                    return Some(Parcel { body, parts, from: From::Spool(number), failing: None });
                }
                Err(error) => {
                    let before = self.spool.bytes();
                    self.remove(number);
                    self.metrics.lost(Loss::SpoolDamaged, before - self.spool.bytes());
                    tracing::error!(number, %error, "a spooled batch is damaged and skipped");
                }
            }
        }
        None
    }

    fn remove(&mut self, number: u64) {
        if let Err(error) = block_in_place(|| self.spool.remove(number)) {
            self.metrics.spool_errors.inc();
            tracing::warn!(number, %error, "a file of the spool can't be removed");
        }
    }

    /// Sends a parcel until it is through. False when it was left.
    async fn deliver(&mut self, mut parcel: Parcel, batches: &mut mpsc::Receiver<Batch>) -> bool {
        while let Some(part) = parcel.parts.front().cloned() {
            let answer = {
                let door = Arc::clone(&self.door);
                let body = parcel.body.get(part.clone()).unwrap_or_default().to_vec();
                let sending =
                    async move { if body.is_empty() { Ok(Tally::default()) } else { door.records(&body).await } };
                self.meanwhile(&parcel, sending, batches).await
            };
            match answer {
                None => return false,
                Some(Ok(tally)) => {
                    self.counted(parcel.body.get(part).unwrap_or_default(), tally);
                    parcel.parts.pop_front();
                    parcel.failing = None;
                }
                Some(Err(Denied::Body(status))) => {
                    if !parcel.split(part) {
                        self.metrics.refused.inc();
                        tracing::error!(%status, "the controller does not take a line, which is dropped");
                    }
                }
                Some(Err(Denied::Later { reason, after, detail })) => {
                    self.metrics.retry(reason);
                    let failing = parcel.fails(&self.limits);
                    let pause = after.map_or(failing.pause, |after| after.max(failing.pause));
                    tracing::warn!(
                        reason = reason.as_str(),
                        detail,
                        pause = pause.as_secs_f32(),
                        "sent again after a pause"
                    );
                    if failing.since.elapsed() >= self.limits.spool_after {
                        self.spool_failing(&mut parcel);
                    }
                    let wait = async { tokio::time::sleep(pause).await };
                    if self.meanwhile(&parcel, wait, batches).await.is_none() {
                        return false;
                    }
                }
            }
        }
        self.arrived(parcel);
        true
    }

    /// Awaits `work`, and puts what the reader hands over into the spool if the parcel came from there. None when the work
    /// was given up.
    async fn meanwhile<T>(
        &mut self,
        parcel: &Parcel,
        work: impl Future<Output = T>,
        batches: &mut mpsc::Receiver<Batch>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut open = true;
        loop {
            let spools = open && self.held.is_none() && matches!(parcel.from, From::Spool(_)) && self.spool.has_room();
            tokio::select! {
                done = &mut work => return Some(done),
                () = self.give_up.cancelled() => return None,
                batch = batches.recv(), if spools => match batch {
                    Some(batch) => self.put(batch),
                    None => open = false,
                },
            }
        }
    }

    /// Puts a batch that arrived into the spool. When that fails it is kept, and no further one is taken.
    fn put(&mut self, batch: Batch) {
        if batch.body.is_empty() || self.spooled(&batch.body).is_some() {
            self.commit(&batch);
        } else {
            self.held = Some(batch);
        }
    }

    fn spooled(&mut self, body: &[u8]) -> Option<u64> {
        let put = block_in_place(|| self.spool.put(body));
        self.metrics.spool_bytes.set(self.spool.bytes().try_into().unwrap_or(i64::MAX));
        match put {
            Ok(number) => {
                self.metrics.spool_batches.inc();
                Some(number)
            }
            Err(error) => {
                self.metrics.spool_errors.inc();
                tracing::warn!(%error, "a batch can't be spooled and stays in memory");
                None
            }
        }
    }

    /// The controller is away: what is under way is made durable, so that its checkpoints can move. What was under way came
    /// after everything that is in the spool: that is empty.
    fn spool_failing(&mut self, parcel: &mut Parcel) {
        if !matches!(parcel.from, From::Reader(_)) || !self.spool.has_room() {
            return;
        }
        if let Some(number) = self.spooled(&parcel.body)
            && let From::Reader(batch) = std::mem::replace(&mut parcel.from, From::Spool(number))
        {
            tracing::warn!("the controller is away: batches go to the spool");
            self.commit(&batch);
        }
    }

    fn counted(&self, body: &[u8], tally: Tally) {
        let Tally { stored: _, duplicates, quarantined: _, refused } = tally;
        let lines = body.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.metrics.lines_sent.inc_by(lines.saturating_sub(refused));
        self.metrics.duplicates.inc_by(duplicates);
        self.metrics.refused.inc_by(refused);
    }

    fn arrived(&mut self, parcel: Parcel) {
        if !parcel.body.is_empty() {
            self.metrics.batches.inc();
        }
        match parcel.from {
            From::Reader(batch) => self.commit(&batch),
            From::Spool(number) => self.remove(number),
        }
    }

    fn commit(&self, batch: &Batch) {
        let committed = block_in_place(|| lock(&self.checkpoints).commit(batch.moves.iter()));
        if let Err(error) = committed {
            // They move with the next batch of the same files; after a crash, lines are sent twice and stored once.
            self.metrics.checkpoint_errors.inc();
            tracing::error!(%error, "checkpoints don't move");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_halved_at_line_ends_down_to_one_line() {
        for lines in [vec!["a"], vec!["a", "b"], vec!["a", "a long line in a body", "b"], vec!["x"; 100]] {
            let mut batch = Batch::new();
            batch.body = (lines.join("\n") + "\n").into_bytes();
            let mut parcel = Parcel::new(batch);
            let mut dropped = Vec::new();
            while let Some(part) = parcel.parts.front().cloned() {
                if !parcel.split(part.clone()) {
                    dropped.push(std::str::from_utf8(&parcel.body[part]).unwrap().trim_end_matches('\n').to_owned());
                }
            }
            assert_eq!(dropped, lines);
        }
    }

    #[test]
    fn pauses_grow_to_their_limit() {
        let mut parcel = Parcel::new(Batch::new());
        let limits = CollectorLimits::SHIPPED;
        let pauses: Vec<Duration> = (0..12).map(|_| parcel.fails(&limits).pause).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let full = (limits.backoff_min * 2u32.pow(n as u32)).min(limits.backoff_max);
            assert!(*pause <= full && *pause >= full / 2, "{n}: {pause:?}");
        }
    }
}
