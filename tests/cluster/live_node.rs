//! An intruder on a node with a real sshd, sudo and rsyslog, who goes on to a real API server: the alerts of both sides.

mod driver;
mod scene;

use crate::support::{ClusterOptions, Forwarder, WatchedCluster};
use jiff::{SignedDuration, Timestamp};
use scene::{Attack, Scene};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub use driver::Span;

impl Span {
    /// Holds a time that a log tells: RFC 3164 leaves the part of the second out, the API server writes all of it.
    fn holds(&self, time: &Value, whole_seconds: bool) -> bool {
        let cut = SignedDuration::from_secs(whole_seconds.into());
        let time: Timestamp = time.as_str().unwrap().parse().unwrap();
        self.from.checked_sub(cut).unwrap() <= time && time <= self.to
    }
}

/// Rule, key, count and summary of all alerts: what they must be, whoever comes first.
fn expected() -> Vec<Value> {
    let address = json!({"address": "203.0.113.50", "node": "node-1"});
    let called = format!("then mallory called the API from that node: create {}", scene::BINDINGS);
    vec![
        json!(["account-added-to-privileged-group", {"account": "mallet", "node": "node-1"}, 1,
            "mallet joined sudo on node-1 (by usermod)"]),
        json!(["brute-force-then-cluster-secrets", {"node": "node-1"}, 2,
            format!("After 16 failed logins to node-1, of any user and address, bob logged in there from 203.0.113.50; {called}")]),
        json!(["node-credentials-used-after-ssh-login", {"node": "node-1"}, 2,
            format!("bob logged in to node-1 from 10.20.0.5, {called}")]),
        // Of twelve failures the tenth and those after it are findings.
        json!(["ssh-brute-force", address, 3, "203.0.113.50 failed to log in to node-1 12 times, at last as bob"]),
        json!(["ssh-login-after-failures", address, 1, "203.0.113.50 logged in to node-1 as bob after 12 failures"]),
        json!(["sudo-not-in-sudoers", {"node": "node-1", "user": "bob"}, 1,
            "bob is not in sudoers of node-1 and tried as root: /usr/bin/cat /etc/shadow"]),
    ]
}

fn is_joint(rule: &str) -> bool {
    ["brute-force-then-cluster-secrets", "node-credentials-used-after-ssh-login"].contains(&rule)
}

fn node_side() -> Vec<Value> {
    expected().into_iter().filter(|alert| !is_joint(alert[0].as_str().unwrap())).collect()
}

/// Times and evidence of the alerts, against what was done.
fn check(alerts: &BTreeMap<String, Value>, attack: &Attack) {
    let bound = attack.bound.unwrap();
    let times = [
        ("account-added-to-privileged-group", attack.joined, attack.joined),
        ("brute-force-then-cluster-secrets", attack.first_failure, bound),
        ("node-credentials-used-after-ssh-login", attack.owner_login, bound),
        ("ssh-brute-force", attack.first_failure, attack.last_failure),
        ("ssh-login-after-failures", attack.first_failure, attack.guessed_login),
        ("sudo-not-in-sudoers", attack.sudo, attack.sudo),
    ];
    for (rule, first, last) in times {
        let status = &alerts[rule]["status"];
        let (first_seen, last_seen) = (&status["firstSeen"], &status["lastSeen"]);
        assert!(first.holds(first_seen, true), "{rule}: firstSeen {first_seen} is not in {first:?}");
        assert!(last.holds(last_seen, !is_joint(rule)), "{rule}: lastSeen {last_seen} is not in {last:?}");
        let said: Vec<[&str; 3]> = status["evidence"].as_array().unwrap().iter().map(told_by).collect();
        let node = |selector| ["Node", "node-1", selector];
        let want = match rule {
            "brute-force-then-cluster-secrets" => {
                vec![node("failed"), node("accepted"), ["Audit", "apiserver-1", "api"]]
            }
            "node-credentials-used-after-ssh-login" => vec![node("login"), ["Audit", "apiserver-1", "api"]],
            _ => Vec::new(),
        };
        assert!(want.iter().all(|side| said.contains(side)), "{rule}: {want:?} in {said:?}");
        let sides = |source: &str| said.iter().all(|[found, ..]| *found == source);
        assert!(is_joint(rule) || sides("Node"), "{rule}: {said:?}");
    }
    let entities = |rule: &str| alerts[rule]["status"]["entities"].as_array().unwrap().clone();
    let joint = entities("brute-force-then-cluster-secrets");
    for (kind, name) in [("Address", "203.0.113.50"), ("User", "bob"), ("User", "mallory"), ("Node", "node-1")] {
        assert!(joint.contains(&json!({"kind": kind, "name": name})), "{kind} {name} in {joint:?}");
    }
}

/// What is the same in whatever order it came. Not so are a record's id, which each store makes with a key of its own, and
/// which comes first of two lines with the same stamp.
fn facts(alert: &Value) -> Value {
    let status = &alert["status"];
    let same = ["count", "firstSeen", "lastSeen", "severity", "subject", "summary", "episodes"];
    let mut facts: serde_json::Map<_, _> =
        same.map(|field| (field.to_owned(), status[field].clone())).into_iter().collect();
    let sorted = |items: Vec<Value>| {
        let mut lines: Vec<_> = items.iter().map(Value::to_string).collect();
        lines.sort_unstable();
        json!(lines)
    };
    let list = |field: &str| status[field].as_array().unwrap().clone();
    let told = list("evidence").into_iter().map(|item| json!([item["time"], told_by(&item)]));
    facts.insert("evidence".into(), sorted(told.collect()));
    facts.insert("entities".into(), sorted(list("entities")));
    facts.into()
}

fn told_by(item: &Value) -> [&str; 3] {
    ["source", "host", "selector"].map(|field| item[field].as_str().unwrap_or_default())
}

#[test]
fn an_intruder_s_way_from_ssh_to_the_cluster_s_secrets_raises_the_alerts_of_both_sides() {
    let mut scene = Scene::start(WatchedCluster::start(ClusterOptions::default()).unwrap());
    let collector = scene.collect("collector", "End");
    let mut attack = scene.on_the_node();
    scene.on_the_api(&mut attack);
    let alerts = scene.until_alerts(&expected(), &collector);
    check(&alerts, &attack);
}

/// The same acts, once with the webhook late and once with the lines late.
#[test]
fn joint_alerts_are_the_same_with_the_webhook_late_and_with_the_lines_late() {
    let webhook = Forwarder::shut(Ipv4Addr::LOCALHOST.into()).unwrap();
    let options = ClusterOptions {
        webhook_port: Some(webhook.port()),
        // Five tries in 40 s or more: with the 1 s of other tests the API server would give the events up too soon.
        api_server_args: vec!["--audit-webhook-initial-backoff=5s".into()],
        ..ClusterOptions::default()
    };
    let watched = WatchedCluster::start(options).unwrap();
    let ingest = watched.ingest().0;
    webhook.open(ingest);
    let mut scene = Scene::start(watched);
    let collector = scene.collect("collector", "End");
    let mut attack = scene.on_the_node();

    webhook.close();
    scene.on_the_api(&mut attack);
    scene.after_it();
    scene.until_shipped(&collector);
    // Shipped and judged, with what came after the requests; of these the controller knows nothing yet.
    scene.until_alerts(&node_side(), &collector);
    webhook.open(ingest);
    let webhook_late = scene.until_alerts(&expected(), &collector);
    check(&webhook_late, &attack);

    collector.end("TERM").unwrap();
    scene.forget_everything();
    scene.deliver_audit_log();
    let late = scene.collect("late-collector", "Beginning");
    let lines_late = scene.until_alerts(&expected(), &late);
    check(&lines_late, &attack);
    for (rule, alert) in &webhook_late {
        assert_eq!(facts(&lines_late[rule]), facts(alert), "{rule}");
    }
}
