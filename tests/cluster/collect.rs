//! The collector and the controller together, with the API server's own token between them.

use super::collectors::{ACCOUNT, log_source, node, pod, pod_token, prepare};
use super::seen::records;
use crate::support::{ClusterOptions, NAMESPACE, WatchedCluster, free_port, kubewitness, wait_until};
use kubewitness::record::Payload;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_collector_ships_what_its_node_s_log_sources_name() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    prepare(&watched);
    node(&watched, "apiserver-1", json!({"node-role.kubernetes.io/control-plane": ""}));
    pod(&watched, NAMESPACE, "collector-a", ACCOUNT, Some("apiserver-1"));
    let source = json!({"source": "Node", "format": "Syslog", "paths": ["/var/log/auth.log"]});
    watched.apply(&log_source("auth", source).to_string()).unwrap();
    let audit = watched.audit_log();
    let source = json!({"source": "Audit", "format": "Audit", "paths": [audit.display().to_string()],
        "nodeSelector": {"node-role.kubernetes.io/control-plane": ""}});
    let dir = watched.dir().to_owned();
    let root = dir.join("host");
    fs::create_dir_all(root.join("var/log")).unwrap();
    // A copy: this test itself decides what is in it.
    let mirrored = root.join(audit.strip_prefix("/").unwrap());
    fs::create_dir_all(mirrored.parent().unwrap()).unwrap();
    watched.apply(&log_source("audit", source).to_string()).unwrap();
    fs::write(root.join("var/log/auth.log"), "").unwrap();
    fs::write(dir.join("token"), pod_token(&watched, "collector-a")).unwrap();
    let (ingest, admin) = (watched.ingest().0, free_port().unwrap());
    let arguments = [
        "collector".to_owned(),
        format!("--controller=https://localhost:{ingest}"),
        format!("--controller-ca={}", dir.join("ingest-clients.crt").display()),
        format!("--token-file={}", dir.join("token").display()),
        format!("--state-dir={}", dir.join("collector").display()),
        format!("--host-root={}", root.display()),
        format!("--admin-listen=127.0.0.1:{admin}"),
    ];
    let collector = watched.spawn("collector", &kubewitness().unwrap(), &arguments).unwrap();
    let mut log = fs::OpenOptions::new().append(true).open(root.join("var/log/auth.log")).unwrap();
    for n in 0..100 {
        writeln!(log, "Jan  2 03:04:05 node-a sshd[{n}]: Failed password for root from 203.0.113.9 port 4711 ssh2")
            .unwrap();
    }
    fs::copy(&audit, &mirrored).unwrap();
    let logged = fs::read_to_string(&mirrored).unwrap().lines().count() as f64;
    let metric = |name: &str| watched.metric(&format!("kubewitness_ingest_{name}")).unwrap();
    let waited = wait_until("all of it is stored", SOON, || {
        (metric("records_stored_total") + metric("records_duplicate_total") >= 100.0 + logged).then_some(())
    });
    waited
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", collector.log_tail(), watched.admin("/metrics").unwrap().1));
    assert_eq!(metric("records_refused_total{reason=\"OutOfScope\"}"), 0.0);
    collector.end("TERM").unwrap();
    watched.end_controller("TERM").unwrap();
    let lines = records(&watched.store()).into_iter().filter(|record| matches!(record.payload, Payload::Line(_)));
    assert_eq!(lines.count(), 100);
}
