//! Rounds of the same work. On a shared machine the best round says what the code costs, the median what the machine gave.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Nanoseconds of one piece of work.
#[derive(Clone, Copy)]
pub struct Timing {
    pub best: f64,
    pub median: f64,
}

/// Runs `round` so many times; each gives what it took and for how many pieces.
pub fn rounds(count: usize, mut round: impl FnMut() -> (Duration, usize)) -> Timing {
    let mut each: Vec<f64> = (0..count.max(1))
        .map(|_| {
            let (took, pieces) = round();
            took.as_nanos() as f64 / pieces.max(1) as f64
        })
        .collect();
    each.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| each.get(place).copied().unwrap_or_default();
    Timing { best: at(0), median: at(each.len() / 2) }
}

pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let given = work();
    (start.elapsed(), given)
}

/// Named numbers, as they are printed and written.
#[derive(Default)]
pub struct Report(pub BTreeMap<String, f64>);

impl Report {
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), (value * 1000.0).round() / 1000.0);
    }

    /// The best as `name`, the median beside it.
    pub fn time(&mut self, name: &str, timing: Timing) {
        self.set(name, timing.best);
        self.set(format!("{name}_median"), timing.median);
    }

    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }

    /// `above` divided by `below`.
    pub fn ratio(&mut self, name: &str, above: &str, below: &str) {
        self.set(name, self.get(above) / self.get(below));
    }
}

/// Resident memory of this process in MiB (`VmRSS` of /proc/self/status).
pub fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
