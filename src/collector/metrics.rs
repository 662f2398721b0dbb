//! What the collector counts. Labels are enums of ours; every series exists from the start, at zero.

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Registry};

use crate::{ingest::relay::RelayMetrics, telemetry::Series};

/// Why bytes of a file were never sent. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A file was truncated, and no copy of it was found or the copy had been made before these bytes came.
    Truncated,
    /// A file was removed, or compressed, before it was read to its end.
    Gone,
    /// What a line has beyond the limit.
    Oversized,
    /// A line of an audit log that holds no audit event.
    Unreadable,
    /// NUL bytes, which stand for what was never written.
    Nul,
    /// A batch in the spool that the disk damaged; counted as stored, compressed.
    SpoolDamaged,
}

impl Loss {
    pub const ALL: [Loss; 6] =
        [Loss::Truncated, Loss::Gone, Loss::Oversized, Loss::Unreadable, Loss::Nul, Loss::SpoolDamaged];

    pub fn as_str(self) -> &'static str {
        match self {
            Loss::Truncated => "Truncated",
            Loss::Gone => "Gone",
            Loss::Oversized => "Oversized",
            Loss::Unreadable => "Unreadable",
            Loss::Nul => "Nul",
            Loss::SpoolDamaged => "SpoolDamaged",
        }
    }
}

/// Why a request is made again. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No connection, or one that broke.
    Connection,
    Timeout,
    /// No token, or one that the controller does not take (401).
    Unauthorized,
    /// The token is good and not for this (403).
    Forbidden,
    /// Too many requests (429).
    Throttled,
    /// 5xx.
    Unavailable,
    /// Any other answer that is not from our controller.
    Unexpected,
}

impl Retry {
    pub const ALL: [Retry; 7] = [
        Retry::Connection,
        Retry::Timeout,
        Retry::Unauthorized,
        Retry::Forbidden,
        Retry::Throttled,
        Retry::Unavailable,
        Retry::Unexpected,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Retry::Connection => "Connection",
            Retry::Timeout => "Timeout",
            Retry::Unauthorized => "Unauthorized",
            Retry::Forbidden => "Forbidden",
            Retry::Throttled => "Throttled",
            Retry::Unavailable => "Unavailable",
            Retry::Unexpected => "Unexpected",
        }
    }
}

/// What the relay counts.
#[derive(Clone)]
pub(super) struct Relay {
    pub door: RelayMetrics,
    pub bytes: IntGauge,
    pub last_fsync: Gauge,
}

impl Relay {
    fn register(registry: &Registry) -> prometheus::Result<Relay> {
        let series = Series { registry, part: "collector_relay" };
        let help = "How long the relay's last write took until it was on stable storage.";
        let last_fsync = Gauge::with_opts(series.opts("last_fsync_seconds", help))?;
        registry.register(Box::new(last_fsync.clone()))?;
        Ok(Relay {
            door: RelayMetrics::register(&series)?,
            bytes: series.gauge("spool_bytes", "Bytes of the relay's files, some of which may have been sent on.")?,
            last_fsync,
        })
    }
}

#[derive(Clone)]
pub struct Metrics {
    pub(super) lines: IntCounter,
    pub(super) bytes: IntCounter,
    pub(super) batches: IntCounter,
    pub(super) lines_sent: IntCounter,
    pub(super) duplicates: IntCounter,
    pub(super) refused: IntCounter,
    retries: IntCounterVec,
    pub(super) spool_bytes: IntGauge,
    pub(super) spool_batches: IntCounter,
    pub(super) lag: IntGauge,
    pub(super) files: IntGauge,
    pub(super) files_over: IntGauge,
    pub(super) files_refused: IntGauge,
    pub(super) files_failed: IntCounter,
    lost_bytes: IntCounterVec,
    lost_lines: IntCounterVec,
    losses: IntCounterVec,
    pub(super) truncations: IntCounter,
    pub(super) checkpoint_errors: IntCounter,
    pub(super) spool_errors: IntCounter,
    pub(super) assigned: IntGauge,
    pub(super) clock_offset: Gauge,
    pub(super) relay: Relay,
}

impl Metrics {
    /// Registers every series of the collector.
    pub fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        let series = Series { registry, part: "collector" };
        let counter = |name, help| series.counter(name, help);
        let gauge = |name, help| series.gauge(name, help);
        let by_reason =
            |name, help, reasons: &[&'static str]| series.counters(name, help, "reason", reasons.iter().copied());
        let clock_offset = Gauge::with_opts(series.opts(
            "clock_offset_seconds",
            "This node's clock less the controller's, by the time that it answers with: half a second exact, 0 before the first answer.",
        ))?;
        registry.register(Box::new(clock_offset.clone()))?;
        let losses = Loss::ALL.map(Loss::as_str);
        Ok(Metrics {
            lines: counter("lines_read_total", "Lines that were read.")?,
            bytes: counter("bytes_read_total", "Bytes of files that were read and are done with.")?,
            batches: counter("batches_sent_total", "Batches that the controller has stored.")?,
            lines_sent: counter("lines_sent_total", "Lines that the controller has stored, or had already.")?,
            duplicates: counter("duplicates_total", "Lines that the controller had already.")?,
            refused: counter("lines_refused_total", "Lines that the controller does not take, which are dropped.")?,
            retries: by_reason(
                "retries_total",
                "Requests that have to be made again.",
                &Retry::ALL.map(Retry::as_str),
            )?,
            spool_bytes: gauge("spool_bytes", "Bytes in the spool.")?,
            spool_batches: counter("spool_batches_total", "Batches that went to the spool.")?,
            lag: gauge("lag_bytes", "Bytes of files that are not read yet.")?,
            files: gauge("files_open", "Files that are read, with those that were renamed and are not done.")?,
            files_over: gauge("files_over_limit", "Files that are not read because too many are named.")?,
            files_refused: gauge(
                "files_refused",
                "Names under watched paths that are no regular file, or a link that leads out of its directory.",
            )?,
            files_failed: counter("file_errors_total", "Reads, searches and openings of files that failed.")?,
            lost_bytes: by_reason(
                "lost_bytes_total",
                "Bytes that were never sent, as far as they are known: what was truncated or gone before it was read is \
                 known by the file's size alone.",
                &losses,
            )?,
            lost_lines: by_reason(
                "lost_lines_total",
                "Lines that were read and never sent. Of Truncated, Gone and SpoolDamaged always 0, since nobody read \
                 what was lost: see lost_bytes_total.",
                &losses,
            )?,
            losses: by_reason(
                "losses_total",
                "Times that bytes were lost, or may have been: their number can be unknown.",
                &losses,
            )?,
            truncations: counter("truncations_total", "Files that began anew.")?,
            checkpoint_errors: counter("checkpoint_errors_total", "Writes of checkpoints that failed.")?,
            spool_errors: counter("spool_errors_total", "Writes and removals of spool files that failed.")?,
            assigned: gauge("sources", "Sources that this node is to read.")?,
            clock_offset,
            relay: Relay::register(registry)?,
        })
    }

    pub(super) fn lost(&self, loss: Loss, bytes: u64) {
        self.losses.with_label_values(&[loss.as_str()]).inc();
        self.lost_bytes.with_label_values(&[loss.as_str()]).inc_by(bytes);
    }

    /// A line that was read, of so many bytes.
    pub(super) fn lost_line(&self, loss: Loss, bytes: u64) {
        self.lost(loss, bytes);
        self.lost_lines.with_label_values(&[loss.as_str()]).inc();
    }

    /// Further bytes of a loss that was counted.
    pub(super) fn lost_more(&self, loss: Loss, bytes: u64) {
        self.lost_bytes.with_label_values(&[loss.as_str()]).inc_by(bytes);
    }

    pub(super) fn retry(&self, retry: Retry) {
        self.retries.with_label_values(&[retry.as_str()]).inc();
    }
}
