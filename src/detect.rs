//! Event + ruleset -> matches. Stateless: the same event and ruleset give the same matches anywhere.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    api::alert::Entity,
    event::Precision,
    record::{RecordId, Seq},
    ruleset::CompiledRule,
};

/// Values of a rule's `groupBy`, in its order; none is empty.
pub type Key = Arc<[Arc<str>]>;

/// An event satisfied a rule's selector. Small and self-contained, so that it can be routed to the one holder of its key's
/// state: nothing here points back into the event.
#[derive(Debug, Clone)]
pub struct Match {
    pub rule: Arc<CompiledRule>,
    /// Index into the rule's selectors.
    pub selector: usize,
    pub key: Key,
    /// For a Threshold over distinct values: this event's value, never empty.
    pub distinct: Option<Arc<str>>,
    pub evidence: Arc<Evidence>,
}

/// What an alert may show of one event: bounded and redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub id: RecordId,
    pub seq: Seq,
    /// Event time.
    pub at: Timestamp,
    pub precision: Precision,
    /// One line, at most 512 bytes.
    pub message: String,
    /// Who and what took part; at most 8.
    pub entities: Vec<Entity>,
    /// Values for the summary's slots that this selector fills: (slot, value), values at most 256 bytes.
    pub captures: Vec<(usize, String)>,
}
