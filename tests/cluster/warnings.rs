//! What the linter says of a rule reaches its author through the API server, and keeps no rule from working.

use super::steps::{accept, cluster_rule, expect, look_at, spec};
use crate::support::{ClusterOptions, WatchedCluster};
use serde_json::Value;

fn warnings(watched: &WatchedCluster, name: &str) -> Vec<Value> {
    let rule = watched.kubectl().run(&["get", "clustersecurityrule", name, "-o", "json"]).success().unwrap();
    let rule: Value = serde_json::from_str(&rule).unwrap();
    rule["status"]["warnings"].as_array().cloned().unwrap_or_default()
}

#[test]
fn rule_that_negates_what_may_be_missing_is_warned_of_in_its_status_and_works() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let trap = |condition: &str| {
        let condition = format!("audit.objectRef.name == \"bait\" && (user.name == \"admin\" || {condition})");
        cluster_rule("trap", spec(&condition, "user.name"))
    };
    accept(&watched, &trap("audit.requestObject.spec.type != \"ClusterIP\""));
    let found = warnings(&watched, "trap");
    let [warning] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (warning["lint"].as_str(), warning["field"].as_str()),
        (Some("NegatedDynamic"), Some("spec.selectors[seen].where"))
    );
    let message = warning["message"].as_str().unwrap();
    assert!(
        message.contains("`audit.requestObject.spec.type` may be missing") && message.contains("orValue"),
        "{message}"
    );
    look_at(&watched.kubectl(), "default", "bait");
    expect(&watched, "trap", &[("admin", 1)]);

    // A mended rule is rid of it.
    accept(&watched, &trap("audit.requestObject.?spec.?type.orValue(\"\") != \"ClusterIP\""));
    assert_eq!(warnings(&watched, "trap"), Vec::<Value>::new());
}
