//! What did not come: the state of one key of an Absence rule. Each event after which another is expected waits for it until
//! its deadline; what answers it in time, in whatever order the two came, lets it go for good. Without `after` each
//! expected event waits for the next one. In: events, and up to where time has passed. Out: the deadlines that were missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Contribution,
    plan::bit,
    stamp::{Stamp, plus, second_before},
    waits::{Decided, WITH_WORDS},
    window::Arrival,
};
use crate::detect::Evidence;

/// The detection's parameters; selectors by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    pub expected: usize,
    /// None: the expected one is expected again and again.
    pub after: Option<usize>,
    pub within: SignedDuration,
}

/// Up to where time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// Nothing before this comes any more.
    Before(Timestamp),
    /// Nothing comes any more, and time ended here.
    End(Timestamp),
}

#[derive(Debug, Clone, Default)]
pub struct Absence {
    /// Not answered yet, by the last moment at which an answer counts.
    waiting: BTreeMap<(Timestamp, Stamp), Arc<Evidence>>,
    /// Expected events, for what comes later than they and happened before. Those between two others no further apart than
    /// `within` are left out: what they answer, one of the others does.
    answers: BTreeSet<Stamp>,
}

impl Expectation {
    /// Where an event waits: an answer may be in its last second when it is stamped in whole seconds.
    fn closes(&self, stamp: &Stamp) -> Timestamp {
        plus(stamp.latest(), self.within)
    }

    /// True when `answer` is what was expected after `asked`.
    fn is_met(&self, asked: &Stamp, answer: &Stamp) -> bool {
        let follows = match self.after {
            Some(_) => asked != answer && asked.may_precede(answer),
            None => asked < answer,
        };
        follows && answer.at <= self.closes(asked)
    }

    /// True when nothing depends on `middle` while the two others are there.
    fn is_spare(&self, before: &Stamp, middle: &Stamp, behind: &Stamp) -> bool {
        behind.at <= plus(before.at, self.within) && middle.latest() < behind.at
    }
}

impl Absence {
    /// What it holds, in entries.
    pub fn weight(&self) -> usize {
        self.waiting.len() * WITH_WORDS + self.answers.len()
    }

    /// False when the event changes nothing.
    pub fn arrive(&mut self, expectation: &Expectation, arrival: Arrival) -> bool {
        let stamp = Stamp::of(&arrival.evidence);
        let answers = arrival.selectors & bit(expectation.expected) != 0;
        let asks = arrival.selectors & bit(expectation.after.unwrap_or(expectation.expected)) != 0;
        let mut changed = answers && self.answer(expectation, stamp);
        if asks && !self.is_answered(expectation, &stamp) {
            let place = (expectation.closes(&stamp), stamp);
            changed |= self.waiting.insert(place, arrival.evidence).is_none();
        }
        changed
    }

    /// Lets go what `answer` answers, and remembers it. False when it was known.
    fn answer(&mut self, expectation: &Expectation, answer: Stamp) -> bool {
        let last = plus(expectation.closes(&answer), SignedDuration::from_secs(1));
        let met: Vec<_> = self
            .waiting
            .range((answer.at, Stamp::floor(Timestamp::MIN))..)
            .map(|(place, _)| *place)
            .take_while(|(closes, _)| *closes <= last)
            .filter(|(_, asked)| expectation.is_met(asked, &answer))
            .collect();
        met.iter().for_each(|place| drop(self.waiting.remove(place)));
        if !self.answers.insert(answer) {
            return !met.is_empty();
        }
        let before: Vec<Stamp> = self.answers.range(..answer).rev().take(2).copied().collect();
        let behind: Vec<Stamp> = self.answers.range(answer..).skip(1).take(2).copied().collect();
        let mut kept = [before.get(1), before.first(), Some(&answer), behind.first(), behind.get(1)];
        for middle in [2, 1, 3] {
            let neighbours = (kept[..middle].iter().rev().flatten().next(), kept[middle + 1..].iter().flatten().next());
            if let (Some(before), Some(spare), Some(behind)) = (neighbours.0, kept[middle], neighbours.1)
                && expectation.is_spare(before, spare, behind)
            {
                self.answers.remove(spare);
                kept[middle] = None;
            }
        }
        kept[2].is_some() || !met.is_empty()
    }

    fn is_answered(&self, expectation: &Expectation, asked: &Stamp) -> bool {
        self.answers
            .range(Stamp::floor(second_before(asked.at))..)
            .take_while(|answer| answer.at <= expectation.closes(asked))
            .any(|answer| expectation.is_met(asked, answer))
    }

    /// When something has to be decided, or can be forgotten. None when nothing is held.
    pub fn due(&self) -> Option<Timestamp> {
        let forgettable = self.answers.first().map(Stamp::latest);
        self.waiting.first_key_value().map(|((closes, _), _)| *closes).or(forgettable)
    }

    /// Decides what time has passed over. Each finding completes at its deadline and consists of what waited.
    pub fn decide(&mut self, expectation: &Expectation, passed: Passed) -> Vec<Decided> {
        let due: Vec<(Timestamp, Stamp)> = match passed {
            Passed::Before(horizon) => {
                self.waiting.keys().take_while(|(closes, _)| *closes < horizon).copied().collect()
            }
            Passed::End(until) => {
                let is_over = |(_, asked): &&(Timestamp, Stamp)| plus(asked.at, expectation.within) <= until;
                self.waiting.keys().filter(is_over).copied().collect()
            }
        };
        let missed = |place: (Timestamp, Stamp)| {
            let evidence = self.waiting.remove(&place)?;
            Some(decided(expectation, &place.1, evidence))
        };
        let missed = due.into_iter().filter_map(missed).collect();
        if let Passed::Before(horizon) = passed {
            while self.answers.first().is_some_and(|answer| answer.latest() < horizon) {
                self.answers.pop_first();
            }
        }
        missed
    }

    /// Drops the oldest of what there is more of. False when there is nothing.
    pub fn drop_oldest(&mut self) -> bool {
        match self.waiting.len() * WITH_WORDS < self.answers.len() {
            true => self.answers.pop_first().is_some(),
            false => self.waiting.pop_first().is_some(),
        }
    }
}

fn decided(expectation: &Expectation, asked: &Stamp, evidence: Arc<Evidence>) -> Decided {
    let deadline = Evidence { at: plus(asked.at, expectation.within), ..(*evidence).clone() };
    let selector = expectation.after.unwrap_or(expectation.expected);
    Decided { completing: Arc::new(deadline), contributing: vec![Contribution { selector, evidence }] }
}
