//! Variables that stand in for an event: what `kubewitness eval --bindings` and the comparisons with the reference
//! implementation evaluate over. In: JSON, or values with a declared type. Never part of a rule.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    types::Type,
    value::{Map, Val, Value},
};

/// One variable: a bound one has a value, a declared one may not.
pub(super) struct Bound {
    pub type_: Type,
    pub value: Option<Value>,
}

/// Variables by their names, which may be dotted.
#[derive(Default)]
pub struct Bindings {
    pub(super) bound: BTreeMap<Arc<str>, Bound>,
}

impl fmt::Debug for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.bound.keys()).finish()
    }
}

impl Bindings {
    /// Each key a dynamic variable. Integers that fit are int, other numbers double.
    pub fn from_json(variables: &serde_json::Map<String, serde_json::Value>) -> Bindings {
        let mut bindings = Bindings::default();
        for (name, value) in variables {
            bindings.insert(name, Type::Dyn, Some(owned(value)));
        }
        bindings
    }

    /// The same of a text: `-0` is an int too, which is a double to serde_json.
    pub fn parse(text: &str) -> serde_json::Result<Bindings> {
        serde_json::from_str(&without_negative_zeros(text)).map(|variables| Bindings::from_json(&variables))
    }

    /// Declares a variable of a type such as `map(string, list(int))`, bound or not. False for no such type.
    pub fn declare(&mut self, name: &str, type_: &str, value: Option<Value>) -> bool {
        let Some(type_) = Type::parse(type_) else { return false };
        self.insert(name, type_, value);
        true
    }

    fn insert(&mut self, name: &str, type_: Type, value: Option<Value>) {
        self.bound.insert(name.into(), Bound { type_, value });
    }
}

/// With a blank for the sign of each whole `-0`, so that places in messages stay, and what was no JSON is none.
fn without_negative_zeros(text: &str) -> String {
    let (mut made, mut before, mut quoted, mut escaped) = (String::with_capacity(text.len()), ' ', false, false);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        let mut next = rest.clone();
        let is_zero = c == '-' && next.next() == Some('0') && !matches!(next.next(), Some('.' | 'e' | 'E'));
        made.push(if is_zero && !quoted && !matches!(before, 'e' | 'E') { ' ' } else { c });
        before = c;
    }
    made
}

/// A value that owns what it was read from. Its size is that of the JSON, which the caller has in memory anyhow.
fn owned(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Array(elements) => Val::list(elements.iter().map(owned).collect()),
        serde_json::Value::Object(members) => {
            let entries: Vec<(Value, Value)> =
                members.iter().map(|(key, value)| (Val::shared(key.as_str()), owned(value))).collect();
            Val::Map(Map::Shared(entries.into()))
        }
        serde_json::Value::String(text) => Val::shared(text.as_str()),
        serde_json::Value::Null => Val::Null,
        serde_json::Value::Bool(b) => Val::Bool(*b),
        serde_json::Value::Number(n) => n.as_i64().map_or(Val::Double(n.as_f64().unwrap_or(f64::NAN)), Val::Int),
    }
}
