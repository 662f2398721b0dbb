//! Matches + state -> findings, on event time. Monotone: a finding comes as soon as the events that prove it are there, in
//! whatever order they came, and never goes away. State is keyed by (rule, key), bounded, and what is evicted is counted:
//! any permutation, any split and any repetition of the same matches give the same findings, unless a counter says that
//! lateness or eviction broke it. Absence and NewValue are not monotone: they wait until nothing more can come, and decide
//! once. Never reads a clock: the caller says how far receipt has come.

mod absence;
mod accounts;
mod arrivals;
mod body;
mod correlator;
mod distinct;
mod entry;
mod held;
mod holders;
mod kept;
mod lanes;
mod new_value;
mod plan;
mod shares;
mod stamp;
mod state;
mod texts;
mod waits;
mod watermark;
mod window;
mod windows;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::SignedDuration;

pub use correlator::Correlator;
pub use kept::{Kept, Part};
pub use watermark::TICK;

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
    /// The event that completes it. One completing event is one `count` of the alert. Its words may be missing when it
    /// was told as contributing before.
    pub completing: Arc<Evidence>,
    /// False when `completing` was already reported and only `contributing` grew.
    pub new: bool,
    /// Events that take part and were not yet reported for this rule and key, sorted by (time, id).
    pub contributing: Vec<Contribution>,
}

/// How much state is kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long after receipt has passed an event's time it may still come and find all that belongs to it. What comes later
    /// is counted, and stays for as long from its receipt, to find what comes late with it. None keeps
    /// everything (offline, where nothing is late); only `max_entries` then bounds the state.
    pub lateness: Option<SignedDuration>,
    /// Matches kept in total. Each rule has a part of it reserved, by its severity's weight among the rules that hold any;
    /// over the total, the rule that holds most for its weight loses what is cheapest to lose: a match of the key with the
    /// fewest matches (by powers of two), of those the soonest to expire. A rule that waits (Absence, NewValue) loses a whole
    /// key, and a match of it counts for 16 while its words are kept.
    pub max_entries: usize,
    /// Matches kept for one rule and key, so that a flood of one key costs no other its state.
    pub max_entries_per_key: usize,
    /// Bytes of what alerts may show in words of the matches that are kept. Over it, matches count as before, and alerts
    /// show of them what is not words.
    pub max_text_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            lateness: Some(SignedDuration::from_mins(5)),
            max_entries: 2_000_000,
            max_entries_per_key: 10_000,
            max_text_bytes: 64 << 20,
        }
    }
}

/// What the state holds and what it lost. All but `entries`, `keys` and `text_bytes` only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Matches kept now.
    pub entries: u64,
    /// Rule-and-key states kept now.
    pub keys: u64,
    /// Matches that came again and added nothing.
    pub repeated: u64,
    /// Matches older than lateness allows: what belonged to them may be gone. A rule that waits has decided, and ignores them.
    pub late: u64,
    /// Matches dropped because nothing can join them any more.
    pub expired: u64,
    /// Matches dropped because the total was full.
    pub evicted: u64,
    /// Matches dropped because their key was full.
    pub evicted_from_full_key: u64,
    /// Matches whose words were dropped, while they still count.
    pub texts_forgotten: u64,
    /// Bytes of words kept now.
    pub text_bytes: u64,
}
