//! The main road on a real API server: its audit webhook, the store, the rules, SecurityAlert objects.

use crate::support::{ClusterOptions, WatchedCluster};

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
