//! The record: everything that was received, redacted, in the order in which it was received. In: batches of `Record`
//! through an `Appender`, answered when they are on disk. Out: records by sequence number, to readers that keep their
//! offset here. One `Writer` commits; partitions are SQLite files of compressed blocks, each chained to the one before.
//! Never changes what it holds, never acknowledges what it does not, never drops the unread without counting it.

mod append;
mod block;
mod config;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
mod dedupe;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod log_tests;
mod metrics;
#[cfg(test)]
mod model_tests;
mod partition;
mod reader;
mod retention;
mod snapshots;
mod standing;
mod state;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use tokio::sync::watch;

pub use self::{
    append::{AppendError, Appended, Appender},
    config::{StoreArgs, StoreConfig},
    metrics::Metrics,
    snapshots::open_snapshot,
    writer::Writer,
};
use self::{partition::Partition, standing::StandingSet, state::State};
use crate::record::{IdKey, Record, Seq};

/// Why the store can't be opened, read or told an offset.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} is in use by another process: stop that one, or give this one another --data-dir", dir.display())]
    Locked { dir: PathBuf },
    #[error(
        "{} has format version {found}, this build reads {expected}: use the build that wrote it, or an empty --data-dir",
        path.display()
    )]
    Version { path: PathBuf, found: i64, expected: i64 },
    #[error("{}: no write-ahead log here (journal mode {mode}): use a local file system for --data-dir", path.display())]
    NoWal { path: PathBuf, mode: String },
    #[error("{}: not the name of a partition (log-<20 digits>.db): move the file away", path.display())]
    Name { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("no random bytes for the id key: {0}")]
    Random(getrandom::Error),
    #[error("zstd: {0}")]
    Compress(std::io::Error),
    #[error("a standing record is not readable: {0}")]
    Standing(serde_json::Error),
}

impl StoreError {
    fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
        |source| StoreError::Sqlite { path: path.into(), source }
    }

    fn io(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
        |source| StoreError::Io { path: path.into(), source }
    }
}

/// What the handles and the writer share. The mutexes are held for lines, never across an fsync of the log.
struct Shared {
    dir: PathBuf,
    metrics: Metrics,
    id_key: IdKey,
    state: Mutex<State>,
    /// Retained partitions by first sequence number; at most `retain_bytes` / 64 KiB of them.
    partitions: Mutex<BTreeMap<Seq, PathBuf>>,
    standing: Mutex<StandingSet>,
    /// The partition that was read last, kept open.
    reader: Mutex<Option<Partition>>,
    /// Damage that was reported, by sequence number.
    reported: Mutex<BTreeSet<Seq>>,
    committed: watch::Sender<Seq>,
    retain_bytes: u64,
    /// Bytes of the snapshots beside the log.
    snapshot_bytes: AtomicU64,
    /// Locked while any handle lives.
    _lock: fs::File,
}

/// A poisoned lock is taken all the same: no panic can leave one of our values half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle to read the log and keep offsets. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store in `config.dir`, or makes it. The caller runs the writer on a thread of its own.
    pub fn open(config: StoreConfig, metrics: Metrics) -> Result<(Store, Appender, Writer), StoreError> {
        let config = config.clamped();
        let dir = config.dir.clone();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(StoreError::io(&dir))?;
        let lock = lock(&dir)?;
        let state = State::open(&dir)?;
        let shared = Arc::new(Shared {
            dir,
            metrics,
            id_key: state.id_key.clone(),
            state: Mutex::new(state),
            partitions: Mutex::default(),
            standing: Mutex::default(),
            reader: Mutex::default(),
            reported: Mutex::default(),
            committed: watch::Sender::new(0),
            retain_bytes: config.retain_bytes,
            snapshot_bytes: AtomicU64::new(0),
            _lock: lock,
        });
        shared.measure_snapshots();
        let (appender, requests) = Appender::new(shared.clone(), config.queue_bytes, config.queue_len, config.deadline);
        let writer = Writer::open(shared.clone(), config, requests)?;
        Ok((Store { shared }, appender, writer))
    }

    /// The key of this installation's record ids.
    pub fn id_key(&self) -> &IdKey {
        &self.shared.id_key
    }

    /// The last committed sequence number, 0 when the log is empty.
    pub fn committed(&self) -> watch::Receiver<Seq> {
        self.shared.committed.subscribe()
    }

    /// The oldest retained sequence number; the next to be written when there is none.
    pub fn first_seq(&self) -> Result<Seq, StoreError> {
        Ok(locked(&self.shared.partitions).keys().next().copied().unwrap_or(1))
    }

    /// Records from `from` on, in order, until `max_bytes` of JSON are reached, rounded up to whole blocks (1 MiB); empty
    /// when there are none yet. Sequence numbers are missing where retention or damage took them. Blocks the thread.
    pub fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<(Seq, Record)>, StoreError> {
        self.shared.read(from, max_bytes)
    }

    /// The last sequence number that the reader `name` is done with; `None` before the first.
    pub fn offset(&self, name: &str) -> Result<Option<Seq>, StoreError> {
        locked(&self.shared.state).offset(name)
    }

    /// Keeps that the reader `name` is done with everything up to `seq`. Survives a crash of the process; a power cut
    /// may bring back an older offset, never a newer one. Names are few and fixed: what the slowest has not read
    /// counts as unread when retention drops it.
    pub fn set_offset(&self, name: &str, seq: Seq) -> Result<(), StoreError> {
        locked(&self.shared.state).set_offset(name, seq)
    }

    /// The newest record of every rule, node and pod that stands, in the order of their keys.
    pub fn standing(&self) -> Result<Vec<Record>, StoreError> {
        let standing = locked(&self.shared.standing).values();
        standing.iter().map(|standing| standing.record().map_err(StoreError::Standing)).collect()
    }
}

/// Takes the directory for this process. The kernel frees it when the process ends, however it ends.
fn lock(dir: &Path) -> Result<fs::File, StoreError> {
    let path = dir.join("lock");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(StoreError::io(&path))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(fs::TryLockError::Error(error)) => return Err(StoreError::io(&path)(error)),
        }
    }
    Err(StoreError::Locked { dir: dir.into() })
}

/// How long a killed process may take to end: it holds the lock until the last of its threads has, a moment after it is no
/// longer seen. 3 s in all.
const LOCK_TRIES: u32 = 60;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
