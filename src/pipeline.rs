//! The stages over records: normalise -> enrich -> detect -> correlate -> alert. Pure and synchronous; one instance is
//! one replayable state. In: records of the log, in its order. Out: alerts that changed. The unit of scenario tests,
//! rule tests, replay and benches.

mod keyless;
pub mod budget;
pub mod rule_test;
mod seen;
pub mod snapshot;
pub mod trial;
#[cfg(test)]
mod swap_tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::budget::{Budgets, Over};
use crate::{
    alert::{Alert, AlertBook, AlertId, BookConfig},
    api::{GROUP, alert::RuleKind, rule::Source},
    correlate::{Correlator, Limits},
    detect::{Failure, Keyless},
    enrich::Inventory,
    event::Event,
    normalise::Normaliser,
    record::{Payload, Record, RuleChange, RuleId, Seq},
    ruleset::{
        CompiledRule, Ruleset,
        compile::{RuleSource, compile},
    },
};

pub use self::seen::{Seen, SeenEvent, What};

/// What differs between a live controller and an offline run.
#[derive(Debug, Clone, Default)]
pub struct PipelineConfig {
    pub normaliser: Normaliser,
    /// The user that the controller itself is. Rules don't see its requests for our own kinds, or one that takes in
    /// everything would feed on its own alerts. The record has it, and all else that this user does is evaluated: a stolen
    /// token must not go dark.
    pub own_user: Option<String>,
    pub limits: Limits,
    pub book: BookConfig,
}

impl PipelineConfig {
    /// For a bounded input that is read once: nothing is evicted by time, and alerts know all their records.
    pub fn offline() -> PipelineConfig {
        PipelineConfig {
            normaliser: Normaliser::default(),
            own_user: None,
            limits: Limits {
                lateness: None,
                max_entries: 8_000_000,
                max_entries_per_key: 1_000_000,
                max_text_bytes: 4 << 30,
            },
            book: BookConfig { keep_all_contributions: true, max_alerts: 1_000_000 },
        }
    }
}

/// Alerts that went with their rule, remembered for a restart.
const MAX_WENT: usize = 4096;

/// Counts since the start, for metrics and summaries. Nothing here depends on the clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that were evaluated.
    pub events: u64,
    /// Records that hold no readable event.
    pub unreadable: u64,
    /// Lines that no format recognised, by program (`normalise::line::program`). They are events all the same.
    pub unrecognised: BTreeMap<&'static str, u64>,
    /// The controller's own requests for our kinds, which rules don't see.
    pub own_requests: u64,
    /// Conditions of selectors that were evaluated, after the index left out those that can't match.
    pub evaluations: u64,
    /// Events that at least one selector took.
    pub matched: u64,
    pub findings: u64,
    /// Evaluations that ended without a value.
    pub failed: BTreeMap<Failure, u64>,
    /// Recorded rules that this version no longer compiles: the rule does not evaluate.
    pub rules_refused: u64,
}

/// What became of a rule since it was accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleActivity {
    pub last_finding: Option<Timestamp>,
    pub findings: u64,
}

pub struct Pipeline {
    normaliser: Normaliser,
    own_user: Option<String>,
    rules: BTreeMap<RuleId, Arc<CompiledRule>>,
    ruleset: Ruleset,
    inventory: Inventory,
    correlator: Correlator,
    book: AlertBook,
    counters: Counters,
    activity: BTreeMap<RuleId, RuleActivity>,
    budgets: Budgets,
    changed: BTreeSet<AlertId>,
    forgotten: BTreeSet<AlertId>,
    /// The last that were forgotten: after a restart they are again, for their objects may stand yet.
    went: VecDeque<AlertId>,
    failures: BTreeMap<RuleId, (u64, String)>,
    keyless: BTreeMap<RuleId, (u64, Keyless)>,
    /// Some rule at work waits for time to pass.
    waits: bool,
}

impl Pipeline {
    pub fn new(config: PipelineConfig) -> Pipeline {
        Pipeline {
            normaliser: config.normaliser,
            own_user: config.own_user,
            rules: BTreeMap::new(),
            ruleset: Ruleset::default(),
            inventory: Inventory::default(),
            correlator: Correlator::new(config.limits),
            book: AlertBook::new(config.book),
            counters: Counters::default(),
            activity: BTreeMap::new(),
            budgets: Budgets::default(),
            changed: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            went: VecDeque::new(),
            failures: BTreeMap::new(),
            keyless: BTreeMap::new(),
            waits: false,
        }
    }

    /// Takes in one record of the log. Its receipt is the recorded clock, by which waiting rules decide.
    pub fn push(&mut self, seq: Seq, record: &Record) {
        self.correlator.advance(record.received_at);
        self.take(seq, record);
        self.decide();
    }

    /// Nothing comes any more: decides what waits, as of `until` by the clock, or as of the newest receipt. For a bounded
    /// input; a live pipeline has no end.
    pub fn end(&mut self, until: Option<Timestamp>) {
        let decided = self.correlator.end(until);
        decided.into_iter().for_each(|finding| self.fold(finding));
    }

    fn take(&mut self, seq: Seq, record: &Record) {
        match &record.payload {
            Payload::Audit(_) | Payload::Line(_) => self.event(seq, record),
            Payload::Quarantined(_) => self.counters.unreadable += 1,
            Payload::Inventory(change) => self.inventory.apply(change, record.received_at),
            Payload::Rule(RuleChange::Accepted { rule, generation, spec, .. }) => {
                let source = RuleSource { id: rule.clone(), generation: *generation, spec: (**spec).clone() };
                match compile(&source) {
                    Ok(compiled) => self.accept(Arc::new(compiled)),
                    Err(_) => self.counters.rules_refused += 1,
                }
            }
            Payload::Rule(RuleChange::Removed { rule }) => self.remove(rule),
            Payload::Triage(_) => {} // of the objects, not of the findings
            Payload::Tick => {}      // its receipt is all that it says
        }
    }

    /// Puts a compiled rule to work. The state of an unchanged rule is kept, and so is that of one whose new version selects
    /// and detects the same: an edit of title, severity or tests costs no window.
    pub fn accept(&mut self, rule: Arc<CompiledRule>) {
        match self.rules.get(&rule.id) {
            Some(old) if old.digest == rule.digest && !self.is_retried(old, &rule) => return,
            Some(old) if old.sense == rule.sense => self.correlator.succeed(old, &rule),
            // Its state goes first: a rule that was deleted and made anew may have its old generation number.
            Some(_) => {
                self.rules.remove(&rule.id);
                self.swap();
            }
            None => {}
        }
        self.budgets.clear(&rule.id);
        self.rules.insert(rule.id.clone(), rule);
        self.swap();
    }

    /// A tenant's alerts go with its rule: a later tenant of the same namespace must not inherit them. Alerts of cluster
    /// rules stay, and resolve in their time.
    fn remove(&mut self, rule: &RuleId) {
        if self.rules.remove(rule).is_some() {
            self.activity.remove(rule);
            self.failures.remove(rule);
            self.keyless.remove(rule);
            self.budgets.clear(rule);
            self.swap();
        }
        if rule.kind == RuleKind::SecurityRule {
            for id in self.book.remove_rule(rule) {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: AlertId) {
        self.changed.remove(&id);
        self.went.push_back(id.clone());
        if self.went.len() > MAX_WENT {
            self.went.pop_front();
        }
        self.forgotten.insert(id);
    }

    fn swap(&mut self) {
        self.waits = self.rules.values().any(|rule| rule.detection.waits() && !rule.suspended);
        let at_work = self.rules.values().filter(|rule| !self.budgets.is_over(&rule.id));
        self.ruleset = Ruleset::new(at_work.cloned().collect());
        let rules = &self.rules;
        self.correlator.retain_rules(|id, generation| rules.get(id).is_some_and(|r| r.generation == generation));
    }

    fn event(&mut self, seq: Seq, record: &Record) {
        let seen = self.see(seq, record);
        self.absorb(seen);
    }

    /// Takes in what was seen of an event; call it in the order of the log.
    pub fn take_in(&mut self, seen: Seen) {
        self.correlator.advance(seen.received_at);
        self.absorb(seen);
        self.decide();
    }

    fn decide(&mut self) {
        let decided = self.correlator.decide();
        decided.into_iter().for_each(|finding| self.fold(finding));
    }

    fn absorb(&mut self, seen: Seen) {
        let event = match seen.what {
            What::Unreadable => return self.counters.unreadable += 1,
            What::OwnRequest => return self.counters.own_requests += 1,
            What::Event(event) => event,
        };
        self.counters.events += 1;
        if let Some(program) = event.unrecognised {
            *self.counters.unrecognised.entry(program).or_default() += 1;
        }
        if self.waits {
            self.correlator.observe(event.source, &event.reporter, event.at, seen.received_at);
        }
        let mut detected = event.detected;
        self.budgets.count();
        // Events may have been seen before what they are taken in after: what is over is over all the same.
        self.counters.evaluations += detected.evaluations;
        detected.matches.retain(|found| !self.budgets.is_over(&found.rule.id));
        detected.failed.retain(|(rule, _)| !self.budgets.is_over(&rule.id));
        for (rule, error) in &detected.failed {
            *self.counters.failed.entry(Failure::of(error)).or_default() += 1;
            let failures = self.failures.entry(rule.id.clone()).or_insert_with(|| (0, error.to_string()));
            failures.0 += 1;
        }
        for (rule, first) in &detected.keyless {
            self.keyless.entry(rule.id.clone()).or_insert((0, *first)).0 += 1;
        }
        if !detected.matches.is_empty() {
            self.counters.matched += 1;
            for finding in self.correlator.step(std::mem::take(&mut detected.matches)) {
                self.fold(finding);
            }
        }
        self.charge(&detected.costly);
        self.correlator.expire(seen.received_at);
    }

    /// A rule that is over its budget gets another chance with its next generation, even one that says the same.
    fn is_retried(&self, old: &CompiledRule, new: &CompiledRule) -> bool {
        old.generation != new.generation && self.budgets.is_over(&new.id)
    }

    /// Switches off what has cost too much. What it has found stands.
    fn charge(&mut self, costly: &[(Arc<CompiledRule>, u64)]) {
        let mut is_over = false;
        for (rule, steps) in costly {
            is_over |= self.budgets.charge(rule, *steps);
        }
        if is_over {
            self.swap();
        }
    }

    fn is_own_request(&self, event: &Event<'_>) -> bool {
        let object = event.audit.as_ref().and_then(|audit| audit.object_ref.as_ref());
        self.own_user
            .as_ref()
            .is_some_and(|own| event.user.name == own.as_str() && event.user.effective_name.is_empty())
            && object.is_some_and(|object| object.api_group == GROUP)
    }

    fn fold(&mut self, finding: crate::correlate::Finding) {
        if finding.new {
            self.counters.findings += 1;
            let activity = self.activity.entry(finding.rule.id.clone()).or_default();
            activity.findings += 1;
            activity.last_finding = activity.last_finding.max(Some(finding.completing.at));
        }
        self.changed.extend(self.book.fold(finding));
    }

    /// Alerts that changed since the last call, in the order of their names.
    pub fn take_changed(&mut self) -> BTreeSet<AlertId> {
        std::mem::take(&mut self.changed)
    }

    /// Alerts that went with their rule since the last call.
    pub fn take_forgotten(&mut self) -> BTreeSet<AlertId> {
        std::mem::take(&mut self.forgotten)
    }

    pub fn alert(&self, id: &AlertId) -> Option<&Alert> {
        self.book.get(id)
    }

    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.book.iter()
    }

    pub fn book(&self) -> &AlertBook {
        &self.book
    }

    pub fn correlator(&self) -> &Correlator {
        &self.correlator
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn rules(&self) -> &BTreeMap<RuleId, Arc<CompiledRule>> {
        &self.rules
    }

    /// Rules with evaluations that ended without a value: how many, and why the first did.
    pub fn failures(&self) -> &BTreeMap<RuleId, (u64, String)> {
        &self.failures
    }

    /// Rules with selectors that took events without a key, which join nothing: how many, and where the first.
    pub fn keyless(&self) -> &BTreeMap<RuleId, (u64, Keyless)> {
        &self.keyless
    }

    /// Rules that are switched off because of what they cost, until another version of them is accepted.
    pub fn over_budget(&self) -> &BTreeMap<RuleId, Over> {
        self.budgets.over()
    }

    pub fn activity(&self) -> &BTreeMap<RuleId, RuleActivity> {
        &self.activity
    }

    /// True when some rule waits for time to pass, so that the log needs ticks.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// True when some rule reads events of `source`.
    pub fn reads(&self, source: Source) -> bool {
        self.rules.values().any(|rule| rule.requires.sources.contains(&source))
    }
}
