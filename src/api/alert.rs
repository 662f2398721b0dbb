//! `SecurityAlert`: the findings of one rule and key. `spec` names it and belongs to people (`triage`); everything else
//! is `status` and belongs to the controller, so who may triage can't forge facts.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, list_atomic, list_map_by_name, list_map_by_type, list_set,
    rule::{Severity, Source},
};

#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "kubewitness.io",
    version = "v1alpha1",
    kind = "SecurityAlert",
    doc = "The findings of one rule and key. People write spec.triage; status is the controller's alone.",
    namespaced,
    status = "SecurityAlertStatus",
    shortname = "secalert",
    category = "kubewitness",
    derive = "PartialEq",
    selectable = ".status.severity",
    selectable = ".status.state",
    selectable = ".spec.ruleRef.name",
    printcolumn = r#"{"name":"Severity","type":"string","jsonPath":".status.severity"}"#,
    printcolumn = r#"{"name":"Rule","type":"string","jsonPath":".spec.ruleRef.name"}"#,
    printcolumn = r#"{"name":"Subject","type":"string","jsonPath":".status.subject"}"#,
    printcolumn = r#"{"name":"Count","type":"integer","jsonPath":".status.count"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Last","type":"date","jsonPath":".status.lastSeen"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Summary","type":"string","jsonPath":".status.summary","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.ruleRef == oldSelf.ruleRef").message("ruleRef is immutable"),
    validation = Rule::new("has(self.key) == has(oldSelf.key) && (!has(self.key) || self.key == oldSelf.key)").message("key is immutable")
)]
pub struct SecurityAlertSpec {
    pub rule_ref: RuleRef,
    /// The values of the rule's `groupBy`, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_map_by_name)]
    pub key: Vec<KeyValue>,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triage: Option<Triage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleRef {
    pub kind: RuleKind,
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RuleKind {
    ClusterSecurityRule,
    SecurityRule,
}

impl RuleKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::ClusterSecurityRule => "ClusterSecurityRule",
            RuleKind::SecurityRule => "SecurityRule",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyValue {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    #[schemars(length(max = 1024))]
    pub value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Triage {
    /// Somebody is looking at it.
    #[serde(default)]
    pub acknowledged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// What it turned out to be. A verdict does not close the alert: quiet time does.
    pub verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    /// Who looks at it.
    pub assignee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    /// What the next person should know.
    pub note: Option<String>,
    /// Start of the episode that this speaks of; when left out, the one that was current when it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    TruePositive,
    FalsePositive,
    Benign,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AlertState {
    #[default]
    Open,
    Acknowledged,
    Resolved,
}

/// Facts, written by the controller alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityAlertStatus {
    pub state: AlertState,
    pub severity: Severity,
    #[schemars(length(max = 1024))]
    pub summary: String,
    /// Who or what it is about, for the table.
    #[schemars(length(max = 512))]
    pub subject: String,
    /// Completing events of the current episode.
    #[schemars(range(min = 0))]
    pub count: u64,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 9)), transform = list_set)]
    pub attack: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_atomic)]
    pub entities: Vec<Entity>,
    /// The first and the last few contributing events, and the newest of each selector, so that every source has its say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_atomic)]
    pub evidence: Vec<EvidenceItem>,
    /// The current episode and the last few before it, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_atomic)]
    pub episodes: Vec<Episode>,
    /// What became of the alert itself: opened, resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_atomic)]
    pub timeline: Vec<TimelineEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_map_by_type)]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EntityKind {
    User,
    ServiceAccount,
    Pod,
    Workload,
    Node,
    Address,
    Resource,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    pub kind: EntityKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
}

fn audit() -> Source {
    Source::Audit
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceItem {
    /// The record's id in the store, in hexadecimal.
    #[schemars(length(max = 64))]
    pub record: String,
    pub time: Timestamp,
    /// Which kind of log told it.
    #[serde(default = "audit")]
    pub source: Source,
    /// The node that reported it: the API server's for an audit event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub host: String,
    #[schemars(length(max = 63))]
    pub selector: String,
    /// One redacted line that says what happened.
    #[schemars(length(max = 512))]
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Episode {
    pub start: Timestamp,
    pub end: Timestamp,
    #[schemars(range(min = 1))]
    pub count: u64,
    pub severity: Severity,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub time: Timestamp,
    #[schemars(length(max = 256))]
    pub message: String,
}
