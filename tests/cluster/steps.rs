//! What the acceptance tests do in common: write a rule, send one request, count what the API server logged, and know
//! that all of it has been evaluated, so that "no alert" means something.

use crate::support::{Kubectl, WatchedCluster, wait_until};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

/// For what takes a second on an idle machine and many beside builds.
pub const SOON: Duration = Duration::from_secs(180);

/// A Match rule over audit events that joins by `key`; the value is named `key` too.
pub fn spec(condition: &str, key: &str) -> Value {
    json!({
        "title": "Something was seen",
        "severity": "High",
        "selectors": [{"name": "seen", "source": "Audit", "where": condition}],
        "groupBy": [{"name": "key", "value": key}],
        "alert": {"summary": "{key.key} was seen"},
    })
}

pub fn cluster_rule(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "kubewitness.io/v1alpha1", "kind": "ClusterSecurityRule",
        "metadata": {"name": name}, "spec": spec,
    })
}

pub fn tenant_rule(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "kubewitness.io/v1alpha1", "kind": "SecurityRule",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// Applies a rule and waits until this generation evaluates.
pub fn accept(watched: &WatchedCluster, rule: &Value) {
    watched.apply(&rule.to_string()).unwrap();
    let ready = judged(watched, rule);
    assert_eq!(ready["status"], "True", "{ready}");
}

/// The `Ready` condition of the newest generation of a rule.
pub fn judged(watched: &WatchedCluster, rule: &Value) -> Value {
    let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap_or("default");
    watched.judged(text("/kind"), text("/metadata/namespace"), text("/metadata/name")).unwrap()
}

/// Exactly one GET request; that the object is not there is an answer as well.
pub fn get(kubectl: &Kubectl, path: &str) {
    let answer = kubectl.run(&["get", "--raw", path]);
    let answered = answer.ok || ["NotFound", "Forbidden", "Unauthorized"].iter().any(|r| answer.stderr.contains(r));
    assert!(answered, "{path}: {answer:?}");
}

/// A GET of a ConfigMap that need not exist.
pub fn look_at(kubectl: &Kubectl, namespace: &str, name: &str) {
    get(kubectl, &format!("/api/v1/namespaces/{namespace}/configmaps/{name}"));
}

/// The values of an alert's key, in the order of `groupBy`.
pub fn key(alert: &Value) -> Vec<&str> {
    let pairs = alert["spec"]["key"].as_array().map(Vec::as_slice).unwrap_or_default();
    pairs.iter().map(|pair| pair["value"].as_str().unwrap()).collect()
}

/// (key, count) of every alert of a rule.
pub fn counts(watched: &WatchedCluster, rule: &str) -> BTreeSet<(String, u64)> {
    let alerts = watched.alerts_of(rule).unwrap();
    alerts.iter().map(|alert| (key(alert).join(" "), alert["status"]["count"].as_u64().unwrap())).collect()
}

/// Waits until the alerts of a rule are exactly these, by key and count.
pub fn expect(watched: &WatchedCluster, rule: &str, wanted: &[(&str, u64)]) {
    let wanted: BTreeSet<_> = wanted.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    let mut last = BTreeSet::new();
    let found = wait_until("the alerts", SOON, || {
        last = counts(watched, rule);
        (last == wanted).then_some(())
    });
    assert!(found.is_ok(), "alerts of {rule}: wanted {wanted:?}, found {last:?}\n{}", watched.controller().log_tail());
}

/// The API server's own audit log so far; a line that is still being written is left out.
pub fn audit_log(watched: &WatchedCluster) -> Vec<Value> {
    let log = std::fs::read_to_string(watched.audit_log()).unwrap();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The audit events of requests on a path below `uri`.
pub fn events_of(watched: &WatchedCluster, uri: &str) -> Vec<Value> {
    let mut events = audit_log(watched);
    events.retain(|event| event["requestURI"].as_str().is_some_and(|at| at.starts_with(uri)));
    events
}

/// The requests among audit events: each has one id, however many stages it has.
pub fn requests(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["auditID"].as_str().unwrap()).collect()
}

/// Follows the log to a place that it marks itself: when `pass` returns, what the API server logged before has been
/// evaluated, and its alerts are written. The mark is of the lowest severity, so it is written last.
pub struct Mark {
    sent: Cell<u32>,
}

impl Mark {
    const RULE: &str = "mark";

    pub fn start(watched: &WatchedCluster) -> Mark {
        let condition = r#"audit.objectRef.resource == "configmaps" && audit.objectRef.name.startsWith("mark-")"#;
        let mut spec = spec(condition, "audit.objectRef.name");
        spec["severity"] = json!("Informational");
        accept(watched, &cluster_rule(Mark::RULE, spec));
        Mark { sent: Cell::new(0) }
    }

    pub fn pass(&self, watched: &WatchedCluster) {
        // Twice, one after the other: an alert that was written a moment ago waits a second for its next write.
        for _ in 0..2 {
            self.sent.set(self.sent.get() + 1);
            let name = format!("mark-{}", self.sent.get());
            look_at(&watched.kubectl(), "default", &name);
            wait_until(&format!("{name} is evaluated"), SOON, || {
                counts(watched, Mark::RULE).contains(&(name.clone(), 1)).then_some(())
            })
            .unwrap_or_else(|error| panic!("{error}\n{}", watched.controller().log_tail()));
        }
    }
}
