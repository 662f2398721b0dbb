//! `ClusterSecurityRule` and `SecurityRule`: one spec in two scopes.

use std::fmt;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Span, list_atomic, list_map_by_name, list_map_by_type, list_set, rule_test::RuleTest};

/// A rule over all events. Its alerts live in the controller's namespace.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubewitness.io",
    version = "v1alpha1",
    kind = "ClusterSecurityRule",
    doc = "A rule over all events. Its alerts live in the controller's namespace.",
    status = "RuleStatus",
    shortname = "csrule",
    category = "kubewitness",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Severity","type":"string","jsonPath":".spec.severity"}"#,
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.detection.type"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Title","type":"string","jsonPath":".spec.title","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct ClusterSecurityRuleSpec(pub RuleSpec);

/// A tenant's rule. It sees only audit events of its own namespace, never cluster-scoped objects, and its alerts
/// live in that namespace.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kubewitness.io",
    version = "v1alpha1",
    kind = "SecurityRule",
    doc = "A rule over the audit events of its own namespace. Its alerts live there too.",
    namespaced,
    status = "RuleStatus",
    shortname = "secrule",
    category = "kubewitness",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Severity","type":"string","jsonPath":".spec.severity"}"#,
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.detection.type"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Title","type":"string","jsonPath":".spec.title","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct SecurityRuleSpec(pub RuleSpec);

/// What to look for, how matches combine, what the alert says, and the tests that prove it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSpec {
    /// One line, as an on-call person would say it.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// What it means and what to check first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    pub severity: Severity,
    /// MITRE ATT&CK technique ids, such as T1110.001.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 9), regex(pattern = r"^T[0-9]{4}(\.[0-9]{3})?$")), transform = list_set)]
    pub attack: Vec<String>,
    /// What makes false alarms, and how to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)), transform = list_atomic)]
    pub false_positives: Vec<String>,
    /// Named sub-expressions, usable as `variables.NAME` in every expression of the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_map_by_name)]
    pub variables: Vec<Variable>,
    /// Which events take part.
    #[schemars(length(min = 1, max = 8), transform = list_map_by_name)]
    pub selectors: Vec<Selector>,
    /// The join key. All values must be present; an empty value joins nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_map_by_name)]
    pub group_by: Vec<GroupKey>,
    /// How matches become a finding; one Match when left out.
    #[serde(default)]
    pub detection: Detection,
    #[serde(default)]
    pub alert: AlertSpec,
    /// True: evaluates nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Alert, or DryRun: findings are counted and make no alert.
    #[serde(default)]
    pub mode: RuleMode,
    /// The rule's own tests. They run before it goes live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = list_map_by_name)]
    pub tests: Vec<RuleTest>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 5] =
        [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Informational => "Informational",
            Severity::Low => "Low",
            Severity::Medium => "Medium",
            Severity::High => "High",
            Severity::Critical => "Critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RuleMode {
    /// Findings become alerts.
    #[default]
    Alert,
    /// Findings are counted, in a metric, and make no alert.
    DryRun,
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Source {
    /// Kubernetes API server audit events.
    Audit,
    /// A node's own logs: authentication, syslog, kernel.
    Node,
    /// Pod output that is not an access log.
    Container,
    /// Web and ingress access logs.
    Web,
}

impl Source {
    pub const ALL: [Source; 4] = [Source::Audit, Source::Node, Source::Container, Source::Web];

    pub fn as_str(self) -> &'static str {
        match self {
            Source::Audit => "Audit",
            Source::Node => "Node",
            Source::Container => "Container",
            Source::Web => "Web",
        }
    }
}

/// The stages of an API request (k8s.io/apiserver pkg/apis/audit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// An identifier: letters, digits and `_`, not beginning with a digit.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub name: String,
    /// A CEL expression over the event.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// An identifier, used by `groupBy`, `detection` and the summary.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub name: String,
    pub source: Source,
    /// A CEL expression that is true for the events that take part.
    #[serde(rename = "where")]
    #[schemars(length(min = 1, max = 4096))]
    pub where_: String,
    /// Audit only: the stages to look at, instead of one per request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), transform = list_set)]
    pub stages: Vec<Stage>,
}

/// One part of the join key: `value`, unless `from` names another for a selector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.value) || (has(self.from) && self.from.size() > 0)").message("a groupBy key must have value or from"))]
pub struct GroupKey {
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub name: String,
    /// A CEL expression, for every selector that `from` does not name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_map_by_selector)]
    pub from: Vec<GroupKeyFrom>,
}

fn list_map_by_selector(schema: &mut schemars::Schema) {
    super::list_map_by(schema, "selector");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupKeyFrom {
    #[schemars(length(min = 1, max = 63))]
    pub selector: String,
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DetectionType {
    #[default]
    Match,
    Threshold,
    Sequence,
    Absence,
    NewValue,
}

impl DetectionType {
    pub fn as_str(self) -> &'static str {
        match self {
            DetectionType::Match => "Match",
            DetectionType::Threshold => "Threshold",
            DetectionType::Sequence => "Sequence",
            DetectionType::Absence => "Absence",
            DetectionType::NewValue => "NewValue",
        }
    }
}

/// A discriminated union: `type` names the one member that is set (Match has none).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.threshold) == (has(self.type) && self.type == 'Threshold')").message("threshold must be set if and only if type is Threshold"),
    validation = Rule::new("has(self.sequence) == (has(self.type) && self.type == 'Sequence')").message("sequence must be set if and only if type is Sequence"),
    validation = Rule::new("has(self.absence) == (has(self.type) && self.type == 'Absence')").message("absence must be set if and only if type is Absence"),
    validation = Rule::new("has(self.newValue) == (has(self.type) && self.type == 'NewValue')").message("newValue must be set if and only if type is NewValue")
)]
pub struct Detection {
    #[serde(rename = "type", default)]
    pub type_: DetectionType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<Absence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_value: Option<NewValue>,
}

/// `count` matches of one key, or `count` distinct values among them, within a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// The selector that is counted; may be left out when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub selector: Option<String>,
    /// A line that was repeated N times is N matches.
    #[schemars(range(min = 1, max = 10_000))]
    pub count: u32,
    /// A CEL expression; set, `count` is of its distinct non-empty values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub distinct: Option<String>,
    pub within: Span,
}

/// Steps that all occur within a span, in order unless `ordered` is false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sequence {
    pub within: Span,
    #[serde(default = "yes")]
    pub ordered: bool,
    #[schemars(length(min = 2, max = 8), transform = list_atomic)]
    pub steps: Vec<Step>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    #[schemars(length(min = 1, max = 63))]
    pub selector: String,
    /// How many matches the step needs. A line that was repeated N times is N of them.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub count: u32,
}

/// The expected event stays away for a span. Found when time has passed over the deadline, by the clock of the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Absence {
    /// The selector that is expected.
    #[schemars(length(min = 1, max = 63))]
    pub selector: String,
    /// The selector after each event of which it is expected. Left out, it is expected after each of its own: a key that has
    /// shown it falls silent, which is found once until it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub after: Option<String>,
    /// An event at the very end of the span is in time.
    pub within: Span,
}

/// A value that the key has not shown before, after a learning span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewValue {
    /// A CEL expression over the matching event; an empty value takes no part.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
    /// How long a key is learned from its first event on: nothing is found then. With 0s the first value is new already.
    pub learn_for: Span,
    /// A value not seen for longer is forgotten, and new when it comes back; so is a key, which is learned anew.
    pub forget_after: Span,
}

/// What the alert says and when its episode ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertSpec {
    /// A sentence with `{key.NAME}`, `{SELECTOR.field.path}`, `{SELECTOR.count}` and, with one selector, `{field.path}`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub summary: String,
    /// Quiet time after which the episode ends; 1h when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve_after: Option<Span>,
}

/// What the controller says of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// The generation that the conditions speak of.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// The generation that evaluates: the last one that was accepted. 0 when none was.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub accepted_generation: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = list_map_by_type)]
    pub conditions: Vec<Condition>,
    /// Event time of the newest finding, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_finding_time: Option<Timestamp>,
    /// Matches of the rule that were dropped before their time, for want of room, since the controller started: what they
    /// would have been part of is missing. 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub evicted_matches: i64,
    /// What the accepted generation needs from its sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requirements>,
    /// What the linter doubts about the observed generation. None of it keeps the rule from evaluating.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = list_atomic)]
    pub warnings: Vec<RuleWarning>,
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// One warning of the linter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleWarning {
    /// Its id, which the rule language's reference explains.
    #[schemars(length(min = 1, max = 64))]
    pub lint: String,
    /// The field of the rule.
    #[schemars(length(max = 256))]
    pub field: String,
    /// Place, what is doubtful, the remedy, and an excerpt.
    #[schemars(length(max = 4096))]
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirements {
    #[schemars(length(max = 4), transform = list_set)]
    pub sources: Vec<Source>,
    /// The lowest audit policy level at which every field that it reads is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_level: Option<AuditLevel>,
    /// The event fields that it reads.
    #[schemars(length(max = 64), inner(length(max = 256)), transform = list_set)]
    pub fields: Vec<String>,
}

/// Audit policy levels (k8s.io/apiserver pkg/apis/audit), ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AuditLevel {
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl AuditLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            AuditLevel::None => "None",
            AuditLevel::Metadata => "Metadata",
            AuditLevel::Request => "Request",
            AuditLevel::RequestResponse => "RequestResponse",
        }
    }
}
