//! The tests that a rule carries: input envelopes, the passing of time, and the alerts they must raise.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    Span, list_atomic, list_map_by_name,
    rule::{Severity, Source},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleTest {
    /// What it claims, in words.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// What the cluster looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<TestInventory>,
    #[schemars(length(min = 1, max = 64), transform = list_atomic)]
    pub input: Vec<TestInput>,
    /// Lets time pass up to this offset from the start of the test, behind the last input: for Absence, of which nothing later
    /// is decided. Time ends with the last input when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_to: Option<Span>,
    /// Exactly the alerts that must be there; `[]` when it must stay quiet.
    #[schemars(length(max = 32), transform = list_atomic)]
    pub expect: Vec<ExpectedAlert>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestInventory {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_map_by_name)]
    pub nodes: Vec<TestNode>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), transform = list_atomic)]
    pub pods: Vec<TestPod>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestNode {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64)), transform = list_atomic)]
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestPod {
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub uid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub node: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 64)), transform = list_atomic)]
    pub addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub service_account: String,
    /// `KIND/NAME` of the controlling workload, such as `Deployment/web`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 317))]
    pub workload: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
}

/// One input, `repeat`ed every `every`, the first at `at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestInput {
    /// Offset of the event's own time from the start of the test.
    #[serde(default)]
    pub at: Span,
    /// How often it comes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub repeat: u32,
    /// Time between two of them.
    #[serde(default, skip_serializing_if = "Span::is_zero")]
    pub every: Span,
    /// Offset at which it was received; the event's own time when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Span>,
    #[serde(default = "audit")]
    pub source: Source,
    /// The node that a line comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub host: String,
    /// Path on the node; when left out, of a file that such lines are in: the system's log (Node), nginx's access log
    /// (Web), the output of a container that nobody knows (Container).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub file: String,
    /// A log line; the format is recognised from the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub log: Option<String>,
    /// A partial `audit.k8s.io/v1` Event; absent auditID, level, stage and stamps are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<FreeForm>,
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

fn audit() -> Source {
    Source::Audit
}

/// A JSON object whose fields are not ours to name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeForm(pub serde_json::Map<String, serde_json::Value>);

impl JsonSchema for FreeForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FreeForm".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
    }
}

/// An alert that must be there, with exactly these values where they are given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedAlert {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub key: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// Completing events over all episodes: for a Threshold of 3, the third match of a window is the first to count.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub summary: Option<String>,
}
