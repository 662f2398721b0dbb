//! `LogSource`: which files collectors read on which nodes, and how they are parsed. The controller resolves the objects for
//! each node and serves the outcome (`Assignment`) to the node's collector, which needs no rights of its own.

use std::{collections::BTreeMap, fmt};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, list_map_by_type, rule::Source};

mod assignments;

pub use assignments::{Assignments, BadSource, CheckedSource, Labels, NodeSources};

/// Audience of the ServiceAccount tokens by which collectors show who they are: good for nothing else.
pub const COLLECTOR_AUDIENCE: &str = "kubewitness.io/collector";

/// What collectors read on the nodes that it selects.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "kubewitness.io",
    version = "v1alpha1",
    kind = "LogSource",
    doc = "Which log files collectors read on which nodes, and how the lines are parsed.",
    status = "LogSourceStatus",
    category = "kubewitness",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Source","type":"string","jsonPath":".spec.source"}"#,
    printcolumn = r#"{"name":"Format","type":"string","jsonPath":".spec.format"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Nodes","type":"integer","jsonPath":".status.nodes"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "(self.source == 'Audit') == (has(self.format) && self.format == 'Audit')",
    "source Audit and format Audit go together: lines of an API server's audit log are audit events"
))]
pub struct LogSourceSpec {
    /// What the lines are about. Audit: the files are an API server's own audit log.
    pub source: Source,
    /// Absolute paths, with `*`, `?` and `[…]` within one path segment. Symbolic links are followed only while they stay
    /// below the same directory.
    #[schemars(length(min = 1, max = 16), inner(length(min = 2, max = 512), regex(pattern = "^/")))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub paths: Vec<String>,
    /// How lines are parsed.
    #[serde(default)]
    pub format: LineFormat,
    /// IANA name of the time zone of stamps that have none (RFC 3164), such as `Europe/Berlin`. UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Where a file that was never read before is begun.
    #[serde(default)]
    pub start: Start,
    /// Labels that a node must have, all of them; empty selects every node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,
}

/// How the lines of a file are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LineFormat {
    /// Recognised line by line.
    #[default]
    Auto,
    /// RFC 3164, RFC 5424, or the same with RFC 3339 stamps as rsyslog writes them.
    Syslog,
    /// Common and combined access logs of nginx and Apache.
    Combined,
    /// The API server's audit log: one `audit.k8s.io/v1` Event a line.
    Audit,
}

impl LineFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            LineFormat::Auto => "Auto",
            LineFormat::Syslog => "Syslog",
            LineFormat::Combined => "Combined",
            LineFormat::Audit => "Audit",
        }
    }
}

impl fmt::Display for LineFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a file that was never read before is begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Start {
    /// At its first byte.
    #[default]
    Beginning,
    /// At its end: what was written before the source was made is not read.
    End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogSourceStatus {
    /// How many nodes it selects now.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub nodes: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_map_by_type)]
    pub conditions: Vec<Condition>,
}

/// What the collector of one node is to read; the answer to `GET /sources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    pub node: String,
    pub sources: Vec<AssignedSource>,
}

/// One LogSource as it applies to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedSource {
    /// Of the LogSource.
    pub name: String,
    pub source: Source,
    pub paths: Vec<String>,
    #[serde(default)]
    pub format: LineFormat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default)]
    pub start: Start,
}
