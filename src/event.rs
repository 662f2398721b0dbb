//! The one normalised event: Elastic Common Schema names and types, our own `kubernetes`, and the audit event under its
//! own names. In: what a normaliser read. Out: what rules see. The schema table (`schema`) names every field once.

pub mod audit;
pub mod body;
pub mod schema;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

pub use audit::AuditEvent;
pub use body::Body;

use crate::{
    api::rule::Source,
    record::{Origin, RecordId},
};

/// How finely a source stamps its events. Ordered steps compare at the coarser of two precisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    Micros,
    Second,
}

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

/// A normalised event. An unset string is empty, a number 0, a list empty, as unset proto3 fields are in CEL.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: RecordId,
    pub source: Source,
    /// When it happened, by its source's clock; clamped to receipt + 5 min.
    pub created: Timestamp,
    pub precision: Precision,
    pub received: Timestamp,
    pub origin: Origin,
    /// What redaction removed: paths.
    pub redacted: Vec<String>,
    pub secret_like_values: u32,
    pub incomplete: Vec<&'static str>,
    /// The source's clock was ahead of receipt by more than 5 min.
    pub clamped: bool,
    /// ECS `event.category`: `api`, `iam`, `configuration`, `process`, `authentication` …
    pub category: Vec<&'static str>,
    /// ECS `event.type`: `access`, `creation`, `change`, `deletion`, `start`, `allowed`, `denied` …
    pub type_: Vec<&'static str>,
    pub action: String,
    pub outcome: Outcome,
    pub reason: String,
    pub code: String,
    pub provider: &'static str,
    pub user: User,
    /// The last hop of an audit event's `sourceIPs` that is no configured proxy; in canonical text form.
    pub source_ip: String,
    /// Addresses that the client only claims (all but the last hop of `sourceIPs`).
    pub claimed_ips: Vec<String>,
    pub user_agent: String,
    /// Where the actor runs, joined by `enrich`.
    pub kubernetes: Place,
    /// What is acted upon, when it is a pod or runs on a node.
    pub target: Place,
    pub message: String,
    pub audit: Option<Arc<AuditEvent>>,
}

/// ECS `user`, with `effective` for impersonation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub id: String,
    pub effective_name: String,
}

/// A place in the cluster: any part may be unknown (empty).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub namespace: String,
    pub pod_name: String,
    pub pod_uid: String,
    pub container: String,
    pub node: String,
    pub workload_kind: String,
    pub workload_name: String,
    pub service_account: String,
    pub service_account_namespace: String,
    pub labels: BTreeMap<String, String>,
    /// True when the address belongs to a node and so does not name one pod (hostNetwork, SNAT).
    pub ambiguous: bool,
}
