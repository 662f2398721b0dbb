use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::{
    event::schema::{FIELDS, FieldValue},
    record::{IdKey, Payload, Provenance},
};

pub fn mk_line(source: Source, text: &str) -> Line {
    Line { source, file: "/var/log/x.log".into(), format: LineFormat::Auto, zone: None, text: text.into() }
}

pub fn mk_record(line: Line) -> Record {
    let origin = Origin { cluster: "c".into(), reporter: "n1".into(), provenance: Provenance::File };
    let id = RecordId::of_line(&IdKey::OFFLINE, &origin, &line, None, 0);
    let received_at = "2026-11-25T02:10:00Z".parse().unwrap();
    Record { id, received_at, origin: Some(origin), facts: RedactionFacts::default(), payload: Payload::Line(line) }
}

/// What is set, by the paths of the schema, without what every line has.
pub fn set_fields(event: &Event<'_>) -> BTreeMap<String, String> {
    let mut set = BTreeMap::new();
    for field in FIELDS {
        let value = match (field.get)(event) {
            FieldValue::Str(text) => text.to_owned(),
            FieldValue::Int(0) | FieldValue::Bool(false) | FieldValue::Timestamp(_) | FieldValue::NoTimestamp => {
                continue;
            }
            FieldValue::Int(n) => n.to_string(),
            FieldValue::Bool(b) => b.to_string(),
            FieldValue::StaticStrings(list) => list.join(","),
            FieldValue::Json(Some(Value::Object(map))) => {
                for (key, value) in map {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    set.insert(format!("fields.{key}"), text);
                }
                continue;
            }
            _ => continue,
        };
        let common = ["cluster.name", "event.kind", "event.provenance", "host.name", "log.file.path", "message"];
        if !value.is_empty() && !common.contains(&field.path) {
            set.insert(field.path.to_owned(), value);
        }
    }
    set
}

/// Asserts exactly these fields of each line.
pub fn check(source: Source, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let record = mk_record(mk_line(source, text));
        let event = crate::normalise::event(&record).unwrap();
        let found: Vec<_> = set_fields(&event).iter().map(|(path, value)| format!("{path}={value}")).collect();
        let found = found.join(" | ");
        if found != *expected {
            wrong.push(format!("{text}\n  found    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
