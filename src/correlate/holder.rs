//! The state of one rule and key. A Match rule's says which events were reported; the others' are a window of events.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    plan::{Plan, Selectors, bit},
    stamp::Stamp,
    window::{Arrival, Completion, EntryPart, Window},
};
use crate::{
    detect::{Evidence, Key, Match},
    ruleset::CompiledRule,
};

/// State of one rule and key.
#[derive(Debug, Clone)]
pub enum State {
    /// A Match rule needs only to know which events it has reported, and for which selectors.
    Reported(BTreeMap<Stamp, Selectors>),
    Window(Window),
}

#[derive(Debug)]
pub struct Holder {
    pub rule: Arc<CompiledRule>,
    pub key: Key,
    pub state: State,
    /// When the oldest entry can no longer be joined.
    pub deadline: Timestamp,
}

impl Holder {
    /// Empty, and so without a deadline.
    pub fn new(rule: Arc<CompiledRule>, key: Key) -> Holder {
        let state = match Plan::of(&rule.detection) {
            None => State::Reported(BTreeMap::new()),
            Some(_) => State::Window(Window::default()),
        };
        Holder { rule, key, state, deadline: Timestamp::MAX }
    }

    pub fn has_window(&self) -> bool {
        Plan::of(&self.rule.detection).is_some()
    }

    /// How long after an event another may come that it takes part with.
    pub fn within(&self) -> SignedDuration {
        Plan::of(&self.rule.detection).map_or(SignedDuration::ZERO, Plan::within)
    }

    /// Forgets the oldest event. False when there is none.
    pub fn drop_oldest(&mut self) -> bool {
        match (&mut self.state, Plan::of(&self.rule.detection)) {
            (State::Window(window), Some(plan)) => window.drop_oldest(plan),
            (State::Reported(events), _) => events.pop_first().is_some(),
            (State::Window(_), None) => false,
        }
    }
}

/// A state as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StatePart {
    Reported(Vec<(Stamp, Selectors)>),
    Window(Vec<EntryPart>),
}

impl State {
    pub fn part(&self) -> StatePart {
        match self {
            State::Reported(events) => StatePart::Reported(events.iter().map(|(s, b)| (*s, *b)).collect()),
            State::Window(window) => StatePart::Window(window.parts()),
        }
    }

    /// None when `rule` detects otherwise.
    pub fn of_part(part: StatePart, rule: &CompiledRule) -> Option<State> {
        match (part, Plan::of(&rule.detection)) {
            (StatePart::Reported(events), None) => Some(State::Reported(events.into_iter().collect())),
            (StatePart::Window(parts), Some(plan)) => Some(State::Window(Window::of_parts(plan, parts))),
            (StatePart::Reported(_) | StatePart::Window(_), _) => None,
        }
    }

    /// Events held.
    pub fn len(&self) -> usize {
        match self {
            State::Reported(events) => events.len(),
            State::Window(window) => window.len(),
        }
    }

    /// Event time of the oldest event.
    pub fn oldest(&self) -> Option<Timestamp> {
        match self {
            State::Reported(events) => events.first_key_value().map(|(stamp, _)| stamp.at),
            State::Window(window) => window.oldest(),
        }
    }

    /// None when the event adds nothing.
    pub fn step(&mut self, rule: &CompiledRule, arrival: Arrival) -> Option<Vec<Completion>> {
        match (self, Plan::of(&rule.detection)) {
            (State::Window(window), Some(plan)) => window.step(plan, arrival),
            (State::Reported(events), _) => {
                let reported = events.entry(Stamp::of(&arrival.evidence)).or_default();
                let (new, added) = (*reported == 0, arrival.selectors & !*reported);
                *reported |= added;
                let contributing = arrival.contributions(added);
                (added != 0).then(|| vec![Completion { completing: arrival.evidence, new, contributing }])
            }
            (State::Window(_), None) => None,
        }
    }
}

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
