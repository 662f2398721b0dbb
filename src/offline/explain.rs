//! `kubewitness explain`: why a rule takes an event or leaves it. In: rules from files, recorded events. Out: each condition
//! with the values that it read, for people or as JSON. It runs the pipeline's own stages, so that it can't disagree.

mod paint;
mod verdict;

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};

use self::{
    paint::Paint,
    verdict::{ExplainedRule, Explanation, explain},
};
use super::{
    input::{self, Entry, InputArgs, Reader},
    inventory_file, rule_files,
};
use crate::{record::Record, ruleset::expr::nearest};

/// Shows for each rule which conditions hold for an event and which do not, with the values that they read.
///
/// Rules that match come first, then the nearest misses. A condition is marked ✓ when it holds, ✗ when it does not, and !
/// when it ended in an error, such as a missing key; behind it stand the values that it read, after redaction. What is
/// joined in a cluster (the pod of an address, its node and workload) is known by --inventory alone: without it such fields
/// are empty.
///
/// Examples: kubewitness explain --rules manifests/rules --event event.json
///
/// kubewitness explain --rules manifests/rules/node --lines node --host node-1 --event /var/log/auth.log
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Files, or directories with *.yaml and *.yml files, that hold the rules.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Events, read as `replay` reads them: an audit event as the API server writes it (JSON, a line of its log, an EventList),
    /// an envelope around a line, or with --lines a log file. Of several each is explained, up to 20. - is standard input.
    #[arg(long, required = true, value_name = "FILE")]
    pub event: PathBuf,
    #[command(flatten)]
    pub how: InputArgs,
    /// Only the rule of this name; repeat it for several.
    #[arg(long = "rule", value_name = "NAME")]
    pub names: Vec<String>,
    /// text: for people; json: one object an event.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
    /// Colours: auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    pub color: Colours,
    /// Show all conditions of every rule, also of those that are far from matching.
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colours {
    Auto,
    Always,
    Never,
}

impl Colours {
    fn are_shown(self) -> bool {
        match self {
            Colours::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            Colours::Always => true,
            Colours::Never => false,
        }
    }
}

/// Events that are explained one by one.
const MAX_EVENTS: usize = 20;

pub fn main(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let rules = rules(args)?;
    let inventory = inventory_file::joined(args.how.inventory.as_deref()).context("reading the inventory")?;
    let name =
        if args.event == Path::new("-") { "standard input".to_owned() } else { args.event.display().to_string() };
    let records = records(args).with_context(|| format!("reading {name}"))?;
    let explained = |record| explain(&rules, record, &inventory);
    let explanations: Vec<Explanation> = records.iter().filter_map(explained).collect();
    let paint = Paint::new(args.color.are_shown(), args.verbose);
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(args.output, &explanations, &paint, &mut out).and_then(|()| out.flush()) {
        // A reader that had enough (`| head`) is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        outcome => outcome.map(|()| ExitCode::SUCCESS).context("writing the explanation"),
    }
}

fn write(output: Output, explanations: &[Explanation], paint: &Paint, out: &mut impl Write) -> io::Result<()> {
    for (index, explanation) in explanations.iter().enumerate() {
        match output {
            Output::Json => {
                serde_json::to_writer(&mut *out, explanation)?;
                out.write_all(b"\n")?;
            }
            Output::Text => {
                if index > 0 {
                    writeln!(out)?;
                }
                paint.explanation(explanation, out)?;
            }
        }
    }
    Ok(())
}

/// The rules that are asked for. One that is refused is named and left out.
fn rules(args: &ExplainArgs) -> anyhow::Result<Vec<ExplainedRule>> {
    let (mut rules, mut names, mut problems) = (Vec::new(), BTreeSet::new(), Vec::new());
    for path in &args.rules {
        let (files, errors) = rule_files::read(path);
        problems.extend(errors.iter().map(ToString::to_string));
        for file in files {
            let name = file.source.id.name.to_string();
            let wanted = args.names.is_empty() || args.names.contains(&name);
            names.insert(name);
            if !wanted {
                continue;
            }
            match ExplainedRule::compile(file.source) {
                Ok(rule) => rules.push(rule),
                Err((id, error)) => eprintln!("kubewitness: rule {id} is refused and left out: {error}"),
            }
        }
    }
    if !problems.is_empty() {
        bail!("the rules have problems:\n{}", problems.join("\n"));
    }
    if let Some(unknown) = args.names.iter().find(|name| !names.contains(*name)) {
        let known = || names.iter().map(String::as_str);
        let longer = known().find(|name| name.contains(unknown.as_str()));
        match longer.or_else(|| nearest(unknown, known())) {
            Some(meant) => bail!("no rule is named {unknown}; did you mean {meant}?"),
            None => bail!("no rule is named {unknown}; there are: {}", known().collect::<Vec<_>>().join(", ")),
        }
    }
    if rules.is_empty() {
        bail!("no rule is left to explain");
    }
    Ok(rules)
}

/// The events of the input, at most `MAX_EVENTS`.
fn records(args: &ExplainArgs) -> anyhow::Result<Vec<Record>> {
    let mut entries = Reader::new(&args.how, &args.event).first(input::open(&args.event)?, MAX_EVENTS + 1)?;
    if entries.len() > MAX_EVENTS {
        eprintln!("kubewitness: only the first {MAX_EVENTS} events are explained; `replay` takes any number");
        entries.truncate(MAX_EVENTS);
    }
    let of = |entry: Entry| {
        let hint = |problem: &str| input::lines_hint(&args.how, problem);
        entry.record.map_err(|problem| anyhow!("line {}: {problem}{}", entry.line, hint(&problem)))
    };
    let records = entries.into_iter().map(of).collect::<anyhow::Result<Vec<Record>>>()?;
    if records.is_empty() {
        bail!("the input holds no event");
    }
    Ok(records)
}
