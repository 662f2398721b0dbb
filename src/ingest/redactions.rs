//! Redaction in its turn: one at a time for each core, on threads that may be kept busy, so that all others get theirs.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::answer::Answer;

pub(super) struct Redactions(Arc<Semaphore>);

impl Redactions {
    pub(super) fn new() -> Redactions {
        Redactions(Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))))
    }

    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Answer> {
        let Ok(turn) = self.0.clone().acquire_owned().await else { return Err(Answer::Internal) };
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
}
