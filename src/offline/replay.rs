//! `kubewitness replay`: recorded events through the same pipeline, and the alerts that they raise.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    crew,
    hint::{self, Hint},
    input::{self, Cutter, Entry, InputArgs, Parser},
    inventory_file, rule_files,
};
use crate::{
    alert::Alert,
    detect::Keyless,
    pipeline::{Pipeline, PipelineConfig, Seen},
    record::RecordId,
    ruleset::{
        CompiledRule,
        compile::{RuleSource, compile_all},
    },
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
/// --lines, the input is one log file as it is. All cores work on it; the alerts are the same for any number of threads.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Files, or directories with *.yaml and *.yml files, that hold the rules. A last PATH that is neither is taken as FILE.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// jsonl: one JSON object an alert; table: for people.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: Output,
    /// Threads that work on the input, at least 1; as many as there are cores when left out.
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
    /// Write what became of the input to FILE, as a JSON object: `events` (each counted once), of them `matched` by a selector,
    /// `rejected` (places that hold no record), `keyless` (events that a selector took and whose key was empty, so that they
    /// joined nothing), `alerts`, `rules`, `seconds`.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    #[command(flatten)]
    pub how: InputArgs,
    /// Records; - or nothing is standard input. Of several logs, `cat` makes one input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub input: Vec<PathBuf>,
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

/// What `--summary` writes.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Each counted once, however often it occurs.
    pub events: u64,
    /// Events that at least one selector took.
    pub matched: u64,
    /// Places of the input that hold no record.
    pub rejected: u64,
    /// Events that a selector took and whose key was empty: they joined nothing. One counts for each such selector.
    pub keyless: u64,
    pub alerts: usize,
    pub rules: usize,
    /// From when the rules were read until the input was.
    pub seconds: f64,
}

/// Identities that are remembered for deduplication, twice: 2 x 2 M x about 32 bytes.
const REMEMBERED: usize = 2_000_000;
/// Broken places of the input that are named one by one.
const MAX_NAMED: u64 = 10;

/// The rules and the input: `--rules DIR events.jsonl` reads as it looks, though the flag takes several values.
fn paths(args: &ReplayArgs) -> anyhow::Result<(&[PathBuf], &Path)> {
    let is_rules = |path: &Path| path.is_dir() || path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    // The first stands behind `--rules` in any case.
    let others = args.rules.iter().rev().take_while(|path| !is_rules(path)).count().min(args.rules.len() - 1);
    let none = args.input.iter().all(|path| path == Path::new("-"));
    let (rules, inputs) = match args.rules.split_at(args.rules.len() - others) {
        (rules, inputs) if none && !inputs.is_empty() => (rules, inputs),
        _ => (&*args.rules, &*args.input),
    };
    match inputs {
        [] => Ok((rules, Path::new("-"))),
        [input] => Ok((rules, input)),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            bail!(
                "replay reads one input, and these are {}: `cat {}` them into `kubewitness replay … -`",
                names.len(),
                names.join(" ")
            )
        }
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "must be a whole number of at least 1; leave it out for as many as there are cores".to_owned())
}

pub fn main(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let (rules, input) = paths(args)?;
    if args.summary.as_deref() == Some(Path::new("-")) {
        bail!("--summary - : standard output has the alerts already; name a file, such as summary.json or /dev/stderr");
    }
    let rules = load(rules)?;
    // One that looks at events, shared by all threads, and one that takes in what was seen.
    let (mut front, mut replay) = (pipeline(&rules), Replay::new(pipeline(&rules)));
    if let Some(path) = &args.how.inventory {
        for record in inventory_file::read(path).context("reading the inventory")? {
            front.push(0, &record);
        }
    }
    let name = input::shown(input);
    let file = input::open(input).with_context(|| format!("opening {name}"))?;
    let parser = Parser::new(&args.how, input);
    let hint = Mutex::new(Hint::new(args.how.lines));
    let see = |entry: Entry| {
        if entry.line <= hint::LOOKED_AT
            && let (Ok(record), Ok(mut hint)) = (&entry.record, hint.lock())
        {
            hint.look(record);
        }
        look(&front, entry)
    };
    let threads = args.threads.or(std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    Cutter::new(file, parser.reads_lines())
        .and_then(|cutter| crew::run(threads, cutter, &parser, see, |entry| replay.take(entry)))
        .with_context(|| format!("reading {name}"))?;
    replay.pipeline.end(None);
    replay.report();
    if args.how.inventory.is_none() {
        replay.tell_keyless();
    }
    hint.into_inner().unwrap_or_else(PoisonError::into_inner).tell();
    if let Some(path) = &args.summary {
        replay.summarise(path).with_context(|| format!("writing the summary to {}", path.display()))?;
    }
    if replay.events == 0 && replay.rejected > 0 {
        bail!(
            "the input holds no record at all: it is neither the audit log of an API server nor a stream of envelopes; \
             for a log file of a node or web server, give --lines"
        );
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    input::ended(replay.print(args.output, &mut out).and_then(|()| out.flush())).context("writing the alerts")
}

fn load(paths: &[PathBuf]) -> anyhow::Result<Vec<Arc<CompiledRule>>> {
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
    let mut seen = BTreeSet::new();
    if let Some(rule) = compiled.iter().find(|rule| !seen.insert(&rule.id)) {
        bail!("two rules are named {}: names must be unique", rule.id);
    }
    Ok(compiled)
}

fn pipeline(rules: &[Arc<CompiledRule>]) -> Pipeline {
    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    rules.iter().for_each(|rule| pipeline.accept(Arc::clone(rule)));
    pipeline
}

/// What was seen at one place of the input.
struct Looked {
    line: u64,
    outcome: Result<(RecordId, Seen), String>,
}

/// The line stands for the position in the log, so that alerts name the lines that they come from.
fn look(front: &Pipeline, entry: Entry) -> Looked {
    let Entry { line, record } = entry;
    Looked { line, outcome: record.map(|record| (record.id, front.see(line, &record))) }
}

/// True for an expression that reads what the inventory joins to an event.
fn is_joined(expression: &str) -> bool {
    ["source.node.", "kubernetes."].iter().any(|fields| expression.contains(fields))
}

/// They are hashes already, of which nobody can aim at a place in a table that is seeded anew in each run.
type Identities = HashSet<RecordId, foldhash::fast::RandomState>;

struct Replay {
    pipeline: Pipeline,
    events: u64,
    duplicates: u64,
    rejected: u64,
    recent: Identities,
    older: Identities,
    progress: Progress,
}

impl Replay {
    fn new(pipeline: Pipeline) -> Replay {
        Replay {
            pipeline,
            events: 0,
            duplicates: 0,
            rejected: 0,
            recent: Identities::default(),
            older: Identities::default(),
            progress: Progress::new(),
        }
    }

    fn take(&mut self, looked: Looked) {
        self.progress.show(self.events);
        let Looked { line, outcome } = looked;
        let (id, seen) = match outcome {
            Ok(seen) => seen,
            Err(problem) => return self.reject(&format!("line {line}: {problem}")),
        };
        if self.older.contains(&id) || !self.recent.insert(id) {
            self.duplicates += 1;
            return;
        }
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        self.events += 1;
        self.pipeline.take_in(seen);
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
        for (rule, over) in self.pipeline.over_budget() {
            eprintln!("kubewitness: rule {rule} {over}");
        }
        for (rule, (count, first)) in self.pipeline.failures() {
            eprintln!("kubewitness: rule {rule}: {count} evaluation(s) ended without a value, the first with: {first}");
        }
    }

    /// What joined nothing for want of an inventory.
    fn tell_keyless(&self) {
        let (mut events, mut rules, mut first) = (0, 0, None);
        for (id, (count, Keyless { selector, key })) in self.pipeline.keyless() {
            let Some(rule) = self.pipeline.rules().get(id) else { continue };
            let Some(selector) = rule.selectors.get(*selector) else { continue };
            if !selector.keys.get(*key).is_some_and(|key| is_joined(key.source())) {
                continue;
            }
            (events, rules) = (events + count, rules + 1);
            let key = rule.key_names.get(*key).map_or("", |name| name);
            first = first.or_else(|| Some(format!("key {key:?} of selector {} of {id}", selector.name)));
        }
        if let Some(first) = first {
            eprintln!(
                "kubewitness: {events} event(s) that selectors of {rules} rule(s) took joined nothing, since a key is empty that                  only the inventory tells, such as {first}: give nodes and pods with --inventory FILE"
            );
        }
    }

    fn summarise(&self, path: &Path) -> io::Result<()> {
        let summary = Summary {
            events: self.events,
            matched: self.pipeline.counters().matched,
            rejected: self.rejected,
            keyless: self.pipeline.keyless().values().map(|(count, _)| count).sum(),
            alerts: self.pipeline.alerts().count(),
            rules: self.pipeline.rules().len(),
            seconds: self.progress.started.elapsed().as_secs_f64(),
        };
        fs::write(path, format!("{}\n", serde_json::to_string(&summary)?))
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
    /// After how long it was shown last.
    shown: Option<Duration>,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { terminal: io::stderr().is_terminal(), started: Instant::now(), shown: None }
    }

    pub(super) fn show(&mut self, events: u64) {
        if let Some(line) = self.line(events, self.started.elapsed()) {
            eprint!("{line}");
        }
    }

    /// What to show when so much time has passed: once a second, over what was shown before.
    fn line(&mut self, events: u64, passed: Duration) -> Option<String> {
        let is_due = self.terminal && passed.saturating_sub(self.shown.unwrap_or_default()) >= Duration::from_secs(1);
        is_due.then(|| {
            self.shown = Some(passed);
            format!("\rkubewitness: {events} events, {} s", passed.as_secs())
        })
    }

    pub(super) fn clear(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_once_a_second_and_on_a_terminal_alone() {
        let at = |terminal| {
            let mut progress = Progress { terminal, ..Progress::new() };
            let lines =
                [0, 999, 1000, 1900, 2000, 9500].map(|millis| progress.line(millis, Duration::from_millis(millis)));
            lines.into_iter().flatten().collect::<Vec<_>>()
        };
        let told = |events: u64, seconds: u64| format!("\rkubewitness: {events} events, {seconds} s");
        assert_eq!(at(true), [told(1000, 1), told(2000, 2), told(9500, 9)]);
        assert!(at(false).is_empty());
    }
}
