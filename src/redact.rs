//! Raw input -> what may be kept. The first thing that touches an input, live and offline: nothing unredacted goes on.
//! In: the bytes of one audit event or log line. Out: the line's text, or canonical JSON without secret values, with the facts that rules need about what
//! was removed; or why it can't be read. Redacting what is already redacted changes nothing.
//! Canonical: keys in the sender's order, but the bodies last, behind `BODY_MARK`; no other space; no `kind` and
//! `apiVersion`, no top-level nulls; always readable as an `event::AuditEvent`.

mod audit_record;
mod body;
mod command;
mod copy;
mod fields;
mod json;
mod json_line;
mod key;
mod known;
mod ledger;
mod line;
mod names;
mod needle;
mod order;
mod pattern;
mod shape;
mod tape;
mod uri;

pub use fields::unknown_field;
use jiff::Timestamp;
pub use line::{LinePlace, MAX_LINE, line, line_record};
use serde_json::{Map, Value, value::RawValue};

pub use self::pattern::REDACTED;
use self::{body::Resource, ledger::Ledger};
use crate::record::{
    IdKey, Incomplete, Origin, Payload, QuarantineReason, Quarantined, Record, RecordId, RedactionFacts,
};

/// What stands before a body in canonical text. There is no other space between tokens, so a reader that finds it knows that
/// only bodies follow, and can leave them unread.
pub const BODY_MARK: &[u8] = b", ";

/// Bytes of an event with bodies; a larger one loses them.
pub const MAX_EVENT: usize = 1 << 20;

/// One audit event as received.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub bytes: &'a [u8],
    /// The reader has already dropped the bodies, because the event was over its limit.
    pub oversize: bool,
}

/// An event that may be kept.
#[derive(Debug, Clone)]
pub struct Redacted {
    pub canonical: Box<RawValue>,
    pub facts: RedactionFacts,
}

/// An input that can't be read as an audit event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected(pub Quarantined);

/// Reads and redacts one audit event.
pub fn audit_event(input: Input<'_>) -> Result<Redacted, Rejected> {
    if !input.oversize
        && let Some(redacted) = copy::event(input.bytes)
    {
        return Ok(redacted);
    }
    slowly(input)
}

/// As `audit_event`, for any input: by way of a tree. `copy` gives the same where it gives anything.
fn slowly(input: Input<'_>) -> Result<Redacted, Rejected> {
    let rejected = |reason, error: String| Rejected(Quarantined { length: input.bytes.len() as u64, reason, error });
    let (value, incomplete) = json::read(input.bytes).map_err(|e| rejected(e.reason(), e.to_string()))?;
    let not_an_event = |what: &str| rejected(QuarantineReason::NotAnEvent, what.to_owned());
    let Value::Object(mut event) = value else { return Err(not_an_event("no audit event: no JSON object")) };
    let mut ledger = Ledger::default();
    ledger.flag_all(incomplete);
    redact_fields(&mut event, input.oversize || input.bytes.len() > MAX_EVENT, &mut ledger);
    if !event.contains_key("stage") {
        return Err(not_an_event("no audit event: `stage` is missing or unknown"));
    }
    if !["verb", "stageTimestamp", "requestReceivedTimestamp"].iter().any(|field| event.contains_key(*field)) {
        return Err(not_an_event("no audit event: neither `verb` nor a time stamp"));
    }
    let canonical = canonical(event, input.bytes, &mut ledger)
        .map_err(|e| rejected(QuarantineReason::Syntax, format!("can't be written as JSON: {e}")))?;
    Ok(Redacted { canonical, facts: ledger.into_facts() })
}

fn redact_fields(event: &mut Map<String, Value>, oversize: bool, ledger: &mut Ledger) {
    event.retain(|key, value| !matches!(key.as_str(), "kind" | "apiVersion") && !value.is_null());
    if oversize {
        drop_bodies(event, ledger);
        // Without bodies, only fields that nobody knows can still be large.
        event.retain(|key, _| shape::FIELDS.iter().any(|(name, _)| name == key));
    }
    let resource = resource(event);
    if resource != Resource::Other {
        for name in ["responseStatus", "responseObject"] {
            if let Some(status) = event.get_mut(name) {
                ledger.at_key(name, |l| body::refusals(status, l));
            }
        }
    }
    let mut bodies = Map::new();
    for name in ["requestObject", "responseObject"] {
        if let Some(mut value) = event.remove(name) {
            ledger.at_key(name, |l| body::body(&mut value, resource, l));
            bodies.insert(name.to_owned(), value);
        }
    }
    shape::fit_fields(event, shape::FIELDS, ledger);
    shape::unknown_fields(event, shape::FIELDS, ledger);
    event.extend(bodies);
    if event.get("annotations").and_then(|a| a.get("audit.k8s.io/truncated")).and_then(Value::as_str) == Some("true") {
        ledger.flag(Incomplete::TruncatedBySender);
    }
}

fn drop_bodies(event: &mut Map<String, Value>, ledger: &mut Ledger) {
    ledger.flag(Incomplete::Oversize);
    event.retain(|key, _| !matches!(key.as_str(), "requestObject" | "responseObject"));
}

/// Secrets and ConfigMaps of the core group. The URI counts too, for an event whose `objectRef` is missing or mistyped.
fn resource(event: &Map<String, Value>) -> Resource {
    match event.get("objectRef").and_then(|o| o.get("resource")).and_then(Value::as_str) {
        Some(name) => Resource::of_name(name),
        None => {
            let uri = event.get("requestURI").and_then(Value::as_str).unwrap_or_default();
            let path = uri.split('?').next().unwrap_or_default();
            path.split('/').map(Resource::of_name).find(|r| *r != Resource::Other).unwrap_or(Resource::Other)
        }
    }
}

/// The text of an event. Placeholders can be longer than what they replace, so the limit is checked again.
fn canonical(
    mut event: Map<String, Value>,
    bytes: &[u8],
    ledger: &mut Ledger,
) -> Result<Box<RawValue>, serde_json::Error> {
    let text = order::write(&event, bytes)?;
    if text.len() <= MAX_EVENT {
        return RawValue::from_string(text);
    }
    drop_bodies(&mut event, ledger);
    event.retain(|key, _| shape::FIELDS.iter().any(|(name, _)| name == key));
    RawValue::from_string(order::write(&event, bytes)?)
}

/// The record of one input, kept or quarantined. `bytes` are only hashed.
pub fn record(
    outcome: Result<Redacted, Rejected>,
    bytes: &[u8],
    origin: &Origin,
    received_at: Timestamp,
    key: &IdKey,
) -> Record {
    let (id, facts, payload) = match outcome {
        Ok(Redacted { canonical, facts }) => {
            let id = RecordId::of_audit(key, &origin.cluster, &origin.reporter, canonical.get());
            (id, facts, Payload::Audit(canonical.into()))
        }
        Err(Rejected(quarantined)) => {
            let parts = [b"quarantined".as_slice(), origin.cluster.as_bytes(), origin.reporter.as_bytes(), bytes];
            (RecordId::of(key, &parts), RedactionFacts::default(), Payload::Quarantined(quarantined))
        }
    };
    Record { id, received_at, origin: Some(origin.clone()), facts, payload }
}

#[cfg(test)]
mod tests;
