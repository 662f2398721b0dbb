//! What the pipeline counts, taken from its own counters after each batch.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::{detect::Failure, normalise::line::program_labels, pipeline::Pipeline};

#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    events: IntCounter,
    matched: IntCounter,
    findings: IntCounter,
    unreadable: IntCounter,
    own_requests: IntCounter,
    failed: IntCounterVec,
    unrecognised: IntCounterVec,
    rules_refused: IntCounter,
    rules: IntGauge,
    lag: IntGauge,
    replayed: IntGauge,
    state: IntGauge,
    evicted: IntCounter,
    late: IntCounter,
    dry_run: IntCounter,
    alerts_dropped: IntCounter,
    pub read_errors: IntCounter,
}

impl PipelineMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<PipelineMetrics> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(format!("kubewitness_pipeline_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(format!("kubewitness_pipeline_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let failed = IntCounterVec::new(
            Opts::new(
                "kubewitness_pipeline_evaluations_failed_total",
                "Evaluations of a rule that ended without a value.",
            ),
            &["reason"],
        )?;
        Failure::ALL.iter().for_each(|f| drop(failed.with_label_values(&[f.as_str()])));
        registry.register(Box::new(failed.clone()))?;
        let unrecognised = IntCounterVec::new(
            Opts::new(
                "kubewitness_pipeline_lines_unrecognised_total",
                "Log lines that no format recognised; they are events all the same.",
            ),
            &["program"],
        )?;
        program_labels().for_each(|program| drop(unrecognised.with_label_values(&[program])));
        registry.register(Box::new(unrecognised.clone()))?;
        Ok(PipelineMetrics {
            events: counter(
                "events_total",
                "Events that were evaluated, since the start; a restart evaluates the retained log again.",
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
            lag: gauge("lag_records", "Committed records that are not evaluated yet.")?,
            replayed: gauge(
                "replayed",
                "1 once the log as it was at the start is evaluated again; alerts are written from then on.",
            )?,
            state: gauge("state_entries", "Matches that are kept for windows.")?,
            evicted: counter("state_evicted_total", "Matches that were dropped from windows before their time.")?,
            late: counter("matches_late_total", "Matches that came after their window was forgotten or decided.")?,
            dry_run: counter("dry_run_findings_total", "Detections of rules in mode DryRun, which make no alert.")?,
            alerts_dropped: counter("alerts_dropped_total", "Alerts that were forgotten because too many were known.")?,
            read_errors: counter("read_errors_total", "Reads of the log that failed and are tried again.")?,
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
        raise(&self.late, state.late);
        let book = pipeline.book().counters();
        raise(&self.dry_run, book.dry_run.values().sum());
        raise(&self.alerts_dropped, book.evicted);
        self.state.set(i64::try_from(state.entries).unwrap_or(i64::MAX));
        self.rules.set(i64::try_from(pipeline.rules().len()).unwrap_or(i64::MAX));
        self.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
