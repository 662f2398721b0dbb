//! Hostile input: whatever is given to the compiler, it answers within a bound of memory, and never panics or aborts. Nor
//! does the evaluation of what compiles.
//!
//! The sources are compiled in a child process, which may die, and whose peak of memory the kernel counts.
//! `KUBEWITNESS_SEED=N` begins with source N, which is what a failure names; `make soak` sets it, and for how long to go on.

mod corpus;
mod inputs;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Instant,
};

use kubewitness::{
    event::Event,
    ruleset::expr::{Expected, ExprError, Program, STEP_LIMIT, Steps, Variables},
};
use serde::{Deserialize, Serialize};

use super::{
    generate::dice::Dice,
    worlds::{any_record, events},
};
use crate::soak;

/// Most memory that one source may take on top of what the process had, in KiB.
const BOUND: u64 = 64 << 10;
/// Sources of a round.
const SOURCES: u64 = 1000;
/// Where a child finds its sources.
const FILE: &str = "KUBEWITNESS_HOSTILE_SOURCES";

/// What one source cost.
#[derive(Debug, Serialize, Deserialize)]
struct Cost {
    /// At the peak, more than before.
    kib: u64,
    /// To compile and to evaluate; for people, since it depends on the machine. What bounds it are the caps of the compiler and
    /// the steps of the evaluation, each of which takes at most half a microsecond in a release build (`make bench`).
    micros: u64,
    /// Of an evaluation that had a value.
    steps: u64,
    compiled: bool,
}

/// A value of /proc/self/status in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cost(source: &str, event: &Event<'_>) -> Cost {
    // Sets the peak, VmHWM, back to what is in use: proc(5).
    fs::write("/proc/self/clear_refs", "5").expect("the peak of memory can be set back");
    let before = memory("VmRSS:");
    let start = Instant::now();
    let program = Program::compile(source, Expected::Any, &Variables::default());
    let mut steps = Steps::default();
    let mut valued = 0;
    match &program {
        Ok(program) => match program.eval(event, &mut steps).map(|value| (value.to_string(), value.to_json())) {
            Ok(_) => valued = steps.used(),
            Err(error) => is_told_well(&program.failure(event, &error)),
        },
        Err(error) => is_told_well(error),
    }
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap();
    Cost { kib: memory("VmHWM:").saturating_sub(before), micros, steps: valued, compiled: program.is_ok() }
}

/// A place, a remedy, an excerpt with a caret, and nothing that a terminal would obey.
fn is_told_well(error: &ExprError) {
    assert!(error.message != "the parser does not cope with it", "the parser panicked");
    let text = error.to_string();
    assert!(error.line > 0 && error.column > 0 && error.hint.len() > 4 && text.ends_with('^'), "{error:?}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{feff}')), "{error:?}");
}

#[test]
#[ignore = "a part of hostile_sources_are_answered_within_bounds, which runs it as a process of its own"]
fn child() {
    let sources = fs::read(env::var(FILE).expect("a file of sources")).unwrap();
    let sources: Vec<String> = serde_json::from_slice(&sources).unwrap();
    let records = [any_record(&mut Dice::new(1))];
    let events = events(&records);
    // The first call fills tables that stay.
    cost("audit.verb == 'a' && 'a'.matches('a')", &events[0]);
    for source in &sources {
        let line = serde_json::to_string(&cost(source, &events[0])).unwrap();
        writeln!(std::io::stdout(), "\n{line}").unwrap();
    }
}

/// The cost of each source, up to the one that the child did not survive; then what it said last.
fn costs(sources: &[String]) -> (Vec<Cost>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), serde_json::to_vec(sources).unwrap()).unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["language::hostile::child", "--exact", "--ignored", "--nocapture"])
        .env(FILE, file.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let costs = output.lines().filter_map(|line| serde_json::from_str(&line.unwrap()).ok()).collect();
    let output = child.wait_with_output().unwrap();
    (costs, format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

fn check(seeds: impl Iterator<Item = u64>, sources: &[String]) {
    let (costs, last) = costs(sources);
    let mut wrong = vec![];
    for ((seed, source), cost) in seeds.zip(sources).zip(costs.iter().map(Some).chain([None])) {
        match cost {
            Some(Cost { steps, .. }) if *steps > STEP_LIMIT => {
                wrong.push(format!("KUBEWITNESS_SEED={seed} takes {steps} steps: {source:?}"))
            }
            Some(Cost { kib, .. }) if *kib <= BOUND => continue,
            Some(Cost { kib, .. }) => wrong.push(format!("KUBEWITNESS_SEED={seed} takes {kib} KiB: {source:?}")),
            None => wrong.push(format!("KUBEWITNESS_SEED={seed} ended the process, {last}: {source:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let compiled = costs.iter().filter(|cost| cost.compiled).count();
    let most = costs.iter().map(|cost| cost.kib).max().unwrap_or(0);
    let (slowest, micros) = costs.iter().map(|cost| cost.micros).enumerate().max_by_key(|(_, m)| *m).unwrap();
    println!(
        "{} sources, {compiled} compile; at most {most} KiB and {:.1} ms, for {:?}",
        costs.len(),
        micros as f64 / 1e3,
        sources[slowest].chars().take(300).collect::<String>()
    );
}

#[test]
fn hostile_sources_are_answered_within_bounds() {
    let named = corpus::worst();
    check(0.., &named);
    for first in soak::rounds(SOURCES) {
        let seeds = first..first + SOURCES;
        let sources: Vec<String> = seeds.clone().map(inputs::any).collect();
        check(seeds, &sources);
    }
}
