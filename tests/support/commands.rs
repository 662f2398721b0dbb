//! The programs of the test bed and their command lines.
//! In: ports and the cluster's directory. Out: argument lists. Says nothing about when they run.

use anyhow::{Context, Result, anyhow, bail};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const SERVICE_RANGE: &str = "10.96.0.0/16";

/// Loopback ports that were free a moment ago.
pub struct Ports {
    pub api: u16,
    pub etcd: u16,
    pub etcd_peer: u16,
    pub controller_manager: u16,
}

impl Ports {
    /// Holds all four before it lets go of them, so that they differ.
    pub fn choose() -> Result<Ports> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let held = [bind()?, bind()?, bind()?, bind()?];
        let [api, etcd, etcd_peer, controller_manager] = held.each_ref().map(TcpListener::local_addr);
        Ok(Ports {
            api: api?.port(),
            etcd: etcd?.port(),
            etcd_peer: etcd_peer?.port(),
            controller_manager: controller_manager?.port(),
        })
    }
}

/// The directory of the built binaries. The first call of a machine builds them, which takes minutes and says so.
pub fn binaries() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    directory(&BUILT, "build.sh")
}

/// The release of Kubernetes that `binaries` has, as `1.34`: what the environment asks `build.sh` for, or its default.
pub fn release() -> String {
    std::env::var("KUBERNETES").ok().filter(|release| !release.is_empty()).unwrap_or_else(|| "1.34".to_owned())
}

/// The directory of Debian's prometheus and promtool. The first call of a machine downloads them.
pub fn prometheus_binaries() -> Result<&'static Path> {
    static FETCHED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    directory(&FETCHED, "prometheus.sh")
}

/// Helm. The first call of a machine builds it.
pub fn helm() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    directory(&BUILT, "helm.sh")
}

/// The directory of cert-manager's controllers and definitions. The first call of a machine builds them.
pub fn cert_manager() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    directory(&BUILT, "cert-manager.sh")
}

/// What a script of `tests/testbed` prints, asked once.
fn directory(cell: &'static OnceLock<Result<PathBuf, String>>, script: &str) -> Result<&'static Path> {
    let run = || -> Result<PathBuf> {
        let script = format!("{}/tests/testbed/{script}", env!("CARGO_MANIFEST_DIR"));
        // Standard error is inherited, past the test harness's capture: a long build shows how far it is.
        let output = Command::new("bash").arg(&script).stderr(Stdio::inherit()).output().context("cannot run bash")?;
        if !output.status.success() {
            bail!("{script} failed: the lines above say why");
        }
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    };
    match cell.get_or_init(|| run().map_err(|error| format!("{error:#}"))) {
        Ok(dir) => Ok(dir),
        Err(message) => Err(anyhow!("{message}")),
    }
}

/// etcd without fsync: its files end with the cluster.
pub fn etcd(dir: &Path, ports: &Ports) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{}", ports.etcd), format!("http://127.0.0.1:{}", ports.etcd_peer));
    vec![
        "--name=testbed".into(),
        format!("--data-dir={}", dir.join("etcd").display()),
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=testbed={peer}"),
    ]
}

/// kube-apiserver with the audit policy that we ship; `webhook` is the audit webhook's kubeconfig.
pub fn kube_apiserver(dir: &Path, ports: &Ports, webhook: Option<&Path>) -> Vec<String> {
    let pki = |name: &str| dir.join("pki").join(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.api),
        // A loopback address cannot be an endpoint of the Service `kubernetes`.
        "--endpoint-reconciler-type=none".into(),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--cert-dir={}", dir.join("pki").display()),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", pki("token.pub")),
        format!("--service-account-signing-key-file={}", pki("token.key")),
        format!("--audit-policy-file={}", concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/audit/policy.yaml")),
        format!("--audit-log-path={}", dir.join("audit/audit.log").display()),
        "--audit-log-maxsize=100".into(),
        "--audit-log-maxbackup=2".into(),
    ];
    if let Some(kubeconfig) = webhook {
        arguments.extend([
            format!("--audit-webhook-config-file={}", kubeconfig.display()),
            "--audit-webhook-mode=batch".into(),
            "--audit-webhook-truncate-enabled=true".into(),
            // Shorter than we recommend for a real cluster: a test waits for every batch.
            "--audit-webhook-batch-max-wait=1s".into(),
            "--audit-webhook-initial-backoff=1s".into(),
        ]);
    }
    arguments
}

/// kube-controller-manager whose controllers act under service accounts of their own, as on real clusters.
pub fn kube_controller_manager(dir: &Path, ports: &Ports) -> Vec<String> {
    let pki = |name: &str| dir.join("pki").join(name).display().to_string();
    let kubeconfig = dir.join("controller-manager.kubeconfig").display().to_string();
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.controller_manager),
        "--leader-elect=false".into(),
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", pki("token.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        // The default of 20 a second makes its own start take 5 s: each controller asks for its account and token.
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
        // Its default is a directory of the host, which it would make.
        format!("--flex-volume-plugin-dir={}", dir.join("flex").display()),
    ]
}
