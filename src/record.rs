//! One raw input as received, after redaction, and everything else that the log keeps so that a replay is exact.
//! In: redacted bytes with where they came from. Out: a line of the log. Nothing unredacted is ever a `Record`.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::api::{
    RuleSpec,
    alert::{RuleKind, Triage},
    log_source::LineFormat,
    rule::Source,
};

/// Position in the log, from 1, without holes.
pub type Seq = u64;

/// Content identity of a record: 128 bits of a keyed hash. The same input has the same id whichever path it came by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

/// The secret of an installation that ids are keyed with, so that an outsider can't aim for a collision.
#[derive(Clone)]
pub struct IdKey(pub [u8; 32]);

impl IdKey {
    /// The fixed key of offline commands: their ids must be the same in every run.
    pub const OFFLINE: IdKey = IdKey([0; 32]);
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

impl RecordId {
    /// Hashes length-prefixed `parts`, so that ("ab", "c") and ("a", "bc") differ.
    pub fn of(key: &IdKey, parts: &[&[u8]]) -> RecordId {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length (RFC 2104)");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        RecordId(id)
    }

    /// Identity of a line: (cluster, node, file, offset, redacted text); without a position, of its place `at` in the
    /// input, since then only that tells equal lines apart.
    pub fn of_line(key: &IdKey, origin: &Origin, line: &Line, position: Option<&Position>, at: u64) -> RecordId {
        let (file, offset) = position.map_or((&line.file, at), |p| (&p.file, p.offset));
        let offset = offset.to_le_bytes();
        let parts = [&*origin.cluster, &*origin.reporter, &**file, &*line.text].map(str::as_bytes);
        RecordId::of(key, &[b"line", parts[0], parts[1], parts[2], &offset, parts[3]])
    }

    /// Identity of an audit event: (cluster, apiserver, canonical redacted event without `kind` and `apiVersion`, which
    /// lines of a log file carry and items of a webhook's EventList don't).
    pub fn of_audit(key: &IdKey, cluster: &str, apiserver: &str, canonical: &str) -> RecordId {
        RecordId::of(key, &[b"audit", cluster.as_bytes(), apiserver.as_bytes(), canonical.as_bytes()])
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("record id must be 32 hexadecimal digits")]
pub struct BadRecordId;

impl FromStr for RecordId {
    type Err = BadRecordId;

    fn from_str(text: &str) -> Result<Self, BadRecordId> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| BadRecordId)?;
        Ok(RecordId(bytes.try_into().map_err(|_| BadRecordId)?))
    }
}

impl Serialize for RecordId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which way an input came, and so how far its text can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Provenance {
    /// Sent by an API server over an authenticated connection of its own.
    AuditWebhook,
    /// Read from an API server's audit log file.
    AuditLog,
    /// Read from a file of a node: any local process may have written the line, through syslog or otherwise.
    File,
    /// Read from the kernel's own ring buffer.
    Kernel,
    /// What a container wrote to its output, as its runtime kept it.
    Container,
}

impl Provenance {
    pub fn as_str(self) -> &'static str {
        match self {
            Provenance::AuditWebhook => "AuditWebhook",
            Provenance::AuditLog => "AuditLog",
            Provenance::File => "File",
            Provenance::Kernel => "Kernel",
            Provenance::Container => "Container",
        }
    }
}

/// Who handed the input over. Set from the sender's credential, never from the payload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    pub cluster: Arc<str>,
    /// The API server's node name (audit); the node (lines).
    pub reporter: Arc<str>,
    pub provenance: Provenance,
}

/// What redaction removed, as far as rules may know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RedactionFacts {
    /// Paths of what was removed, at most 32, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// How many removed values looked like credentials by their text (JWT, PEM, basic-auth URL …).
    #[serde(skip_serializing_if = "is_zero")]
    pub secret_like_values: u32,
    /// The input was cut, ambiguous or partly unreadable: why, at most 8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Incomplete>,
}

impl RedactionFacts {
    /// Adds what an earlier redaction of the same input removed.
    pub fn add(&mut self, earlier: RedactionFacts) {
        self.redacted.extend(earlier.redacted);
        self.redacted.sort();
        self.redacted.dedup();
        self.redacted.truncate(32);
        self.secret_like_values = self.secret_like_values.saturating_add(earlier.secret_like_values);
        self.incomplete.extend(earlier.incomplete);
        self.incomplete.sort();
        self.incomplete.dedup();
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Why an input is not all that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Incomplete {
    /// Over the size limit, or a body nested too deep: metadata kept, bodies dropped.
    Oversize,
    /// The API server truncated it itself (annotation `audit.k8s.io/truncated`).
    TruncatedBySender,
    /// A JSON key occurred twice; the last one won.
    DuplicateKey,
    /// Bytes that are no UTF-8 were replaced by U+FFFD.
    InvalidUtf8,
    /// A field had an unexpected type and was dropped.
    MistypedField,
    /// A string or list was cut to its limit.
    Clipped,
    /// The line reads in two ways, since text in it that a stranger chose looks like the daemon's own. Found when it is read.
    Ambiguous,
    /// The answer is no object but a table or metadata alone, as the client asked for it, and is left out. Found when it is read.
    AnswerReduced,
}

impl Incomplete {
    pub fn as_str(self) -> &'static str {
        match self {
            Incomplete::Oversize => "Oversize",
            Incomplete::TruncatedBySender => "TruncatedBySender",
            Incomplete::DuplicateKey => "DuplicateKey",
            Incomplete::InvalidUtf8 => "InvalidUtf8",
            Incomplete::MistypedField => "MistypedField",
            Incomplete::Clipped => "Clipped",
            Incomplete::Ambiguous => "Ambiguous",
            Incomplete::AnswerReduced => "AnswerReduced",
        }
    }
}

/// What a record holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Payload {
    /// A redacted `audit.k8s.io/v1` Event in canonical JSON (the sender's order, bodies last, no `kind`, no `apiVersion`).
    Audit(Arc<RawValue>),
    /// A redacted line of a log file.
    Line(Line),
    /// An input that could not be read: its size, keyed hash and error, never its bytes.
    Quarantined(Quarantined),
    /// The inventory changed.
    Inventory(InventoryChange),
    /// A rule was accepted, or removed.
    Rule(RuleChange),
    /// What people say of an alert changed, so that an object that has to be written again keeps it.
    Triage(TriageChange),
    /// Time passed: the recorded clock reads `received_at`. Written while a rule waits for time and nothing else is recorded.
    Tick,
}

impl Payload {
    /// The kind of source that an input came from; none for what the controller itself writes down. Only audit events go to
    /// the quarantine: any text is a line.
    pub fn source(&self) -> Option<Source> {
        match self {
            Payload::Audit(_) | Payload::Quarantined(_) => Some(Source::Audit),
            Payload::Line(line) => Some(line.source),
            Payload::Inventory(_) | Payload::Rule(_) | Payload::Triage(_) | Payload::Tick => None,
        }
    }
}

/// Which bytes of which file a line is. Equal lines at different places are different lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Names one file across renames: 32 hexadecimal digits over device, inode and its first bytes.
    pub file: Arc<str>,
    /// Of the line's first byte.
    pub offset: u64,
}

/// One line of a log file, without its end, redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub source: Source,
    /// Path on the node, at most 1,024 bytes.
    pub file: Arc<str>,
    #[serde(default, skip_serializing_if = "is_auto")]
    pub format: LineFormat,
    /// IANA name of the time zone that stamps without one are in; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
    /// At most 64 KiB.
    pub text: Arc<str>,
}

fn is_auto(format: &LineFormat) -> bool {
    *format == LineFormat::Auto
}

/// One line of a stream of records, as collectors send it to `/records` and offline commands read it. `log` holds a line,
/// `event` an audit event; one of the two is there. The node (`host`) is that of its sender's credential, and one that names another is refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    pub source: Source,
    /// The node. Offline; online, none or the sender's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// When it was read; offline, when it is taken as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<RawValue>>,
    /// What the sender's own redaction removed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub facts: RedactionFacts,
}

/// Why an input went to the quarantine. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuarantineReason {
    /// No valid JSON.
    Syntax,
    /// Nested deeper than 128 outside the bodies.
    Depth,
    /// JSON, but no audit event (no object, or no stage, verb or time stamp).
    NotAnEvent,
    /// Over the size limit even without its bodies.
    Oversize,
}

impl QuarantineReason {
    pub const ALL: [QuarantineReason; 4] =
        [QuarantineReason::Syntax, QuarantineReason::Depth, QuarantineReason::NotAnEvent, QuarantineReason::Oversize];

    pub fn as_str(self) -> &'static str {
        match self {
            QuarantineReason::Syntax => "Syntax",
            QuarantineReason::Depth => "Depth",
            QuarantineReason::NotAnEvent => "NotAnEvent",
            QuarantineReason::Oversize => "Oversize",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Size of the input in bytes.
    pub length: u64,
    pub reason: QuarantineReason,
    /// Names the place; never quotes the input. At most 256 bytes.
    pub error: String,
}

/// A node or pod as the API server describes it. The newest change of an object stands until it is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InventoryChange {
    Node(NodeFacts),
    NodeGone { name: String },
    Pod(PodFacts),
    PodGone { uid: String },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeFacts {
    pub name: String,
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodFacts {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub node: String,
    pub addresses: Vec<String>,
    pub host_network: bool,
    pub service_account: String,
    /// Kind and name of the controlling owner (`Deployment`, `DaemonSet`, `Job`, `StatefulSet`, …); empty when bare.
    pub workload_kind: String,
    pub workload_name: String,
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Names one rule in the cluster. `namespace` is empty for a ClusterSecurityRule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleId {
    pub kind: RuleKind,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl RuleId {
    pub fn cluster(name: &str) -> RuleId {
        RuleId { kind: RuleKind::ClusterSecurityRule, namespace: "".into(), name: name.into() }
    }

    pub fn namespaced(namespace: &str, name: &str) -> RuleId {
        RuleId { kind: RuleKind::SecurityRule, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// The generation of a rule that evaluates from here on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleChange {
    Accepted {
        rule: RuleId,
        /// Of the object, which tells it from a later one of its name.
        uid: String,
        generation: i64,
        spec: Box<RuleSpec>,
    },
    Removed {
        rule: RuleId,
    },
}

/// `triage` of the SecurityAlert `namespace`/`name`; `None` when it has none any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriageChange {
    pub namespace: String,
    pub name: String,
    pub triage: Option<Box<Triage>>,
}

/// One entry of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub id: RecordId,
    pub received_at: Timestamp,
    /// Absent for what the controller itself records (inventory, rules).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub facts: RedactionFacts,
    pub payload: Payload,
}

fn is_default(facts: &RedactionFacts) -> bool {
    *facts == RedactionFacts::default()
}

impl Record {
    /// The object whose standing state this record sets, if it does: the newest record of each such key is carried into
    /// every new partition, so that dropping old partitions loses no rule and no pod.
    pub fn standing_key(&self) -> Option<String> {
        match &self.payload {
            Payload::Inventory(InventoryChange::Node(NodeFacts { name, .. }) | InventoryChange::NodeGone { name }) => {
                Some(format!("node/{name}"))
            }
            Payload::Inventory(InventoryChange::Pod(PodFacts { uid, .. }) | InventoryChange::PodGone { uid }) => {
                Some(format!("pod/{uid}"))
            }
            Payload::Rule(RuleChange::Accepted { rule, .. } | RuleChange::Removed { rule }) => {
                Some(format!("rule/{}/{rule}", rule.kind.as_str()))
            }
            Payload::Triage(TriageChange { namespace, name, .. }) => Some(format!("triage/{namespace}/{name}")),
            Payload::Audit(_) | Payload::Line(_) | Payload::Quarantined(_) | Payload::Tick => None,
        }
    }

    /// True when this record ends what its `standing_key` stood for.
    pub fn ends_standing(&self) -> bool {
        match &self.payload {
            Payload::Inventory(change) => {
                matches!(change, InventoryChange::NodeGone { .. } | InventoryChange::PodGone { .. })
            }
            Payload::Rule(change) => matches!(change, RuleChange::Removed { .. }),
            Payload::Triage(change) => change.triage.is_none(),
            Payload::Audit(_) | Payload::Line(_) | Payload::Quarantined(_) | Payload::Tick => false,
        }
    }
}
