//! The pipeline's state on disk, so that a restart goes on where it stood instead of evaluating the whole log again. What can't
//! be used is never an error: the log has all that it was made of.

use std::{
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use prometheus::{Gauge, IntCounter};

use crate::{
    pipeline::{
        Pipeline, PipelineConfig,
        snapshot::{Snapshot, SnapshotError},
    },
    record::Seq,
    store::{Store, open_snapshot},
    telemetry::Series,
};

/// Flags of the state on disk.
#[derive(clap::Args, Clone, Debug)]
pub struct SnapshotArgs {
    /// Seconds between two snapshots of the rules' state, from which a restart goes on; 0 writes none.
    /// The last two are kept beside the record, count in --retain-bytes, and may each take an eighth of it
    #[arg(long, env = "KUBEWITNESS_SNAPSHOT_EVERY", default_value_t = 300, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub snapshot_every: u64,
}

/// What became of snapshots.
#[derive(Clone, Debug)]
pub struct SnapshotMetrics {
    written: IntCounter,
    failed: IntCounter,
    refused: IntCounter,
    pause: Gauge,
}

impl SnapshotMetrics {
    pub fn register(series: &Series<'_>) -> prometheus::Result<SnapshotMetrics> {
        let pause = Gauge::new(
            "kubewitness_pipeline_snapshot_pause_seconds",
            "How long the last snapshot of the rules' state kept evaluation waiting.",
        )?;
        series.registry.register(Box::new(pause.clone()))?;
        Ok(SnapshotMetrics {
            written: series.counter("snapshots_written_total", "Snapshots of the rules' state that are on disk.")?,
            failed: series.counter("snapshots_failed_total", "Snapshots that could not be written.")?,
            refused: series.counter(
                "snapshots_refused_total",
                "Snapshots that could not be used at the start, so that more of the log was evaluated again.",
            )?,
            pause,
        })
    }
}

pub struct Snapshots {
    store: Store,
    metrics: SnapshotMetrics,
    /// None: never.
    every: Option<Duration>,
    taken: Instant,
    /// The record after which the last one stands.
    seq: Seq,
    /// Whether it was written, when it is done.
    writing: Option<thread::JoinHandle<bool>>,
}

impl Snapshots {
    pub fn new(store: Store, args: &SnapshotArgs, metrics: SnapshotMetrics) -> Snapshots {
        let every = Some(Duration::from_secs(args.snapshot_every)).filter(|every| !every.is_zero());
        Snapshots { store, metrics, every, taken: Instant::now(), seq: 0, writing: None }
    }

    /// The pipeline of the newest snapshot that can be used, and the record after which it stands; an empty one and 0 when
    /// there is none.
    pub fn restore(&mut self, config: &PipelineConfig, committed: Seq) -> (Pipeline, Seq) {
        let snapshots = self.store.snapshots().unwrap_or_else(|error| {
            tracing::warn!(%error, "snapshots can't be listed; the log is evaluated from its beginning");
            Vec::new()
        });
        for (seq, path) in snapshots {
            match read(&path, config.clone()) {
                Ok((pipeline, found)) if found == seq && seq <= committed => {
                    tracing::info!(seq, "the rules' state is restored; the log is evaluated from there");
                    self.seq = seq;
                    return (pipeline, seq);
                }
                Ok((_, found)) => tracing::warn!(seq, found, committed, "a snapshot is of another log"),
                Err(error) => tracing::warn!(seq, %error, "a snapshot can't be used"),
            }
            self.metrics.refused.inc();
            if let Err(error) = self.store.drop_snapshot(&path) {
                tracing::warn!(seq, %error, "it can't be removed");
            }
        }
        (Pipeline::new(config.clone()), 0)
    }

    /// Takes a snapshot when it is time and the one before it is written. `seq` is the last record that was pushed.
    pub fn take(&mut self, pipeline: &Pipeline, seq: Seq) {
        if self.every.is_none_or(|every| self.taken.elapsed() < every) || seq <= self.seq {
            return;
        }
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let snapshot = self.of(pipeline, seq);
        let (store, metrics) = (self.store.clone(), self.metrics.clone());
        let writer = thread::Builder::new().name("snapshot".into()).spawn(move || write(&store, &metrics, &snapshot));
        match writer {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => {
                tracing::warn!(%error, "no thread to write a snapshot");
                self.metrics.failed.inc();
            }
        }
    }

    /// The last one, before the process ends.
    pub fn finish(mut self, pipeline: &Pipeline, seq: Seq) {
        let written = self.writing.take().is_none_or(|writing| {
            writing.join().unwrap_or_else(|_| {
                tracing::error!("the thread that wrote a snapshot panicked");
                false
            })
        });
        if self.every.is_some() && (seq > self.seq || !written) {
            let snapshot = self.of(pipeline, seq);
            write(&self.store, &self.metrics, &snapshot);
        }
    }

    fn of(&mut self, pipeline: &Pipeline, seq: Seq) -> Snapshot {
        let begun = Instant::now();
        let snapshot = pipeline.snapshot(seq);
        self.metrics.pause.set(begun.elapsed().as_secs_f64());
        (self.taken, self.seq) = (begun, seq);
        snapshot
    }
}

fn read(path: &Path, config: PipelineConfig) -> Result<(Pipeline, Seq), SnapshotError> {
    Pipeline::restore(config, open_snapshot(path)?)
}

/// False when it could not be written.
fn write(store: &Store, metrics: &SnapshotMetrics, snapshot: &Snapshot) -> bool {
    let written = store.put_snapshot(snapshot.seq, |mut out: &mut dyn Write| snapshot.write(&mut out));
    match &written {
        Ok(bytes) => {
            metrics.written.inc();
            tracing::debug!(seq = snapshot.seq, bytes, "snapshot written");
        }
        Err(error) => {
            metrics.failed.inc();
            tracing::warn!(%error, "a snapshot is not written; the one before it stands");
        }
    }
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{self, StoreConfig};

    #[test]
    fn what_could_not_be_written_is_written_at_the_end_and_what_was_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = store::Metrics::register(&prometheus::Registry::new()).unwrap();
        let (store, _appender, _writer) = Store::open(StoreConfig::at(dir.path()), metrics).unwrap();
        let registry = prometheus::Registry::new();
        let metrics = SnapshotMetrics::register(&Series { registry: &registry, part: "pipeline" }).unwrap();
        let pipeline = Pipeline::new(PipelineConfig::default());
        // Takes one, and waits for its end.
        let take = |seq| {
            let mut snapshots = Snapshots::new(store.clone(), &SnapshotArgs { snapshot_every: 1 }, metrics.clone());
            snapshots.every = Some(Duration::ZERO);
            snapshots.take(&pipeline, seq);
            let written = snapshots.writing.take().unwrap().join().unwrap();
            snapshots.writing = Some(thread::spawn(move || written));
            (snapshots, written)
        };
        let seqs = || store.snapshots().unwrap().into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
        // A directory stands where the file is to be written.
        let in_the_way = dir.path().join("snapshot.tmp");
        fs::create_dir(&in_the_way).unwrap();
        let (snapshots, written) = take(7);
        assert!(!written && seqs().is_empty());
        fs::remove_dir(&in_the_way).unwrap();
        snapshots.finish(&pipeline, 7);
        assert_eq!((seqs(), metrics.failed.get(), metrics.written.get()), (vec![7], 1, 1));

        let (snapshots, written) = take(8);
        assert!(written);
        snapshots.finish(&pipeline, 8);
        assert_eq!((seqs(), metrics.failed.get(), metrics.written.get()), (vec![8, 7], 1, 2));
    }
}
