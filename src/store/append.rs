//! The queue in front of the writer. In: records of a caller. Out: requests of serialised lines, and the answer to the
//! caller once they are on disk. Never waits for room: a full queue refuses at once, so that senders retry elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{Shared, block};
use crate::{
    api::rule::Source,
    record::{Record, RecordId, Seq},
};

/// What became of the records of one append. All of them are on disk, at or before `last_seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub stored: u64,
    /// Already in the log (or said nothing new about a standing object), so not stored again.
    pub duplicates: u64,
    pub last_seq: Seq,
}

/// Why records were not acknowledged. The caller should offer them again after `retry_after`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the store's queue is full: retry")]
    Busy,
    /// The records may still be committed; offered again, they collapse with themselves.
    #[error("the store did not commit in time: retry")]
    Slow,
    #[error("the store could not write: {reason}")]
    Failed { reason: String },
    #[error("the store is closed")]
    Closed,
}

impl AppendError {
    /// When to try again.
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Label of the metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            AppendError::Busy => "busy",
            AppendError::Slow => "slow",
            AppendError::Failed { .. } => "failed",
            AppendError::Closed => "closed",
        }
    }
}

/// A record on its way to a block.
pub(super) struct Line {
    pub id: RecordId,
    pub json: Vec<u8>,
    /// For what is counted by kind of source.
    pub source: Option<Source>,
    pub change: Option<Change>,
}

/// What a standing record does to its object.
pub(super) struct Change {
    pub key: String,
    /// Hash of the payload: equal content says nothing new.
    pub content: block::Hash,
    /// The object is gone.
    pub ends: bool,
}

impl Line {
    pub fn new(record: &Record) -> Result<Line, AppendError> {
        let failed =
            |error: serde_json::Error| AppendError::Failed { reason: format!("record {}: {error}", record.id) };
        let mut json = serde_json::to_vec(record).map_err(failed)?;
        if json.len() > block::RAW_LIMIT {
            let reason = format!("record {} has {} bytes, the limit is {}", record.id, json.len(), block::RAW_LIMIT);
            return Err(AppendError::Failed { reason });
        }
        // A line break can only be white space between tokens (JSON strings escape theirs), and would end the line.
        json.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        let change = match record.standing_key() {
            Some(key) => {
                let content = Sha256::digest(serde_json::to_vec(&record.payload).map_err(failed)?).into();
                Some(Change { key, content, ends: record.ends_standing() })
            }
            None => None,
        };
        Ok(Line { id: record.id, json, source: record.payload.source(), change })
    }
}

pub(super) type Answer = Result<Appended, AppendError>;

/// Records that one caller waits for.
pub(super) struct Request {
    pub lines: Vec<Line>,
    pub bytes: usize,
    pub reply: Box<dyn FnOnce(Answer) + Send>,
    /// Held until the request is answered.
    _room: Room,
}

/// A share of the queue's bytes, given back when dropped.
struct Room {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn take(used: &Arc<AtomicUsize>, bytes: usize, limit: usize) -> Option<Room> {
        // A request above the limit is let in alone, or it could never be stored.
        let bytes = bytes.min(limit);
        let fits = |now: usize| now.checked_add(bytes).filter(|sum| *sum <= limit);
        used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Room { used: used.clone(), bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Appends records to the log. The writer ends when the last clone is dropped.
#[derive(Clone)]
pub struct Appender {
    shared: Arc<Shared>,
    queue: mpsc::SyncSender<Request>,
    used: Arc<AtomicUsize>,
    limit: usize,
    deadline: Duration,
}

impl Appender {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue_bytes: usize,
        queue_len: usize,
        deadline: Duration,
    ) -> (Appender, mpsc::Receiver<Request>) {
        let (queue, requests) = mpsc::sync_channel(queue_len.max(1));
        (Appender { shared, queue, used: Arc::default(), limit: queue_bytes.max(1), deadline }, requests)
    }

    /// Stores `records` in their order and returns after fsync; all of them or none. Waits at most the store's deadline.
    pub async fn append(&self, records: Vec<Record>) -> Answer {
        let (reply, answer) = tokio::sync::oneshot::channel();
        // The receiver is gone when the caller gave up: nobody to tell.
        let sent = self.submit(&records, Box::new(move |answer| drop(reply.send(answer))));
        drop(records);
        let answer = match sent {
            Err(refused) => Err(refused),
            Ok(()) => match tokio::time::timeout(self.deadline, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(AppendError::Closed),
                Err(_) => Err(AppendError::Slow),
            },
        };
        self.counted(answer)
    }

    /// `append` for callers outside tokio. Blocks the thread for at most the store's deadline.
    pub fn append_blocking(&self, records: Vec<Record>) -> Answer {
        let (reply, answer) = mpsc::sync_channel(1);
        let sent = self.submit(&records, Box::new(move |answer| drop(reply.send(answer))));
        drop(records);
        let answer = match sent {
            Err(refused) => Err(refused),
            Ok(()) => match answer.recv_timeout(self.deadline) {
                Ok(answer) => answer,
                Err(mpsc::RecvTimeoutError::Disconnected) => Err(AppendError::Closed),
                Err(mpsc::RecvTimeoutError::Timeout) => Err(AppendError::Slow),
            },
        };
        self.counted(answer)
    }

    fn counted(&self, answer: Answer) -> Answer {
        answer.inspect_err(|error| self.shared.metrics.append_refused.with_label_values(&[error.reason()]).inc())
    }

    fn submit(&self, records: &[Record], reply: Box<dyn FnOnce(Answer) + Send>) -> Result<(), AppendError> {
        let lines = records.iter().map(Line::new).collect::<Result<Vec<Line>, AppendError>>()?;
        let bytes = lines.iter().map(|line| line.json.len() + 1).sum();
        let room = Room::take(&self.used, bytes, self.limit).ok_or(AppendError::Busy)?;
        self.queue.try_send(Request { lines, bytes, reply, _room: room }).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => AppendError::Busy,
            mpsc::TrySendError::Disconnected(_) => AppendError::Closed,
        })
    }
}
