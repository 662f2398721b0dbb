//! Variables that stand in for an event: what `kubewitness eval --bindings` and the comparisons with the reference
//! implementation evaluate over. In: JSON, or values with a declared type. Never part of a rule.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

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

    /// The same of a text: `-0` is an int too, which is a double to serde_json. A key that occurs twice in an object is an
    /// error, and an int beyond 64 bits, which would become a double.
    pub fn parse(text: &str) -> serde_json::Result<Bindings> {
        let numbers = Numbers::of(text);
        if let Some(large) = numbers.beyond {
            let message = format!("{large} is beyond the int of 64 bits; write {large}.0 for a double");
            return Err(serde::de::Error::custom(message));
        }
        match serde_json::from_str(&numbers.text)? {
            Strict(serde_json::Value::Object(variables)) => Ok(Bindings::from_json(&variables)),
            Strict(_) => Err(serde::de::Error::custom("it is no object")),
        }
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

/// What has to be known of the numbers in a JSON text, which a parser no longer tells.
struct Numbers {
    /// With a blank for the sign of each whole `-0`, so that places in messages stay, and what was no JSON is none.
    text: String,
    /// An int that does not fit in 64 bits.
    beyond: Option<String>,
}

impl Numbers {
    fn of(text: &str) -> Numbers {
        let mut numbers = Numbers { text: String::with_capacity(text.len()), beyond: None };
        let (mut quoted, mut escaped, mut rest) = (false, false, text);
        while let Some(c) = rest.chars().next() {
            let length = match c {
                '-' | '0'..='9' if !quoted => rest.find(|c| !is_of_number(c)).unwrap_or(rest.len()),
                _ => c.len_utf8(),
            };
            let (token, after) = rest.split_at(length);
            rest = after;
            match token {
                _ if escaped => escaped = false,
                "\\" => escaped = quoted,
                "\"" => quoted = !quoted,
                _ => {}
            }
            numbers.push(token, quoted);
        }
        numbers
    }

    fn push(&mut self, token: &str, quoted: bool) {
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_int = !quoted && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if is_int && token.parse::<i64>().is_err() {
            self.beyond.get_or_insert_with(|| token.chars().take(40).collect());
        }
        self.text.push_str(if token == "-0" && !quoted { " 0" } else { token });
    }
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
}

/// JSON of whose objects no key occurs twice.
struct Strict(serde_json::Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = serde_json::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<serde_json::Value, E> {
        Ok(serde_json::Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<serde_json::Value, E> {
        Ok(b.into())
    }

    fn visit_i64<E>(self, i: i64) -> Result<serde_json::Value, E> {
        Ok(i.into())
    }

    fn visit_u64<E>(self, u: u64) -> Result<serde_json::Value, E> {
        Ok(u.into())
    }

    fn visit_f64<E>(self, d: f64) -> Result<serde_json::Value, E> {
        Ok(d.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<serde_json::Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<serde_json::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<serde_json::Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} occurs twice; take one out")));
            }
            let Strict(value) = members.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
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
