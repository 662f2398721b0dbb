//! `make bench`: what selection, each stage and the whole pipeline cost, and what correlation keeps. Prints a table and writes
//! target/bench.json, a flat map of name to number. Without `--bench`, as `cargo test` runs it, all sizes are tiny: that shows
//! that every number is there, and no speed. `cargo bench -- select` measures selection alone, `-- rules` which rules the index leaves
//! to evaluate, `-- pipeline` measures the stages, `-- snapshot` the
//! pauses of snapshots of inventory and alerts, `-- replay` the command, `-- hostile` hostile sources.

mod corpus;
mod hostile;
mod keys;
mod measure;
mod replay;
mod rules;
mod select;
mod stages;
mod standing;

use std::{
    fs,
    path::{Path, PathBuf},
};

use kubewitness::{record::Record, ruleset::compile::RuleSource};
use measure::Report;

/// How much is done.
pub struct Scale {
    rules: [usize; 3],
    events: usize,
    rounds: usize,
    naive_events: usize,
    naive_rounds: usize,
    builds: usize,
    keys: usize,
    pods: usize,
    alerts: usize,
    replayed: usize,
    replays: usize,
    /// Every so many-th hostile source is compiled.
    hostile_step: usize,
    hostile_rounds: usize,
}

const FULL: Scale = Scale {
    rules: [10, 1000, 5000],
    events: 8192,
    rounds: 25,
    naive_events: 1024,
    naive_rounds: 7,
    builds: 7,
    keys: 1_000_000,
    pods: 200_000,
    alerts: 20_000,
    replayed: 100_000,
    replays: 3,
    hostile_step: 1,
    hostile_rounds: 5,
};
const TINY: Scale = Scale {
    rules: [8, 20, 40],
    events: 64,
    rounds: 2,
    naive_events: 16,
    naive_rounds: 1,
    builds: 1,
    keys: 100,
    pods: 200,
    alerts: 20,
    replayed: 200,
    replays: 1,
    hostile_step: 50,
    hostile_rounds: 1,
};

/// Numbers that others read.
const PROMISED: [&str; 7] = [
    "select_10_rules_ns",
    "select_1000_rules_ns",
    "select_5000_rules_ns",
    "select_1000_naive_over_ours",
    "pipeline_events_per_second_core",
    "correlate_1m_keys_mib",
    "compile_hostile_worst_ms",
];

fn main() {
    if let Some(keys) = std::env::var(keys::CHILD).ok().and_then(|keys| keys.parse().ok()) {
        return keys::child(keys);
    }
    let has = |wanted: &str| std::env::args().any(|arg| arg == wanted);
    let timed = has("--bench");
    let scale = if timed { &FULL } else { &TINY };
    if has("select") {
        return print(&selected(scale).0);
    }
    if has("rules") {
        let (sources, raw) = traffic(scale);
        return select::by_rule(sources.get(..scale.rules[1]).unwrap_or(&sources), &records(&raw));
    }
    if has("pipeline") {
        let (mut report, (sources, raw)) = (Report::default(), traffic(scale));
        let thousand = select::compiled(sources.get(..scale.rules[1]).unwrap_or(&sources));
        stages::run(&mut report, scale, &thousand, &raw);
        return print(&report);
    }
    if has("replay") {
        let (mut report, (sources, raw)) = (Report::default(), traffic(scale));
        replay::run(&mut report, scale, &sources, &raw);
        return print(&report);
    }
    if has("snapshot") {
        let mut report = Report::default();
        standing::run(&mut report, scale);
        return print(&report);
    }
    if has("hostile") {
        let mut report = Report::default();
        hostile::run(&mut report, scale, &records(&corpus::Corpus::new(42).events(scale.events)));
        return print(&report);
    }
    let report = measured(scale);
    for name in PROMISED {
        assert!(report.get(name).is_finite() && report.get(name) > 0.0, "{name} was not measured");
    }
    if timed {
        print(&report);
    }
    let text = serde_json::to_string_pretty(&report.0).expect("names and numbers are JSON");
    for path in outputs(timed) {
        fs::write(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("wrote {}", path.display());
    }
}

/// Selection alone: what `cargo bench -- select` prints.
fn selected(scale: &Scale) -> (Report, Vec<RuleSource>, Vec<String>) {
    let mut report = Report::default();
    let (sources, raw) = traffic(scale);
    let records = records(&raw);
    let narrow: Vec<RuleSource> = sources.iter().filter(|source| !WIDE.contains(&&*source.id.name)).cloned().collect();
    select::run(&mut report, scale, &narrow, &records);
    select::wide(&mut report, scale, &sources, &records);
    (report, sources, raw)
}

/// Shipped rules that watch what a whole group of clients does all day: they take in one event in five together, and making
/// those matches costs more than selecting. The bars of selection are over the others, and `select_…_with_wide_ns` over all.
const WIDE: [&str; 4] = [
    "node-heartbeat-lost",
    "pod-token-used-from-many-addresses",
    "service-account-does-something-new",
    "service-account-with-new-client",
];

/// Rules and events.
fn traffic(scale: &Scale) -> (Vec<RuleSource>, Vec<String>) {
    let (files, errors) = kubewitness::offline::rule_files::read(&root().join("manifests/rules/audit"));
    assert!(errors.is_empty(), "{errors:?}");
    let shipped = files.into_iter().map(|file| file.source).collect();
    let most = scale.rules.into_iter().max().unwrap_or_default() + WIDE.len();
    let sources = rules::rules(shipped, most);
    (sources, corpus::Corpus::new(42).events(scale.events))
}

fn records(raw: &[String]) -> Vec<Record> {
    raw.iter().enumerate().map(|(place, raw)| stages::record(raw, place)).collect()
}

fn measured(scale: &Scale) -> Report {
    let (mut report, sources, raw) = selected(scale);
    let thousand = select::compiled(sources.get(..scale.rules[1]).unwrap_or(&sources));
    stages::run(&mut report, scale, &thousand, &raw);
    replay::run(&mut report, scale, &sources, &raw);
    let found = keys::measured(scale.keys);
    report.set("correlate_1m_keys_mib", found.mib);
    report.set("snapshot_1m_keys_pause_ms", found.snapshot_pause_ms);
    report.set("snapshot_1m_keys_worst_step_ms", found.snapshot_worst_step_ms);
    report.set("snapshot_1m_keys_write_ms", found.snapshot_write_ms);
    standing::run(&mut report, scale);
    hostile::run(&mut report, scale, &records(&raw));
    report
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's target/, and cargo's when that is another. A test leaves them alone.
fn outputs(timed: bool) -> Vec<PathBuf> {
    if !timed {
        return vec![Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench.json")];
    }
    let mut folders = vec![root().join("target")];
    folders.extend(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from));
    folders.dedup();
    for folder in &folders {
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
    folders.into_iter().map(|folder| folder.join("bench.json")).collect()
}

fn print(report: &Report) {
    println!("{:44} {:>14} {:>14}", "", "best", "median");
    for (name, value) in &report.0 {
        if name.ends_with("_median") {
            continue;
        }
        let shown = |value: f64| if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        let median = report.0.get(&format!("{name}_median")).map_or(String::new(), |median| shown(*median));
        println!("{name:44} {:>14} {median:>14}", shown(*value));
    }
    let bars = [
        ("select_1000_rules_ns", 600.0, false),
        ("select_5000_rules_ns", 800.0, false),
        ("pipeline_events_per_second_core", 150_000.0, true),
        ("replay_10_rules_1_threads_events_per_second", 150_000.0, true),
        ("replay_1000_rules_1_threads_events_per_second", 150_000.0, true),
        ("compile_hostile_worst_ms", hostile::BAR, false),
        ("correlate_1m_keys_mib", 160.0, false),
        ("snapshot_1m_keys_pause_ms", 50.0, false),
        ("snapshot_1m_keys_worst_step_ms", 50.0, false),
        ("snapshot_200k_pods_pause_ms", 50.0, false),
        ("snapshot_200k_pods_worst_step_ms", 50.0, false),
        ("snapshot_20k_alerts_pause_ms", 50.0, false),
        ("snapshot_20k_alerts_worst_step_ms", 50.0, false),
    ];
    for (name, bar, at_least) in bars {
        if report.get(name).is_nan() {
            continue; // only selection was measured
        }
        let met = if at_least { report.get(name) >= bar } else { report.get(name) <= bar };
        println!("{}: {name} {} {bar}", if met { "met" } else { "MISSED" }, if at_least { ">=" } else { "<=" });
    }
}
