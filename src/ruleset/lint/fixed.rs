//! What is counted or learned and can't vary, and what is forgotten before it is learned. In: a parsed rule. Out: warnings.

use std::collections::BTreeSet;

use super::{
    Lint, Warning,
    chain::Scope,
    possible::Assumption,
    reach,
    rule::{ParsedRule, ParsedSelector},
};
use crate::api::rule::Source;

pub fn check(rule: &ParsedRule<'_>, warnings: &mut Vec<Warning>) {
    let detection = &rule.spec.detection;
    let counted = detection.threshold.as_ref().filter(|threshold| threshold.distinct.is_some());
    let needed = match (counted, &detection.new_value) {
        (Some(threshold), _) => usize::try_from(threshold.count).unwrap_or(usize::MAX),
        (None, Some(_)) => 2,
        (None, None) => return,
    };
    let taking: Vec<&ParsedSelector<'_>> =
        rule.selectors.iter().filter(|selector| selector.distinct.is_some()).collect();
    let values: Option<Vec<BTreeSet<String>>> = taking.iter().map(|selector| values(rule, selector)).collect();
    let several: Option<BTreeSet<String>> = values.map(|all| all.into_iter().flatten().collect());
    forgets(rule, warnings);
    if needed < 2 {
        return;
    }
    let field = match counted {
        Some(_) => "spec.detection.threshold.distinct",
        None => "spec.detection.newValue.value",
    };
    if !taking.is_empty()
        && let Some(key) = taking.iter().map(|selector| is_key(rule, selector)).collect::<Option<BTreeSet<_>>>()
        && let Some(key) = key.first()
    {
        let message = format!("it is what groupBy {key:?} is made of: for each key there is one value");
        let hint = "take another field here, or another key";
        warnings.push(Warning::of_field(Lint::FixedValue, field, message, hint));
    } else if let Some(several) = several.filter(|several| several.len() < needed) {
        let message = match counted {
            Some(_) => format!("the conditions leave it {} value(s), and {needed} are to be counted", several.len()),
            None => format!("the conditions leave it {} value(s): nothing new comes after the first", several.len()),
        };
        let hint = "take another field here, or conditions that leave more";
        warnings.push(Warning::of_field(Lint::FixedValue, field, message, hint));
    }
}

fn forgets(rule: &ParsedRule<'_>, warnings: &mut Vec<Warning>) {
    let Some(new_value) = &rule.spec.detection.new_value else { return };
    let (learn, forget) = (new_value.learn_for, new_value.forget_after);
    if forget < learn {
        let message = format!(
            "{forget} is shorter than learnFor ({learn}): what is seen while a key is learned is forgotten before it ends, and a key \
             that pauses for longer is learned anew"
        );
        let hint = format!("let it be at least {learn}");
        warnings.push(Warning::of_field(
            Lint::ForgetsWhileLearning,
            "spec.detection.newValue.forgetAfter",
            message,
            hint,
        ));
    }
}

/// The groupBy key that the value is made of, too.
fn is_key(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>) -> Option<String> {
    let scope = Scope::new(&rule.variables);
    let assumption = Assumption::new(&scope, selector.written.source == Source::Audit);
    let value = assumption.quantity(&selector.distinct.as_ref()?.ast);
    let mut keys = rule.spec.group_by.iter().zip(&selector.keys);
    keys.find(|(_, key)| assumption.quantity(&key.ast) == value).map(|(key, _)| key.name.clone())
}

/// The values that are left to it by the conditions. None: not known.
fn values(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>) -> Option<BTreeSet<String>> {
    let scope = Scope::new(&rule.variables);
    let assumption = Assumption::new(&scope, selector.written.source == Source::Audit);
    let quantity = assumption.quantity(&selector.distinct.as_ref()?.ast);
    let reached = reach::of(rule, selector);
    let mut all = BTreeSet::new();
    for facts in &reached.alternatives {
        all.extend(facts.domain(&quantity).values()?.into_iter().map(|value| format!("{value:?}")));
    }
    (!reached.alternatives.is_empty()).then_some(all)
}
