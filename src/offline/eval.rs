//! `kubewitness eval`: one expression over one audit event or over variables, without a cluster and without rules.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use jiff::Timestamp;

use crate::{
    normalise,
    record::{IdKey, Origin, Provenance},
    redact,
    ruleset::expr::{Bindings, EvalError, Expected, ExprError, Program, Steps, Value, Variables},
};

/// Evaluates one expression of the rule language and prints its value as JSON.
///
/// Exit code 0: the value is printed; 1: `error: …` is printed, since the expression is refused or has no value; 2: the event
/// or the variables can't be read. Doubles that JSON lacks print as "NaN", "Infinity" and "-Infinity", times as RFC 3339,
/// durations as "1.5s", bytes as base64, types as their name, an empty optional as null.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// The expression.
    #[arg(long, value_name = "E", allow_hyphen_values = true)]
    pub expression: String,
    /// A file with one audit event as JSON, read as the API server sends it; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "bindings")]
    pub event: Option<PathBuf>,
    /// A JSON object, each key of it a dynamic variable. Numbers without fraction and exponent are int, others double.
    #[arg(long, value_name = "JSON")]
    pub bindings: Option<String>,
}

/// Longest event that is read: what one event may have in a batch too.
const MAX_EVENT: u64 = 16 << 20;

/// Why there is no value.
#[derive(Debug)]
pub enum NoValue {
    Refused(ExprError),
    Failed(EvalError),
}

/// As it is printed, on one line.
impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoValue::Refused(error) => {
                let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                write!(f, "error: {}:{}: {}{hint}", error.line, error.column, error.message)
            }
            NoValue::Failed(error) => write!(f, "error: {error}"),
        }
    }
}

/// The value, or why there is none; an error when the event or the variables can't be read.
pub fn answer(args: &EvalArgs) -> anyhow::Result<Result<Value, NoValue>> {
    match (&args.event, &args.bindings) {
        (Some(path), _) => over_event(&args.expression, path),
        (None, bindings) => Ok(over_variables(&args.expression, &variables(bindings.as_deref().unwrap_or("{}"))?)),
    }
}

pub fn main(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    match answer(args)? {
        Ok(value) => {
            println!("{}", value.to_json());
            Ok(ExitCode::SUCCESS)
        }
        Err(none) => {
            println!("{none}");
            if let NoValue::Refused(error) = &none {
                eprintln!("{}", error.excerpt);
            }
            Ok(ExitCode::from(1))
        }
    }
}

fn variables(text: &str) -> anyhow::Result<Bindings> {
    Bindings::parse(text).context("--bindings takes a JSON object, such as '{\"x\": 1}'")
}

fn over_variables(expression: &str, bindings: &Bindings) -> Result<Value, NoValue> {
    let program = Program::compile_over(expression, bindings).map_err(NoValue::Refused)?;
    program.eval_over(bindings, &mut Steps::default()).map_err(NoValue::Failed)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut input: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    input.by_ref().take(MAX_EVENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_EVENT {
        bail!("more than {MAX_EVENT} bytes");
    }
    Ok(bytes)
}

/// Evaluates over what rules see of the event: redacted and normalised.
fn over_event(expression: &str, path: &Path) -> anyhow::Result<Result<Value, NoValue>> {
    let bytes = read(path).with_context(|| format!("reading the event from {}", path.display()))?;
    let program = match Program::compile(expression, Expected::Any, &Variables::default()) {
        Ok(program) => program,
        Err(error) => return Ok(Err(NoValue::Refused(error))),
    };
    let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
    if let Err(redact::Rejected(quarantined)) = &outcome {
        bail!("{} holds no audit event: {}", path.display(), quarantined.error);
    }
    let origin = Origin { cluster: "eval".into(), reporter: "eval".into(), provenance: Provenance::AuditLog };
    let mut record = redact::record(outcome, &bytes, &origin, Timestamp::UNIX_EPOCH, &IdKey::OFFLINE);
    record.received_at = super::input::happened(&record);
    let event = normalise::event(&record).context("the redacted event does not read as an audit event")?;
    Ok(program.eval(&event, &mut Steps::default()).map_err(NoValue::Failed))
}
