//! What was not there before: the state of one key of a NewValue rule. Events wait until time has passed over them, and are
//! then taken in order: each is compared with the values that the key has shown for `forgetAfter` before it. In: events, and
//! up to where time has passed. Out: the events with a new value, and what was known then.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    absence::Passed,
    plan::Selectors,
    stamp::{Stamp, minus, plus},
    window::{Arrival, Completion},
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

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    value: Arc<str>,
    selectors: Selectors,
    evidence: Arc<Evidence>,
}

#[derive(Debug, Clone, Default)]
pub struct NewValue {
    /// Events that time has not passed over. Of one value, those between two others no further apart than `forgetAfter`
    /// are left out: they are not new, and whatever they make known, the others do.
    pending: BTreeMap<Stamp, Pending>,
    by_value: BTreeSet<(Arc<str>, Stamp)>,
    /// First and newest event since the key was last forgotten, of those that time has passed over.
    run: Option<(Timestamp, Timestamp)>,
    /// When each value was seen last.
    known: HashMap<Arc<str>, Timestamp>,
    by_age: BTreeSet<(Timestamp, Arc<str>)>,
}

/// A `NewValue` as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewValuePart {
    pending: Vec<Pending>,
    run: Option<(Timestamp, Timestamp)>,
    known: Vec<(Arc<str>, Timestamp)>,
}

impl NewValue {
    pub fn part(&self) -> NewValuePart {
        NewValuePart {
            pending: self.pending.values().cloned().collect(),
            run: self.run,
            known: self.by_age.iter().map(|(seen, value)| (value.clone(), *seen)).collect(),
        }
    }

    pub fn of_part(part: NewValuePart) -> NewValue {
        let pending = part.pending.into_iter().map(|pending| (Stamp::of(&pending.evidence), pending));
        let pending: BTreeMap<Stamp, Pending> = pending.collect();
        NewValue {
            by_value: pending.iter().map(|(stamp, pending)| (pending.value.clone(), *stamp)).collect(),
            pending,
            run: part.run,
            by_age: part.known.iter().map(|(value, seen)| (*seen, value.clone())).collect(),
            known: part.known.into_iter().collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.pending.len() + self.known.len()
    }

    /// False when the event changes nothing.
    pub fn arrive(&mut self, learning: &Learning, arrival: Arrival) -> bool {
        let Some(value) = arrival.distinct else { return false };
        let stamp = Stamp::of(&arrival.evidence);
        if self.pending.contains_key(&stamp) {
            return false;
        }
        let pending = Pending { value: value.clone(), selectors: arrival.selectors, evidence: arrival.evidence };
        self.pending.insert(stamp, pending);
        self.by_value.insert((value.clone(), stamp));
        // The one that came, then its neighbours, which may have become spare by it.
        let neighbours = [Some(stamp), self.before(&value, &stamp), self.behind(&value, &stamp)];
        let spare: Vec<bool> = neighbours.iter().flatten().map(|s| self.drop_if_spare(learning, &value, s)).collect();
        spare.first() == Some(&false)
    }

    fn before(&self, value: &Arc<str>, stamp: &Stamp) -> Option<Stamp> {
        let first = (value.clone(), Stamp::floor(Timestamp::MIN));
        self.by_value.range(first..(value.clone(), *stamp)).next_back().map(|(_, stamp)| *stamp)
    }

    fn behind(&self, value: &Arc<str>, stamp: &Stamp) -> Option<Stamp> {
        let mut behind = self.by_value.range((value.clone(), *stamp)..).filter(|(_, s)| s != stamp);
        behind.next().filter(|(v, _)| v == value).map(|(_, stamp)| *stamp)
    }

    fn drop_if_spare(&mut self, learning: &Learning, value: &Arc<str>, stamp: &Stamp) -> bool {
        let before = self.before(value, stamp).map(|s| s.at).or(self.known.get(value).copied());
        let (Some(before), Some(behind)) = (before, self.behind(value, stamp)) else { return false };
        let spare = behind.at <= plus(before, learning.forget_after);
        if spare {
            self.take(stamp);
        }
        spare
    }

    fn take(&mut self, stamp: &Stamp) -> Option<Pending> {
        let pending = self.pending.remove(stamp)?;
        self.by_value.remove(&(pending.value.clone(), *stamp));
        Some(pending)
    }

    /// When something has to be decided, or can be forgotten. None when nothing is held.
    pub fn due(&self, learning: &Learning) -> Option<Timestamp> {
        let pending = self.pending.keys().next().map(|stamp| stamp.at);
        pending.or(self.run.map(|(_, newest)| plus(newest, learning.forget_after)))
    }

    /// Decides what time has passed over; at the end, all.
    pub fn decide(&mut self, learning: &Learning, passed: Passed) -> Vec<Completion> {
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
    fn see(&mut self, learning: &Learning, at: Timestamp, event: Pending) -> Option<Completion> {
        self.forget(minus(at, learning.forget_after));
        let since = match self.run {
            Some((since, newest)) if at <= plus(newest, learning.forget_after) => since,
            _ => at,
        };
        self.run = Some((since, at));
        let known = self.known.len();
        let Pending { value, selectors, evidence } = event;
        let last = self.known.insert(value.clone(), at);
        if let Some(last) = last {
            self.by_age.remove(&(last, value.clone()));
        }
        self.by_age.insert((at, value.clone()));
        let learned = plus(since, learning.learn_for) <= at;
        (last.is_none() && learned).then(|| completion(evidence, selectors, &value, known, since))
    }

    /// Drops the value that was not seen for longest. False when nothing is held.
    pub fn drop_oldest(&mut self) -> bool {
        if let Some((_, value)) = self.by_age.pop_first() {
            return self.known.remove(&value).is_some();
        }
        let first = self.pending.keys().next().copied();
        first.and_then(|stamp| self.take(&stamp)).is_some()
    }
}

/// The event, with what the summary may say of it.
fn completion(
    evidence: Arc<Evidence>,
    selectors: Selectors,
    value: &str,
    known: usize,
    since: Timestamp,
) -> Completion {
    let mut evidence = (*evidence).clone();
    let learned = [(NEW_VALUE, value.to_owned()), (NEW_KNOWN, known.to_string()), (NEW_SINCE, since.to_string())];
    evidence.captures.extend(learned);
    let completing = Arc::new(evidence);
    let contributing = Arrival { evidence: completing.clone(), selectors, distinct: None }.contributions(selectors);
    Completion { completing, new: true, contributing }
}
