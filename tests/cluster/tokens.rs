//! Who may send lines of a node: judged by the real TokenReview, refused by reason, and counted.

use super::collectors::{
    ACCOUNT, AUDIENCE, ask, line, log_source, node, pod, pod_token, post_lines, post_records, prepare, restamped,
    sources_of, tally, token,
};
use super::seen::{audit_log, records, text};
use crate::support::{ClusterOptions, NAMESPACE, WatchedCluster, wait_until};
use kubewitness::record::{Payload, Provenance};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn auth_log() -> Value {
    log_source("auth", json!({"source": "Node", "format": "Syslog", "paths": ["/var/log/auth.log"]}))
}

/// Nodes `node-a` and `apiserver-1` with a collector each, which are told of the LogSource `auth`; their tokens.
fn collectors(watched: &WatchedCluster) -> [String; 2] {
    prepare(watched);
    node(watched, "node-a", json!({}));
    node(watched, "apiserver-1", json!({"node-role.kubernetes.io/control-plane": ""}));
    pod(watched, NAMESPACE, "collector-a", ACCOUNT, Some("node-a"));
    pod(watched, NAMESPACE, "collector-b", ACCOUNT, Some("apiserver-1"));
    watched.apply(&auth_log().to_string()).unwrap();
    let tokens = ["collector-a", "collector-b"].map(|pod| pod_token(watched, pod));
    for token in &tokens {
        wait_until("a collector is told what to read", SOON, || {
            sources_of(watched, token).filter(|names| names.contains(&"auth".to_owned()))
        })
        .unwrap();
    }
    tokens
}

fn denied(watched: &WatchedCluster, reason: &str) -> f64 {
    watched.metric(&format!("kubewitness_ingest_collectors_denied_total{{reason=\"{reason}\"}}")).unwrap()
}

#[test]
fn every_token_but_that_of_a_collectors_pod_is_refused_and_counted() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let [good, _] = collectors(&watched);
    let admin = watched.kubectl();
    admin.run(&["create", "namespace", "shop"]).success().unwrap();
    admin.run(&["create", "serviceaccount", ACCOUNT, "-n", "shop"]).success().unwrap();
    admin.run(&["create", "serviceaccount", "app", "-n", NAMESPACE]).success().unwrap();
    pod(&watched, NAMESPACE, "app", "app", Some("node-a"));
    pod(&watched, "shop", "collector", ACCOUNT, Some("node-a"));
    pod(&watched, NAMESPACE, "unscheduled", ACCOUNT, None);
    pod(&watched, NAMESPACE, "gone", ACCOUNT, Some("node-a"));
    let of_gone = pod_token(&watched, "gone");
    admin.run(&["delete", "pod", "gone", "-n", NAMESPACE, "--force", "--grace-period=0"]).success().unwrap();

    let bound = |kind: &str, name: &str| [format!("--bound-object-kind={kind}"), format!("--bound-object-name={name}")];
    let [pod_kind, app] = bound("Pod", "app");
    let [_, collector] = bound("Pod", "collector");
    let [_, collector_a] = bound("Pod", "collector-a");
    let [node_kind, node_a] = bound("Node", "node-a");
    let audience = ["--audience", AUDIENCE];
    let of = |namespace: &str, account: &str, more: &[&str]| token(&watched, namespace, account, more);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    for (case, token, code, reason) in [
        ("none", None, 401, "NoCredential"),
        ("garbage", Some("garbage".to_owned()), 401, "Malformed"),
        ("the API server's own at this door", Some(watched.ingest().2.to_owned()), 401, "Malformed"),
        ("forged", Some(forged), 401, "Unauthenticated"),
        // The API server allows a minute for clocks that differ (go-jose's DefaultLeeway).
        ("expired", Some(restamped(&watched, &good, -120)), 401, "Expired"),
        ("of a pod that is gone", Some(of_gone), 401, "Unauthenticated"),
        ("for the API server", Some(of(NAMESPACE, ACCOUNT, &[&pod_kind, &collector_a])), 401, "OtherAudience"),
        (
            "for another",
            Some(of(NAMESPACE, ACCOUNT, &["--audience=vault", &pod_kind, &collector_a])),
            401,
            "OtherAudience",
        ),
        (
            "of another account",
            Some(of(NAMESPACE, "app", &[&audience[..], &[&pod_kind, &app]].concat())),
            403,
            "OtherAccount",
        ),
        (
            "of another namespace",
            Some(of("shop", ACCOUNT, &[&audience[..], &[&pod_kind, &collector]].concat())),
            403,
            "OtherAccount",
        ),
        ("bound to nothing", Some(of(NAMESPACE, ACCOUNT, &audience)), 403, "NoPod"),
        (
            "bound to a node",
            Some(of(NAMESPACE, ACCOUNT, &[&audience[..], &[&node_kind, &node_a]].concat())),
            403,
            "NoPod",
        ),
        ("of a pod on no node", Some(pod_token(&watched, "unscheduled")), 403, "NoNode"),
    ] {
        let body = format!("{}\n", line(0, "intruder"));
        for (request, body) in [("POST /records", body.as_bytes()), ("GET /sources", b"")] {
            let before = denied(&watched, reason);
            let answer = ask(&watched, request, token.as_deref(), body);
            assert_eq!(answer.code, code, "{case}: {request}: {answer:?}");
            assert_eq!(denied(&watched, reason) - before, 1.0, "{case}: {request}: counted as {reason}");
        }
    }
    // The same made with a future end is good: so it was the time, and not the making, that was refused above.
    let remade = restamped(&watched, &good, 600);
    assert_eq!(post_records(&watched, &remade, &[line(0, "welcome")]), tally(1, 0, 0));
    watched.end_controller("TERM").unwrap();
    let kept: Vec<_> = records(&watched.store())
        .into_iter()
        .filter_map(|record| match record.payload {
            Payload::Line(line) => Some(line.text.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(kept, ["welcome"]);
}

#[test]
fn a_node_speaks_for_itself_alone() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let [good, other] = collectors(&watched);
    let reviews = |outcome: &str| {
        watched.metric(&format!("kubewitness_ingest_token_reviews_total{{outcome=\"{outcome}\"}}")).unwrap()
    };
    let asked = reviews("Good");
    let mut claims_another = line(0, "sshd[1]: one");
    claims_another["host"] = "apiserver-1".into();
    assert_eq!(post_records(&watched, &good, &[claims_another, line(20, "sshd[1]: two")]), tally(1, 0, 1));
    assert_eq!(post_records(&watched, &good, &[line(0, "sshd[1]: one"), line(40, "sshd[1]: two")]), tally(2, 0, 0));
    assert_eq!(post_records(&watched, &other, &[line(0, "sshd[1]: one")]), tally(1, 0, 0));
    let event = json!({"source": "Audit", "file": "/var/log/kubernetes/audit/audit.log", "event": {"kind": "Event"}});
    let shadow = json!({"source": "Node", "file": "/etc/shadow", "position": line(0, "")["position"], "log": "root:x"});
    assert_eq!(post_records(&watched, &good, &[event, shadow]), tally(0, 0, 2));
    let metric = |name: &str| watched.metric(&format!("kubewitness_ingest_{name}")).unwrap();
    assert_eq!(metric("records_refused_total{reason=\"OutOfScope\"}"), 2.0);
    assert_eq!(metric("records_refused_total{reason=\"OtherNode\"}"), 1.0);
    assert_eq!((metric("records_received_total"), metric("records_stored_total")), (7.0, 4.0));
    assert_eq!(reviews("Good") - asked, 0.0, "one question a token, not one a request");
    watched.end_controller("TERM").unwrap();
    let lines: Vec<_> = records(&watched.store())
        .into_iter()
        .filter(|record| matches!(record.payload, Payload::Line(_)))
        .map(|record| record.origin.unwrap())
        .map(|origin| (origin.cluster.to_string(), origin.reporter.to_string()))
        .collect();
    let from = |node: &str| ("testbed".to_owned(), node.to_owned());
    assert_eq!(lines, [from("node-a"), from("node-a"), from("node-a"), from("apiserver-1")]);
}

#[test]
fn an_event_of_webhook_and_audit_log_is_stored_once() {
    // Also how long the API server waits at its end for the watches that are open.
    let api_server_args = vec!["--request-timeout=10s".to_owned()];
    let watched = WatchedCluster::start(ClusterOptions { api_server_args, ..ClusterOptions::default() }).unwrap();
    let [worker, control] = collectors(&watched);
    watched.apply(include_str!("../../manifests/log-sources/apiserver-audit.yaml")).unwrap();
    wait_until("the control plane's collector reads the audit log", SOON, || {
        sources_of(&watched, &control).filter(|names| names.contains(&"apiserver-audit".to_owned()))
    })
    .unwrap();
    watched.kubectl().run(&["create", "configmap", "marked", "-n", NAMESPACE]).success().unwrap();
    watched
        .kubectl()
        .run(&["create", "secret", "generic", "marked", "--from-literal=a=hunter2", "-n", NAMESPACE])
        .success()
        .unwrap();
    let logged = audit_log(&watched);
    // Each event as it was written: its keys in the API server's order, as the webhook sends it.
    let written = std::fs::read_to_string(watched.audit_log()).unwrap();
    let envelopes: Vec<String> = written
        .lines()
        .take(logged.len())
        .map(|event| format!(r#"{{"source":"Audit","file":"/var/log/kubernetes/audit/audit.log","event":{event}}}"#))
        .collect();
    assert!(envelopes.len() > 50, "{} events", envelopes.len());
    let of_worker = post_lines(&watched, &worker, &envelopes[..10]);
    assert_eq!(of_worker, tally(0, 0, 10), "a node without an audit log of its own");
    // One that the webhook never sends, as if the API server had given it up.
    let given_up = envelopes[0].replace(text(&logged[0], "/auditID"), "7d3c1f0e-0000-4000-8000-000000000001");
    assert_eq!(post_lines(&watched, &control, &[given_up]), tally(1, 0, 0));
    let first = post_lines(&watched, &control, &envelopes);
    let count = |tally: &Value, key: &str| tally[key].as_u64().unwrap();
    assert_eq!(count(&first, "stored") + count(&first, "duplicates"), envelopes.len() as u64, "{first}");
    assert_eq!(post_lines(&watched, &control, &envelopes), tally(0, envelopes.len() as u64, 0));
    // At its end the API server hands over what waits for its batch: by then each of them came by both ways.
    let server = watched.processes().iter().find(|process| process.name == "kube-apiserver").unwrap();
    server.end("TERM").unwrap();
    watched.end_controller("TERM").unwrap();

    let mut stored: BTreeMap<(String, String), Vec<Provenance>> = BTreeMap::new();
    for record in records(&watched.store()) {
        let Payload::Audit(event) = &record.payload else { continue };
        assert!(!event.get().contains("hunter2"));
        let event: Value = serde_json::from_str(event.get()).unwrap();
        let key = (text(&event, "/auditID").to_owned(), text(&event, "/stage").to_owned());
        stored.entry(key).or_default().push(record.origin.unwrap().provenance);
    }
    for event in &logged {
        let key = (text(event, "/auditID").to_owned(), text(event, "/stage").to_owned());
        assert_eq!(stored.get(&key).map(Vec::len), Some(1), "{event}");
    }
    let by = |provenance| stored.values().flatten().filter(|by| **by == provenance).count();
    assert!(by(Provenance::AuditLog) > 0);
    assert!(by(Provenance::AuditWebhook) > 0);
}
