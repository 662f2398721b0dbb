//! How many calls the writer may make: a bucket that refills evenly.

use jiff::Timestamp;

/// Bursts of this many seconds' worth pass.
const BURST_SECONDS: f64 = 10.0;

pub(super) struct Bucket {
    rate: f64,
    level: f64,
    at: Timestamp,
}

impl Bucket {
    /// Full, with `rate` calls a second.
    pub(super) fn new(rate: u32, now: Timestamp) -> Bucket {
        let rate = f64::from(rate.max(1));
        Bucket { rate, level: rate * BURST_SECONDS, at: now }
    }

    /// Takes one call out; false when there is none. A clock that was set back refills nothing.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.level = (self.level + passed * self.rate).min(self.rate * BURST_SECONDS);
        self.at = now;
        let enough = self.level >= 1.0;
        if enough {
            self.level -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_pass_and_then_the_rate_holds() {
        let start = Timestamp::UNIX_EPOCH;
        let after = |seconds| Timestamp::constant(seconds, 0);
        let mut bucket = Bucket::new(5, start);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 50);
        assert_eq!((0..100).filter(|_| bucket.take(after(2))).count(), 10);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 0, "the clock went back");
        assert_eq!((0..100).filter(|_| bucket.take(after(1_000))).count(), 50);
    }
}
