//! Attacks with the real kubectl against a real API server that a real controller watches, under the shipped audit policy and the
//! shipped rules: each is seen, by the rules that are meant for it.

mod kinds;
mod kubelet;
mod nulls;
mod raw;
mod ways;

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    cluster::steps::{SOON, key},
    support::{ClusterOptions, Kubectl, TestCluster, WatchedCluster, release, wait_until},
};
use kubelet::Kubelet;

/// A cluster with a node, a workload on it, and an intruder who has come by a strong role.
struct Scene {
    watched: WatchedCluster,
    kubelet: Kubelet,
    intruder: Kubectl,
    /// The intruder's, for requests that kubectl can't send.
    kubeconfig: PathBuf,
}

const INTRUDER: &str = "mallory";
/// May look at the pods of one namespace.
const POOR: &str = "mallory-the-poor";

impl Scene {
    fn start() -> Scene {
        let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
        let kubelet = Kubelet::start(&watched);
        let admin = watched.kubectl();
        for arguments in [
            &["create", "namespace", "shop"][..],
            &["-n", "shop", "create", "serviceaccount", "default"],
            &["-n", "shop", "create", "secret", "generic", "db", "--from-literal=password=planted"],
            &["-n", "kube-system", "create", "serviceaccount", "clusterrole-aggregation-controller"],
            &["create", "clusterrolebinding", "stolen", "--clusterrole=cluster-admin", "--user", INTRUDER],
            &["-n", "shop", "create", "role", "looker", "--verb=get", "--resource=pods"],
            &["-n", "shop", "create", "rolebinding", "poor", "--role=looker", "--user", POOR],
        ] {
            admin.run(arguments).success().unwrap();
        }
        kubelet.register(&admin);
        for manifest in [ways::DEPLOYMENT, ways::POD_ON_NODE] {
            watched.apply(manifest).unwrap();
        }
        // From here on: what was done to set the scene is no part of it.
        watched.apply_shipped_rules().unwrap();
        let kubeconfig = watched.client_certificate(INTRUDER, &[]).unwrap();
        let intruder = admin.with_kubeconfig(&kubeconfig);
        Scene { watched, kubelet, intruder, kubeconfig }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        raw::send(&self.kubeconfig, method, path, headers, body);
    }

    /// As another user of the intruder's, who may do everything as well.
    fn send_as(&self, user: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let kubeconfig = self.watched.client_certificate(user, &["system:masters"]).unwrap();
        raw::send(&kubeconfig, method, path, headers, body);
    }

    /// Rule of every alert on the intruder, with its key and summary: some rules tell by object, and name the actor in the text.
    fn found(&self) -> BTreeSet<(String, String)> {
        let alerts = self.watched.alerts().unwrap();
        let of = |alert: &serde_json::Value| {
            let text = format!("{} {}", key(alert).join(" "), alert["status"]["summary"].as_str().unwrap_or_default());
            (alert["spec"]["ruleRef"]["name"].as_str().unwrap().to_owned(), text)
        };
        alerts
            .iter()
            .filter(|alert| alert["status"].is_object())
            .map(of)
            .filter(|(_, key)| key.contains(INTRUDER))
            .collect()
    }

    /// Waits until each of these rules has an alert with such a key.
    fn expect(&self, what: &str, wanted: &[(&str, &str)]) {
        let mut missing = Vec::new();
        let mut found = BTreeSet::new();
        let seen = wait_until(what, SOON, || {
            found = self.found();
            missing = wanted
                .iter()
                .filter(|(rule, part)| !found.iter().any(|(name, key)| name == rule && key.contains(part)))
                .collect();
            missing.is_empty().then_some(())
        });
        let log = self.watched.controller().log_tail();
        assert!(seen.is_ok(), "{what}: no alert of {missing:?} among {found:#?}\n{log}");
    }
}

/// The eight techniques on Kubernetes that Stratus Red Team knows, by their names and what they come down to.
#[test]
fn the_eight_techniques_of_stratus_red_team_are_seen() {
    let scene = Scene::start();
    for technique in ways::stratus() {
        (technique.act)(&scene);
        scene.expect(technique.name, technique.alerts);
    }
    assert!(scene.kubelet.asked("/run") && scene.kubelet.asked("/exec"), "the kubelet was reached");
}

/// The same ends by requests that a rule on `create` of the obvious kind would miss.
#[test]
fn other_ways_to_the_same_ends_are_seen() {
    let scene = Scene::start();
    for technique in ways::detours() {
        (technique.act)(&scene);
        scene.expect(technique.name, technique.alerts);
    }
}

/// The same in each kind of object, by each kind of patch, and by requests that no usual client sends.
#[test]
fn other_kinds_and_shapes_of_the_same_are_seen() {
    let scene = Scene::start();
    for technique in kinds::kinds().into_iter().chain(kinds::shapes()) {
        (technique.act)(&scene);
        scene.expect(technique.name, technique.alerts);
    }
}

/// What only asks or fails is not reported as done.
#[test]
fn attempts_that_fail_are_rated_lower() {
    let scene = Scene::start();
    let poor = scene.intruder.with_kubeconfig(&scene.watched.client_certificate(POOR, &[]).unwrap());
    for _ in 0..3 {
        assert!(!poor.run(&["get", "secrets", "-A"]).ok);
    }
    assert!(!poor.run(&["-n", "shop", "exec", "web", "--", "cat", ways::TOKEN]).ok);
    assert!(!poor.run(&["get", "pods", "--as=system:admin"]).ok);
    assert!(!poor.run(&["run", "x", "-n", "shop", "--image=x", "--privileged"]).ok);
    scene
        .intruder
        .run(&["run", "dry", "-n", "shop", "--image=x", "--privileged", "--dry-run=server"])
        .success()
        .unwrap();
    scene.expect(
        "failures",
        &[("secret-access-refused", POOR), ("exec-or-attach-refused", POOR), ("impersonation-refused", POOR)],
    );
    let rules: BTreeSet<String> = scene.found().into_iter().map(|(rule, _)| rule).collect();
    let wanted = ["exec-or-attach-refused", "impersonation-refused", "secret-access-refused"];
    assert_eq!(rules, wanted.map(str::to_owned).into());
}

/// An API server of 1.34 carries out what it can't write down: of an apply whose body is YAML its audit log has the coming alone, by
/// which the rule patch-left-no-record knows it. That of 1.37 writes it down.
#[test]
fn an_apply_of_yaml_leaves_nothing_but_its_coming() {
    let cluster = TestCluster::start(ClusterOptions::default()).unwrap();
    let kubeconfig = cluster.client_certificate(INTRUDER, &["system:masters"]).unwrap();
    let path = "/api/v1/namespaces/den?fieldManager=x";
    let body = "apiVersion: v1\nkind: Namespace\nmetadata: {name: den, labels: {pod-security.kubernetes.io/enforce: privileged}}\n";
    raw::send(&kubeconfig, "PATCH", path, &[("Content-Type", raw::APPLY)], body);
    assert!(cluster.kubectl().run(&["get", "namespace", "den"]).ok, "it was carried out");
    let of_it = |stage: &str| {
        let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
        let events: Vec<serde_json::Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        events.iter().filter(|e| e["requestURI"] == path && e["stage"] == stage).count()
    };
    wait_until("the request that came after it", SOON, || {
        let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
        log.contains("\"requestURI\":\"/api/v1/namespaces/den\"").then_some(())
    })
    .unwrap();
    let written = usize::from(release() != "1.34");
    assert_eq!((of_it("RequestReceived"), of_it("ResponseComplete")), (1, written));
}

/// Rules name paths and resources as the API server does: other spellings of them are no requests for the same.
#[test]
fn paths_of_other_spelling_are_not_served() {
    let cluster = TestCluster::start(ClusterOptions::default()).unwrap();
    let asked = |path: &str| raw::status(cluster.kubeconfig(), path);
    assert_eq!(asked("/api/v1/secrets"), 200, "as it is spelt");
    for path in [
        "/api/v1/Secrets",
        "/API/v1/secrets",
        "/api/V1/secrets",
        "/api/v1beta1/secrets",
        "/api/v1//secrets",
        "/api/v1/./secrets",
    ] {
        assert_eq!(asked(path), 404, "{path}");
    }
}
