//! How much each rule holds of something that all rules share, and who gives way when it is full: the rule that holds
//! most for the weight of its severity.
//!
//! So each rule has a reservation, without a number to tune: its weight's part of the total, among the rules that hold
//! anything. A rule within it never gives way, because then another holds more for its weight: a flood costs the flooded
//! rule alone.

use std::collections::BTreeSet;

use super::accounts::RuleNo;
use crate::api::rule::Severity;

#[derive(Debug, Default)]
pub struct Shares {
    held: Vec<Share>,
    /// By what it holds for its weight; only those that hold anything.
    order: BTreeSet<(u64, RuleNo)>,
    total: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    amount: u64,
    weight: u64,
}

impl Shares {
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn add(&mut self, rule: RuleNo, severity: Severity, amount: u64) {
        let place = rule.0 as usize;
        if self.held.len() <= place {
            self.held.resize(place + 1, Share::default());
        }
        let amount = self.held[place].amount + amount;
        self.set(rule, Share { amount, weight: weight(severity) });
    }

    /// Takes `amount` back, or all that there is.
    pub fn take(&mut self, rule: RuleNo, amount: u64) {
        let Some(share) = self.held.get(rule.0 as usize).copied() else { return };
        self.set(rule, Share { amount: share.amount.saturating_sub(amount), ..share });
    }

    fn set(&mut self, rule: RuleNo, now: Share) {
        let before = std::mem::replace(&mut self.held[rule.0 as usize], now);
        self.total = self.total - before.amount + now.amount;
        if before.amount > 0 {
            self.order.remove(&(before.load(), rule));
        }
        if now.amount > 0 {
            self.order.insert((now.load(), rule));
        }
    }

    /// The rule that gives way.
    pub fn heaviest(&self) -> Option<RuleNo> {
        self.order.last().map(|(_, rule)| *rule)
    }
}

impl Share {
    /// What a rule holds for its weight.
    fn load(self) -> u64 {
        self.amount.saturating_mul(WHOLE) / self.weight.max(1)
    }
}

/// Divided by each weight without a rest.
const WHOLE: u64 = 840;

/// How much of the total a rule's severity reserves: a Critical one twice as much as an Informational one. Not more, since
/// anyone who may write a rule says how severe it is.
fn weight(severity: Severity) -> u64 {
    match severity {
        Severity::Informational => 4,
        Severity::Low => 5,
        Severity::Medium => 6,
        Severity::High => 7,
        Severity::Critical => 8,
    }
}
