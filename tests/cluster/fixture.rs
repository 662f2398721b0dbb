//! The test bed itself: what every other test here stands on.

use crate::support::{AuditWebhook, ClusterOptions, Process, TestCluster, is_running, wait_until};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// The events of the audit log so far; a line that is still being written is left out.
fn audit_events(cluster: &TestCluster) -> Vec<Value> {
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

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
    let cluster = TestCluster::start(ClusterOptions { controller_manager: true, ..Default::default() }).unwrap();
    let admin = cluster.kubectl();
    let version = admin.run(&["version", "-o", "json"]).success().unwrap();
    let version: Value = serde_json::from_str(&version).unwrap();
    assert!(text(&version, "/serverVersion/gitVersion").starts_with("v1.34."), "{version}");

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
    for Process { name, .. } in cluster.processes() {
        assert!(["etcd", "kube-apiserver", "kube-controller-manager"].contains(name));
    }
    eprintln!("resident MiB: {:?}", cluster.processes().iter().map(|p| (p.name, p.resident_mib())).collect::<Vec<_>>());
}

#[test]
fn shipped_audit_policy_keeps_stages_and_bodies_but_no_credentials() {
    let cluster = TestCluster::start(ClusterOptions::default()).unwrap();
    let admin = cluster.kubectl();
    for arguments in [
        &["create", "namespace", "shop"][..],
        &["-n", "shop", "create", "serviceaccount", "app"],
        &["-n", "shop", "create", "secret", "generic", "db", "--from-literal=password=planted-in-a-secret"],
        &["-n", "shop", "create", "configmap", "settings", "--from-literal=password=planted-in-a-configmap"],
        &["create", "clusterrolebinding", "own", "--clusterrole=cluster-admin", "--serviceaccount=shop:app"],
        &[
            "-n",
            "shop",
            "run",
            "web",
            "--image=web",
            "--privileged",
            "--overrides={\"spec\":{\"serviceAccountName\":\"app\"}}",
        ],
    ] {
        admin.run(arguments).success().unwrap();
    }
    let kubeconfig = cluster.service_account_kubeconfig("shop", "app").unwrap();
    let file = std::fs::read_to_string(&kubeconfig).unwrap();
    let token = text(&serde_json::from_str(&file).unwrap(), "/users/0/user/token").to_owned();
    std::fs::write(&kubeconfig, file.replace(&token, "no-token-of-ours")).unwrap();
    assert!(!admin.with_kubeconfig(&kubeconfig).run(&["get", "secrets"]).ok);
    assert!(!admin.run(&["-n", "shop", "exec", "web", "--", "true"]).ok, "no node runs the pod");
    assert!(admin.run(&["get", "--raw", "/healthz"]).ok);

    let events = wait_until("the last event", SOON, || {
        let events = audit_events(&cluster);
        events.iter().any(|event| text(event, "/requestURI") == "/healthz").then_some(events)
    })
    .unwrap();
    let find = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        events.iter().find(|event| wanted(event)).unwrap_or_else(|| panic!("no event: {what}"))
    };
    assert!(events.iter().all(|event| text(event, "/stage") != "RequestReceived"));
    let refused = find("401", &|event| event.pointer("/responseStatus/code") == Some(&401.into()));
    assert_eq!(text(refused, "/stage"), "ResponseStarted");
    find("exec", &|event| text(event, "/objectRef/subresource") == "exec");
    find("lease", &|event| text(event, "/objectRef/resource") == "leases");
    let made =
        |event: &Value, resource| text(event, "/objectRef/resource") == resource && text(event, "/verb") == "create";
    let binding =
        find("binding", &|event| made(event, "clusterrolebindings") && text(event, "/objectRef/name") == "own");
    assert_eq!(text(binding, "/responseObject/subjects/0/name"), "app");
    assert_eq!(binding.pointer("/responseObject/metadata/managedFields"), None);
    let pod = find("pod", &|event| made(event, "pods") && text(event, "/objectRef/subresource").is_empty());
    assert_eq!(pod.pointer("/requestObject/spec/containers/0/securityContext/privileged"), Some(&true.into()));

    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    for planted in ["planted-in-a-secret", "planted-in-a-configmap", &token] {
        assert!(!log.contains(planted), "the audit log holds {planted}");
    }
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
fn cluster_that_cannot_start_says_why_and_leaves_nothing() {
    let options = ClusterOptions { api_server_args: vec!["--no-such-flag".into()], ..Default::default() };
    let error = TestCluster::start(options).err().expect("a wrong flag ends kube-apiserver");
    assert!(format!("{error:#}").contains("unknown flag: --no-such-flag"), "{error:#}");

    let webhook =
        AuditWebhook { url: "http://127.0.0.1/elsewhere".into(), ca_pem: String::new(), token: String::new() };
    let options = ClusterOptions { audit_webhook: Some(webhook), ..Default::default() };
    let error = TestCluster::start(options).err().expect("no such path in our server");
    assert!(format!("{error:#}").contains("https://HOST:PORT/audit/CLUSTER/APISERVER"), "{error:#}");
}
