//! What the cluster edge counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::api::{Reason, rule::Severity};

#[derive(Clone, Debug)]
pub struct Metrics {
    pub watch_errors: IntCounterVec,
    pub rules: IntGaugeVec,
    pub rules_read: IntGauge,
    pub rules_refused: IntCounterVec,
    pub inventory_objects: IntGaugeVec,
    pub inventory_overflow: IntCounter,
    pub alerts: IntGaugeVec,
    pub alert_writes: IntCounter,
    pub alert_write_errors: IntCounter,
    pub alert_writes_deferred: IntCounter,
    pub alerts_suppressed: IntCounter,
    pub alerts_evicted: IntCounterVec,
    pub alerts_restored: IntCounter,
    pub status_write_errors: IntCounter,
    pub alert_limit_reached: IntGauge,
    pub log_sources: IntGaugeVec,
    pub ca_not_after: IntGauge,
    pub tls_errors: IntCounterVec,
}

/// What a watch looks at. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    ClusterSecurityRules,
    SecurityRules,
    SecurityAlerts,
    Pods,
    Nodes,
    LogSources,
    Secrets,
    ConfigMaps,
}

/// What failed about the controller's own certificate. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// The Secret is absent.
    NoSecret,
    /// What the Secret holds can't be used, or nothing can be made of it.
    Content,
    /// The Secret could not be written.
    Write,
    /// A ConfigMap is absent or could not be written.
    Publish,
}

impl TlsFailure {
    pub const ALL: [TlsFailure; 4] =
        [TlsFailure::NoSecret, TlsFailure::Content, TlsFailure::Write, TlsFailure::Publish];

    pub fn as_str(self) -> &'static str {
        match self {
            TlsFailure::NoSecret => "NoSecret",
            TlsFailure::Content => "Content",
            TlsFailure::Write => "Write",
            TlsFailure::Publish => "Publish",
        }
    }
}

impl Watched {
    pub const ALL: [Watched; 8] = [
        Watched::ClusterSecurityRules,
        Watched::SecurityRules,
        Watched::SecurityAlerts,
        Watched::Pods,
        Watched::Nodes,
        Watched::LogSources,
        Watched::Secrets,
        Watched::ConfigMaps,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Watched::ClusterSecurityRules => "clustersecurityrules",
            Watched::SecurityRules => "securityrules",
            Watched::SecurityAlerts => "securityalerts",
            Watched::Pods => "pods",
            Watched::Nodes => "nodes",
            Watched::LogSources => "logsources",
            Watched::Secrets => "secrets",
            Watched::ConfigMaps => "configmaps",
        }
    }
}

/// Registers with the module's prefix, and exports zeros from the start.
struct Prefixed<'a>(&'a Registry);

impl Prefixed<'_> {
    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(format!("kubewitness_cluster_{name}"), help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn counters(&self, name: &str, help: &str, label: &str, values: &[&str]) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Opts::new(format!("kubewitness_cluster_{name}"), help), &[label])?;
        values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(format!("kubewitness_cluster_{name}"), help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn gauges(&self, name: &str, help: &str, label: &str, values: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(Opts::new(format!("kubewitness_cluster_{name}"), help), &[label])?;
        values.iter().for_each(|value| drop(gauges.with_label_values(&[value])));
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }
}

impl Metrics {
    #[rustfmt::skip] // a table reads best as one
    pub fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        let r = Prefixed(registry);
        let watched = Watched::ALL.map(Watched::as_str);
        let reasons = Reason::ALL.map(Reason::as_str);
        let tls_failures = TlsFailure::ALL.map(TlsFailure::as_str);
        let severities = Severity::ALL.map(Severity::as_str);
        Ok(Metrics {
            watch_errors: r.counters("watch_errors_total", "Watches that broke and were started again.", "kind", &watched)?,
            rules: r.gauges("rules", "Rules by whether their newest generation is at work.", "ready", &["true", "false"])?,
            rules_read: r.gauge("rules_read", "1 once every rule that existed at the start was looked at.")?,
            rules_refused: r.counters("rules_refused_total", "Rule generations that were refused.", "reason", &reasons)?,
            inventory_objects: r.gauges("inventory_objects", "Objects of the cluster that are known.", "kind", &["pods", "nodes"])?,
            inventory_overflow: r.counter("inventory_overflow_total", "Objects of the cluster that are not known because too many are.")?,
            alerts: r.gauges("alerts", "SecurityAlert objects that are not resolved, by severity.", "severity", &severities)?,
            alert_writes: r.counter("alert_writes_total", "Writes of SecurityAlert objects.")?,
            alert_write_errors: r.counter("alert_write_errors_total", "Writes of SecurityAlert objects that failed and are retried.")?,
            alert_writes_deferred: r.counter("alert_writes_deferred_total", "Times that an alert had to wait for the write budget.")?,
            alerts_suppressed: r.counter("alerts_suppressed_total", "Alerts that got no object because the object limit was reached.")?,
            alerts_evicted: r.counters("alerts_evicted_total", "Alert objects that were deleted, by why.", "reason", &["Expired", "Limit"])?,
            alerts_restored: r.counter("alerts_restored_total", "Alert objects that somebody deleted and that were written again.")?,
            status_write_errors: r.counter("status_write_errors_total", "Writes of statuses of rules and log sources that failed and are retried.")?,
            alert_limit_reached: r.gauge("alert_limit_reached", "1 while new alerts are kept out of the cluster because the object limit is reached; the record has them all.")?,
            log_sources: r.gauges("log_sources", "Log sources by whether collectors are told of them.", "ready", &["true", "false"])?,
            ca_not_after: r.gauge("ca_not_after_timestamp_seconds", "When the authority that signs the server's certificate ends, in seconds since 1970; 0 without --tls-secret.")?,
            tls_errors: r.counters("tls_errors_total", "Failures to keep, renew or publish the server's certificate; each is tried again.", "reason", &tls_failures)?,
        })
    }
}
