//! What the pipeline counts, taken from its own counters after each batch.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use super::snapshots::SnapshotMetrics;
use crate::{detect::Failure, normalise::line::program_labels, pipeline::Pipeline, telemetry::Series};

#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    events: IntCounter,
    evaluations: IntCounter,
    matched: IntCounter,
    findings: IntCounter,
    unreadable: IntCounter,
    own_requests: IntCounter,
    failed: IntCounterVec,
    unrecognised: IntCounterVec,
    rules_refused: IntCounter,
    rules: IntGauge,
    over_budget: IntGauge,
    lag: IntGauge,
    replayed: IntGauge,
    state: IntGauge,
    evicted: IntCounter,
    words_forgotten: IntCounter,
    late: IntCounter,
    dry_run: IntCounter,
    alerts_dropped: IntCounter,
    pub read_errors: IntCounter,
    pub snapshots: SnapshotMetrics,
}

impl PipelineMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<PipelineMetrics> {
        let series = Series { registry, part: "pipeline" };
        let counter = |name, help| series.counter(name, help);
        let gauge = |name, help| series.gauge(name, help);
        let failed = series.counters(
            "evaluations_failed_total",
            "Evaluations of a rule that ended without a value.",
            "reason",
            Failure::ALL.iter().map(|failure| failure.as_str()),
        )?;
        let unrecognised = series.counters(
            "lines_unrecognised_total",
            "Log lines that no format recognised; they are events all the same.",
            "program",
            program_labels(),
        )?;
        Ok(PipelineMetrics {
            events: counter(
                "events_total",
                "Events that were evaluated, since the start; a restart evaluates again what came after the last snapshot.",
            )?,
            evaluations: counter(
                "evaluations_total",
                "Conditions of rules that were evaluated, after the index left out those that can't match.",
            )?,
            matched: counter("events_matched_total", "Events that at least one rule's selector took.")?,
            findings: counter("findings_total", "Detections that were completed.")?,
            unreadable: counter("records_unreadable_total", "Records that hold no readable event.")?,
            own_requests: counter(
                "own_requests_total",
                "Requests of the controller for its own kinds, which rules do not see.",
            )?,
            failed,
            unrecognised,
            rules_refused: counter("rules_refused_total", "Recorded rules that this version no longer compiles.")?,
            rules: gauge("rules", "Rules at work.")?,
            over_budget: gauge("rules_over_budget", "Rules that are switched off because they cost too much.")?,
            lag: gauge("lag_records", "Committed records that are not evaluated yet.")?,
            replayed: gauge(
                "replayed",
                "1 once the log as it was at the start is evaluated again; alerts are written from then on.",
            )?,
            state: gauge("state_entries", "Matches that are kept for windows.")?,
            evicted: counter("state_evicted_total", "Matches that were dropped from windows before their time.")?,
            words_forgotten: counter("state_texts_forgotten_total", "Matches that count, but whose text was dropped.")?,
            late: counter("matches_late_total", "Matches that came after their window was forgotten or decided.")?,
            dry_run: counter("dry_run_findings_total", "Detections of rules in mode DryRun, which make no alert.")?,
            alerts_dropped: counter("alerts_dropped_total", "Alerts that were forgotten because too many were known.")?,
            read_errors: counter("read_errors_total", "Reads of the log that failed and are tried again.")?,
            snapshots: SnapshotMetrics::register(&series)?,
        })
    }

    /// The log as it was at the start is evaluated.
    pub fn replayed(&self) {
        self.replayed.set(1);
    }

    pub fn is_replayed(&self) -> bool {
        self.replayed.get() == 1
    }

    /// Takes over the pipeline's counts. `lag` is in records.
    pub fn observe(&self, pipeline: &Pipeline, lag: u64) {
        let counters = pipeline.counters();
        raise(&self.events, counters.events);
        raise(&self.evaluations, counters.evaluations);
        raise(&self.matched, counters.matched);
        raise(&self.findings, counters.findings);
        raise(&self.unreadable, counters.unreadable);
        raise(&self.own_requests, counters.own_requests);
        raise(&self.rules_refused, counters.rules_refused);
        for (failure, count) in &counters.failed {
            raise(&self.failed.with_label_values(&[failure.as_str()]), *count);
        }
        for (program, count) in &counters.unrecognised {
            raise(&self.unrecognised.with_label_values(&[program]), *count);
        }
        let state = pipeline.correlator().counters();
        raise(&self.evicted, state.evicted + state.evicted_from_full_key);
        raise(&self.words_forgotten, state.texts_forgotten);
        raise(&self.late, state.late);
        let book = pipeline.book().counters();
        raise(&self.dry_run, book.dry_run.values().sum());
        raise(&self.alerts_dropped, book.evicted);
        self.state.set(i64::try_from(state.entries).unwrap_or(i64::MAX));
        self.rules.set(i64::try_from(pipeline.rules().len()).unwrap_or(i64::MAX));
        self.over_budget.set(i64::try_from(pipeline.over_budget().len()).unwrap_or(i64::MAX));
        self.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
