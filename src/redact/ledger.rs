//! What redaction did to one input: where it stands while it walks, which paths it hid, why the input is not all that was
//! sent. In: notes along the walk. Out: `RedactionFacts`. Never holds a value.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{json, pattern};
use crate::record::{Incomplete, RedactionFacts};

/// Paths that are kept, the first ones in order.
const MAX_PATHS: usize = 32;
/// Bytes of a path.
pub const MAX_PATH: usize = 256;
/// JSON within a string within JSON: deeper texts are searched by pattern only.
const MAX_EMBEDDED: usize = 2;
/// Rounds until a text stays as it is.
const ROUNDS: usize = 4;

enum Step {
    Key(String),
    Index(usize),
}

#[derive(Default)]
pub struct Ledger {
    path: Vec<Step>,
    paths: BTreeSet<String>,
    /// How often anything was hidden, so that a caller can tell whether its part changed.
    pub hidden: u64,
    secret_like: u32,
    incomplete: BTreeSet<Incomplete>,
    embedded: usize,
}

impl Ledger {
    pub fn flag(&mut self, why: Incomplete) {
        self.incomplete.insert(why);
    }

    pub fn flag_all(&mut self, why: BTreeSet<Incomplete>) {
        self.incomplete.extend(why);
    }

    /// Walks `inside` one step further down. Within a JSON text the path stays at that text.
    pub fn at_key<T>(&mut self, key: &str, inside: impl FnOnce(&mut Ledger) -> T) -> T {
        self.step(Step::Key(key.to_owned()), inside)
    }

    pub fn at_index<T>(&mut self, index: usize, inside: impl FnOnce(&mut Ledger) -> T) -> T {
        self.step(Step::Index(index), inside)
    }

    fn step<T>(&mut self, step: Step, inside: impl FnOnce(&mut Ledger) -> T) -> T {
        if self.embedded > 0 {
            return inside(self);
        }
        self.path.push(step);
        let result = inside(self);
        self.path.pop();
        result
    }

    fn note(&mut self) {
        self.hidden += 1;
        let path = self.render();
        self.paths.insert(path);
        if self.paths.len() > MAX_PATHS {
            self.paths.pop_last();
        }
    }

    /// `requestObject.spec.containers[0].env[1].value`.
    fn render(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) => push_key(&mut path, key),
            }
        }
        clip(&mut path, MAX_PATH);
        path
    }

    /// Hides a whole value. `null` stays: in a merge patch it says that the key is deleted.
    pub fn hide(&mut self, value: &mut Value) {
        if value.is_null() || value.as_str() == Some(pattern::REDACTED) {
            return;
        }
        *value = Value::from(pattern::REDACTED);
        self.note();
    }

    /// Hides the values of an object, so that its keys stay; hides anything else whole.
    pub fn hide_values(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map.iter_mut() {
                    self.at_key(key, |l| l.hide(value));
                }
            }
            other => self.hide(other),
        }
    }

    /// Hides the secrets in a text that are known by their look, also within JSON that the text holds.
    pub fn text(&mut self, text: &mut String) {
        for _ in 0..ROUNDS {
            let by_walk = self.embedded_json(text);
            let (redacted, count) = pattern::redact(text);
            let by_pattern = (redacted != text.as_str()).then(|| redacted.into_owned());
            if by_walk.is_none() && by_pattern.is_none() {
                return;
            }
            if count > 0 {
                self.secret_like = self.secret_like.saturating_add(count);
                self.note();
            }
            match by_pattern {
                Some(redacted) => *text = redacted,
                None => return,
            }
        }
    }

    /// Walks `inside` a text that is JSON.
    pub fn within_text<T>(&mut self, inside: impl FnOnce(&mut Ledger) -> T) -> T {
        self.embedded += 1;
        let result = inside(self);
        self.embedded -= 1;
        result
    }

    fn embedded_json(&mut self, text: &mut String) -> Option<()> {
        if self.embedded >= MAX_EMBEDDED || !text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let (mut value, _) = json::read(text.as_bytes()).ok()?;
        let before = self.hidden;
        self.within_text(|ledger| super::body::walk(&mut value, ledger));
        (self.hidden > before).then(|| *text = value.to_string())
    }

    /// As `text`, then cut to `max` bytes.
    pub fn clipped_text(&mut self, text: &mut String, max: usize) {
        for _ in 0..ROUNDS {
            self.text(text);
            if !clip(text, max) {
                return;
            }
            self.flag(Incomplete::Clipped);
        }
    }

    /// A secret that was found by its text in an encoded form.
    pub fn note_secret_like(&mut self, count: u32) {
        self.secret_like = self.secret_like.saturating_add(count);
        self.note();
    }

    pub fn into_facts(self) -> RedactionFacts {
        RedactionFacts {
            redacted: self.paths.into_iter().collect(),
            secret_like_values: self.secret_like,
            incomplete: self.incomplete.into_iter().collect(),
        }
    }
}

/// Puts a key behind a path; one that is no plain word stands as `["key"]`.
pub fn push_key(path: &mut String, key: &str) {
    if key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        path.push_str(if path.is_empty() { "" } else { "." });
        path.push_str(key);
    } else {
        path.push_str(&format!("[{}]", Value::String(pattern::redact(key).0.into_owned())));
    }
}

/// Of these paths those that are kept, in order.
pub fn kept(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_unstable();
    paths.dedup();
    paths.truncate(MAX_PATHS);
    paths
}

/// Cuts `text` to at most `max` bytes between characters; true when it did.
pub fn clip(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    let end = (0..=max).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.truncate(end);
    true
}
