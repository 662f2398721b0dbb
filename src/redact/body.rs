//! Secret values within request and response bodies. In: a decoded body and what the request acts on. Out: the same
//! body with secret values hidden; its structure stays, so that rules can read what was asked for.

use serde_json::{Map, Value};

use super::{
    command::{after_short_flags, is_secret_flag},
    ledger::Ledger,
    names,
    pattern::{REDACTED, refused},
};

/// kubectl keeps a copy of the whole object here, Secret data included.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// So does Rancher, compressed.
pub const OBJECT_SET: &str = "objectset.rio.cattle.io/applied";

/// Hides what a body of a request on Secrets or ConfigMaps (`secret`, `config_map`) or on anything else holds.
pub fn body(value: &mut Value, resource: Resource, ledger: &mut Ledger) {
    match (resource, value) {
        (Resource::Other, Value::Array(ops)) => json_patch(ops, ledger),
        (Resource::Other, other) => walk(other, ledger),
        (sensitive, Value::Object(map)) => secret_object(map, sensitive, ledger),
        (_, Value::Array(ops)) => {
            for (index, op) in ops.iter_mut().enumerate() {
                ledger.at_index(index, |l| secret_patch_op(op, l));
            }
        }
        (_, other) => ledger.hide(other),
    }
}

/// What the request acts on, as far as redaction cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Secret,
    ConfigMap,
    Other,
}

impl Resource {
    /// Of the core group, by its name in the API.
    pub fn of_name(name: &str) -> Resource {
        match name {
            "secrets" => Resource::Secret,
            "configmaps" => Resource::ConfigMap,
            _ => Resource::Other,
        }
    }

    pub fn of_kind(kind: &str) -> Resource {
        match kind.strip_suffix("List").unwrap_or(kind) {
            k if k.eq_ignore_ascii_case("Secret") => Resource::Secret,
            k if k.eq_ignore_ascii_case("ConfigMap") => Resource::ConfigMap,
            _ => Resource::Other,
        }
    }
}

pub fn is_contents(key: &str) -> bool {
    matches!(key, "data" | "stringData" | "binaryData")
}

/// What is known to be no contents of a Secret or ConfigMap, of a list of them, of a status or of delete options.
pub fn is_harmless(key: &str) -> bool {
    matches!(
        key,
        "apiVersion"
            | "kind"
            | "type"
            | "immutable"
            | "status"
            | "message"
            | "reason"
            | "details"
            | "code"
            | "columnDefinitions"
            | "cells"
            | "gracePeriodSeconds"
            | "preconditions"
            | "propagationPolicy"
            | "orphanDependents"
            | "dryRun"
            | "fieldManager"
            | "fieldValidation"
            | "force"
    )
}

/// A Secret or ConfigMap, a list or table of them, a status or delete options: what is known to be no contents stays.
fn secret_object(map: &mut Map<String, Value>, resource: Resource, ledger: &mut Ledger) {
    hide_secret_keys(map, ledger);
    for (key, value) in map.iter_mut() {
        ledger.at_key(key, |l| match (key.as_str(), value) {
            (key, value) if is_contents(key) => l.hide_values(value),
            ("items" | "rows", Value::Array(items)) => secret_objects(items, resource, l),
            // A row of a table.
            ("object", Value::Object(object)) => secret_object(object, resource, l),
            ("metadata", value) => metadata(value, resource, l),
            (key, value) if is_harmless(key) => walk(value, l),
            (_, value) => l.hide(value),
        });
    }
}

fn secret_objects(items: &mut [Value], resource: Resource, ledger: &mut Ledger) {
    for (index, item) in items.iter_mut().enumerate() {
        ledger.at_index(index, |l| match item {
            Value::Object(item) => secret_object(item, resource, l),
            other => l.hide(other),
        });
    }
}

fn metadata(value: &mut Value, resource: Resource, ledger: &mut Ledger) {
    if resource == Resource::Secret
        && let Some(annotations) = value.get_mut("annotations")
    {
        ledger.at_key("annotations", |l| l.hide_values(annotations));
    }
    walk(value, ledger);
}

fn secret_patch_op(op: &mut Value, ledger: &mut Ledger) {
    let Value::Object(op) = op else { return ledger.hide(op) };
    hide_secret_keys(op, ledger);
    for (key, value) in op.iter_mut() {
        ledger.at_key(key, |l| match key.as_str() {
            "op" | "path" | "from" => walk(value, l),
            _ => l.hide(value),
        });
    }
}

/// A JSON patch says by its path what its value is.
fn json_patch(ops: &mut [Value], ledger: &mut Ledger) {
    for (index, op) in ops.iter_mut().enumerate() {
        ledger.at_index(index, |l| {
            let pointer = op.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
            let segments: Vec<String> =
                pointer.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
            if let Some(value) = op.get_mut("value") {
                l.at_key("value", |l| patched(value, &segments, l));
            }
            walk(op, l);
        });
    }
}

fn patched(value: &mut Value, segments: &[String], ledger: &mut Ledger) {
    let is_position = |s: &String| s == "-" || s.bytes().all(|b| b.is_ascii_digit());
    if let Some(at) = segments.iter().position(|s| names::is_environment(s)) {
        match segments.get(at + 1..).unwrap_or_default() {
            [] => environment(value, ledger),
            [position] if is_position(position) => environment_entry(value, ledger),
            [.., last] if last != "name" && value.is_string() => ledger.hide(value),
            _ => {}
        }
    }
    let mut names = segments.iter().rev().filter(|s| !is_position(s));
    let Some(name) = names.next() else { return };
    let within = names.next().map_or("", String::as_str);
    if name == "stringData" || (name == "data" && within == "template") {
        return ledger.hide_values(value);
    }
    let in_template = segments.windows(2).any(|pair| matches!(pair, [a, b] if a == "template" && b == "data"));
    let under_secret = names::is_content(name) && names::is_secret(within) && value.is_string();
    if in_template || under_secret || segments.iter().any(|s| s == "stringData") {
        return ledger.hide(value);
    }
    field(name, value, ledger);
}

/// Hides secrets anywhere below `value`, whatever it is.
pub fn walk(value: &mut Value, ledger: &mut Ledger) {
    match value {
        Value::Object(map) => object(map, ledger),
        Value::Array(items) => array(items, ledger),
        Value::String(text) => ledger.text(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn object(map: &mut Map<String, Value>, ledger: &mut Ledger) {
    hide_secret_keys(map, ledger);
    let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default();
    let (resource, is_list) = (Resource::of_kind(kind), kind.ends_with("List"));
    let named_secret =
        ["name", "key"].iter().any(|k| map.get(*k).and_then(Value::as_str).is_some_and(names::is_secret));
    let about_secret = map.get("field").and_then(Value::as_str).is_some_and(is_secret_path);
    for (key, value) in map.iter_mut() {
        ledger.at_key(key, |l| match (key.as_str(), value) {
            ("value" | "default", value @ (Value::String(_) | Value::Number(_))) if named_secret => l.hide(value),
            // A cause in the details of a Status: a validator quotes the value that it refuses.
            ("message", value @ Value::String(_)) if about_secret => l.hide(value),
            (key, value) if resource != Resource::Other && is_contents(key) => l.hide_values(value),
            ("metadata", value) if resource != Resource::Other && !is_list => metadata(value, resource, l),
            // Items of a typed list carry no kind of their own.
            ("items", Value::Array(items)) if resource != Resource::Other && is_list => {
                secret_objects(items, resource, l)
            }
            (key, value) => field(key, value, l),
        });
    }
}

/// True for the path of a field (`spec.db[0].apiToken`, `data[password]`) when any part of it names a secret.
pub fn is_secret_path(path: &str) -> bool {
    path.split(['.', '[', ']']).any(names::is_secret)
}

/// Hides what a Status of a request on Secrets or ConfigMaps quotes from them: in its message and in its causes'.
pub fn refusals(status: &mut Value, ledger: &mut Ledger) {
    let quoting = |message: &mut Value, ledger: &mut Ledger| {
        if let Some(hidden) = message.as_str().and_then(refused) {
            *message = Value::from(hidden);
            ledger.note_secret_like(1);
        }
    };
    if let Some(message) = status.get_mut("message") {
        ledger.at_key("message", |l| quoting(message, l));
    }
    let causes = status.get_mut("details").and_then(|d| d.get_mut("causes")).and_then(Value::as_array_mut);
    for message in causes.into_iter().flatten().filter_map(|cause| cause.get_mut("message")) {
        ledger.at_key("details", |l| quoting(message, l));
    }
}

/// A value under its name.
fn field(key: &str, value: &mut Value, ledger: &mut Ledger) {
    if key == LAST_APPLIED || key == OBJECT_SET {
        return ledger.hide(value);
    }
    if names::is_environment(key) {
        environment(value, ledger);
    }
    if key == "stringData" {
        return ledger.hide_values(value);
    }
    if let Value::Object(map) = value {
        // A template of a Secret often tells no kind; templates of pods and the like hold no `data`.
        if let Some(contents) = map.get_mut("data").filter(|_| key == "template") {
            ledger.at_key("data", |l| l.hide_values(contents));
        }
        if names::is_secret(key) {
            for (name, leaf) in map.iter_mut().filter(|(name, leaf)| names::is_content(name) && leaf.is_string()) {
                ledger.at_key(name, |l| l.hide(leaf));
            }
        }
    }
    match value {
        // A switch that is named after secrets, such as `kubernetes.io/enforce-mountable-secrets`.
        Value::String(text) if matches!(text.as_str(), "true" | "false") => {}
        Value::String(text) if names::is_secret(key) || (names::is_key(key) && names::is_key_material(text)) => {
            ledger.hide(value);
        }
        Value::Number(_) if names::is_secret(key) && names::is_password(key) => ledger.hide(value),
        Value::Array(items) if names::is_secret(key) => {
            for (index, item) in items.iter_mut().enumerate() {
                ledger.at_index(index, |l| if item.is_string() { l.hide(item) } else { walk(item, l) });
            }
        }
        other => walk(other, ledger),
    }
}

/// `env: [{name, value}]`, or `env: {NAME: value}`.
fn environment(value: &mut Value, ledger: &mut Ledger) {
    match value {
        Value::Array(entries) => {
            for (index, entry) in entries.iter_mut().enumerate() {
                ledger.at_index(index, |l| environment_entry(entry, l));
            }
        }
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                ledger.at_key(key, |l| match value {
                    Value::String(_) | Value::Number(_) => l.hide(value),
                    Value::Object(_) => environment_entry(value, l),
                    Value::Null | Value::Bool(_) | Value::Array(_) => {}
                });
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn environment_entry(entry: &mut Value, ledger: &mut Ledger) {
    if let Some(value) = entry.get_mut("value") {
        ledger.at_key("value", |l| l.hide(value));
    } else if entry.as_str().is_some_and(|text| text.contains('=')) {
        ledger.hide(entry);
    }
}

/// In a list of arguments, `--password` makes the next one a secret, and so does `-p` after `sshpass`.
fn array(items: &mut [Value], ledger: &mut Ledger) {
    let arguments: Vec<&str> = items.iter().map(|item| item.as_str().unwrap_or_default()).collect();
    let short = after_short_flags(&arguments);
    let mut after_flag = false;
    for (index, item) in items.iter_mut().enumerate() {
        let is_flag = item.as_str().is_some_and(is_secret_flag);
        let is_value = item.as_str().is_some_and(|text| !text.starts_with("--"));
        let is_secret = after_flag && is_value || short.contains(&index);
        ledger.at_index(index, |l| if is_secret { l.hide(item) } else { walk(item, l) });
        after_flag = is_flag;
    }
}

/// Keys can be secrets too (a map keyed by token). Two that become one keep the last value.
fn hide_secret_keys(map: &mut Map<String, Value>, ledger: &mut Ledger) {
    if !map.keys().any(|key| super::pattern::redact(key).1 > 0) {
        return;
    }
    let fields = std::mem::take(map);
    for (mut key, value) in fields {
        ledger.at_key(REDACTED, |l| l.text(&mut key));
        map.insert(key, value);
    }
}
