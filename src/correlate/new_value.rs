//! What was not there before: the state of one key of a NewValue rule. Events wait until time has passed over them, and are
//! then taken in order: each is compared with the values that the key has shown for `forgetAfter` before it. In: events, and
//! up to where time has passed. Out: the events with a new value, and what was known then.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Contribution,
    absence::Passed,
    entry::{Digest128, digest},
    plan::{Selectors, indices},
    stamp::{Stamp, minus, plus},
    waits::{Decided, WITH_WORDS},
    window::Arrival,
};
use crate::{
    detect::Evidence,
    ruleset::template::{NEW_KNOWN, NEW_SINCE, NEW_VALUE},
};

/// The detection's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learning {
    pub learn_for: SignedDuration,
    pub forget_after: SignedDuration,
}

#[derive(Debug, Clone)]
struct Pending {
    text: Arc<str>,
    value: Digest128,
    selectors: Selectors,
    evidence: Arc<Evidence>,
}

#[derive(Debug, Clone, Default)]
pub struct NewValue {
    /// Events that time has not passed over. Of one value, those between two others no further apart than `forgetAfter`
    /// are left out: they are not new, and whatever they make known, the others do.
    pending: BTreeMap<Stamp, Pending>,
    by_value: BTreeSet<(Digest128, Stamp)>,
    /// First and newest event since the key was last forgotten, of those that time has passed over.
    run: Option<(Timestamp, Timestamp)>,
    /// When each value was seen last.
    known: HashMap<Digest128, Timestamp>,
    by_age: BTreeSet<(Timestamp, Digest128)>,
}

impl NewValue {
    /// What it holds, in entries.
    pub fn weight(&self) -> usize {
        self.pending.len() * WITH_WORDS + self.known.len()
    }

    /// False when the event changes nothing.
    pub fn arrive(&mut self, learning: &Learning, arrival: Arrival) -> bool {
        let Some(text) = arrival.distinct else { return false };
        let value = digest([&*text]);
        let stamp = Stamp::of(&arrival.evidence);
        if self.pending.contains_key(&stamp) {
            return false;
        }
        let pending = Pending { text, value, selectors: arrival.selectors, evidence: arrival.evidence };
        self.pending.insert(stamp, pending);
        self.by_value.insert((value, stamp));
        // The one that came, then its neighbours, which may have become spare by it.
        let neighbours = [Some(stamp), self.before(value, &stamp), self.behind(value, &stamp)];
        let spare: Vec<bool> = neighbours.iter().flatten().map(|s| self.drop_if_spare(learning, value, s)).collect();
        spare.first() == Some(&false)
    }

    fn before(&self, value: Digest128, stamp: &Stamp) -> Option<Stamp> {
        let first = (value, Stamp::floor(Timestamp::MIN));
        self.by_value.range(first..(value, *stamp)).next_back().map(|(_, stamp)| *stamp)
    }

    fn behind(&self, value: Digest128, stamp: &Stamp) -> Option<Stamp> {
        let mut behind = self.by_value.range((value, *stamp)..).filter(|(_, s)| s != stamp);
        behind.next().filter(|(v, _)| *v == value).map(|(_, stamp)| *stamp)
    }

    fn drop_if_spare(&mut self, learning: &Learning, value: Digest128, stamp: &Stamp) -> bool {
        let before = self.before(value, stamp).map(|s| s.at).or(self.known.get(&value).copied());
        let (Some(before), Some(behind)) = (before, self.behind(value, stamp)) else { return false };
        let spare = behind.at <= plus(before, learning.forget_after);
        if spare {
            self.take(stamp);
        }
        spare
    }

    fn take(&mut self, stamp: &Stamp) -> Option<Pending> {
        let pending = self.pending.remove(stamp)?;
        self.by_value.remove(&(pending.value, *stamp));
        Some(pending)
    }

    /// When something has to be decided, or can be forgotten. None when nothing is held.
    pub fn due(&self, learning: &Learning) -> Option<Timestamp> {
        let pending = self.pending.keys().next().map(|stamp| stamp.at);
        pending.or(self.run.map(|(_, newest)| plus(newest, learning.forget_after)))
    }

    /// Decides what time has passed over; at the end, all.
    pub fn decide(&mut self, learning: &Learning, passed: Passed) -> Vec<Decided> {
        let horizon = match passed {
            Passed::Before(horizon) => horizon,
            Passed::End(_) => Timestamp::MAX,
        };
        let mut new = Vec::new();
        while let Some(stamp) = self.pending.keys().next().copied().filter(|stamp| stamp.at < horizon) {
            new.extend(self.take(&stamp).and_then(|pending| self.see(learning, stamp.at, pending)));
        }
        if let Passed::Before(horizon) = passed {
            self.forget(minus(horizon, learning.forget_after));
            let is_over = self.run.is_some_and(|(_, newest)| plus(newest, learning.forget_after) < horizon);
            if is_over && self.pending.is_empty() {
                self.run = None;
            }
        }
        new
    }

    /// Forgets the values that were seen last before `at`.
    fn forget(&mut self, at: Timestamp) {
        while let Some((seen, value)) = self.by_age.pop_first() {
            if seen >= at {
                self.by_age.insert((seen, value));
                return;
            }
            self.known.remove(&value);
        }
    }

    /// The next event in order.
    fn see(&mut self, learning: &Learning, at: Timestamp, event: Pending) -> Option<Decided> {
        self.forget(minus(at, learning.forget_after));
        let since = match self.run {
            Some((since, newest)) if at <= plus(newest, learning.forget_after) => since,
            _ => at,
        };
        self.run = Some((since, at));
        let known = self.known.len();
        let last = self.known.insert(event.value, at);
        if let Some(last) = last {
            self.by_age.remove(&(last, event.value));
        }
        self.by_age.insert((at, event.value));
        let learned = plus(since, learning.learn_for) <= at;
        (last.is_none() && learned).then(|| decided(event, known, since))
    }

    /// Drops the oldest of what there is more of: a flood of new values makes no known one new. False when there is nothing.
    pub fn drop_oldest(&mut self) -> bool {
        if self.pending.len() * WITH_WORDS < self.known.len() {
            return self.by_age.pop_first().is_some_and(|(_, value)| self.known.remove(&value).is_some());
        }
        let first = self.pending.keys().next().copied();
        first.and_then(|stamp| self.take(&stamp)).is_some()
    }
}

/// The event, with what the summary may say of it.
fn decided(event: Pending, known: usize, since: Timestamp) -> Decided {
    let mut evidence = (*event.evidence).clone();
    let learned = [(NEW_VALUE, event.text.to_string()), (NEW_KNOWN, known.to_string()), (NEW_SINCE, since.to_string())];
    evidence.captures.extend(learned);
    let completing = Arc::new(evidence);
    let contribution = |selector| Contribution { selector, evidence: completing.clone() };
    Decided { contributing: indices(event.selectors).map(contribution).collect(), completing }
}
