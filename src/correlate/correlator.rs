//! The holder of all correlation state: routes matches to the state of their kind of detection, and keeps the total
//! bounded. In: the matches of one event, and how far receipt has come. Out: findings. What it drops, it counts.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    Counters, Finding, Limits,
    accounts::{Accounts, RuleNo},
    arrivals::by_rule_and_key,
    kept::{Kept, Part},
    state::{Desk, Place, State},
    waits::Waits,
    windows::Windows,
};
use crate::{
    api::rule::Source,
    detect::Match,
    record::RuleId,
    ruleset::{CompiledDetection, CompiledRule},
};

/// Holds the state of all rules and keys that are routed to it.
#[derive(Debug)]
pub struct Correlator {
    limits: Limits,
    accounts: Accounts,
    windows: Windows,
    waits: Waits,
    /// How far receipt has come.
    received: Timestamp,
}

impl Correlator {
    pub fn new(limits: Limits) -> Correlator {
        let waits = Waits::new(limits.lateness);
        Correlator {
            limits,
            accounts: Accounts::default(),
            windows: Windows::default(),
            waits,
            received: Timestamp::MIN,
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.accounts.counters
    }

    /// Matches that were dropped before their time, by rule: since its version was accepted; only rules that lost some.
    pub fn evicted_by_rule(&self) -> BTreeMap<&RuleId, u64> {
        self.accounts.evicted_by_rule()
    }

    /// Takes the matches of one event. All of them in one call: two selectors of a Match rule are one finding.
    pub fn step(&mut self, matches: Vec<Match>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (rule, key, arrival) in by_rule_and_key(matches) {
            let number = self.number(&rule);
            let place = Place { number, rule: &rule, key: &key };
            let Correlator { limits, accounts, windows, waits, received } = self;
            let mut desk = Desk { limits, received: *received, accounts };
            state(&rule.detection, windows, waits).arrive(place, arrival, &mut desk, &mut findings);
        }
        while self.accounts.counters.entries > self.limits.max_entries as u64 && self.evict() {}
        findings
    }

    /// The state of now, to be written down.
    pub fn keep(&self) -> Kept {
        let (marks, waits) = self.waits.keep();
        let rules = self.accounts.numbers().map(|(number, rule)| (number, rule.clone())).collect();
        let evicted = self.accounts.evicted();
        Kept { received: self.received, rules, windows: self.windows.keep(), marks, waits, evicted }
    }

    /// Takes in a part of another correlator. `rules` is the list that its writer kept. The error is what is wrong with it.
    pub fn put<'a>(
        &mut self,
        part: Part,
        rules: impl Fn(u32) -> Option<&'a Arc<CompiledRule>>,
    ) -> Result<(), &'static str> {
        let rule = |place| rules(place).ok_or("no such rule");
        match part {
            Part::Received(received) => self.received = self.received.max(received),
            Part::Window { rule: place, window } => {
                let rule = rule(place)?;
                let number = self.number(rule);
                let Correlator { limits, accounts, windows, received, .. } = self;
                let mut desk = Desk { limits, received: *received, accounts };
                windows.put(number, rule, &window, &mut desk).ok_or("no window")?;
            }
            Part::Marks(marks) => self.waits.put_marks(marks),
            Part::Wait { rule: place, key, wait } => {
                let rule = rule(place)?;
                let place = Place { number: self.number(rule), rule, key: &key };
                let put = self.waits.put(place, wait, &mut self.accounts);
                put.ok_or("the rule does not wait, or for a source that is not known")?;
            }
            Part::Evicted { rule: place, matches } => {
                let number = self.number(rule(place)?);
                self.accounts.put_evicted(number, matches);
            }
        }
        Ok(())
    }

    /// The number of `rule`. A rule that now detects otherwise begins anew.
    fn number(&mut self, rule: &Arc<CompiledRule>) -> RuleNo {
        if let Some(number) = self.accounts.number(rule) {
            return number;
        }
        if let Some(old) = self.accounts.known(rule) {
            self.forget(old);
        }
        self.accounts.open(rule)
    }

    /// Drops one entry, of the rule that holds most for its weight. False when there is none.
    fn evict(&mut self) -> bool {
        let Some(number) = self.accounts.heaviest() else { return false };
        let Some(rule) = self.accounts.rule(number).cloned() else { return false };
        state(&rule.detection, &mut self.windows, &mut self.waits).evict(number, &mut self.accounts)
    }

    fn forget(&mut self, number: RuleNo) {
        let Some(rule) = self.accounts.rule(number).cloned() else { return };
        state(&rule.detection, &mut self.windows, &mut self.waits).forget(number, &mut self.accounts);
        self.accounts.close(number);
    }

    /// Receipt has come to `received`: drops what only an event later than lateness allows could still join.
    pub fn expire(&mut self, received: Timestamp) {
        self.received = self.received.max(received);
        let Correlator { limits, accounts, windows, waits: _, received } = self;
        windows.expire(&mut Desk { limits, received: *received, accounts });
    }

    /// The log has come to a record of this receipt: the clock by which waiting rules decide.
    pub fn advance(&mut self, received: Timestamp) {
        self.waits.advance(received);
    }

    /// A source has stamped an event, whether a rule takes it or not. To be told before its matches.
    pub fn observe(&mut self, source: Source, reporter: &str, at: Timestamp, received: Timestamp) {
        self.waits.observe(source, reporter, at, received);
    }

    /// What waiting rules find by how far time has come.
    pub fn decide(&mut self) -> Vec<Finding> {
        self.waits.decide(&mut self.accounts)
    }

    /// What waiting rules find when nothing comes any more, as of `until` by the clock; None: as of the newest receipt.
    pub fn end(&mut self, until: Option<Timestamp>) -> Vec<Finding> {
        self.waits.end(until, &mut self.accounts)
    }

    /// A version of a rule takes the place of one with the same sense, and takes over its state.
    pub fn succeed(&mut self, old: &CompiledRule, new: &Arc<CompiledRule>) {
        self.accounts.rename(old, new);
    }

    /// Drops the state of every rule and generation that `keep` refuses. The state of the others stays as it is.
    pub fn retain_rules(&mut self, keep: impl Fn(&RuleId, i64) -> bool) {
        let gone: Vec<RuleNo> = self
            .accounts
            .numbers()
            .filter(|(_, rule)| !keep(&rule.id, rule.generation))
            .map(|(number, _)| number)
            .collect();
        gone.into_iter().for_each(|number| self.forget(number));
    }
}

/// The state of a kind of detection.
fn state<'a>(detection: &CompiledDetection, windows: &'a mut Windows, waits: &'a mut Waits) -> &'a mut dyn State {
    match detection.waits() {
        false => windows,
        true => waits,
    }
}
