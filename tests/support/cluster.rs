//! A Kubernetes control plane for one test.
//! In: `ClusterOptions`. Out: a `TestCluster` that answers. Ends all it started, however its owner ends.

use super::commands::{self, Ports, binaries};
use super::kubeconfig::{AuditWebhook, Credential, kubeconfig, webhook_kubeconfig};
use super::kubectl::Kubectl;
use super::pki::{Authority, Identity, token_keys};
use super::processes::{Keeper, PortTaken, Process};
use super::waiting::{block_on, wait_until_async};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a cluster has beyond etcd and kube-apiserver.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// Runs kube-controller-manager: service accounts in new namespaces, deletion of namespaces, pods of Deployments.
    pub controller_manager: bool,
    /// Where audit events go besides the audit log.
    pub audit_webhook: Option<AuditWebhook>,
    /// The loopback port that a watched cluster's webhook sends to instead of the controller's own: a forwarder's.
    pub webhook_port: Option<u16>,
    /// More flags for kube-apiserver; one given here wins over ours.
    pub api_server_args: Vec<String>,
}

/// A running control plane. Dropping it ends its processes and removes its directory.
pub struct TestCluster {
    // Dropped in this order: the keeper ends the processes and removes the directory; the last line mends what it could not.
    keeper: Keeper,
    processes: Vec<Process>,
    program: PathBuf,
    server: String,
    authority: Authority,
    kubeconfig: PathBuf,
    users: AtomicU32,
    dir: tempfile::TempDir,
}

impl TestCluster {
    /// Generous: a start takes about 4 s, beside builds several times that.
    const START: Duration = Duration::from_secs(120);
    const TRIES: u32 = 3;

    /// Starts a cluster and waits until it answers; builds its programs first where they are missing.
    pub fn start(options: ClusterOptions) -> Result<TestCluster> {
        let binaries = binaries()?;
        let mut tries = 1;
        loop {
            match TestCluster::boot(binaries, &options) {
                Err(error) if tries < Self::TRIES && error.is::<PortTaken>() => tries += 1,
                result => return result.context("test cluster"),
            }
        }
    }

    fn boot(binaries: &Path, options: &ClusterOptions) -> Result<TestCluster> {
        let dir = tempfile::Builder::new().prefix("kubewitness-testbed-").tempdir()?;
        let ports = Ports::choose()?;
        let authority = Authority::new("testbed-ca")?;
        let mut cluster = TestCluster {
            keeper: Keeper::open(dir.path())?,
            processes: Vec::new(),
            program: binaries.join("kubectl"),
            server: format!("https://127.0.0.1:{}", ports.api),
            authority,
            kubeconfig: dir.path().join("admin.kubeconfig"),
            users: AtomicU32::new(0),
            dir,
        };
        cluster.write_files(options)?;
        let dir = cluster.dir().to_owned();
        let webhook = options.audit_webhook.as_ref().map(|_| dir.join("audit-webhook.kubeconfig"));
        let mut api_server = commands::kube_apiserver(&dir, &ports, webhook.as_deref());
        api_server.extend(options.api_server_args.iter().cloned());
        cluster.run("etcd", binaries, &commands::etcd(&dir, &ports))?;
        cluster.run("kube-apiserver", binaries, &api_server)?;
        cluster.wait_until_ready()?;
        if options.controller_manager {
            let arguments = commands::kube_controller_manager(&dir, &ports);
            cluster.run("kube-controller-manager", binaries, &arguments)?;
            cluster.wait_for_default_service_account()?;
        }
        Ok(cluster)
    }

    /// The kubeconfig of user `admin` in group `system:masters`.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `https://127.0.0.1:PORT`
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The authority that signed the API server's certificate and that it trusts for clients.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The cluster's directory. It ends with the cluster; a test may keep its own files in it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The API server's own audit log, JSON lines: what the webhook should have got.
    pub fn audit_log(&self) -> PathBuf {
        self.dir().join("audit/audit.log")
    }

    /// The processes of the cluster.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// kubectl as `admin`.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl {
            program: self.program.clone(),
            kubeconfig: self.kubeconfig.clone(),
            dir: self.dir().to_owned(),
            stdin: None,
        }
    }

    /// A client as `admin`, bound to the calling runtime.
    pub async fn client(&self) -> Result<kube::Client> {
        TestCluster::client_of(&self.kubeconfig).await
    }

    /// A client as the user of a kubeconfig, bound to the calling runtime.
    pub async fn client_of(kubeconfig: &Path) -> Result<kube::Client> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.proxy_url = None; // taken from the environment, which means other hosts than this one
        Ok(kube::Client::try_from(config)?)
    }

    /// A kubeconfig for `user` in at most two `groups`, by a client certificate.
    pub fn client_certificate(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let identity = self.authority.client(user, groups)?;
        self.write_user(Credential::Certificate(&identity))
    }

    /// A kubeconfig for a service account that exists, by a token that `kubectl create token` asks for.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.kubectl().run(&["create", "token", name, "--namespace", namespace]).success()?;
        self.write_user(Credential::Token(token.trim()))
    }

    fn write_user(&self, credential: Credential) -> Result<PathBuf> {
        let number = self.users.fetch_add(1, Ordering::Relaxed);
        let path = self.dir().join(format!("user-{number}.kubeconfig"));
        fs::write(&path, kubeconfig(&self.server, self.ca_pem(), credential))?;
        Ok(path)
    }

    fn write_files(&self, options: &ClusterOptions) -> Result<()> {
        let pki = self.dir().join("pki");
        for sub in [&pki, &self.dir().join("audit")] {
            fs::create_dir(sub)?;
        }
        let pair = |name: &str, identity: &Identity| -> Result<()> {
            fs::write(pki.join(format!("{name}.crt")), &identity.certificate_pem)?;
            fs::write(pki.join(format!("{name}.key")), &identity.key_pem)?;
            Ok(())
        };
        let authority = &self.authority;
        let own = Identity { certificate_pem: authority.pem().to_owned(), key_pem: authority.key_pem().to_owned() };
        pair("ca", &own)?;
        let names =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1", "10.96.0.1"];
        pair("apiserver", &authority.server(&names)?)?;
        let (private, public) = token_keys()?;
        fs::write(pki.join("token.key"), private)?;
        fs::write(pki.join("token.pub"), public)?;
        let client = |user, groups: &[&str]| -> Result<String> {
            let identity = authority.client(user, groups)?;
            Ok(kubeconfig(&self.server, self.ca_pem(), Credential::Certificate(&identity)))
        };
        fs::write(&self.kubeconfig, client("admin", &["system:masters"])?)?;
        let controller_manager = client("system:kube-controller-manager", &[])?;
        fs::write(self.dir().join("controller-manager.kubeconfig"), controller_manager)?;
        if let Some(webhook) = &options.audit_webhook {
            fs::write(self.dir().join("audit-webhook.kubeconfig"), webhook_kubeconfig(webhook)?)?;
        }
        Ok(())
    }

    /// Starts one more program, which ends with the cluster. A second one of the same name adds to the first one's log.
    pub fn spawn(&mut self, name: &'static str, program: &Path, arguments: &[String]) -> Result<Process> {
        self.keeper.start(name, program, arguments)
    }

    /// The exit code of a program that `spawn` started and that has ended; 128 + N after signal N.
    pub fn exit_code(&mut self, process: &Process) -> Result<i32> {
        self.keeper.exit_code(process)
    }

    fn run(&mut self, name: &'static str, binaries: &Path, arguments: &[String]) -> Result<()> {
        let process = self.keeper.start(name, &binaries.join(name), arguments)?;
        self.processes.push(process);
        Ok(())
    }

    /// Waits for `/readyz`, which includes the roles and bindings that every cluster has.
    fn wait_until_ready(&self) -> Result<()> {
        self.wait("kube-apiserver answers /readyz", async |client| {
            let request = http::Request::get("/readyz").body(Vec::new()).ok()?;
            client.request_text(request).await.ok().map(drop)
        })
    }

    /// Pods can be made once the controllers have made the account under which they run.
    fn wait_for_default_service_account(&self) -> Result<()> {
        self.wait("service account default exists", async |client| {
            kube::Api::<ServiceAccount>::namespaced(client, "default").get_opt("default").await.ok().flatten().map(drop)
        })
    }

    /// Asks until the answer is `Some`. Fails at once when a process ends, and after `START` with its last lines.
    fn wait<F>(&self, what: &str, ask: impl Fn(kube::Client) -> F + Send + Sync) -> Result<()>
    where
        F: Future<Output = Option<()>> + Send,
    {
        let answer = block_on(async {
            let client = self.client().await?;
            wait_until_async(what, Self::START, || async {
                if let Err(ended) = self.processes.iter().try_for_each(Process::check) {
                    return Some(Err(ended));
                }
                ask(client.clone()).await.map(Ok)
            })
            .await?
        });
        let Err(error) = answer else { return Ok(()) };
        match self.processes.last() {
            Some(process) if process.check().is_ok() => Err(error.context(format!(
                "{} runs but does not get ready; its last lines were:\n{}",
                process.name,
                process.log_tail()
            ))),
            Some(_) | None => Err(error),
        }
    }
}
