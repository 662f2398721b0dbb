//! The routes: `POST /audit/{cluster}/{apiserver}` for API servers, `GET /sources` and `POST /records` for collectors.
//! In: a request, with what the connection knows about its peer. Out: an answer. The order of the checks is that of
//! their cost: path, credential, headers, room; only then is the body read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes, HttpBody},
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, Request, Version, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::{
    answer::Answer,
    body::{Content, Decoder},
    credentials::{CertificateName, Source},
    desk::Desk,
    intake::{Intake, Keeper},
    reading::Reading,
    records, sources,
};
use crate::record::{Origin, Provenance};

/// What is read of a body after an early answer: a whole batch of the audit webhook, as a rule.
const LINGER_BYTES: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// What the connection knows about its other end.
#[derive(Clone, Default)]
pub(super) struct Peer {
    /// Set when a client certificate was given and verified.
    pub certificate: Option<CertificateName>,
    /// A request of this connection had a good credential.
    pub is_known: Arc<AtomicBool>,
}

/// Takes a batch of an API server.
async fn answer_audit<K: Keeper>(
    keeper: &Arc<K>,
    source: Source,
    headers: &HeaderMap,
    peer: &Peer,
    body: &mut Body,
) -> Answer {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if let Err(answer) = keeper.admit(&source, authorization, peer.certificate.as_ref()) {
        return answer;
    }
    peer.is_known.store(true, Ordering::Relaxed);
    let decoder = match Decoder::of(headers, keeper.limits().body_bytes, Content::Json) {
        Ok(decoder) => decoder,
        Err(answer) => return answer,
    };
    let Ok(_room) = keeper.bodies().try_acquire() else { return Answer::Occupied };
    if let Err(answer) = keeper.ready(body.size_hint().lower()) {
        return answer;
    }
    let origin = Origin { cluster: source.cluster, reporter: source.apiserver, provenance: Provenance::AuditWebhook };
    let mut intake = Intake::new(keeper.clone(), origin);
    let mut reading = Reading::begin(body, decoder, keeper.limits());
    let stopped = reading.feed(&mut intake, keeper.metrics()).await.err();
    let ended = Instant::now();
    let answer = match stopped {
        // What could not be stored now can't be stored by trying again here; the sender will.
        Some(answer @ (Answer::StoreBusy | Answer::Internal)) => answer,
        stopped => intake.finish(stopped).await,
    };
    if let Answer::Stored(_) = answer {
        keeper.metrics().ack_seconds.observe(ended.elapsed().as_secs_f64());
    }
    answer
}

/// The one route of a relay.
pub(super) fn audit_route<K: Keeper>(keeper: Arc<K>) -> Router {
    let audit = post(receive::<K>).fallback(async || Answer::NoSuchMethod("POST"));
    Router::new().route("/audit/{cluster}/{apiserver}", audit).with_state(keeper)
}

pub(super) fn router(desk: Arc<Desk>) -> Router {
    let collectors = Router::new()
        .route("/records", post(receive_records).fallback(async || Answer::NoSuchMethod("POST")))
        .route("/sources", get(tell_sources).fallback(async || Answer::NoSuchMethod("GET")))
        .with_state(desk.clone());
    audit_route(desk).merge(collectors).fallback(async || Answer::NoSuchPath)
}

async fn receive<K: Keeper>(
    State(keeper): State<Arc<K>>,
    path: Result<Path<(String, String)>, PathRejection>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Answer {
    let source = path.ok().and_then(|Path((cluster, apiserver))| Source::parse(&cluster, &apiserver));
    let (head, mut body) = request.into_parts();
    let answer = match source {
        None => Answer::NoSuchPath,
        Some(source) => answer_audit(&keeper, source, &head.headers, &peer, &mut body).await,
    };
    leave(head.version, answer, body).await
}

async fn receive_records(
    State(desk): State<Arc<Desk>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Answer {
    let (head, mut body) = request.into_parts();
    let answer = records::answer(&desk, &head.headers, &peer, &mut body).await;
    leave(head.version, answer, body).await
}

async fn tell_sources(State(desk): State<Arc<Desk>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response {
    sources::answer(&desk, &headers, &peer).await.unwrap_or_else(IntoResponse::into_response)
}

async fn leave(version: Version, answer: Answer, body: Body) -> Answer {
    if version < Version::HTTP_2 && !matches!(answer, Answer::TooSlow | Answer::BrokenOff) {
        linger(body).await;
    }
    answer
}

/// Reads on a little after an early answer. To close a connection with unread bytes resets it, and then an HTTP/1
/// client may never see the answer: it would report a broken pipe for a wrong token.
async fn linger(mut body: Body) {
    let mut left = LINGER_BYTES;
    let drained = async {
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len));
        }
    };
    if timeout(LINGER, drained).await.is_err() {
        tracing::debug!("the sender was still writing when the answer was ready");
    }
}
