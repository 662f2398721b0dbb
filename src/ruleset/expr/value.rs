//! Values of expressions: CEL's, borrowing from the event and the program where they can, and turned into owned ones when
//! they leave. JSON bodies are converted as they are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::{budget::Steps, error::EvalError, print, url::Url};
use crate::event::{
    self,
    json::{Json, Node},
    schema::FieldValue,
};

/// A value that owns all it holds.
pub type Value = Val<'static>;

/// A value that may borrow from an event or a program. Clones are cheap.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Str(Text<'a>),
    Bytes(Arc<[u8]>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    List(List<'a>),
    Map(Map<'a>),
    Optional(Option<Arc<Val<'a>>>),
    /// A type, by its name.
    Type(&'static str),
    Ip(IpAddr),
    Cidr(IpNet),
    Url(Arc<Url>),
}

/// A string.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<&str> for Text<'_> {
    fn from(text: &str) -> Self {
        Text::Shared(text.into())
    }
}

/// A list in whichever form it came.
#[derive(Clone, Debug)]
pub enum List<'a> {
    Texts(&'a [event::Text<'a>]),
    Strings(&'a [String]),
    StaticStrings(&'a [&'static str]),
    Json(&'a [serde_json::Value]),
    /// One that is a list.
    Body(Json<'a>),
    Shared(Arc<[Val<'a>]>),
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Texts(l) => l.len(),
            List::Strings(l) => l.len(),
            List::StaticStrings(l) => l.len(),
            List::Json(l) => l.len(),
            List::Body(l) => l.len(),
            List::Shared(l) => l.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            List::Texts(l) => l.get(index).map(|s| Val::text(s)),
            List::Strings(l) => l.get(index).map(|s| Val::text(s)),
            List::StaticStrings(l) => l.get(index).map(|s| Val::text(s)),
            List::Json(l) => l.get(index).map(Val::json),
            List::Body(l) => l.at(index).map(Val::body),
            List::Shared(l) => l.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}

/// A map in whichever form it came. Keys of `Shared` are distinct.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    Strings(&'a BTreeMap<String, String>),
    Pairs(&'a [(event::Text<'a>, event::Text<'a>)]),
    Lists(&'a [(event::Text<'a>, Vec<event::Text<'a>>)]),
    Json(&'a serde_json::Map<String, serde_json::Value>),
    /// One that is an object.
    Body(Json<'a>),
    Shared(Arc<[(Val<'a>, Val<'a>)]>),
}

impl<'a> Map<'a> {
    pub fn len(&self) -> usize {
        match self {
            Map::Strings(m) => m.len(),
            Map::Pairs(m) => m.len(),
            Map::Lists(m) => m.len(),
            Map::Json(m) => m.len(),
            Map::Body(m) => m.len(),
            Map::Shared(m) => m.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a string key.
    pub fn get(&self, key: &str) -> Option<Val<'a>> {
        match self {
            Map::Strings(m) => m.get(key).map(|s| Val::text(s)),
            Map::Pairs(m) => m.iter().find(|(k, _)| k.as_str() == key).map(|(_, v)| Val::text(v)),
            Map::Lists(m) => m.iter().find(|(k, _)| k.as_str() == key).map(|(_, l)| Val::List(List::Texts(l))),
            Map::Json(m) => m.get(key).map(Val::json),
            Map::Body(m) => m.get(key).map(Val::body),
            Map::Shared(m) => {
                m.iter().find(|(k, _)| matches!(k, Val::Str(t) if t.as_str() == key)).map(|(_, v)| v.clone())
            }
        }
    }

    /// The value at a key of any type: numbers are equal across types.
    pub fn find(&self, key: &Val<'_>, steps: &mut Steps) -> Result<Option<Val<'a>>, EvalError> {
        match (self, key) {
            (_, Val::Str(text)) => {
                if let Map::Shared(entries) = self {
                    steps.charge(entries.len() as u64)?;
                }
                Ok(self.get(text.as_str()))
            }
            (Map::Shared(entries), _) => {
                for (k, v) in entries.iter() {
                    if k.equals(key, steps)? {
                        return Ok(Some(v.clone()));
                    }
                }
                Ok(None)
            }
            (Map::Strings(_) | Map::Pairs(_) | Map::Lists(_) | Map::Json(_) | Map::Body(_), _) => Ok(None),
        }
    }

    pub fn keys(&self) -> Vec<Val<'a>> {
        match self {
            Map::Strings(m) => m.keys().map(|k| Val::text(k)).collect(),
            Map::Pairs(m) => m.iter().map(|(k, _)| Val::text(k)).collect(),
            Map::Lists(m) => m.iter().map(|(k, _)| Val::text(k)).collect(),
            Map::Json(m) => m.keys().map(|k| Val::text(k)).collect(),
            Map::Body(m) => m.entries().map(|(k, _)| Val::text(k)).collect(),
            Map::Shared(m) => m.iter().map(|(k, _)| k.clone()).collect(),
        }
    }

    pub fn entries(&self) -> Vec<(Val<'a>, Val<'a>)> {
        match self {
            Map::Strings(m) => m.iter().map(|(k, v)| (Val::text(k), Val::text(v))).collect(),
            Map::Pairs(m) => m.iter().map(|(k, v)| (Val::text(k), Val::text(v))).collect(),
            Map::Lists(m) => m.iter().map(|(k, v)| (Val::text(k), Val::List(List::Texts(v)))).collect(),
            Map::Json(m) => m.iter().map(|(k, v)| (Val::text(k), Val::json(v))).collect(),
            Map::Body(m) => m.entries().map(|(k, v)| (Val::text(k), Val::body(v))).collect(),
            Map::Shared(m) => m.to_vec(),
        }
    }
}

impl<'a> Val<'a> {
    pub fn text(text: &'a str) -> Val<'a> {
        Val::Str(Text::Borrowed(text))
    }

    pub fn shared(text: impl Into<Arc<str>>) -> Val<'a> {
        Val::Str(Text::Shared(text.into()))
    }

    pub fn list(elements: Vec<Val<'a>>) -> Val<'a> {
        Val::List(List::Shared(elements.into()))
    }

    pub fn some(value: Val<'a>) -> Val<'a> {
        Val::Optional(Some(Arc::new(value)))
    }

    /// JSON: an integer that fits is an int, any other number a double.
    pub fn json(json: &'a serde_json::Value) -> Val<'a> {
        match json {
            serde_json::Value::Null => Val::Null,
            serde_json::Value::Bool(b) => Val::Bool(*b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(i) => Val::Int(i),
                None => Val::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(s) => Val::text(s),
            serde_json::Value::Array(l) => Val::List(List::Json(l)),
            serde_json::Value::Object(m) => Val::Map(Map::Json(m)),
        }
    }

    /// The same of a part of a body.
    pub fn body(json: Json<'a>) -> Val<'a> {
        match json.node() {
            Node::Null => Val::Null,
            Node::Bool(b) => Val::Bool(*b),
            Node::Int(i) => Val::Int(*i),
            Node::Double(d) => Val::Double(*d),
            Node::Text(_) => Val::text(json.text().unwrap_or_default()),
            Node::List(_) => Val::List(List::Body(json)),
            Node::Object(_) => Val::Map(Map::Body(json)),
        }
    }

    /// The value of a field; `None` for a body that the event does not have.
    pub(super) fn of_field(field: FieldValue<'a>) -> Option<Val<'a>> {
        Some(match field {
            FieldValue::Str(s) => Val::text(s),
            FieldValue::Int(i) => Val::Int(i),
            FieldValue::Bool(b) => Val::Bool(b),
            FieldValue::Timestamp(t) => Val::Timestamp(t),
            FieldValue::NoTimestamp => Val::Timestamp(Timestamp::UNIX_EPOCH),
            FieldValue::Strings(l) => Val::List(List::Texts(l)),
            FieldValue::OwnedStrings(l) => Val::List(List::Strings(l)),
            FieldValue::StaticStrings(l) => Val::List(List::StaticStrings(l)),
            FieldValue::StringMap(m) => Val::Map(Map::Strings(m)),
            FieldValue::StringPairs(m) => Val::Map(Map::Pairs(m)),
            FieldValue::StringsPairs(m) => Val::Map(Map::Lists(m)),
            FieldValue::Json(json) => Val::json(json?),
            FieldValue::Body(json) => Val::body(json?),
        })
    }

    /// The name of its type, as `type()` gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null_type",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Uint(_) => "uint",
            Val::Double(_) => "double",
            Val::Str(_) => "string",
            Val::Bytes(_) => "bytes",
            Val::Timestamp(_) => "google.protobuf.Timestamp",
            Val::Duration(_) => "google.protobuf.Duration",
            Val::List(_) => "list",
            Val::Map(_) => "map",
            Val::Optional(_) => "optional_type",
            Val::Type(_) => "type",
            Val::Ip(_) => "net.IP",
            Val::Cidr(_) => "net.CIDR",
            Val::Url(_) => "kubernetes.URL",
        }
    }

    /// A copy that borrows nothing. Each element costs a step, since a value that shares its parts can be far larger
    /// than what made it.
    pub(super) fn into_owned(self, steps: &mut Steps) -> Result<Value, EvalError> {
        steps.charge(1)?;
        Ok(match self {
            Val::Null => Val::Null,
            Val::Bool(b) => Val::Bool(b),
            Val::Int(i) => Val::Int(i),
            Val::Uint(u) => Val::Uint(u),
            Val::Double(d) => Val::Double(d),
            Val::Str(Text::Borrowed(text)) => {
                steps.charge_bytes(text.len())?;
                Val::shared(text)
            }
            Val::Str(Text::Shared(text)) => Val::Str(Text::Shared(text)),
            Val::Bytes(b) => Val::Bytes(b),
            Val::Timestamp(t) => Val::Timestamp(t),
            Val::Duration(d) => Val::Duration(d),
            Val::List(list) => {
                let elements: Result<Vec<Value>, EvalError> = list.iter().map(|v| v.into_owned(steps)).collect();
                Val::list(elements?)
            }
            Val::Map(map) => {
                let mut entries = Vec::new();
                steps.charge(map.len() as u64)?;
                for (k, v) in map.entries() {
                    entries.push((k.into_owned(steps)?, v.into_owned(steps)?));
                }
                Val::Map(Map::Shared(entries.into()))
            }
            Val::Optional(None) => Val::Optional(None),
            Val::Optional(Some(inner)) => Val::some(Arc::unwrap_or_clone(inner).into_owned(steps)?),
            Val::Type(name) => Val::Type(name),
            Val::Ip(ip) => Val::Ip(ip),
            Val::Cidr(cidr) => Val::Cidr(cidr),
            Val::Url(url) => Val::Url(url),
        })
    }

    /// JSON as `kubewitness eval` prints it: doubles that JSON lacks are "NaN", "Infinity", "-Infinity", timestamps RFC 3339,
    /// durations "1.5s", bytes base64, types their name, map keys text; an empty optional is null.
    pub fn to_json(&self) -> serde_json::Value {
        use base64::{Engine, engine::general_purpose::STANDARD};
        match self {
            Val::Null | Val::Optional(None) => serde_json::Value::Null,
            Val::Bool(b) => (*b).into(),
            Val::Int(i) => (*i).into(),
            Val::Uint(u) => (*u).into(),
            Val::Double(d) if d.is_nan() => "NaN".into(),
            Val::Double(d) if d.is_infinite() => if *d > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            Val::Double(d) => (*d).into(),
            Val::Str(text) => text.as_str().into(),
            Val::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Val::List(list) => list.iter().map(|v| v.to_json()).collect(),
            Val::Map(map) => map.entries().iter().map(|(k, v)| (k.to_string(), v.to_json())).collect(),
            Val::Optional(Some(inner)) => inner.to_json(),
            Val::Type(name) => (*name).into(),
            Val::Url(url) => url.to_string().into(),
            Val::Duration(d) => print::exact_duration(*d).into(),
            Val::Timestamp(_) | Val::Ip(_) | Val::Cidr(_) => self.to_string().into(),
        }
    }

    /// The same; an error when a map has two keys of one text, such as 1 and "1", of which JSON could hold one alone.
    pub fn printed(&self) -> Result<serde_json::Value, EvalError> {
        self.keys_differ()?;
        Ok(self.to_json())
    }

    fn keys_differ(&self) -> Result<(), EvalError> {
        match self {
            Val::List(list) => list.iter().try_for_each(|element| element.keys_differ()),
            Val::Map(map) => {
                let mut seen = BTreeSet::new();
                map.entries().iter().try_for_each(|(key, value)| {
                    let text = key.to_string();
                    if seen.contains(&text) {
                        let message = format!("a map has two keys that print as {text:?}, and JSON can hold one");
                        return Err(EvalError::BadArgument(message));
                    }
                    seen.insert(text);
                    value.keys_differ()
                })
            }
            Val::Optional(Some(inner)) => inner.keys_differ(),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Val<'_> {
    /// As `string()` prints it, and what `string()` does not take as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match print::text(self) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}", self.to_json()),
        }
    }
}
