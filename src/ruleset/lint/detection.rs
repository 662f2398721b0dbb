//! How the parts of a rule fit together: windows, steps, keys, and what nothing uses. In: a parsed rule. Out: warnings.

use std::collections::BTreeSet;

use bytesize::ByteSize;
use jiff::SignedDuration;

use super::{
    Lint, Warning,
    chain::children,
    reach::{self, Reached},
    rule::{ParsedRule, ParsedSelector},
};
use crate::{
    api::rule::DetectionType,
    ruleset::expr::view::{Ast, Kind},
};

/// Bytes of events that a record takes up in a week, as `reach` counts: 1.5 GB a day.
const WEEKLY: u64 = 10 << 30;

/// How far back a record of so many bytes reaches, about. There is no retention by age to compare with.
pub fn reach(record_bytes: u64) -> SignedDuration {
    let seconds = u128::from(record_bytes) * (7 * 24 * 3600) / u128::from(WEEKLY);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// As a message says it.
fn about(record_bytes: u64) -> String {
    let hours = reach(record_bytes).as_hours();
    let reach = match (hours / 24, hours) {
        (0 | 1, 0..=1) => "an hour or less".to_owned(),
        (0 | 1, hours) => format!("{hours} hours"),
        (days, _) => format!("{days} days"),
    };
    format!("about {reach} of events, which is what a record of {} holds at 1.5 GB a day", ByteSize(record_bytes))
}

/// `record_bytes` is what the controller keeps (`--retain-bytes`).
pub fn check(rule: &ParsedRule<'_>, record_bytes: u64, warnings: &mut Vec<Warning>) {
    windows(rule, record_bytes, warnings);
    memory(rule, record_bytes, warnings);
    steps(rule, warnings);
    unused(rule, warnings);
    if rule.spec.group_by.is_empty() {
        let message = match rule.spec.detection.type_ {
            DetectionType::Match => "without a key all findings fold into one alert, whoever caused them",
            DetectionType::Threshold | DetectionType::Sequence => {
                "without a key unrelated events count together, and all findings fold into one alert"
            }
            DetectionType::Absence => "without a key any expected event will do, whoever caused it",
            DetectionType::NewValue => "without a key a value that anybody showed is known of all",
        };
        let hint = "name who or what the alert is about, such as {name: user, value: user.name}";
        warnings.push(Warning::of_field(Lint::NoGroupBy, "spec.groupBy", message, hint));
    }
}

fn windows(rule: &ParsedRule<'_>, record_bytes: u64, warnings: &mut Vec<Warning>) {
    let detection = &rule.spec.detection;
    let spans = [
        ("spec.detection.threshold.within", detection.threshold.as_ref().map(|t| t.within)),
        ("spec.detection.sequence.within", detection.sequence.as_ref().map(|s| s.within)),
        ("spec.detection.absence.within", detection.absence.as_ref().map(|a| a.within)),
    ];
    for (field, within) in spans {
        if let Some(within) = within.filter(|within| within.as_signed() > reach(record_bytes)) {
            let message = format!(
                "{within} is longer than {}: where a restart has no snapshot to go on from, the window is rebuilt from the \
                 record, which reaches only as far back as its size allows",
                about(record_bytes)
            );
            let hint = "shorten it, or make sure that --retain-bytes holds that long";
            warnings.push(Warning::of_field(Lint::WindowOutlivesRecord, field, message, hint));
        }
    }
}

/// What a NewValue rule has learned is rebuilt from the record, too.
fn memory(rule: &ParsedRule<'_>, record_bytes: u64, warnings: &mut Vec<Warning>) {
    let Some(new_value) = &rule.spec.detection.new_value else { return };
    let spans = [
        ("spec.detection.newValue.learnFor", new_value.learn_for, "it learns anew"),
        ("spec.detection.newValue.forgetAfter", new_value.forget_after, "a value that was seen before it is new again"),
    ];
    for (field, span, consequence) in spans {
        if span.as_signed() > reach(record_bytes) {
            let message = format!(
                "{span} is longer than {}: where a restart has no snapshot to go on from, what was learned is rebuilt from \
                 the record, and if that reaches less far, {consequence}",
                about(record_bytes)
            );
            let hint = "shorten it, or make sure that --retain-bytes holds that long";
            warnings.push(Warning::of_field(Lint::WindowOutlivesRecord, field, message, hint));
        }
    }
}

fn steps(rule: &ParsedRule<'_>, warnings: &mut Vec<Warning>) {
    let detection = &rule.spec.detection;
    let steps = detection.sequence.as_ref().map(|sequence| sequence.steps.as_slice()).unwrap_or_default();
    if steps.is_empty() && detection.absence.is_none() {
        return;
    }
    for (index, pair) in steps.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        if first.selector == second.selector {
            let field = format!("spec.detection.sequence.steps[{}]", index + 1);
            let message = format!("it names {:?} like the step before it; an event serves one step", first.selector);
            let hint = format!("write one step with count: {}", u64::from(first.count) + u64::from(second.count));
            warnings.push(Warning::of_field(Lint::RepeatedStep, field, message, hint));
        }
    }
    let used: BTreeSet<usize> = rule.used_selectors().into_iter().collect();
    let reached: Vec<(&ParsedSelector<'_>, Reached)> =
        used.iter().filter_map(|i| rule.selectors.get(*i)).map(|s| (s, reach::of(rule, s))).collect();
    for (index, (a, of_a)) in reached.iter().enumerate() {
        for (b, of_b) in reached.iter().skip(index + 1) {
            warnings.extend(disjoint_keys(rule, (a, of_a), (b, of_b)));
        }
    }
}

/// A key that can't be the same for both selectors, however they match.
fn disjoint_keys(
    rule: &ParsedRule<'_>,
    (a, of_a): (&ParsedSelector<'_>, &Reached),
    (b, of_b): (&ParsedSelector<'_>, &Reached),
) -> Option<Warning> {
    if of_a.alternatives.is_empty() || of_b.alternatives.is_empty() {
        return None; // that it never matches is said already
    }
    let ((index, _), _) = of_a.keys.iter().enumerate().zip(&of_b.keys).find(|((_, in_a), in_b)| {
        in_a.iter().all(|one| {
            in_b.iter().all(|other| {
                let mut both = one.clone();
                both.meet(other);
                one.is_possible() && other.is_possible() && !both.is_possible()
            })
        })
    })?;
    let key = rule.spec.group_by.get(index)?;
    let (a, b) = (&a.written.name, &b.written.name);
    let message = format!("the conditions of {a:?} and {b:?} fix it to different values: they can never join");
    let hint = "take another key, or name one for each selector in `from`";
    Some(Warning::of_field(Lint::KeysNeverMeet, format!("spec.groupBy[{}]", key.name), message, hint))
}

fn unused(rule: &ParsedRule<'_>, warnings: &mut Vec<Warning>) {
    let used = rule.used_selectors();
    for (index, selector) in rule.selectors.iter().enumerate() {
        if !used.contains(&index) {
            let field = format!("spec.selectors[{}]", selector.written.name);
            let hint = "name it there, or take it out";
            let message = format!("the detection of type {} does not name it", rule.spec.detection.type_.as_str());
            warnings.push(Warning::of_field(Lint::UnusedSelector, field, message, hint));
        }
    }
    let mut names = BTreeSet::new();
    let of_selectors = rule
        .selectors
        .iter()
        .flat_map(|s| [&s.condition].into_iter().chain(&s.keys).chain(&s.distinct).chain(&s.captures).map(|e| &e.ast));
    for ast in of_selectors.chain(rule.variables.values().map(|v| &v.ast)) {
        variables(ast, &mut names);
    }
    for (name, variable) in rule.variables.iter().filter(|(name, _)| !names.contains(name.as_str())) {
        let message = format!("no expression reads `variables.{name}`");
        warnings.push(Warning::of_field(Lint::UnusedVariable, &variable.field, message, "take it out"));
    }
}

fn variables<'a>(ast: &'a Ast, names: &mut BTreeSet<&'a str>) {
    if let Kind::Select { operand, field, .. } = &ast.kind
        && matches!(&operand.kind, Kind::Name(name) if name == "variables")
    {
        names.insert(field);
    }
    children(ast).into_iter().for_each(|child| variables(child, names));
}
