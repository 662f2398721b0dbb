//! How long and from which seed random tests run: once from a fixed seed in CI, on and on with fresh seeds in `make soak`.
//!
//! `KUBEWITNESS_SEED` is the first seed, which a failure names; `KUBEWITNESS_SOAK_SECONDS` is for how long to go on.

use std::{
    env,
    time::{Duration, Instant},
};

/// Where CI begins.
const FIRST: u64 = 1;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a whole number")))
}

/// Whether tests go on and on, so that each round may be long.
pub fn is_long() -> bool {
    number("KUBEWITNESS_SOAK_SECONDS").is_some()
}

/// Whether a round is one of those whose yield is known to be enough: a test in CI, or a long round.
pub fn is_counted(first: u64) -> bool {
    first == FIRST || is_long()
}

/// Seeds of rounds: one, or one after the other until the time is up. A round uses up `step` seeds.
pub fn rounds(step: u64) -> impl Iterator<Item = u64> {
    let first = number("KUBEWITNESS_SEED").unwrap_or(FIRST);
    let (start, length) = (Instant::now(), Duration::from_secs(number("KUBEWITNESS_SOAK_SECONDS").unwrap_or(0)));
    let seeds = (0..).map(move |round: u64| first.wrapping_add(round.wrapping_mul(step)));
    seeds.enumerate().take_while(move |(round, _)| *round == 0 || start.elapsed() < length).map(|(_, seed)| seed)
}
