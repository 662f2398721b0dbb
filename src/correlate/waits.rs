//! The state of Absence and NewValue rules: what waits until its sources' time has passed over it, so that it is decided
//! once and for good. Each key waits for the sources that it was seen by. In: events, the stamps of all sources, the
//! recorded clock. Out: findings.
//!
//! A key stands in the queue of one source, the one that is furthest behind; each source's queue stands, by its first key,
//! in one list of when to wake. So a record that decides nothing costs a look at the head of that list.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Contribution, Finding,
    absence::{Absence, AbsencePart, Expectation, Passed},
    accounts::{Accounts, Loss, RuleNo},
    new_value::{Learning, NewValue, NewValuePart},
    stamp::{Stamp, minus, plus},
    state::{Desk, Place, State},
    watermark::{SourceNo, Watermarks},
    window::Arrival,
};
use crate::{
    api::rule::Source,
    detect::{Evidence, Key},
    ruleset::CompiledDetection,
    shared::{Copied, Slab},
};

/// Sources of one key that are waited for. One seen by more waits for the first.
const MAX_SOURCES_OF_KEY: usize = 16;

/// Entries that an event counts for while its words are kept: about what they take more than a mere stamp or value does.
pub const WITH_WORDS: usize = 16;

/// What time has decided: a finding without its rule and key.
#[derive(Debug, Clone)]
pub struct Decided {
    pub completing: Arc<Evidence>,
    pub contributing: Vec<Contribution>,
}

/// Names a `Waiting`.
type Slot = u32;

#[derive(Debug, Clone)]
enum Detection {
    Absence(Expectation, Absence),
    NewValue(Learning, NewValue),
}

impl Detection {
    /// None for a rule that does not wait.
    fn of(detection: &CompiledDetection) -> Option<Detection> {
        match detection {
            CompiledDetection::Match | CompiledDetection::Threshold { .. } | CompiledDetection::Sequence { .. } => None,
            CompiledDetection::Absence { selector, after, within } => {
                let expectation = Expectation { expected: *selector, after: *after, within: *within };
                Some(Detection::Absence(expectation, Absence::default()))
            }
            CompiledDetection::NewValue { learn_for, forget_after } => {
                let learning = Learning { learn_for: *learn_for, forget_after: *forget_after };
                Some(Detection::NewValue(learning, NewValue::default()))
            }
        }
    }

    fn part(&self) -> DetectionPart {
        match self {
            Detection::Absence(_, state) => DetectionPart::Absence(state.part()),
            Detection::NewValue(_, state) => DetectionPart::NewValue(state.part()),
        }
    }

    /// Takes the state of a part. None when this detects otherwise.
    fn with(self, part: DetectionPart) -> Option<Detection> {
        match (self, part) {
            (Detection::Absence(expectation, _), DetectionPart::Absence(part)) => {
                Some(Detection::Absence(expectation, Absence::of_part(part)))
            }
            (Detection::NewValue(learning, _), DetectionPart::NewValue(part)) => {
                Some(Detection::NewValue(learning, NewValue::of_part(part)))
            }
            (Detection::Absence(..) | Detection::NewValue(..), _) => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Detection::Absence(_, state) => state.weight(),
            Detection::NewValue(_, state) => state.weight(),
        }
    }

    fn arrive(&mut self, arrival: Arrival) -> bool {
        match self {
            Detection::Absence(expectation, state) => state.arrive(expectation, arrival),
            Detection::NewValue(learning, state) => state.arrive(learning, arrival),
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match self {
            Detection::Absence(_, state) => state.due(),
            Detection::NewValue(learning, state) => state.due(learning),
        }
    }

    fn decide(&mut self, passed: Passed) -> Vec<Decided> {
        match self {
            Detection::Absence(expectation, state) => state.decide(expectation, passed),
            Detection::NewValue(learning, state) => state.decide(learning, passed),
        }
    }

    fn drop_oldest(&mut self) -> bool {
        match self {
            Detection::Absence(_, state) => state.drop_oldest(),
            Detection::NewValue(_, state) => state.drop_oldest(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum DetectionPart {
    Absence(AbsencePart),
    NewValue(NewValuePart),
}

/// A `Waiting` as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitPart {
    detection: DetectionPart,
    sources: Vec<SourceNo>,
    horizon: Timestamp,
    newest: Timestamp,
}

/// One rule and key.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub number: RuleNo,
    pub key: Key,
    detection: Detection,
    sources: Vec<SourceNo>,
    /// Its place in the queue of a source.
    queued: Option<(SourceNo, Timestamp)>,
    /// All before this is decided.
    horizon: Timestamp,
    /// Its newest event.
    newest: Timestamp,
}

impl Waiting {
    pub fn part(&self) -> WaitPart {
        let Waiting { detection, sources, horizon, newest, .. } = self;
        WaitPart { detection: detection.part(), sources: sources.clone(), horizon: *horizon, newest: *newest }
    }
}

#[derive(Debug, Default)]
struct Queue {
    due: BTreeSet<(Timestamp, Slot)>,
    /// When the clock has to look at it.
    wake: Option<Timestamp>,
}

#[derive(Debug)]
pub struct Waits {
    marks: Watermarks,
    /// None: nothing is late, and all is decided at the end.
    lateness: Option<SignedDuration>,
    slots: HashMap<RuleNo, HashMap<Key, Slot>>,
    keys: Slab<Waiting>,
    queues: HashMap<SourceNo, Queue>,
    wakes: BTreeSet<(Timestamp, SourceNo)>,
    /// The keys of each rule by their newest event: what to evict.
    by_age: BTreeSet<(RuleNo, Timestamp, Slot)>,
}

impl State for Waits {
    fn arrive(&mut self, place: Place<'_>, arrival: Arrival, desk: &mut Desk<'_>, _: &mut Vec<Finding>) {
        let Evidence { source, host, .. } = &*arrival.evidence;
        let source = self.marks.number(*source, host);
        let stamp = Stamp::of(&arrival.evidence);
        let known = self.slots.get(&place.number).and_then(|keys| keys.get(place.key)).copied();
        if self.is_late(source, known, &stamp) {
            desk.accounts.counters.late += 1;
            return;
        }
        let Some(slot) = known.or_else(|| self.open(place, desk.accounts)) else { return };
        let Some(waiting) = self.keys.get_mut(slot) else { return };
        let before = waiting.detection.weight();
        if !waiting.detection.arrive(arrival) {
            desk.accounts.counters.repeated += 1;
        }
        let after = waiting.detection.weight();
        account(place.number, before, after, Loss::Expired, desk.accounts);
        let most = desk.limits.max_entries_per_key.max(WITH_WORDS);
        while waiting.detection.weight() > most && waiting.detection.drop_oldest() {}
        account(place.number, after, waiting.detection.weight(), Loss::FullKey, desk.accounts);
        if waiting.sources.len() < MAX_SOURCES_OF_KEY && !waiting.sources.contains(&source) {
            waiting.sources.push(source);
        }
        if waiting.newest < stamp.at {
            self.by_age.remove(&(place.number, waiting.newest, slot));
            self.by_age.insert((place.number, stamp.at, slot));
            waiting.newest = stamp.at;
        }
        self.settle(slot, desk.accounts);
    }

    /// What is decided is dropped with the decision.
    fn expire(&mut self, _: &mut Desk<'_>) {}

    /// Of an Absence rule the key that came last goes, or whoever floods it with keys hides what he made stay away. A NewValue rule
    /// goes on with the keys that are still seen.
    fn evict(&mut self, rule: RuleNo, accounts: &mut Accounts) -> bool {
        let mut keys = self.by_age.range((rule, Timestamp::MIN, 0)..=(rule, Timestamp::MAX, Slot::MAX));
        let first = keys.next().map(|(.., slot)| *slot);
        let last = keys.next_back().map(|(.., slot)| *slot).or(first);
        let waits = first.and_then(|slot| self.keys.get(slot)).map(|waiting| &waiting.detection);
        let slot = match waits {
            Some(Detection::Absence(..)) => last,
            Some(Detection::NewValue(..)) | None => first,
        };
        slot.inspect(|slot| self.close(*slot, Loss::Evicted, accounts)).is_some()
    }

    fn forget(&mut self, rule: RuleNo, accounts: &mut Accounts) {
        let gone: Vec<Slot> = self.slots.get(&rule).into_iter().flat_map(HashMap::values).copied().collect();
        gone.into_iter().for_each(|slot| self.close(slot, Loss::Forgotten, accounts));
    }
}

/// Tells the accounts that `before` entries are `after` now.
fn account(number: RuleNo, before: usize, after: usize, why: Loss, accounts: &mut Accounts) {
    (before..after).for_each(|_| accounts.kept(number));
    if after < before {
        accounts.lost(number, (before - after) as u64, why);
    }
}

impl Waits {
    pub fn new(lateness: Option<SignedDuration>) -> Waits {
        Waits {
            marks: Watermarks::new(lateness.is_some()),
            lateness,
            slots: HashMap::new(),
            keys: Slab::default(),
            queues: HashMap::new(),
            wakes: BTreeSet::new(),
            by_age: BTreeSet::new(),
        }
    }

    /// All of it as it is now; it copies no key.
    pub fn keep(&self) -> (Watermarks, Copied<Waiting>) {
        (self.marks.clone(), self.keys.copied())
    }

    /// Takes the marks of another, whose sources' numbers its keys name. They come before the keys.
    pub fn put_marks(&mut self, marks: Watermarks) {
        self.marks = marks;
    }

    /// Takes in the state of a rule and key. None when the rule detects otherwise, or a source is not known.
    pub fn put(&mut self, place: Place<'_>, part: WaitPart, accounts: &mut Accounts) -> Option<()> {
        let WaitPart { detection, sources, horizon, newest } = part;
        let detection = Detection::of(&place.rule.detection)?.with(detection)?;
        if sources.iter().any(|source| *source >= self.marks.len()) {
            return None;
        }
        let slot = self.open(place, accounts)?;
        let waiting = self.keys.get_mut(slot)?;
        self.by_age.remove(&(place.number, waiting.newest, slot));
        self.by_age.insert((place.number, newest, slot));
        *waiting = Waiting { detection, sources, horizon, newest, ..waiting.clone() };
        account(place.number, 0, waiting.detection.weight(), Loss::Expired, accounts);
        self.settle(slot, accounts);
        Some(())
    }

    /// The log has come to a record of this receipt.
    pub fn advance(&mut self, received: Timestamp) {
        self.marks.advance(received);
    }

    /// A source has stamped an event, whether a rule takes it or not.
    pub fn observe(&mut self, source: Source, reporter: &str, at: Timestamp, received: Timestamp) {
        let (number, moved) = self.marks.observe(source, reporter, at, received);
        if moved {
            self.wake(number);
        }
    }

    /// Decides all that the watermarks have passed over.
    pub fn decide(&mut self, accounts: &mut Accounts) -> Vec<Finding> {
        let mut findings = Vec::new();
        while let Some((_, source)) = self.wakes.first().copied().filter(|(wake, _)| *wake < self.marks.clock()) {
            let Some((_, slot)) = self.queues.get(&source).and_then(|queue| queue.due.first().copied()) else {
                self.wakes.pop_first();
                continue;
            };
            let horizon = self.horizon(slot);
            self.pass(slot, Passed::Before(horizon), accounts, &mut findings);
            self.settle(slot, accounts);
        }
        findings
    }

    /// Nothing comes any more, and time ends at `until`, by the clock; None: at the newest receipt. Each source ends its lag
    /// before it.
    pub fn end(&mut self, until: Option<Timestamp>, accounts: &mut Accounts) -> Vec<Finding> {
        self.marks.end(until.unwrap_or(self.marks.received()));
        let slots: Vec<Slot> = self.keys.iter().map(|(slot, _)| slot).collect();
        let mut findings = Vec::new();
        for slot in slots {
            let end = self.passed(slot);
            self.pass(slot, Passed::End(end), accounts, &mut findings);
        }
        findings
    }

    fn pass(&mut self, slot: Slot, passed: Passed, accounts: &mut Accounts, findings: &mut Vec<Finding>) {
        let Some(waiting) = self.keys.get_mut(slot) else { return };
        if let Passed::Before(horizon) = passed {
            waiting.horizon = waiting.horizon.max(horizon);
        }
        let before = waiting.detection.weight();
        let found = waiting.detection.decide(match passed {
            Passed::Before(_) => Passed::Before(waiting.horizon),
            Passed::End(until) => Passed::End(until),
        });
        account(waiting.number, before, waiting.detection.weight(), Loss::Expired, accounts);
        let Some(rule) = accounts.rule(waiting.number) else { return };
        findings.extend(found.into_iter().map(|Decided { completing, contributing }| Finding {
            rule: rule.clone(),
            key: waiting.key.clone(),
            completing,
            new: true,
            contributing,
        }));
    }

    /// Up to where the time of all its sources has passed.
    fn passed(&self, slot: Slot) -> Timestamp {
        let sources = self.keys.get(slot).map(|waiting| waiting.sources.as_slice()).unwrap_or_default();
        sources.iter().map(|source| self.marks.of(*source)).min().unwrap_or(Timestamp::MIN)
    }

    fn horizon(&self, slot: Slot) -> Timestamp {
        minus(self.passed(slot), self.lateness.unwrap_or_default())
    }

    /// True when what the event bears on may be decided already. Also for a key without state: its state may have gone with
    /// the decision.
    fn is_late(&self, source: SourceNo, known: Option<Slot>, stamp: &Stamp) -> bool {
        let Some(lateness) = self.lateness else { return false };
        let decided = known.and_then(|slot| self.keys.get(slot)).map_or(Timestamp::MIN, |waiting| waiting.horizon);
        stamp.at < decided || stamp.at < minus(self.marks.of(source), lateness)
    }

    fn open(&mut self, place: Place<'_>, accounts: &mut Accounts) -> Option<Slot> {
        let detection = Detection::of(&place.rule.detection)?;
        accounts.counters.keys += 1;
        let slot = self.keys.add(Waiting {
            number: place.number,
            key: place.key.clone(),
            detection,
            sources: Vec::new(),
            queued: None,
            horizon: Timestamp::MIN,
            newest: Timestamp::MIN,
        });
        self.slots.entry(place.number).or_default().insert(place.key.clone(), slot);
        self.by_age.insert((place.number, Timestamp::MIN, slot));
        Some(slot)
    }

    fn close(&mut self, slot: Slot, why: Loss, accounts: &mut Accounts) {
        self.unqueue(slot);
        let Some(waiting) = self.keys.remove(slot) else { return };
        self.by_age.remove(&(waiting.number, waiting.newest, slot));
        accounts.lost(waiting.number, waiting.detection.weight() as u64, why);
        accounts.counters.keys -= 1;
        if let Some(keys) = self.slots.get_mut(&waiting.number) {
            keys.remove(&waiting.key);
            if keys.is_empty() {
                self.slots.remove(&waiting.number);
            }
        }
    }

    /// Puts the key into the queue where it waits now, or removes it when nothing is left in it.
    fn settle(&mut self, slot: Slot, accounts: &mut Accounts) {
        let Some(waiting) = self.keys.get(slot) else { return };
        let Some(due) = waiting.detection.due() else { return self.close(slot, Loss::Expired, accounts) };
        if self.lateness.is_none() {
            return; // decided at the end
        }
        let place = waiting.sources.iter().copied().min_by_key(|source| self.marks.of(*source)).map(|s| (s, due));
        if place == waiting.queued {
            return;
        }
        self.unqueue(slot);
        let Some((source, due)) = place else { return };
        self.queues.entry(source).or_default().due.insert((due, slot));
        if let Some(waiting) = self.keys.get_mut(slot) {
            waiting.queued = place;
        }
        self.wake(source);
    }

    fn unqueue(&mut self, slot: Slot) {
        let Some((source, due)) = self.keys.get_mut(slot).and_then(|waiting| waiting.queued.take()) else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(&source) {
            queue.due.remove(&(due, slot));
        }
        self.wake(source);
    }

    /// Brings up to date when the queue of `source` is looked at.
    fn wake(&mut self, source: SourceNo) {
        let Some(queue) = self.queues.get_mut(&source) else { return };
        let lateness = self.lateness.unwrap_or_default();
        let wake = queue.due.first().map(|(due, _)| self.marks.reaches(source, plus(*due, lateness)));
        if wake == queue.wake {
            return;
        }
        if let Some(old) = std::mem::replace(&mut queue.wake, wake) {
            self.wakes.remove(&(old, source));
        }
        match wake {
            Some(wake) => drop(self.wakes.insert((wake, source))),
            None => drop(self.queues.remove(&source)),
        }
    }
}
