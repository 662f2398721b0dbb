//! `make demo`: a real etcd, kube-apiserver and kube-controller-manager, a real `kubewitness controller`, ordinary traffic,
//! real attacks, and the SecurityAlerts that come of them.
//!
//! It knows what must be found (`expected`), and fails with the difference when anything is missing, different or too
//! much. With KEEP=1 all of it runs on until Ctrl-C. What it started ends with it, whichever way it ends.
//! `--record DIR` writes the API server's audit log and the alerts there, as a golden scenario.

mod attacks;
mod benign;
mod cast;
mod expected;
mod look;
mod node;
mod story;
#[path = "../../tests/support.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::Value;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use cast::Cast;
use expected::{Row, differences, expected};
use node::Node;
use story::{Stop, Story};
use support::{ClusterOptions, WatchedCluster, wait_until};

#[derive(Parser)]
struct Args {
    /// Leaves everything running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Writes the API server's audit log and the node's lines to DIR/input.jsonl, the node to DIR/inventory.yaml.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// After a signal the step that runs may come to its end, the longest being the start of the API server.
const LAST_STEP: Duration = Duration::from_secs(20);
/// From the last request to the last alert: batches wait a second for more, writes of one alert likewise.
const ARRIVAL: Duration = Duration::from_secs(40);
/// The API server's own first events wait for a controller that does not run yet: they are sent again after 4, 10, 19 and
/// 32 s, then given up. With the test bed's 1 s they are lost on a busy machine; the default of 10 s makes the demo wait.
const BACKOFF: &str = "--audit-webhook-initial-backoff=4s";

/// The demo on a thread of its own; here, signals.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let stop = Arc::new(Stop::default());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (done, mut outcome) = oneshot::channel();
    let demo = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || done.send(demo(&args, &stop)).ok())
    };
    let code = tokio::select! {
        biased; // Ctrl-C of a terminal ends kubectl as well, and then the demo has failed: the signal is the reason
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
        outcome = &mut outcome => {
            outcome.context("the demo panicked")??;
            return Ok(ExitCode::SUCCESS);
        }
    };
    stop.set();
    demo.thread().unpark();
    println!("\n\nended by a signal: removing what the demo started");
    // If it does not end in time, or at a second Ctrl-C, this process does: then the keeper of the cluster removes all of it.
    tokio::select! {
        _ = tokio::time::timeout(LAST_STEP, outcome) => {}
        _ = interrupt.recv() => {}
    }
    Ok(ExitCode::from(code))
}

fn demo(args: &Args, stop: &Stop) -> Result<()> {
    let mut story = Story::new(stop);
    let outcome = perform(args, &mut story);
    story.end();
    outcome
}

fn perform(args: &Args, story: &mut Story) -> Result<()> {
    story.chapter("A cluster of its own, on free ports of 127.0.0.1")?;
    let options =
        ClusterOptions { controller_manager: true, api_server_args: vec![BACKOFF.into()], ..ClusterOptions::default() };
    let mut cluster = WatchedCluster::start_telling(options, &mut |what| story.step(what))?;
    let outcome = act(&mut cluster, story);
    if outcome.is_err() && !story.stop.is_set() {
        story.end();
        eprintln!("\nthe controller's last lines were:\n{}", cluster.controller().log_tail());
    }
    let node = outcome?;
    if let Some(dir) = &args.record {
        record(&cluster, &node, dir)?;
    }
    if args.keep {
        look::invite(&cluster, &node);
        story.stop.wait();
    } else {
        look::farewell();
    }
    Ok(())
}

/// Writes the API server's audit log and the node's lines. Left out, for size, are reads by the control plane itself.
fn record(cluster: &WatchedCluster, node: &Node, dir: &Path) -> Result<()> {
    const LEFT_OUT: [&str; 2] = ["system:apiserver", "system:kube-controller-manager"];
    let log = fs::read_to_string(cluster.audit_log())?;
    let mut kept = String::new();
    for line in log.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue }; // the last one may still be written
        let user = event["user"]["username"].as_str().unwrap_or_default();
        if !(event["verb"] == "get" && LEFT_OUT.contains(&user)) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    for envelope in &node.written {
        kept.push_str(&format!("{envelope}\n"));
    }
    fs::create_dir_all(dir)?;
    node::inventory(&dir.join("inventory.yaml"))?;
    fs::write(dir.join("input.jsonl"), kept).with_context(|| format!("writing to {}", dir.display()))
}

fn act(cluster: &mut WatchedCluster, story: &mut Story) -> Result<Node> {
    story.step("apply manifests/rules, and wait until the rules evaluate")?;
    cluster.apply_shipped_rules()?;
    story.step("namespaces, service accounts and users, with permissions as they grow over the years")?;
    cluster.apply(include_str!("setup.yaml"))?;
    let cast = Cast::of(cluster)?;
    story.step("a node, a pod on it, its token, and a collector that reads what manifests/log-sources name")?;
    let mut node = Node::join(cluster)?;

    story.chapter("Ordinary traffic, which goes on beside the attacks and may raise no alert")?;
    story.step("deployments, roles by an administrator, a deleted namespace, refusals, health checks")?;
    benign::day(&cast)?;

    story.chapter("Attacks")?;
    let rounds = beside(&cast, || {
        attacks::attack(&cast, story)?;
        attacks::attack_node(&cast, &mut node, story)
    })?;

    story.chapter("What kubewitness makes of it")?;
    arrive(cluster, story)?;
    judge(cluster, story)?;
    let seconds = story.seconds();
    println!(
        "  As expected: {} alerts, and none of {rounds} rounds of ordinary traffic. {seconds:.0} s in all.",
        expected().len()
    );
    look::print(cluster)?;
    Ok(node)
}

/// Does `work` while ordinary traffic goes on; how many rounds of it.
fn beside(cast: &Cast, work: impl FnOnce() -> Result<()>) -> Result<u32> {
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        let traffic = scope.spawn(|| benign::meanwhile(cast, &end));
        let outcome = work();
        end.store(true, Ordering::Relaxed);
        let rounds = traffic.join().map_err(|_| anyhow::anyhow!("the ordinary traffic panicked"))?;
        outcome?;
        rounds.context("ordinary traffic")
    })
}

/// Waits until every event that the API server has written to its own log is evaluated, or known to be lost.
fn arrive(cluster: &WatchedCluster, story: &mut Story) -> Result<()> {
    let written = fs::read_to_string(cluster.audit_log())?.lines().count() as f64;
    story.step(&format!("{written} audit events of the API server arrive, are stored, and evaluated"))?;
    let mut lost = 0.0;
    let arrived = wait_until("every audit event arrives", ARRIVAL, || {
        if let Err(stopped) = story.stop.check() {
            return Some(Err(stopped));
        }
        let received = cluster.metric("kubewitness_ingest_events_received_total").ok()?;
        let again = cluster.metric("kubewitness_store_records_duplicate_total").ok()?;
        let lag = cluster.metric("kubewitness_pipeline_lag_records").ok()?;
        if received - again < written {
            lost = given_up(cluster)?;
        }
        let known = received - again + lost;
        story.progress(known.to_string());
        (known >= written && lag == 0.0).then_some(Ok(()))
    });
    arrived??;
    if lost > 0.0 {
        story.end();
        println!(
            "  {lost} of them, from before the controller ran, the API server gave up: they are in its own log alone"
        );
    }
    Ok(())
}

/// Events that the API server gave up sending: those of its first seconds, before the controller could run.
fn given_up(cluster: &WatchedCluster) -> Option<f64> {
    let metrics = cluster.kubectl().run(&["get", "--raw", "/metrics"]).success().ok()?;
    let sample = "apiserver_audit_error_total{plugin=\"webhook\"} ";
    Some(metrics.lines().find_map(|line| line.strip_prefix(sample)?.parse().ok()).unwrap_or(0.0))
}

/// Waits until the alerts are those of the table, and the findings as many as they count; fails with the difference.
fn judge(cluster: &WatchedCluster, story: &mut Story) -> Result<()> {
    let expected = expected();
    let findings: u64 = expected.iter().map(|row| row.count).sum();
    story.step(&format!("{} alerts are written to the cluster", expected.len()))?;
    let rows = || Ok::<_, anyhow::Error>(cluster.alerts()?.iter().map(Row::of_object).collect::<Vec<_>>());
    let mut made = 0.0;
    let judged = wait_until("the alerts that were expected", ARRIVAL, || {
        if let Err(stopped) = story.stop.check() {
            return Some(Err(stopped));
        }
        made = cluster.metric("kubewitness_pipeline_findings_total").ok()?;
        let found = rows().ok()?;
        let right = expected.iter().filter(|row| found.contains(row)).count();
        story.progress(format!("{right} of {}", expected.len()));
        (differences(&expected, &found).is_empty() && made == findings as f64).then_some(Ok(()))
    });
    story.end();
    match judged {
        Ok(outcome) => outcome,
        Err(_) => {
            let mut lines = differences(&expected, &rows()?);
            if made != findings as f64 {
                lines.push(format!("{made} detections were completed; the attacks make {findings}"));
            }
            bail!("the alerts are not what was expected after {} s:\n{}", ARRIVAL.as_secs(), lines.join("\n"))
        }
    }
}
