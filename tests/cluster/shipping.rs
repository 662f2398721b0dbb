//! The collector's binary and the real controller, with a network between them: every line of a file that is rotated under
//! its writer is in the record once, from the node that the token says, whichever of the three is killed or cut.
//! `KUBEWITNESS_CHAOS=full`, in a release build, runs all of it, some four minutes; otherwise a small count.

use super::collectors::{ACCOUNT, log_source, node, pod, pod_token, prepare, sources_of};
use super::seen::each_record;
use crate::collector::writer::{Scale, Writing, Written, number_of};
use crate::support::{ClusterOptions, Forwarder, NAMESPACE, WatchedCluster, free_port, kubewitness, wait_until};
use kubewitness::record::{Payload, Provenance, RecordId};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(120);
const LOG: &str = "host/var/log/app.log";
const SMALL: Scale = Scale {
    rotations: 8,
    kills: 3,
    lines_a_second: 500,
    between_rotations: Duration::from_millis(700),
    cut: Duration::from_secs(1),
};
/// What a collector counted before it was killed is added to what the next one counts.
const COUNTED: [&str; 6] = [
    "truncations_total",
    r#"lost_bytes_total{reason="Truncated"}"#,
    r#"lost_bytes_total{reason="Gone"}"#,
    "lines_refused_total",
    "duplicates_total",
    "spool_batches_total",
];

/// The cluster, the node's directory, and what runs between them.
struct Stage {
    watched: WatchedCluster,
    network: Forwarder,
    dir: TempDir,
    collector: Option<Child>,
    admin_port: u16,
    counted: HashMap<&'static str, f64>,
}

/// What happens beside the writer.
#[derive(Clone, Copy, Debug)]
enum Deed {
    KillCollector,
    StartCollector,
    /// And start it again.
    KillController,
    Cut,
    Heal,
}

impl Stage {
    /// Everything is there, but for the collector.
    fn set() -> Stage {
        let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
        prepare(&watched);
        node(&watched, "node-a", json!({}));
        pod(&watched, NAMESPACE, "collector-a", ACCOUNT, Some("node-a"));
        watched
            .apply(&log_source("app", json!({"source": "Node", "paths": ["/var/log/app.log"]})).to_string())
            .unwrap();
        let token = pod_token(&watched, "collector-a");
        wait_until("the source is resolved", LONG, || {
            sources_of(&watched, &token).filter(|names| names.contains(&"app".to_owned()))
        })
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("host/var/log")).unwrap();
        let (port, _, _, authority) = watched.ingest();
        fs::write(dir.path().join("ca.crt"), authority.pem()).unwrap();
        fs::write(dir.path().join("token"), token).unwrap();
        let network = Forwarder::between(Ipv4Addr::LOCALHOST.into(), port).unwrap();
        Stage { watched, network, dir, collector: None, admin_port: 0, counted: HashMap::new() }
    }

    fn start_collector(&mut self) {
        self.admin_port = free_port().unwrap();
        let own = |name: &str| self.dir.path().join(name).display().to_string();
        let log = OpenOptions::new().create(true).append(true).open(own("log")).unwrap();
        let child = Command::new(kubewitness().unwrap())
            .args(["collector", "--retry-max=1", "--controller", &format!("https://127.0.0.1:{}", self.network.port())])
            .args(["--controller-ca", &own("ca.crt"), "--token-file", &own("token")])
            .args(["--state-dir", &own("state"), "--host-root", &own("host")])
            .arg(format!("--admin-listen=127.0.0.1:{}", self.admin_port))
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        self.collector = Some(child);
    }

    fn metric(&self, series: &str) -> Option<f64> {
        self.watched.metric_of(self.admin_port, &format!("kubewitness_collector_{series}")).ok()
    }

    fn kill_collector(&mut self) {
        for series in COUNTED {
            *self.counted.entry(series).or_default() += self.metric(series).unwrap_or(0.0);
        }
        if let Some(mut collector) = self.collector.take() {
            collector.kill().unwrap();
            collector.wait().unwrap();
        }
    }

    fn happen(&mut self, deed: Deed) {
        match deed {
            Deed::KillCollector => self.kill_collector(),
            Deed::StartCollector if self.collector.is_none() => self.start_collector(),
            Deed::StartCollector => {}
            Deed::KillController => {
                self.watched.end_controller("KILL").unwrap();
                self.watched.start_controller().unwrap();
            }
            Deed::Cut => self.network.close(),
            Deed::Heal => self.network.open(self.watched.ingest().0),
        }
    }

    /// Until all files are read to their ends, and nothing more is sent.
    fn settle(&self) {
        let mut last = (0.0, Instant::now());
        wait_until("the lines arrive", LONG * 3, || {
            let sent = self.metric("lines_sent_total")?;
            if sent != last.0 || self.metric("lag_bytes")? > 0.0 || self.metric("spool_bytes")? > 0.0 {
                last = (sent, Instant::now());
            }
            (last.1.elapsed() > Duration::from_secs(5)).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut collector) = self.collector.take() {
            // Whatever it says: the test is over.
            collector.kill().ok();
            collector.wait().ok();
        }
    }
}

/// Spread over the time of the writer at uneven distances; every second kill of the collector is one of the controller, too.
fn plan(scale: Scale) -> Vec<(Duration, Deed)> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut plan = vec![(scale.span() / 3, Deed::Cut), (scale.span() / 3 + scale.cut, Deed::Heal)];
    for kill in 0..scale.kills {
        let at = scale.span() * (kill as u32 + 1) / (scale.kills as u32 + 1);
        let at = at + Duration::from_millis(random.u64(0..400));
        // Now and then it stays away so long that more than one rotation is missed.
        let away = if kill % 3 == 0 { scale.between_rotations * 2 } else { Duration::ZERO };
        plan.extend([(at, Deed::KillCollector), (at + away, Deed::StartCollector)]);
        if kill % 2 == 1 {
            plan.push((at + Duration::from_millis(random.u64(0..800)), Deed::KillController));
        }
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

/// What is wrong with the record, and how many lines are in it.
fn faults(store: &Path, written: &Written) -> (Vec<String>, usize) {
    let (mut ids, mut numbers): (HashSet<RecordId>, HashSet<usize>) = Default::default();
    let mut faults = Vec::new();
    each_record(store, &mut |record| {
        let Payload::Line(line) = &record.payload else { return };
        let origin = record.origin.as_ref().unwrap();
        let from = (&*origin.reporter, origin.provenance, &*line.file);
        if from != ("node-a", Provenance::File, "/var/log/app.log") {
            faults.push(format!("from elsewhere: {record:?}"));
        }
        // A line's id is its file and offset, and its text.
        if !ids.insert(record.id) {
            faults.push(format!("stored twice: {record:?}"));
        }
        match number_of(&line.text) {
            None => faults.push(format!("a line that nobody wrote: {record:?}")),
            Some(number) if !numbers.insert(number) => faults.push(format!("from two places: {record:?}")),
            Some(_) => {}
        }
    });
    let lost = written.lost(|number| numbers.contains(&number));
    if !lost.is_empty() {
        faults.push(format!("{} lines are lost, such as {:?}", lost.len(), &lost[..lost.len().min(20)]));
    }
    let destroyed = written.destroyed.iter().filter(|number| !numbers.contains(number)).count();
    println!(
        "{} lines written, {destroyed} destroyed between copy and truncation, {} stored, {} faults",
        written.lines,
        ids.len(),
        faults.len()
    );
    (faults, numbers.len() + destroyed)
}

#[test]
fn every_line_is_in_the_record_once_whoever_is_killed() {
    let scale = Scale::from_environment(SMALL);
    let mut stage = Stage::set();
    let writing = Writing::start(stage.dir.path().join(LOG), scale);
    stage.start_collector();
    let begin = Instant::now();
    for (at, deed) in plan(scale) {
        wait_until("time for the next deed", scale.span() + LONG, || (begin.elapsed() >= at).then_some(())).unwrap();
        println!("{:?}: {deed:?}", begin.elapsed());
        stage.happen(deed);
    }
    wait_until("the writer is done", scale.span() + LONG, || writing.is_done().then_some(())).unwrap();
    let written = writing.end();
    stage.settle();
    stage.kill_collector();
    stage.watched.end_controller("TERM").unwrap();
    println!("{scale:?}\nthe collectors counted {:?}", stage.counted);
    let (faults, accounted) = faults(&stage.watched.store(), &written);
    assert!(faults.is_empty(), "{}\n{}", faults[..faults.len().min(20)].join("\n"), stage.log());
    assert_eq!(accounted, written.lines);
    assert_eq!(written.rotations, scale.rotations);
}
