//! What a sender is told. Short JSON; error texts are ours alone and never repeat what was sent.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{collectors::Denial, credentials::Refusal, split::Broken};

/// What became of the events of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Tally {
    pub stored: u64,
    pub duplicates: u64,
    pub quarantined: u64,
    /// Of records of a collector: those that could not be taken, whoever sends them how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Everything is on stable storage.
    Stored(Tally),
    NoSuchPath,
    /// With the one that there is.
    NoSuchMethod(&'static str),
    Refused(Refusal),
    /// A relay takes the events of its own node's API server alone.
    OtherNode,
    /// The bearer of the token is no collector of ours.
    Denied(Denial),
    ContentType,
    ContentEncoding,
    TooLarge,
    /// It unpacks to so much more than was sent that it can't be a batch.
    Bomb,
    NoList(Broken),
    BadGzip,
    /// The connection broke, or what came was not HTTP.
    BrokenOff,
    TooSlow,
    /// Too many bodies at once.
    Occupied,
    /// The store is behind, full or failing.
    StoreBusy,
    /// The LogSources are not read yet.
    NotResolved,
    Internal,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Answer::Stored(_) => StatusCode::OK,
            Answer::NoSuchPath => StatusCode::NOT_FOUND,
            Answer::NoSuchMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Answer::Refused(Refusal::OtherPath) | Answer::OtherNode => StatusCode::FORBIDDEN,
            Answer::Refused(Refusal::NoCredential | Refusal::Malformed | Refusal::UnknownToken | Refusal::NoSender) => {
                StatusCode::UNAUTHORIZED
            }
            Answer::Denied(denial) => denial.status(),
            Answer::ContentType | Answer::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Answer::TooLarge | Answer::Bomb => StatusCode::PAYLOAD_TOO_LARGE,
            Answer::NoList(_) | Answer::BadGzip | Answer::BrokenOff => StatusCode::BAD_REQUEST,
            Answer::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Answer::Occupied | Answer::StoreBusy | Answer::NotResolved => StatusCode::SERVICE_UNAVAILABLE,
            Answer::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error(&self) -> String {
        let text = match self {
            Answer::Stored(_) => "",
            Answer::NoSuchPath => "not found; batches go to /audit/<cluster>/<apiserver> or /records",
            Answer::NoSuchMethod(_) => "no such method here; batches are sent by POST, sources read by GET",
            Answer::Refused(Refusal::OtherPath) => "this credential is good for another /audit/<cluster>/<apiserver>",
            Answer::Refused(_) => "no known credential; send a bearer token or a client certificate",
            Answer::OtherNode => "this relay is another node's; <apiserver> in the path must be the name of its node",
            Answer::Denied(denial) => denial.message(),
            Answer::ContentType => "content type is not application/json, or application/jsonl for records",
            Answer::ContentEncoding => "content encoding is neither identity nor gzip",
            Answer::TooLarge => "body too large",
            Answer::Bomb => "body unpacks to too many times its size",
            Answer::NoList(broken) => return format!("not an audit.k8s.io/v1 EventList: {broken}"),
            Answer::BadGzip => "broken gzip",
            Answer::BrokenOff => "the body broke off",
            Answer::TooSlow => "the body came too slowly",
            Answer::Occupied => "too many batches at once; send again",
            Answer::StoreBusy => "the store can't keep up; send again",
            Answer::NotResolved => "the log sources are not read yet; send again",
            Answer::Internal => "internal error; send again",
        };
        text.to_owned()
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status() {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => match self {
                Answer::NoSuchMethod(method) => Some((header::ALLOW, HeaderValue::from_static(method))),
                _ => None,
            },
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = match &self {
            Answer::Stored(tally) => serde_json::json!(tally),
            other => serde_json::json!({ "error": other.error() }),
        };
        let mut response =
            (self.status(), [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
