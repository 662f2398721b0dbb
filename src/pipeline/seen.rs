//! The stateless half of the pipeline: normalise -> enrich -> detect. In: a record, with the rules and the inventory as they stand.
//! Out: what the stateful half takes in, which points back into nothing. So events may be seen on several threads at once, and are
//! then taken in one by one, in the order of the log.

use jiff::Timestamp;

use super::Pipeline;
use crate::{
    api::rule::Source,
    detect::{Detected, detect},
    enrich::enrich,
    normalise::line::{is_parsed, program},
    record::{Record, Seq},
};

/// What the stateless stages found in one record.
#[derive(Debug)]
pub struct Seen {
    pub received_at: Timestamp,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// No event could be read.
    Unreadable,
    /// A request of the controller's own, which rules don't see.
    OwnRequest,
    Event(SeenEvent),
}

/// An event that rules saw.
#[derive(Debug)]
pub struct SeenEvent {
    pub source: Source,
    /// Event time.
    pub at: Timestamp,
    /// The program of a line that no format recognised.
    pub unrecognised: Option<&'static str>,
    pub detected: Detected,
}

impl Pipeline {
    /// Looks at the event of `record`, by the rules and the inventory of this pipeline, and changes nothing. What it gives
    /// is for `take_in`, of this pipeline or of one that has the same rules and inventory.
    pub fn see(&self, seq: Seq, record: &Record) -> Seen {
        let what = match self.normaliser.event(record) {
            None => What::Unreadable,
            Some(event) if self.is_own_request(&event) => What::OwnRequest,
            Some(mut event) => {
                enrich(&mut event, &self.inventory);
                What::Event(SeenEvent {
                    source: event.source,
                    at: event.created,
                    unrecognised: (!is_parsed(&event)).then(|| program(&event)),
                    detected: detect(&self.ruleset, &event, seq),
                })
            }
        };
        Seen { received_at: record.received_at, what }
    }
}
