//! `kubewitness normalise`: what rules see of recorded events and lines, as one ECS-shaped document a record.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::{
    hint::Hint,
    input::{self, Entry, InputArgs, Reader},
    inventory_file,
    replay::Progress,
};
use crate::{
    enrich::{Inventory, enrich},
    event::{
        Event, Text,
        schema::{FIELDS, FieldValue},
    },
    normalise::{self, line::is_parsed},
    record::Record,
};

/// Prints what rules see of recorded events and log lines: redacted, normalised, joined.
///
/// The input is as for `replay`: JSON lines of an audit log, EventLists, envelopes; with --lines one log file. Each record
/// becomes one JSON document with nested ECS (Elastic Common Schema) fields, unset ones left out, `record`, the number of the
/// line that it begins on, and `parsed`, false when no format recognised the text (it is an event all the same) or when it
/// could not be read at all (then `error.message` says why).
///
/// Example: kubewitness normalise --lines node --host node-1 /var/log/auth.log
#[derive(Debug, clap::Args)]
pub struct NormaliseArgs {
    /// jsonl: one document a line.
    #[arg(long, default_value = "jsonl", value_name = "FORMAT")]
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
}

pub fn main(args: &NormaliseArgs) -> anyhow::Result<ExitCode> {
    let inventory = inventory_file::joined(args.how.inventory.as_deref()).context("reading the inventory")?;
    let name = input::shown(&args.input);
    let file = input::open(&args.input).with_context(|| format!("opening {name}"))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut written, mut records, mut progress) = (Ok(()), 0, Progress::new());
    let mut hint = Hint::new(args.how.lines);
    Reader::new(&args.how, &args.input)
        .read(file, |entry| {
            entry.record.iter().for_each(|record| hint.look(record));
            written = write(&document(&entry, &inventory), &mut out);
            records += 1;
            progress.show(records);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .with_context(|| format!("reading {name}"))?;
    progress.clear();
    hint.tell();
    input::ended(written.and_then(|()| out.flush())).context("writing the documents")
}

fn write(document: &Value, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, document)?;
    out.write_all(b"\n")
}

fn document(entry: &Entry, inventory: &Inventory) -> Value {
    let unread = |problem: &str| json!({"record": entry.line, "parsed": false, "error": {"message": problem}});
    match &entry.record {
        Err(problem) => unread(problem),
        Ok(record) => of_record(entry.line, record, inventory).unwrap_or_else(|| unread("the record holds no event")),
    }
}

fn of_record(number: u64, record: &Record, inventory: &Inventory) -> Option<Value> {
    let mut event = normalise::event(record)?;
    enrich(&mut event, inventory);
    let mut fields = of_event(&event);
    fields.insert("@timestamp".into(), json!(event.created));
    fields.insert("record".into(), json!(number));
    fields.insert("parsed".into(), json!(is_parsed(&event)));
    Some(Value::Object(fields))
}

/// The schema's fields of an event that are set, nested by the dots in their names.
fn of_event(event: &Event<'_>) -> Map<String, Value> {
    let mut document = Map::new();
    for field in FIELDS {
        if let Some(value) = json_value((field.get)(event)) {
            insert(&mut document, field.path, value);
        }
    }
    document
}

fn insert(document: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(document.insert(path.to_owned(), value)),
        Some((head, rest)) => {
            let inner = document.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn texts(list: &[Text<'_>]) -> Value {
    list.iter().map(|text| Value::from(text.as_str())).collect()
}

/// None for what is unset.
fn json_value(value: FieldValue<'_>) -> Option<Value> {
    let value = match value {
        FieldValue::Str(text) => Value::from(text),
        FieldValue::Int(0) | FieldValue::Bool(false) | FieldValue::NoTimestamp => return None,
        FieldValue::Int(number) => number.into(),
        FieldValue::Bool(truth) => truth.into(),
        FieldValue::Timestamp(at) => json!(at),
        FieldValue::Strings(list) => texts(list),
        FieldValue::OwnedStrings(list) => list.into(),
        FieldValue::StaticStrings(list) => list.into(),
        FieldValue::StringMap(map) => json!(map),
        FieldValue::StringPairs(pairs) => pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        FieldValue::StringsPairs(pairs) => pairs.iter().map(|(key, list)| (key.as_str(), texts(list))).collect(),
        FieldValue::Json(fields) => fields?.clone(),
        FieldValue::Body(body) => body?.to_value(),
    };
    let is_empty = match &value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
    };
    (!is_empty).then_some(value)
}
