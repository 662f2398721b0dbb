//! The relay: takes the audit webhook of the API server on this node, on the loopback. In: `POST /audit/{cluster}/{node}`
//! (`ingest::relay` is its door). Out: `<state-dir>/relay/audit.log`, which the collector reads like any file that a LogSource
//! names. Answered 200 is on this node's disk, and a file goes only after all of it has arrived; while there is no room,
//! the answer is 503. Never listens beyond the loopback, never takes another node's events.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::block_in_place};
use tokio_util::sync::CancellationToken;

use super::{
    CollectorConfig, CollectorError, census::lock, checkpoints::Checkpoints, fingerprint::fill, metrics::Metrics,
};
use crate::{
    api::{log_source::Assignment, path_pattern::PathPattern, rule::Source},
    ingest::relay as door,
    record::IdKey,
};

mod args;
mod files;
pub mod line;
mod shelf;

pub use args::{RelayArgs, RelayConfig};

use shelf::{Keeping, Shelf};

/// Between two looks for files that have arrived.
const LOOK: Duration = Duration::from_secs(2);

/// Everything, before it runs.
pub struct Relay {
    door: door::Relay<Shelf>,
    listener: TcpListener,
    files: Files,
}

/// The files behind it.
struct Files {
    keeping: Keeping,
    checkpoints: Arc<Mutex<Checkpoints>>,
    key: IdKey,
    assignments: watch::Receiver<Option<Arc<Assignment>>>,
    /// What a LogSource calls the file.
    path: PathBuf,
    metrics: Metrics,
}

impl Relay {
    /// Mends the files, reads the credentials and takes the port, so that what is wrong shows at the start.
    pub async fn open(
        relay: &RelayConfig,
        config: &CollectorConfig,
        key: IdKey,
        checkpoints: Arc<Mutex<Checkpoints>>,
        assignments: watch::Receiver<Option<Arc<Assignment>>>,
        metrics: Metrics,
    ) -> Result<Relay, CollectorError> {
        let dir = config.state_dir.join("relay");
        let path = on_node(&config.host_root, &dir.join(files::LIVE));
        let (shelf, keeping) = Shelf::open(&dir, relay.limit, assignments.clone(), metrics.clone())?;
        let door = door::Relay::new(&relay.credentials, shelf, metrics.relay.door.clone())?;
        let listener = TcpListener::bind(relay.listen)
            .await
            .map_err(|reason| CollectorError::RelayListen { address: relay.listen, reason })?;
        tracing::info!(address = %relay.listen, "the relay takes the API server's audit webhook");
        Ok(Relay { door, listener, files: Files { keeping, checkpoints, key, assignments, path, metrics } })
    }

    /// Serves until `shutdown`, and ends what is under way.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::join!(self.door.run(self.listener, shutdown.clone()), self.files.keep(shutdown));
    }
}

impl Files {
    async fn keep(mut self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            if self.assignments.has_changed().unwrap_or(false) {
                self.look_for_source();
            }
            block_in_place(|| self.remove_arrived());
        }
    }

    fn remove_arrived(&self) {
        let rows = || {
            lock(&self.checkpoints).all().unwrap_or_else(|error| {
                self.metrics.checkpoint_errors.inc();
                tracing::warn!(%error, "files of the relay stay until the checkpoints can be read");
                Vec::new()
            })
        };
        let held = self.keeping.held();
        if let Err(error) = held.remove_arrived(&self.key, rows) {
            self.metrics.spool_errors.inc();
            tracing::warn!(%error, "a file of the relay can't be removed; it is tried again");
        }
        self.metrics.relay.bytes.set(held.bytes().try_into().unwrap_or(i64::MAX));
    }

    fn look_for_source(&mut self) {
        let path = self.path.display().to_string();
        let assignment = self.assignments.borrow_and_update().clone();
        let names = |pattern: &String| PathPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(&path));
        let mut audit = assignment.iter().flat_map(|a| &a.sources).filter(|source| source.source == Source::Audit);
        if assignment.is_some() && !audit.any(|source| source.paths.iter().any(names)) {
            tracing::warn!(path, "no LogSource of source Audit names the relay's file on this node: it is not sent on");
        }
    }
}

/// Whether the relay has written a file.
pub fn is_of_relay(file: &File) -> io::Result<bool> {
    let mut head = Vec::new();
    fill(file, 0, &mut head, 64)?;
    Ok(line::is_head(&head))
}

/// A path of ours as the node knows it: without the directory under which its file system is mounted.
fn on_node(host_root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(host_root).map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below))
}
