//! Where an event stands in its window: by (event time, event id), with the precision of its source's clock.

use jiff::{SignedDuration, Timestamp};

use crate::{detect::Evidence, event::Precision, record::RecordId};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const NANO: SignedDuration = SignedDuration::from_nanos(1);

/// Orders events by (time, id), so that equal times have one order everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Event time; whole seconds when the source stamps no finer.
    pub at: Timestamp,
    pub id: RecordId,
    pub precision: Precision,
}

impl Stamp {
    pub fn of(evidence: &Evidence) -> Stamp {
        Stamp::new(evidence.at, evidence.id, evidence.precision)
    }

    /// Of an event stamped `at`, cut to what its source's clock can tell.
    pub fn new(at: Timestamp, id: RecordId, precision: Precision) -> Stamp {
        let at = match precision {
            Precision::Micros => at,
            Precision::Second => {
                minus(at, SignedDuration::from_nanos(at.as_nanosecond().rem_euclid(1_000_000_000) as i64))
            }
        };
        Stamp { at, id, precision }
    }

    /// The smallest stamp at `at`, as a lower bound of ranges.
    pub fn floor(at: Timestamp) -> Stamp {
        Stamp { at, id: RecordId([0; 16]), precision: Precision::Micros }
    }

    /// The latest moment at which the event may have happened.
    pub fn latest(&self) -> Timestamp {
        match self.precision {
            Precision::Micros => self.at,
            Precision::Second => plus(self.at, SECOND - NANO),
        }
    }

    /// True unless `self` certainly happened after `other`: a tie at the coarser of the two precisions counts as before.
    pub fn may_precede(&self, other: &Stamp) -> bool {
        self.at <= other.latest()
    }
}

/// `at - span`, or the earliest time there is.
pub fn minus(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// `at + span`, or the latest time there is.
pub fn plus(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// The earliest time at which a coarse stamp may stand that reaches to `at`.
pub fn second_before(at: Timestamp) -> Timestamp {
    minus(at, SECOND - NANO)
}
