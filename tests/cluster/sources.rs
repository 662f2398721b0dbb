//! LogSources: resolved for each node by its labels, told in their status, and the shipped ones accepted.

use super::collectors::{ACCOUNT, log_source, node, pod, pod_token, prepare, sources_of};
use crate::support::{ClusterOptions, NAMESPACE, WatchedCluster, repository, wait_until};
use kubewitness::api::LogSource;
use kubewitness::api::log_source::CheckedSource;
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// `nodes` and the `Ready` condition of a LogSource, once they are of its newest generation.
fn status(watched: &WatchedCluster, name: &str) -> Option<(i64, Value)> {
    let got = watched.kubectl().run(&["get", "logsource", name, "-o", "json"]);
    let source: Value = serde_json::from_str(&got.stdout).ok()?;
    let conditions = source["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    let is_new = ready["observedGeneration"] == source["metadata"]["generation"];
    is_new.then(|| (source["status"]["nodes"].as_i64().unwrap_or_default(), ready.clone()))
}

fn until_status(watched: &WatchedCluster, name: &str, nodes: i64, ready: &str) -> Value {
    let mut last = None;
    let found = wait_until(&format!("status of {name}"), SOON, || {
        last = status(watched, name);
        let (found, condition) = last.clone()?;
        (found == nodes && condition["status"] == ready).then_some(condition)
    });
    found.unwrap_or_else(|error| panic!("{error}: {last:?}"))
}

fn until_told(watched: &WatchedCluster, token: &str, names: &[&str]) {
    let mut last = None;
    let told = wait_until("a collector is told its sources", SOON, || {
        last = sources_of(watched, token);
        last.as_ref().is_some_and(|told| told == names).then_some(())
    });
    told.unwrap_or_else(|error| panic!("{error}: {names:?}, but {last:?}"));
}

#[test]
fn log_sources_are_resolved_by_the_labels_of_nodes_and_say_so() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    prepare(&watched);
    node(&watched, "node-a", json!({"pool": "edge"}));
    node(&watched, "node-b", json!({"pool": "batch"}));
    let tokens = ["a", "b"].map(|name| {
        let (pod_name, node) = (format!("collector-{name}"), format!("node-{name}"));
        pod(&watched, NAMESPACE, &pod_name, ACCOUNT, Some(&node));
        pod_token(&watched, &pod_name)
    });
    let everywhere = json!({"source": "Node", "paths": ["/var/log/syslog"]});
    let edge = json!({"source": "Web", "paths": ["/var/log/nginx/access.log"], "nodeSelector": {"pool": "edge"}});
    watched.apply(&log_source("everywhere", everywhere).to_string()).unwrap();
    watched.apply(&log_source("edge", edge).to_string()).unwrap();
    assert_eq!(until_status(&watched, "everywhere", 2, "True")["reason"], "Assigned");
    until_status(&watched, "edge", 1, "True");
    until_told(&watched, &tokens[0], &["edge", "everywhere"]);
    until_told(&watched, &tokens[1], &["everywhere"]);

    watched.kubectl().run(&["label", "node", "node-b", "pool=edge", "--overwrite"]).success().unwrap();
    until_told(&watched, &tokens[1], &["edge", "everywhere"]);
    until_status(&watched, "edge", 2, "True");

    // An edit that can't be used takes the source away, with the reason; the others stay.
    let broken = json!({"source": "Web", "paths": ["/var/log/nginx/access.log", "/var/**/access.log"]});
    watched.apply(&log_source("edge", broken).to_string()).unwrap();
    let condition = until_status(&watched, "edge", 0, "False");
    assert_eq!(condition["reason"], "InvalidSource");
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("spec.paths[1]: /var/**/access.log"), "{message}");
    until_told(&watched, &tokens[0], &["everywhere"]);
    let zone = json!({"source": "Node", "paths": ["/var/log/syslog"], "timeZone": "Europe/Atlantis"});
    watched.apply(&log_source("zone", zone).to_string()).unwrap();
    let message = until_status(&watched, "zone", 0, "False")["message"].clone();
    assert!(message.as_str().unwrap().contains("Europe/Atlantis"), "{message}");

    watched.kubectl().run(&["delete", "logsource", "everywhere"]).success().unwrap();
    until_told(&watched, &tokens[0], &[]);
    let metric =
        |ready: &str| watched.metric(&format!("kubewitness_cluster_log_sources{{ready=\"{ready}\"}}")).unwrap();
    assert_eq!((metric("true"), metric("false")), (0.0, 2.0));
    watched.kubectl().run(&["delete", "node", "node-a"]).success().unwrap();
}

#[test]
fn shipped_log_sources_are_accepted_and_ready() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    node(&watched, "cp", json!({"node-role.kubernetes.io/control-plane": ""}));
    node(&watched, "worker", json!({}));
    let directory = repository("manifests/log-sources");
    watched.kubectl().run(&["apply", "-f", &directory.display().to_string()]).success().unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let source: LogSource = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(source.metadata.name.as_deref(), Some(name));
        CheckedSource::check(name, &source.spec).unwrap_or_else(|error| panic!("{name}: {error}"));
        let nodes = if source.spec.node_selector.is_empty() { 2 } else { 1 };
        until_status(&watched, name, nodes, "True");
        files += 1;
    }
    assert!(files >= 4, "{files} files");
}

#[test]
fn an_audit_source_and_the_audit_format_go_together() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    for (source, format) in [("Audit", "Auto"), ("Node", "Audit")] {
        let spec = json!({"source": source, "format": format, "paths": ["/var/log/a.log"]});
        let refused = watched.apply(&log_source("wrong", spec).to_string()).unwrap_err().to_string();
        assert!(refused.contains("go together"), "{source} {format}: {refused}");
    }
}
