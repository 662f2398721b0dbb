//! The one normalised event: Elastic Common Schema names and types, our own `kubernetes`, and the audit event under its
//! own names. In: what a normaliser read. Out: what rules see. The schema table (`schema`) names every field once.

pub mod actions;
pub mod audit;
pub mod body;
pub mod json;
mod plain;
pub mod schema;
mod stamp;
pub mod text;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use audit::AuditEvent;
pub use body::Body;
pub use json::Json;
pub use stamp::micro_time;
pub use text::{Pairs, Text};

use crate::{
    api::rule::Source,
    record::{Origin, RecordId},
};

/// How finely a source stamps its events. Ordered steps compare at the coarser of two precisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Precision {
    Micros,
    Second,
}

/// Most that one event counts for ([`Event::times`]): any process of a node can write that something came a billion times.
pub const MAX_TIMES: u32 = 1000;

/// ECS `event.outcome`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    Failure,
    #[default]
    Unknown,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unknown => "unknown",
        }
    }
}

/// A normalised event, borrowing from its record and the inventory. An unset string is empty, a number 0, a list empty, as
/// unset proto3 fields are in CEL.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    pub id: RecordId,
    pub source: Source,
    /// When it happened, by its source's clock; clamped to receipt + 5 min.
    pub created: Timestamp,
    pub precision: Precision,
    pub received: Timestamp,
    pub origin: &'a Origin,
    /// What redaction removed: paths.
    pub redacted: &'a [String],
    pub secret_like_values: u32,
    pub incomplete: Vec<&'static str>,
    /// The source's clock was ahead of receipt by more than 5 min.
    pub clamped: bool,
    /// ECS `event.category`: `api`, `iam`, `configuration`, `process`, `authentication` …
    pub category: Vec<&'static str>,
    /// ECS `event.type`: `access`, `creation`, `change`, `deletion`, `start`, `allowed`, `denied` …
    pub type_: Vec<&'static str>,
    pub action: Text<'a>,
    pub outcome: Outcome,
    pub reason: Text<'a>,
    pub code: Text<'a>,
    pub provider: &'static str,
    pub user: User<'a>,
    /// Client address in canonical text form. Of an audit event: the last hop of `sourceIPs` that is no configured proxy.
    pub source_ip: Text<'a>,
    /// Client port; 0 when unknown.
    pub source_port: u16,
    /// Node that has `source_ip` as an address of its own, as of the event's time.
    pub source_node: Text<'a>,
    /// Addresses that the client only claims (all but the last hop of `sourceIPs`).
    pub claimed_ips: Vec<Text<'a>>,
    pub user_agent: Text<'a>,
    /// Name of the service that wrote it, normalised: `sshd` for `sshd-session` too.
    pub service: Text<'a>,
    pub process: Process<'a>,
    pub group: Group<'a>,
    pub file_path: Text<'a>,
    /// The file that a line was read from.
    pub log_file: Text<'a>,
    pub http: Http<'a>,
    pub url: Url<'a>,
    /// Where the actor runs; for a line, the pod or node that wrote it. Joined by `enrich`.
    pub kubernetes: Place<'a>,
    /// What is acted upon, when it is a pod or runs on a node.
    pub target: Place<'a>,
    /// How often it happened: 1, or how many equal lines rsyslog folded into this one (1 to [`MAX_TIMES`]).
    pub times: u32,
    /// What a parser found beyond the schema: a JSON object, or none.
    pub fields: Option<serde_json::Value>,
    /// The text of a line behind its header. Empty for an audit event: see [`Event::message`].
    pub line: Text<'a>,
    pub audit: Option<Box<AuditEvent<'a>>>,
    /// What `wording` made of an audit event, when somebody asked.
    pub worded: std::cell::OnceCell<String>,
    /// Says in one line what an audit event is about. Few events are asked, so it is not made before.
    pub wording: fn(&AuditEvent<'_>) -> String,
}

impl<'a> Event<'a> {
    /// An event of which nothing is known but where it came from.
    pub fn blank(id: RecordId, source: Source, received: Timestamp, origin: &'a Origin) -> Event<'a> {
        Event {
            id,
            source,
            created: received,
            precision: Precision::Micros,
            received,
            origin,
            redacted: &[],
            secret_like_values: 0,
            incomplete: Vec::new(),
            clamped: false,
            category: Vec::new(),
            type_: Vec::new(),
            action: Text::EMPTY,
            outcome: Outcome::Unknown,
            reason: Text::EMPTY,
            code: Text::EMPTY,
            provider: "",
            user: User::default(),
            source_ip: Text::EMPTY,
            source_port: 0,
            source_node: Text::EMPTY,
            claimed_ips: Vec::new(),
            user_agent: Text::EMPTY,
            service: Text::EMPTY,
            process: Process::default(),
            group: Group::default(),
            file_path: Text::EMPTY,
            log_file: Text::EMPTY,
            times: 1,
            http: Http::default(),
            url: Url::default(),
            kubernetes: Place::default(),
            target: Place::default(),
            fields: None,
            line: Text::EMPTY,
            audit: None,
            worded: std::cell::OnceCell::new(),
            wording: |_| String::new(),
        }
    }

    /// One line that says what happened.
    pub fn message(&self) -> &str {
        match &self.audit {
            None => &self.line,
            Some(audit) => self.worded.get_or_init(|| (self.wording)(audit)),
        }
    }
}

/// ECS `process`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process<'a> {
    /// As it calls itself in the log.
    pub name: Text<'a>,
    /// 0 when unknown.
    pub pid: i64,
    pub executable: Text<'a>,
    /// What was run, such as sudo's `COMMAND=`; redacted.
    pub command_line: Text<'a>,
    pub working_directory: Text<'a>,
    /// Terminal, such as `pts/0`; ours, beyond ECS.
    pub tty: Text<'a>,
}

/// ECS `group`: the group that is created, changed or deleted, or that a user is added to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group<'a> {
    pub name: Text<'a>,
    pub id: Text<'a>,
}

/// ECS `http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http<'a> {
    pub method: Text<'a>,
    pub version: Text<'a>,
    pub referrer: Text<'a>,
    /// 0 when there is none.
    pub status_code: i64,
    /// Bytes of the answer's body; 0 when unknown.
    pub body_bytes: i64,
}

/// ECS `url`, redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url<'a> {
    pub original: Text<'a>,
    /// Percent-decoded once.
    pub path: Text<'a>,
    /// Without `?`, as sent.
    pub query: Text<'a>,
    /// Virtual host, when the log has it.
    pub domain: Text<'a>,
}

/// ECS `user`, with `effective` for impersonation and sudo, and `target` for the account that is acted upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User<'a> {
    pub name: Text<'a>,
    pub id: Text<'a>,
    pub effective_name: Text<'a>,
    pub target_name: Text<'a>,
    pub target_id: Text<'a>,
}

/// A place in the cluster: any part may be unknown (empty).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    pub namespace: Text<'a>,
    pub pod_name: Text<'a>,
    pub pod_uid: Text<'a>,
    pub container: Text<'a>,
    pub node: Text<'a>,
    pub workload_kind: Text<'a>,
    pub workload_name: Text<'a>,
    pub service_account: Text<'a>,
    pub service_account_namespace: Text<'a>,
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// The identity runs a pod in the network of its node.
    pub host_network: bool,
    /// True when the address belongs to a node and so does not name one pod (hostNetwork, SNAT).
    pub ambiguous: bool,
}
