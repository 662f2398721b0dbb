//! `kubewitness eval`: one expression over one event or over variables, without a cluster and without rules.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use serde_json::Value as Json;

use super::{
    input::{self, Entry, InputArgs, Reader},
    inventory_file,
};
use crate::{
    enrich::enrich,
    normalise,
    record::Record,
    ruleset::expr::{Bindings, Expected, ExprError, Program, Steps, Variables},
};

/// Evaluates one expression of the rule language and prints its value as JSON.
///
/// Exit code 0: the value is printed; 1: `error: …` is printed with line, column and remedy, since the expression is refused
/// or has no value, and the place is shown on standard error; 2: the event or the variables can't be read. Doubles that JSON lacks print as "NaN", "Infinity" and "-Infinity", times as RFC 3339,
/// durations as "1.5s", bytes as base64, types as their name, an empty optional as null.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// The expression.
    #[arg(long, value_name = "E", allow_hyphen_values = true)]
    pub expression: String,
    /// A file whose first event it is, read as `replay` reads it: an audit event as the API server writes it, an envelope
    /// around a line, or with --lines a log file; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "bindings")]
    pub event: Option<PathBuf>,
    #[command(flatten)]
    pub how: InputArgs,
    /// A JSON object, each key of it a dynamic variable. Numbers without fraction and exponent are int, others double. No key
    /// may occur twice, and no int be beyond 64 bits.
    #[arg(long, value_name = "JSON")]
    pub bindings: Option<String>,
}

/// Why there is no value, and where.
#[derive(Debug)]
pub enum NoValue {
    Refused(ExprError),
    Failed(ExprError),
}

impl NoValue {
    fn error(&self) -> &ExprError {
        match self {
            NoValue::Refused(error) | NoValue::Failed(error) => error,
        }
    }
}

/// As it is printed, on one line.
impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error().on_one_line())
    }
}

/// The value as JSON, or why there is none; an error when the event or the variables can't be read.
pub fn answer(args: &EvalArgs) -> anyhow::Result<Result<Json, NoValue>> {
    match (&args.event, &args.bindings) {
        (Some(path), _) => over_event(&args.expression, path, &args.how),
        (None, _) if args.how != InputArgs::default() => {
            bail!("--lines, --host and --inventory are of an event: name its file with --event")
        }
        (None, bindings) => Ok(over_variables(&args.expression, &variables(bindings.as_deref().unwrap_or("{}"))?)),
    }
}

pub fn main(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    match answer(args)? {
        Ok(value) => {
            println!("{value}");
            Ok(ExitCode::SUCCESS)
        }
        Err(none) => {
            println!("{none}");
            eprintln!("{}", none.error().excerpt);
            Ok(ExitCode::from(1))
        }
    }
}

fn variables(text: &str) -> anyhow::Result<Bindings> {
    Bindings::parse(text).context("--bindings takes a JSON object, such as '{\"x\": 1}'")
}

fn over_variables(expression: &str, bindings: &Bindings) -> Result<Json, NoValue> {
    let program = Program::compile_over(expression, bindings).map_err(NoValue::Refused)?;
    let value = program.eval_over(bindings, &mut Steps::default()).and_then(|value| value.printed());
    value.map_err(|error| NoValue::Failed(program.failure_over(bindings, &error)))
}

/// The first record of a file.
fn record(path: &Path, how: &InputArgs) -> anyhow::Result<Record> {
    let entries = input::open(path)
        .and_then(|file| Reader::new(how, path).first(file, 1))
        .with_context(|| format!("reading the event from {}", path.display()))?;
    match entries.into_iter().next() {
        Some(Entry { record: Ok(record), .. }) => Ok(record),
        Some(Entry { record: Err(problem), line }) => {
            bail!("{} holds no event: line {line}: {problem}{}", path.display(), input::lines_hint(how, &problem))
        }
        None => bail!("{} holds no event: it is empty", path.display()),
    }
}

/// Evaluates over what rules see of the event: redacted, normalised and joined.
fn over_event(expression: &str, path: &Path, how: &InputArgs) -> anyhow::Result<Result<Json, NoValue>> {
    let inventory = inventory_file::joined(how.inventory.as_deref()).context("reading the inventory")?;
    let record = record(path, how)?;
    let program = match Program::compile(expression, Expected::Any, &Variables::default()) {
        Ok(program) => program,
        Err(error) => return Ok(Err(NoValue::Refused(error))),
    };
    let mut event = normalise::event(&record).context("the redacted event does not read as an event")?;
    enrich(&mut event, &inventory);
    let value = program.eval(&event, &mut Steps::default()).and_then(|value| value.printed());
    Ok(value.map_err(|error| NoValue::Failed(program.failure(&event, &error))))
}
