//! The field schema: one table of path, type, sources, meaning and getter. The type checker, the evaluator, the linter and
//! the reference page all read it, so a field exists for all of them or for none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Body, Event, Pairs, Text, audit::UserInfo};
use crate::api::rule::{
    AuditLevel, Source,
    Source::{Audit, Container, Node, Web},
};

/// The static type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    String,
    Int,
    Bool,
    Timestamp,
    /// `list(string)`
    Strings,
    /// `map(string, string)`
    StringMap,
    /// `map(string, list(string))`
    StringsMap,
    /// Any JSON: a missing key is an error at run time.
    Dyn,
}

impl FieldType {
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::Int => "int",
            FieldType::Bool => "bool",
            FieldType::Timestamp => "timestamp",
            FieldType::Strings => "list(string)",
            FieldType::StringMap => "map(string, string)",
            FieldType::StringsMap => "map(string, list(string))",
            FieldType::Dyn => "dyn",
        }
    }
}

/// The value of a field in one event, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'a> {
    Str(&'a str),
    Int(i64),
    Bool(bool),
    Timestamp(Timestamp),
    /// `None` stands for a time that the source did not give: CEL's zero timestamp, 1970-01-01T00:00:00Z.
    NoTimestamp,
    Strings(&'a [Text<'a>]),
    OwnedStrings(&'a [String]),
    StaticStrings(&'a [&'static str]),
    StringMap(&'a BTreeMap<String, String>),
    StringPairs(&'a [(Text<'a>, Text<'a>)]),
    StringsPairs(&'a [(Text<'a>, Vec<Text<'a>>)]),
    /// A body; `None` when the event has none.
    Json(Option<&'a Value>),
}

/// One field that rules can name.
#[derive(Debug)]
pub struct Field {
    pub path: &'static str,
    pub type_: FieldType,
    /// Which sources ever set it.
    pub sources: &'static [Source],
    /// The lowest audit level at which an Audit event has it.
    pub audit_level: AuditLevel,
    /// The only values it can hold, for enumerations: a comparison with another is a compile error.
    pub values: &'static [&'static str],
    pub meaning: &'static str,
    pub get: for<'a> fn(&'a Event<'a>) -> FieldValue<'a>,
    /// Of a `Dyn`: whether there is one, without decoding it. False for all others.
    pub is_there: for<'a> fn(&'a Event<'a>) -> bool,
}

const ALL: &[Source] = &[Audit, Node, Container, Web];
const AUDIT: &[Source] = &[Audit];
const LINES: &[Source] = &[Node, Container, Web];

const fn field(
    path: &'static str,
    type_: FieldType,
    sources: &'static [Source],
    meaning: &'static str,
    get: for<'a> fn(&'a Event<'a>) -> FieldValue<'a>,
) -> Field {
    Field { path, type_, sources, audit_level: AuditLevel::Metadata, values: &[], meaning, get, is_there: |_| false }
}

const fn one_of(mut field: Field, values: &'static [&'static str]) -> Field {
    field.values = values;
    field
}

const fn there(mut field: Field, is_there: for<'a> fn(&'a Event<'a>) -> bool) -> Field {
    field.is_there = is_there;
    field
}

const fn at_level(mut field: Field, level: AuditLevel) -> Field {
    field.audit_level = level;
    field
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
static NO_USER: UserInfo<'static> =
    UserInfo { username: Text::EMPTY, uid: Text::EMPTY, groups: Vec::new(), extra: Pairs::EMPTY };

fn labels<'a>(place: &'a super::Place<'a>) -> FieldValue<'a> {
    FieldValue::StringMap(place.labels.unwrap_or(&NO_LABELS))
}

fn text(value: &str) -> FieldValue<'_> {
    FieldValue::Str(value)
}

fn audit_text<'a>(e: &'a Event<'a>, get: impl FnOnce(&'a super::AuditEvent<'a>) -> &'a str) -> FieldValue<'a> {
    FieldValue::Str(e.audit.as_deref().map_or("", get))
}

fn object_ref<'a>(e: &'a Event<'a>, get: impl FnOnce(&'a super::audit::ObjectRef<'a>) -> &'a str) -> FieldValue<'a> {
    FieldValue::Str(e.audit.as_deref().and_then(|a| a.object_ref.as_ref()).map_or("", get))
}

fn status<'a>(e: &'a Event<'a>, get: impl FnOnce(&'a super::audit::ResponseStatus<'a>) -> &'a str) -> FieldValue<'a> {
    FieldValue::Str(e.audit.as_deref().and_then(|a| a.response_status.as_ref()).map_or("", get))
}

fn user<'a>(e: &'a Event<'a>) -> &'a UserInfo<'a> {
    e.audit.as_deref().map_or(&NO_USER, |a| &a.user)
}

fn impersonated<'a>(e: &'a Event<'a>) -> &'a UserInfo<'a> {
    e.audit.as_deref().and_then(|a| a.impersonated_user.as_ref()).unwrap_or(&NO_USER)
}

fn time(stamp: Option<Timestamp>) -> FieldValue<'static> {
    stamp.map_or(FieldValue::NoTimestamp, FieldValue::Timestamp)
}

/// Every field, sorted by path.
#[rustfmt::skip] // a table reads best as one
pub static FIELDS: &[Field] = &[
    field("audit.annotations", FieldType::StringMap, AUDIT, "Annotations of the audit event, such as the authorizer's decision and reason.",
        |e| FieldValue::StringPairs(e.audit.as_deref().map_or(&[], |a| a.annotations.as_slice()))),
    field("audit.auditID", FieldType::String, AUDIT, "Id of the request. A client may choose it (`Audit-ID` header), so it proves nothing.",
        |e| audit_text(e, |a| &a.audit_id)),
    field("audit.impersonatedUser.extra", FieldType::StringsMap, AUDIT, "Extra attributes of the claimed user.",
        |e| FieldValue::StringsPairs(impersonated(e).extra.as_slice())),
    field("audit.impersonatedUser.groups", FieldType::Strings, AUDIT, "Groups of the claimed user.",
        |e| FieldValue::Strings(&impersonated(e).groups)),
    field("audit.impersonatedUser.uid", FieldType::String, AUDIT, "Uid of the claimed user.",
        |e| text(&impersonated(e).uid)),
    field("audit.impersonatedUser.username", FieldType::String, AUDIT, "Name that the user acts as, by impersonation; empty when there is none.",
        |e| text(&impersonated(e).username)),
    one_of(field("audit.level", FieldType::String, AUDIT, "Audit level of the event.",
        |e| audit_text(e, |a| a.level.as_str())), &["None", "Metadata", "Request", "RequestResponse"]),
    field("audit.objectRef.apiGroup", FieldType::String, AUDIT, "API group; empty for the core group.",
        |e| object_ref(e, |o| &o.api_group)),
    field("audit.objectRef.apiVersion", FieldType::String, AUDIT, "API version, without the group.",
        |e| object_ref(e, |o| &o.api_version)),
    field("audit.objectRef.name", FieldType::String, AUDIT, "Name of the object; empty for a list, and often for a create.",
        |e| object_ref(e, |o| &o.name)),
    field("audit.objectRef.namespace", FieldType::String, AUDIT, "Namespace of the object; for a namespace itself, its name.",
        |e| object_ref(e, |o| &o.namespace)),
    field("audit.objectRef.resource", FieldType::String, AUDIT, "Plural resource name, such as `pods`.",
        |e| object_ref(e, |o| &o.resource)),
    field("audit.objectRef.resourceVersion", FieldType::String, AUDIT, "Resource version that the request named.",
        |e| object_ref(e, |o| &o.resource_version)),
    field("audit.objectRef.subresource", FieldType::String, AUDIT, "Subresource, such as `exec`, `status`, `token`.",
        |e| object_ref(e, |o| &o.subresource)),
    field("audit.objectRef.uid", FieldType::String, AUDIT, "Uid of the object, when the request named it.",
        |e| object_ref(e, |o| &o.uid)),
    at_level(there(field("audit.requestObject", FieldType::Dyn, AUDIT, "Body of the request, redacted: an object, or an array for a JSON patch.",
        |e| FieldValue::Json(e.audit.as_deref().and_then(|a| a.request_object.as_ref()).map(Body::value))),
        |e| e.audit.as_deref().is_some_and(|a| a.request_object.is_some())), AuditLevel::Request),
    field("audit.requestReceivedTimestamp", FieldType::Timestamp, AUDIT, "When the API server received the request.",
        |e| time(e.audit.as_deref().and_then(|a| a.request_received_timestamp))),
    field("audit.requestURI", FieldType::String, AUDIT, "Path and query of the request, redacted.",
        |e| audit_text(e, |a| &a.request_uri)),
    at_level(there(field("audit.responseObject", FieldType::Dyn, AUDIT, "Body of the answer, redacted.",
        |e| FieldValue::Json(e.audit.as_deref().and_then(|a| a.response_object.as_ref()).map(Body::value))),
        |e| e.audit.as_deref().is_some_and(|a| a.response_object.is_some())), AuditLevel::RequestResponse),
    field("audit.responseStatus.code", FieldType::Int, AUDIT, "HTTP status code of the answer; 0 when there is none yet.",
        |e| FieldValue::Int(e.audit.as_deref().map_or(0, super::AuditEvent::code))),
    field("audit.responseStatus.message", FieldType::String, AUDIT, "Message of a failed request.",
        |e| status(e, |s| &s.message)),
    field("audit.responseStatus.reason", FieldType::String, AUDIT, "Machine-readable reason of a failed request, such as `Forbidden`.",
        |e| status(e, |s| &s.reason)),
    field("audit.responseStatus.status", FieldType::String, AUDIT, "`Success` or `Failure`; often empty on success.",
        |e| status(e, |s| &s.status)),
    field("audit.sourceIPs", FieldType::Strings, AUDIT, "Addresses of the client and its proxies. All but the last are only claims.",
        |e| FieldValue::Strings(e.audit.as_deref().map_or(&[], |a| &a.source_ips))),
    one_of(field("audit.stage", FieldType::String, AUDIT, "Stage of the request.",
        |e| audit_text(e, |a| a.stage.as_str())), &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]),
    field("audit.stageTimestamp", FieldType::Timestamp, AUDIT, "When the request reached the stage.",
        |e| time(e.audit.as_deref().and_then(|a| a.stage_timestamp))),
    field("audit.user.extra", FieldType::StringsMap, AUDIT, "Extra attributes of the user, such as `authentication.kubernetes.io/pod-name`.",
        |e| FieldValue::StringsPairs(user(e).extra.as_slice())),
    field("audit.user.groups", FieldType::Strings, AUDIT, "Groups of the user.",
        |e| FieldValue::Strings(&user(e).groups)),
    field("audit.user.uid", FieldType::String, AUDIT, "Uid of the user.",
        |e| text(&user(e).uid)),
    field("audit.user.username", FieldType::String, AUDIT, "Name of the authenticated user, before impersonation.",
        |e| text(&user(e).username)),
    field("audit.userAgent", FieldType::String, AUDIT, "What the client calls itself.",
        |e| audit_text(e, |a| &a.user_agent)),
    field("audit.verb", FieldType::String, AUDIT, "Verb of the request, such as `get`, `list`, `create`, `patch`; lower-case HTTP method for non-resource requests.",
        |e| audit_text(e, |a| &a.verb)),
    field("cluster.name", FieldType::String, ALL, "Cluster that the event belongs to.",
        |e| text(&e.origin.cluster)),
    field("event.action", FieldType::String, ALL, "What was done; the verb of an audit event.",
        |e| text(&e.action)),
    field("event.category", FieldType::Strings, ALL, "ECS categories, such as `api`, `iam`, `authentication`, `process`.",
        |e| FieldValue::StaticStrings(&e.category)),
    field("event.clamped", FieldType::Bool, ALL, "The source's clock was more than 5 min ahead of receipt; `event.created` is receipt + 5 min.",
        |e| FieldValue::Bool(e.clamped)),
    field("event.code", FieldType::String, ALL, "Code of the outcome as the source gives it.",
        |e| text(&e.code)),
    field("event.created", FieldType::Timestamp, ALL, "When it happened, by the source's clock (ECS `@timestamp`).",
        |e| FieldValue::Timestamp(e.created)),
    field("event.incomplete", FieldType::Strings, ALL, "Why the event is not all that was sent: `Oversize`, `TruncatedBySender`, `DuplicateKey`, `InvalidUtf8`, `MistypedField`, `Clipped`, `Ambiguous` (a line that reads in two ways), `AnswerReduced` (the client asked for a table or metadata alone as the answer, which is left out).",
        |e| FieldValue::StaticStrings(&e.incomplete)),
    field("event.ingested", FieldType::Timestamp, ALL, "When it was received.",
        |e| FieldValue::Timestamp(e.received)),
    one_of(field("event.kind", FieldType::String, ALL, "Always `event`.",
        |_| text("event")), &["event"]),
    one_of(field("event.outcome", FieldType::String, ALL, "`success`, `failure` (a status of 400 or more), or `unknown` (no answer yet).",
        |e| text(e.outcome.as_str())), &["success", "failure", "unknown"]),
    one_of(field("event.provenance", FieldType::String, ALL, "Which way it came, and so how far its text can be trusted.",
        |e| text(e.origin.provenance.as_str())), &["AuditWebhook", "AuditLog", "File", "Kernel", "Container"]),
    field("event.provider", FieldType::String, ALL, "The subsystem that reported it; `kubernetes-audit` for audit events.",
        |e| text(e.provider)),
    field("event.reason", FieldType::String, ALL, "Why it ended so, as the source says.",
        |e| text(&e.reason)),
    field("event.redacted", FieldType::Strings, ALL, "Paths of what redaction removed.",
        |e| FieldValue::OwnedStrings(e.redacted)),
    field("event.type", FieldType::Strings, ALL, "ECS types: `access`, `creation`, `change`, `deletion`, `start`, `allowed`, `denied`.",
        |e| FieldValue::StaticStrings(&e.type_)),
    there(field("fields", FieldType::Dyn, LINES, "What the parser found beyond the schema; a missing key is an error, so read it with `.?`. `repeated` is how many equal lines in a row rsyslog made one of (`message repeated 5 times: [ … ]`); thresholds count them.",
        |e| FieldValue::Json(e.fields.as_ref())), |e| e.fields.is_some()),
    field("file.path", FieldType::String, LINES, "File that the event is about, such as the one an LSM denied.",
        |e| text(&e.file_path)),
    field("group.id", FieldType::String, &[Node], "Id of the group that is acted upon.",
        |e| text(&e.group.id)),
    field("group.name", FieldType::String, &[Node], "Group that is created, changed or deleted, or that a user is added to or removed from.",
        |e| text(&e.group.name)),
    field("host.name", FieldType::String, ALL, "Node that reported it; for audit events, the API server's node.",
        |e| text(&e.origin.reporter)),
    field("http.request.method", FieldType::String, &[Web], "HTTP method as sent.",
        |e| text(&e.http.method)),
    field("http.request.referrer", FieldType::String, &[Web], "Referrer, redacted; empty when there is none.",
        |e| text(&e.http.referrer)),
    field("http.response.body.bytes", FieldType::Int, &[Web], "Bytes of the answer's body; 0 when unknown.",
        |e| FieldValue::Int(e.http.body_bytes)),
    field("http.response.status_code", FieldType::Int, &[Audit, Web], "HTTP status code of the answer; 0 when there is none.",
        |e| FieldValue::Int(e.http.status_code)),
    field("http.version", FieldType::String, &[Web], "HTTP version, such as `1.1`.",
        |e| text(&e.http.version)),
    field("kubernetes.ambiguous", FieldType::Bool, ALL, "The actor is known only by an address that several share (hostNetwork, SNAT).",
        |e| FieldValue::Bool(e.kubernetes.ambiguous)),
    field("kubernetes.container.name", FieldType::String, ALL, "Container of the actor.",
        |e| text(&e.kubernetes.container)),
    field("kubernetes.host_network", FieldType::Bool, ALL, "The actor's identity runs a pod in the network of its node, so a request from the node's address need not be a person there.",
        |e| FieldValue::Bool(e.kubernetes.host_network)),
    field("kubernetes.labels", FieldType::StringMap, ALL, "Labels of the pod of the actor.",
        |e| labels(&e.kubernetes)),
    field("kubernetes.namespace", FieldType::String, ALL, "Namespace of the actor.",
        |e| text(&e.kubernetes.namespace)),
    field("kubernetes.node.name", FieldType::String, ALL, "Node of the actor.",
        |e| text(&e.kubernetes.node)),
    field("kubernetes.pod.name", FieldType::String, ALL, "Pod of the actor.",
        |e| text(&e.kubernetes.pod_name)),
    field("kubernetes.pod.uid", FieldType::String, ALL, "Uid of the pod of the actor.",
        |e| text(&e.kubernetes.pod_uid)),
    field("kubernetes.secret_like_values", FieldType::Int, ALL, "How many removed values looked like credentials.",
        |e| FieldValue::Int(i64::from(e.secret_like_values))),
    field("kubernetes.service_account.name", FieldType::String, ALL, "Service account of the actor.",
        |e| text(&e.kubernetes.service_account)),
    field("kubernetes.service_account.namespace", FieldType::String, ALL, "Namespace of that service account.",
        |e| text(&e.kubernetes.service_account_namespace)),
    field("kubernetes.target.ambiguous", FieldType::Bool, ALL, "What is acted upon is known only by an address that several share (hostNetwork, SNAT).",
        |e| FieldValue::Bool(e.target.ambiguous)),
    field("kubernetes.target.labels", FieldType::StringMap, ALL, "Labels of the pod of what is acted upon.",
        |e| labels(&e.target)),
    field("kubernetes.target.namespace", FieldType::String, ALL, "Namespace of what is acted upon.",
        |e| text(&e.target.namespace)),
    field("kubernetes.target.node.name", FieldType::String, ALL, "Node of what is acted upon.",
        |e| text(&e.target.node)),
    field("kubernetes.target.pod.name", FieldType::String, ALL, "Pod of what is acted upon.",
        |e| text(&e.target.pod_name)),
    field("kubernetes.target.pod.uid", FieldType::String, ALL, "Uid of the pod of what is acted upon.",
        |e| text(&e.target.pod_uid)),
    field("kubernetes.target.service_account.name", FieldType::String, ALL, "Service account of what is acted upon.",
        |e| text(&e.target.service_account)),
    field("kubernetes.target.service_account.namespace", FieldType::String, ALL, "Namespace of that service account.",
        |e| text(&e.target.service_account_namespace)),
    field("kubernetes.target.workload.kind", FieldType::String, ALL, "Kind of the workload that owns the pod of what is acted upon.",
        |e| text(&e.target.workload_kind)),
    field("kubernetes.target.workload.name", FieldType::String, ALL, "Name of that workload.",
        |e| text(&e.target.workload_name)),
    field("kubernetes.workload.kind", FieldType::String, ALL, "Kind of the workload that owns the pod of the actor.",
        |e| text(&e.kubernetes.workload_kind)),
    field("kubernetes.workload.name", FieldType::String, ALL, "Name of that workload.",
        |e| text(&e.kubernetes.workload_name)),
    field("log.file.path", FieldType::String, LINES, "File that the line was read from.",
        |e| text(&e.log_file)),
    field("message", FieldType::String, ALL, "One line that says what happened.",
        |e| text(e.message())),
    field("process.command_line", FieldType::String, LINES, "What was run, such as the command of sudo, redacted.",
        |e| text(&e.process.command_line)),
    field("process.executable", FieldType::String, LINES, "Path of the program.",
        |e| text(&e.process.executable)),
    field("process.name", FieldType::String, LINES, "Name of the program as the log has it, such as `sshd-session`.",
        |e| text(&e.process.name)),
    field("process.pid", FieldType::Int, LINES, "Process id; 0 when unknown.",
        |e| FieldValue::Int(e.process.pid)),
    field("process.tty", FieldType::String, &[Node], "Terminal, such as `pts/0`; beyond ECS.",
        |e| text(&e.process.tty)),
    field("process.working_directory", FieldType::String, &[Node], "Directory in which it was run.",
        |e| text(&e.process.working_directory)),
    field("service.name", FieldType::String, LINES, "Service that wrote the line, normalised: `sshd` for `sshd-session` and `sshd-auth` too; `kernel`, `sudo`, `nginx`.",
        |e| text(&e.service)),
    field("source.claimed_ips", FieldType::Strings, ALL, "Addresses that the client only claims.",
        |e| FieldValue::Strings(&e.claimed_ips)),
    field("source.ip", FieldType::String, ALL, "Address that the request came from: the last hop.",
        |e| text(&e.source_ip)),
    field("source.node.name", FieldType::String, ALL, "Node whose own address `source.ip` is: somebody on that node, one of its hostNetwork pods, or a pod behind its SNAT.",
        |e| text(&e.source_node)),
    field("source.port", FieldType::Int, LINES, "Port of the client; 0 when unknown.",
        |e| FieldValue::Int(i64::from(e.source_port))),
    field("url.domain", FieldType::String, &[Web], "Virtual host, when the log has it.",
        |e| text(&e.url.domain)),
    field("url.original", FieldType::String, &[Audit, Web], "Path and query of the request, redacted.",
        |e| text(&e.url.original)),
    field("url.path", FieldType::String, &[Web], "Path of the request, percent-decoded once.",
        |e| text(&e.url.path)),
    field("url.query", FieldType::String, &[Web], "Query of the request without `?`, as sent, redacted.",
        |e| text(&e.url.query)),
    field("user.effective.name", FieldType::String, ALL, "Name that the user acts as, when it is another than `user.name`.",
        |e| text(&e.user.effective_name)),
    field("user.id", FieldType::String, ALL, "Id of the user.",
        |e| text(&e.user.id)),
    field("user.name", FieldType::String, ALL, "Name of the user who did it; with impersonation, the real one.",
        |e| text(&e.user.name)),
    field("user.target.id", FieldType::String, &[Node], "Id of the account that is acted upon.",
        |e| text(&e.user.target_id)),
    field("user.target.name", FieldType::String, &[Node], "Account that is acted upon: created, changed, deleted, or added to a group.",
        |e| text(&e.user.target_name)),
    field("user_agent.original", FieldType::String, &[Audit, Web], "What the client calls itself.",
        |e| text(&e.user_agent)),
];

/// The field at `path`, by binary search.
pub fn lookup(path: &str) -> Option<&'static Field> {
    FIELDS.binary_search_by(|f| f.path.cmp(path)).ok().map(|i| &FIELDS[i])
}

/// True when some field lies below `path` (`audit.objectRef` is such a prefix).
pub fn is_prefix(path: &str) -> bool {
    FIELDS.iter().any(|f| f.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_sorted_and_no_field_lies_below_another() {
        for pair in FIELDS.windows(2) {
            assert!(pair[0].path < pair[1].path, "{} before {}", pair[0].path, pair[1].path);
            assert!(
                !pair[1].path.starts_with(&format!("{}.", pair[0].path)),
                "{} below {}",
                pair[1].path,
                pair[0].path
            );
        }
        assert!(lookup("audit.verb").is_some());
        assert!(is_prefix("audit.objectRef") && !is_prefix("audit.verb") && !is_prefix("audi"));
    }
}
