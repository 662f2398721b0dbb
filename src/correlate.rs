//! Matches + state -> findings, on event time. Monotone: a finding comes as soon as the events that prove it are there, in
//! whatever order they came, and never goes away. State is keyed by (rule, key), bounded, and what is evicted is counted.

use std::sync::Arc;

use crate::{
    detect::{Evidence, Key},
    ruleset::CompiledRule,
};

/// A match that takes part in a finding.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// Index into the rule's selectors.
    pub selector: usize,
    pub evidence: Arc<Evidence>,
}

/// A rule's detection is complete at one event; or, later, more events turned out to take part in it.
#[derive(Debug, Clone)]
pub struct Finding {
    pub rule: Arc<CompiledRule>,
    pub key: Key,
    /// The event that completes it. One completing event is one `count` of the alert.
    pub completing: Arc<Evidence>,
    /// False when `completing` was already reported and only `contributing` grew.
    pub new: bool,
    /// Events that take part and were not yet reported for this rule and key, sorted by (time, id).
    pub contributing: Vec<Contribution>,
}
