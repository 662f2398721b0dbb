//! Ingest within a running controller: what it takes once, refuses and finishes, and that it has all that the API server
//! has logged.

use super::seen::{audit_log, connect, event, event_list, post, post_to, records, request, text};
use crate::support::{AUDIT_PATH, ClusterOptions, WatchedCluster, wait_until};
use kubewitness::record::{Payload, Provenance};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// How long a drain may take: a pod has 30 s to end.
const DRAIN: Duration = Duration::from_secs(25);

/// How often each event was stored, by its auditID and stage.
type Tally = BTreeMap<(String, String), usize>;

fn tally(events: impl Iterator<Item = Value>) -> Tally {
    let mut tally = Tally::new();
    for event in events {
        *tally.entry((text(&event, "/auditID").to_owned(), text(&event, "/stage").to_owned())).or_default() += 1;
    }
    tally
}

fn stored_events(store: &Path) -> Vec<Value> {
    let records = records(store).into_iter();
    let events = records.filter_map(|record| {
        let Payload::Audit(event) = &record.payload else { return None };
        let event: Value = serde_json::from_str(event.get()).unwrap();
        let origin = record.origin.unwrap();
        assert_eq!((&*origin.cluster, &*origin.reporter), ("testbed", "apiserver-1"), "{event}");
        assert_eq!(origin.provenance, Provenance::AuditWebhook);
        Some(event)
    });
    events.collect()
}

fn answers(watched: &WatchedCluster, code: u16) -> f64 {
    watched.metric(&format!("kubewitness_ingest_requests_total{{code=\"{code}\"}}")).unwrap()
}

#[test]
fn event_delivered_again_is_stored_once_also_by_another_start() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let events: Vec<Value> = (0..5).map(|n| event(&format!("again-{n}"), json!({}))).collect();
    let duplicates = |watched: &WatchedCluster| watched.metric("kubewitness_store_records_duplicate_total").unwrap();
    let before = duplicates(&watched);
    for _ in 0..2 {
        let answer = post(&watched, &event_list(&events));
        assert_eq!(answer.code, 200, "{answer:?}");
    }
    assert_eq!(duplicates(&watched) - before, 5.0);
    let mut other_stage = event("again-0", json!({"stage": "ResponseStarted"}));
    other_stage["stageTimestamp"] = events[0]["stageTimestamp"].clone();
    assert_eq!(post(&watched, &event_list(&[events[0].clone(), other_stage])).code, 200);
    assert_eq!(duplicates(&watched) - before, 6.0, "another stage of a request is an event of its own");

    watched.end_controller("KILL").unwrap();
    watched.start_controller().unwrap();
    let before = duplicates(&watched);
    assert_eq!(post(&watched, &event_list(&events)).code, 200);
    assert_eq!(duplicates(&watched) - before, 5.0, "a controller that was killed knows what it had answered for");
    watched.end_controller("TERM").unwrap();
    let stored = tally(stored_events(&watched.store()).into_iter());
    let ours = |(id, _): &(String, String)| id.starts_with("again-");
    assert_eq!(stored.iter().filter(|(key, _)| ours(key)).count(), 6);
    assert!(stored.iter().filter(|(key, _)| ours(key)).all(|(_, count)| *count == 1), "{stored:?}");
}

#[test]
fn nobody_but_the_api_server_gets_in() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let own = watched.ingest().2;
    let body = event_list(&[event("intruder", json!({}))]);
    let account =
        std::fs::read_to_string(watched.service_account_kubeconfig("kubewitness", "controller").unwrap()).unwrap();
    let account: Value = serde_json::from_str(&account).unwrap();
    for (case, path, token, code) in [
        ("no credential", AUDIT_PATH, None, 401),
        ("a guess", AUDIT_PATH, Some("testbed-token"), 401),
        ("a token of the cluster", AUDIT_PATH, Some(text(&account, "/users/0/user/token")), 401),
        ("its own token for another API server", "/audit/testbed/apiserver-2", Some(own), 403),
        ("its own token for another cluster", "/audit/other/apiserver-1", Some(own), 403),
        ("its own token beside the door", "/audit", Some(own), 404),
    ] {
        let before = answers(&watched, code);
        let answer = post_to(&watched, path, token, &body).unwrap();
        assert_eq!(answer.code, code, "{case}: {answer:?}");
        assert_eq!(answers(&watched, code) - before, 1.0, "{case}: counted");
    }
    let port = watched.ingest().0;
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let answer = request(&mut plain, &format!("POST {AUDIT_PATH}"), &[&format!("Authorization: Bearer {own}")], &body);
    assert!(answer.is_err(), "without TLS there is no answer: {answer:?}");
    assert_eq!(post(&watched, &event_list(&[event("welcome", json!({}))])).code, 200);
    watched.end_controller("TERM").unwrap();
    let stored = tally(stored_events(&watched.store()).into_iter());
    assert!(stored.keys().any(|(id, _)| id == "welcome"));
    assert!(!stored.keys().any(|(id, _)| id == "intruder"), "an event came in without its credential");
}

/// The time of an event's stage; they sort as text within a second's fraction of equal length.
fn stage_time(event: &Value) -> jiff::Timestamp {
    text(event, "/stageTimestamp").parse().unwrap()
}

#[test]
fn store_holds_what_the_api_server_has_logged_each_event_once() {
    // Also how long the API server waits at its end for the watches that are open.
    let api_server_args = vec!["--request-timeout=10s".to_owned()];
    let options = ClusterOptions { controller_manager: true, api_server_args, ..Default::default() };
    let watched = WatchedCluster::start(options).unwrap();
    let ready = kubewitness::telemetry::now();
    let admin = watched.kubectl();
    for namespace in ["shop", "billing", "vault"] {
        admin.run(&["create", "namespace", namespace]).success().unwrap();
        admin.run(&["create", "deployment", "web", "--image=web", "--replicas=3", "-n", namespace]).success().unwrap();
        admin.run(&["create", "secret", "generic", "db", "--from-literal=a=b", "-n", namespace]).success().unwrap();
        let role = ["create", "role", "reader", "--verb=get", "--resource=pods", "-n", namespace];
        admin.run(&role).success().unwrap();
        assert!(!admin.run(&["get", "pods", "--as=nobody", "-n", namespace]).ok);
        let unknown = watched.client_certificate("stranger", &[]).unwrap();
        assert!(!admin.with_kubeconfig(&unknown).run(&["get", "secrets", "-n", namespace]).ok);
    }
    admin.run(&["delete", "namespace", "vault", "--wait=false"]).success().unwrap();
    let last = kubewitness::telemetry::now();
    // At its end the API server hands over what waits for its batch.
    let server = watched.processes().iter().find(|process| process.name == "kube-apiserver").unwrap();
    server.end("TERM").unwrap();
    watched.end_controller("TERM").unwrap();

    let window =
        |events: Vec<Value>| tally(events.into_iter().filter(|event| (ready..=last).contains(&stage_time(event))));
    let logged = window(audit_log(&watched));
    let stored = window(stored_events(&watched.store()));
    assert!(logged.len() > 50, "{} events", logged.len());
    let missing: Vec<_> = logged.keys().filter(|key| !stored.contains_key(key)).collect();
    assert!(missing.is_empty(), "{} of {} are logged and not stored: {missing:?}", missing.len(), logged.len());
    let added: Vec<_> = stored.keys().filter(|key| !logged.contains_key(key)).collect();
    assert!(added.is_empty(), "stored and not logged: {added:?}");
    assert!(stored.values().all(|count| *count == 1), "stored more than once: {stored:?}");
    assert_eq!(logged, stored);
}

/// Sends the head and the first half of a body; the caller ends it.
fn begin_post(watched: &WatchedCluster, body: &[u8]) -> impl Read + Write + use<> {
    let (port, path, token, authority) = watched.ingest();
    let mut stream = connect(port, authority.pem()).unwrap();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..body.len() / 2]).unwrap();
    stream.flush().unwrap();
    stream
}

#[test]
fn sigterm_finishes_the_batch_under_way_and_exits_with_success() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    watched.apply_shipped_rules().unwrap();
    let events: Vec<Value> = (0..500).map(|n| event(&format!("final-{n}"), json!({}))).collect();
    let body = event_list(&events);
    let bytes = |watched: &WatchedCluster| watched.metric("kubewitness_ingest_body_bytes_total").unwrap();
    let before = bytes(&watched);
    let mut stream = begin_post(&watched, &body);
    wait_until("the first half is taken", SOON, || (bytes(&watched) - before >= body.len() as f64 / 4.0).then_some(()))
        .unwrap();

    let controller = watched.controller().clone();
    let asked = Instant::now();
    let ends = std::thread::spawn(move || controller.end("TERM").map(|()| asked.elapsed()));
    wait_until("the controller drains", SOON, || {
        watched.controller().log().contains("SIGTERM: draining").then_some(())
    })
    .unwrap();
    let port = watched.ingest().0;
    wait_until("the door is shut", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()))
        .unwrap();
    stream.write_all(&body[body.len() / 2..]).unwrap();
    stream.flush().unwrap();
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer:?}");

    let took = ends.join().unwrap().unwrap();
    assert!(took < DRAIN, "the drain took {took:?}");
    let controller = watched.controller().clone();
    assert_eq!(watched.exit_code(&controller).unwrap(), 0, "{}", controller.log_tail());
    assert!(controller.log().contains("\"drained\""), "{}", controller.log_tail());
    let stored = tally(stored_events(&watched.store()).into_iter());
    let finals: Vec<_> = stored.iter().filter(|((id, _), _)| id.starts_with("final-")).collect();
    assert_eq!((finals.len(), finals.iter().all(|(_, count)| **count == 1)), (500, true), "answered 200 is stored");

    watched.start_controller().unwrap();
    watched.end_controller("KILL").unwrap();
    let controller = watched.controller().clone();
    assert_eq!(watched.exit_code(&controller).unwrap(), 128 + 9, "a kill is told from a drain");
}

#[test]
fn every_log_line_is_a_json_object_with_level_time_and_message() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let rule = json!({"apiVersion": "kubewitness.io/v1alpha1", "kind": "ClusterSecurityRule", "metadata": {"name": "broken"},
        "spec": {"title": "broken", "severity": "Low", "selectors": [{"name": "a", "source": "Audit", "where": "no.such.field"}]}});
    watched.apply(&rule.to_string()).unwrap();
    watched.judged("clustersecurityrule", "", "broken").unwrap();
    assert_eq!(post(&watched, &event_list(&[json!("line\nbreak \u{1b}[31m \" \\ \u{2028}")])).code, 200);
    watched.end_controller("TERM").unwrap();
    watched.start_controller().unwrap();
    // A watch breaks when its server goes away, and says so.
    let server = watched.processes().iter().find(|process| process.name == "kube-apiserver").unwrap();
    server.end("KILL").unwrap();
    wait_until("a broken watch in the log", SOON, || watched.controller().log().contains("watch broke").then_some(()))
        .unwrap();
    watched.end_controller("INT").unwrap();
    let controller = watched.controller().clone();
    assert_eq!(watched.exit_code(&controller).unwrap(), 0);

    let log = controller.log();
    let messages: Vec<String> = log
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(["ERROR", "WARN", "INFO"].contains(&text(&entry, "/level")), "{line}");
            assert!(text(&entry, "/timestamp").parse::<jiff::Timestamp>().is_ok(), "{line}");
            assert!(
                text(&entry, "/target").starts_with("kubewitness") || text(&entry, "/target").starts_with("kube_"),
                "{line}"
            );
            assert!(!text(&entry, "/message").is_empty(), "{line}");
            text(&entry, "/message").to_owned()
        })
        .collect();
    for (message, times) in [
        ("controller started", 2),
        ("rule refused", 2),
        ("SIGTERM: draining", 1),
        ("SIGINT: draining", 1),
        ("drained", 2),
    ] {
        assert_eq!(messages.iter().filter(|said| *said == message).count(), times, "{message}: {messages:?}");
    }
}

#[test]
fn controller_stays_small_with_a_body_of_64_mib() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    watched.apply_shipped_rules().unwrap();
    let filler = "x".repeat(60_000);
    let large = |n: usize| event(&format!("large-{n}"), json!({"requestObject": {"spec": {"filler": filler}}}));
    let body = event_list(&(0..1_150).map(large).collect::<Vec<_>>());
    assert!(body.len() > 64 << 20);
    let answer = post(&watched, &body);
    assert_eq!(answer.code, 200, "{answer:?}");
    wait_until("all of it is evaluated", SOON, || {
        (watched.metric("kubewitness_pipeline_lag_records").ok()? == 0.0).then_some(())
    })
    .unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", watched.controller().pid)).unwrap();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    let peak = peak.unwrap() / 1024;
    assert!(peak < 256, "its largest resident size was {peak} MiB");
    assert_eq!(watched.admin("/livez").unwrap().0, 200);
}
