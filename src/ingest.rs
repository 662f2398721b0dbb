//! The only door for events: an HTTPS server that takes the audit webhook's batches, and what collectors read on nodes.
//! In: `POST /audit/{cluster}/{apiserver}` with an `audit.k8s.io/v1` `EventList`, from a sender whose token or client
//! certificate is bound to that path; `POST /records` with envelopes, from the pod of a collector, for its node and the
//! files that a LogSource names there. Out: redacted records in the store, and 200 once they are on stable storage;
//! `GET /sources` tells a collector what to read.
//! One event that can't be read never fails its batch: it goes to the quarantine. Bodies are cut into events as they
//! arrive, so memory is bounded whatever is sent. Never open to everyone, never keeps anything unredacted, never
//! answers 200 for what the store has not committed, never waits long: a slow webhook fills the API server's memory.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{record::IdKey, store::Appender};

mod accept;
mod answer;
mod args;
mod bearer;
mod body;
mod collectors;
mod credentials;
mod desk;
mod envelope;
mod gate;
mod held;
mod intake;
mod lines;
mod live;
mod metrics;
mod reading;
mod records;
mod redactions;
pub mod relay;
mod relayed;
mod room;
mod route;
mod scan;
mod slim;
mod sources;
pub mod split;
mod tls;

pub use args::{IngestArgs, IngestConfig, IngestLimits};
pub use collectors::{Bearer, Collection, ReviewFailed, Reviewer};
pub use credentials::{CredentialList, CredentialsError, is_subdomain};
pub use held::{Certificate, Content, Tokens};
pub use metrics::Metrics;
pub use slim::Form;

use collectors::Collectors;
use desk::Desk;
use live::Live;
use relayed::Relayed;

/// How soon silence and new credentials show in metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Why ingest can't start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(
        "ingest would take events from anyone: give --ingest-credentials (tokens), --ingest-client-ca (client \
         certificates) or both"
    )]
    Open,
    #[error("ingest has no certificate: give --ingest-tls-cert and --ingest-tls-key, or --tls-secret and --tls-name")]
    NoCertificate,
    #[error("--collector-service-account: given {given} times; the most is {most}")]
    Accounts { given: usize, most: usize },
    #[error("--tls-name: given {given} times; the most is {most}")]
    Names { given: usize, most: usize },
    #[error("{path}: {source}")]
    Read { path: std::path::PathBuf, source: std::io::Error },
    #[error("{path}: larger than {limit} bytes, so not the file that was meant")]
    FileTooLarge { path: std::path::PathBuf, limit: u64 },
    /// `place` is the flag with its file, or the Secret and its key.
    #[error("{place}: {reason}")]
    Certificate { place: String, reason: String },
    #[error("{place}: {reason}")]
    Key { place: String, reason: String },
    #[error("--ingest-client-ca {path}: {reason}")]
    ClientCa { path: std::path::PathBuf, reason: String },
    #[error("{place}: {source}")]
    Credentials { place: String, source: CredentialsError },
}

/// The server, ready to run.
pub struct Ingest {
    live: Arc<Live>,
    desk: Arc<Desk>,
    relayed: Relayed,
    limits: IngestLimits,
    metrics: Metrics,
}

impl Ingest {
    /// Reads certificates and credentials that are in files, so that what is wrong with them shows at the start. What is in
    /// Secrets may come later: until then there is no handshake, and nobody is let in.
    pub fn new(
        config: IngestConfig,
        collection: Collection,
        appender: Appender,
        key: IdKey,
        metrics: Metrics,
    ) -> Result<Ingest, IngestError> {
        let limits = config.limits;
        let (cluster, accounts, relays) = (config.cluster.clone(), config.collectors.clone(), config.relays.clone());
        let live = Arc::new(Live::load(config, &metrics)?);
        let cluster = cluster.map(Arc::from).or_else(|| live.credentials.load().only_cluster());
        let cluster = cluster.unwrap_or_else(|| "default".into());
        let relayed = Relayed::new(relays, cluster.clone());
        let collectors = Collectors::new(collection, &accounts, cluster, metrics.clone());
        let desk = Arc::new(Desk::new(live.clone(), collectors, appender, key, metrics.clone(), limits));
        Ok(Ingest { live, desk, relayed, limits, metrics })
    }

    /// Serves until `shutdown`, then answers what is under way and returns; at most [`IngestLimits::drain`] later.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), IngestError> {
        let acceptor = accept::Acceptor {
            tls: Some(self.live.clone()),
            router: route::router(self.desk.clone()),
            limits: self.limits,
            metrics: self.metrics.clone(),
            shutdown: shutdown.clone(),
        };
        let silence = show_silence(&self.desk, self.relayed, shutdown.clone());
        let reload = self.live.reload_until(shutdown, self.limits.reload_every, &self.metrics);
        tokio::join!(acceptor.run(listener), reload, silence);
        Ok(())
    }
}

/// Keeps the gauges of who is expected and who was heard.
async fn show_silence(desk: &Desk, mut relayed: Relayed, shutdown: CancellationToken) {
    loop {
        let mut apiservers = desk.live.credentials.load().apiservers();
        apiservers.extend(relayed.apiservers(&desk.metrics));
        desk.metrics.senders.expect(&apiservers);
        desk.collectors.count_nodes();
        if shutdown.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await.is_none() {
            return;
        }
    }
}
