//! Which fields an audit event has: for authors of rule tests, whose misspelt field would else make a test pass for nothing.

use serde_json::{Map, Value};

use super::shape::{FIELDS, Shape};

/// Fields that are not in the table of shapes: bodies, and what is not ours to judge.
const OTHERS: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "requestObject",
    "responseObject",
    "authenticationMetadata",
    "details",
    "timestamp",
];

/// The path of a field that no audit event has, in `event` or one level below.
pub fn unknown_field(event: &Map<String, Value>) -> Option<String> {
    unknown(event, FIELDS)
}

fn unknown(fields: &Map<String, Value>, known: &[(&str, Shape)]) -> Option<String> {
    fields.iter().find_map(|(name, value)| {
        if OTHERS.contains(&name.as_str()) {
            return None;
        }
        match known.iter().find(|(known, _)| known == name) {
            None => Some(name.clone()),
            Some((_, Shape::Object(inner))) => value
                .as_object()
                .and_then(|value| unknown(value, inner.fields()))
                .map(|below| format!("{name}.{below}")),
            Some(_) => None,
        }
    })
}
