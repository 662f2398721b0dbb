//! What it costs to find the rules that match an event: with the index, by evaluating every rule, and with the interpreter of
//! the `cel` crate.

use std::{
    collections::{BTreeMap, HashMap},
    hint::black_box,
    sync::Arc,
    time::Duration,
};

use cel::Context;
use kubewitness::{
    detect::{detect, every_rule},
    enrich::{Inventory, enrich},
    event::{
        Event,
        schema::{FIELDS, FieldValue},
    },
    normalise,
    record::Record,
    ruleset::{
        CompiledRule, Ruleset,
        compile::{RuleSource, compile_all},
        expr::{Expected, Program, STEP_LIMIT, Steps, Variables},
    },
};
use serde_json::Value;

use crate::{
    Scale,
    measure::{Report, Timing, rounds, timed},
};

/// Events that are decoded before they are timed: as many as stay in the caches, as in the pipeline an event does that was
/// just decoded.
const BATCH: usize = 32;

pub fn compiled(sources: &[RuleSource]) -> Vec<Arc<CompiledRule>> {
    let (rules, refused) = compile_all(sources);
    assert!(refused.is_empty(), "a rule of the bench does not compile: {:?}", refused.first());
    rules
}

/// Calls `work` with batches of events.
fn batches(records: &[Record], mut work: impl FnMut(&[Event<'_>])) {
    let inventory = Inventory::default();
    for batch in records.chunks(BATCH) {
        let mut events: Vec<Event<'_>> = batch.iter().filter_map(normalise::event).collect();
        events.iter_mut().for_each(|event| enrich(event, &inventory));
        work(&events);
    }
}

pub fn run(report: &mut Report, scale: &Scale, sources: &[RuleSource], records: &[Record]) {
    for (name, count) in ["10", "1000", "5000"].into_iter().zip(scale.rules) {
        let sources = sources.get(..count).expect("as many rules were made");
        let rules = compiled(sources);
        let build = rounds(scale.builds, || (timed(|| black_box(Ruleset::new(rules.clone()).index().memory())).0, 1));
        report.set(format!("index_{name}_rules_build_ms"), build.best / 1e6);
        let ruleset = Ruleset::new(rules);
        report.set(format!("index_{name}_rules_kib"), ruleset.index().memory() as f64 / 1024.0);
        let (mut candidates, mut matches) = (0, 0);
        batches(records, |events| {
            for event in events {
                candidates += ruleset.index().candidates(event, None).len();
                matches += detect(&ruleset, event, 1).matches.len();
            }
        });
        report.set(
            format!("select_{name}_rules_evaluated_per_event"),
            f64::from(candidates as u32) / records.len() as f64,
        );
        report.set(format!("select_{name}_rules_matches_per_event"), f64::from(matches as u32) / records.len() as f64);
        report.time(&format!("select_{name}_rules_ns"), detection(scale, &ruleset, records));
        let index = rounds(scale.rounds, || {
            let mut took = Duration::ZERO;
            batches(records, |events| {
                took +=
                    timed(|| events.iter().for_each(|event| drop(black_box(ruleset.index().candidates(event, None)))))
                        .0;
            });
            (took, records.len())
        });
        report.time(&format!("select_{name}_rules_index_only_ns"), index);
        if name == "1000" {
            naive(report, scale, &ruleset, records);
        }
    }
    interpreter(report, scale, sources.get(..scale.rules[1]).unwrap_or(sources), records);
}

/// Which rules are left to evaluate, and how often in 10,000 events: what `-- rules` prints.
pub fn by_rule(sources: &[RuleSource], records: &[Record]) {
    let ruleset = Ruleset::new(compiled(sources));
    let mut each: BTreeMap<(u32, u32), [usize; 3]> = BTreeMap::new();
    let mut places: HashMap<String, (u32, u32)> = HashMap::new();
    for (rule, number) in ruleset.rules().iter().zip(0..) {
        (0..rule.selectors.len() as u32).for_each(|selector| {
            places.insert(format!("{:?}{selector}", rule.id), (number, selector));
        });
    }
    batches(records, |events| {
        for event in events {
            for candidate in ruleset.index().candidates(event, None) {
                let [evaluated, _, took] = each.entry(candidate).or_default();
                *evaluated += 1;
                let rule = ruleset.rules().get(candidate.0 as usize).expect("the index names rules");
                let selector = rule.selectors.get(candidate.1 as usize).expect("the index names selectors");
                let holds = || drop(black_box(selector.condition.holds(event, &mut Steps::new(STEP_LIMIT))));
                *took += timed(holds).0.as_nanos() as usize;
            }
            for found in detect(&ruleset, event, 1).matches {
                let place = places.get(&format!("{:?}{}", found.rule.id, found.selector)).expect("it is a rule's");
                each.entry(*place).or_default()[1] += 1;
            }
        }
    });
    let mut each: Vec<_> = each.into_iter().collect();
    each.sort_by_key(|(_, [_, _, took])| std::cmp::Reverse(*took));
    // The first of those that read a body decodes it for all.
    println!("{:>10} {:>10}  in 10,000 events; conditions' ns an event", "evaluated", "matched");
    for ((rule, selector), counts) in each {
        let [evaluated, matched, took] = counts.map(|count| count as f64 * 1e4 / records.len() as f64);
        let rule = ruleset.rules().get(rule as usize).expect("the index names rules");
        println!("{evaluated:>10.1} {matched:>10.1} {:>8.1}  {} selector {selector}", took / 1e4, rule.id.name);
    }
}

fn detection(scale: &Scale, ruleset: &Ruleset, records: &[Record]) -> Timing {
    rounds(scale.rounds, || {
        let mut took = Duration::ZERO;
        batches(records, |events| {
            took += timed(|| events.iter().for_each(|event| drop(black_box(detect(ruleset, event, 1))))).0;
        });
        (took, records.len())
    })
}

/// All rules, those among them that take in much of all traffic.
pub fn wide(report: &mut Report, scale: &Scale, sources: &[RuleSource], records: &[Record]) {
    let ruleset = Ruleset::new(compiled(sources.get(..scale.rules[1]).unwrap_or(sources)));
    report.time("select_1000_rules_with_wide_ns", detection(scale, &ruleset, records));
}

fn naive(report: &mut Report, scale: &Scale, ruleset: &Ruleset, records: &[Record]) {
    let records = records.get(..scale.naive_events).unwrap_or(records);
    let timing = rounds(scale.naive_rounds, || {
        let mut took = Duration::ZERO;
        batches(records, |events| {
            took += timed(|| events.iter().for_each(|event| drop(black_box(every_rule(ruleset, event, 1))))).0;
        });
        (took, records.len())
    });
    report.time("select_1000_naive_ns", timing);
    report.ratio("select_1000_naive_over_ours", "select_1000_naive_ns", "select_1000_rules_ns");
}

/// The conditions that the interpreter has all functions for, evaluated by it and by ours, one by one.
fn interpreter(report: &mut Report, scale: &Scale, sources: &[RuleSource], records: &[Record]) {
    let records = records.get(..scale.naive_events.min(256)).unwrap_or(records);
    let inventory = Inventory::default();
    let mut events: Vec<Event<'_>> = records.iter().filter_map(normalise::event).collect();
    events.iter_mut().for_each(|event| enrich(event, &inventory));
    let contexts: Vec<Context<'_, '_>> = events.iter().map(context).collect();
    let conditions = sources.iter().flat_map(|source| &source.spec.selectors).map(|selector| selector.where_.as_str());
    let selectors = conditions.clone().count();
    let mut pairs = Vec::new();
    for condition in conditions {
        let (Ok(theirs), Ok(ours)) =
            (cel::Program::compile(condition), Program::compile(condition, Expected::Bool, &Variables::default()))
        else {
            continue;
        };
        if contexts.first().is_some_and(|context| theirs.execute(context).is_ok()) {
            pairs.push((theirs, ours));
        }
    }
    let pieces = pairs.len() * events.len();
    let theirs = rounds(scale.naive_rounds, || {
        let run = || {
            for context in &contexts {
                pairs.iter().for_each(|(theirs, _)| drop(black_box(theirs.execute(context))));
            }
        };
        (timed(run).0, pieces)
    });
    let ours = rounds(scale.naive_rounds, || {
        let run = || {
            for event in &events {
                pairs.iter().for_each(|(_, ours)| drop(black_box(ours.holds(event, &mut Steps::new(STEP_LIMIT)))));
            }
        };
        (timed(run).0, pieces)
    });
    report.set("cel_crate_conditions", pairs.len() as f64);
    report.time("cel_crate_ns_per_condition", theirs);
    report.time("evaluator_ns_per_condition", ours);
    report.ratio("evaluator_cel_crate_over_ours", "cel_crate_ns_per_condition", "evaluator_ns_per_condition");
    report.set("select_1000_cel_crate_ns", theirs.best * selectors as f64);
    report.ratio("select_1000_cel_crate_over_ours", "select_1000_cel_crate_ns", "select_1000_rules_ns");
}

/// The event as nested maps of values, made before the clock runs.
fn context<'c>(event: &Event<'_>) -> Context<'c, 'c> {
    let mut root = BTreeMap::new();
    for field in FIELDS {
        let Some(value) = json((field.get)(event)) else { continue };
        let mut parts = field.path.split('.');
        let (Some(first), Some(last)) = (parts.next(), field.path.rsplit('.').next()) else { continue };
        if first == last {
            root.insert(first, value);
            continue;
        }
        let mut group = root.entry(first).or_insert_with(|| Value::Object(Default::default()));
        let between = field.path.split('.').count() - 2;
        for part in parts.take(between) {
            group = &mut group[part];
            if group.is_null() {
                *group = Value::Object(Default::default());
            }
        }
        group[last] = value;
    }
    let mut context = Context::default();
    for (name, value) in root {
        context.add_variable_from_value(name, cel::to_value(value).expect("JSON is a value of CEL"));
    }
    context
}

fn json(value: FieldValue<'_>) -> Option<Value> {
    Some(match value {
        FieldValue::Str(text) => text.into(),
        FieldValue::Int(int) => int.into(),
        FieldValue::Bool(bool) => bool.into(),
        FieldValue::Strings(list) => list.iter().map(|text| text.as_str()).collect(),
        FieldValue::OwnedStrings(list) => list.iter().map(String::as_str).collect(),
        FieldValue::StaticStrings(list) => list.iter().copied().collect(),
        FieldValue::Json(fields) => fields?.clone(),
        FieldValue::Body(body) => body?.to_value(),
        FieldValue::Timestamp(_)
        | FieldValue::NoTimestamp
        | FieldValue::StringMap(_)
        | FieldValue::StringPairs(_)
        | FieldValue::StringsPairs(_) => return None,
    })
}
