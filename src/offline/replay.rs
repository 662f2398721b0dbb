//! `kubewitness replay`: recorded events through the same pipeline, and the alerts that they raise.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    input::{self, Entry, InputArgs, Reader},
    inventory_file, rule_files,
};
use crate::{
    alert::Alert,
    pipeline::{Pipeline, PipelineConfig},
    record::RecordId,
    ruleset::compile::{RuleSource, compile_all},
};

/// Runs rules over recorded events and prints one alert per rule and key.
///
/// The input is what an API server writes, JSON lines of its audit log or EventLists of its webhook, mixed at will with
/// envelopes around lines and events of several hosts, in any order, packed with gzip or not:
///
/// {"source": "Node", "host": "node-1", "file": "/var/log/auth.log", "received": "2026-03-04T05:06:07Z", "log": "…"}
///
/// {"source": "Audit", "host": "control-plane-1", "event": {…}}
///
/// Without `received`, it is taken as received when it happened. Each event is counted once, however often it occurs. With
/// --lines, the input is one log file as it is.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Files, or directories with *.yaml and *.yml files, that hold the rules. A last PATH that is neither is taken as FILE.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// jsonl: one JSON object an alert; table: for people.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: Output,
    #[command(flatten)]
    pub how: InputArgs,
    /// Records; - or nothing is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub input: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Jsonl,
    Table,
}

/// One line of `--output jsonl`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertLine<'a> {
    pub rule: &'a str,
    /// Namespace of a SecurityRule; empty for a ClusterSecurityRule.
    pub namespace: &'a str,
    pub severity: &'static str,
    pub attack: &'a [String],
    pub key: BTreeMap<&'a str, &'a str>,
    /// Completing events over all episodes.
    pub count: u64,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub summary: String,
    /// Numbers, from 1, of all input lines that contributed.
    pub records: BTreeSet<u64>,
}

/// Identities that are remembered for deduplication, twice: 2 x 2 M x about 32 bytes.
const REMEMBERED: usize = 2_000_000;
/// Broken places of the input that are named one by one.
const MAX_NAMED: u64 = 10;

/// The rules and the input: `--rules DIR events.jsonl` reads as it looks, though the flag takes several values.
fn paths(args: &ReplayArgs) -> (&[PathBuf], &Path) {
    let is_rules = |path: &Path| path.is_dir() || path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    match args.rules.split_last() {
        Some((last, rest)) if args.input == Path::new("-") && !rest.is_empty() && !is_rules(last) => (rest, last),
        _ => (&args.rules, &args.input),
    }
}

pub fn main(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let (rules, input) = paths(args);
    let mut replay = Replay::new(load(rules)?);
    if let Some(path) = &args.how.inventory {
        for record in inventory_file::read(path).context("reading the inventory")? {
            replay.pipeline.push(0, &record);
        }
    }
    let name = input::shown(input);
    let file = input::open(input).with_context(|| format!("opening {name}"))?;
    let mut reader = Reader::new(&args.how, input);
    let all = |entry| {
        replay.take(entry);
        ControlFlow::Continue(())
    };
    reader.read(file, all).with_context(|| format!("reading {name}"))?;
    replay.pipeline.end(None);
    replay.report();
    if replay.events == 0 && replay.rejected > 0 {
        bail!(
            "the input holds no record at all: it is neither the audit log of an API server nor a stream of envelopes; \
             for a log file of a node or web server, give --lines"
        );
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    input::ended(replay.print(args.output, &mut out).and_then(|()| out.flush())).context("writing the alerts")
}

fn load(paths: &[PathBuf]) -> anyhow::Result<Pipeline> {
    let mut sources: Vec<RuleSource> = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let (rules, errors) = rule_files::read(path);
        problems.extend(errors.iter().map(ToString::to_string));
        sources.extend(rules.into_iter().map(|file| file.source));
    }
    let (compiled, refused) = compile_all(&sources);
    problems.extend(refused.iter().map(|(id, error)| format!("rule {id}: {error}")));
    if !problems.is_empty() {
        bail!("the rules have problems:\n{}", problems.join("\n"));
    }
    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    let mut seen = BTreeSet::new();
    for rule in compiled {
        if !seen.insert(rule.id.clone()) {
            bail!("two rules are named {}: names must be unique", rule.id);
        }
        pipeline.accept(rule);
    }
    Ok(pipeline)
}

struct Replay {
    pipeline: Pipeline,
    events: u64,
    duplicates: u64,
    rejected: u64,
    recent: HashSet<RecordId>,
    older: HashSet<RecordId>,
    progress: Progress,
}

impl Replay {
    fn new(pipeline: Pipeline) -> Replay {
        Replay {
            pipeline,
            events: 0,
            duplicates: 0,
            rejected: 0,
            recent: HashSet::new(),
            older: HashSet::new(),
            progress: Progress::new(),
        }
    }

    fn take(&mut self, entry: Entry) {
        let Entry { line, record } = entry;
        let record = match record {
            Ok(record) => record,
            Err(problem) => return self.reject(&format!("line {line}: {problem}")),
        };
        if self.older.contains(&record.id) || !self.recent.insert(record.id) {
            self.duplicates += 1;
            return;
        }
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.events += 1;
        // The line stands for the position in the log, so that alerts name the lines that they come from.
        self.pipeline.push(line, &record);
        self.progress.show(self.events);
    }

    fn reject(&mut self, problem: &str) {
        self.rejected += 1;
        if self.rejected <= MAX_NAMED {
            eprintln!("kubewitness: left out: {problem}");
        }
    }

    /// What a reader of the alerts should know about the input.
    fn report(&self) {
        self.progress.clear();
        if self.rejected > MAX_NAMED {
            eprintln!("kubewitness: left out {} more places that hold no record", self.rejected - MAX_NAMED);
        }
        eprintln!(
            "kubewitness: {} events ({} duplicates, {} left out), {} matched, {} alerts of {} rules",
            self.events,
            self.duplicates,
            self.rejected,
            self.pipeline.counters().matched,
            self.pipeline.alerts().count(),
            self.pipeline.rules().len()
        );
        for (rule, (count, first)) in self.pipeline.failures() {
            eprintln!("kubewitness: rule {rule}: {count} evaluation(s) ended without a value, the first with: {first}");
        }
    }

    fn print(&self, output: Output, out: &mut impl Write) -> io::Result<()> {
        let mut lines: Vec<AlertLine<'_>> = self.pipeline.alerts().map(line).collect();
        lines.sort_by(|a, b| {
            (a.first_seen, a.namespace, a.rule, &a.key).cmp(&(b.first_seen, b.namespace, b.rule, &b.key))
        });
        match output {
            Output::Jsonl => {
                for line in &lines {
                    serde_json::to_writer(&mut *out, line)?;
                    out.write_all(b"\n")?;
                }
            }
            Output::Table => table(&lines, out)?,
        }
        Ok(())
    }
}

fn line(alert: &Alert) -> AlertLine<'_> {
    AlertLine {
        rule: &alert.rule.id.name,
        namespace: &alert.rule.id.namespace,
        severity: alert.severity().as_str(),
        attack: &alert.rule.attack,
        key: alert.rule.key_names.iter().zip(alert.key.iter()).map(|(name, value)| (&**name, &**value)).collect(),
        count: alert.total_count(),
        first_seen: alert.total_first_seen(),
        last_seen: alert.total_last_seen(),
        summary: alert.summary(),
        records: alert.contributions().iter().copied().collect(),
    }
}

fn table(lines: &[AlertLine<'_>], out: &mut impl Write) -> io::Result<()> {
    let width = |of: fn(&AlertLine<'_>) -> usize, title: &str| lines.iter().map(of).max().unwrap_or(0).max(title.len());
    let rule = width(|l| l.rule.len(), "RULE");
    writeln!(out, "{:<13}  {:<rule$}  {:>6}  {:<20}  SUMMARY", "SEVERITY", "RULE", "COUNT", "LAST")?;
    for line in lines {
        let last = line.last_seen.strftime("%Y-%m-%dT%H:%M:%SZ");
        writeln!(out, "{:<13}  {:<rule$}  {:>6}  {last:<20}  {}", line.severity, line.rule, line.count, line.summary)?;
    }
    Ok(())
}

/// A counter on the terminal, for work over a second.
pub(super) struct Progress {
    terminal: bool,
    started: Instant,
    shown: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { terminal: io::stderr().is_terminal(), started: Instant::now(), shown: None }
    }

    pub(super) fn show(&mut self, events: u64) {
        let since = self.shown.unwrap_or(self.started);
        if self.terminal && since.elapsed() >= Duration::from_secs(1) {
            eprint!("\rkubewitness: {events} events, {} s", self.started.elapsed().as_secs());
            self.shown = Some(Instant::now());
        }
    }

    pub(super) fn clear(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
