//! The door on an API server's own node: the same path, caps, redaction and answers over plain HTTP on the loopback.
//! In: `POST /audit/{cluster}/{apiserver}` from a sender whose token is bound to that path, for this node's API server alone.
//! Out: redacted events on a [`Shelf`], and 200 once they are on stable storage. Never takes an event for another node,
//! never answers 200 for what the shelf has not kept, and says 503 at once when it can't keep any.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use data_encoding::BASE64;
use futures::future::BoxFuture;
use prometheus::{IntCounter, IntCounterVec};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    IngestLimits, accept,
    answer::Answer,
    credentials::{CertificateName, Credentials, CredentialsError, Source},
    intake::{self, Keeper, Kept},
    redactions::Redactions,
    route,
    split::Element,
};
use crate::{
    record::{Origin, Quarantined},
    redact::{Redacted, Rejected},
    telemetry::Series,
};

const LARGEST_FILE: u64 = 1 << 20;

/// Memory: 64 connections x about 20 KiB (read buffer) = 1 MiB; 6 bodies x at most 6 MiB (see `IngestLimits::SHIPPED`, and the
/// lines of a group on their way to the shelf) = 36 MiB. One API server sends a batch at a time as a rule, and a few when it
/// has been kept waiting.
const LIMITS: IngestLimits = IngestLimits {
    connections: 64,
    body_bytes: 64 << 20,
    bodies: 6,
    drain: Duration::from_secs(5),
    ..IngestLimits::SHIPPED
};

/// Where a relay's events go. Implemented by the collector.
pub trait Shelf: Send + Sync + 'static {
    /// Name of the node; none until the controller has told it.
    fn node(&self) -> Option<String>;

    /// Whether so many bytes would be taken now.
    fn room(&self, bytes: u64) -> Result<(), Unkept>;

    /// Appends an event to `lines` as it is kept.
    fn line(event: &Redacted, lines: &mut Vec<u8>);

    /// Returns once the lines are on stable storage.
    fn append(&self, lines: Vec<u8>) -> BoxFuture<'_, Result<(), Unkept>>;
}

/// Why events are not kept. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// As much as may be kept waits to be sent on.
    Full,
    /// The disk is full or fails.
    Failing,
    /// The disk does not answer in time.
    Stalled,
}

impl Unkept {
    const ALL: [Unkept; 3] = [Unkept::Full, Unkept::Failing, Unkept::Stalled];

    pub fn as_str(self) -> &'static str {
        match self {
            Unkept::Full => "Full",
            Unkept::Failing => "Failing",
            Unkept::Stalled => "Stalled",
        }
    }
}

/// Not for want of room or a credential. Also metric labels.
const OTHER_NODE: &str = "OtherNode";
const NODE_UNKNOWN: &str = "NodeUnknown";

/// Why a relay can't start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("--relay-credentials {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("--relay-credentials {path}: {source}")]
    Credentials { path: PathBuf, source: CredentialsError },
}

#[derive(Clone)]
pub struct RelayMetrics {
    door: super::Metrics,
    stored: IntCounter,
    refused: IntCounterVec,
}

impl RelayMetrics {
    /// Registers every series of the door of a relay.
    pub fn register(series: &Series<'_>) -> prometheus::Result<RelayMetrics> {
        let reasons = Unkept::ALL.map(Unkept::as_str).into_iter().chain([OTHER_NODE, NODE_UNKNOWN]);
        Ok(RelayMetrics {
            door: super::Metrics::register_relay(series)?,
            stored: series.counter("events_stored_total", "Events of the API server that are on stable storage.")?,
            refused: series.counters(
                "refused_total",
                "Requests refused with a good credential. Full: too much waits to be sent on; Failing: the disk is full or \
                 fails; Stalled: it does not answer in time; OtherNode: the path is another node's; NodeUnknown: the \
                 controller has not told the node's name yet.",
                "reason",
                reasons,
            )?,
        })
    }

    fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}

/// The tokens of the file as it is now. One that has become wrong changes nothing but a counter and the log.
struct Tokens {
    path: PathBuf,
    current: ArcSwap<Credentials>,
    read: Mutex<Vec<u8>>,
}

impl Tokens {
    fn load(path: &Path) -> Result<Tokens, RelayError> {
        let text = read(path)?;
        let current = ArcSwap::from_pointee(parse(path, &text)?);
        Ok(Tokens { path: path.to_owned(), current, read: Mutex::new(text) })
    }

    /// True when something changed.
    fn reload(&self) -> Result<bool, RelayError> {
        let text = read(&self.path)?;
        let mut in_use = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_use == text {
            return Ok(false);
        }
        self.current.store(Arc::new(parse(&self.path, &text)?));
        *in_use = text;
        Ok(true)
    }
}

/// The file's text; empty when it is not there, as before the first credential is issued.
fn read(path: &Path) -> Result<Vec<u8>, RelayError> {
    let failed = |source| RelayError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(failed(io::Error::other("larger than 1 MiB, so not the file that was meant")));
    }
    Ok(text)
}

/// No text means no tokens: then nobody is let in.
fn parse(path: &Path, text: &[u8]) -> Result<Credentials, RelayError> {
    if text.trim_ascii().is_empty() {
        tracing::warn!(path = %path.display(), "no credentials: the relay takes nothing from anybody");
        return Ok(Credentials::default());
    }
    let failed = |source| RelayError::Credentials { path: path.to_owned(), source };
    Credentials::parse(&String::from_utf8_lossy(text)).map_err(failed)
}

/// The password of an `Authorization: Basic` header (RFC 7617), as a bearer token. An API server reads the token of its
/// webhook's kubeconfig only for an https address (client-go, `DirectClientConfig.ClientConfig`): over plain HTTP the way is
/// `http://kubewitness:TOKEN@127.0.0.1:9444/…`, which Go's client sends so.
fn bearer_of_basic(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some([b"Bearer ", decoded.get(colon + 1..)?].concat())
}

/// The server, ready to run.
pub struct Relay<S> {
    door: Arc<Door<S>>,
}

impl<S: Shelf> Relay<S> {
    /// Reads the credentials, so that what is wrong with them shows at the start.
    pub fn new(credentials: &Path, shelf: S, metrics: RelayMetrics) -> Result<Relay<S>, RelayError> {
        let tokens = Tokens::load(credentials)?;
        let (bodies, redactions) = (Semaphore::new(LIMITS.bodies), Redactions::new());
        Ok(Relay { door: Arc::new(Door { tokens, shelf, metrics, bodies, redactions }) })
    }

    /// Serves until `shutdown`, then answers what is under way and returns, at most 5 s later.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let metrics = self.door.metrics.door.clone();
        let router = route::audit_route(self.door.clone()).fallback(async || Answer::NoSuchPath);
        let acceptor = accept::Acceptor { tls: None, router, limits: LIMITS, metrics, shutdown: shutdown.clone() };
        tokio::join!(acceptor.run(listener), self.door.reload_until(shutdown));
    }
}

struct Door<S> {
    tokens: Tokens,
    shelf: S,
    metrics: RelayMetrics,
    bodies: Semaphore,
    redactions: Redactions,
}

impl<S: Shelf> Door<S> {
    async fn reload_until(self: &Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LIMITS.reload_every)).await.is_some() {
            let door = self.clone();
            match tokio::task::spawn_blocking(move || door.tokens.reload()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("the relay's credentials were read again"),
                Ok(Err(error)) => {
                    self.metrics.door.reload_failures.inc();
                    tracing::warn!(%error, "changed credentials are not usable, the last good ones stay");
                }
                Err(error) => tracing::error!(%error, "reading credentials broke off"),
            }
        }
    }

    fn unkept(&self, why: Unkept) -> Answer {
        self.metrics.refused(why.as_str());
        Answer::StoreBusy
    }
}

impl<S: Shelf> Keeper for Door<S> {
    fn limits(&self) -> &IngestLimits {
        &LIMITS
    }

    fn metrics(&self) -> &super::Metrics {
        &self.metrics.door
    }

    fn bodies(&self) -> &Semaphore {
        &self.bodies
    }

    fn admit(
        &self,
        source: &Source,
        authorization: Option<&[u8]>,
        certificate: Option<&CertificateName>,
    ) -> Result<(), Answer> {
        let bearer = authorization.and_then(bearer_of_basic);
        let credentials = self.tokens.current.load();
        self.metrics.door.admitted(credentials.admit(source, bearer.as_deref().or(authorization), certificate))?;
        match self.shelf.node() {
            Some(node) if *node == *source.apiserver => Ok(()),
            Some(_) => {
                self.metrics.refused(OTHER_NODE);
                Err(Answer::OtherNode)
            }
            None => {
                self.metrics.refused(NODE_UNKNOWN);
                Err(Answer::NotResolved)
            }
        }
    }

    fn ready(&self, length: u64) -> Result<(), Answer> {
        self.shelf.room(length).map_err(|why| self.unkept(why))
    }

    /// The file is of one API server, so the lines need not say which.
    async fn keep(&self, group: Vec<Element>, _origin: &Arc<Origin>) -> Result<Kept, Answer> {
        let work = move || {
            let (mut lines, mut stored, mut quarantined) = (Vec::new(), 0, Vec::new());
            for element in group {
                match intake::redacted(&element) {
                    Ok(event) => {
                        S::line(&event, &mut lines);
                        stored += 1;
                    }
                    Err(Rejected(rejected)) => quarantined.push(rejected),
                }
            }
            (lines, stored, quarantined)
        };
        let (lines, stored, quarantined) = self.redactions.run(work).await?;
        if stored > 0 {
            self.shelf.append(lines).await.map_err(|why| self.unkept(why))?;
            self.metrics.stored.inc_by(stored);
        }
        if let Some(Quarantined { length, reason, error }) = quarantined.first() {
            let (count, reason) = (quarantined.len(), reason.as_str());
            tracing::warn!(
                count,
                length,
                reason,
                error,
                "events could not be read and are not kept; this is the first"
            );
        }
        Ok(Kept {
            stored,
            duplicates: 0,
            quarantined: quarantined.into_iter().map(|rejected| rejected.reason).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_address_is_a_bearer_token() {
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        for (header, expected) in [
            (basic("kubewitness:one"), Some("Bearer one")),
            (basic("kubewitness:a:b"), Some("Bearer a:b")),
            (basic("kubewitness"), None),
            ("Basic !".to_owned(), None),
            ("Bearer one".to_owned(), None),
            ("".to_owned(), None),
        ] {
            let bearer = bearer_of_basic(header.as_bytes());
            assert_eq!(bearer.as_deref(), expected.map(str::as_bytes), "{header}");
        }
    }
}
