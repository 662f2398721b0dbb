//! The Kubernetes audit event under its own names (k8s.io/apiserver pkg/apis/audit/v1 `Event`), every field optional:
//! what a sender leaves out is empty.

use std::sync::LazyLock;

use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Body, Pairs, Text, plain, stamp};
use crate::api::rule::{AuditLevel, Stage};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent<'a> {
    #[serde(default = "metadata")]
    pub level: AuditLevel,
    /// Chosen by the client when it sends an `Audit-ID` header: neither unique nor bounded in length by the API server.
    #[serde(borrow, rename = "auditID", default)]
    pub audit_id: Text<'a>,
    pub stage: Stage,
    #[serde(borrow, rename = "requestURI", default)]
    pub request_uri: Text<'a>,
    #[serde(borrow, default)]
    pub verb: Text<'a>,
    /// The authenticated user, before impersonation. Empty after a failed authentication.
    #[serde(borrow, default)]
    pub user: UserInfo<'a>,
    #[serde(borrow, default)]
    pub impersonated_user: Option<UserInfo<'a>>,
    #[serde(borrow, rename = "sourceIPs", default)]
    pub source_ips: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub user_agent: Text<'a>,
    #[serde(borrow, default)]
    pub object_ref: Option<ObjectRef<'a>>,
    #[serde(borrow, default)]
    pub response_status: Option<ResponseStatus<'a>>,
    #[serde(borrow, default)]
    pub request_object: Option<Body<'a>>,
    #[serde(borrow, default)]
    pub response_object: Option<Body<'a>>,
    #[serde(default, deserialize_with = "stamp::optional")]
    pub request_received_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "stamp::optional")]
    pub stage_timestamp: Option<Timestamp>,
    #[serde(borrow, default)]
    pub annotations: Pairs<'a, Text<'a>>,
}

fn metadata() -> AuditLevel {
    AuditLevel::Metadata
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UserInfo<'a> {
    #[serde(borrow)]
    pub username: Text<'a>,
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(borrow)]
    pub groups: Vec<Text<'a>>,
    #[serde(borrow)]
    pub extra: Pairs<'a, Vec<Text<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef<'a> {
    #[serde(borrow)]
    pub resource: Text<'a>,
    #[serde(borrow)]
    pub namespace: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(borrow)]
    pub api_group: Text<'a>,
    #[serde(borrow)]
    pub api_version: Text<'a>,
    #[serde(borrow)]
    pub resource_version: Text<'a>,
    #[serde(borrow)]
    pub subresource: Text<'a>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus<'a> {
    pub code: i64,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub message: Text<'a>,
    #[serde(borrow)]
    pub reason: Text<'a>,
}

/// How canonical text goes on where only bodies follow (`redact::BODY_MARK`, and how their names begin). It stands nowhere
/// else: a quote within a string has a backslash before it, and no name follows a quote that ends one.
const BODY: &str = ", \"re";

static BODY_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BODY));

impl<'a> AuditEvent<'a> {
    /// An event of which nothing else is known.
    pub(super) fn of_stage(stage: Stage) -> AuditEvent<'a> {
        AuditEvent {
            level: metadata(),
            audit_id: Text::EMPTY,
            stage,
            request_uri: Text::EMPTY,
            verb: Text::EMPTY,
            user: UserInfo::default(),
            impersonated_user: None,
            source_ips: Vec::new(),
            user_agent: Text::EMPTY,
            object_ref: None,
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: None,
            stage_timestamp: None,
            annotations: Pairs::EMPTY,
        }
    }

    /// Reads canonical text, or the JSON text of any event. Behind the mark bodies are left unread, so that an event of which
    /// no rule asks the body costs what its metadata costs.
    pub fn read(text: &'a str) -> serde_json::Result<AuditEvent<'a>> {
        let mut marks = BODY_FINDER.find_iter(text.as_bytes());
        let Some(whole) = text.strip_suffix('}') else { return serde_json::from_str(text) };
        let Some(first) = marks.next() else {
            return plain::read(whole).map_or_else(|| serde_json::from_str(text), Ok);
        };
        let (metadata, bodies) = whole.split_at(first);
        let (one, two) = bodies.split_at(marks.next().map_or(bodies.len(), |at| at - first));
        let mut event = plain::read(metadata).map_or_else(|| opened(metadata), Ok)?;
        for part in [one, two].into_iter().filter(|part| !part.is_empty()) {
            if let Some(body) = part.strip_prefix(", \"requestObject\":") {
                event.request_object = Some(Body::of(body));
            } else if let Some(body) = part.strip_prefix(", \"responseObject\":") {
                event.response_object = Some(Body::of(body));
            } else {
                return serde_json::from_str(text);
            }
        }
        Ok(event)
    }
}

/// The event of a text that ends behind one of its fields, without its bracket.
fn opened(text: &str) -> serde_json::Result<AuditEvent<'_>> {
    struct Keep<'k, 'a>(&'k mut Option<AuditEvent<'a>>);
    impl<'de> Visitor<'de> for Keep<'_, 'de> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an audit event")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
            *self.0 = Some(AuditEvent::deserialize(MapAccessDeserializer::new(Opened(map)))?);
            Ok(())
        }
    }
    let mut event = None;
    let read = serde_json::Deserializer::from_str(text).deserialize_map(Keep(&mut event));
    match (event, read) {
        // The reader misses the bracket, when all has been read.
        (Some(event), Ok(()) | Err(_)) => Ok(event),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => serde_json::from_str(text),
    }
}

/// Fields until the text ends.
struct Opened<M>(M);

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Opened<M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        // The text is JSON but for its last bracket, so this can fail where that is missing, and nowhere else.
        Ok(self.0.next_key_seed(seed).unwrap_or_default())
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, M::Error> {
        self.0.next_value_seed(seed)
    }
}

impl AuditEvent<'_> {
    /// HTTP status of the answer; 0 when there was none yet.
    pub fn code(&self) -> i64 {
        self.response_status.as_ref().map_or(0, |s| s.code)
    }

    fn sub(&self) -> (&str, &str) {
        self.object_ref.as_ref().map_or(("", ""), |o| (o.resource.as_str(), o.subresource.as_str()))
    }

    /// Requests for which the API server reports `ResponseStarted` and that may stay open for hours: watch, exec, attach,
    /// port-forward, proxy and followed logs (kube-apiserver `BasicLongRunningRequestCheck`; a log request counts only
    /// with `follow`, since else it ends at once).
    pub fn is_long_running(&self) -> bool {
        let (_, sub) = self.sub();
        self.verb == "watch"
            || self.verb == "proxy"
            || matches!(sub, "exec" | "attach" | "portforward" | "proxy")
            || (sub == "log" && self.request_uri.contains("follow=true"))
    }

    /// True for the one stage by which a request is known to rules, so that it counts once however many stages are sent:
    /// `ResponseStarted` for a long-running request that succeeds and for a 401, else `ResponseComplete` or `Panic`. One event
    /// can't tell of another, so a long-running request that panics after it has started counts twice.
    pub fn is_defining_stage(&self) -> bool {
        let by_start = self.code() == 401 || (self.is_long_running() && self.code() < 400);
        match self.stage {
            Stage::RequestReceived => false,
            Stage::ResponseStarted => by_start,
            Stage::ResponseComplete => !by_start,
            Stage::Panic => true,
        }
    }
}
