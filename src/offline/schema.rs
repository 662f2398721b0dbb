//! What the API server would refuse of a rule by its schema: kinds, ranges, lengths, unknown fields. In: the `spec` of a rule as
//! written. Out: each problem with the path of its field. Reading YAML into our types alone would be more lenient than that: a
//! quoted number reads as a number there. The schema's CEL conditions are left to the compiler, which checks the same.

use std::{collections::HashSet, sync::LazyLock};

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::{
    api::{ClusterSecurityRule, SecurityRule, alert::RuleKind},
    ruleset::expr::nearest,
};

/// Most problems of one rule that are told.
const MAX_PROBLEMS: usize = 10;

/// The schema of `spec` in a custom resource.
fn spec_schema<K: CustomResourceExt>() -> Value {
    let mut resource = serde_json::to_value(K::crd()).unwrap_or_default();
    resource.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").map(Value::take).unwrap_or_default()
}

static CLUSTER: LazyLock<Value> = LazyLock::new(spec_schema::<ClusterSecurityRule>);
static TENANT: LazyLock<Value> = LazyLock::new(spec_schema::<SecurityRule>);

/// What is wrong with `spec`, at most `MAX_PROBLEMS`; empty when the schema takes it.
pub fn problems(kind: RuleKind, spec: &Value) -> Vec<String> {
    let schema = match kind {
        RuleKind::ClusterSecurityRule => &*CLUSTER,
        RuleKind::SecurityRule => &*TENANT,
    };
    let mut found = Found(Vec::new());
    found.value("spec", spec, schema);
    found.0.truncate(MAX_PROBLEMS);
    found.0
}

struct Found(Vec<String>);

impl Found {
    fn add(&mut self, path: &str, problem: impl std::fmt::Display) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(format!("{path}: {problem}"));
        }
    }

    fn value(&mut self, path: &str, value: &Value, schema: &Value) {
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        if value.is_null() && schema.get("nullable").and_then(Value::as_bool) == Some(true) {
            return;
        }
        if !is_of(value, wanted) {
            let hint = match value {
                Value::String(text) if matches!(wanted, "integer" | "number") && text.parse::<f64>().is_ok() => {
                    "; write it without quotes"
                }
                Value::String(text) if wanted == "boolean" && text.parse::<bool>().is_ok() => {
                    "; write it without quotes"
                }
                Value::Number(_) | Value::Bool(_) if wanted == "string" => "; write it in quotes",
                _ => "",
            };
            return self.add(path, format!("must be of type {wanted}, not {}{hint}", described(value)));
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.contains(value)
        {
            let allowed: Vec<String> = allowed.iter().map(|value| value.to_string()).collect();
            self.add(path, format!("is {value}, and must be one of {}", allowed.join(", ")));
        }
        match value {
            Value::Object(fields) => self.object(path, fields, schema),
            Value::Array(items) => self.list(path, items, schema),
            Value::String(text) => self.text(path, text, schema),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                self.range(path, number, "is", (schema.get("minimum"), schema.get("maximum")));
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn range(&mut self, path: &str, found: f64, verb: &str, (least, most): (Option<&Value>, Option<&Value>)) {
        if let Some(least) = least.and_then(Value::as_f64).filter(|least| found < *least) {
            self.add(path, format!("{verb} {found}, and must be at least {least}"));
        }
        if let Some(most) = most.and_then(Value::as_f64).filter(|most| found > *most) {
            self.add(path, format!("{verb} {found}, and must be at most {most}"));
        }
    }

    fn text(&mut self, path: &str, text: &str, schema: &Value) {
        let bounds = (schema.get("minLength"), schema.get("maxLength"));
        self.range(path, text.chars().count() as f64, "has a length of", bounds);
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
        {
            self.add(path, format!("is {:?}, and must match {pattern}", shortened(text)));
        }
    }

    fn list(&mut self, path: &str, items: &[Value], schema: &Value) {
        let bounds = (schema.get("minItems"), schema.get("maxItems"));
        self.range(path, items.len() as f64, "has a length of", bounds);
        let keys: Vec<&str> = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let is_set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let identity: Vec<Option<&Value>> =
                if is_set { vec![Some(item)] } else { keys.iter().map(|key| item.get(*key)).collect() };
            if !identity.is_empty() && !seen.insert(format!("{identity:?}")) {
                self.add(&path, "is there twice");
            }
            if let Some(schema) = schema.get("items") {
                self.value(&path, item, schema);
            }
        }
    }

    fn object(&mut self, path: &str, fields: &Map<String, Value>, schema: &Value) {
        let most = schema.get("maxProperties");
        self.range(path, fields.len() as f64, "has a size of", (None, most));
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.add(&format!("{path}.{name}"), "must be there");
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let takes_all = schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(true);
        for (name, value) in fields {
            let inner = format!("{path}.{name}");
            match known.and_then(|known| known.get(name)).or(others) {
                Some(schema) => self.value(&inner, value, schema),
                None if takes_all => {}
                None => self.unknown(&inner, name, known),
            }
        }
    }

    fn unknown(&mut self, path: &str, name: &str, known: Option<&Map<String, Value>>) {
        let known: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let meant = nearest(name, known.iter().copied()).map(|meant| format!("; did you mean {meant:?}?"));
        self.add(
            path,
            format!("there is no field {name:?}{}; there are {}", meant.unwrap_or_default(), known.join(", ")),
        );
    }
}

fn is_of(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(truth) => format!("{truth}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {:?}", shortened(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
