//! The holder of all correlation state: routes matches to the state of their rule and key, and keeps that state bounded.
//! In: the matches of one event, and how far receipt has come. Out: findings. What it drops, it counts.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Counters, Finding, Limits,
    holder::{Holder, by_rule_and_key},
    stamp::{minus, plus},
    window::Arrival,
};
use crate::{
    detect::{Key, Match},
    record::RuleId,
    ruleset::CompiledRule,
};

/// One accepted version of a rule. Another generation starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    rule: RuleId,
    generation: i64,
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
            self.arrive(rule, key, arrival, &mut findings);
        }
        while self.counters.entries > self.limits.max_entries as u64 && self.evict() {}
        findings
    }

    fn arrive(&mut self, rule: Arc<CompiledRule>, key: Key, arrival: Arrival, findings: &mut Vec<Finding>) {
        let slot = self.slot(&rule, &key);
        let lateness = self.limits.lateness.unwrap_or_default();
        let Some(holder) = self.holders.get_mut(&slot) else { return };
        if self.limits.lateness.is_some_and(|l| holder.has_window() && arrival.evidence.at < minus(self.received, l)) {
            self.counters.late += 1;
        }
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
        let holder = Holder::new(rule.clone(), key.clone());
        self.deadlines.insert((holder.deadline, slot));
        self.holders.insert(slot, holder);
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
