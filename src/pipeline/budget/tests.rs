//! A dear rule is switched off by its own cost, and the others don't notice.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ALLOWED, STRETCH};
use crate::{
    pipeline::{Pipeline, PipelineConfig, seen::What},
    record::{IdKey, Origin, Provenance, Record, RuleId},
    redact,
    ruleset::{
        CompiledRule,
        compile::{RuleSource, compile},
        expr::STEP_LIMIT,
    },
};

fn rule(name: &str, generation: i64, condition: &str, count: u32) -> Arc<CompiledRule> {
    let spec = json!({
        "title": name, "severity": "Low",
        "selectors": [{"name": "call", "source": "Audit", "where": condition}],
        "groupBy": [{"name": "user", "value": "user.name"}],
        "detection": {"type": "Threshold", "threshold": {"count": count, "within": "1h"}},
    });
    let spec = serde_json::from_value(spec).unwrap();
    Arc::new(compile(&RuleSource { id: RuleId::cluster(name), generation, spec }).unwrap())
}

/// Always as dear as an evaluation can be.
fn dear(generation: i64) -> Arc<CompiledRule> {
    rule("dear", generation, "lists.range(20000).exists(i, lists.range(20000).exists(j, i + j < 0))", 1)
}

/// Dear by its matches alone: a flood is no reason.
fn flooded() -> Arc<CompiledRule> {
    rule("flooded", 1, "true", 1)
}

fn event(n: u64) -> Record {
    let time = "2026-11-25T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(n as i64 * 10);
    let event = json!({
        "level": "Metadata", "auditID": n.to_string(), "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "list",
        "user": {"username": format!("user-{}", n % 7)}, "objectRef": {"resource": "pods", "apiVersion": "v1"},
        "responseStatus": {"code": 200}, "requestReceivedTimestamp": time, "stageTimestamp": time,
    });
    let bytes = event.to_string().into_bytes();
    let origin = Origin { cluster: "c".into(), reporter: "cp-1".into(), provenance: Provenance::AuditWebhook };
    let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
    redact::record(outcome, &bytes, &origin, time, &IdKey::OFFLINE)
}

/// Name and count of each alert.
fn alerts(pipeline: &Pipeline) -> Vec<(String, u64)> {
    pipeline.alerts().map(|alert| (alert.id.to_string(), alert.total_count())).collect()
}

fn pipeline(rules: &[Arc<CompiledRule>]) -> Pipeline {
    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    rules.iter().for_each(|rule| pipeline.accept(Arc::clone(rule)));
    pipeline
}

fn push(pipeline: &mut Pipeline, events: std::ops::Range<u64>) {
    events.for_each(|n| pipeline.push(n + 1, &event(n)));
}

#[test]
fn a_dear_rule_is_switched_off_and_the_others_find_what_they_find() {
    let quiet = [rule("other", 1, "audit.verb == 'list'", 3), flooded()];
    let mut without = pipeline(&quiet);
    let mut beside = pipeline(&[quiet.as_slice(), &[dear(1)]].concat());
    push(&mut without, 0..300);
    push(&mut beside, 0..300);
    assert_eq!(alerts(&beside), alerts(&without));
    let over: Vec<_> = beside.over_budget().iter().map(|(rule, over)| (rule.to_string(), over.generation)).collect();
    assert_eq!(over, [("dear".to_owned(), 1)], "a flood of matches switches nothing off");
    let over = beside.over_budget()[&RuleId::cluster("dear")];
    assert!(over.steps > ALLOWED && over.events < 120, "{over:?}");
    let failed = beside.failures()[&RuleId::cluster("dear")].0;
    assert!(failed < 120, "it is not evaluated any more: {failed}");

    beside.accept(dear(2));
    assert!(beside.over_budget().is_empty(), "the next generation is tried");
    push(&mut beside, 300..500);
    assert_eq!(beside.over_budget()[&RuleId::cluster("dear")].generation, 2);
}

/// Alerts of these rules that changed since the last call, with their counts.
fn told(pipeline: &mut Pipeline, of: &[Arc<CompiledRule>]) -> Vec<(String, u64)> {
    let changed = pipeline.take_changed();
    let alerts = changed.iter().filter_map(|id| pipeline.alert(id));
    let own = alerts.filter(|alert| of.iter().any(|rule| rule.id == alert.rule.id));
    own.map(|alert| (alert.id.to_string(), alert.total_count())).collect()
}

/// Latency, in what can be counted: the others cost each event the same steps and tell with the same event, and what the
/// hostile rule adds to an event is bounded, until it adds nothing.
#[test]
fn beside_a_hostile_rule_and_a_flood_each_event_is_as_much_work_for_the_others_and_tells_as_much() {
    let others = [
        rule("third", 1, "audit.verb == 'list' && user.name.endsWith('3')", 3),
        rule("own", 1, "user.name == 'user-5'", 1),
    ];
    let (mut without, mut flood) = (pipeline(&others), pipeline(&[flooded()]));
    let mut beside = pipeline(&[others.as_slice(), &[dear(1), flooded()]].concat());
    let work = |pipeline: &Pipeline, n: u64| match pipeline.see(n + 1, &event(n)).what {
        What::Event(event) => event.detected,
        what => panic!("{what:?}"),
    };
    let mut findings = 0;
    for n in 0..300 {
        let all = work(&beside, n);
        let of_dear = all.costly.iter().filter(|(rule, _)| &*rule.id.name == "dear");
        let dear: u64 = of_dear.map(|(_, steps)| steps).sum();
        let others_alone = work(&without, n).steps + work(&flood, n).steps;
        assert_eq!(all.steps - dear, others_alone, "event {n}");
        let is_over = !beside.over_budget().is_empty();
        assert!(if is_over { dear == 0 } else { (1..=STEP_LIMIT + 1).contains(&dear) }, "event {n}: {dear}");
        for pipeline in [&mut without, &mut flood, &mut beside] {
            push(pipeline, n..n + 1);
        }
        let (one, two) = (told(&mut without, &others), told(&mut beside, &others));
        assert_eq!(one, two, "event {n}");
        findings += one.len();
    }
    assert!(findings > 60 && !beside.over_budget().is_empty());
    assert_eq!((beside.correlator().counters().evicted, beside.counters().findings > 300), (0, true));
}

#[test]
fn a_rule_that_is_switched_off_stays_so_over_a_restart() {
    let mut first = pipeline(&[dear(1)]);
    push(&mut first, 0..200);
    let mut written = Vec::new();
    first.snapshot(200).write(&mut written).unwrap();
    let (mut second, _) = Pipeline::restore(PipelineConfig::offline(), written.as_slice()).unwrap();
    assert_eq!(second.over_budget(), first.over_budget());
    second.accept(dear(1));
    assert!(!second.over_budget().is_empty(), "the same generation is no other");
    push(&mut second, 200..210);
    assert!(second.failures().is_empty(), "it is not evaluated");
}

#[test]
fn what_a_rule_may_spend_comes_anew_with_each_stretch() {
    let mut budgets = super::Budgets::default();
    let rule = flooded();
    for _ in 0..3 {
        for event in 0..STRETCH {
            budgets.count();
            assert!(!budgets.charge(&rule, ALLOWED / STRETCH), "at event {event} it is within what it may");
        }
    }
    assert!(budgets.charge(&rule, 1), "one more is over");
}
