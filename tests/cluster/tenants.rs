//! A tenant's rule sees its own namespace: nothing of another one, nothing of the cluster, on no way.

use super::steps::{Mark, accept, cluster_rule, counts, expect, get, judged, look_at, spec, tenant_rule};
use crate::support::{ClusterOptions, Kubectl, WatchedCluster, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// What an event is about, as a tenant might try to learn it.
const ABOUT: &str = "audit.objectRef.namespace + \"/\" + audit.objectRef.resource";

fn namespaces(watched: &WatchedCluster) -> Kubectl {
    let admin = watched.kubectl();
    for namespace in ["shop", "pay"] {
        admin.run(&["create", "namespace", namespace]).success().unwrap();
    }
    admin
}

/// A rule over `a` and `b` of one user.
fn joins(detection: Value) -> Value {
    json!({
        "title": "Two things were done", "severity": "High",
        "selectors": [
            {"name": "a", "source": "Audit", "where": "audit.objectRef.name == \"a\""},
            {"name": "b", "source": "Audit", "where": "audit.objectRef.name == \"b\""},
        ],
        "groupBy": [{"name": "user", "value": "user.name"}],
        "detection": detection,
    })
}

fn threshold() -> Value {
    joins(json!({"type": "Threshold", "threshold": {"selector": "a", "count": 2, "within": "10m"}}))
}

fn sequence() -> Value {
    let steps = json!([{"selector": "a"}, {"selector": "b"}]);
    joins(json!({"type": "Sequence", "sequence": {"within": "10m", "ordered": false, "steps": steps}}))
}

#[test]
fn tenant_rule_sees_nothing_of_other_namespaces_or_the_cluster() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = namespaces(&watched);
    let mark = Mark::start(&watched);
    let mut all_seeing = spec("true", ABOUT);
    all_seeing["severity"] = json!("Critical");
    accept(&watched, &tenant_rule("shop", "all-seeing", all_seeing));
    accept(&watched, &tenant_rule("shop", "threshold", threshold()));
    accept(&watched, &tenant_rule("shop", "sequence", sequence()));
    accept(&watched, &cluster_rule("control", spec("user.name == \"dana\"", ABOUT)));
    accept(&watched, &cluster_rule("control-threshold", threshold()));
    accept(&watched, &cluster_rule("control-sequence", sequence()));

    admin.run(&["create", "clusterrolebinding", "dana", "--clusterrole=edit", "--user=dana"]).success().unwrap();
    let dana = admin.with_kubeconfig(&watched.client_certificate("dana", &[]).unwrap());
    look_at(&dana, "shop", "a");
    look_at(&dana, "pay", "a");
    look_at(&dana, "pay", "b");
    for path in [
        "/api/v1/configmaps",
        "/api/v1/nodes",
        "/api/v1/namespaces",
        "/api/v1/namespaces/shop",
        "/api/v1/namespaces/shop/status",
        "/api/v1/namespaces/pay",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/shop",
        "/api/v1/persistentvolumes/shop",
    ] {
        get(&dana, path);
    }
    // The API server calls a Namespace by its own name as namespace: that it is seen by the cluster's rule shows what the
    // tenant's rule was kept from.
    expect(
        &watched,
        "control",
        &[
            ("shop/configmaps", 1),
            ("pay/configmaps", 2),
            ("/configmaps", 1),
            ("/nodes", 1),
            ("/namespaces", 1),
            ("shop/namespaces", 2),
            ("pay/namespaces", 1),
            ("/clusterroles", 1),
            ("/persistentvolumes", 1),
        ],
    );
    expect(&watched, "control-threshold", &[("dana", 1)]);
    expect(&watched, "control-sequence", &[("dana", 1)]);
    mark.pass(&watched);
    let seen = counts(&watched, "all-seeing");
    assert!(seen.contains(&("shop/configmaps".to_owned(), 1)), "{seen:?}");
    // Its own alerts are objects of its namespace, which the controller writes.
    let own = |about: &str| ["shop/configmaps", "shop/securityalerts", "shop/securityrules"].contains(&about);
    assert!(seen.iter().all(|(about, _)| own(about)), "{seen:?}");
    expect(&watched, "threshold", &[]);
    expect(&watched, "sequence", &[]);

    // What the tenant's own namespace completes is found, and the alerts live there.
    look_at(&dana, "shop", "a");
    look_at(&dana, "shop", "b");
    expect(&watched, "threshold", &[("dana", 1)]);
    expect(&watched, "sequence", &[("dana", 1)]);
    for rule in ["all-seeing", "threshold", "sequence"] {
        for alert in watched.alerts_of(rule).unwrap() {
            assert_eq!(alert["metadata"]["namespace"], "shop", "{alert}");
            assert_eq!(alert["spec"]["ruleRef"]["kind"], "SecurityRule", "{alert}");
            assert!(!alert.to_string().contains("pay"), "{alert}");
        }
    }
}

#[test]
fn tenant_rule_may_not_ask_for_node_logs() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    namespaces(&watched);
    let mut spec = spec("true", "host.name");
    spec["selectors"][0]["source"] = json!("Node");
    let rule = tenant_rule("shop", "logins", spec);
    watched.apply(&rule.to_string()).unwrap();
    let ready = judged(&watched, &rule);
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("InvalidRule")), "{ready}");
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains("spec.selectors[seen].source: a SecurityRule sees its own namespace alone"), "{message}");
}

/// The generated roles join the built-in ones: who may edit a namespace may write its rules, and no cluster rule.
#[test]
fn editor_of_a_namespace_writes_its_rules_and_no_others() {
    let options = ClusterOptions { controller_manager: true, ..Default::default() };
    let watched = WatchedCluster::start(options).unwrap();
    let admin = namespaces(&watched);
    for (user, role) in [("erin", "edit"), ("vera", "view")] {
        let (role, user_flag) = (format!("--clusterrole={role}"), format!("--user={user}"));
        admin.run(&["create", "rolebinding", user, "-n", "shop", &role, &user_flag]).success().unwrap();
    }
    let user = |name: &str| admin.with_kubeconfig(&watched.client_certificate(name, &[]).unwrap());
    let (erin, vera) = (user("erin"), user("vera"));
    for (who, verb) in [(&erin, "create"), (&vera, "list")] {
        wait_until("the roles are aggregated", SOON, || {
            who.run(&["auth", "can-i", verb, "securityrules.kubewitness.io", "-n", "shop"]).ok.then_some(())
        })
        .unwrap();
    }
    let condition = "audit.objectRef.name == \"bait\"";
    let create = |who: &Kubectl, rule: Value| who.stdin(rule.to_string()).run(&["create", "-f", "-"]);
    let own = tenant_rule("shop", "own", spec(condition, "user.name"));
    create(&erin, own.clone()).success().unwrap();
    assert_eq!(judged(&watched, &own)["status"], "True");
    for (who, rule) in [
        (&erin, tenant_rule("pay", "foreign", spec(condition, "user.name"))),
        (&erin, cluster_rule("wide", spec(condition, "user.name"))),
        (&vera, tenant_rule("shop", "viewed", spec(condition, "user.name"))),
    ] {
        let refused = create(who, rule);
        assert!(!refused.ok && refused.stderr.contains("Forbidden"), "{refused:?}");
    }
    let status =
        erin.run(&["patch", "securityrule", "own", "-n", "shop", "--subresource=status", "--type=merge", "-p", "{}"]);
    assert!(!status.ok && status.stderr.contains("Forbidden"), "{status:?}");

    look_at(&erin, "shop", "bait");
    expect(&watched, "own", &[("erin", 1)]);
    let alerts = vera.run(&["get", "securityalerts,securityrules", "-n", "shop", "-o", "name"]).success().unwrap();
    assert_eq!(alerts.lines().count(), 2, "{alerts}");
    vera.run(&["get", "securityalerts", "-n", "pay"]).success().unwrap_err();
}

#[test]
fn rule_that_takes_in_everything_does_not_feed_on_its_own_alerts() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let rule = r#"{"apiVersion": "kubewitness.io/v1alpha1", "kind": "ClusterSecurityRule", "metadata": {"name": "ours"},
        "spec": {"title": "Anything of our kinds", "severity": "Low",
                 "selectors": [{"name": "any", "source": "Audit", "where": "audit.objectRef.apiGroup == 'kubewitness.io'"}],
                 "groupBy": [{"name": "user", "value": "user.name"}]}}"#;
    watched.apply(rule).unwrap();
    assert_eq!(watched.judged("clustersecurityrule", "", "ours").unwrap()["status"], "True");
    admin.run(&["get", "securityalerts", "-A"]).success().unwrap();
    wait_until("the administrator's own requests raise an alert, and writing it is seen", SOON, || {
        let written = watched.metric("kubewitness_pipeline_own_requests_total").ok()?;
        (written >= 2.0 && !watched.alerts_of("ours").ok()?.is_empty()).then_some(())
    })
    .unwrap();
    let users: Vec<_> =
        watched.alerts_of("ours").unwrap().iter().map(|a| a["spec"]["key"][0]["value"].clone()).collect();
    assert_eq!(users, ["admin"]);
}
