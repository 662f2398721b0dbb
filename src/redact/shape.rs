//! The known fields of an audit event (k8s.io/apiserver pkg/apis/audit/v1 `Event`): their types and limits. In: decoded
//! JSON. Out: only values that `event::AuditEvent` can hold; what does not fit is dropped or cut, and flagged.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    ledger::{Ledger, clip},
    pattern, uri,
};
use crate::record::Incomplete;

/// What a field must be. Sizes are bytes.
pub enum Shape {
    Text(usize),
    OneOf(&'static [&'static str]),
    Uri(usize),
    Time,
    Int,
    Texts {
        count: usize,
        each: usize,
    },
    /// As `Texts`; of too many, those that Kubernetes itself gives stay.
    Groups {
        count: usize,
        each: usize,
    },
    TextMap {
        count: usize,
        each: usize,
    },
    TextsMap {
        count: usize,
        each: usize,
    },
    Object(Table),
}

/// A table of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Event,
    User,
    Object,
    Status,
}

impl Table {
    pub const ALL: [Table; 4] = [Table::Event, Table::User, Table::Object, Table::Status];

    pub fn fields(self) -> &'static [(&'static str, Shape)] {
        match self {
            Table::Event => FIELDS,
            Table::User => USER,
            Table::Object => OBJECT,
            Table::Status => STATUS,
        }
    }
}

/// Bytes of a key.
pub const KEY: usize = 320;

const USER: &[(&str, Shape)] = &[
    ("username", Shape::Text(1024)),
    ("uid", Shape::Text(256)),
    ("groups", Shape::Groups { count: 512, each: 512 }),
    ("extra", Shape::TextsMap { count: 32, each: 1024 }),
];

const OBJECT: &[(&str, Shape)] = &[
    ("resource", Shape::Text(256)),
    ("namespace", Shape::Text(256)),
    ("name", Shape::Text(1024)),
    ("uid", Shape::Text(256)),
    ("apiGroup", Shape::Text(256)),
    ("apiVersion", Shape::Text(256)),
    ("resourceVersion", Shape::Text(256)),
    ("subresource", Shape::Text(256)),
];

const STATUS: &[(&str, Shape)] =
    &[("code", Shape::Int), ("status", Shape::Text(64)), ("message", Shape::Text(4096)), ("reason", Shape::Text(256))];

/// Known fields. Bodies and fields of later API versions are not in it.
pub const FIELDS: &[(&str, Shape)] = &[
    ("annotations", Shape::TextMap { count: 64, each: 4096 }),
    ("auditID", Shape::Text(256)),
    ("impersonatedUser", Shape::Object(Table::User)),
    ("level", Shape::OneOf(&["None", "Metadata", "Request", "RequestResponse"])),
    ("objectRef", Shape::Object(Table::Object)),
    ("requestReceivedTimestamp", Shape::Time),
    ("requestURI", Shape::Uri(8192)),
    ("responseStatus", Shape::Object(Table::Status)),
    ("sourceIPs", Shape::Texts { count: 32, each: 64 }),
    ("stage", Shape::OneOf(&["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"])),
    ("stageTimestamp", Shape::Time),
    ("user", Shape::Object(Table::User)),
    // The API server cuts it at 1,024 and appends a suffix.
    ("userAgent", Shape::Text(1100)),
    ("verb", Shape::Text(256)),
];

/// Makes `map`'s known `fields` fit. `null` is as good as absent and is removed without a word.
pub fn fit_fields(map: &mut Map<String, Value>, fields: &'static [(&str, Shape)], ledger: &mut Ledger) {
    for (name, shape) in fields {
        let fits = map.get_mut(*name).is_none_or(|value| ledger.at_key(name, |l| fit(value, shape, l)));
        if !fits {
            map.remove(*name);
        }
    }
}

fn mistyped(value: &Value, ledger: &mut Ledger) -> bool {
    if !value.is_null() {
        ledger.flag(Incomplete::MistypedField);
    }
    false
}

/// False when the value has to go.
fn fit(value: &mut Value, shape: &'static Shape, ledger: &mut Ledger) -> bool {
    match (shape, value) {
        (Shape::Text(max), Value::String(text)) => {
            ledger.clipped_text(text, *max);
            true
        }
        (Shape::OneOf(names), Value::String(text)) if names.contains(&text.as_str()) => true,
        (Shape::Uri(max), Value::String(text)) => {
            uri::redact(text, ledger);
            if clip(text, *max) {
                ledger.flag(Incomplete::Clipped);
                uri::redact(text, ledger);
                clip(text, *max);
            }
            true
        }
        (Shape::Time, Value::String(text)) if text.parse::<Timestamp>().is_ok() => true,
        (Shape::Int, Value::Number(n)) if n.is_i64() => true,
        (Shape::Texts { count, each }, Value::Array(items)) => {
            texts(items, *count, *each, ledger);
            true
        }
        (Shape::Groups { count, each }, Value::Array(items)) => {
            cut_groups(items, *count, ledger);
            texts(items, *count, *each, ledger);
            true
        }
        (Shape::TextMap { count, each }, Value::Object(map)) => {
            cut_map(map, *count, ledger);
            fit_map(map, ledger, |value, ledger| match value {
                Value::String(text) => {
                    ledger.clipped_text(text, *each);
                    true
                }
                other => mistyped(other, ledger),
            });
            true
        }
        (Shape::TextsMap { count, each }, Value::Object(map)) => {
            cut_map(map, *count, ledger);
            fit_map(map, ledger, |value, ledger| match value {
                Value::Array(items) => {
                    texts(items, *count, *each, ledger);
                    true
                }
                other => mistyped(other, ledger),
            });
            true
        }
        (Shape::Object(table), Value::Object(map)) => {
            fit_fields(map, table.fields(), ledger);
            unknown_fields(map, table.fields(), ledger);
            true
        }
        (_, other) => mistyped(other, ledger),
    }
}

/// Fields that the table does not know are walked like a body.
pub fn unknown_fields(map: &mut Map<String, Value>, fields: &'static [(&str, Shape)], ledger: &mut Ledger) {
    let mut rest = Map::new();
    for (key, value) in std::mem::take(map) {
        match fields.iter().any(|(name, _)| *name == key) {
            true => map.insert(key, value),
            false => rest.insert(key, value),
        };
    }
    let mut rest = Value::Object(rest);
    super::body::walk(&mut rest, ledger);
    if let Value::Object(rest) = rest {
        map.extend(rest.into_iter().filter(|(_, value)| !value.is_null()));
    }
}

/// Cuts a list of groups to `count`; those of `system:` stay longest.
fn cut_groups(items: &mut Vec<Value>, count: usize, ledger: &mut Ledger) {
    if items.len() <= count {
        return;
    }
    ledger.flag(Incomplete::Clipped);
    let is_system = |item: &Value| item.as_str().is_some_and(|group| group.starts_with("system:"));
    let mut others = count.saturating_sub(items.iter().filter(|item| is_system(item)).count());
    items.retain(|item| {
        let stays = is_system(item) || others > 0;
        others -= usize::from(stays && !is_system(item));
        stays
    });
    items.truncate(count);
}

fn texts(items: &mut Vec<Value>, count: usize, each: usize, ledger: &mut Ledger) {
    let before = items.len();
    items.retain(Value::is_string);
    if items.len() < before {
        ledger.flag(Incomplete::MistypedField);
    }
    if items.len() > count {
        // The last ones stay: the last of `sourceIPs` is the one that the API server saw itself.
        items.drain(..items.len() - count);
        ledger.flag(Incomplete::Clipped);
    }
    for (index, item) in items.iter_mut().enumerate() {
        if let Value::String(text) = item {
            ledger.at_index(index, |l| l.clipped_text(text, each));
        }
    }
}

/// Cuts a map to `count` entries; what the API server itself writes stays longest.
fn cut_map(map: &mut Map<String, Value>, count: usize, ledger: &mut Ledger) {
    if map.len() <= count {
        return;
    }
    ledger.flag(Incomplete::Clipped);
    let mut keys: Vec<String> = map.keys().cloned().collect();
    let own = |key: &String| key.starts_with("authorization.k8s.io/") || key.starts_with("audit.k8s.io/");
    keys.sort_by_key(|key| !own(key));
    for key in keys.drain(count..) {
        map.remove(&key);
    }
}

fn fit_map(map: &mut Map<String, Value>, ledger: &mut Ledger, mut fit: impl FnMut(&mut Value, &mut Ledger) -> bool) {
    for (mut key, mut value) in std::mem::take(map) {
        if key.len() > KEY || pattern::redact(&key).1 > 0 {
            ledger.at_key(pattern::REDACTED, |l| l.clipped_text(&mut key, KEY));
        }
        if ledger.at_key(&key, |l| fit(&mut value, l)) {
            map.insert(key, value);
        }
    }
}
