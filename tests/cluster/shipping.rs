//! The collector's binary and the real controller: every line of a rotated file is in the record once, from the node that
//! the token says, whichever of the two is killed.

use super::collectors::{ACCOUNT, log_source, node, pod, pod_token, prepare, sources_of};
use super::seen::records;
use crate::support::{ClusterOptions, NAMESPACE, WatchedCluster, free_port, kubewitness, wait_until};
use kubewitness::record::{Payload, Provenance};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
const LINES: usize = 6000;

/// Killed when it is dropped.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn collector(watched: &WatchedCluster, dir: &Path) -> Collector {
    let (port, _, _, authority) = watched.ingest();
    fs::write(dir.join("ca.crt"), authority.pem()).unwrap();
    fs::write(dir.join("token"), pod_token(watched, "collector-a")).unwrap();
    let own = |name: &str| dir.join(name).display().to_string();
    let log = OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let child = Command::new(kubewitness().unwrap())
        .args(["collector", "--retry-max=1", "--controller", &format!("https://localhost:{port}")])
        .args(["--controller-ca", &own("ca.crt"), "--token-file", &own("token")])
        .args(["--state-dir", &own("state"), "--host-root", &own("host")])
        .arg(format!("--admin-listen=127.0.0.1:{}", free_port().unwrap()))
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn()
        .unwrap();
    Collector(child)
}

fn text(number: usize) -> String {
    format!("Jan  1 00:00:00 node-a app[7]: line {number}")
}

fn append(dir: &Path, numbers: std::ops::Range<usize>) {
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("host/var/log/app.log")).unwrap();
    for number in numbers {
        writeln!(file, "{}", text(number)).unwrap();
    }
}

fn rotate(dir: &Path, by_copy: bool) {
    let name = |n: usize| dir.join(format!("host/var/log/app.log.{n}"));
    for n in (1..9).rev().filter(|n| name(*n).exists()) {
        fs::rename(name(n), name(n + 1)).unwrap();
    }
    let live = dir.join("host/var/log/app.log");
    if by_copy {
        fs::copy(&live, name(1)).unwrap();
        OpenOptions::new().write(true).open(&live).unwrap().set_len(0).unwrap();
    } else {
        fs::rename(live, name(1)).unwrap();
    }
}

#[test]
fn every_line_is_in_the_record_once_whoever_is_killed() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    prepare(&watched);
    node(&watched, "node-a", json!({}));
    pod(&watched, NAMESPACE, "collector-a", ACCOUNT, Some("node-a"));
    watched.apply(&log_source("app", json!({"source": "Node", "paths": ["/var/log/app.log"]})).to_string()).unwrap();
    let told = pod_token(&watched, "collector-a");
    wait_until("the source is resolved", LONG, || {
        sources_of(&watched, &told).filter(|names| names.contains(&"app".to_owned()))
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("host/var/log")).unwrap();
    let stored = |watched: &WatchedCluster| watched.metric("kubewitness_ingest_records_stored_total").unwrap_or(0.0);

    append(dir.path(), 0..1000);
    let first = collector(&watched, dir.path());
    wait_until("lines are stored", LONG, || (stored(&watched) > 0.0).then_some(())).unwrap();
    append(dir.path(), 1000..2000);
    rotate(dir.path(), false);
    append(dir.path(), 2000..3000);
    watched.end_controller("KILL").unwrap();
    rotate(dir.path(), true);
    append(dir.path(), 3000..4000);
    drop(first);
    append(dir.path(), 4000..5000);
    rotate(dir.path(), false);
    append(dir.path(), 5000..LINES);
    watched.start_controller().unwrap();
    let _second = collector(&watched, dir.path());
    // What was stored before the controller was killed is not in its counter any more: the record itself is asked. A line
    // that comes last in time is not the last to arrive, so the counter only has to stand still.
    let mut last = (0.0, 0);
    let quiet = wait_until("the lines arrive", LONG, || {
        let now = stored(&watched);
        last = if now > last.0 { (now, 0) } else { (last.0, last.1 + 1) };
        (now > 0.0 && last.1 > 300).then_some(())
    });
    watched.end_controller("TERM").unwrap();
    quiet.unwrap();
    let mut texts = Vec::new();
    for record in records(&watched.store()) {
        let Payload::Line(line) = &record.payload else { continue };
        let origin = record.origin.as_ref().unwrap();
        assert_eq!(
            (&*origin.reporter, origin.provenance, &*line.file),
            ("node-a", Provenance::File, "/var/log/app.log")
        );
        texts.push(line.text.to_string());
    }
    texts.sort();
    let mut expected: Vec<String> = (0..LINES).map(text).collect();
    expected.sort();
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(texts == expected, "{} of {} lines are stored\n{log}", texts.len(), expected.len());
}
