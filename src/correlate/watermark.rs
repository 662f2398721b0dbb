//! How far the time of each source has come, by which Absence and NewValue know that nothing more is to be waited for.
//!
//! A source is what stamps events with one clock: an API server, a node. Its watermark is the recorded clock, less what the
//! source lags behind it: the least that any of its events did. So it advances with the source's own events and with the
//! clock, never with the stamps of another source, and never beyond the clock. The recorded clock is the receipt of the
//! log's records, ticks among them. A gap in it counts as `MAX_GAP`: what was sent while nobody was there to receive is
//! still on its way, and is not to be late.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::stamp::plus;
use crate::api::rule::Source;

/// While a rule waits, the log gets a record at least this often.
pub const TICK: SignedDuration = SignedDuration::from_secs(30);

/// How much time a longer gap in the recorded clock counts for: a tick may come late, but not this late.
const MAX_GAP: SignedDuration = SignedDuration::from_secs(90);

/// Sources that are told apart. Each is an API server or a node with a credential, so this is not reached by a flood; what is
/// beyond it shares one watermark by kind of source.
const MAX_SOURCES: usize = 65_536;

/// Names a source.
pub type SourceNo = usize;

#[derive(Debug)]
pub struct Watermarks {
    numbers: [HashMap<Arc<str>, SourceNo>; Source::ALL.len()],
    /// How far each source is from the clock; not positive, unless the clock stood still in a gap. None: it never spoke.
    offsets: Vec<Option<SignedDuration>>,
    /// The newest receipt.
    received: Timestamp,
    /// The recorded clock, gaps cut short.
    clock: Timestamp,
    /// False offline, where records come in any order and each is its own clock.
    follows_log: bool,
}

impl Watermarks {
    pub fn new(follows_log: bool) -> Watermarks {
        Watermarks {
            numbers: Default::default(),
            offsets: vec![None; Source::ALL.len()],
            received: Timestamp::MIN,
            clock: Timestamp::MIN,
            follows_log,
        }
    }

    /// The log has come to a record of this receipt.
    pub fn advance(&mut self, received: Timestamp) {
        let passed = received.duration_since(self.received);
        if self.received == Timestamp::MIN {
            self.clock = received;
        } else if passed.is_positive() {
            self.clock = plus(self.clock, passed.min(MAX_GAP));
        }
        self.received = self.received.max(received);
    }

    /// A source has stamped an event. Its number, and whether that moved its watermark.
    pub fn observe(&mut self, source: Source, reporter: &str, at: Timestamp, received: Timestamp) -> (SourceNo, bool) {
        let number = self.number(source, reporter);
        let clock = if self.follows_log { self.clock } else { received };
        let offset = at.min(received).duration_since(clock);
        match self.offsets.get_mut(number) {
            Some(known) if known.is_none_or(|known| known < offset) => *known = Some(offset),
            _ => return (number, false),
        }
        (number, true)
    }

    pub fn number(&mut self, source: Source, reporter: &str) -> SourceNo {
        let (kind, numbers) = match source {
            Source::Audit => (0, &mut self.numbers[0]),
            Source::Node => (1, &mut self.numbers[1]),
            Source::Container => (2, &mut self.numbers[2]),
            Source::Web => (3, &mut self.numbers[3]),
        };
        if let Some(number) = numbers.get(reporter) {
            return *number;
        }
        if self.offsets.len() >= MAX_SOURCES {
            return kind;
        }
        numbers.insert(reporter.into(), self.offsets.len());
        self.offsets.push(None);
        self.offsets.len() - 1
    }

    /// Up to where all that a source sent is here, if it keeps to its lag.
    pub fn of(&self, number: SourceNo) -> Timestamp {
        let offset = self.offset(number);
        let beyond = if offset.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        self.clock.checked_add(offset).unwrap_or(beyond)
    }

    /// The moment of the clock at which the watermark of a source comes to `at`.
    pub fn reaches(&self, number: SourceNo, at: Timestamp) -> Timestamp {
        let offset = self.offset(number);
        let beyond = if offset.is_negative() { Timestamp::MAX } else { Timestamp::MIN };
        at.checked_sub(offset).unwrap_or(beyond)
    }

    fn offset(&self, number: SourceNo) -> SignedDuration {
        self.offsets.get(number).copied().flatten().unwrap_or_default()
    }

    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// Lets the clock stand at `until`, when all is read.
    pub fn end(&mut self, until: Timestamp) {
        self.received = self.received.max(until);
        self.clock = until;
    }

    pub fn received(&self) -> Timestamp {
        self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::fixture::at;

    const SECOND: i64 = 1000;

    /// Ticks every ten seconds from `from` up to `to`.
    fn pass(marks: &mut Watermarks, from: i64, to: i64) {
        (from..=to).step_by(10).for_each(|second| marks.advance(at(second * SECOND)));
    }

    #[test]
    fn a_source_follows_the_clock_at_its_own_lag() {
        let mut marks = Watermarks::new(true);
        pass(&mut marks, 0, 0);
        let (prompt, _) = marks.observe(Source::Node, "a", at(0), at(0));
        let (behind, _) = marks.observe(Source::Node, "b", at(-3600 * SECOND), at(0));
        let (ahead, _) = marks.observe(Source::Node, "c", at(300 * SECOND), at(0));
        assert_eq!([prompt, behind, ahead].map(|s| marks.of(s)), [at(0), at(-3600 * SECOND), at(0)]);
        pass(&mut marks, 10, 600);
        assert_eq!([prompt, behind, ahead].map(|s| marks.of(s)), [at(600_000), at(-3_000_000), at(600_000)]);
        assert_eq!(marks.reaches(behind, marks.of(behind)), marks.clock());
        assert!(marks.observe(Source::Node, "b", at(600_000), at(600_000)).1, "its clock was put right");
        assert_eq!(marks.of(behind), at(600_000));
        assert!(!marks.observe(Source::Node, "b", at(0), at(600_000)).1, "an old event takes nothing back");
        assert_ne!(
            prompt,
            marks.observe(Source::Audit, "a", at(0), at(0)).0,
            "another kind of source is another source"
        );
    }

    #[test]
    fn a_gap_counts_for_little_until_a_source_speaks() {
        let mut marks = Watermarks::new(true);
        marks.advance(at(0));
        let (source, _) = marks.observe(Source::Audit, "cp", at(0), at(0));
        marks.advance(at(3_600_000));
        assert_eq!(marks.of(source), at(90_000), "nobody was there to receive");
        marks.observe(Source::Audit, "cp", at(60_000), at(3_600_000));
        assert_eq!(marks.of(source), at(90_000), "what comes from the gap is not late");
        marks.observe(Source::Audit, "cp", at(3_599_000), at(3_600_000));
        assert_eq!(marks.of(source), at(3_599_000));
    }

    #[test]
    fn a_clock_that_goes_back_moves_nothing() {
        let mut marks = Watermarks::new(true);
        pass(&mut marks, 0, 60);
        marks.advance(at(0));
        assert_eq!((marks.clock(), marks.received()), (at(60_000), at(60_000)));
    }

    #[test]
    fn sources_beyond_the_limit_share_one_watermark() {
        let mut marks = Watermarks::new(true);
        marks.advance(at(0));
        let numbers = (0..MAX_SOURCES + 10).map(|n| marks.observe(Source::Node, &n.to_string(), at(0), at(0)).0);
        let last: Vec<SourceNo> = numbers.skip(MAX_SOURCES).collect();
        assert_eq!(last, [1; 10]);
        assert_eq!(marks.offsets.len(), MAX_SOURCES);
        assert_eq!(marks.of(1), at(0));
    }
}
