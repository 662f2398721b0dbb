//! Between the relay's door and its files: one thread that writes for all requests that wait, with one fsync.
//! In: lines, through a bounded queue. Out: that they are on stable storage, or at once that they can't be now.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc as ready},
    thread,
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

use super::files::{Files, Held};
use crate::{
    api::log_source::Assignment,
    collector::{CollectorError, metrics::Metrics},
    ingest::relay::{self, Unkept},
    redact::Redacted,
};

/// Groups that wait: more than the door works on at the same time.
const QUEUE: usize = 16;
/// Written at once, in bytes; one group more may be in it.
const TOGETHER: usize = 4 << 20;
/// After a failure nothing is tried so long: what comes is refused at once.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A write that takes longer than this has stalled: what comes is refused at once …
const STALLED: Duration = Duration::from_secs(2);
/// … and what waits is answered.
const PATIENCE: Duration = Duration::from_secs(5);

struct Job {
    lines: Vec<u8>,
    done: oneshot::Sender<Result<(), Unkept>>,
}

#[derive(Default)]
struct State {
    busy_since: Option<Instant>,
    failed_at: Option<Instant>,
}

struct Shared {
    held: Held,
    limit: u64,
    state: Mutex<State>,
    metrics: Metrics,
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn room(&self, bytes: u64) -> Result<(), Unkept> {
        let (busy, failed) = self.with(|state| (state.busy_since, state.failed_at));
        if failed.is_some_and(|at| at.elapsed() < AFTER_FAILURE) {
            return Err(Unkept::Failing);
        }
        if busy.is_some_and(|since| since.elapsed() > STALLED) {
            return Err(Unkept::Stalled);
        }
        if self.held.bytes().saturating_add(bytes) > self.limit { Err(Unkept::Full) } else { Ok(()) }
    }

    /// Writes what waits together.
    fn write(&self, files: &mut Files<'_>, group: &[Job]) -> Result<(), Unkept> {
        let parts: Vec<&[u8]> = group.iter().map(|job| job.lines.as_slice()).collect();
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if self.held.bytes().saturating_add(bytes as u64) > self.limit {
            return Err(Unkept::Full);
        }
        let begun = Instant::now();
        self.with(|state| state.busy_since = Some(begun));
        let written = files.append(&parts);
        self.with(|state| {
            state.busy_since = None;
            state.failed_at = written.is_err().then(Instant::now);
        });
        self.metrics.relay.last_fsync.set(begun.elapsed().as_secs_f64());
        self.metrics.relay.bytes.set(self.held.bytes().try_into().unwrap_or(i64::MAX));
        written.map_err(|error| {
            tracing::error!(%error, "the relay can't write: the API server keeps what it sends");
            Unkept::Failing
        })
    }
}

pub struct Shelf {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    node: watch::Receiver<Option<Arc<Assignment>>>,
}

/// Looks after the files while a [`Shelf`] writes them.
#[derive(Clone)]
pub struct Keeping(Arc<Shared>);

impl Keeping {
    pub fn held(&self) -> &Held {
        &self.0.held
    }
}

impl Shelf {
    /// Opens the files in `dir`, `limit` bytes in all, and starts the thread that writes them; it ends with the shelf.
    pub fn open(
        dir: &Path,
        limit: u64,
        node: watch::Receiver<Option<Arc<Assignment>>>,
        metrics: Metrics,
    ) -> Result<(Shelf, Keeping), CollectorError> {
        let shared = Arc::new(Shared { held: Held::default(), limit, state: Mutex::default(), metrics });
        let (jobs, mut waiting) = mpsc::channel::<Job>(QUEUE);
        let (opened, is_open) = ready::sync_channel(1);
        let (own, path) = (Arc::clone(&shared), dir.to_owned());
        let work = move || {
            let mut files = match Files::open(&path, limit / 8, &own.held) {
                Ok(files) => files,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(())).is_err() {
                return;
            }
            own.metrics.relay.bytes.set(own.held.bytes().try_into().unwrap_or(i64::MAX));
            while let Some(first) = waiting.blocking_recv() {
                let mut bytes = first.lines.len();
                let mut group = vec![first];
                while bytes < TOGETHER
                    && let Ok(job) = waiting.try_recv()
                {
                    bytes += job.lines.len();
                    group.push(job);
                }
                let outcome = own.write(&mut files, &group);
                let left = group.into_iter().filter_map(|job| job.done.send(outcome).err()).count();
                if left > 0 {
                    tracing::debug!(left, "requests did not wait for their answer; what is sent again is stored once");
                }
            }
        };
        thread::Builder::new()
            .name("relay".into())
            .spawn(work)
            .map_err(|reason| CollectorError::Start { what: "the relay's thread", reason })?;
        let files = |reason| CollectorError::State { path: dir.to_owned(), reason };
        is_open.recv().map_err(|_| CollectorError::Ended("the relay's thread"))?.map_err(files)?;
        Ok((Shelf { jobs, shared: Arc::clone(&shared), node }, Keeping(shared)))
    }

    async fn write(&self, lines: Vec<u8>) -> Result<(), Unkept> {
        self.shared.room(lines.len() as u64)?;
        let (done, outcome) = oneshot::channel();
        self.jobs.try_send(Job { lines, done }).map_err(|error| match error {
            TrySendError::Full(_) => Unkept::Stalled,
            TrySendError::Closed(_) => Unkept::Failing,
        })?;
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unkept::Failing),
            Err(_) => Err(Unkept::Stalled),
        }
    }
}

impl relay::Shelf for Shelf {
    fn node(&self) -> Option<String> {
        self.node.borrow().as_ref().map(|assignment| assignment.node.clone())
    }

    fn room(&self, bytes: u64) -> Result<(), Unkept> {
        self.shared.room(bytes)
    }

    fn line(event: &Redacted, lines: &mut Vec<u8>) {
        super::line::write(event, lines);
    }

    fn append(&self, lines: Vec<u8>) -> BoxFuture<'_, Result<(), Unkept>> {
        self.write(lines).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn open(dir: &Path, limit: u64) -> Shelf {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        Shelf::open(dir, limit, watch::channel(None).1, metrics).unwrap().0
    }

    #[tokio::test]
    async fn what_can_not_be_kept_is_refused_at_once_and_taken_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("relay");
        let shelf = open(&own, 200);
        let line = |length: usize| [vec![b'x'; length], b"\n".to_vec()].concat();
        assert_eq!(shelf.write(line(300)).await, Err(Unkept::Full));
        fs::remove_dir(&own).unwrap();
        assert_eq!(shelf.write(line(20)).await, Err(Unkept::Failing));
        fs::create_dir(&own).unwrap();
        // Without a look at the disk, which would take it by now.
        assert_eq!(shelf.write(line(20)).await, Err(Unkept::Failing));
        let long_ago = |span: Duration| Instant::now().checked_sub(span);
        shelf.shared.with(|state| state.failed_at = long_ago(AFTER_FAILURE));
        assert_eq!(shelf.write(line(20)).await, Ok(()));
        shelf.shared.with(|state| state.busy_since = long_ago(STALLED * 2));
        assert_eq!(shelf.write(line(20)).await, Err(Unkept::Stalled));
        shelf.shared.with(|state| state.busy_since = None);
        assert_eq!(shelf.write(line(20)).await, Ok(()));
        assert_eq!(shelf.write(line(150)).await, Err(Unkept::Full));
        assert_eq!(
            shelf.shared.held.bytes(),
            fs::read_dir(&own).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum::<u64>()
        );
    }
}
