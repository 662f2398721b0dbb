//! The test bed itself: what every other test here stands on.

use crate::support::{AuditWebhook, ClusterOptions, Process, TestCluster, is_running, release, wait_until};
use serde_json::Value;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn wait_until_gone(pids: &[u32], dir: &Path) {
    wait_until("the processes end", SOON, || pids.iter().all(|pid| !is_running(*pid)).then_some(())).unwrap();
    wait_until("the directory goes", SOON, || (!dir.exists()).then_some(())).unwrap();
}

fn pids(cluster: &TestCluster) -> Vec<u32> {
    cluster.processes().iter().map(|process| process.pid).collect()
}

#[test]
fn cluster_authenticates_users_and_runs_controllers() {
    let begun = Instant::now();
    let cluster = TestCluster::start(ClusterOptions { controller_manager: true, ..Default::default() }).unwrap();
    let took = begun.elapsed();
    let admin = cluster.kubectl();
    let version = admin.run(&["version", "-o", "json"]).success().unwrap();
    let version: Value = serde_json::from_str(&version).unwrap();
    let wanted = format!("v{}.", release());
    assert!(text(&version, "/serverVersion/gitVersion").starts_with(&wanted), "{version}");

    let dana = admin.with_kubeconfig(&cluster.client_certificate("dana", &["payments", "oncall"]).unwrap());
    let who = dana.run(&["auth", "whoami", "-o", "json"]).success().unwrap();
    let who: Value = serde_json::from_str(&who).unwrap();
    assert_eq!(text(&who, "/status/userInfo/username"), "dana");
    assert_eq!(
        who.pointer("/status/userInfo/groups").unwrap(),
        &serde_json::json!(["payments", "oncall", "system:authenticated"])
    );
    let refused = dana.run(&["get", "pods"]);
    assert!(!refused.ok && refused.stderr.contains("Forbidden"), "{refused:?}");

    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
    admin.stdin(namespace).run(&["apply", "-f", "-"]).success().unwrap();
    wait_until("a service account in the new namespace", SOON, || {
        admin.run(&["-n", "shop", "get", "sa", "default"]).ok.then_some(())
    })
    .unwrap();
    let account = admin.with_kubeconfig(&cluster.service_account_kubeconfig("shop", "default").unwrap());
    let who = account.run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]).success().unwrap();
    assert_eq!(who, "system:serviceaccount:shop:default");
    let resident = |process: &Process| (process.name, process.resident_mib().unwrap());
    let resident: Vec<_> = cluster.processes().iter().map(resident).collect();
    eprintln!("started in {took:.1?}; resident MiB: {resident:?}");
    assert_eq!(resident.len(), 3);
}

#[test]
fn clusters_stand_side_by_side_and_end_apart_even_by_a_panic() {
    let first = TestCluster::start(ClusterOptions::default()).unwrap();
    let second = TestCluster::start(ClusterOptions::default()).unwrap();
    assert!(first.kubectl().run(&["create", "namespace", "only-in-first"]).ok);
    assert!(second.kubectl().run(&["get", "namespace", "default"]).ok);
    assert!(!second.kubectl().run(&["get", "namespace", "only-in-first"]).ok);

    let (gone, dir) = (pids(&first), first.dir().to_owned());
    std::thread::spawn(move || {
        assert!(first.dir().exists());
        panic!("a test fails while it holds a cluster");
    })
    .join()
    .unwrap_err();
    wait_until_gone(&gone, &dir);

    assert!(second.kubectl().run(&["get", "namespace", "default"]).ok);
    let (gone, dir) = (pids(&second), second.dir().to_owned());
    drop(second);
    assert!(gone.iter().all(|pid| !is_running(*pid)) && !dir.exists(), "gone when drop returns");
}

/// Runs itself as another process, which holds a cluster until it is killed.
#[test]
fn cluster_ends_with_a_killed_holder() {
    const NOTE: &str = "KUBEWITNESS_TEST_HOLDS_CLUSTER";
    if let Some(note) = std::env::var_os(NOTE) {
        let cluster = TestCluster::start(ClusterOptions::default()).unwrap();
        let whole = PathBuf::from(&note).with_extension("new");
        std::fs::write(&whole, serde_json::to_string(&(pids(&cluster), cluster.dir())).unwrap()).unwrap();
        std::fs::rename(whole, note).unwrap();
        // Ends by itself as well, should the outer test end first.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::fixture::cluster_ends_with_a_killed_holder"])
        .env(NOTE, &note)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let held =
        wait_until("the holder's cluster", Duration::from_secs(120), || std::fs::read_to_string(&note).ok()).unwrap();
    let (pids, cluster_dir): (Vec<u32>, PathBuf) = serde_json::from_str(&held).unwrap();
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_running(*pid)) && cluster_dir.exists(), "{held}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until_gone(&pids, &cluster_dir);
}

#[test]
fn cluster_that_cannot_start_says_why() {
    let options = ClusterOptions { api_server_args: vec!["--no-such-flag".into()], ..Default::default() };
    let error = TestCluster::start(options).err().expect("a wrong flag ends kube-apiserver");
    assert!(format!("{error:#}").contains("unknown flag: --no-such-flag"), "{error:#}");

    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--secure-port={}", held.local_addr().unwrap().port());
    let options = ClusterOptions { api_server_args: vec![port], ..Default::default() };
    let error = TestCluster::start(options).err().expect("the port is taken in every try");
    assert!(format!("{error:#}").contains("kube-apiserver: another process has taken its port"), "{error:#}");

    let webhook =
        AuditWebhook { url: "http://127.0.0.1/elsewhere".into(), ca_pem: String::new(), token: String::new() };
    let options = ClusterOptions { audit_webhook: Some(webhook), ..Default::default() };
    let error = TestCluster::start(options).err().expect("no such path in our server");
    assert!(format!("{error:#}").contains("https://HOST:PORT/audit/CLUSTER/APISERVER"), "{error:#}");
}
