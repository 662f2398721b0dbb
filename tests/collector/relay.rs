//! The relay of the real binary: what it answers with 200 is on this node's disk and arrives, whatever is killed, full or away.

use std::{
    collections::HashSet,
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kubewitness::{
    api::rule::Source,
    redact::{self, Input},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Node,
    controller::Mood,
    node::{LONG, assignment, source},
};
use crate::cluster::seen::{Answer, event, event_list, request};
use crate::support::{free_port, wait_until};

const FILE: &str = "/var/lib/kubewitness-collector/relay/audit.log";
const PATH: &str = "/audit/prod/node-1";

/// A node with a relay, and its port.
fn relay() -> (Node, u16) {
    let mut node = Node::with(assignment(vec![source(Source::Audit, &[FILE])]));
    let state = node.file("/var/lib/kubewitness-collector");
    fs::create_dir_all(&state).unwrap();
    symlink(state, node.own("state")).unwrap();
    credentials(&node, &[("node-1", "one"), ("node-2", "two")]);
    let port = free_port().unwrap();
    node.flag(&format!("--relay-listen=127.0.0.1:{port}"));
    node.flag(&format!("--relay-credentials={}", node.own("relay.yaml").display()));
    node.flag("--relay-max=32MiB");
    (node, port)
}

fn credentials(node: &Node, tokens: &[(&str, &str)]) {
    let mut yaml = "credentials:\n".to_owned();
    for (apiserver, token) in tokens {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(token));
        yaml += &format!("- {{cluster: prod, apiserver: {apiserver}, tokenSHA256: {hash}}}\n");
    }
    fs::write(node.own("relay.yaml"), yaml).unwrap();
}

/// None when the connection broke, or there was none.
fn post_as(port: u16, path: &str, authorization: Option<&str>, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let authorization = authorization.map(|value| format!("Authorization: {value}"));
    let mut head = vec!["Content-Type: application/json"];
    head.extend(authorization.as_deref());
    request(&mut stream, &format!("POST {path}"), &head, body).ok()
}

fn post(port: u16, body: &[u8]) -> Option<Answer> {
    post_as(port, PATH, Some("Bearer one"), body)
}

fn up(port: u16) {
    wait_until("the relay listens", LONG, || TcpStream::connect(("127.0.0.1", port)).ok()).unwrap();
}

/// Waits until the relay knows its node's name.
fn ready(port: u16) {
    wait_until("the relay takes events", LONG, || {
        post(port, &event_list(&[])).filter(|answer| answer.code == 200).map(drop)
    })
    .unwrap();
}

fn canonical(event: &Value) -> String {
    redact::audit_event(Input { bytes: event.to_string().as_bytes(), oversize: false }).unwrap().canonical.get().into()
}

/// Everything in the relay's files.
fn on_disk(node: &Node) -> String {
    files(node).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn files(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.file(FILE).parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// `auditID` of every event that arrived, as often as it did.
fn arrived(node: &Node) -> Vec<String> {
    let id = |text: String| serde_json::from_str::<Value>(&text).unwrap()["auditID"].as_str().unwrap().to_owned();
    node.controller.texts().into_iter().map(id).collect()
}

#[test]
fn events_are_kept_redacted_and_arrive_as_they_would_by_another_way() {
    let (mut node, port) = relay();
    node.start();
    ready(port);
    let secret = event(
        "secret",
        json!({"objectRef": {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"},
            "requestObject": {"data": {"password": "planted"}}}),
    );
    let large = event("large", json!({"requestObject": {"text": "x".repeat(2 << 20)}}));
    let plain = event("plain", json!({"requestObject": {"metadata": {"name": "web"}}}));
    let list = event_list(&[secret.clone(), json!({"no": "event"}), large.clone(), plain.clone()]);
    let answer = post(port, &list).unwrap();
    assert_eq!(answer.code, 200, "{answer:?}");
    let tally: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(tally, json!({"stored": 3, "duplicates": 0, "quarantined": 1}));
    let kept = on_disk(&node);
    assert!(!kept.contains("planted") && kept.contains(r#""incomplete":["Oversize"]"#), "{}", kept.len());
    node.until_lines(&[&canonical(&secret), &canonical(&large), &canonical(&plain)]);
    for (series, value) in [
        ("relay_events_received_total", 4),
        ("relay_events_stored_total", 3),
        (r#"relay_events_quarantined_total{reason="NotAnEvent"}"#, 1),
        (r#"relay_requests_total{code="200"}"#, 2),
    ] {
        node.until_metric(series, value);
    }
    let log = node.log();
    assert!(log.contains("events could not be read and are not kept") && log.contains("NotAnEvent"), "{log}");
    node.until("bytes are shown", |node| node.metric("relay_spool_bytes") == Some(on_disk(node).len() as u64));
    node.stop();
}

#[test]
fn only_this_node_s_api_server_is_let_in() {
    let (mut node, port) = relay();
    node.controller.is(Mood::Cut);
    node.start();
    up(port);
    let basic = format!("Basic {}", data_encoding::BASE64.encode(b"kubewitness:one"));
    let list = event_list(&[event("a", json!({}))]);
    assert_eq!(post(port, &list).unwrap().code, 503, "nobody has told the node's name");
    node.controller.is(Mood::Takes);
    ready(port);
    for (path, authorization, code) in [
        (PATH, None, 401),
        (PATH, Some("Bearer three"), 401),
        (PATH, Some("Basic b25l"), 401),
        (PATH, Some("Bearer two"), 403),
        // Good for its path, which is another node's.
        ("/audit/prod/node-2", Some("Bearer two"), 403),
        ("/audit/other/node-1", Some("Bearer one"), 403),
        ("/records", Some("Bearer one"), 404),
        (PATH, Some("Bearer one"), 200),
        (PATH, Some(basic.as_str()), 200),
    ] {
        let answer = post_as(port, path, authorization, &list).unwrap();
        assert_eq!(answer.code, code, "{path} {authorization:?}: {answer:?}");
    }
    node.until_metric(r#"relay_refused_total{reason="OtherNode"}"#, 1);
    node.until_metric(r#"relay_auth_failures_total{reason="OtherPath"}"#, 2);
    credentials(&node, &[("node-1", "four")]);
    wait_until("the new token is good and the old one is not", LONG, || {
        let code = |token| post_as(port, PATH, Some(token), &event_list(&[])).map(|answer| answer.code);
        (code("Bearer four")? == 200 && code("Bearer one")? == 401).then_some(())
    })
    .unwrap();
}

#[test]
fn a_relay_waits_for_the_authority_of_a_controller_that_starts_later() {
    let (mut node, port) = relay();
    let (authority, later) = (node.own("ca.crt"), node.own("ca.later"));
    fs::rename(&authority, &later).unwrap();
    node.start();
    up(port);
    node.until("it asks in vain", |node| node.metric(r#"retries_total{reason="Connection"}"#) > Some(0));
    assert_eq!(post(port, &event_list(&[])).unwrap().code, 503, "nobody has told the node's name");
    fs::rename(&later, &authority).unwrap();
    ready(port);
    node.stop();
}

#[test]
fn a_full_relay_refuses_at_once_and_loses_nothing_that_it_took() {
    let (mut node, port) = relay();
    node.flag("--spool-max=8MiB");
    node.start();
    ready(port);
    node.controller.is(Mood::Refuses(503));
    let mut random = fastrand::Rng::with_seed(5);
    let mut kept = HashSet::new();
    let refused = wait_until("the relay is full", LONG, || {
        let id = format!("event-{}", kept.len());
        let text: String = (0..900 << 10).map(|_| random.alphanumeric()).collect();
        let answer = post(port, &event_list(&[event(&id, json!({"requestObject": {"text": text}}))])).unwrap();
        if answer.code == 200 {
            kept.insert(id);
            return None;
        }
        Some(answer)
    })
    .unwrap();
    assert_eq!(refused.code, 503, "{refused:?}");
    assert!(refused.head.to_lowercase().lines().any(|line| line == "retry-after: 1"), "{refused:?}");
    assert!(node.metric(r#"relay_refused_total{reason="Full"}"#).unwrap() > 0);
    assert!(on_disk(&node).len() <= 32 << 20 && kept.len() > 20, "{}", kept.len());
    node.kill();
    node.controller.is(Mood::Takes);
    node.start();
    node.until("all arrives", |node| arrived(node).into_iter().collect::<HashSet<_>>() == kept);
    node.until("what has arrived goes", |node| files(node).is_empty());
    ready(port);
    assert_eq!(post(port, &event_list(&[event("after", json!({}))])).unwrap().code, 200);
    node.until("it goes on", |node| arrived(node).contains(&"after".to_owned()));
}

/// Senders that never send an event twice, so that one which arrives twice was kept twice.
struct Load {
    kept: Arc<Mutex<HashSet<String>>>,
    ends: Arc<AtomicBool>,
    senders: Vec<thread::JoinHandle<usize>>,
}

impl Load {
    fn start(port: u16) -> Load {
        let (kept, ends) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let sender = |number: usize| {
            let (kept, ends): (Arc<Mutex<HashSet<String>>>, Arc<AtomicBool>) = (Arc::clone(&kept), Arc::clone(&ends));
            thread::spawn(move || {
                let mut sent = 0;
                while !ends.load(Ordering::Relaxed) {
                    let ids: Vec<String> = (0..40).map(|n| format!("{number}-{sent}-{n}")).collect();
                    let more = json!({"requestObject": {"text": "x".repeat(2000)}});
                    let events: Vec<Value> = ids.iter().map(|id| event(id, more.clone())).collect();
                    if post(port, &event_list(&events)).is_some_and(|answer| answer.code == 200) {
                        kept.lock().unwrap().extend(ids);
                    }
                    sent += 1;
                }
                sent
            })
        };
        let senders = (0..3).map(sender).collect();
        Load { kept, ends, senders }
    }

    fn count(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    fn end(self) -> HashSet<String> {
        self.ends.store(true, Ordering::Relaxed);
        self.senders.into_iter().for_each(|sender| assert!(sender.join().unwrap() > 0));
        self.kept.lock().unwrap().clone()
    }
}

#[test]
fn all_that_was_acknowledged_arrives_once_though_the_collector_is_killed_and_the_controller_away() {
    let (mut node, port) = relay();
    node.start();
    ready(port);
    let load = Load::start(port);
    for (kill, mood) in [Mood::Takes, Mood::Cut, Mood::TakesAndCuts, Mood::Takes].into_iter().enumerate() {
        node.controller.is(mood);
        let before = load.count();
        let begun = Instant::now();
        wait_until("events are taken", LONG, || {
            (load.count() > before + 1500 && begun.elapsed() > Duration::from_millis(300)).then_some(())
        })
        .unwrap();
        // What a crash leaves in the middle of a line.
        node.kill();
        if kill % 2 == 0 {
            let live = fs::OpenOptions::new().append(true).open(node.file(FILE));
            if let Ok(mut live) = live {
                live.write_all(b"{\"relayed\":{\"auditID\":\"half").unwrap();
            }
        }
        node.start();
    }
    let before = load.count();
    wait_until("events are taken again", LONG, || (load.count() > before).then_some(())).unwrap();
    let kept = load.end();
    node.controller.is(Mood::Takes);
    node.until("all arrives", |node| kept.is_subset(&arrived(node).into_iter().collect()));
    assert_eq!(node.controller.contradictions(), []);
    let arrived = arrived(&node);
    let unique: HashSet<&String> = arrived.iter().collect();
    assert_eq!(unique.len(), arrived.len(), "{} events came from two places", arrived.len() - unique.len());
    for reason in ["Gone", "Truncated", "Unreadable", "Oversized"] {
        assert_eq!(node.metric(&format!("lost_bytes_total{{reason=\"{reason}\"}}")), Some(0), "{reason}");
    }
    println!("{} acknowledged, {} arrived, {} sent twice", kept.len(), arrived.len(), node.controller.duplicates());
    node.stop();
}
