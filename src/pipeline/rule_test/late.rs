//! What comes late, as a live controller takes it: a window keeps what is joined for so long, and a rule that waits decides without
//! it. Windows are read here with the live lateness and the inputs' receipts. A rule that waits decides at a test's end, when all
//! is there; an input that is late by then is refused, since a live one would not have seen it.

use std::{collections::HashMap, sync::Arc};

use jiff::SignedDuration;

use super::{Failed, start};
use crate::{
    api::rule::Source,
    correlate::Limits,
    pipeline::seen::{Seen, What},
    ruleset::CompiledRule,
};

/// With which lateness a test of the rule is read. None: nothing is late.
pub fn lateness(rule: &CompiledRule) -> Option<SignedDuration> {
    Limits::default().lateness.filter(|_| !rule.detection.waits())
}

/// The least lag of each source so far, against which it is late.
#[derive(Debug, Default)]
pub struct Lags(HashMap<(Source, Arc<str>), SignedDuration>);

impl Lags {
    /// Takes in what was seen of an input.
    pub fn check(&mut self, rule: &CompiledRule, seen: &Seen) -> Result<(), Failed> {
        let (What::Event(event), Some(lateness)) = (&seen.what, Limits::default().lateness) else { return Ok(()) };
        let lag = seen.received_at.duration_since(event.at).max(SignedDuration::ZERO);
        let least = self.0.entry((event.source, event.reporter.clone())).or_insert(lag);
        *least = lag.min(*least);
        if !rule.detection.waits() || lag - *least <= lateness || event.detected.matches.is_empty() {
            return Ok(());
        }
        let (at, received) = (event.at.duration_since(start()), seen.received_at.duration_since(start()));
        Err(Failed::Late { at, received, lateness })
    }
}
