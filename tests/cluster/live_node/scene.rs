//! The scene: a watched cluster, a node of it with real daemons, a collector between, and the acts of one intruder.
//! In: a watched cluster. Out: when each act was done, and the alerts that came of it.

use super::Span;
use super::driver::LiveNode;
use crate::cluster::collectors::{ACCOUNT, pod, pod_token, prepare};
use crate::cluster::seen;
use crate::support::{
    Forwarder, Kubectl, NAMESPACE, Process, WatchedCluster, free_port, kubewitness, repository, wait_until,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
pub const SECRETS: &str = "/api/v1/secrets?limit=500";
pub const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
/// Nodes by name, each with the loopback address that its requests come from.
const NODES: [(&str, Ipv4Addr); 2] =
    [("node-1", Ipv4Addr::new(127, 0, 0, 11)), ("node-2", Ipv4Addr::new(127, 0, 0, 12))];

/// When the parts of the attack were done.
pub struct Attack {
    pub first_failure: Span,
    pub last_failure: Span,
    pub owner_login: Span,
    pub guessed_login: Span,
    pub sudo: Span,
    pub joined: Span,
    pub bound: Option<Span>,
}

/// A collector that runs.
pub struct Collector {
    process: Process,
    admin: u16,
}

impl Collector {
    pub fn end(&self, signal: &str) -> anyhow::Result<()> {
        self.process.end(signal)
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let text = seen::get(self.admin, "/metrics").ok()?.body;
        let sample = format!("kubewitness_collector_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok())
    }
}

pub struct Scene {
    // Ends before the cluster, whose directory it logs into.
    node: LiveNode,
    /// The node's file system, as its collector has it.
    host: PathBuf,
    /// mallory, by an address of each node.
    mallory: Vec<(Forwarder, Kubectl)>,
    pub watched: WatchedCluster,
}

impl Scene {
    /// Rules and nodes as objects, and the daemons of one node.
    pub fn start(watched: WatchedCluster) -> Scene {
        install_rules(&watched);
        prepare(&watched);
        for (name, address) in NODES {
            let addresses = json!([{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]);
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": addresses}});
            watched.kubectl().stdin(node.to_string()).run(&["create", "-f", "-"]).success().unwrap();
        }
        pod(&watched, NAMESPACE, "collector-1", ACCOUNT, Some("node-1"));
        let grant = ["create", "clusterrolebinding", "mallory", "--clusterrole=cluster-admin", "--user=mallory"];
        watched.kubectl().run(&grant).success().unwrap();
        let host = watched.dir().join("host");
        let node = LiveNode::start(&host.join("var/log"));
        let mallory = NODES.map(|(_, address)| by_way_of(&watched, address)).into();
        wait_until("the nodes are known", SOON, || {
            (watched.metric("kubewitness_cluster_inventory_objects{kind=\"nodes\"}").ok()? == 2.0).then_some(())
        })
        .unwrap();
        Scene { node, host, mallory, watched }
    }

    /// Runs a collector with the shipped LogSource; `start` says where it begins in files that are there.
    pub fn collect(&mut self, name: &'static str, start: &str) -> Collector {
        let source = fs::read_to_string(repository("manifests/log-sources/node-syslog.yaml")).unwrap();
        assert_eq!(source.matches("start: End").count(), 1);
        self.watched.apply(&source.replace("start: End", &format!("start: {start}"))).unwrap();
        let (ingest, admin, dir) = (self.watched.ingest().0, free_port().unwrap(), self.watched.dir().to_owned());
        fs::write(dir.join("token"), pod_token(&self.watched, "collector-1")).unwrap();
        let arguments = [
            "collector".to_owned(),
            format!("--controller=https://localhost:{ingest}"),
            format!("--controller-ca={}", dir.join("ingest-clients.crt").display()),
            format!("--token-file={}", dir.join("token").display()),
            format!("--state-dir={}", dir.join(name).display()),
            format!("--host-root={}", self.host.display()),
            format!("--admin-listen=127.0.0.1:{admin}"),
        ];
        let process = self.watched.spawn(name, &kubewitness().unwrap(), &arguments).unwrap();
        let collector = Collector { process, admin };
        let waited = wait_until("the collector reads the node's files", SOON, || {
            (collector.metric("files_open")? >= 1.0).then_some(())
        });
        waited.unwrap_or_else(|error| panic!("{error}\n{}", collector.process.log_tail()));
        collector
    }

    /// Somebody guesses passwords from one address; the owner of another account mistypes hers from another.
    pub fn on_the_node(&mut self) -> Attack {
        let node = &mut self.node;
        let first = node.act("ssh-fail root 203.0.113.50 3")[0];
        node.act("ssh-fail ann 198.51.100.7 4");
        let owner_login = node.act("ssh-ok ann 198.51.100.7")[0];
        node.act("sudo-ok ann id");
        node.act("ssh-fail oracle 203.0.113.50 3");
        node.act("ssh-key-fail admin 203.0.113.50 2");
        node.act("ssh-none root 203.0.113.50");
        next_second();
        let last = node.act("ssh-fail bob 203.0.113.50 6");
        next_second();
        let guessed_login = node.act("ssh-ok bob 203.0.113.50 password")[0];
        next_second();
        let sudo = node.act("sudo-not-in-sudoers bob cat /etc/shadow")[0];
        node.act("useradd mallet");
        let joined = node.act("group-add mallet sudo")[0];
        Attack { first_failure: first, last_failure: last[5], owner_login, guessed_login, sudo, joined, bound: None }
    }

    /// A foreign credential reads secrets and binds an admin's role from the node, and reads secrets from another node.
    pub fn on_the_api(&self, attack: &mut Attack) {
        let [(_, here), (_, elsewhere)] = self.mallory.as_slice() else { panic!("two nodes") };
        // `--raw` is one request: no discovery.
        elsewhere.run(&["get", "--raw", SECRETS]).success().unwrap();
        here.run(&["get", "--raw", SECRETS]).success().unwrap();
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "backdoor"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "trudy"}]});
        let from = kubewitness::telemetry::now();
        here.stdin(binding.to_string()).run(&["create", "--raw", BINDINGS, "-f", "-"]).success().unwrap();
        attack.bound = Some(Span { from, to: kubewitness::telemetry::now() });
    }

    /// Logins and guesses that came after the requests, so that they explain nothing of them.
    pub fn after_it(&mut self) {
        next_second();
        self.node.act("ssh-fail root 203.0.113.60 3");
        self.node.act("ssh-ok carol 198.51.100.8");
    }

    /// Waits until the controller has all lines of the node's files.
    pub fn until_shipped(&self, collector: &Collector) {
        let waited = wait_until("all lines are shipped", SOON, || {
            let sent = collector.metric("lines_sent_total")?;
            let read = collector.metric("lines_read_total")?;
            (sent == read && collector.metric("lag_bytes")? == 0.0 && sent > 0.0).then_some(())
        });
        waited.unwrap_or_else(|error| panic!("{error}\n{}", collector.process.log_tail()));
    }

    /// Waits until there are exactly these alerts: `[rule, key, count, summary]`. The alerts by rule.
    pub fn until_alerts(&self, expected: &[Value], collector: &Collector) -> BTreeMap<String, Value> {
        let mut last = BTreeMap::new();
        let waited = wait_until("the alerts are there", SOON, || {
            let alerts = self.watched.alerts().ok()?;
            last = alerts.into_iter().map(|alert| (picture(&alert).to_string(), alert)).collect();
            let found = last.keys().cloned().collect::<Vec<_>>();
            (found == expected.iter().map(Value::to_string).collect::<Vec<_>>()).then_some(())
        });
        if let Err(error) = waited {
            let (expected, found) = (json!(expected), last.values().map(picture).collect::<Vec<_>>());
            let log = fs::read_to_string(self.host.join("var/log/auth.log")).unwrap_or_default();
            let collector = collector.process.log_tail();
            panic!("{error}\nexpected: {expected:#}\nfound: {found:#?}\nauth.log:\n{log}\n{collector}");
        }
        last.into_values().map(|alert| (alert["spec"]["ruleRef"]["name"].as_str().unwrap().to_owned(), alert)).collect()
    }

    /// A new controller that knows nothing, beside an API server without alerts.
    pub fn forget_everything(&mut self) {
        self.watched.end_controller("TERM").unwrap();
        fs::remove_dir_all(self.watched.store()).unwrap();
        self.watched.kubectl().run(&["delete", "securityalerts", "-A", "--all"]).success().unwrap();
        self.watched.kubectl().run(&["delete", "logsource", "node-syslog"]).success().unwrap();
        self.watched.start_controller().unwrap();
        wait_until("the nodes are known again", SOON, || {
            let known = self.watched.metric("kubewitness_cluster_inventory_objects{kind=\"nodes\"}").ok()?;
            (known == 2.0).then_some(())
        })
        .unwrap();
    }

    /// What the API server has written to its own log so far, by the road and the credential of its webhook.
    /// Returns when mallory's requests are judged.
    pub fn deliver_audit_log(&self) {
        let events = seen::audit_log(&self.watched);
        for some in events.chunks(400) {
            let answer = seen::post(&self.watched, &seen::event_list(some));
            assert_eq!(answer.code, 200, "{answer:?}");
        }
        let metric = |name: &str| self.watched.metric(&format!("kubewitness_pipeline_{name}")).unwrap();
        wait_until("the three requests match a rule", SOON, || (metric("events_matched_total") >= 3.0).then_some(()))
            .unwrap();
        assert_eq!(metric("findings_total"), 0.0, "half of a story is none");
    }
}

/// The shipped rules of nodes, and those that join nodes with the API server; they evaluate when this returns.
fn install_rules(watched: &WatchedCluster) {
    for kind in ["node", "joint"] {
        let directory = repository("manifests/rules").join(kind);
        watched.kubectl().run(&["apply", "-f", &directory.display().to_string()]).success().unwrap();
        for file in fs::read_dir(directory).unwrap() {
            let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            let judged = watched.judged("clustersecurityrules", "default", &name).unwrap();
            assert_eq!(judged["status"], "True", "{name}: {judged}");
        }
    }
}

/// The log's stamps are whole seconds: what comes next has another one, so that its order is known.
fn next_second() {
    std::thread::sleep(Duration::from_millis(1100));
}

/// kubectl as mallory, whose requests come from `address`.
fn by_way_of(watched: &WatchedCluster, address: Ipv4Addr) -> (Forwarder, Kubectl) {
    let port = watched.server().rsplit_once(':').unwrap().1.parse().unwrap();
    let forwarder = Forwarder::between(address.into(), port).unwrap();
    let certificate = watched.client_certificate("mallory", &["contractors"]).unwrap();
    let kubeconfig = fs::read_to_string(&certificate).unwrap();
    let there = format!("https://127.0.0.1:{}", forwarder.port());
    fs::write(&certificate, kubeconfig.replace(watched.server(), &there)).unwrap();
    (forwarder, watched.kubectl().with_kubeconfig(&certificate))
}

fn picture(alert: &Value) -> Value {
    let key: serde_json::Map<String, Value> = alert["spec"]["key"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| (part["name"].as_str().unwrap_or_default().to_owned(), part["value"].clone()))
        .collect();
    json!([alert["spec"]["ruleRef"]["name"], key, alert["status"]["count"], alert["status"]["summary"]])
}
