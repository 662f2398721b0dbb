//! The books of correlation: which rules have state, how much each holds, and who gives way when the total is full.
//!
//! Each rule has a reservation: its share of the total, by the weight of its severity, among the rules that hold anything.
//! The rule that holds most for its weight gives way, so that one within its reservation never does: a flood costs the
//! flooded rule alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::Counters;
use crate::{api::rule::Severity, record::RuleId, ruleset::CompiledRule};

/// Names one accepted version of a rule while it has state here. Given anew after it is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleNo(pub u32);

/// Why an entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing can join it any more.
    Expired,
    /// The total was full.
    Evicted,
    /// Its key was full.
    FullKey,
    /// Its rule went.
    Forgotten,
}

/// One accepted version of a rule. Another generation starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    rule: RuleId,
    generation: i64,
}

#[derive(Debug)]
struct Account {
    rule: Arc<CompiledRule>,
    entries: u64,
    evicted: u64,
}

#[derive(Debug, Default)]
pub struct Accounts {
    numbers: HashMap<Version, RuleNo>,
    accounts: Vec<Option<Account>>,
    free: Vec<RuleNo>,
    /// By what it holds for its weight.
    order: BTreeSet<(u64, RuleNo)>,
    pub counters: Counters,
}

impl Accounts {
    /// The number of a rule with the very same detection. None when it has none yet.
    pub fn number(&self, rule: &Arc<CompiledRule>) -> Option<RuleNo> {
        let number = self.known(rule)?;
        let known = self.rule(number)?;
        (Arc::ptr_eq(known, rule) || known.detection == rule.detection).then_some(number)
    }

    /// The number of this rule and generation, whatever it detects.
    pub fn known(&self, rule: &CompiledRule) -> Option<RuleNo> {
        self.numbers.get(&Version { rule: rule.id.clone(), generation: rule.generation }).copied()
    }

    pub fn open(&mut self, rule: &Arc<CompiledRule>) -> RuleNo {
        let account = Account { rule: rule.clone(), entries: 0, evicted: 0 };
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.accounts.push(None);
                RuleNo(u32::try_from(self.accounts.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.accounts[number.0 as usize] = Some(account);
        self.numbers.insert(Version { rule: rule.id.clone(), generation: rule.generation }, number);
        number
    }

    /// Frees the number of a rule whose state is gone.
    pub fn close(&mut self, number: RuleNo) {
        let Some(account) = self.accounts.get_mut(number.0 as usize).and_then(Option::take) else { return };
        self.order.remove(&(account.load(), number));
        self.numbers.remove(&Version { rule: account.rule.id.clone(), generation: account.rule.generation });
        self.free.push(number);
    }

    pub fn rule(&self, number: RuleNo) -> Option<&Arc<CompiledRule>> {
        self.accounts.get(number.0 as usize)?.as_ref().map(|account| &account.rule)
    }

    pub fn numbers(&self) -> impl Iterator<Item = (RuleNo, &Arc<CompiledRule>)> {
        self.numbers.values().filter_map(|number| Some((*number, self.rule(*number)?)))
    }

    /// Entries that a rule holds.
    pub fn entries_of(&self, number: RuleNo) -> u64 {
        self.accounts.get(number.0 as usize).and_then(Option::as_ref).map_or(0, |account| account.entries)
    }

    /// Matches dropped because the total was full, by rule; only rules that lost some.
    pub fn evicted_by_rule(&self) -> BTreeMap<&RuleId, u64> {
        let mut lost = BTreeMap::new();
        for account in self.accounts.iter().flatten().filter(|account| account.evicted > 0) {
            *lost.entry(&account.rule.id).or_default() += account.evicted;
        }
        lost
    }

    /// One more entry is kept.
    pub fn kept(&mut self, number: RuleNo) {
        self.counters.entries += 1;
        self.change(number, |account| account.entries += 1);
    }

    /// Entries are no longer kept.
    pub fn lost(&mut self, number: RuleNo, entries: u64, why: Loss) {
        self.counters.entries -= entries;
        match why {
            Loss::Expired => self.counters.expired += entries,
            Loss::Evicted => self.counters.evicted += entries,
            Loss::FullKey => self.counters.evicted_from_full_key += entries,
            Loss::Forgotten => {}
        }
        self.change(number, |account| {
            account.entries -= entries;
            account.evicted += match why {
                Loss::Evicted | Loss::FullKey => entries,
                Loss::Expired | Loss::Forgotten => 0,
            };
        });
    }

    fn change(&mut self, number: RuleNo, change: impl FnOnce(&mut Account)) {
        let Some(account) = self.accounts.get_mut(number.0 as usize).and_then(Option::as_mut) else { return };
        let before = account.load();
        change(account);
        let after = account.load();
        if before != after {
            self.order.remove(&(before, number));
            if account.entries > 0 {
                self.order.insert((after, number));
            }
        }
    }

    /// The rule that holds most for its weight: who gives way.
    pub fn heaviest(&self) -> Option<RuleNo> {
        self.order.last().map(|(_, number)| *number)
    }
}

impl Account {
    /// What it holds for its weight.
    fn load(&self) -> u64 {
        self.entries * HEAVIEST / weight(self.rule.severity)
    }
}

const HEAVIEST: u64 = 16;

/// How much of the total a rule's severity reserves.
fn weight(severity: Severity) -> u64 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 4,
        Severity::High => 8,
        Severity::Critical => HEAVIEST,
    }
}
