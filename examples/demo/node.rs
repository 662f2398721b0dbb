//! The node of the demo: a Node object with an address of its own, a pod for the collector, and a real `kubewitness collector`
//! on a directory that stands for the node's disk.
//! In: lines that real daemons wrote (tests/node/recordings). Out: the same lines in the node's files, as if written now.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp, fmt::strtime, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    cast::{allowed, words},
    support::{Forwarder, Kubectl, NAMESPACE, Process, WatchedCluster, free_port, kubewitness, repository, wait_until},
};

pub const NAME: &str = "node-1";
/// Of the block for loopback; requests are made from it by way of a forwarder.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const ACCOUNT: &str = "kubewitness-collector";
const AUDIENCE: &str = "kubewitness.io/collector";
const SOON: Duration = Duration::from_secs(60);

/// A recorded scene, and the file of the node that it goes to.
pub struct Scene {
    recording: &'static str,
    file: &'static str,
}

const fn scene(recording: &'static str, file: &'static str) -> Scene {
    Scene { recording, file }
}

pub const SUDO: Scene = scene("sudo-refused/auth.rfc3339.log", "var/log/auth.log");
pub const ACCOUNTS: Scene = scene("accounts-by-sudo/auth.rfc3339.log", "var/log/auth.log");
pub const SECCOMP: Scene = scene("kernel-seccomp/kern.rfc3339.log", "var/log/kern.log");
pub const WEB: Scene = scene("web-nginx/nginx-access.log", "var/log/nginx/access.log");
pub const GUESSES: Scene = scene("sshd-brute-force/auth.rfc3339.log", "var/log/auth.log");

pub struct Node {
    disk: PathBuf,
    collector: Process,
    forwarder: Forwarder,
    /// Every line that was written, as an envelope, for a scenario.
    pub written: Vec<Value>,
}

impl Node {
    /// Node, pod and collector, with its files empty and watched.
    pub fn join(cluster: &mut WatchedCluster) -> Result<Node> {
        let disk = cluster.dir().join(NAME);
        for scene in [SUDO, SECCOMP, WEB] {
            let file = disk.join(scene.file);
            fs::create_dir_all(file.parent().context("a file has a directory")?)?;
            fs::write(file, "")?;
        }
        let token = cluster.dir().join("collector.token");
        fs::write(&token, introduce(cluster)?)?;
        let admin = free_port()?;
        let arguments = [
            "collector".to_owned(),
            format!("--controller=https://localhost:{}", cluster.ingest().0),
            format!("--controller-ca={}", cluster.dir().join("ingest-clients.crt").display()),
            format!("--token-file={}", token.display()),
            format!("--state-dir={}", cluster.dir().join("collector").display()),
            format!("--host-root={}", disk.display()),
            format!("--admin-listen=127.0.0.1:{admin}"),
        ];
        let collector = cluster.spawn("collector", &kubewitness()?, &arguments)?;
        let open = wait_until("the collector reads the node's three files", SOON, || {
            (cluster.metric_of(admin, "kubewitness_collector_files_open").ok()? == 3.0).then_some(())
        });
        open.with_context(|| format!("the collector's last lines were:\n{}", collector.log_tail()))?;
        let (_, port) = cluster.server().rsplit_once(':').context("the API server's port")?;
        let forwarder = Forwarder::between(ADDRESS.into(), port.parse().context("the API server's port")?)?;
        Ok(Node { disk, collector, forwarder, written: Vec::new() })
    }

    /// Lines of a recording appear in the node's file, the last of them now.
    pub fn happens(&mut self, scene: &Scene) -> Result<()> {
        self.collector.check()?;
        let path = repository("tests/node/recordings/bookworm").join(scene.recording);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lines = restamped(&text, kubewitness::telemetry::now())?;
        let mut file = OpenOptions::new().append(true).open(self.disk.join(scene.file))?;
        let mut offset = file.metadata()?.len();
        file.write_all(lines.concat().as_bytes())?;
        let source = if scene.file.contains("nginx") { "Web" } else { "Node" };
        for line in lines {
            // Lines that are equal are told apart by their place; the collector names files by a hash.
            let position = json!({"file": hex(scene.file), "offset": offset});
            offset += line.len() as u64;
            self.written.push(json!({
                "source": source, "host": NAME, "file": format!("/{}", scene.file), "position": position,
                "log": line.trim_end(),
            }));
        }
        Ok(())
    }

    /// Where the node's sshd, sudo and the like write.
    pub fn auth_log(&self) -> PathBuf {
        self.disk.join(SUDO.file)
    }

    /// Runs one request as `who` from the node's own address.
    pub fn request(&self, who: &Kubectl, command: &str) -> Result<()> {
        allowed(who, &format!("--server=https://127.0.0.1:{} {command}", self.forwarder.port()))
    }
}

/// 32 digits for a file.
fn hex(file: &str) -> String {
    let digits: String = file.bytes().rev().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().chain(std::iter::repeat('0')).take(32).collect()
}

/// What the API server must know of the node; the token of the pod's collector.
fn introduce(cluster: &WatchedCluster) -> Result<String> {
    let admin = cluster.kubectl();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}});
    cluster.apply(&node.to_string())?;
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}}).to_string();
    admin.run(&["patch", "node", NAME, "--subresource=status", "--type=merge", "-p", &status]).success()?;
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}});
    cluster.apply(&account.to_string())?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "collector", "namespace": NAMESPACE},
        "spec": {"serviceAccountName": ACCOUNT, "nodeName": NAME, "containers": [{"name": "collector", "image": "kubewitness"}]},
    });
    cluster.apply(&pod.to_string())?;
    admin.run(&["apply", "-f", &repository("manifests/log-sources").display().to_string()]).success()?;
    let command = format!(
        "create token {ACCOUNT} -n {NAMESPACE} --audience={AUDIENCE} --bound-object-kind=Pod --bound-object-name=collector"
    );
    Ok(admin.run(&words(&command)).success()?.trim().to_owned())
}

/// The lines with their stamps moved, so that the last is of `end`.
fn restamped(text: &str, end: Timestamp) -> Result<Vec<String>> {
    let lines: Vec<(&str, Stamp)> = text.split_inclusive('\n').filter_map(|line| Some((line, stamp(line)?))).collect();
    let last = lines.iter().map(|(_, stamp)| stamp.at).max().context("the recording has no stamp")?;
    let shift: SignedDuration = end.duration_since(last);
    lines
        .into_iter()
        .map(|(line, Stamp { at, text, form })| Ok(line.replacen(text, &form.write(at + shift)?, 1)))
        .collect()
}

struct Stamp<'a> {
    at: Timestamp,
    text: &'a str,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// As rsyslog's RSYSLOG_FileFormat.
    Rfc3339,
    /// As of access logs.
    Combined,
}

const COMBINED: &str = "%d/%b/%Y:%H:%M:%S %z";

impl Form {
    fn write(self, at: Timestamp) -> Result<String> {
        Ok(match self {
            Form::Rfc3339 => format!("{at:.6}"),
            Form::Combined => strtime::format(COMBINED, &at.to_zoned(TimeZone::UTC))?,
        })
    }
}

fn stamp(line: &str) -> Option<Stamp<'_>> {
    let first = line.split(' ').next()?;
    if let Ok(at) = first.parse() {
        return Some(Stamp { at, text: first, form: Form::Rfc3339 });
    }
    let (text, _) = line.split_once(" [")?.1.split_once(']')?;
    let at = strtime::parse(COMBINED, text).ok()?.to_timestamp().ok()?;
    Some(Stamp { at, text, form: Form::Combined })
}

/// The inventory of the demo's node, for a scenario.
pub fn inventory(path: &Path) -> Result<()> {
    Ok(fs::write(path, format!("nodes:\n- {{name: {NAME}, addresses: [{ADDRESS}]}}\n"))?)
}
