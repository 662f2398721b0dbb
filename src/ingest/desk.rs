//! What requests share: the store behind the door, and the room that bodies may take.
//! In: records of a group. Out: how many are on stable storage now, or the answer that stops the request.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{IngestLimits, Metrics, answer::Answer, collectors::Collectors, live::Live, room::Room};
use crate::{
    record::{IdKey, Record},
    store::{AppendError, Appended, Appender},
};

pub(super) struct Desk {
    pub live: Arc<Live>,
    pub collectors: Collectors,
    appender: Appender,
    pub key: IdKey,
    pub metrics: Metrics,
    pub limits: IngestLimits,
    /// Bodies of the audit webhook that may be worked on: it bounds memory.
    pub bodies: Semaphore,
    /// The same of collectors; apart, so that no number of nodes keeps an API server out.
    pub record_bodies: Room,
    /// Redactions that may run: one a core, so that the store's threads get their turn.
    redactions: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(
        live: Arc<Live>,
        collectors: Collectors,
        appender: Appender,
        key: IdKey,
        metrics: Metrics,
        limits: IngestLimits,
    ) -> Desk {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Desk {
            live,
            collectors,
            appender,
            key,
            metrics,
            limits,
            bodies: Semaphore::new(limits.bodies),
            record_bodies: Room::new(limits.record_bodies),
            redactions: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Does the work of redaction in its turn, on a thread that may be kept busy.
    pub(super) async fn redact<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Answer> {
        let Ok(turn) = self.redactions.clone().acquire_owned().await else { return Err(Answer::Internal) };
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        });
        worked.await.map_err(|error| {
            tracing::error!(%error, "redaction broke off; the batch was not stored and the sender keeps it");
            Answer::Internal
        })
    }

    /// Returns once all of it is on stable storage.
    pub(super) async fn append(&self, records: Vec<Record>) -> Result<Appended, Answer> {
        self.appender.append(records).await.map_err(|error| match error {
            AppendError::Busy | AppendError::Slow | AppendError::Closed => Answer::StoreBusy,
            AppendError::Failed { reason } => {
                tracing::error!(%reason, "the store refused a batch; the sender keeps it");
                Answer::StoreBusy
            }
        })
    }
}
