//! The matches of one rule and key that may still take part in a finding. In: one event's matches. Out: what it
//! completes, and what thereby takes part. Every answer depends only on the set of events, never on their arrival.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    distinct::Distinct,
    entry::Entry,
    held::Held,
    lanes::Lanes,
    plan::{Plan, Selectors, steps_of},
    stamp::{Stamp, minus, plus, second_before},
    texts::TextNo,
};
use crate::{detect::Evidence, event::Precision};

/// What one event says to one rule and key.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub evidence: Arc<Evidence>,
    pub selectors: Selectors,
    pub distinct: Option<Arc<str>>,
}

/// A finding without the rule, the key and the words, which the holder of the window knows.
#[derive(Debug, Clone)]
pub struct Completion {
    pub completing: Entry,
    pub new: bool,
    /// Events with the selectors that they were not yet told for.
    pub contributing: Vec<(Entry, Selectors)>,
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
    /// How many entries happened more than once.
    repeated: usize,
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

    /// In order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().copied()
    }

    /// The window of entries that are in order.
    pub fn of(plan: Plan<'_>, entries: impl Iterator<Item = Entry>) -> Window {
        let mut window = Window { entries: entries.collect(), ..Window::default() };
        for place in 0..window.entries.len() {
            window.count(place);
            window.index(plan, place);
        }
        window
    }

    /// Takes one event in, with selectors of the plan. None when that changes nothing: a redelivery. `text` is called when
    /// the event is new.
    pub fn step(&mut self, plan: Plan<'_>, entry: Entry, text: impl FnOnce() -> TextNo) -> Option<Vec<Completion>> {
        let place = self.insert(plan, entry, text)?;
        let stamp = entry.stamp;
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
    fn insert(&mut self, plan: Plan<'_>, entry: Entry, text: impl FnOnce() -> TextNo) -> Option<usize> {
        let stamp = entry.stamp;
        let place = self.entries.partition_point(|e| e.stamp < stamp);
        let known = self.entries.get(place).filter(|e| e.stamp == stamp).map_or(0, |e| e.selectors);
        if entry.selectors & !known == 0 {
            return None;
        }
        if known == 0 {
            self.entries.insert(place, Entry { text: text(), ..entry });
            self.count(place);
        } else {
            self.entries[place].selectors |= entry.selectors;
            if let Plan::Sequence { steps, .. } = plan {
                self.lanes.remove(&stamp, steps_of(steps, known));
            }
        }
        self.index(plan, place);
        Some(place)
    }

    /// A new entry is at `place`.
    fn count(&mut self, place: usize) {
        self.coarse += usize::from(self.entries[place].stamp.precision == Precision::Second);
        self.repeated += usize::from(self.entries[place].times > 1);
    }

    /// Enters the event at `place` into the indices.
    fn index(&mut self, plan: Plan<'_>, place: usize) {
        let Entry { stamp, selectors, told, done, value, times, .. } = self.entries[place];
        match plan {
            Plan::Threshold { distinct: true, .. } => self.values.insert(stamp, value),
            Plan::Threshold { distinct: false, .. } => {}
            Plan::Sequence { steps, .. } => self.lanes.insert(stamp, steps_of(steps, selectors), times),
        }
        if selectors & !told != 0 {
            self.fresh.insert(stamp);
        }
        if done {
            self.done.insert(stamp);
        } else if plan.may_complete(selectors) {
            self.pending.insert(stamp);
        }
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
            Plan::Threshold { count, distinct: false, within, .. }
                if self.repeated == 0 || place + 1 == self.entries.len() =>
            {
                affected().filter(|c| self.counts_to(count, within, c)).copied().collect()
            }
            Plan::Threshold { count, distinct: false, within, .. } => {
                self.slide(place, count, within, Held::Matches(0))
            }
            Plan::Threshold { count, within, .. } if place + 1 == self.entries.len() => {
                let reached = self.values.reach(count, minus(stamp.at, within));
                affected().filter(|_| reached).copied().collect()
            }
            Plan::Threshold { count, within, .. } => self.slide(place, count, within, Held::of_values()),
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

    /// True when at least `count` matches are in the window that ends at `last`.
    fn counts_to(&self, count: usize, within: SignedDuration, last: &Stamp) -> bool {
        let (upto, lower) = (self.entries.partition_point(|e| e.stamp <= *last), minus(last.at, within));
        if self.repeated == 0 {
            let first = upto.checked_sub(count.max(1)).and_then(|i| self.entries.get(i));
            return first.is_some_and(|e| e.stamp.at >= lower);
        }
        let mut held = 0;
        self.entries.range(..upto).rev().take_while(|e| e.stamp.at >= lower).any(|e| {
            held += e.times as usize;
            held >= count
        })
    }

    /// Slides over the windows that hold the event at `place`, counting what they hold: one pass for a late event.
    fn slide(&self, place: usize, count: usize, within: SignedDuration, mut held: Held) -> Vec<Stamp> {
        let until = plus(self.entries[place].stamp.at, within);
        let mut first = self.entries.partition_point(|e| e.stamp.at < minus(self.entries[place].stamp.at, within));
        let mut completed = Vec::new();
        for (i, entry) in self.entries.iter().enumerate().skip(first).take_while(|(_, e)| e.stamp.at <= until) {
            held.add(entry);
            while let Some(old) = self.entries.get(first).filter(|e| e.stamp.at < minus(entry.stamp.at, within)) {
                held.remove(old);
                first += 1;
            }
            if i >= place && held.count() >= count && self.pending.contains(&entry.stamp) {
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
        let entry = self.entry_mut(completing)?;
        entry.done = true;
        let completing = *entry;
        let contributing = joined.iter().filter_map(|s| self.tell(s)).collect();
        Some(Completion { completing, new: true, contributing })
    }

    /// `stamp` takes part in the finding at `completing`, which is reported already.
    fn extend(&mut self, completing: &Stamp, stamp: &Stamp) -> Option<Completion> {
        let contributing = self.tell(stamp).into_iter().collect();
        let completing = *self.entry_mut(completing)?;
        Some(Completion { completing, new: false, contributing })
    }

    fn entry_mut(&mut self, stamp: &Stamp) -> Option<&mut Entry> {
        let place = self.entries.binary_search_by(|e| e.stamp.cmp(stamp)).ok()?;
        self.entries.get_mut(place)
    }

    /// What of the event was not yet told as contributing. Its text has then served its time.
    fn tell(&mut self, stamp: &Stamp) -> Option<(Entry, Selectors)> {
        self.fresh.remove(stamp);
        let entry = self.entry_mut(stamp)?;
        let told = *entry;
        entry.told = entry.selectors;
        entry.text = TextNo::NONE;
        Some((told, told.selectors & !told.told))
    }

    /// Drops the oldest event.
    pub fn drop_oldest(&mut self, plan: Plan<'_>) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.pending.remove(&entry.stamp);
        self.done.remove(&entry.stamp);
        self.fresh.remove(&entry.stamp);
        self.coarse -= usize::from(entry.stamp.precision == Precision::Second);
        self.repeated -= usize::from(entry.times > 1);
        match plan {
            Plan::Threshold { .. } => self.values.remove_oldest(&entry.stamp),
            Plan::Sequence { steps, .. } => self.lanes.remove(&entry.stamp, steps_of(steps, entry.selectors)),
        }
        Some(entry)
    }
}
