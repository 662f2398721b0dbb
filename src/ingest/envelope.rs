//! One envelope of a collector -> a record of the log. In: a line of a body, and what the sender's node may send.
//! Out: the record, redacted once more; or why this envelope, and it alone, is not taken. The node is that of
//! the sender's token, and an envelope that names another is refused; format and time zone are those of the LogSource.

use jiff::Timestamp;

use super::{
    intake,
    slim::{Held, Limits},
    split::Element,
};
use crate::{
    api::{
        log_source::{AssignedSource, NodeSources},
        rule::Source,
    },
    record::{Envelope, IdKey, Line, Origin, Position, Provenance, QuarantineReason, Record, RedactionFacts},
    redact::{self, LinePlace},
};
use std::sync::Arc;

/// Bytes of a path on a node (`record::Line`).
const MAX_PATH: usize = 1024;
/// Of a path among the facts, and how many of them (`record::RedactionFacts`).
const MAX_FACT: usize = 256;
const MAX_FACTS: usize = 32;

/// Why an envelope is not taken. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The line is longer than any envelope.
    TooLong,
    /// No envelope: broken JSON, bytes that are no UTF-8, or fields of another type.
    Unreadable,
    /// It names another node than its sender's token does.
    OtherNode,
    /// The node has no LogSource of this kind that names the file.
    OutOfScope,
    /// Without a position, equal lines can't be told from one line that is sent twice.
    NoPosition,
    /// Neither or both of `log` and `event`, or an event of a source that has lines.
    WrongContent,
}

impl Unfit {
    pub(super) const ALL: [Unfit; 6] = [
        Unfit::TooLong,
        Unfit::Unreadable,
        Unfit::OtherNode,
        Unfit::OutOfScope,
        Unfit::NoPosition,
        Unfit::WrongContent,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Unfit::TooLong => "TooLong",
            Unfit::Unreadable => "Unreadable",
            Unfit::OtherNode => "OtherNode",
            Unfit::OutOfScope => "OutOfScope",
            Unfit::NoPosition => "NoPosition",
            Unfit::WrongContent => "WrongContent",
        }
    }
}

/// Whose envelopes these are, by its token, and what it may send.
pub(super) struct Sender {
    pub cluster: Arc<str>,
    pub node: Arc<str>,
    pub sources: NodeSources,
}

/// A record, and why it is in quarantine if it is.
pub(super) type Taken = (Record, Option<QuarantineReason>);

pub(super) fn record(line: &[u8], sender: &Sender, received_at: Timestamp, key: &IdKey) -> Result<Taken, Unfit> {
    let envelope: Envelope = serde_json::from_slice(line).map_err(|_| Unfit::Unreadable)?;
    let Envelope { source, host, file, received: _, position, log, event, facts } = envelope;
    // It could only be stored under a name that its sender did not mean.
    if host.is_some_and(|host| *host != *sender.node) {
        return Err(Unfit::OtherNode);
    }
    let file = file.filter(|file| file.len() <= MAX_PATH).ok_or(Unfit::OutOfScope)?;
    let assigned = sender.sources.source_of(source, &file).ok_or(Unfit::OutOfScope)?;
    let origin = |provenance| Origin { cluster: sender.cluster.clone(), reporter: sender.node.clone(), provenance };
    let facts = bounded(facts);
    match (source, log, event) {
        (Source::Audit, None, Some(event)) => {
            let origin = origin(Provenance::AuditLog);
            Ok(audit(event.get().as_bytes(), facts, &origin, received_at, key))
        }
        // A line of the audit log that its collector could not read: it is counted and told of, not kept.
        (Source::Audit, Some(log), None) => {
            let origin = origin(Provenance::AuditLog);
            Ok(audit(log.as_bytes(), facts, &origin, received_at, key))
        }
        (Source::Node | Source::Container | Source::Web, Some(log), None) => {
            let position = position.filter(is_position).ok_or(Unfit::NoPosition)?;
            let origin = origin(provenance(&file));
            let place = place(assigned, file.into(), position, facts);
            Ok((redact::line_record(log.as_bytes(), place, &origin, received_at, key), None))
        }
        (_, None, _) | (_, Some(_), Some(_)) => Err(Unfit::WrongContent),
    }
}

/// The same steps as for an event of the webhook, so that the same event has the same id by either way.
fn audit(bytes: &[u8], facts: RedactionFacts, origin: &Origin, received_at: Timestamp, key: &IdKey) -> Taken {
    let mut held = Held::new(Limits::SHIPPED);
    held.push(bytes);
    let (bytes, length, form) = held.take();
    let (mut record, reason) = intake::record(Element { bytes, line: 1, length, form }, origin, received_at, key);
    record.facts.add(facts);
    (record, reason)
}

fn place(assigned: &AssignedSource, file: Arc<str>, position: Position, facts: RedactionFacts) -> LinePlace {
    let line = Line {
        source: assigned.source,
        file,
        format: assigned.format,
        zone: assigned.time_zone.as_deref().map(Into::into),
        text: "".into(),
    };
    LinePlace { line, position: Some(position), at: 0, facts }
}

fn is_position(position: &Position) -> bool {
    position.file.len() == 32 && position.file.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a container wrote comes by its runtime; any other file may have been written by any process of the node.
fn provenance(file: &str) -> Provenance {
    let of_containers = ["/var/log/containers/", "/var/log/pods/"];
    if of_containers.iter().any(|directory| file.starts_with(directory)) {
        Provenance::Container
    } else {
        Provenance::File
    }
}

/// What a sender says was removed, no longer than our own redaction would.
fn bounded(mut facts: RedactionFacts) -> RedactionFacts {
    facts.redacted.retain(|path| path.len() <= MAX_FACT);
    facts.redacted.truncate(MAX_FACTS);
    facts
}
