//! The main road on a real API server: its audit webhook, the store, the rules, SecurityAlert objects; and their end.

use super::{
    seen::{audit_log, event, event_list, post, text},
    steps::{SOON, accept, cluster_rule, spec},
};
use crate::support::{ClusterOptions, WatchedCluster, wait_until};
use jiff::SignedDuration;
use kubewitness::telemetry;
use serde_json::json;

#[test]
fn audit_events_of_a_real_api_server_become_alerts() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    watched.apply_shipped_rules().unwrap();
    let admin = watched.kubectl();
    admin.run(&["create", "namespace", "shop"]).success().unwrap();
    admin.run(&["create", "serviceaccount", "app", "-n", "shop"]).success().unwrap();
    admin
        .run(&["create", "clusterrolebinding", "own", "--clusterrole=cluster-admin", "--serviceaccount=shop:app"])
        .success()
        .unwrap();
    let alert = watched.alert("cluster-admin-granted", 1).unwrap();
    assert_eq!(alert["metadata"]["namespace"], "kubewitness");
    assert!(watched.metric("kubewitness_store_records_stored_total").unwrap() > 0.0);
}

/// A request of an hour ago that touches the bait, as from an audit log that is read late.
fn touch_an_hour_ago(watched: &WatchedCluster, user: &str) {
    let then = (telemetry::now() - SignedDuration::from_hours(1)).to_string();
    let bait = json!({
        "user": {"username": user}, "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "bait", "apiVersion": "v1"},
        "requestReceivedTimestamp": then, "stageTimestamp": then,
    });
    assert_eq!(post(watched, &event_list(&[event(user, bait)])).code, 200);
}

/// Found when its time was over already: people see it all the same, once, and a restart does not bring it back.
#[test]
fn what_is_over_before_it_is_written_is_shown_once() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let restart = |watched: &mut WatchedCluster| {
        watched.end_controller("TERM").unwrap();
        watched.start_controller().unwrap();
    };
    watched.add_arguments(&["--alert-ttl=0"]);
    restart(&mut watched);
    let mut rule = spec("audit.objectRef.name == \"bait\"", "user.name");
    rule["alert"]["resolveAfter"] = json!("1s");
    accept(&watched, &cluster_rule("fleeting", rule));
    let expires = |watched: &WatchedCluster, what: &str| {
        let mut last = None;
        wait_until(&format!("the alert of {what} expires"), SOON, || {
            last = watched.metric("kubewitness_cluster_alerts_evicted_total{reason=\"Expired\"}").ok();
            (last == Some(1.0)).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}: {last:?} expired, {:?}", watched.alerts()));
    };
    touch_an_hour_ago(&watched, "eve");
    expires(&watched, "eve");
    wait_until("the API server logs that its status was written", SOON, || {
        let written = |event: &serde_json::Value| {
            let of = ["/objectRef/resource", "/objectRef/subresource", "/verb"].map(|field| text(event, field));
            of == ["securityalerts", "status", "patch"] && event["responseStatus"]["code"] == 200
        };
        audit_log(&watched).iter().any(written).then_some(())
    })
    .unwrap();
    restart(&mut watched);
    touch_an_hour_ago(&watched, "joe");
    expires(&watched, "joe");
    assert_eq!(watched.metric("kubewitness_cluster_alert_writes_total").unwrap(), 1.0, "eve's is not written again");
    assert!(watched.alerts_of("fleeting").unwrap().is_empty());
}
