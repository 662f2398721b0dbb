//! The state of Match, Threshold and Sequence rules, one `Holder` for each rule and key.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Finding,
    accounts::{Accounts, Loss, RuleNo},
    holder::{self, Holder, StatePart},
    stamp::{minus, plus},
    state::{Desk, Place, State},
    window::Arrival,
};
use crate::{detect::Key, ruleset::CompiledRule};

/// Names a `Holder`.
type Slot = u64;

#[derive(Debug, Default)]
pub struct Windows {
    slots: HashMap<RuleNo, HashMap<Key, Slot>>,
    holders: HashMap<Slot, (RuleNo, Holder)>,
    /// Soonest first: what to expire.
    deadlines: BTreeSet<(Timestamp, Slot)>,
    /// What to evict of a rule.
    cheapest: BTreeSet<(RuleNo, Timestamp, Slot)>,
    next_slot: Slot,
    lateness: SignedDuration,
}

impl State for Windows {
    fn arrive(&mut self, place: Place<'_>, arrival: Arrival, desk: &mut Desk<'_>, findings: &mut Vec<Finding>) {
        let Place { number, rule, key } = place;
        self.lateness = desk.limits.lateness.unwrap_or_default();
        let slot = self.slot(place, desk.accounts);
        let Some((_, holder)) = self.holders.get_mut(&slot) else { return };
        let late = |l| holder.has_window() && arrival.evidence.at < minus(desk.received, l);
        if desk.limits.lateness.is_some_and(late) {
            desk.accounts.counters.late += 1;
        }
        let before = holder.state.len();
        match holder.state.step(rule, arrival) {
            Some(completions) => findings.extend(completions.into_iter().map(|c| Finding {
                rule: rule.clone(),
                key: key.clone(),
                completing: c.completing,
                new: c.new,
                contributing: c.contributing,
            })),
            None => desk.accounts.counters.repeated += 1,
        }
        (before..holder.state.len()).for_each(|_| desk.accounts.kept(number));
        while holder.state.len() > desk.limits.max_entries_per_key.max(1) && holder.drop_oldest() {
            desk.accounts.lost(number, 1, Loss::FullKey);
        }
        self.settle(slot, desk.accounts);
    }

    fn expire(&mut self, desk: &mut Desk<'_>) {
        let Some(lateness) = desk.limits.lateness else { return };
        while let Some((_, slot)) = self.deadlines.first().copied().filter(|(d, _)| *d < desk.received) {
            let Some((number, holder)) = self.holders.get_mut(&slot) else { return };
            let horizon = minus(minus(desk.received, lateness), holder.within());
            while holder.state.oldest().is_some_and(|at| at < horizon) && holder.drop_oldest() {
                desk.accounts.lost(*number, 1, Loss::Expired);
            }
            self.settle(slot, desk.accounts);
        }
    }

    fn evict(&mut self, rule: RuleNo, accounts: &mut Accounts) -> bool {
        let first = self.cheapest.range((rule, Timestamp::MIN, 0)..).next().copied();
        let Some((_, _, slot)) = first.filter(|(of, ..)| *of == rule) else { return false };
        let dropped = self.holders.get_mut(&slot).is_some_and(|(_, holder)| holder.drop_oldest());
        if dropped {
            accounts.lost(rule, 1, Loss::Evicted);
        }
        self.settle(slot, accounts);
        dropped
    }

    fn forget(&mut self, rule: RuleNo, accounts: &mut Accounts) {
        let gone: Vec<Slot> = self.slots.get(&rule).into_iter().flat_map(HashMap::values).copied().collect();
        for slot in gone {
            self.remove(slot, accounts);
        }
    }
}

impl Windows {
    /// All of it as it is now.
    pub fn keep(&self) -> Vec<(Arc<CompiledRule>, Key, holder::State)> {
        self.holders.values().map(|(_, h)| (h.rule.clone(), h.key.clone(), h.state.clone())).collect()
    }

    /// Takes in the state of a rule and key. None when the rule detects otherwise.
    pub fn put(&mut self, place: Place<'_>, state: StatePart, accounts: &mut Accounts) -> Option<()> {
        let state = holder::State::of_part(state, place.rule)?;
        let slot = self.slot(place, accounts);
        let (_, holder) = self.holders.get_mut(&slot)?;
        holder.state = state;
        (0..holder.state.len()).for_each(|_| accounts.kept(place.number));
        self.settle(slot, accounts);
        Some(())
    }

    /// The slot of a rule and key.
    fn slot(&mut self, place: Place<'_>, accounts: &mut Accounts) -> Slot {
        if let Some(slot) = self.slots.get(&place.number).and_then(|keys| keys.get(place.key)).copied() {
            return slot;
        }
        let slot = self.next_slot;
        self.next_slot += 1;
        self.slots.entry(place.number).or_default().insert(place.key.clone(), slot);
        let holder = Holder::new(place.rule.clone(), place.key.clone());
        self.deadlines.insert((holder.deadline, slot));
        self.cheapest.insert((place.number, holder.deadline, slot));
        self.holders.insert(slot, (place.number, holder));
        accounts.counters.keys += 1;
        slot
    }

    /// Brings the deadline of `slot` up to date, and removes it when nothing is left in it.
    fn settle(&mut self, slot: Slot, accounts: &mut Accounts) {
        let Some((number, holder)) = self.holders.get_mut(&slot) else { return };
        let Some(oldest) = holder.state.oldest() else { return self.remove(slot, accounts) };
        let deadline = plus(plus(oldest, holder.within()), self.lateness);
        if deadline != holder.deadline {
            self.deadlines.remove(&(holder.deadline, slot));
            self.deadlines.insert((deadline, slot));
            self.cheapest.remove(&(*number, holder.deadline, slot));
            self.cheapest.insert((*number, deadline, slot));
            holder.deadline = deadline;
        }
    }

    fn remove(&mut self, slot: Slot, accounts: &mut Accounts) {
        let Some((number, holder)) = self.holders.remove(&slot) else { return };
        self.deadlines.remove(&(holder.deadline, slot));
        self.cheapest.remove(&(number, holder.deadline, slot));
        accounts.lost(number, holder.state.len() as u64, Loss::Forgotten);
        accounts.counters.keys -= 1;
        if let Some(keys) = self.slots.get_mut(&number) {
            keys.remove(&holder.key);
            if keys.is_empty() {
                self.slots.remove(&number);
            }
        }
    }
}
