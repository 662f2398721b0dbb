//! Any text as an expression: it compiles or is refused, and what compiles is evaluated on an event. What must never
//! happen is a panic, an abort, or more memory or time than the limits on the command line.
#![no_main]

use std::sync::LazyLock;

use kubewitness::{
    normalise,
    record::{IdKey, Origin, Provenance, Record},
    redact,
    ruleset::expr::{Expected, Program, Steps, Variables},
};
use libfuzzer_sys::fuzz_target;

const EVENT: &str = r#"{
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1",
    "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/web/pods", "verb": "create",
    "user": {"username": "jane", "groups": ["dev", "system:authenticated"], "extra": {"k": ["v1", "v2"]}},
    "sourceIPs": ["10.0.0.7", "203.0.113.9"], "userAgent": "kubectl/v1.34",
    "objectRef": {"resource": "pods", "namespace": "web", "name": "p", "apiVersion": "v1"},
    "responseStatus": {"code": 403, "reason": "Forbidden"},
    "requestReceivedTimestamp": "2026-03-01T23:30:05.250000Z", "stageTimestamp": "2026-03-01T23:30:05.350000Z",
    "annotations": {"authorization.k8s.io/decision": "forbid"},
    "requestObject": {"kind": "Pod", "spec": {"hostNetwork": true, "nodeName": null, "priority": 5, "weight": 1.5,
        "containers": [{"name": "a", "image": "nginx"}, {"name": "b", "image": "busybox:1"}]}}
}"#;

static RECORD: LazyLock<Record> = LazyLock::new(|| {
    let outcome = redact::audit_event(redact::Input { bytes: EVENT.as_bytes(), oversize: false });
    let origin = Origin { cluster: "c".into(), reporter: "r".into(), provenance: Provenance::AuditLog };
    let received = "2026-03-01T23:30:06Z".parse().expect("a time");
    redact::record(outcome, EVENT.as_bytes(), &origin, received, &IdKey::OFFLINE)
});

fuzz_target!(|bytes: &[u8]| {
    let source = String::from_utf8_lossy(bytes);
    match Program::compile(&source, Expected::Any, &Variables::default()) {
        Ok(program) => {
            let event = normalise::event(&RECORD).expect("an audit record");
            let value = program.eval(&event, &mut Steps::default());
            drop(value.map(|value| (value.to_string(), value.to_json())));
        }
        // The parser's own panics are caught where it is called.
        Err(error) => assert!(error.message != "the parser does not cope with it"),
    }
});
