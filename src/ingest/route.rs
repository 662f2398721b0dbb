//! The one route: `POST /audit/{cluster}/{apiserver}`.
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
    routing::post,
};
use http::{HeaderMap, Request, Version, header};
use http_body_util::BodyExt;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    IngestLimits, Metrics,
    answer::Answer,
    body::Decoder,
    credentials::{CertificateName, Source},
    intake::Intake,
    live::Live,
};
use crate::{
    record::{IdKey, Origin, Provenance},
    store::Appender,
};

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

/// What requests share.
pub(super) struct Desk {
    live: Arc<Live>,
    pub appender: Appender,
    pub key: IdKey,
    pub metrics: Metrics,
    pub limits: IngestLimits,
    /// Bodies that may be worked on: it bounds memory.
    bodies: Semaphore,
    /// Redactions that may run: one a core, so that the store's threads get their turn.
    pub redactions: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(live: Arc<Live>, appender: Appender, key: IdKey, metrics: Metrics, limits: IngestLimits) -> Desk {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let redactions = Arc::new(Semaphore::new(cores));
        Desk { live, appender, key, metrics, limits, bodies: Semaphore::new(limits.bodies), redactions }
    }

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
        let decoder = match Decoder::of(headers, self.limits.body_bytes) {
            Ok(decoder) => decoder,
            Err(answer) => return answer,
        };
        let Ok(_room) = self.bodies.try_acquire() else { return Answer::Occupied };
        let origin =
            Origin { cluster: source.cluster, reporter: source.apiserver, provenance: Provenance::AuditWebhook };
        let mut intake = Intake::new(self.clone(), origin);
        let mut reading = Reading { body, decoder, deadline: Instant::now() + self.limits.body_total };
        let stopped = reading.feed(&mut intake, self).await.err();
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
        .route("/audit/{cluster}/{apiserver}", post(receive))
        .fallback(async || Answer::NoSuchPath)
        .method_not_allowed_fallback(async || Answer::NoSuchMethod)
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
    if head.version < Version::HTTP_2 && !matches!(answer, Answer::TooSlow | Answer::BrokenOff) {
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

/// A body that is being read.
struct Reading<'b> {
    body: &'b mut Body,
    decoder: Decoder,
    deadline: Instant,
}

impl Reading<'_> {
    /// Feeds the whole body to `intake`; an error says why it stopped before the end.
    async fn feed(&mut self, intake: &mut Intake, desk: &Desk) -> Result<(), Answer> {
        let mut plain = Vec::new();
        let read = self.feed_pieces(intake, desk, &mut plain).await;
        if let Err(Answer::StoreBusy | Answer::Internal) = read {
            return read;
        }
        let (rest, end) = self.decoder.finish(&mut plain);
        intake.take(rest).await?;
        read.and(end)
    }

    async fn feed_pieces(&mut self, intake: &mut Intake, desk: &Desk, plain: &mut Vec<u8>) -> Result<(), Answer> {
        while let Some(bytes) = self.next(desk.limits.body_pause).await? {
            desk.metrics.body_bytes.inc_by(bytes.len() as u64);
            for piece in bytes.chunks(self.decoder.piece()) {
                intake.take(self.decoder.decode(piece, plain)?).await?;
                if let Some(broken) = intake.broken() {
                    return Err(Answer::NoList(broken));
                }
            }
        }
        Ok(())
    }

    /// The next bytes; `None` at the end of the body.
    async fn next(&mut self, pause: Duration) -> Result<Option<Bytes>, Answer> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match timeout(pause.min(left), self.body.frame()).await {
                Err(_) => return Err(Answer::TooSlow),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Answer::BrokenOff),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}
