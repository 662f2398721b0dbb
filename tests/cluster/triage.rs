//! Who may do what with an alert under the generated roles, and that an alert can't be made to go away.

use super::steps::{accept, cluster_rule, expect, look_at, spec};
use crate::support::{ClusterOptions, Kubectl, Output, WatchedCluster, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const RULE: &str = "bait-touched";

/// A watched cluster with one alert, and two people who are bound to a generated role each.
struct Desk {
    watched: WatchedCluster,
    triager: Kubectl,
    viewer: Kubectl,
    alert: String,
}

impl Desk {
    fn open() -> Desk {
        let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
        let admin = watched.kubectl();
        let user = |name: &str, role: &str| {
            let role = format!("--clusterrole={role}");
            let user = format!("--user={name}");
            admin.run(&["create", "rolebinding", name, "-n", "kubewitness", &role, &user]).success().unwrap();
            admin.with_kubeconfig(&watched.client_certificate(name, &[]).unwrap())
        };
        let (triager, viewer) = (user("tess", "kubewitness-triage"), user("vera", "kubewitness-view"));
        accept(&watched, &cluster_rule(RULE, spec("audit.objectRef.name == \"bait\"", "user.name")));
        look_at(&admin, "default", "bait");
        let alert = watched.alert(RULE, 1).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        Desk { watched, triager, viewer, alert }
    }

    fn patch(&self, who: &Kubectl, patch: Value, more: &[&str]) -> Output {
        let patch = patch.to_string();
        let mut arguments =
            vec!["patch", "securityalert", &self.alert, "-n", "kubewitness", "--type=merge", "-p", &patch];
        arguments.extend(more);
        who.run(&arguments)
    }

    fn object(&self) -> Value {
        let got = self.watched.kubectl().run(&["get", "securityalert", &self.alert, "-n", "kubewitness", "-o", "json"]);
        serde_json::from_str(&got.success().unwrap()).unwrap()
    }

    fn wait_for_state(&self, state: &str) -> Value {
        wait_until(&format!("the alert is {state}"), SOON, || {
            Some(self.object()).filter(|alert| alert["status"]["state"] == state)
        })
        .unwrap_or_else(|error| panic!("{error}: {}", self.object()))
    }
}

fn refused(output: &Output, because: &str) {
    assert!(!output.ok && output.stderr.contains(because), "wanted {because}: {output:?}");
}

#[test]
fn triager_says_what_people_think_and_nothing_else() {
    let desk = Desk::open();
    let triage = json!({"acknowledged": true, "verdict": "Benign", "assignee": "tess", "note": "a drill"});
    desk.patch(&desk.triager, json!({"spec": {"triage": triage}}), &[]).success().unwrap();
    desk.wait_for_state("Acknowledged");

    // More events come: the controller's writes leave what people said alone.
    look_at(&desk.watched.kubectl(), "default", "bait");
    desk.watched.alert(RULE, 2).unwrap();
    let before = desk.object();
    assert_eq!((&before["spec"]["triage"], &before["status"]["state"]), (&triage, &json!("Acknowledged")));

    let me = [&desk.triager, &desk.viewer];
    for who in me {
        refused(&desk.patch(who, json!({"status": {"count": 0}}), &["--subresource=status"]), "Forbidden");
        refused(&who.run(&["delete", "securityalert", &desk.alert, "-n", "kubewitness"]), "Forbidden");
        refused(&who.run(&["delete", "securityalerts", "--all", "-n", "kubewitness"]), "Forbidden");
        let mut forged = desk.object();
        forged["metadata"] = json!({"name": "forged", "namespace": "kubewitness"});
        refused(&who.stdin(forged.to_string()).run(&["create", "-f", "-"]), "Forbidden");
        who.run(&["get", "securityalert", &desk.alert, "-n", "kubewitness"]).success().unwrap();
    }
    refused(&desk.patch(&desk.viewer, json!({"spec": {"triage": {"acknowledged": false}}}), &[]), "Forbidden");
    let triager = &desk.triager;
    for rule in [json!({"name": "another"}), json!({"kind": "SecurityRule"})] {
        refused(&desk.patch(triager, json!({"spec": {"ruleRef": rule}}), &[]), "ruleRef is immutable");
    }
    for key in [json!([{"name": "key", "value": "john"}]), json!([]), Value::Null] {
        refused(&desk.patch(triager, json!({"spec": {"key": key}}), &[]), "key is immutable");
    }
    refused(&desk.patch(triager, json!({"spec": {"triage": {"verdict": "Whatever"}}}), &[]), "Unsupported value");

    // Through the main resource the API server lets nobody write a status.
    desk.patch(triager, json!({"status": {"count": 999, "state": "Resolved"}}), &[]).success().unwrap();
    let after = desk.object();
    assert_eq!((&after["spec"], &after["status"]), (&before["spec"], &before["status"]));

    desk.patch(triager, json!({"spec": {"triage": null}}), &[]).success().unwrap();
    desk.wait_for_state("Open");
}

#[test]
fn deleted_alert_comes_back_and_its_count_never_goes_backwards() {
    let mut desk = Desk::open();
    let admin = desk.watched.kubectl();
    look_at(&admin, "default", "bait");
    desk.watched.alert(RULE, 2).unwrap();
    let said = json!({"acknowledged": true, "verdict": "TruePositive", "note": "it was eve"});
    desk.patch(&desk.triager, json!({"spec": {"triage": said}}), &[]).success().unwrap();
    let mut before = desk.wait_for_state("Acknowledged");
    // What is written again names the episode of which it was said.
    before["spec"]["triage"]["episode"] = before["status"]["episodes"][0]["start"].clone();
    let delete = |desk: &Desk| {
        let uid = desk.object()["metadata"]["uid"].clone();
        admin.run(&["delete", "securityalert", &desk.alert, "-n", "kubewitness"]).success().unwrap();
        let back = desk.watched.alert(RULE, 2).unwrap();
        assert_ne!(back["metadata"]["uid"], uid, "it is another object");
        back
    };
    let back = delete(&desk);
    for part in ["/metadata/name", "/spec", "/status/state", "/status/count", "/status/firstSeen", "/status/evidence"] {
        assert_eq!(back.pointer(part), before.pointer(part), "{part}");
    }
    assert_eq!(desk.watched.metric("kubewitness_cluster_alerts_restored_total").unwrap(), 1.0);

    look_at(&admin, "default", "bait");
    desk.watched.alert(RULE, 3).unwrap();

    // Deleted while nobody looked: it comes back as well.
    desk.watched.end_controller("KILL").unwrap();
    admin.run(&["delete", "securityalert", &desk.alert, "-n", "kubewitness"]).success().unwrap();
    desk.watched.start_controller().unwrap();
    let back = desk.watched.alert(RULE, 3).unwrap();
    assert_eq!(back["spec"], before["spec"], "and what people said of it");
    look_at(&admin, "default", "bait");
    expect(&desk.watched, RULE, &[("admin", 4)]);
}
