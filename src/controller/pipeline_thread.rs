//! The pipeline's own thread: reads the log from where the newest snapshot of its state stands, or from its beginning, so a
//! restart finds the state that it left; then follows what is committed. CPU-bound work never sits on an I/O thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{metrics::PipelineMetrics, snapshots::Snapshots};
use crate::{
    admin::Check,
    alert::AlertId,
    cluster::{alerts::Tray, rules::Activity, status::RuleNews},
    pipeline::{Pipeline, PipelineConfig},
    record::{RuleId, Seq},
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
    snapshots: Snapshots,
    /// Evictions and rules over their budget, when the statuses were last told.
    told: Option<(u64, usize)>,
    /// The last record whose alerts were handed over before this start.
    handed_over: Seq,
    /// Alerts that changed behind it, and were not handed over yet.
    news: BTreeSet<AlertId>,
}

impl PipelineThread {
    pub fn new(
        store: Store,
        own_user: Option<String>,
        tray: Arc<Tray>,
        activity: Activity,
        waits: Arc<AtomicBool>,
        metrics: PipelineMetrics,
        snapshots: Snapshots,
    ) -> PipelineThread {
        let committed = store.committed();
        let handed_over = store.offset(OFFSET).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was handed over before is unknown; resolved alerts may be written again");
            None
        });
        let (handed_over, news) = (handed_over.unwrap_or_default(), BTreeSet::new());
        PipelineThread {
            store,
            committed,
            own_user,
            tray,
            activity,
            waits,
            metrics,
            snapshots,
            told: None,
            handed_over,
            news,
        }
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
        let config = PipelineConfig { own_user: self.own_user.take(), ..PipelineConfig::default() };
        let until = *self.committed.borrow();
        let (mut pipeline, restored) = self.snapshots.restore(&config, until);
        let mut next = self.first().max(restored + 1);
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
                if *seq > self.handed_over && next <= self.handed_over + 1 {
                    drop(pipeline.take_changed()); // by what was handed over before
                }
                pipeline.push(*seq, record);
                next = seq + 1;
            }
            if batch.is_empty() && next <= committed {
                next = committed + 1; // what is left up to there is unreadable, and counted as such by the store
            }
            self.publish(&mut pipeline, next - 1, next > until);
            self.snapshots.take(&pipeline, next - 1);
            if batch.is_empty() {
                if shutdown.is_cancelled() {
                    return self.snapshots.finish(&pipeline, next - 1);
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
        if last > self.handed_over {
            self.news.extend(changed);
        }
        if !caught_up {
            self.news.retain(|id| pipeline.alert(id).is_some()); // no more of them than alerts are kept
            return;
        }
        self.tray.forget(forgotten);
        let news = std::mem::take(&mut self.news);
        if self.metrics.is_replayed() {
            self.tray.put(news.iter().filter_map(|id| Some((pipeline.alert(id)?.clone(), true))));
        } else {
            self.tray.put(pipeline.alerts().map(|alert| (alert.clone(), news.contains(&alert.id))));
            self.metrics.replayed();
        }
        self.tell_news(pipeline, !news.is_empty());
        if let Err(error) = self.store.set_offset(OFFSET, last) {
            tracing::warn!(%error, "the pipeline's offset is not stored");
        }
    }

    /// Tells the statuses what became of the rules, when that changed.
    fn tell_news(&mut self, pipeline: &Pipeline, changed: bool) {
        let evicted = pipeline.correlator().evicted_by_rule();
        let now = (evicted.values().sum(), pipeline.over_budget().len());
        if !changed && self.told == Some(now) {
            return;
        }
        self.told = Some(now);
        let mut news: BTreeMap<RuleId, RuleNews> = BTreeMap::new();
        for (id, activity) in pipeline.activity() {
            news.entry(id.clone()).or_default().last_finding = activity.last_finding;
        }
        for (id, count) in evicted {
            news.entry(id.clone()).or_default().evicted = count;
        }
        for (id, over) in pipeline.over_budget() {
            news.entry(id.clone()).or_default().over_budget = Some((over.generation, over.to_string()));
        }
        if let Ok(mut activity) = self.activity.lock() {
            *activity = news;
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
