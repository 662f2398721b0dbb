//! A request or response body: kept as text, decoded when a rule reads it, at most once.

use std::sync::OnceLock;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json::{self, Json, Node};

/// Within so many characters an API server has written what an object is.
const HEAD: usize = 128;

#[derive(Clone, Debug)]
pub struct Body<'a> {
    raw: &'a str,
    decoded: OnceLock<Node>,
}

impl<'a> Body<'a> {
    /// A body of this JSON text, which is not read before `json` is asked for.
    pub fn of(raw: &'a str) -> Body<'a> {
        Body { raw, decoded: OnceLock::new() }
    }

    pub fn raw(&self) -> &str {
        self.raw
    }

    /// True when somebody has asked for it decoded.
    pub fn is_decoded(&self) -> bool {
        self.decoded.get().is_some()
    }

    /// True for an answer in a form that a client asked for instead of the object (`Accept: …;as=Table`, or
    /// `as=PartialObjectMetadata`; meta.k8s.io/v1): what was changed does not stand in it.
    pub fn is_reduced(&self) -> bool {
        // Nearly all answers are told apart by this alone: a character has four bytes at most.
        let most = self.raw.as_bytes().get(..4 * HEAD).unwrap_or(self.raw.as_bytes());
        if memchr::memmem::find(most, b"meta.k8s.io/").is_none() {
            return false;
        }
        let head: String = self.raw.chars().take(HEAD).filter(|c| !c.is_whitespace()).collect();
        let has_kind = |kind: &str| head.contains(&format!("\"kind\":\"{kind}"));
        head.contains("\"apiVersion\":\"meta.k8s.io/") && (has_kind("Table\"") || has_kind("PartialObjectMetadata"))
    }

    /// The decoded body. `Null` for text that does not decode (nested over serde_json's limit of 128), which redaction has
    /// already sent to the quarantine.
    pub fn json(&self) -> Json<'_> {
        Json { whole: &self.raw, node: self.decoded.get_or_init(|| json::read(self.raw).unwrap_or(Node::Null)) }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Body::of(raw.get()))
    }
}
