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
    body::{Body, Bytes},
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
    intake::Intake,
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

impl Desk {
    fn admit(&self, source: &Source, headers: &HeaderMap, peer: &Peer) -> Result<(), Answer> {
        let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let credentials = self.live.credentials.load();
        credentials.admit(source, authorization, peer.certificate.as_ref()).map_err(|refusal| {
            self.metrics.refused(refusal);
            Answer::Refused(refusal)
        })?;
        peer.is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn answer(self: &Arc<Self>, source: Source, headers: &HeaderMap, peer: &Peer, body: &mut Body) -> Answer {
        if let Err(answer) = self.admit(&source, headers, peer) {
            return answer;
        }
        let decoder = match Decoder::of(headers, self.limits.body_bytes, Content::Json) {
            Ok(decoder) => decoder,
            Err(answer) => return answer,
        };
        let Ok(_room) = self.bodies.try_acquire() else { return Answer::Occupied };
        let origin =
            Origin { cluster: source.cluster, reporter: source.apiserver, provenance: Provenance::AuditWebhook };
        let mut intake = Intake::new(self.clone(), origin);
        let stopped = Reading::begin(body, decoder, &self.limits).feed(&mut intake, &self.metrics).await.err();
        let ended = Instant::now();
        let answer = match stopped {
            // What could not be stored now can't be stored by trying again here; the sender will.
            Some(answer @ (Answer::StoreBusy | Answer::Internal)) => answer,
            stopped => intake.finish(stopped).await,
        };
        if let Answer::Stored(_) = answer {
            self.metrics.ack_seconds.observe(ended.elapsed().as_secs_f64());
        }
        answer
    }
}

pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/audit/{cluster}/{apiserver}", post(receive).fallback(async || Answer::NoSuchMethod("POST")))
        .route("/records", post(receive_records).fallback(async || Answer::NoSuchMethod("POST")))
        .route("/sources", get(tell_sources).fallback(async || Answer::NoSuchMethod("GET")))
        .fallback(async || Answer::NoSuchPath)
        .with_state(desk)
}

async fn receive(
    State(desk): State<Arc<Desk>>,
    path: Result<Path<(String, String)>, PathRejection>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Answer {
    let source = path.ok().and_then(|Path((cluster, apiserver))| Source::parse(&cluster, &apiserver));
    let (head, mut body) = request.into_parts();
    let answer = match source {
        None => Answer::NoSuchPath,
        Some(source) => desk.answer(source, &head.headers, &peer, &mut body).await,
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
