//! The controller is killed while events arrive: what it found, and what it was about to find, is neither lost nor found
//! twice; what changed while it was down is noticed.

use super::steps::{Mark, accept, cluster_rule, counts, expect, get, judged, look_at, spec};
use crate::support::{ClusterOptions, WatchedCluster, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn named(name: &str, object: &str) -> Value {
    json!({"name": name, "source": "Audit", "where": format!("audit.objectRef.name == {object:?}")})
}

/// A sequence and a threshold over requests in one namespace each.
fn joins() -> [Value; 2] {
    let spec = |selectors: Value, detection: Value| {
        json!({
            "title": "Several things were done", "severity": "High", "selectors": selectors, "detection": detection,
            "groupBy": [{"name": "namespace", "value": "audit.objectRef.namespace"}],
        })
    };
    let steps = json!([{"selector": "first"}, {"selector": "second"}]);
    [
        cluster_rule(
            "sequence",
            spec(
                json!([named("first", "first"), named("second", "second")]),
                json!({"type": "Sequence", "sequence": {"within": "10m", "steps": steps}}),
            ),
        ),
        cluster_rule(
            "threshold",
            spec(
                json!([named("knock", "knock")]),
                json!({"type": "Threshold", "threshold": {"count": 4, "within": "10m"}}),
            ),
        ),
    ]
}

/// Takes the place of the controller that is down until the API server has come once, in vain.
fn refuse_one_delivery(watched: &WatchedCluster) {
    let (port, ..) = watched.ingest();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    wait_until("the API server tries to deliver", SOON, || listener.accept().ok()).unwrap();
}

/// Name and uid of each alert of a rule.
fn identities(watched: &WatchedCluster, rule: &str) -> BTreeMap<String, String> {
    let text = |alert: &Value, field: &str| alert["metadata"][field].as_str().unwrap().to_owned();
    watched.alerts_of(rule).unwrap().iter().map(|alert| (text(alert, "name"), text(alert, "uid"))).collect()
}

#[test]
fn killed_between_the_events_of_a_join_it_raises_each_alert_once() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let mark = Mark::start(&watched);
    for rule in joins() {
        accept(&watched, &rule);
    }
    for (namespace, name) in [("one", "first"), ("two", "first"), ("one", "knock"), ("one", "knock")] {
        look_at(&admin, namespace, name);
    }
    mark.pass(&watched);
    expect(&watched, "sequence", &[]);
    expect(&watched, "threshold", &[]);

    watched.end_controller("KILL").unwrap();
    for (namespace, name) in [("two", "second"), ("one", "knock")] {
        look_at(&admin, namespace, name);
    }
    refuse_one_delivery(&watched);
    watched.start_controller().unwrap();
    for (namespace, name) in [("one", "second"), ("one", "knock")] {
        look_at(&admin, namespace, name);
    }
    let (sequence, threshold) = ([("one", 1), ("two", 1)], [("one", 1)]);
    expect(&watched, "sequence", &sequence);
    expect(&watched, "threshold", &threshold);

    // Killed right after they appeared: the same objects, the same counts.
    let before = ["sequence", "threshold"].map(|rule| identities(&watched, rule));
    watched.end_controller("KILL").unwrap();
    watched.start_controller().unwrap();
    mark.pass(&watched);
    expect(&watched, "sequence", &sequence);
    expect(&watched, "threshold", &threshold);
    assert_eq!(["sequence", "threshold"].map(|rule| identities(&watched, rule)), before);

    // And they go on counting where they were.
    look_at(&admin, "one", "second");
    look_at(&admin, "one", "knock");
    mark.pass(&watched);
    expect(&watched, "sequence", &[("one", 2), ("two", 1)]);
    expect(&watched, "threshold", &[("one", 2)]);
    assert_eq!(["sequence", "threshold"].map(|rule| identities(&watched, rule)), before);
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "web", "image": "web"}]},
    })
}

/// Waits until so many pods are known; each change is recorded within a moment from then.
fn wait_for_pods(watched: &WatchedCluster, pods: f64) {
    wait_until("the pods are known", SOON, || {
        (watched.metric("kubewitness_cluster_inventory_objects{kind=\"pods\"}").ok()? == pods).then_some(())
    })
    .unwrap();
}

/// A rule that looks for one object.
fn bait(rule: &str, object: &str) -> Value {
    cluster_rule(rule, spec(&format!("audit.objectRef.name == {object:?}"), "audit.objectRef.name"))
}

#[test]
fn rules_and_inventory_that_changed_while_it_was_down_are_noticed() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let mark = Mark::start(&watched);
    admin.run(&["create", "serviceaccount", "default", "-n", "default"]).success().unwrap();
    // Of dana alone: kubectl looks at pods by itself before it deletes them.
    let dana = admin.with_kubeconfig(&watched.client_certificate("dana", &[]).unwrap());
    let on_node = "user.name == \"dana\" && kubernetes.target.node.name == \"node-a\"";
    accept(&watched, &cluster_rule("on-node", spec(on_node, "audit.objectRef.name")));
    for (rule, object) in [("deleted", "bait"), ("changed", "bait"), ("kept", "bait")] {
        accept(&watched, &bait(rule, object));
    }
    for name in ["stays", "goes", "goes-too"] {
        watched.apply(&pod(name).to_string()).unwrap();
    }
    wait_for_pods(&watched, 3.0);
    mark.pass(&watched);
    look_at(&admin, "default", "bait");
    let ask_for = |name: &str| get(&dana, &format!("/api/v1/namespaces/default/pods/{name}"));
    ["stays", "goes"].into_iter().for_each(ask_for);
    expect(&watched, "on-node", &[("goes", 1), ("stays", 1)]);
    for rule in ["deleted", "changed", "kept"] {
        expect(&watched, rule, &[("bait", 1)]);
    }

    watched.end_controller("KILL").unwrap();
    admin.run(&["delete", "clustersecurityrule", "deleted"]).success().unwrap();
    for rule in [bait("changed", "other"), bait("made", "bait"), pod("comes")] {
        watched.apply(&rule.to_string()).unwrap();
    }
    admin.run(&["delete", "pod", "goes", "goes-too", "--force", "--grace-period=0"]).success().unwrap();
    watched.start_controller().unwrap();

    for rule in [bait("changed", "other"), bait("made", "bait")] {
        assert_eq!(judged(&watched, &rule)["status"], "True");
    }
    wait_for_pods(&watched, 2.0);
    mark.pass(&watched);
    look_at(&admin, "default", "bait");
    look_at(&admin, "default", "other");
    ["stays", "goes", "comes"].into_iter().for_each(ask_for);
    mark.pass(&watched);
    expect(&watched, "kept", &[("bait", 2)]);
    expect(&watched, "made", &[("bait", 1)]);
    expect(&watched, "changed", &[("bait", 1), ("other", 1)]);
    expect(&watched, "deleted", &[("bait", 1)]);
    let seen = counts(&watched, "on-node");
    let wanted = [("comes", 1), ("goes", 1), ("stays", 2)].map(|(name, count)| (name.to_owned(), count));
    assert!(seen.iter().eq(&wanted), "{seen:?}");
}

/// Every holder of the store's queue has to let go of it, or the drain waits for its limit and the pod for its kill.
#[test]
fn terminated_controller_drains_to_the_end_and_goes_on_where_it_was() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let mark = Mark::start(&watched);
    accept(&watched, &bait("kept", "bait"));
    look_at(&admin, "default", "bait");
    expect(&watched, "kept", &[("bait", 1)]);
    look_at(&admin, "default", "bait");
    watched.end_controller("TERM").unwrap();
    let log = watched.controller().log();
    assert!(log.contains("\"drained\"") && !log.contains("drain took longer"), "{log}");
    watched.start_controller().unwrap();
    mark.pass(&watched);
    expect(&watched, "kept", &[("bait", 2)]);
}
