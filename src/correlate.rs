//! Matches + state -> findings, on event time. Monotone: a finding comes as soon as the events that prove it are there, in
//! whatever order they came, and never goes away. State is keyed by (rule, key), bounded, and what is evicted is counted:
//! any permutation, any split and any repetition of the same matches give the same findings, unless a counter says that
//! lateness or eviction broke it. Never reads a clock: the caller says how far receipt has come.

mod distinct;
mod lanes;
mod stamp;
mod window;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    detect::{Evidence, Key, Match},
    record::RuleId,
    ruleset::CompiledRule,
};
use stamp::{Stamp, minus, plus};
use window::{Arrival, Plan, Selectors, Window, bit};

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

/// How much state is kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long after receipt has passed an event's time it may still come and find all that belongs to it. None keeps
    /// everything (offline, where nothing is late); only `max_entries` then bounds the state.
    pub lateness: Option<SignedDuration>,
    /// Matches kept in total.
    pub max_entries: usize,
    /// Matches kept for one rule and key, so that a flood of one key costs no other its state.
    pub max_entries_per_key: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { lateness: Some(SignedDuration::from_mins(5)), max_entries: 1_000_000, max_entries_per_key: 10_000 }
    }
}

/// What the state holds and what it lost. All but `entries` and `keys` only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Matches kept now.
    pub entries: u64,
    /// Rule-and-key states kept now.
    pub keys: u64,
    /// Matches that came again and added nothing.
    pub repeated: u64,
    /// Matches older than lateness allows: what belonged to them may be gone.
    pub late: u64,
    /// Matches dropped because nothing can join them any more.
    pub expired: u64,
    /// Matches dropped because the total was full.
    pub evicted: u64,
    /// Matches dropped because their key was full.
    pub evicted_from_full_key: u64,
}

/// One accepted version of a rule. Another generation starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    rule: RuleId,
    generation: i64,
}

/// State of one rule and key.
#[derive(Debug, Clone)]
enum State {
    /// A Match rule needs only to know which events it has reported, and for which selectors.
    Reported(BTreeMap<Stamp, Selectors>),
    Window(Window),
}

#[derive(Debug)]
struct Holder {
    rule: Arc<CompiledRule>,
    key: Key,
    state: State,
    /// When the oldest entry can no longer be joined.
    deadline: Timestamp,
}

/// Names a `Holder`.
type Slot = u64;

/// Holds the state of all rules and keys that are routed to it.
#[derive(Debug)]
pub struct Correlator {
    limits: Limits,
    slots: HashMap<Version, HashMap<Key, Slot>>,
    holders: HashMap<Slot, Holder>,
    /// Soonest first: what to expire, and what to evict.
    deadlines: BTreeSet<(Timestamp, Slot)>,
    next_slot: Slot,
    /// How far receipt has come.
    received: Timestamp,
    counters: Counters,
}

impl Correlator {
    pub fn new(limits: Limits) -> Correlator {
        Correlator {
            limits,
            slots: HashMap::new(),
            holders: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_slot: 0,
            received: Timestamp::MIN,
            counters: Counters::default(),
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the matches of one event. All of them in one call: two selectors of a Match rule are one finding.
    pub fn step(&mut self, matches: Vec<Match>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (rule, key, arrival) in by_rule_and_key(matches) {
            if self.limits.lateness.is_some_and(|l| arrival.evidence.at < minus(self.received, l)) {
                self.counters.late += 1;
            }
            self.arrive(rule, key, arrival, &mut findings);
        }
        while self.counters.entries > self.limits.max_entries as u64 && self.evict() {}
        findings
    }

    fn arrive(&mut self, rule: Arc<CompiledRule>, key: Key, arrival: Arrival, findings: &mut Vec<Finding>) {
        let slot = self.slot(&rule, &key);
        let lateness = self.limits.lateness.unwrap_or_default();
        let Some(holder) = self.holders.get_mut(&slot) else { return };
        let before = holder.state.len();
        match holder.state.step(&rule, arrival) {
            Some(completions) => findings.extend(completions.into_iter().map(|c| Finding {
                rule: rule.clone(),
                key: key.clone(),
                completing: c.completing,
                new: c.new,
                contributing: c.contributing,
            })),
            None => self.counters.repeated += 1,
        }
        self.counters.entries += (holder.state.len() - before) as u64;
        while holder.state.len() > self.limits.max_entries_per_key.max(1) && holder.drop_oldest() {
            self.counters.entries -= 1;
            self.counters.evicted_from_full_key += 1;
        }
        self.settle(slot, lateness);
    }

    /// The slot of `rule` and `key`; empty when they have no state, or that of a rule that detects otherwise.
    fn slot(&mut self, rule: &Arc<CompiledRule>, key: &Key) -> Slot {
        let version = Version { rule: rule.id.clone(), generation: rule.generation };
        if let Some(slot) = self.slots.get(&version).and_then(|keys| keys.get(key)).copied() {
            match self.holders.get(&slot) {
                Some(h) if Arc::ptr_eq(&h.rule, rule) || h.rule.detection == rule.detection => return slot,
                _ => self.remove(slot),
            }
        }
        let slot = self.next_slot;
        self.next_slot += 1;
        self.slots.entry(version).or_default().insert(key.clone(), slot);
        let state = match Plan::of(&rule.detection) {
            None => State::Reported(BTreeMap::new()),
            Some(_) => State::Window(Window::default()),
        };
        let deadline = Timestamp::MAX;
        self.holders.insert(slot, Holder { rule: rule.clone(), key: key.clone(), state, deadline });
        self.deadlines.insert((deadline, slot));
        self.counters.keys += 1;
        slot
    }

    /// Brings the deadline of `slot` up to date, and removes it when nothing is left in it.
    fn settle(&mut self, slot: Slot, lateness: SignedDuration) {
        let Some(holder) = self.holders.get_mut(&slot) else { return };
        let Some(oldest) = holder.state.oldest() else { return self.remove(slot) };
        let deadline = plus(plus(oldest, holder.within()), lateness);
        if deadline != holder.deadline {
            self.deadlines.remove(&(holder.deadline, slot));
            self.deadlines.insert((deadline, slot));
            holder.deadline = deadline;
        }
    }

    fn remove(&mut self, slot: Slot) {
        let Some(holder) = self.holders.remove(&slot) else { return };
        self.deadlines.remove(&(holder.deadline, slot));
        self.counters.entries -= holder.state.len() as u64;
        self.counters.keys -= 1;
        let version = Version { rule: holder.rule.id.clone(), generation: holder.rule.generation };
        if let Some(keys) = self.slots.get_mut(&version) {
            keys.remove(&holder.key);
            if keys.is_empty() {
                self.slots.remove(&version);
            }
        }
    }

    /// Drops one entry: the oldest of the state that would expire first. False when there is none.
    fn evict(&mut self) -> bool {
        let Some((_, slot)) = self.deadlines.first().copied() else { return false };
        let lateness = self.limits.lateness.unwrap_or_default();
        let dropped = self.holders.get_mut(&slot).is_some_and(Holder::drop_oldest);
        if dropped {
            self.counters.entries -= 1;
            self.counters.evicted += 1;
        }
        self.settle(slot, lateness);
        dropped
    }

    /// Receipt has come to `received`: drops what only an event later than lateness allows could still join.
    pub fn expire(&mut self, received: Timestamp) {
        self.received = self.received.max(received);
        let Some(lateness) = self.limits.lateness else { return };
        while let Some((_, slot)) = self.deadlines.first().copied().filter(|(d, _)| *d < self.received) {
            let Some(holder) = self.holders.get_mut(&slot) else { return };
            let horizon = minus(minus(self.received, lateness), holder.within());
            while holder.state.oldest().is_some_and(|at| at < horizon) && holder.drop_oldest() {
                self.counters.entries -= 1;
                self.counters.expired += 1;
            }
            self.settle(slot, lateness);
        }
    }

    /// Drops the state of every rule and generation that `keep` refuses. The state of the others stays as it is.
    pub fn retain_rules(&mut self, keep: impl Fn(&RuleId, i64) -> bool) {
        let gone: Vec<Slot> =
            self.holders.iter().filter(|(_, h)| !keep(&h.rule.id, h.rule.generation)).map(|(slot, _)| *slot).collect();
        for slot in gone {
            self.remove(slot);
        }
    }
}

impl Holder {
    fn within(&self) -> SignedDuration {
        match &self.rule.detection {
            crate::ruleset::CompiledDetection::Match => SignedDuration::ZERO,
            crate::ruleset::CompiledDetection::Threshold { within, .. }
            | crate::ruleset::CompiledDetection::Sequence { within, .. } => *within,
        }
    }

    fn drop_oldest(&mut self) -> bool {
        match (&mut self.state, Plan::of(&self.rule.detection)) {
            (State::Window(window), Some(plan)) => window.drop_oldest(plan),
            (State::Reported(events), _) => events.pop_first().is_some(),
            (State::Window(_), None) => false,
        }
    }
}

impl State {
    fn len(&self) -> usize {
        match self {
            State::Reported(events) => events.len(),
            State::Window(window) => window.len(),
        }
    }

    fn oldest(&self) -> Option<Timestamp> {
        match self {
            State::Reported(events) => events.first_key_value().map(|(stamp, _)| stamp.at),
            State::Window(window) => window.oldest(),
        }
    }

    /// None when the event adds nothing.
    fn step(&mut self, rule: &CompiledRule, arrival: Arrival) -> Option<Vec<window::Completion>> {
        match (self, Plan::of(&rule.detection)) {
            (State::Window(window), Some(plan)) => window.step(plan, arrival),
            (State::Reported(events), _) => {
                let reported = events.entry(Stamp::of(&arrival.evidence)).or_default();
                let (new, added) = (*reported == 0, arrival.selectors & !*reported);
                *reported |= added;
                let contributing = arrival.contributions(added);
                (added != 0).then(|| vec![window::Completion { completing: arrival.evidence, new, contributing }])
            }
            (State::Window(_), None) => None,
        }
    }
}

/// Joins the matches of one event that go to the same rule and key.
fn by_rule_and_key(matches: Vec<Match>) -> Vec<(Arc<CompiledRule>, Key, Arrival)> {
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
