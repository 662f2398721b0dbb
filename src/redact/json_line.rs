//! Redaction of a line that is a JSON object, such as nginx's `log_format … escape=json`. In: the object's text. Out: the same
//! with each field judged by its name: of a request and its address every parameter but the secret ones stays, so that an
//! exploit shows. Also of what only looks like JSON, because nginx without `escape=json` writes `\x22` or the line was cut.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::{
    body, json,
    ledger::Ledger,
    line::{plain, quotable, request},
    pattern::REDACTED,
    uri,
};

/// What a field of an access log holds.
enum Field {
    /// `METHOD TARGET HTTP/VERSION`
    Request,
    /// An address, or a path with its query.
    Address,
    /// A query alone.
    Query,
    /// A secret.
    Hidden,
    Other,
}

impl Field {
    /// By the names that nginx's variables have, and those that logs of other servers use.
    fn of(name: &str) -> Field {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "request" | "request_line" => Field::Request,
            "request_uri" | "uri" | "url" | "path" | "request_path" | "http_referer" | "http_referrer" | "referer"
            | "referrer" | "location" | "sent_http_location" => Field::Address,
            "args" | "query" | "query_string" => Field::Query,
            _ if lower.contains("cookie") => Field::Hidden,
            // `$arg_token`, a parameter of the query.
            _ => match lower.strip_prefix("arg_") {
                Some(parameter) if super::names::is_secret_parameter(parameter) => Field::Hidden,
                Some(_) | None if super::names::is_secret(name) => Field::Hidden,
                Some(_) | None => Field::Other,
            },
        }
    }

    fn redact(&self, text: &str, ledger: &mut Ledger) -> String {
        match self {
            Field::Request => request(text, ledger),
            Field::Address => address(text, ledger),
            Field::Query => address(&format!("?{text}"), ledger).split_off(1),
            // What servers write for nothing.
            Field::Hidden if matches!(text, "" | "-" | "true" | "false" | REDACTED) => text.to_owned(),
            Field::Hidden => {
                ledger.note_secret_like(1);
                REDACTED.to_owned()
            }
            Field::Other => plain(text, ledger),
        }
    }
}

fn address(text: &str, ledger: &mut Ledger) -> String {
    let mut text = text.to_owned();
    uri::redact(&mut text, ledger);
    text
}

/// `"key": "value"`, the value perhaps cut.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#""(?P<key>[^"\\]{1,128})"(?P<colon>\s*:\s*)"(?P<value>(?:[^"\\]|\\.)*)(?P<end>\\?"|\\?$)"#)
        .expect("the pattern is fixed and tested")
});

/// `text` without its secrets; `None` when it is no object.
pub fn redact(text: &str, ledger: &mut Ledger) -> Option<String> {
    match json::read(text.as_bytes()) {
        Ok((Value::Object(mut fields), incomplete)) => {
            let before = ledger.hidden;
            let mut judged = Map::new();
            for (name, value) in &fields {
                let field = Field::of(name);
                if let (Value::String(text), false) = (value, matches!(field, Field::Other)) {
                    judged.insert(name.clone(), Value::from(field.redact(text, ledger)));
                }
            }
            fields.retain(|name, _| !judged.contains_key(name));
            let mut log = Value::Object(fields);
            ledger.within_text(|ledger| body::walk(&mut log, ledger));
            if let Value::Object(fields) = &mut log {
                fields.extend(judged);
            }
            // Of a key that comes twice only one value was judged.
            Some(if ledger.hidden > before || !incomplete.is_empty() { log.to_string() } else { text.to_owned() })
        }
        Ok(_) => None,
        Err(_) if text.starts_with('{') => Some(pairs(text, ledger)),
        Err(_) => None,
    }
}

/// Field by field as they stand in the text, escapes and all.
fn pairs(text: &str, ledger: &mut Ledger) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for found in PAIR.captures_iter(text) {
        let whole = found.get(0).map_or(at..at, |whole| whole.range());
        kept.push_str(&plain(text.get(at..whole.start).unwrap_or_default(), ledger));
        kept.push_str(&pair(&found, ledger));
        at = whole.end;
    }
    kept.push_str(&plain(text.get(at..).unwrap_or_default(), ledger));
    kept
}

fn pair(found: &Captures<'_>, ledger: &mut Ledger) -> String {
    let part = |name| found.name(name).map_or("", |part| part.as_str());
    let (key, value) = (part("key"), part("value"));
    let value = quotable(&Field::of(key).redact(value, ledger));
    format!("\"{}\"{}\"{value}{}", plain(key, ledger), part("colon"), part("end"))
}
