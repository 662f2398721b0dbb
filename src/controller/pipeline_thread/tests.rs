use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::{
    correlate::TICK,
    record::{IdKey, Origin, Payload, Provenance, Record, RecordId, RedactionFacts, RuleChange, RuleId},
    redact,
    store::{self, StoreConfig},
};

fn own(received_at: Timestamp, payload: Payload) -> Record {
    let id =
        RecordId::of(&IdKey::OFFLINE, &[received_at.to_string().as_bytes(), &serde_json::to_vec(&payload).unwrap()]);
    Record { id, received_at, origin: None, facts: RedactionFacts::default(), payload }
}

/// A user who was seen is expected again within ten minutes.
fn rule(at: Timestamp) -> Record {
    let spec = json!({
        "title": "Silent", "severity": "Low",
        "selectors": [{"name": "call", "source": "Audit", "where": "true"}],
        "groupBy": [{"name": "user", "value": "user.name"}],
        "detection": {"type": "Absence", "absence": {"selector": "call", "within": "10m"}},
    });
    let spec = Box::new(serde_json::from_value(spec).unwrap());
    let rule = RuleId::cluster("silent");
    own(at, Payload::Rule(RuleChange::Accepted { rule, uid: "u".to_owned(), generation: 1, spec }))
}

fn call(at: Timestamp) -> Record {
    let event = json!({
        "auditID": "1", "stage": "ResponseComplete", "verb": "get", "user": {"username": "eve"},
        "responseStatus": {"code": 200}, "requestReceivedTimestamp": at, "stageTimestamp": at,
    });
    let bytes = event.to_string().into_bytes();
    let origin = Origin { cluster: "c".into(), reporter: "cp-1".into(), provenance: Provenance::AuditWebhook };
    let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
    redact::record(outcome, &bytes, &origin, at, &IdKey::OFFLINE)
}

/// Evaluates the whole log, as after a start. Findings, and whether ticks are wanted.
fn evaluate(store: &Store) -> (u64, bool) {
    let registry = prometheus::Registry::new();
    let metrics = PipelineMetrics::register(&registry).unwrap();
    let waits = Arc::new(AtomicBool::new(false));
    let (tray, activity) = (Arc::default(), Activity::default());
    let thread = PipelineThread::new(store.clone(), None, tray, activity, Arc::clone(&waits), metrics);
    let shutdown = CancellationToken::new();
    shutdown.cancel(); // it ends when all is evaluated
    thread.spawn(Check::new("pipeline", true), shutdown).unwrap().join().unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let findings = text.lines().find_map(|line| line.strip_prefix("kubewitness_pipeline_findings_total ")).unwrap();
    (findings.parse().unwrap(), waits.load(Ordering::Relaxed))
}

#[tokio::test]
async fn silence_is_found_by_ticks_alone_and_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = store::Metrics::register(&prometheus::Registry::new()).unwrap();
    let (store, appender, writer) = Store::open(StoreConfig::at(dir.path()), metrics).unwrap();
    let writer = thread::spawn(move || writer.run());
    let start: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
    appender.append(vec![call(start)]).await.unwrap();
    assert_eq!(evaluate(&store), (0, false), "no rule waits");

    appender.append(vec![rule(start + TICK), call(start + TICK * 2)]).await.unwrap();
    let deadline = start + TICK * 2 + SignedDuration::from_mins(10);
    let decided = deadline + SignedDuration::from_mins(5);
    let times = (3..).map(|n| start + TICK * n).take_while(|at| *at <= decided);
    appender.append(times.map(|at| own(at, Payload::Tick)).collect()).await.unwrap();
    assert_eq!(evaluate(&store), (0, true), "something might still come");
    appender.append(vec![own(decided + TICK, Payload::Tick)]).await.unwrap();
    assert_eq!(evaluate(&store), (1, true));
    assert_eq!(evaluate(&store), (1, true), "the record says it again");
    drop(appender);
    writer.join().unwrap();
}
