//! What the store counts and measures.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::api::rule::Source;

/// The store's metrics; clones share their values.
#[derive(Clone)]
pub struct Metrics {
    pub(super) records_stored: IntCounter,
    pub(super) records_duplicate: IntCounter,
    inputs_stored: IntCounterVec,
    inputs_duplicate: IntCounterVec,
    pub(super) append_refused: IntCounterVec,
    pub(super) commit_seconds: Histogram,
    pub(super) bytes: IntGauge,
    pub(super) limit_bytes: IntGauge,
    pub(super) disk_bytes: IntGauge,
    pub(super) disk_free_bytes: IntGauge,
    pub(super) oldest_record_timestamp: Gauge,
    pub(super) blocks_corrupt: IntCounter,
    pub(super) records_dropped_unread: IntCounter,
    pub(super) partitions_dropped: IntCounter,
    pub(super) standing_overflow: IntCounter,
}

impl Metrics {
    /// Creates the metrics in `registry`; fails when they are there already.
    pub fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(format!("kubewitness_store_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let append_refused = IntCounterVec::new(
            Opts::new("kubewitness_store_append_refused_total", "Appends that were not acknowledged, by reason"),
            &["reason"],
        )?;
        registry.register(Box::new(append_refused.clone()))?;
        for reason in ["busy", "slow", "failed", "closed"] {
            append_refused.with_label_values(&[reason]).reset();
        }
        let by_source = |name: &str, help: &str| -> prometheus::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(format!("kubewitness_store_{name}"), help), &["source"])?;
            registry.register(Box::new(counters.clone()))?;
            Source::ALL.iter().for_each(|source| counters.with_label_values(&[source.as_str()]).reset());
            Ok(counters)
        };
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new("kubewitness_store_commit_seconds", "Time of a commit to disk, fsync included")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(format!("kubewitness_store_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let oldest_record_timestamp = Gauge::new(
            "kubewitness_store_oldest_record_timestamp_seconds",
            "Unix time at which the oldest retained partition was begun",
        )?;
        registry.register(Box::new(oldest_record_timestamp.clone()))?;
        Ok(Metrics {
            records_stored: counter("records_stored_total", "Records committed to the log")?,
            records_duplicate: counter("records_duplicate_total", "Records not stored because the log had them")?,
            inputs_stored: by_source(
                "inputs_stored_total",
                "Audit events (those in quarantine as well) and log lines committed to the log, by kind of source",
            )?,
            inputs_duplicate: by_source(
                "inputs_duplicate_total",
                "Audit events and log lines not stored because the log had them, by kind of source",
            )?,
            append_refused,
            commit_seconds,
            bytes: gauge("bytes", "Bytes of the log and of the snapshots beside it on disk")?,
            limit_bytes: gauge(
                "limit_bytes",
                "Bytes that the log and the snapshots may take before the log's oldest part is dropped",
            )?,
            disk_bytes: gauge("disk_bytes", "Size of the file system that the log is on")?,
            disk_free_bytes: gauge("disk_free_bytes", "Bytes that are free for the log on its file system")?,
            oldest_record_timestamp,
            blocks_corrupt: counter(
                "blocks_corrupt_total",
                "Damage met while reading the log: blocks, records or partitions that were skipped",
            )?,
            records_dropped_unread: counter(
                "records_dropped_unread_total",
                "Records that retention dropped before every reader had read them",
            )?,
            partitions_dropped: counter("partitions_dropped_total", "Partitions that retention dropped")?,
            standing_overflow: counter(
                "standing_overflow_total",
                "Standing records (rules, nodes, pods) beyond the limit, which retention may lose",
            )?,
        })
    }

    /// Counts what a commit was offered and what it stored; the rest was there already.
    pub(super) fn by_source(
        &self,
        offered: impl Iterator<Item = Option<Source>>,
        stored: impl Iterator<Item = Option<Source>>,
    ) {
        let mut counts = [(0, 0); Source::ALL.len()];
        let mut count = |source: Option<Source>, add: fn(&mut (u64, u64))| {
            let at = Source::ALL.iter().position(|known| Some(*known) == source);
            at.and_then(|at| counts.get_mut(at)).into_iter().for_each(add);
        };
        offered.for_each(|source| count(source, |(_, offered)| *offered += 1));
        stored.for_each(|source| count(source, |(stored, _)| *stored += 1));
        for (source, (stored, offered)) in Source::ALL.iter().zip(counts) {
            self.inputs_stored.with_label_values(&[source.as_str()]).inc_by(stored);
            self.inputs_duplicate.with_label_values(&[source.as_str()]).inc_by(offered.saturating_sub(stored));
        }
    }
}
