//! What controller and collector take of a node under a stated load: `make size` prints it, and the charts' requests and
//! docs/operations.md rest on it. The events are those of `make bench`, sent to the relay of a collector as an API server does, and through
//! it to the real controller with the shipped rules; beside them lines are written to a file that the same collector reads.

use super::collectors::log_source;
use super::relay::{Stage, TOKEN};
use super::seen::request;
use crate::selection::corpus::Corpus;
use crate::support::{Process, wait_until};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(120);
/// Audit events and lines a second. A cluster of some tens of nodes has a few hundred events a second.
const LOADS: [(u32, u32); 3] = [(0, 0), (200, 100), (1000, 500)];
/// Batches and writes a second; an API server sends what came within a second or two at a time.
const TICKS: u32 = 5;

/// Events that nobody has sent before, as the body of a webhook's request.
fn body(corpus: &mut Corpus, count: u32) -> String {
    let events = corpus.events(count as usize).join(",");
    format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{events}]}}"#)
}

fn send(port: u16, body: &str) {
    let basic = BASE64_STANDARD.encode(format!("kubewitness:{TOKEN}"));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = ["Content-Type: application/json", &format!("Authorization: Basic {basic}")];
    let answer = request(&mut stream, "POST /audit/testbed/apiserver-1", &head, body.as_bytes()).unwrap();
    assert_eq!(answer.code, 200, "{}", answer.body);
}

/// Makes the load for so many seconds. The events and lines that were sent.
fn load(stage: &Stage, corpus: &mut Corpus, (events, lines): (u32, u32), seconds: u32) -> (u32, u32) {
    let mut log = OpenOptions::new().append(true).open(stage.host().join("var/log/app.log")).unwrap();
    let began = Instant::now();
    for tick in 0..seconds * TICKS {
        let body = body(corpus, events / TICKS);
        for line in 0..lines / TICKS {
            writeln!(log, "worker {line} took request {tick} of somebody and answered it in {} us", tick * line)
                .unwrap();
        }
        if events > 0 {
            send(stage.relay, &body);
        }
        let next = Duration::from_secs(1) * (tick + 1) / TICKS;
        thread::sleep(next.saturating_sub(began.elapsed()));
    }
    let behind = began.elapsed().as_secs_f64() / f64::from(seconds);
    assert!(behind < 1.2, "the load took {behind} times as long as it should: this machine is too busy");
    let ticks = seconds * TICKS;
    (events / TICKS * ticks, lines / TICKS * ticks)
}

fn read(stage: &Stage, series: &str) -> f64 {
    stage.watched.metric_of(stage.admin, &format!("kubewitness_collector_{series}")).unwrap()
}

#[test]
#[ignore = "prints what it measures, which takes minutes: make size"]
fn what_controller_and_collector_take_under_load() {
    let seconds = std::env::var("KUBEWITNESS_SIZE_SECONDS").map_or(60, |text| text.parse().unwrap());
    let stage = Stage::set();
    stage.watched.apply_shipped_rules().unwrap();
    fs::create_dir_all(stage.host().join("var/log")).unwrap();
    fs::write(stage.host().join("var/log/app.log"), "").unwrap();
    let source = log_source("app", json!({"source": "Node", "paths": ["/var/log/app.log"]}));
    stage.watched.apply(&source.to_string()).unwrap();
    wait_until("the first events are taken", LONG, || (stage.stored() > 0.0).then_some(())).unwrap();
    wait_until("the file is read", LONG, || (read(&stage, "files_open") >= 2.0).then_some(())).unwrap();
    let mut corpus = Corpus::new(1);
    println!("events/s  lines/s  controller: CPU   peak MiB  collector with relay: CPU   peak MiB");
    for (events, lines) in LOADS {
        let cpu = |process: &Process| process.cpu_seconds().unwrap();
        let (controller, collector) = (stage.watched.controller(), &stage.collector);
        let (taken, sent) = (stage.stored(), read(&stage, "lines_sent_total"));
        let (before, began) = ((cpu(controller), cpu(collector)), Instant::now());
        let (more_events, more_lines) = load(&stage, &mut corpus, (events, lines), seconds);
        wait_until("all of it has arrived", LONG, || {
            let all = stage.stored() >= taken + f64::from(more_events)
                && read(&stage, "lines_sent_total") >= sent + f64::from(more_lines + more_events);
            (all && read(&stage, "lag_bytes") == 0.0).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.collector.log_tail()));
        let of = |process: &Process, before: f64| {
            let share = 1000.0 * (cpu(process) - before) / began.elapsed().as_secs_f64();
            format!("{share:>7.0}m  {:>9}", process.peak_mib().unwrap())
        };
        println!("{events:>8}  {lines:>7}  {:>23}  {:>36}", of(controller, before.0), of(collector, before.1));
    }
}
