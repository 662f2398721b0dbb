//! The pipeline's own thread: reads the log from its beginning, so a restart finds the state that it left, then follows
//! what is committed. CPU-bound work never sits on an I/O thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use super::metrics::PipelineMetrics;
use crate::{
    admin::Check,
    cluster::{alerts::Tray, rules::Activity},
    pipeline::{Pipeline, PipelineConfig},
    record::Seq,
    store::Store,
};

/// Raw bytes that are read from the store at a time.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// How often the offset is stored, and how long a read error waits.
const PAUSE: Duration = Duration::from_secs(1);
/// Name of the pipeline's offset in the store.
const OFFSET: &str = "pipeline";

pub struct PipelineThread {
    store: Store,
    committed: watch::Receiver<Seq>,
    own_user: Option<String>,
    tray: Arc<Tray>,
    activity: Activity,
    /// Told to who records ticks: some rule waits for time to pass.
    waits: Arc<AtomicBool>,
    metrics: PipelineMetrics,
}

impl PipelineThread {
    pub fn new(
        store: Store,
        own_user: Option<String>,
        tray: Arc<Tray>,
        activity: Activity,
        waits: Arc<AtomicBool>,
        metrics: PipelineMetrics,
    ) -> PipelineThread {
        let committed = store.committed();
        PipelineThread { store, committed, own_user, tray, activity, waits, metrics }
    }

    /// Ends when `shutdown` is cancelled and everything committed is evaluated. `alive` turns false if it panics.
    pub fn spawn(self, alive: Check, shutdown: CancellationToken) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = Handle::current();
        thread::Builder::new().name("pipeline".into()).spawn(move || {
            let guard = alive.until_dropped();
            self.run(&runtime, &shutdown);
            drop(guard);
        })
    }

    fn run(mut self, runtime: &Handle, shutdown: &CancellationToken) {
        let mut pipeline =
            Pipeline::new(PipelineConfig { own_user: self.own_user.take(), ..PipelineConfig::default() });
        let until = *self.committed.borrow();
        let mut next = self.first();
        loop {
            let committed = *self.committed.borrow();
            let batch = match self.store.read(next, READ_BYTES) {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, from = next, "the log can't be read; it is tried again");
                    self.metrics.read_errors.inc();
                    if runtime.block_on(pause(shutdown)) {
                        return;
                    }
                    continue;
                }
            };
            for (seq, record) in &batch {
                pipeline.push(*seq, record);
                next = seq + 1;
            }
            if batch.is_empty() && next <= committed {
                next = committed + 1; // what is left up to there is unreadable, and counted as such by the store
            }
            self.publish(&mut pipeline, next - 1, next > until);
            if batch.is_empty() {
                if shutdown.is_cancelled() {
                    return;
                }
                runtime.block_on(self.more(next, shutdown));
            }
        }
    }

    fn first(&self) -> Seq {
        self.store.first_seq().unwrap_or_else(|error| {
            tracing::error!(%error, "the log's beginning is unknown; reading from 1");
            1
        })
    }

    /// Waits for a commit, the shutdown, or a moment.
    async fn more(&mut self, next: Seq, shutdown: &CancellationToken) {
        tokio::select! {
            changed = self.committed.wait_for(|seq| *seq >= next) => if changed.is_err() {
                shutdown.cancelled().await; // the writer is gone: nothing more will come
            },
            () = shutdown.cancelled() => {}
        }
    }

    /// Hands over what changed. While the log is replayed nothing is handed over: counts would seem to go backwards.
    fn publish(&mut self, pipeline: &mut Pipeline, last: Seq, caught_up: bool) {
        let lag = self.committed.borrow().saturating_sub(last);
        self.metrics.observe(pipeline, lag);
        self.waits.store(pipeline.waits(), Ordering::Relaxed);
        let (changed, forgotten) = (pipeline.take_changed(), pipeline.take_forgotten());
        if !caught_up {
            return;
        }
        self.tray.forget(forgotten);
        if self.metrics.is_replayed() {
            self.tray.put(changed.iter().filter_map(|id| pipeline.alert(id).cloned()));
        } else {
            self.tray.put(pipeline.alerts().cloned());
            self.metrics.replayed();
        }
        if !changed.is_empty() {
            self.tell_activity(pipeline);
        }
        if let Err(error) = self.store.set_offset(OFFSET, last) {
            tracing::warn!(%error, "the pipeline's offset is not stored");
        }
    }

    fn tell_activity(&self, pipeline: &Pipeline) {
        if let Ok(mut activity) = self.activity.lock() {
            let seen = pipeline.activity().iter().filter_map(|(id, a)| Some((id.clone(), a.last_finding?)));
            *activity = seen.collect();
        }
    }
}

/// True when the controller shuts down.
async fn pause(shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => true,
        () = tokio::time::sleep(PAUSE) => false,
    }
}

#[cfg(test)]
mod tests;
