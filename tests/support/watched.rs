//! A test cluster that a real `kubewitness controller` watches: the API server's audit webhook delivers to it, and it runs
//! under the generated ClusterRole alone.
//! In: `ClusterOptions`. Out: alerts, rule statuses, metrics. The controller can be killed and started again.

use super::cluster::{ClusterOptions, TestCluster};
use super::kubeconfig::AuditWebhook;
use super::kubectl::Kubectl;
use super::pki::Authority;
use super::processes::Process;
use super::waiting::wait_until;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the alerts of cluster rules live.
pub const NAMESPACE: &str = "kubewitness";
/// The path that the API server's credential is bound to.
pub const AUDIT_PATH: &str = "/audit/testbed/apiserver-1";
/// For what takes a second on an idle machine and many beside builds.
const LONG: Duration = Duration::from_secs(180);

/// A cluster and its controller. Dropping it ends all of them.
pub struct WatchedCluster {
    controller: Process,
    arguments: Vec<String>,
    ingest_port: u16,
    admin_port: u16,
    token: String,
    authority: Authority,
    cluster: TestCluster,
}

impl Deref for WatchedCluster {
    type Target = TestCluster;

    fn deref(&self) -> &TestCluster {
        &self.cluster
    }
}

impl DerefMut for WatchedCluster {
    fn deref_mut(&mut self) -> &mut TestCluster {
        &mut self.cluster
    }
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The binary under test: cargo names it to tests; an example finds it one directory up. `KUBEWITNESS_BINARY` names another one.
pub fn kubewitness() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KUBEWITNESS_BINARY") {
        return Ok(path.into());
    }
    if let Some(path) = option_env!("CARGO_BIN_EXE_kubewitness") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let beside = own.parent().and_then(Path::parent).context("the example is not in cargo's target directory")?;
    Ok(beside.join("kubewitness"))
}

impl WatchedCluster {
    /// Starts a control plane, installs the CRDs and the generated roles, and starts the controller.
    pub fn start(options: ClusterOptions) -> Result<WatchedCluster> {
        WatchedCluster::start_telling(options, &mut |_| Ok(()))
    }

    /// The same; `tell` hears of each step before it begins, and can end the start by an error.
    pub fn start_telling(options: ClusterOptions, tell: &mut dyn FnMut(&str) -> Result<()>) -> Result<WatchedCluster> {
        let authority = Authority::new("kubewitness-ingest-ca")?;
        let (ingest_port, admin_port) = (free_port()?, free_port()?);
        let token = format!("testbed-token-{ingest_port}-{admin_port}");
        let url = format!("https://127.0.0.1:{}{AUDIT_PATH}", options.webhook_port.unwrap_or(ingest_port));
        let webhook = AuditWebhook { url, ca_pem: authority.pem().to_owned(), token: token.clone() };
        tell("boot etcd and Kubernetes, with the shipped audit policy and webhook")?;
        let mut cluster = TestCluster::start(ClusterOptions { audit_webhook: Some(webhook), ..options })?;
        tell("apply crds/ and manifests/rbac/")?;
        install(&cluster)?;
        tell("start the controller, under its own ClusterRole alone")?;
        let arguments = controller_arguments(&cluster, &authority, &token, ingest_port, admin_port)?;
        let controller = cluster.spawn("kubewitness", Path::new("/usr/bin/env"), &arguments)?;
        let watched = WatchedCluster { controller, arguments, ingest_port, admin_port, token, authority, cluster };
        watched.wait_ready()?;
        Ok(watched)
    }

    /// Ends the controller by a signal, such as KILL or TERM.
    pub fn end_controller(&self, signal: &str) -> Result<()> {
        self.controller.end(signal)
    }

    /// Flags that the controller gets beside ours from its next start on.
    pub fn add_arguments(&mut self, flags: &[&str]) {
        self.arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Starts the controller again, over what it left on disk.
    pub fn start_controller(&mut self) -> Result<()> {
        self.controller = self.cluster.spawn("kubewitness", Path::new("/usr/bin/env"), &self.arguments)?;
        self.wait_ready()
    }

    fn wait_ready(&self) -> Result<()> {
        let asked = wait_until("the controller gets ready", LONG, || {
            if let Err(ended) = self.controller.check() {
                return Some(Err(ended));
            }
            // Ready to take audit events; and, for a test, with the state and the rules that it left.
            let ready = self.admin("/readyz").is_ok_and(|(code, _)| code == 200);
            let is_one = |gauge| self.metric(gauge).is_ok_and(|value| value == 1.0);
            (ready && is_one("kubewitness_pipeline_replayed") && is_one("kubewitness_cluster_rules_read"))
                .then_some(Ok(()))
        });
        match asked {
            Ok(answer) => answer,
            Err(error) => bail!("{error}; its last lines were:\n{}", self.controller.log_tail()),
        }
    }

    pub fn controller(&self) -> &Process {
        &self.controller
    }

    /// Where the controller keeps its record.
    pub fn store(&self) -> PathBuf {
        self.dir().join("kubewitness")
    }

    /// Port, path, token and authority of the API server's own credential, for requests beside it.
    pub fn ingest(&self) -> (u16, &'static str, &str, &Authority) {
        (self.ingest_port, AUDIT_PATH, &self.token, &self.authority)
    }

    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// GET on the admin port: status and body.
    pub fn admin(&self, path: &str) -> Result<(u16, String)> {
        self.admin_of(self.admin_port, path)
    }

    /// GET on the admin port of another process: status and body.
    pub fn admin_of(&self, port: u16, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let code = head.split_whitespace().nth(1).context("no status")?.parse()?;
        Ok((code, body.to_owned()))
    }

    /// The value of one sample, named as in the exposition with its labels; 0 when it is not there.
    pub fn metric(&self, sample: &str) -> Result<f64> {
        self.metric_of(self.admin_port, sample)
    }

    /// The same of another process, by its admin port.
    pub fn metric_of(&self, port: u16, sample: &str) -> Result<f64> {
        let (_, text) = self.admin_of(port, "/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
        Ok(value.unwrap_or(0.0))
    }

    /// `kubectl apply` of a manifest, as admin.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        self.kubectl().stdin(manifest).run(&["apply", "-f", "-"]).success().map(drop)
    }

    /// Applies the shipped rules and waits until all of them evaluate.
    pub fn apply_shipped_rules(&self) -> Result<()> {
        let rules = repository("manifests/rules");
        self.kubectl().run(&["apply", "-R", "-f", &rules.display().to_string()]).success()?;
        let mut waiting = Vec::new();
        let ready = wait_until("the shipped rules evaluate", LONG, || {
            let rules = list(&self.kubectl(), "clustersecurityrules").ok()?;
            waiting = rules
                .iter()
                .filter(|rule| ready_condition(rule).is_none_or(|c| c["status"] != "True"))
                .cloned()
                .collect();
            (waiting.is_empty() && !rules.is_empty()).then_some(())
        });
        ready.with_context(|| match waiting.first() {
            Some(rule) => {
                format!("{} rules do not, such as {}: {}", waiting.len(), rule["metadata"]["name"], rule["status"])
            }
            None => "there are none".to_owned(),
        })
    }

    /// Waits until the controller has judged the newest generation of a rule; its `Ready` condition.
    pub fn judged(&self, resource: &str, namespace: &str, name: &str) -> Result<Value> {
        wait_until(&format!("{resource} {name} is judged"), LONG, || {
            let got = self.kubectl().run(&["get", resource, name, "-n", namespace, "-o", "json"]);
            let rule: Value = serde_json::from_str(&got.stdout).ok()?;
            let condition = ready_condition(&rule)?.clone();
            (condition["observedGeneration"] == rule["metadata"]["generation"]).then_some(condition)
        })
    }

    /// All SecurityAlerts of all namespaces.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        list(&self.kubectl(), "securityalerts")
    }

    /// All SecurityAlerts of one rule.
    pub fn alerts_of(&self, rule: &str) -> Result<Vec<Value>> {
        let alerts = self.alerts()?;
        Ok(alerts
            .into_iter()
            .filter(|alert| alert["spec"]["ruleRef"]["name"] == rule && alert["status"].is_object())
            .collect())
    }

    /// Waits until exactly one alert of the rule exists and counts `count`.
    pub fn alert(&self, rule: &str, count: u64) -> Result<Value> {
        let mut last = Vec::new();
        let found = wait_until(&format!("one alert of {rule} that counts {count}"), LONG, || {
            last = self.alerts_of(rule).ok()?;
            match last.as_slice() {
                [alert] if alert["status"]["count"] == count => Some(alert.clone()),
                _ => None,
            }
        });
        found.with_context(|| format!("found: {last:?}\n{}", self.controller.log_tail()))
    }
}

fn ready_condition(rule: &Value) -> Option<&Value> {
    rule["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready")
}

fn list(kubectl: &Kubectl, resource: &str) -> Result<Vec<Value>> {
    let text = kubectl.run(&["get", resource, "-A", "-o", "json"]).success()?;
    let list: Value = serde_json::from_str(&text)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// CRDs, roles, and the service account under which the controller runs.
pub fn install(cluster: &TestCluster) -> Result<()> {
    let admin = cluster.kubectl();
    for path in ["crds", "manifests/rbac"] {
        admin.run(&["apply", "-f", &repository(path).display().to_string()]).success()?;
    }
    admin
        .run(&["wait", "--for=condition=Established", "--timeout=30s", "-f", &repository("crds").display().to_string()])
        .success()?;
    for arguments in [
        &["create", "namespace", NAMESPACE][..],
        &["create", "serviceaccount", "controller", "-n", NAMESPACE],
        &[
            "create",
            "clusterrolebinding",
            "kubewitness-controller",
            "--clusterrole=kubewitness-controller",
            "--serviceaccount=kubewitness:controller",
        ],
    ] {
        admin.run(arguments).success()?;
    }
    Ok(())
}

fn controller_arguments(
    cluster: &TestCluster,
    authority: &Authority,
    token: &str,
    ingest_port: u16,
    admin_port: u16,
) -> Result<Vec<String>> {
    let dir = cluster.dir();
    let identity = authority.server(&["127.0.0.1", "localhost"])?;
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(token));
    let credentials = format!("credentials:\n- {{cluster: testbed, apiserver: apiserver-1, tokenSHA256: {hash}}}\n");
    for (name, text) in [
        ("ingest.crt", &identity.certificate_pem),
        ("ingest.key", &identity.key_pem),
        ("ingest-clients.crt", &authority.pem().to_owned()),
        ("ingest-credentials.yaml", &credentials),
    ] {
        fs::write(dir.join(name), text)?;
    }
    let file = |name: &str| dir.join(name).display().to_string();
    let kubeconfig = cluster.service_account_kubeconfig(NAMESPACE, "controller")?;
    let arguments = [
        format!("KUBECONFIG={}", kubeconfig.display()),
        kubewitness()?.display().to_string(),
        "controller".into(),
        format!("--namespace={NAMESPACE}"),
        format!("--ingest-listen=127.0.0.1:{ingest_port}"),
        format!("--admin-listen=127.0.0.1:{admin_port}"),
        format!("--ingest-tls-cert={}", file("ingest.crt")),
        format!("--ingest-tls-key={}", file("ingest.key")),
        format!("--ingest-credentials={}", file("ingest-credentials.yaml")),
        format!("--ingest-client-ca={}", file("ingest-clients.crt")),
        format!("--data-dir={}", file("kubewitness")),
        "--alert-interval=1".into(),
    ];
    Ok(arguments.to_vec())
}
