//! The matches of one rule and key that may still take part in a finding. In: one event's matches. Out: what it
//! completes, and what thereby takes part. Every answer depends only on the set of events, never on their arrival.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Contribution,
    distinct::Distinct,
    lanes::Lanes,
    plan::{Plan, Selectors, indices, steps_of},
    stamp::{Stamp, minus, plus, second_before},
};
use crate::detect::Evidence;

/// What one event says to one rule and key.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub evidence: Arc<Evidence>,
    pub selectors: Selectors,
    pub distinct: Option<Arc<str>>,
}

impl Arrival {
    pub fn contributions(&self, selectors: Selectors) -> Vec<Contribution> {
        contributions(&self.evidence, selectors).collect()
    }
}

fn contributions(evidence: &Arc<Evidence>, selectors: Selectors) -> impl Iterator<Item = Contribution> {
    indices(selectors).map(|selector| Contribution { selector, evidence: evidence.clone() })
}

/// A finding without the rule and key, which the holder of the window knows.
#[derive(Debug, Clone)]
pub struct Completion {
    pub completing: Arc<Evidence>,
    pub new: bool,
    pub contributing: Vec<Contribution>,
}

#[derive(Debug, Clone)]
struct Entry {
    stamp: Stamp,
    evidence: Arc<Evidence>,
    selectors: Selectors,
    /// Selectors for which a finding has named it as contributing.
    told: Selectors,
    distinct: Option<Arc<str>>,
}

/// An event of a window as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntryPart {
    evidence: Arc<Evidence>,
    selectors: Selectors,
    told: Selectors,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distinct: Option<Arc<str>>,
    /// It completed and was reported.
    done: bool,
}

/// `entries` are the state; the rest is indices over them.
#[derive(Debug, Clone, Default)]
pub struct Window {
    entries: VecDeque<Entry>,
    /// Could complete and have not.
    pending: BTreeSet<Stamp>,
    /// Completed and were reported.
    done: BTreeSet<Stamp>,
    /// Not told (fully) as contributing.
    fresh: BTreeSet<Stamp>,
    /// How many entries are stamped in whole seconds.
    coarse: usize,
    lanes: Lanes,
    values: Distinct,
}

impl Window {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        self.entries.front().map(|e| e.stamp.at)
    }

    /// All that it holds, oldest first.
    pub fn parts(&self) -> Vec<EntryPart> {
        let part = |entry: &Entry| EntryPart {
            evidence: entry.evidence.clone(),
            selectors: entry.selectors,
            told: entry.told,
            distinct: entry.distinct.clone(),
            done: self.done.contains(&entry.stamp),
        };
        self.entries.iter().map(part).collect()
    }

    /// The window that has these parts. A part that takes no part in `plan` is left out.
    pub fn of_parts(plan: Plan<'_>, parts: Vec<EntryPart>) -> Window {
        let mut window = Window::default();
        for EntryPart { evidence, selectors, told, distinct, done } in parts {
            let Some(place) = window.insert(plan, Arrival { evidence, selectors, distinct }) else { continue };
            let entry = &mut window.entries[place];
            entry.told = told & entry.selectors;
            let (stamp, all_told) = (entry.stamp, entry.told == entry.selectors);
            if all_told {
                window.fresh.remove(&stamp);
            }
            if done {
                window.pending.remove(&stamp);
                window.done.insert(stamp);
            }
        }
        window
    }

    /// Takes one event in. None when that changes nothing: a redelivery, or no selector that takes part.
    pub fn step(&mut self, plan: Plan<'_>, arrival: Arrival) -> Option<Vec<Completion>> {
        let place = self.insert(plan, arrival)?;
        let stamp = self.entries[place].stamp;
        let mut completions: Vec<Completion> =
            self.completed(plan, place).into_iter().filter_map(|c| self.complete(plan, &c)).collect();
        if self.fresh.contains(&stamp) {
            let joined = self
                .done
                .range(self.first_affected(plan, &stamp)..)
                .take_while(|c| c.at <= plus(stamp.at, plan.within()));
            if let Some(c) = joined.copied().find(|c| plan.reaches(c, &stamp)) {
                completions.extend(self.extend(&c, &stamp));
            }
        }
        Some(completions)
    }

    /// Puts the event at its place, or adds selectors to it when it is there.
    fn insert(&mut self, plan: Plan<'_>, arrival: Arrival) -> Option<usize> {
        if plan.counts_values() && arrival.distinct.is_none() {
            return None;
        }
        let selectors = arrival.selectors & plan.selectors();
        let stamp = Stamp::of(&arrival.evidence);
        let place = self.entries.partition_point(|e| e.stamp < stamp);
        let known = self.entries.get(place).filter(|e| e.stamp == stamp).map_or(0, |e| e.selectors);
        if selectors & !known == 0 {
            return None;
        }
        if known == 0 {
            let Arrival { evidence, distinct, .. } = arrival;
            self.entries.insert(place, Entry { stamp, evidence, selectors, told: 0, distinct });
            self.coarse += usize::from(stamp.latest() != stamp.at);
        } else {
            self.entries[place].selectors |= selectors;
        }
        let entry = &self.entries[place];
        match plan {
            Plan::Threshold { .. } => {
                if let Some(value) = &entry.distinct {
                    self.values.insert(stamp, value);
                }
            }
            Plan::Sequence { steps, .. } => {
                self.lanes.remove(&stamp, steps_of(steps, known));
                self.lanes.insert(stamp, steps_of(steps, entry.selectors));
            }
        }
        self.fresh.insert(stamp);
        if plan.may_complete(entry.selectors) && !self.done.contains(&stamp) {
            self.pending.insert(stamp);
        }
        Some(place)
    }

    /// The smallest stamp whose window may hold `stamp`.
    fn first_affected(&self, plan: Plan<'_>, stamp: &Stamp) -> Stamp {
        match plan.has_ties() {
            true if self.coarse > 0 => Stamp::floor(second_before(stamp.at)),
            true => Stamp::floor(stamp.at),
            false => *stamp,
        }
    }

    /// Pending events that are complete now that the event at `place` is there, in order.
    fn completed(&self, plan: Plan<'_>, place: usize) -> Vec<Stamp> {
        let stamp = self.entries[place].stamp;
        let affected = || {
            self.pending
                .range(self.first_affected(plan, &stamp)..)
                .take_while(|c| c.at <= plus(stamp.at, plan.within()))
                .filter(|c| plan.reaches(c, &stamp))
        };
        match plan {
            Plan::Threshold { count, distinct: false, within, .. } => {
                affected().filter(|c| self.counts_to(count, within, c)).copied().collect()
            }
            Plan::Threshold { count, within, .. } if place + 1 == self.entries.len() => {
                let reached = self.values.reach(count, minus(stamp.at, within));
                affected().filter(|_| reached).copied().collect()
            }
            Plan::Threshold { count, within, .. } => self.distinct_from(place, count, within),
            Plan::Sequence { steps, ordered, within } => {
                let counts: Vec<u32> = steps.iter().map(|s| s.count).collect();
                if !self.lanes.may_hold(&counts) {
                    return Vec::new();
                }
                let holds = |c: &&Stamp| match ordered {
                    true => self.lanes.hold_in_order(&counts, within, c),
                    false => self.lanes.hold_all(&counts, within, c),
                };
                affected().filter(holds).copied().collect()
            }
        }
    }

    /// True when at least `count` events are in the window that ends at `last`.
    fn counts_to(&self, count: usize, within: SignedDuration, last: &Stamp) -> bool {
        let upto = self.entries.partition_point(|e| e.stamp <= *last);
        let first = upto.checked_sub(count.max(1)).and_then(|i| self.entries.get(i));
        first.is_some_and(|e| e.stamp.at >= minus(last.at, within))
    }

    /// Slides over the windows that hold the event at `place`, counting distinct values: one pass for a late event.
    fn distinct_from(&self, place: usize, count: usize, within: SignedDuration) -> Vec<Stamp> {
        let until = plus(self.entries[place].stamp.at, within);
        let mut first = self.entries.partition_point(|e| e.stamp.at < minus(self.entries[place].stamp.at, within));
        let mut inside: HashMap<&str, u32> = HashMap::new();
        let mut completed = Vec::new();
        for (i, entry) in self.entries.iter().enumerate().skip(first).take_while(|(_, e)| e.stamp.at <= until) {
            if let Some(value) = &entry.distinct {
                *inside.entry(value).or_default() += 1;
            }
            while let Some(old) = self.entries.get(first).filter(|e| e.stamp.at < minus(entry.stamp.at, within)) {
                if let Some(value) = old.distinct.as_deref()
                    && let Some(n) = inside.get_mut(value)
                {
                    *n -= 1;
                    if *n == 0 {
                        inside.remove(value);
                    }
                }
                first += 1;
            }
            if i >= place && inside.len() >= count && self.pending.contains(&entry.stamp) {
                completed.push(entry.stamp);
            }
        }
        completed
    }

    /// Marks `completing` as reported and gathers what its window adds.
    fn complete(&mut self, plan: Plan<'_>, completing: &Stamp) -> Option<Completion> {
        self.pending.remove(completing);
        self.done.insert(*completing);
        let lower = Stamp::floor(minus(completing.at, plan.within()));
        let joined: Vec<Stamp> = self
            .fresh
            .range(lower..)
            .take_while(|s| s.at <= completing.latest())
            .filter(|s| plan.reaches(completing, s))
            .copied()
            .collect();
        let contributing = joined.iter().flat_map(|s| self.tell(s)).collect();
        let completing = self.entry(completing)?.evidence.clone();
        Some(Completion { completing, new: true, contributing })
    }

    /// `stamp` takes part in the finding at `completing`, which is reported already.
    fn extend(&mut self, completing: &Stamp, stamp: &Stamp) -> Option<Completion> {
        let contributing = self.tell(stamp);
        let completing = self.entry(completing)?.evidence.clone();
        Some(Completion { completing, new: false, contributing })
    }

    fn entry(&self, stamp: &Stamp) -> Option<&Entry> {
        self.entries.binary_search_by(|e| e.stamp.cmp(stamp)).ok().map(|i| &self.entries[i])
    }

    /// What of the event was not yet told as contributing.
    fn tell(&mut self, stamp: &Stamp) -> Vec<Contribution> {
        self.fresh.remove(stamp);
        let Ok(i) = self.entries.binary_search_by(|e| e.stamp.cmp(stamp)) else { return Vec::new() };
        let entry = &mut self.entries[i];
        let untold = entry.selectors & !entry.told;
        entry.told = entry.selectors;
        contributions(&entry.evidence, untold).collect()
    }

    /// Drops the oldest event.
    pub fn drop_oldest(&mut self, plan: Plan<'_>) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.pending.remove(&entry.stamp);
        self.done.remove(&entry.stamp);
        self.fresh.remove(&entry.stamp);
        self.coarse -= usize::from(entry.stamp.latest() != entry.stamp.at);
        match plan {
            Plan::Threshold { .. } => self.values.remove_oldest(&entry.stamp),
            Plan::Sequence { steps, .. } => self.lanes.remove(&entry.stamp, steps_of(steps, entry.selectors)),
        }
        true
    }
}
