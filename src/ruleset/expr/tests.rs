//! Expressions over one event: values, errors, places, bounds.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    api::rule::Source,
    event::{AuditEvent, Outcome, Place, Precision, User},
    record::{IdKey, Origin, Provenance, RecordId},
};

fn event(audit: serde_json::Value) -> Event {
    let audit: AuditEvent = serde_json::from_str(&audit.to_string()).expect("an audit event");
    Event {
        id: RecordId::of(&IdKey::OFFLINE, &[b"test"]),
        source: Source::Audit,
        created: "2026-03-01T23:30:05.25Z".parse().expect("a time"),
        precision: Precision::Micros,
        received: "2026-03-01T23:30:06Z".parse().expect("a time"),
        origin: Origin { cluster: "prod".into(), reporter: "cp-1".into(), provenance: Provenance::AuditWebhook },
        redacted: vec![],
        secret_like_values: 0,
        incomplete: vec!["Clipped"],
        clamped: false,
        category: vec!["api", "iam"],
        type_: vec!["creation"],
        action: audit.verb.clone(),
        outcome: Outcome::Failure,
        reason: String::new(),
        code: "403".into(),
        provider: "kubernetes-audit",
        user: User { name: "jane".into(), id: "u1".into(), effective_name: String::new() },
        source_ip: "203.0.113.9".into(),
        claimed_ips: vec![],
        user_agent: "kubectl/v1.34".into(),
        kubernetes: Place::default(),
        target: Place { labels: [("app".to_owned(), "web".to_owned())].into(), ..Place::default() },
        message: "jane create pods".into(),
        audit: Some(Arc::new(audit)),
    }
}

fn sample() -> Event {
    event(json!({
        "level": "RequestResponse", "auditID": "a-1", "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "create",
        "user": {"username": "jane", "groups": ["dev", "system:authenticated"], "extra": {"k": ["v1", "v2"]}},
        "sourceIPs": ["10.0.0.7", "203.0.113.9"], "userAgent": "kubectl/v1.34",
        "objectRef": {"resource": "pods", "namespace": "web", "name": "p"},
        "responseStatus": {"code": 403, "reason": "Forbidden"},
        "requestReceivedTimestamp": "2026-03-01T23:30:05.25Z",
        "annotations": {"authorization.k8s.io/decision": "forbid"},
        "requestObject": {"kind": "Pod", "spec": {"hostNetwork": true, "nodeName": null, "priority": 5, "weight": 1.5,
            "containers": [
                {"name": "a", "image": "nginx", "securityContext": {"privileged": true}},
                {"name": "b", "image": "busybox:1"}]}}
    }))
}

fn value(source: &str) -> Result<serde_json::Value, String> {
    let program = Program::compile(source, Expected::Any, &Variables::default()).map_err(|e| e.to_string())?;
    program.eval(&sample(), &mut Steps::default()).map(|v| v.to_json()).map_err(|e| format!("eval: {e}"))
}

#[track_caller]
fn all_true(sources: &[&str]) {
    let wrong: Vec<String> = sources
        .iter()
        .filter_map(|source| match value(source) {
            Ok(serde_json::Value::Bool(true)) => None,
            other => Some(format!("{source}\n    -> {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fields_have_their_values() {
    all_true(&[
        r#"audit.verb == "create""#,
        r#"audit.verb in ["create", "patch"] && audit.objectRef.resource == "pods""#,
        r#"audit.responseStatus.code >= 400 && event.outcome == "failure""#,
        r#""dev" in audit.user.groups"#,
        r#"audit.user.extra["k"] == ["v1", "v2"] && audit.user.extra.k[1] == "v2""#,
        r#"audit.annotations["authorization.k8s.io/decision"] == "forbid""#,
        r#"audit.objectRef.subresource == "" && kubernetes.pod.name == """#,
        r#"event.category == ["api", "iam"] && "iam" in event.category"#,
        r#"event.created == timestamp("2026-03-01T23:30:05.25Z")"#,
        r#"audit.stageTimestamp == timestamp(0)"#,
        r#"kubernetes.target.labels.app == "web" && !("x" in kubernetes.target.labels)"#,
        r#"audit.requestObject.spec.hostNetwork"#,
        r#"audit.requestObject.spec.containers.exists(c, c.securityContext.privileged)"#,
        r#"audit.requestObject.spec.nodeName == null"#,
        r#"audit.requestObject.spec.priority == 5 && type(audit.requestObject.spec.priority) == int"#,
        r#"audit.requestObject.spec.weight > 1 && type(audit.requestObject.spec.weight) == double"#,
        r#"audit.requestObject["kind"] == "Pod""#,
        r#"user.name.startsWith("ja") && source.ip == "203.0.113.9""#,
        r#"message.contains("pods") && cluster.name == "prod""#,
        r#".audit.verb == "create""#,
    ]);
}
