//! The matches of one event, joined by where they go.

use std::sync::Arc;

use super::{plan::bit, window::Arrival};
use crate::{
    detect::{Evidence, Key, Match},
    ruleset::CompiledRule,
};

/// Joins the matches of one event that go to the same rule and key.
pub fn by_rule_and_key(matches: Vec<Match>) -> Vec<(Arc<CompiledRule>, Key, Arrival)> {
    let mut arrivals: Vec<(Arc<CompiledRule>, Key, Arrival)> = Vec::with_capacity(matches.len());
    for Match { rule, selector, key, distinct, evidence } in matches {
        let same = arrivals.iter_mut().rev().find(|(r, k, a)| {
            Arc::ptr_eq(r, &rule) && *k == key && a.evidence.id == evidence.id && a.evidence.at == evidence.at
        });
        match same {
            Some((.., arrival)) => {
                arrival.selectors |= bit(selector);
                arrival.distinct = arrival.distinct.take().or(distinct);
                // The evidence of one event differs by selector only in what it captures.
                if !evidence.captures.is_empty() {
                    arrival.evidence = merged(&arrival.evidence, &evidence);
                }
            }
            None => arrivals.push((rule, key, Arrival { evidence, selectors: bit(selector), distinct })),
        }
    }
    arrivals
}

/// The evidence of one event with the captures of two selectors.
fn merged(one: &Evidence, other: &Evidence) -> Arc<Evidence> {
    let mut both = one.clone();
    both.captures
        .extend(other.captures.iter().filter(|(slot, _)| !one.captures.iter().any(|(s, _)| s == slot)).cloned());
    Arc::new(both)
}
