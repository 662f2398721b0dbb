//! A tolerant JSON reader. In: bytes of one document. Out: a `Value` with sorted keys, and what was wrong with the text.
//! It exists because an audit event must survive what an attacker can put into its bodies and what serde_json refuses or
//! hides: lone surrogates, duplicate keys, numbers beyond a double, bodies nested too deep. Never recurses past
//! `MAX_DEPTH`, so no input overflows the stack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use crate::record::{Incomplete, QuarantineReason};

/// Containers within containers that are still read. serde_json refuses the 128th level, and a body lies one level down,
/// so every body of an accepted event can be decoded later.
pub const MAX_DEPTH: usize = 128;

/// Top-level fields that are dropped, not fatal, when they are nested too deep: their text is the client's, and a client
/// must not be able to hide its request by nesting a patch.
const BODIES: [&str; 2] = ["requestObject", "responseObject"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("no valid JSON: unexpected text at byte {0}")]
    Unexpected(usize),
    #[error("no valid JSON: the text ends at byte {0} within a value")]
    Ended(usize),
    #[error("nested deeper than {MAX_DEPTH} at byte {0}")]
    TooDeep(usize),
}

impl JsonError {
    pub fn reason(self) -> QuarantineReason {
        match self {
            JsonError::Unexpected(_) | JsonError::Ended(_) => QuarantineReason::Syntax,
            JsonError::TooDeep(_) => QuarantineReason::Depth,
        }
    }
}

/// Reads one document; whitespace may surround it and a byte order mark may precede it.
pub fn read(bytes: &[u8]) -> Result<(Value, BTreeSet<Incomplete>), JsonError> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader { text: &text, at: 0, incomplete: BTreeSet::new() };
    if matches!(text, std::borrow::Cow::Owned(_)) {
        reader.incomplete.insert(Incomplete::InvalidUtf8);
    }
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok((value, reader.incomplete)),
        Some(_) => Err(JsonError::Unexpected(reader.at)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    incomplete: BTreeSet<Incomplete>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn wrong<T>(&self) -> Result<T, JsonError> {
        match self.peek() {
            Some(_) => Err(JsonError::Unexpected(self.at)),
            None => Err(JsonError::Ended(self.at)),
        }
    }

    /// The text from `start` to here. Both lie beside ASCII bytes, so on character boundaries.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(JsonError::TooDeep(self.at)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.wrong(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        match self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => self.wrong(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return self.wrong(),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        // Sorted here, so that the order holds whether or not some crate turns on serde_json's `preserve_order`.
        let mut fields = BTreeMap::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Map::new()));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.wrong();
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.wrong();
            }
            self.at += 1;
            let value = self.field(&key, depth)?;
            if fields.insert(key, value).is_some() {
                self.incomplete.insert(Incomplete::DuplicateKey);
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(fields.into_iter().collect()));
                }
                _ => return self.wrong(),
            }
        }
    }

    fn field(&mut self, key: &str, depth: usize) -> Result<Value, JsonError> {
        let start = self.at;
        match self.value(depth) {
            Err(JsonError::TooDeep(_)) if depth == 1 && BODIES.contains(&key) => {
                self.at = start;
                self.skip_container()?;
                self.incomplete.insert(Incomplete::Oversize);
                Ok(Value::Null)
            }
            other => other,
        }
    }

    /// Passes over one object or array, however deep, without recursion.
    fn skip_container(&mut self) -> Result<(), JsonError> {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                None => return Err(JsonError::Ended(self.at)),
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') => open = open.saturating_sub(1),
                Some(_) => {}
            }
            let closed = matches!(self.peek(), Some(b'}' | b']'));
            self.at += 1;
            if closed && open == 0 {
                return Ok(());
            }
        }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.peek();
        let digits = self.digits()?;
        if first == Some(b'0') && digits > 1 {
            return Err(JsonError::Unexpected(start));
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = self.since(start);
        if integer && !(negative && first == Some(b'0')) {
            if let Ok(n) = text.parse::<u64>() {
                return Ok(n.into());
            }
            if let Ok(n) = text.parse::<i64>() {
                return Ok(n.into());
            }
        }
        Ok(match text.parse().ok().and_then(Number::from_f64) {
            Some(n) => Value::Number(n),
            None => {
                self.incomplete.insert(Incomplete::MistypedField);
                Value::Null
            }
        })
    }

    fn digits(&mut self) -> Result<usize, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match self.at - start {
            0 => self.wrong(),
            n => Ok(n),
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = String::new();
        let mut start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    text.push_str(self.since(start));
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(self.since(start));
                    self.at += 1;
                    text.push(self.escape()?);
                    start = self.at;
                }
                Some(0..=0x1f) | None => return self.wrong(),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(kind) = self.peek() else { return self.wrong() };
        let plain = match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.code_point();
            }
            _ => return self.wrong(),
        };
        self.at += 1;
        Ok(plain)
    }

    /// After `\u`: one UTF-16 unit, or a surrogate pair. A lone surrogate becomes U+FFFD.
    fn code_point(&mut self) -> Result<char, JsonError> {
        let unit = self.hex4()?;
        if (0xd800..0xdc00).contains(&unit) && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u")) {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or_else(|| {
            self.incomplete.insert(Incomplete::InvalidUtf8);
            char::REPLACEMENT_CHARACTER
        }))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else { return self.wrong() };
        self.at += 4;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_serde_json_refuses_or_hides() {
        let cases: &[(&str, &[u8], Value, &[Incomplete])] = &[
            ("duplicate key, last wins", br#"{"a":1,"a":2}"#, json!({"a": 2}), &[Incomplete::DuplicateKey]),
            ("lone surrogate", br#""a\ud800b""#, json!("a\u{fffd}b"), &[Incomplete::InvalidUtf8]),
            ("reversed pair", br#""\udc00\ud83d\ude00""#, json!("\u{fffd}\u{1f600}"), &[Incomplete::InvalidUtf8]),
            ("bytes that are no UTF-8", b"\"a\xffb\"", json!("a\u{fffd}b"), &[Incomplete::InvalidUtf8]),
            ("escaped NUL", br#""a\u0000b""#, json!("a\0b"), &[]),
            ("beyond a double", b"[1e400]", json!([null]), &[Incomplete::MistypedField]),
            ("byte order mark", b"\xef\xbb\xbf{}", json!({}), &[]),
        ];
        for (name, bytes, value, incomplete) in cases {
            let (read, flags) = read(bytes).unwrap();
            assert_eq!(&read, value, "{name}");
            assert_eq!(flags.into_iter().collect::<Vec<_>>(), *incomplete, "{name}");
        }
    }

    #[test]
    fn depth_is_an_error_outside_bodies_and_costs_only_the_body_within() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(read(deep(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep(MAX_DEPTH)));
        assert!(matches!(read("[".repeat(10_000).as_bytes()), Err(JsonError::TooDeep(_))));
        let event = format!(r#"{{"verb":"patch","requestObject":{},"z":1}}"#, deep(10_000));
        let (value, flags) = read(event.as_bytes()).unwrap();
        assert_eq!(value, json!({"requestObject": null, "verb": "patch", "z": 1}));
        assert_eq!(flags, BTreeSet::from([Incomplete::Oversize]));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn reads_back_every_value_that_serde_json_prints(value in json_value(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let (read, flags) = read(text.as_bytes()).unwrap();
            prop_assert_eq!(read, value);
            prop_assert!(flags.is_empty());
        }

        #[test]
        fn agrees_with_serde_json_on_what_is_json(text in r#"[\[\]{}",:0-9.eE+\-a\\untrlfse ]{0,24}"#) {
            let ours = read(text.as_bytes());
            match serde_json::from_str::<Value>(&text) {
                Ok(_) => prop_assert!(ours.is_ok()),
                Err(_) => prop_assert!(ours.is_err() || ours.is_ok_and(|(_, flags)| !flags.is_empty())),
            }
        }
    }
}
