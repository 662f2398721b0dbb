//! The books of correlation: which rules have state, how many entries each holds, and what was lost.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Counters, shares::Shares};
use crate::{record::RuleId, ruleset::CompiledRule};

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

impl Version {
    fn of(rule: &CompiledRule) -> Version {
        Version { rule: rule.id.clone(), generation: rule.generation }
    }
}

#[derive(Debug)]
struct Account {
    rule: Arc<CompiledRule>,
    evicted: u64,
}

#[derive(Debug, Default)]
pub struct Accounts {
    numbers: HashMap<Version, RuleNo>,
    accounts: Vec<Option<Account>>,
    free: Vec<RuleNo>,
    entries: Shares,
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
        self.numbers.get(&Version::of(rule)).copied()
    }

    pub fn open(&mut self, rule: &Arc<CompiledRule>) -> RuleNo {
        let number = self.free.pop().unwrap_or_else(|| {
            self.accounts.push(None);
            RuleNo(u32::try_from(self.accounts.len() - 1).unwrap_or(u32::MAX))
        });
        self.accounts[number.0 as usize] = Some(Account { rule: rule.clone(), evicted: 0 });
        self.numbers.insert(Version::of(rule), number);
        number
    }

    /// The state of `old` is now that of `new`.
    pub fn rename(&mut self, old: &CompiledRule, new: &Arc<CompiledRule>) {
        let Some(number) = self.numbers.remove(&Version::of(old)) else { return };
        self.numbers.insert(Version::of(new), number);
        if let Some(account) = self.accounts.get_mut(number.0 as usize).and_then(Option::as_mut) {
            account.rule = Arc::clone(new);
        }
    }

    /// Frees the number of a rule whose state is gone.
    pub fn close(&mut self, number: RuleNo) {
        let Some(account) = self.accounts.get_mut(number.0 as usize).and_then(Option::take) else { return };
        self.entries.take(number, u64::MAX);
        self.numbers.remove(&Version::of(&account.rule));
        self.free.push(number);
    }

    pub fn rule(&self, number: RuleNo) -> Option<&Arc<CompiledRule>> {
        self.accounts.get(number.0 as usize)?.as_ref().map(|account| &account.rule)
    }

    pub fn numbers(&self) -> impl Iterator<Item = (RuleNo, &Arc<CompiledRule>)> {
        self.numbers.values().filter_map(|number| Some((*number, self.rule(*number)?)))
    }

    /// Matches dropped because the total or their key was full, by rule; only rules that lost some.
    pub fn evicted_by_rule(&self) -> BTreeMap<&RuleId, u64> {
        let mut lost = BTreeMap::new();
        for account in self.accounts.iter().flatten().filter(|account| account.evicted > 0) {
            *lost.entry(&account.rule.id).or_default() += account.evicted;
        }
        lost
    }

    /// The same by number, to be written down.
    pub fn evicted(&self) -> Vec<(RuleNo, u64)> {
        let of = |number: &RuleNo| Some((*number, self.accounts.get(number.0 as usize)?.as_ref()?.evicted));
        self.numbers.values().filter_map(of).filter(|(_, evicted)| *evicted > 0).collect()
    }

    /// A rule had lost so many before this process.
    pub fn put_evicted(&mut self, number: RuleNo, matches: u64) {
        if let Some(account) = self.accounts.get_mut(number.0 as usize).and_then(Option::as_mut) {
            account.evicted = account.evicted.saturating_add(matches);
        }
    }

    /// One more entry is kept.
    pub fn kept(&mut self, number: RuleNo) {
        let Some(account) = self.accounts.get(number.0 as usize).and_then(Option::as_ref) else { return };
        self.entries.add(number, account.rule.severity, 1);
        self.counters.entries = self.entries.total();
    }

    /// Entries are no longer kept.
    pub fn lost(&mut self, number: RuleNo, entries: u64, why: Loss) {
        let Some(account) = self.accounts.get_mut(number.0 as usize).and_then(Option::as_mut) else { return };
        match why {
            Loss::Expired => self.counters.expired += entries,
            Loss::Evicted => self.counters.evicted += entries,
            Loss::FullKey => self.counters.evicted_from_full_key += entries,
            Loss::Forgotten => {}
        }
        account.evicted += match why {
            Loss::Evicted | Loss::FullKey => entries,
            Loss::Expired | Loss::Forgotten => 0,
        };
        self.entries.take(number, entries);
        self.counters.entries = self.entries.total();
    }

    /// The rule that gives way when the total is full.
    pub fn heaviest(&self) -> Option<RuleNo> {
        self.entries.heaviest()
    }
}
