//! What a snapshot of a large inventory and of many alerts keeps evaluation waiting; correlation's state is measured in `keys`.

use std::{
    hint::black_box,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use kubewitness::{
    api::RuleSpec,
    pipeline::{Pipeline, PipelineConfig},
    record::{IdKey, InventoryChange, Payload, PodFacts, Record, RecordId, RedactionFacts, RuleId},
    ruleset::compile::{RuleSource, compile},
};
use serde_json::json;

use crate::{Scale, measure::Report, stages};

/// Records that come while a snapshot is held.
const AFTER: usize = 5000;

pub fn run(report: &mut Report, scale: &Scale) {
    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    (0..scale.pods).for_each(|number| pipeline.push(number as u64, &pod(number, 0)));
    // Each changes another pod, so that what is shared has to be copied.
    let after = (0..AFTER).map(|number| pod(number.wrapping_mul(7919) % scale.pods, 1));
    measured(report, "snapshot_200k_pods", &mut pipeline, after.collect());

    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    let spec = json!({
        "title": "refused", "severity": "Low",
        "selectors": [{"name": "denied", "source": "Audit", "where": "audit.responseStatus.code == 403"}],
        "groupBy": [{"name": "identity", "value": "user.name"}],
        "detection": {"type": "Match"},
        "alert": {"summary": "{key.identity} was refused {audit.verb} {audit.requestURI}"},
    });
    let spec: RuleSpec = serde_json::from_value(spec).expect("a rule");
    let source = RuleSource { id: RuleId::cluster("refused"), generation: 1, spec };
    pipeline.accept(Arc::new(compile(&source).expect("a rule that compiles")));
    (0..scale.alerts).for_each(|number| pipeline.push(number as u64, &refused(number, number)));
    assert_eq!(pipeline.alerts().count(), scale.alerts, "one alert a user");
    let after = (0..AFTER).map(|number| refused(number.wrapping_mul(7919) % scale.alerts, scale.alerts + number));
    measured(report, "snapshot_20k_alerts", &mut pipeline, after.collect());
}

/// How long taking a snapshot takes, the slowest record while it is held, and how long it takes to write it.
fn measured(report: &mut Report, name: &str, pipeline: &mut Pipeline, after: Vec<Record>) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let start = Instant::now();
    let snapshot = pipeline.snapshot(1);
    report.set(format!("{name}_pause_ms"), ms(start.elapsed()));
    let mut worst = Duration::ZERO;
    for record in &after {
        let start = Instant::now();
        pipeline.push(u64::MAX / 2, black_box(record));
        worst = worst.max(start.elapsed());
    }
    report.set(format!("{name}_worst_step_ms"), ms(worst));
    let start = Instant::now();
    snapshot.write(&mut io::sink()).expect("a sink takes all");
    report.set(format!("{name}_write_ms"), ms(start.elapsed()));
}

/// A pod of 50 on a node, as it is at first or after a change.
fn pod(number: usize, change: usize) -> Record {
    let facts = PodFacts {
        namespace: format!("team-{}", number % 2000),
        name: format!("app-{}-7d4b9c6f5-{number:05x}", number % 5000),
        uid: format!("{number:08x}-4c1e-4a57-a1b2-0242ac120002"),
        node: format!("ip-10-2-{}-{}", number / 50 / 250, number / 50 % 250),
        addresses: vec![format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)],
        service_account: format!("app-{}", number % 5000),
        workload_kind: "Deployment".into(),
        workload_name: format!("app-{}", number % 5000),
        labels: [
            ("app.kubernetes.io/name".to_owned(), format!("app-{}", number % 5000)),
            ("version".to_owned(), format!("v{change}")),
        ]
        .into(),
        ..PodFacts::default()
    };
    Record {
        id: RecordId::of(&IdKey::OFFLINE, &[&(number + change).to_le_bytes()]),
        received_at: stages::received(number),
        origin: None,
        facts: RedactionFacts::default(),
        payload: Payload::Inventory(InventoryChange::Pod(facts)),
    }
}

/// A request of a user of this number that is refused.
fn refused(user: usize, place: usize) -> Record {
    let event = json!({
        "level": "Metadata", "auditID": format!("{place:032x}"), "stage": "ResponseComplete", "verb": "list",
        "requestURI": format!("/api/v1/namespaces/team-{}/secrets", user % 4000), "sourceIPs": ["10.0.0.1"], "userAgent": "kubectl/v1.34",
        "user": {"username": format!("system:serviceaccount:team-{}:app-{user}", user % 4000), "groups": ["system:authenticated"]},
        "objectRef": {"resource": "secrets", "namespace": format!("team-{}", user % 4000), "apiVersion": "v1"},
        "responseStatus": {"code": 403}, "stageTimestamp": stages::received(place).to_string(),
    });
    stages::record(&event.to_string(), place)
}
