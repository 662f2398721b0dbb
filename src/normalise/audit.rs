//! A Kubernetes audit event as a normalised one. In: a record with an audit payload. Out: an `Event`, its ECS categories
//! and types from verb and resource, its outcome from the status.

use jiff::{SignedDuration, Timestamp};

use super::{NormaliseError, Normaliser, address, text::one_line};
use crate::{
    api::rule::{Source, Stage},
    event::{
        AuditEvent, Event, Http, Outcome, Text, Url, User,
        actions::{AUDIT, is_of},
        audit::ObjectRef,
    },
    record::{Incomplete, Payload, Record},
};

/// A source's clock may be this far ahead of ours before we stop believing it.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Bytes of an event's message.
pub const MAX_MESSAGE: usize = 512;

const DECISION: &str = "authorization.k8s.io/decision";

impl Normaliser {
    /// Reads the audit event of `record`.
    pub fn audit<'a>(&self, record: &'a Record) -> Result<Event<'a>, NormaliseError> {
        let Payload::Audit(raw) = &record.payload else { return Err(NormaliseError::NotAudit(record.id)) };
        let Some(origin) = &record.origin else { return Err(NormaliseError::NoOrigin(record.id)) };
        let mut audit: AuditEvent<'a> =
            AuditEvent::read(raw.get()).map_err(|source| NormaliseError::Unreadable { id: record.id, source })?;
        let mut incomplete: Vec<&'static str> = record.facts.incomplete.iter().map(|why| why.as_str()).collect();
        // Or one header would hide a change from every rule that looks for it in the answer.
        if audit.response_object.take_if(|answer| answer.is_reduced()).is_some() {
            incomplete.push(Incomplete::AnswerReduced.as_str());
        }
        let (created, clamped) = created(&audit, record.received_at);
        let (source_ip, claimed_ips) = address::source_and_claims(&audit.source_ips, &self.proxies);
        let code = audit.code();
        Ok(Event {
            created,
            redacted: &record.facts.redacted,
            secret_like_values: record.facts.secret_like_values,
            incomplete,
            clamped,
            category: categories(&audit),
            type_: types(&audit),
            action: audit.verb.clone(),
            outcome: outcome(&audit),
            reason: audit.response_status.as_ref().map(|s| s.reason.clone()).unwrap_or_default(),
            code: if code == 0 { Text::EMPTY } else { code.to_string().into() },
            provider: AUDIT.provider,
            user: user(&audit),
            source_ip,
            claimed_ips,
            user_agent: audit.user_agent.clone(),
            http: Http { status_code: code, ..Http::default() },
            url: Url { original: audit.request_uri.clone(), ..Url::default() },
            wording: message,
            audit: Some(Box::new(audit)),
            ..Event::blank(record.id, Source::Audit, record.received_at, origin)
        })
    }
}

/// As `Normaliser::audit`, without proxies.
pub fn audit(record: &Record) -> Result<Event<'_>, NormaliseError> {
    Normaliser::default().audit(record)
}

/// When it happened, and whether that had to be clamped.
fn created(audit: &AuditEvent<'_>, received: Timestamp) -> (Timestamp, bool) {
    let stamped = audit.stage_timestamp.or(audit.request_received_timestamp).unwrap_or(received);
    // Saturating: a stamp near the end of time must not overflow.
    let latest = received.saturating_add(MAX_AHEAD).unwrap_or(received);
    if stamped > latest { (latest, true) } else { (stamped, false) }
}

fn user<'a>(audit: &AuditEvent<'a>) -> User<'a> {
    let effective = audit.impersonated_user.as_ref().map(|u| u.username.clone()).unwrap_or_default();
    User {
        name: audit.user.username.clone(),
        id: audit.user.uid.clone(),
        effective_name: if effective == audit.user.username { Text::EMPTY } else { effective },
        ..User::default()
    }
}

fn outcome(audit: &AuditEvent<'_>) -> Outcome {
    match (audit.stage, audit.code()) {
        (Stage::RequestReceived, _) | (_, 0) => Outcome::Unknown,
        (Stage::ResponseStarted | Stage::ResponseComplete | Stage::Panic, 400..) => Outcome::Failure,
        (Stage::ResponseStarted | Stage::ResponseComplete | Stage::Panic, _) => Outcome::Success,
    }
}

/// (API group, resource, subresource); empty for a request on no resource.
fn acted_on<'a>(audit: &'a AuditEvent<'_>) -> (&'a str, &'a str, &'a str) {
    audit.object_ref.as_ref().map_or(("", "", ""), |ObjectRef { api_group, resource, subresource, .. }| {
        (api_group.as_str(), resource.as_str(), subresource.as_str())
    })
}

fn categories(audit: &AuditEvent<'_>) -> Vec<&'static str> {
    let (group, resource, subresource) = acted_on(audit);
    let mut categories = vec!["api"];
    if resource == "tokenreviews" || audit.code() == 401 {
        categories.push("authentication");
    }
    if matches!(
        group,
        "admissionregistration.k8s.io"
            | "apiregistration.k8s.io"
            | "apiextensions.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
    ) || matches!(resource, "configmaps" | "networkpolicies" | "resourcequotas" | "limitranges")
    {
        categories.push("configuration");
    }
    if group == "rbac.authorization.k8s.io"
        || matches!(resource, "serviceaccounts" | "certificatesigningrequests" | "tokenreviews")
    {
        categories.push("iam");
    }
    if resource == "pods" && matches!(subresource, "exec" | "attach") {
        categories.push("process");
    }
    debug_assert!(is_of(&AUDIT, &categories, &[]), "{categories:?}: event::actions");
    categories
}

fn types(audit: &AuditEvent<'_>) -> Vec<&'static str> {
    let (group, resource, subresource) = acted_on(audit);
    let by_verb = match audit.verb.as_str() {
        "get" | "list" | "watch" | "head" | "options" => Some("access"),
        "create" | "post" => Some("creation"),
        "update" | "patch" | "put" => Some("change"),
        "delete" | "deletecollection" => Some("deletion"),
        _ => None,
    };
    let kind = match (resource, subresource) {
        // A current client asks for exec with `get` (WebSocket), an older one with `create` (SPDY).
        ("pods", "exec" | "attach" | "portforward") => Some("start"),
        ("pods", "eviction") => Some("deletion"),
        ("pods", "binding") => Some("change"),
        // Reviews are created, but ask a question and leave nothing behind.
        _ if matches!(group, "authorization.k8s.io" | "authentication.k8s.io") => Some("access"),
        _ => by_verb,
    };
    // An admission plugin refuses with 403 what the authorizer allowed.
    let decision = match audit.annotations.get(DECISION).map(Text::as_str) {
        Some("forbid") => Some("denied"),
        _ if matches!(audit.code(), 401 | 403) => Some("denied"),
        Some("allow") => Some("allowed"),
        _ => None,
    };
    let types: Vec<&'static str> = kind.into_iter().chain(decision).collect();
    debug_assert!(is_of(&AUDIT, &[], &types), "{types:?}: event::actions");
    types
}

/// `system:serviceaccount:shop:app list secrets in shop: 200`
fn message(audit: &AuditEvent<'_>) -> String {
    let user = match audit.user.username.as_str() {
        "" => "(no user)".to_owned(),
        name => one_line(name, 120),
    };
    let effective = match &audit.impersonated_user {
        Some(as_user) if !as_user.username.is_empty() => format!(" as {}", one_line(&as_user.username, 100)),
        _ => String::new(),
    };
    let object = match &audit.object_ref {
        Some(object) if !object.resource.is_empty() => object_text(object),
        _ => one_line(audit.request_uri.split('?').next().unwrap_or_default(), 160),
    };
    let end = match audit.code() {
        0 => audit.stage.as_str().to_owned(),
        code => code.to_string(),
    };
    one_line(&format!("{user}{effective} {} {object}: {end}", one_line(&audit.verb, 24)), MAX_MESSAGE)
}

fn object_text(object: &ObjectRef<'_>) -> String {
    let mut text = one_line(&object.resource, 48);
    for (before, part, max) in
        [("/", &object.subresource, 24), (" ", &object.name, 100), (" in ", &object.namespace, 63)]
    {
        if !part.is_empty() {
            text.push_str(before);
            text.push_str(&one_line(part, max));
        }
    }
    text
}

#[cfg(test)]
mod tests;
