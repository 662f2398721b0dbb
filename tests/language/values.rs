//! Values with their types, as the oracle writes and reads them: `{"int": "1"}`, `{"double": BITS}`, `{"list": […]}`.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use kubewitness::ruleset::expr::{Map, Text, Val, Value};
use serde_json::json;

pub fn tag(value: &Val<'_>) -> serde_json::Value {
    match value {
        Val::Null => json!({"null": true}),
        Val::Bool(b) => json!({"bool": b}),
        Val::Int(i) => json!({"int": i.to_string()}),
        Val::Uint(u) => json!({"uint": u.to_string()}),
        Val::Double(d) if d.is_nan() => json!({"double": "NaN"}),
        Val::Double(d) if d.is_infinite() => json!({"double": if *d > 0.0 { "Infinity" } else { "-Infinity" }}),
        Val::Double(d) => json!({"double": format!("{:x}", d.to_bits())}),
        Val::Str(text) => json!({"string": text.as_str()}),
        Val::Bytes(bytes) => json!({"bytes": STANDARD.encode(bytes)}),
        Val::Timestamp(t) => json!({"timestamp": t.to_string()}),
        Val::Duration(d) => json!({"duration": d.as_nanos().to_string()}),
        Val::List(list) => json!({"list": list.iter().map(|v| tag(&v)).collect::<Vec<_>>()}),
        Val::Map(map) => {
            let entries = map.entries();
            json!({"map": entries.iter().map(|(k, v)| json!([tag(k), tag(v)])).collect::<Vec<_>>()})
        }
        Val::Optional(None) => json!({"optional": null}),
        Val::Optional(Some(inner)) => json!({"optional": tag(inner)}),
        Val::Type(name) => json!({"type": name}),
        Val::Url(url) => json!({value.type_name(): url.to_string()}),
        Val::Ip(_) | Val::Cidr(_) => json!({value.type_name(): value.to_string()}),
    }
}

pub fn untag(tagged: &serde_json::Value) -> Value {
    let (kind, inner) = tagged.as_object().and_then(|o| o.iter().next()).expect("a tagged value");
    let text = inner.as_str().unwrap_or_default();
    let list = |inner: &serde_json::Value| inner.as_array().cloned().unwrap_or_default();
    match kind.as_str() {
        "null" => Val::Null,
        "bool" => Val::Bool(inner.as_bool().unwrap()),
        "int" => Val::Int(text.parse().unwrap()),
        "uint" => Val::Uint(text.parse().unwrap()),
        "double" => Val::Double(match text {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            bits => f64::from_bits(u64::from_str_radix(bits, 16).unwrap()),
        }),
        "string" => Val::Str(Text::Shared(text.into())),
        "bytes" => Val::Bytes(Arc::from(STANDARD.decode(text).unwrap())),
        "timestamp" => Val::Timestamp(text.parse::<Timestamp>().unwrap()),
        "duration" => Val::Duration(SignedDuration::from_nanos(text.parse().unwrap())),
        "list" => Val::list(list(inner).iter().map(untag).collect()),
        "map" => Val::Map(Map::Shared(list(inner).iter().map(|entry| (untag(&entry[0]), untag(&entry[1]))).collect())),
        other => panic!("no value of type {other}"),
    }
}

/// The same value with the entries of each map in one order, so that equal maps are written alike.
pub fn sorted(tagged: &serde_json::Value) -> serde_json::Value {
    match tagged {
        serde_json::Value::Object(members) => {
            let one = |(kind, inner): (&String, &serde_json::Value)| {
                let mut inner = sorted(inner);
                if kind == "map"
                    && let Some(entries) = inner.as_array_mut()
                {
                    entries.sort_by_key(ToString::to_string);
                }
                (kind.clone(), inner)
            };
            serde_json::Value::Object(members.iter().map(one).collect())
        }
        serde_json::Value::Array(elements) => elements.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
