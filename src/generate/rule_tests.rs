//! The reference page of the tests that rules carry. In: the schema of `spec.tests`. Out: Markdown, a table for each object in it.

use std::fmt::Write as _;

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::{
    api::ClusterSecurityRule,
    pipeline::trial::{MAX_BYTES, MAX_INPUTS, MAX_STEPS},
};

const NEVER_FAILS: &str = "writing to a String does not fail";

/// What a duration is.
pub(super) const DURATIONS: &str = "A duration is one or more whole numbers with the units `d`, `h`, `m`, `s` and `ms`, such as \
                                    `1h30m` or `1500ms`, and at most 366 days.";

const EXAMPLE: &str = include_str!("rule_tests.yaml");

/// The whole page, without the header of generated files.
pub fn page() -> String {
    let mut text = format!(
        "# Tests of rules\n\n`spec.tests` of a rule are run by [`kubewitness test`](flags.md), in CI, and by the controller before a \
         generation of the rule goes live: one that fails leaves the last good generation at work, and the rule's status says \
         `Ready=False, TestsFailed` with the first difference. All of them call one function, so they can't disagree. \
         [The tutorial](../tutorial.md) writes some.\n\nInputs pass through the whole pipeline: redaction, normalising, joins, \
         detection, alerts. A test begins at 2026-01-01T00:00:00Z; its offsets count from there. Stamps within a log line are not \
         looked at, so that recorded lines can be used as they are. What a partial audit event leaves out is filled in: \
         `auditID`, `level` (by its bodies), `stage` (the one at which rules see such a request), `verb` (get), both stamps, \
         `sourceIPs` (192.0.2.1), `responseStatus` (200, or 201 for create), and in a SecurityRule the namespace of `objectRef`. What is \
         `received` late is taken as a live controller takes it: a window keeps for `within` and five minutes what is joined, and \
         what comes later may find it gone; for a rule that waits (Absence, NewValue) an input that comes over five minutes behind \
         those of its source is refused.\n\n\
         All tests of a rule together may expand to {MAX_INPUTS} inputs and {} MiB by `repeat`, and evaluating them may take \
         {MAX_STEPS} steps, which depend on nothing but the rule. Fields and limits are refused by `kubewitness test` as the API \
         server refuses them: a quoted number is no number. \
         {DURATIONS}\n\n```yaml\n{EXAMPLE}```\n",
        MAX_BYTES >> 20
    );
    let resource = serde_json::to_value(ClusterSecurityRule::crd()).unwrap_or_default();
    let tests = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tests/items";
    if let Some(test) = resource.pointer(tests) {
        section("spec.tests[]", test, &mut text);
    }
    text
}

/// A table of the object's fields, and then one for each object below it.
pub(super) fn section(path: &str, schema: &Value, text: &mut String) {
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return };
    write!(text, "\n## {path}\n\n| field | holds | meaning |\n|---|---|---|\n").expect(NEVER_FAILS);
    let required: Vec<&str> = strings(schema.get("required"));
    for (name, field) in fields {
        let needed = if required.contains(&name.as_str()) { ", required" } else { "" };
        let meaning = field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        writeln!(text, "| `{name}` | {}{}{needed} | {} |", holds(field), default(field), meaning.replace('|', "\\|"))
            .expect(NEVER_FAILS);
    }
    for (name, field) in fields {
        section(&format!("{path}.{name}"), field, text);
        if let Some(items) = field.get("items") {
            section(&format!("{path}.{name}[]"), items, text);
        }
    }
}

/// Type and bounds.
fn holds(schema: &Value) -> String {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("any");
    let number = |name: &str| schema.get(name).and_then(Value::as_f64);
    let bounds = |least: Option<f64>, most: Option<f64>, of: &str| match (least, most) {
        (Some(least), Some(most)) => format!(", {least} to {most}{of}"),
        (None, Some(most)) => format!(", at most {most}{of}"),
        (Some(least), None) => format!(", at least {least}{of}"),
        (None, None) => String::new(),
    };
    let values = strings(schema.get("enum"));
    match kind {
        "string" if !values.is_empty() => values.join(", "),
        "string" if is_duration(schema) => "duration, such as `90s`, `1h30m` or `7d`".to_owned(),
        "string" => format!("text{}", bounds(number("minLength"), number("maxLength"), " characters")),
        "integer" => format!("number{}", bounds(number("minimum"), number("maximum"), "")),
        "boolean" => "true or false".to_owned(),
        "array" => {
            let of = schema.get("items").map(holds).unwrap_or_default();
            format!("list{} of {of}", bounds(number("minItems"), number("maxItems"), ""))
        }
        "object" => match schema.get("additionalProperties").and_then(Value::as_object).map(Map::len) {
            Some(_) => format!("texts by name{}", bounds(None, number("maxProperties"), "")),
            None => "object".to_owned(),
        },
        other => other.to_owned(),
    }
}

fn is_duration(schema: &Value) -> bool {
    schema.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.contains("ms|s|m|h|d"))
}

/// What a field is when it is left out, where that is one value.
fn default(schema: &Value) -> String {
    let value = schema.get("default").filter(|value| !value.is_object() && !value.is_array());
    value
        .map(|value| format!(", default {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .unwrap_or_default()
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
