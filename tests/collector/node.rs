//! A node: a directory that is its file system, and the collector's process on it.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use kubewitness::api::{
    log_source::{AssignedSource, Assignment, LineFormat, Start},
    rule::Source,
};
use tempfile::TempDir;

use super::controller::Controller;
use crate::support::{free_port, kubewitness, wait_until};

/// For what takes a second on an idle machine and many beside builds.
pub const LONG: Duration = Duration::from_secs(120);

pub struct Node {
    dir: TempDir,
    pub controller: Controller,
    collector: Option<Child>,
    admin_port: u16,
    flags: Vec<String>,
}

/// What a node is to read.
pub fn assignment(sources: Vec<AssignedSource>) -> Assignment {
    Assignment { node: "node-1".into(), sources }
}

pub fn source(source: Source, paths: &[&str]) -> AssignedSource {
    AssignedSource {
        name: format!("{source:?}").to_lowercase(),
        source,
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        format: LineFormat::Auto,
        time_zone: None,
        start: Start::Beginning,
    }
}

impl Node {
    /// A node with these paths of its own logs, and a controller; the collector is not started yet.
    pub fn new(paths: &[&str]) -> Node {
        Node::with(assignment(vec![source(Source::Node, paths)]))
    }

    pub fn with(assignment: Assignment) -> Node {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("host/var/log")).unwrap();
        let controller = Controller::start(dir.path(), assignment);
        Node { dir, controller, collector: None, admin_port: 0, flags: vec!["--retry-max=1".into()] }
    }

    pub fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// A file of the node.
    pub fn file(&self, path: &str) -> PathBuf {
        self.dir.path().join("host").join(path.trim_start_matches('/'))
    }

    /// A file of the collector.
    pub fn own(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn append(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.file(path).parent().unwrap()).unwrap();
        let mut file = OpenOptions::new().create(true).append(true).open(self.file(path)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.file(from), self.file(to)).unwrap();
    }

    pub fn start(&mut self) {
        assert!(self.collector.is_none());
        self.admin_port = free_port().unwrap();
        self.collector = Some(self.spawn());
    }

    pub fn spawn(&self) -> Child {
        let own = |name| self.own(name).display().to_string();
        let log = OpenOptions::new().create(true).append(true).open(self.own("log")).unwrap();
        Command::new(kubewitness().unwrap())
            .args(["collector", "--host-root", &own("host"), "--state-dir", &own("state")])
            .args(["--controller", &format!("https://{}", self.controller.address)])
            .args(["--controller-ca", &own("ca.crt"), "--token-file", &own("token")])
            .args(["--admin-listen", &format!("127.0.0.1:{}", self.admin_port), "--log-format=text"])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut collector) = self.collector.take() {
            collector.kill().unwrap();
            collector.wait().unwrap();
        }
    }

    /// SIGTERM; it ends with success.
    pub fn stop(&mut self) {
        let mut collector = self.collector.take().unwrap();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &collector.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(collector.wait().unwrap().success(), "{}", self.log());
    }

    /// The most memory that the collector had so far, as the kernel counts it.
    pub fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.collector.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }

    pub fn log(&self) -> String {
        let mut log = String::new();
        if let Ok(mut file) = File::open(self.own("log")) {
            file.read_to_string(&mut log).unwrap();
        }
        log
    }

    /// The value of a series such as `lost_bytes_total{reason="Gone"}`; none while the collector does not answer.
    pub fn metric(&self, series: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin_port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let prefix = format!("kubewitness_collector_{series} ");
        answer.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Node) -> bool) {
        if let Err(error) = wait_until(what, LONG, || holds(self).then_some(())) {
            panic!("{error}\narrived: {}\n{}", self.controller.count(), self.log());
        }
    }

    pub fn until_metric(&self, series: &str, value: u64) {
        self.until(&format!("{series} is {value}"), |node| node.metric(series) == Some(value));
    }

    /// Waits until exactly these lines have arrived, in any order.
    pub fn until_lines(&self, lines: &[&str]) {
        let mut expected: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        let sorted = |node: &Node| {
            let mut texts = node.controller.texts();
            texts.sort();
            texts
        };
        let arrived = wait_until("the lines arrive", LONG, || (sorted(self) == expected).then_some(()));
        assert!(arrived.is_ok(), "expected {expected:?}\narrived  {:?}\n{}", sorted(self), self.log());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
