//! Ingest as a sender sees it: a real server with certificates of its own and a real store, and a client that writes
//! HTTP by hand, so that it can be slow, cut and wrong. Every test asks what the store then holds.

mod bodies;
mod collectors;
mod credentials;
mod hostile;
mod http2;
mod load;
mod pki;
mod server;

use serde_json::{Value, json};

const HEAD: &str = r#""kind":"EventList","apiVersion":"audit.k8s.io/v1""#;

/// An audit event like those of a real API server; `id` tells it from others.
fn event(id: &str) -> Value {
    json!({
        "level": "Metadata",
        "auditID": id,
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/pods",
        "verb": "list",
        "user": {"username": "system:serviceaccount:default:app", "groups": ["system:authenticated"]},
        "sourceIPs": ["10.0.0.7"],
        "userAgent": "curl/8",
        "objectRef": {"resource": "pods", "namespace": "default", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000001Z",
        "stageTimestamp": "2026-01-02T03:04:05.000002Z",
        "annotations": {"authorization.k8s.io/decision": "allow"}
    })
}

/// A batch as the webhook sends it.
fn list(events: &[Value]) -> Vec<u8> {
    let mut list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}});
    list["items"] = events.into();
    list.to_string().into_bytes()
}

/// A batch of these texts.
fn raw_list(items: &[&str]) -> Vec<u8> {
    format!("{{{HEAD},\"metadata\":{{}},\"items\":[{}]}}", items.join(",")).into_bytes()
}
