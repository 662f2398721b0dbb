//! What rules cost, and which have cost too much. A rule is switched off by nothing but the steps of its own expressions, over a
//! stretch of events: not by load, nor by how much it finds. In: the steps of costly evaluations. Out: rules that are over.
//!
//! A stretch is counted in events, so the same log switches the same rules off at the same places, on any machine.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{record::RuleId, ruleset::CompiledRule};

/// Events of a stretch, after which the count begins anew.
pub const STRETCH: u64 = 10_000;
/// Steps that a rule's costly evaluations may take in a stretch: a thousand an event, which takes about 20 us. An
/// evaluation is cut at 100,000, so that a rule that always reaches that is off after a hundred events.
pub const ALLOWED: u64 = 10_000_000;

/// How a rule came to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    pub generation: i64,
    /// What it took, in so many events.
    pub steps: u64,
    pub events: u64,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Over { steps, events, .. } = self;
        write!(
            f,
            "switched off: its expressions took {steps} steps in {events} events, and may take {ALLOWED} in {STRETCH}. Let cheap \
             conditions on fields stand first, and loops over lists and bodies last; `kubewitness eval` and `explain` show what \
             they do. The next edit of the rule puts it to work again"
        )
    }
}

#[derive(Debug, Clone, Default)]
pub struct Budgets {
    /// Events of the stretch so far.
    events: u64,
    spent: HashMap<RuleId, u64>,
    over: BTreeMap<RuleId, Over>,
}

/// `Budgets` as they are written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BudgetsPart {
    events: u64,
    spent: Vec<(RuleId, u64)>,
    over: Vec<(RuleId, Over)>,
}

impl Budgets {
    /// Another event was evaluated.
    pub fn count(&mut self) {
        if self.events >= STRETCH {
            (self.events, self.spent) = (0, HashMap::new());
        }
        self.events += 1;
    }

    /// Charges a costly evaluation. True when the rule is over with it.
    pub fn charge(&mut self, rule: &CompiledRule, steps: u64) -> bool {
        if self.is_over(&rule.id) {
            return false;
        }
        let spent = self.spent.entry(rule.id.clone()).or_default();
        *spent += steps;
        let (steps, is_over) = (*spent, *spent > ALLOWED);
        if is_over {
            let over = Over { generation: rule.generation, steps, events: self.events };
            self.over.insert(rule.id.clone(), over);
        }
        is_over
    }

    /// Another version of the rule begins with a clean slate; so does none.
    pub fn clear(&mut self, rule: &RuleId) {
        self.spent.remove(rule);
        self.over.remove(rule);
    }

    pub fn is_over(&self, rule: &RuleId) -> bool {
        !self.over.is_empty() && self.over.contains_key(rule)
    }

    pub fn over(&self) -> &BTreeMap<RuleId, Over> {
        &self.over
    }

    pub fn part(&self) -> BudgetsPart {
        BudgetsPart {
            events: self.events,
            spent: self.spent.iter().map(|(rule, steps)| (rule.clone(), *steps)).collect(),
            over: self.over.iter().map(|(rule, over)| (rule.clone(), *over)).collect(),
        }
    }

    pub fn of_part(part: BudgetsPart) -> Budgets {
        let BudgetsPart { events, spent, over } = part;
        Budgets { events, spent: spent.into_iter().collect(), over: over.into_iter().collect() }
    }
}
