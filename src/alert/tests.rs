//! Claims about alerts; findings come through the real correlator.

mod episodes;
mod objects;
mod order;
mod waiting;

use std::sync::Arc;

use jiff::SignedDuration;

use crate::{
    alert::{Alert, AlertBook, AlertId, BookConfig},
    correlate::{
        Correlator, Limits,
        fixture::{evidence, key, matches, rule},
    },
    detect::Evidence,
    ruleset::{CompiledDetection, CompiledRule, template::Part},
};

/// A Match rule whose episodes end after ten seconds.
fn match_rule() -> CompiledRule {
    CompiledRule { resolve_after: SignedDuration::from_secs(10), ..rule("r", &["s0", "s1"], CompiledDetection::Match) }
}

/// Folds the events, given with their selectors, in the order given.
fn book_of(rule: &Arc<CompiledRule>, events: Vec<(&[usize], Evidence)>) -> AlertBook {
    let mut correlator = Correlator::new(Limits { lateness: None, ..Limits::default() });
    let mut book = AlertBook::new(BookConfig { keep_all_contributions: true, ..BookConfig::default() });
    for (selectors, evidence) in events {
        for finding in correlator.step(matches(rule, selectors, evidence)) {
            book.fold(finding);
        }
    }
    book
}

/// Matches of selector 0, numbered from 1, at these seconds, arriving in this order.
fn alert_at(rule: CompiledRule, seconds: &[i64]) -> Alert {
    let rule = Arc::new(rule);
    let events = seconds.iter().enumerate().map(|(n, s)| ([0].as_slice(), evidence(n as u64 + 1, s * 1000))).collect();
    let book = book_of(&rule, events);
    book.get(&AlertId::of(&rule.id, &key("a"))).cloned().unwrap()
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}
