//! The only door for events: an HTTPS server that takes the audit webhook's batches.
//! In: `POST /audit/{cluster}/{apiserver}` with an `audit.k8s.io/v1` `EventList`, from a sender whose token or client
//! certificate is bound to that path. Out: redacted records in the store, and 200 once they are on stable storage.
//! One event that can't be read never fails its batch: it goes to the quarantine. Bodies are cut into events as they
//! arrive, so memory is bounded whatever is sent. Never open to everyone, never keeps anything unredacted, never
//! answers 200 for what the store has not committed, never waits long: a slow webhook fills the API server's memory.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{record::IdKey, store::Appender};

mod accept;
mod answer;
mod args;
mod body;
mod credentials;
mod intake;
mod live;
mod metrics;
mod route;
mod scan;
mod slim;
pub mod split;
mod tls;

pub use args::{IngestArgs, IngestConfig, IngestLimits};
pub use credentials::CredentialsError;
pub use metrics::Metrics;
pub use slim::Form;

use live::Live;
use route::Desk;

/// Why ingest can't start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(
        "ingest would take events from anyone: give --ingest-credentials (tokens), --ingest-client-ca (client \
         certificates) or both"
    )]
    Open,
    #[error("{path}: {source}")]
    Read { path: std::path::PathBuf, source: std::io::Error },
    #[error("{path}: larger than {limit} bytes, so not the file that was meant")]
    FileTooLarge { path: std::path::PathBuf, limit: u64 },
    #[error("--ingest-tls-cert {path}: {reason}")]
    Certificate { path: std::path::PathBuf, reason: String },
    #[error("--ingest-tls-key {path}: {reason}")]
    Key { path: std::path::PathBuf, reason: String },
    #[error("--ingest-client-ca {path}: {reason}")]
    ClientCa { path: std::path::PathBuf, reason: String },
    #[error("--ingest-credentials {path}: {source}")]
    Credentials { path: std::path::PathBuf, source: CredentialsError },
}

/// The server, ready to run.
pub struct Ingest {
    live: Arc<Live>,
    desk: Arc<Desk>,
    limits: IngestLimits,
    metrics: Metrics,
}

impl Ingest {
    /// Reads certificates and credentials, so that what is wrong with them shows at the start.
    pub fn new(config: IngestConfig, appender: Appender, key: IdKey, metrics: Metrics) -> Result<Ingest, IngestError> {
        let limits = config.limits;
        let live = Arc::new(Live::load(config)?);
        let desk = Arc::new(Desk::new(live.clone(), appender, key, metrics.clone(), limits));
        Ok(Ingest { live, desk, limits, metrics })
    }

    /// Serves until `shutdown`, then answers what is under way and returns; at most [`IngestLimits::drain`] later.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), IngestError> {
        let acceptor = accept::Acceptor {
            live: self.live.clone(),
            router: route::router(self.desk),
            limits: self.limits,
            metrics: self.metrics.clone(),
            shutdown: shutdown.clone(),
        };
        let reload = self.live.reload_until(shutdown, self.limits.reload_every, &self.metrics);
        tokio::join!(acceptor.run(listener), reload);
        Ok(())
    }
}
