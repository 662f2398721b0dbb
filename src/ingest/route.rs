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
use http::{HeaderMap, Request, header};
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
    let Some(source) = source else { return Answer::NoSuchPath };
    if let Err(answer) = desk.admit(&source, request.headers(), &peer) {
        return answer;
    }
    let decoder = match Decoder::of(request.headers(), desk.limits.body_bytes) {
        Ok(decoder) => decoder,
        Err(answer) => return answer,
    };
    let Ok(_room) = desk.bodies.try_acquire() else { return Answer::Occupied };
    let origin = Origin { cluster: source.cluster, reporter: source.apiserver, provenance: Provenance::AuditWebhook };
    let mut intake = Intake::new(desk.clone(), origin);
    let mut reading = Reading { body: request.into_body(), decoder, deadline: Instant::now() + desk.limits.body_total };
    let stopped = reading.feed(&mut intake, &desk).await.err();
    let ended = Instant::now();
    let answer = match stopped {
        // What could not be stored now can't be stored by trying again here; the sender will.
        Some(answer @ (Answer::StoreBusy | Answer::Internal)) => answer,
        stopped => intake.finish(stopped).await,
    };
    if let Answer::Stored(_) = answer {
        desk.metrics.ack_seconds.observe(ended.elapsed().as_secs_f64());
    }
    answer
}

/// A body that is being read.
struct Reading {
    body: Body,
    decoder: Decoder,
    deadline: Instant,
}

impl Reading {
    /// Feeds the whole body to `intake`; an error says why it stopped before the end.
    async fn feed(&mut self, intake: &mut Intake, desk: &Desk) -> Result<(), Answer> {
        let mut plain = Vec::new();
        while let Some(bytes) = self.next(desk.limits.body_pause).await? {
            desk.metrics.body_bytes.inc_by(bytes.len() as u64);
            for piece in bytes.chunks(self.decoder.piece()) {
                intake.take(self.decoder.decode(piece, &mut plain)?).await?;
                if let Some(broken) = intake.broken() {
                    return Err(Answer::NoList(broken));
                }
            }
        }
        self.decoder.finish()
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
