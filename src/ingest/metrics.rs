//! What ingest counts. Labels are enums of ours; every series exists from the start, at zero.

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Registry};

use super::{answer::Answer, credentials::Refusal};
use crate::{api::rule::Source, record::QuarantineReason, telemetry::Series};
use collectors::CollectorMetrics;
use senders::Senders;

mod collectors;
mod senders;

const CODES: [&str; 14] =
    ["200", "304", "400", "401", "403", "404", "405", "408", "413", "415", "429", "500", "503", "other"];

/// Why a connection came to no request. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// Too many connections.
    Limit,
    /// There is no certificate yet.
    NoCertificate,
    Handshake,
    HandshakeTimeout,
    /// No request with a good credential in time.
    Idle,
}

impl Turned {
    const ALL: [Turned; 5] =
        [Turned::Limit, Turned::NoCertificate, Turned::Handshake, Turned::HandshakeTimeout, Turned::Idle];

    fn as_str(self) -> &'static str {
        match self {
            Turned::Limit => "Limit",
            Turned::NoCertificate => "NoCertificate",
            Turned::Handshake => "Handshake",
            Turned::HandshakeTimeout => "HandshakeTimeout",
            Turned::Idle => "Idle",
        }
    }
}

#[derive(Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    pub(super) events_received: IntCounter,
    inputs_received: IntCounterVec,
    events_quarantined: IntCounterVec,
    pub(super) events_oversize: IntCounter,
    auth_failures: IntCounterVec,
    pub(super) connections: IntGauge,
    connections_refused: IntCounterVec,
    pub(super) body_bytes: IntCounter,
    pub(super) ack_seconds: Histogram,
    pub(super) last_event: Gauge,
    pub(super) reload_failures: IntCounter,
    pub(super) certificate_not_after: IntGauge,
    pub(super) collectors: CollectorMetrics,
    pub(super) senders: Senders,
}

impl Metrics {
    /// Registers every series of ingest.
    pub fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        let series = Series { registry, part: "ingest" };
        let quarantined = "Events that could not be read, kept as length, keyed hash and error.";
        Metrics::register_as(&series, &series, quarantined)
    }

    /// The same series of a relay, under its own name. It shows no certificate, no collector sends to it, and it knows one API
    /// server alone.
    pub(super) fn register_relay(series: &Series<'_>) -> prometheus::Result<Metrics> {
        let quarantined = "Events that could not be read: counted and logged by length, reason and error, answered 200, since sending them \
                           again would change nothing, and not kept.";
        Metrics::register_as(series, &Series { registry: &Registry::new(), part: series.part }, quarantined)
    }

    fn register_as(series: &Series<'_>, of_controller: &Series<'_>, quarantined: &str) -> prometheus::Result<Metrics> {
        let registry = series.registry;
        let metrics = Metrics {
            requests: series.counters(
                "requests_total",
                "Requests answered, by status code.",
                "code",
                CODES.iter().copied(),
            )?,
            events_received: series.counter("events_received_total", "Events read from request bodies.")?,
            inputs_received: of_controller.counters(
                "inputs_received_total",
                "Audit events and log lines that were sent with a good credential and are what their sender may send, by kind of source.",
                "source",
                Source::ALL.iter().map(|source| source.as_str()),
            )?,
            events_quarantined: series.counters(
                "events_quarantined_total",
                quarantined,
                "reason",
                QuarantineReason::ALL.iter().map(|reason| reason.as_str()),
            )?,
            events_oversize: series
                .counter("events_oversize_total", "Events over 1 MiB, kept without their bodies.")?,
            auth_failures: series.counters(
                "auth_failures_total",
                "Requests refused for their credential.",
                "reason",
                Refusal::ALL.iter().map(|refusal| refusal.as_str()),
            )?,
            connections: series.gauge("connections", "Open connections.")?,
            connections_refused: series.counters(
                "connections_refused_total",
                "Connections closed before a request with a good credential.",
                "reason",
                Turned::ALL.iter().map(|turned| turned.as_str()),
            )?,
            body_bytes: series.counter("body_bytes_total", "Bytes of request bodies, as sent.")?,
            ack_seconds: Histogram::with_opts(
                HistogramOpts::from(series.opts("ack_seconds", "From the end of a body to its answer of 200."))
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            )?,
            last_event: Gauge::with_opts(series.opts(
                "last_event_timestamp_seconds",
                "When the last event was stored, in seconds since 1970; 0 before the first.",
            ))?,
            reload_failures: series
                .counter("reload_failures_total", "Changed certificates or credentials that were not usable.")?,
            certificate_not_after: of_controller.gauge(
                "certificate_not_after_timestamp_seconds",
                "When the server's certificate in use ends, in seconds since 1970; 0 while there is none.",
            )?,
            collectors: CollectorMetrics::register(of_controller)?,
            senders: Senders::register(of_controller)?,
        };
        registry.register(Box::new(metrics.ack_seconds.clone()))?;
        registry.register(Box::new(metrics.last_event.clone()))?;
        Ok(metrics)
    }

    /// Gives an API server its series, as a credential for it does.
    pub fn expect_apiserver(&self, cluster: &str, apiserver: &str) {
        self.senders.expect(&[(cluster.into(), apiserver.into())]);
    }

    /// Inputs of one kind of source, before it is known whether they can be stored.
    pub(super) fn received(&self, source: Source, count: u64) {
        self.inputs_received.with_label_values(&[source.as_str()]).inc_by(count);
    }

    pub(super) fn answered(&self, code: u16) {
        let code = code.to_string();
        let label = CODES.iter().find(|known| **known == code).copied().unwrap_or("other");
        self.requests.with_label_values(&[label]).inc();
    }

    pub(super) fn quarantined(&self, reason: QuarantineReason) {
        self.events_quarantined.with_label_values(&[reason.as_str()]).inc();
    }

    /// The answer to who is not let in, counted.
    pub(super) fn admitted(&self, outcome: Result<(), Refusal>) -> Result<(), Answer> {
        outcome.map_err(|refusal| {
            self.auth_failures.with_label_values(&[refusal.as_str()]).inc();
            Answer::Refused(refusal)
        })
    }

    pub(super) fn turned(&self, turned: Turned) {
        self.connections_refused.with_label_values(&[turned.as_str()]).inc();
    }
}
