//! Rules that change while events come: the others' state and all events stay.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Pipeline, PipelineConfig};
use crate::{
    correlate::Limits,
    record::{IdKey, Origin, Provenance, Record, RuleId},
    redact,
    ruleset::{
        CompiledRule,
        compile::{RuleSource, compile},
    },
};

const SWAPPED: usize = 500;
/// Of each three swapped rules one gets only another title.
const RETITLED: usize = 3;
const STANDING: usize = 20;

fn at(second: i64) -> Timestamp {
    "2026-11-25T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

/// Takes in the refusals of the user that is named like it.
fn rule(name: &str, generation: i64, title: &str, count: u32) -> Arc<CompiledRule> {
    let spec = json!({
        "title": title, "severity": "Low",
        "selectors": [{"name": "denied", "source": "Audit",
            "where": format!("audit.responseStatus.code == 403 && user.name == '{name}'")}],
        "groupBy": [{"name": "namespace", "value": "audit.objectRef.namespace"}],
        "detection": {"type": "Threshold", "threshold": {"selector": "denied", "count": count, "within": "1h"}},
    });
    let spec = serde_json::from_value(spec).unwrap();
    Arc::new(compile(&RuleSource { id: RuleId::cluster(name), generation, spec }).unwrap())
}

/// The events of a run, one a second.
struct Run {
    pipeline: Pipeline,
    events: i64,
}

impl Run {
    fn new() -> Run {
        let pipeline = Pipeline::new(PipelineConfig { limits: Limits::default(), ..PipelineConfig::offline() });
        let mut run = Run { pipeline, events: 0 };
        (0..STANDING).for_each(|n| run.pipeline.accept(rule(&format!("standing-{n}"), 1, "standing", 4)));
        (0..SWAPPED).for_each(|n| run.pipeline.accept(rule(&format!("swapped-{n}"), 1, "first", 3)));
        run
    }

    fn refuse(&mut self, user: &str) {
        self.events += 1;
        let time = at(self.events);
        let event = json!({
            "level": "Metadata", "auditID": format!("id-{}", self.events), "stage": "ResponseComplete",
            "requestURI": "/api/v1/namespaces/shop/secrets", "verb": "list", "user": {"username": user},
            "sourceIPs": ["192.0.2.1"], "objectRef": {"resource": "secrets", "namespace": "shop", "apiVersion": "v1"},
            "responseStatus": {"code": 403}, "requestReceivedTimestamp": time.to_string(), "stageTimestamp": time.to_string(),
        });
        self.pipeline.push(self.events as u64, &record(&event, time));
    }

    /// A refusal of each swapped rule's user, and of the standing ones' in between.
    fn round(&mut self) {
        for n in 0..SWAPPED {
            self.refuse(&format!("swapped-{n}"));
            if n % 25 == 0 {
                self.refuse(&format!("standing-{}", n / 25));
            }
        }
    }

    /// What alerts say, without titles.
    fn alerts(&self) -> BTreeMap<String, Value> {
        let whole = |alert: &crate::alert::Alert| {
            let mut status = serde_json::to_value(alert.status(at(self.events), None)).unwrap();
            status["summary"] = Value::Null;
            (alert.rule.id.name.to_string(), json!({"status": status, "records": alert.contributions()}))
        };
        self.pipeline.alerts().map(whole).collect()
    }
}

fn record(event: &Value, received: Timestamp) -> Record {
    let bytes = serde_json::to_vec(event).unwrap();
    let origin = Origin { cluster: "c".into(), reporter: "api".into(), provenance: Provenance::AuditWebhook };
    let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
    redact::record(outcome, &bytes, &origin, received, &IdKey::OFFLINE)
}

#[test]
fn swapping_500_rules_under_load_loses_no_event_and_no_window() {
    let (mut swapping, mut steady) = (Run::new(), Run::new());
    for run in [&mut swapping, &mut steady] {
        run.round();
        run.round();
    }
    let mut anew = 0;
    for n in 0..SWAPPED {
        let name = format!("swapped-{n}");
        let next = if n % RETITLED == 0 { rule(&name, 2, "second", 3) } else { rule(&name, 2, "second", 2) };
        anew += u64::from(n % RETITLED != 0);
        swapping.pipeline.accept(next);
        // The ruleset's index is made anew for the next event, which costs: not after each single rule.
        if n % 50 == 0 {
            for run in [&mut swapping, &mut steady] {
                run.refuse(&format!("standing-{}", n / 50));
            }
        }
    }
    let entries = |run: &Run| run.pipeline.correlator().counters().entries;
    assert_eq!(entries(&swapping), entries(&steady) - 2 * anew, "only what was edited begins anew");
    for run in [&mut swapping, &mut steady] {
        run.round();
        run.round();
        assert_eq!(run.pipeline.counters().events, run.events as u64);
        assert_eq!(run.pipeline.counters().matched, run.events as u64, "each event found its rule");
        let state = run.pipeline.correlator().counters();
        assert_eq!((state.late, state.evicted, state.expired, state.texts_forgotten), (0, 0, 0, 0));
    }
    let (swapped, mut expected) = (swapping.alerts(), steady.alerts());
    assert_eq!(swapped.len(), SWAPPED + STANDING);
    // A rule that was edited knows what came after, two refusals.
    for (name, alert) in &swapped {
        let number: Option<usize> = name.strip_prefix("swapped-").map(|n| n.parse().unwrap());
        if number.is_some_and(|n| n % RETITLED != 0) {
            assert_eq!(
                (&alert["status"]["count"], alert["records"].as_array().unwrap().len()),
                (&json!(1), 2),
                "{name}"
            );
            expected.insert(name.clone(), alert.clone());
        }
    }
    assert_eq!(swapped, expected);
}
