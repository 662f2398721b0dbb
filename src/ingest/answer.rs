//! What a sender is told. Short JSON; error texts are ours alone and never repeat what was sent.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{credentials::Refusal, split::Broken};

/// What became of the events of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Tally {
    pub stored: u64,
    pub duplicates: u64,
    pub quarantined: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Everything is on stable storage.
    Stored(Tally),
    NoSuchPath,
    NoSuchMethod,
    Refused(Refusal),
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
    Internal,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Answer::Stored(_) => StatusCode::OK,
            Answer::NoSuchPath => StatusCode::NOT_FOUND,
            Answer::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Answer::Refused(Refusal::OtherPath) => StatusCode::FORBIDDEN,
            Answer::Refused(Refusal::NoCredential | Refusal::Malformed | Refusal::UnknownToken | Refusal::NoSender) => {
                StatusCode::UNAUTHORIZED
            }
            Answer::ContentType | Answer::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Answer::TooLarge | Answer::Bomb => StatusCode::PAYLOAD_TOO_LARGE,
            Answer::NoList(_) | Answer::BadGzip | Answer::BrokenOff => StatusCode::BAD_REQUEST,
            Answer::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Answer::Occupied | Answer::StoreBusy => StatusCode::SERVICE_UNAVAILABLE,
            Answer::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error(&self) -> String {
        let text = match self {
            Answer::Stored(_) => "",
            Answer::NoSuchPath => "not found; batches go to /audit/<cluster>/<apiserver>",
            Answer::NoSuchMethod => "batches are sent by POST",
            Answer::Refused(Refusal::OtherPath) => "this credential is good for another /audit/<cluster>/<apiserver>",
            Answer::Refused(_) => "no known credential; send a bearer token or a client certificate",
            Answer::ContentType => "content type is not application/json",
            Answer::ContentEncoding => "content encoding is neither identity nor gzip",
            Answer::TooLarge => "body too large",
            Answer::Bomb => "body unpacks to too many times its size",
            Answer::NoList(broken) => return format!("not an audit.k8s.io/v1 EventList: {broken}"),
            Answer::BadGzip => "broken gzip",
            Answer::BrokenOff => "the body broke off",
            Answer::TooSlow => "the body came too slowly",
            Answer::Occupied => "too many batches at once; send again",
            Answer::StoreBusy => "the store can't keep up; send again",
            Answer::Internal => "internal error; send again",
        };
        text.to_owned()
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status() {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            _ => None,
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
