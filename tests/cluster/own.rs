//! A controller that keeps its certificate and credentials in Secrets, under the generated roles alone, as an install on a
//! cluster runs it; its collectors have a namespace of their own.

use super::seen::{connect, event_list, get, request};
use crate::support::{
    ClusterOptions, NAMESPACE, Process, TestCluster, free_port, install, kubewitness, repository, wait_until,
};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

pub struct Own {
    pub controller: Process,
    pub program: PathBuf,
    pub ingest_port: u16,
    pub admin_port: u16,
    arguments: Vec<String>,
    account: PathBuf,
    pub cluster: TestCluster,
}

/// A request of which the first half was sent.
pub struct UnderWay<S> {
    stream: S,
    rest: Vec<u8>,
}

impl Own {
    pub fn start() -> Own {
        let mut cluster = TestCluster::start(ClusterOptions::default()).unwrap();
        install(&cluster).unwrap();
        prepare(&cluster);
        let (ingest_port, admin_port) = (free_port().unwrap(), free_port().unwrap());
        let account = cluster.service_account_kubeconfig(NAMESPACE, "controller").unwrap();
        let program = kubewitness().unwrap();
        let arguments = vec![
            format!("KUBECONFIG={}", account.display()),
            program.display().to_string(),
            "controller".into(),
            format!("--namespace={NAMESPACE}"),
            format!("--ingest-listen=127.0.0.1:{ingest_port}"),
            format!("--admin-listen=127.0.0.1:{admin_port}"),
            "--tls-secret=kubewitness-tls".into(),
            "--tls-name=localhost".into(),
            "--tls-name=127.0.0.1".into(),
            "--tls-ca-overlap=3".into(),
            "--ingest-credentials-secret=kubewitness-ingest-credentials".into(),
            "--collector-service-account=nodes/kubewitness-collector".into(),
            format!("--data-dir={}", cluster.dir().join("kubewitness").display()),
        ];
        let controller = cluster.spawn("kubewitness", Path::new("/usr/bin/env"), &arguments).unwrap();
        let own = Own { controller, program, ingest_port, admin_port, arguments, account, cluster };
        own.wait_ready();
        own
    }

    /// More flags, from the next start on.
    pub fn add_arguments(&mut self, flags: &[&str]) {
        self.arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Another flag in the place of one, from the next start on.
    pub fn replace_argument(&mut self, before: &str, after: &str) {
        let argument = self.arguments.iter_mut().find(|argument| *argument == before);
        after.clone_into(argument.expect("a flag of ours"));
    }

    pub fn spawn(&mut self) {
        self.controller = self.cluster.spawn("kubewitness", Path::new("/usr/bin/env"), &self.arguments).unwrap();
    }

    pub fn stop(&self) {
        self.controller.end("TERM").unwrap();
    }

    pub fn restart(&mut self) {
        self.stop();
        self.spawn();
        self.wait_ready();
    }

    pub fn wait_ready(&self) {
        wait_until("the controller gets ready", SOON, || {
            self.controller.check().unwrap();
            get(self.admin_port, "/readyz").is_ok_and(|answer| answer.code == 200).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}: {}", self.controller.log_tail()));
    }

    /// The same API server with more flags; it reads its webhook's kubeconfig at its start alone.
    pub fn restart_api_server(&mut self, flags: &[String]) {
        let server = self.cluster.processes().iter().find(|process| process.name == "kube-apiserver").unwrap().clone();
        let script = std::fs::read_to_string(self.cluster.dir().join("run/kube-apiserver.sh")).unwrap();
        // At a TERM it would wait a minute for the watches that are open.
        server.end("KILL").unwrap();
        let script = format!("{} {}", script.trim(), flags.join(" "));
        let restarted = self.cluster.spawn("kube-apiserver", Path::new("/bin/sh"), &["-c".into(), script]).unwrap();
        wait_until("the API server is back", SOON, || {
            restarted.check().unwrap();
            self.cluster.kubectl().run(&["get", "--raw", "/readyz"]).ok.then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}: {}", restarted.log_tail()));
    }

    pub fn store(&self) -> PathBuf {
        self.cluster.dir().join("kubewitness")
    }

    pub fn metric(&self, sample: &str) -> f64 {
        let answer = get(self.admin_port, "/metrics").unwrap();
        let value = answer.body.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    fn object(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let got = self.cluster.kubectl().run(&["get", kind, name, "-n", namespace, "-o", "json"]).success().unwrap();
        serde_json::from_str(&got).unwrap()
    }

    pub fn secret(&self, name: &str) -> BTreeMap<String, String> {
        self.secret_in(NAMESPACE, name)
    }

    pub fn secret_in(&self, namespace: &str, name: &str) -> BTreeMap<String, String> {
        let secret = self.object(namespace, "secret", name);
        let data = secret["data"].as_object().cloned().unwrap_or_default();
        let decoded = data.into_iter().map(|(key, value)| {
            let bytes = BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
            (key, String::from_utf8(bytes).unwrap())
        });
        decoded.collect()
    }

    pub fn annotation(&self, secret: &str, annotation: &str) -> String {
        self.object(NAMESPACE, "secret", secret)["metadata"]["annotations"][annotation]
            .as_str()
            .unwrap_or("")
            .to_owned()
    }

    /// What clients of a namespace trust at this moment.
    pub fn bundle(&self, namespace: &str) -> String {
        self.object(namespace, "configmap", "kubewitness-ca")["data"]["ca.crt"].as_str().unwrap_or("").to_owned()
    }

    /// The same, once there is something.
    pub fn published(&self) -> String {
        wait_until("the authority is published", SOON, || {
            Some(self.bundle(NAMESPACE)).filter(|bundle| !bundle.is_empty() && self.bundle("nodes") == *bundle)
        })
        .unwrap()
    }

    pub fn rotate(&self, what: &str) {
        let annotation = format!("kubewitness.io/rotate={what}");
        let arguments = ["annotate", "secret", "kubewitness-tls", "-n", NAMESPACE, &annotation];
        self.cluster.kubectl().run(&arguments).success().unwrap();
    }

    /// The certificate that the server shows.
    pub fn shown(&self) -> Vec<u8> {
        let mut stream = connect(self.ingest_port, &self.published()).unwrap();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// POST of events to the path of testbed/cp-1; the answer's code.
    pub fn post(&self, bundle: &str, authorization: Option<&str>, events: &[Value]) -> std::io::Result<u16> {
        let mut stream = connect(self.ingest_port, bundle)?;
        let authorization = authorization.map(|value| format!("Authorization: {value}"));
        let head: Vec<&str> = authorization.as_deref().into_iter().collect();
        request(&mut stream, "POST /audit/testbed/cp-1", &head, &event_list(events)).map(|answer| answer.code)
    }

    pub fn begin(
        &self,
        path: &str,
        bundle: &str,
        token: &str,
        events: &[Value],
    ) -> UnderWay<impl Read + Write + use<>> {
        let body = event_list(events);
        let mut stream = connect(self.ingest_port, bundle).unwrap();
        let head = format!(
            "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (sent, rest) = body.split_at(body.len() / 2);
        stream.write_all(sent).unwrap();
        stream.flush().unwrap();
        UnderWay { stream, rest: rest.to_vec() }
    }

    /// Runs `webhook-config` under the controller's account, as `kubectl exec` in its pod does.
    pub fn webhook_config(&self, arguments: &[&str]) -> Output {
        self.webhook_config_as(&self.account, arguments)
    }

    pub fn webhook_config_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("webhook-config").args(arguments).env("KUBECONFIG", kubeconfig).output().unwrap()
    }

    pub fn said(&self, output: &Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A new credential, by a tar stream; returns its token once it is good.
    pub fn issue(&self, cluster: &str, apiserver: &str) -> String {
        let bundle = self.published();
        let server = format!("https://127.0.0.1:{}", self.ingest_port);
        let said = self.webhook_config(&["--cluster", cluster, "--apiserver", apiserver, "--server", &server, "--tar"]);
        assert!(said.status.success(), "{}", self.said(&said));
        let mut archive = tar::Archive::new(said.stdout.as_slice());
        let mut first = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(first.path().unwrap().to_str(), Some("webhook.kubeconfig"));
        let config: Value = serde_saphyr::from_str(&std::io::read_to_string(&mut first).unwrap()).unwrap();
        let token = config["users"][0]["user"]["token"].as_str().unwrap().to_owned();
        wait_until("the credential is good", SOON, || {
            let answer = self.post(&bundle, Some(&format!("Bearer {token}")), &[]);
            matches!(answer, Ok(200 | 403)).then_some(())
        })
        .unwrap();
        token
    }
}

impl<S: Read + Write> UnderWay<S> {
    /// Sends the rest; the answer's code.
    pub fn finish(&mut self) -> u16 {
        self.stream.write_all(&self.rest).unwrap();
        self.stream.flush().unwrap();
        let mut answer = Vec::new();
        let _closed = self.stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }
}

/// What the chart makes: namespaces, empty Secrets and ConfigMaps, the roles and their bindings.
fn prepare(cluster: &TestCluster) {
    let admin = cluster.kubectl();
    let run = |line: &str| admin.run(&line.split(' ').collect::<Vec<_>>()).success().unwrap();
    run("create namespace nodes");
    for (kind, namespace, name) in [
        ("secret generic", NAMESPACE, "kubewitness-tls"),
        ("secret generic", NAMESPACE, "kubewitness-ingest-credentials"),
        ("secret generic", "nodes", "kubewitness-relay-credentials"),
        ("configmap", NAMESPACE, "kubewitness-ca"),
        ("configmap", "nodes", "kubewitness-ca"),
    ] {
        run(&format!("create {kind} {name} -n {namespace}"));
    }
    for (namespace, role, file) in [
        (NAMESPACE, "kubewitness-controller", "controller-role.yaml"),
        ("nodes", "kubewitness-controller-collectors", "controller-collectors-role.yaml"),
    ] {
        let file = repository("manifests/rbac").join(file);
        run(&format!("apply -n {namespace} -f {}", file.display()));
        run(&format!("create rolebinding own -n {namespace} --role={role} --serviceaccount={NAMESPACE}:controller"));
    }
}
