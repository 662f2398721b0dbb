//! Orders in which inputs may be received. In: inputs by their own times. Out: who came when, never before it was written.

use std::collections::HashMap;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::stories::Input;

/// Most minutes that a source is late here: less than the five that the controller waits.
const LATE: i64 = 4 * 60;

/// The log that one order makes, and how it is read.
pub struct Order {
    pub name: &'static str,
    /// Inputs by their place in the stream, with the time of receipt, which never falls.
    pub log: Vec<(usize, Timestamp)>,
    /// The controller's own limits hold it, and not only those of offline runs.
    pub within_lateness: bool,
    /// What comes again is dropped by its record id, as the store does.
    pub store_drops: bool,
}

impl Order {
    fn of(name: &'static str, log: Vec<(usize, Timestamp)>) -> Order {
        Order { name, log, within_lateness: false, store_drops: true }
    }
}

/// All of them; the first is by the inputs' own times.
pub fn orders(inputs: &[Input], random: &mut Rng) -> Vec<Order> {
    let places: Vec<usize> = (0..inputs.len()).collect();
    let by = |key: &dyn Fn(usize) -> bool| {
        let (first, second): (Vec<usize>, Vec<usize>) = places.iter().partition(|place| key(**place));
        [first, second].concat()
    };
    let mut shuffled = places.clone();
    random.shuffle(&mut shuffled);
    let reversed: Vec<usize> = places.iter().rev().copied().collect();
    let one_by_one = |name, places: &[usize]| Order::of(name, as_received(inputs, places));
    let mut orders = vec![
        Order { within_lateness: true, ..one_by_one("by time", &places) },
        one_by_one("audit first", &by(&|place| !inputs[place].is_line())),
        one_by_one("lines first", &by(&|place| inputs[place].is_line())),
        one_by_one("random", &shuffled),
        one_by_one("backwards", &reversed),
        one_by_one("sent again in parts", &again(&places, random)),
        one_by_one("random, sent again in parts", &again(&shuffled, random)),
        Order { store_drops: false, ..one_by_one("evaluated again in parts", &again(&shuffled, random)) },
    ];
    let late = random.i64(1..=LATE);
    for (name, lines, requests) in [("lines late", late, 1), ("audit late", 1, late)] {
        let delay = |input: &Input, _: &mut Rng| if input.is_line() { lines } else { requests };
        orders.push(Order { within_lateness: true, ..Order::of(name, delayed(inputs, random, delay)) });
    }
    let any = |_: &Input, random: &mut Rng| random.i64(1..=LATE);
    orders.push(Order { within_lateness: true, ..Order::of("each late for itself", delayed(inputs, random, any)) });
    // A clock that is ahead stamps what is received before it: at most as far as stamps from the future are believed.
    let clocks: HashMap<&str, i64> =
        inputs.iter().map(|input| (input.clock(), random.i64(-LATE / 2..=LATE / 2))).collect();
    let skewed = |input: &Input, random: &mut Rng| clocks[input.clock()] + random.i64(1..=LATE / 2);
    let received = delayed(inputs, random, skewed);
    orders.push(Order { within_lateness: true, ..Order::of("clocks that differ", received.clone()) });
    let log = twice(inputs, received, random);
    orders.push(Order {
        within_lateness: true,
        store_drops: false,
        ..Order::of("clocks that differ, some twice", log)
    });
    orders
}

/// One after the other, each as soon as it is there and those before it were received.
fn as_received(inputs: &[Input], places: &[usize]) -> Vec<(usize, Timestamp)> {
    let mut now = Timestamp::MIN;
    let receive = |place: &usize| {
        now = now.max(inputs[*place].at + SignedDuration::from_secs(1));
        (*place, now)
    };
    places.iter().map(receive).collect()
}

fn delayed(inputs: &[Input], random: &mut Rng, seconds: impl Fn(&Input, &mut Rng) -> i64) -> Vec<(usize, Timestamp)> {
    let receive =
        |(place, input): (usize, &Input)| (place, input.at + SignedDuration::from_secs(seconds(input, random)));
    let mut log: Vec<_> = inputs.iter().enumerate().map(receive).collect();
    log.sort_by_key(|(_, at)| *at);
    log
}

/// Some come again, while they are not late yet.
fn twice(inputs: &[Input], mut log: Vec<(usize, Timestamp)>, random: &mut Rng) -> Vec<(usize, Timestamp)> {
    for place in 0..log.len() {
        let (input, received) = log[place];
        let again = received.max(inputs[input].at + SignedDuration::from_secs(random.i64(1..=LATE)));
        if random.u8(0..3) == 0 {
            log.push((input, again));
        }
    }
    log.sort_by_key(|(_, at)| *at);
    log
}

/// With parts of it sent again, as a collector does that was killed before it wrote its checkpoint.
fn again(places: &[usize], random: &mut Rng) -> Vec<usize> {
    let mut sent = Vec::new();
    let mut next = 0;
    while next < places.len() {
        let end = places.len().min(next + random.usize(1..40));
        let from = if random.bool() { next.saturating_sub(random.usize(0..60)) } else { next };
        sent.extend_from_slice(&places[from..end]);
        next = end;
    }
    sent
}
