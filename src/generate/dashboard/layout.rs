//! Which metrics stand in which panel of the dashboard, in the order in which an on-call person looks.

/// Of a panel's axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    PerSecond,
    Bytes,
    BytesPerSecond,
    Seconds,
}

impl Unit {
    /// Grafana's id of the unit.
    pub fn as_grafana(self) -> &'static str {
        match self {
            Unit::Count => "short",
            Unit::PerSecond => "ops",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "Bps",
            Unit::Seconds => "s",
        }
    }
}

/// Title, unit and metrics.
type Panel = (&'static str, Unit, &'static [&'static str]);

#[rustfmt::skip] // a table reads best as one
pub const ROWS: &[(&str, &[Panel])] = &[
    ("Is it at work?", &[
        ("Open alerts", Unit::Count, &["kubewitness_cluster_alerts"]),
        ("Since the last event of an API server", Unit::Seconds, &["kubewitness_ingest_apiserver_last_event_timestamp_seconds"]),
        ("Clocks off", Unit::Seconds, &["kubewitness_ingest_apiserver_clock_offset_seconds", "kubewitness_collector_clock_offset_seconds"]),
        ("Nodes by collector", Unit::Count, &["kubewitness_ingest_nodes"]),
        ("Rules", Unit::Count, &["kubewitness_cluster_rules", "kubewitness_pipeline_rules", "kubewitness_pipeline_rules_over_budget"]),
        ("Records to evaluate", Unit::Count, &["kubewitness_pipeline_lag_records"]),
        ("Replayed and rules read", Unit::Count, &["kubewitness_pipeline_replayed", "kubewitness_cluster_rules_read"]),
    ]),
    ("What is lost or refused", &[
        ("Quarantined", Unit::PerSecond, &["kubewitness_ingest_events_quarantined_total"]),
        ("Lines lost", Unit::PerSecond, &["kubewitness_collector_lost_lines_total"]),
        ("Losses", Unit::PerSecond, &["kubewitness_collector_losses_total"]),
        ("Appends refused", Unit::PerSecond, &["kubewitness_store_append_refused_total"]),
        ("Records dropped or damaged", Unit::PerSecond, &["kubewitness_store_records_dropped_unread_total", "kubewitness_store_blocks_corrupt_total"]),
        ("Windows cut short", Unit::PerSecond, &["kubewitness_pipeline_state_evicted_total", "kubewitness_pipeline_matches_late_total"]),
        ("Alerts kept out", Unit::PerSecond, &["kubewitness_cluster_alerts_suppressed_total", "kubewitness_pipeline_alerts_dropped_total"]),
        ("Lines refused", Unit::PerSecond, &["kubewitness_ingest_records_refused_total", "kubewitness_collector_lines_refused_total"]),
    ]),
    ("Ingest", &[
        ("Answers", Unit::PerSecond, &["kubewitness_ingest_requests_total"]),
        ("Taken", Unit::PerSecond, &["kubewitness_ingest_events_received_total", "kubewitness_ingest_records_received_total"]),
        ("Taken, by source", Unit::PerSecond, &["kubewitness_ingest_inputs_received_total"]),
        ("Body to answer", Unit::Seconds, &["kubewitness_ingest_ack_seconds"]),
        ("Bodies", Unit::BytesPerSecond, &["kubewitness_ingest_body_bytes_total"]),
        ("Credentials refused", Unit::PerSecond, &["kubewitness_ingest_auth_failures_total"]),
        ("Collectors denied", Unit::PerSecond, &["kubewitness_ingest_collectors_denied_total"]),
        ("Connections", Unit::Count, &["kubewitness_ingest_connections"]),
        ("Connections refused", Unit::PerSecond, &["kubewitness_ingest_connections_refused_total"]),
        ("Left of the certificate", Unit::Seconds, &["kubewitness_ingest_certificate_not_after_timestamp_seconds"]),
        ("Questions about tokens", Unit::PerSecond, &["kubewitness_ingest_token_reviews_total"]),
    ]),
    ("Record", &[
        ("Stored", Unit::PerSecond, &["kubewitness_store_records_stored_total", "kubewitness_store_records_duplicate_total"]),
        ("Stored, by source", Unit::PerSecond, &["kubewitness_store_inputs_stored_total", "kubewitness_store_inputs_duplicate_total"]),
        ("Commit", Unit::Seconds, &["kubewitness_store_commit_seconds"]),
        ("Disk", Unit::Bytes, &["kubewitness_store_bytes", "kubewitness_store_limit_bytes", "kubewitness_store_disk_free_bytes", "kubewitness_store_disk_bytes"]),
        ("Age of the oldest record", Unit::Seconds, &["kubewitness_store_oldest_record_timestamp_seconds"]),
    ]),
    ("Rules at work", &[
        ("Events", Unit::PerSecond, &["kubewitness_pipeline_events_total", "kubewitness_pipeline_events_matched_total"]),
        ("Findings", Unit::PerSecond, &["kubewitness_pipeline_findings_total", "kubewitness_pipeline_dry_run_findings_total"]),
        ("Evaluations", Unit::PerSecond, &["kubewitness_pipeline_evaluations_total"]),
        ("Evaluations failed", Unit::PerSecond, &["kubewitness_pipeline_evaluations_failed_total"]),
        ("Matches in windows", Unit::Count, &["kubewitness_pipeline_state_entries"]),
        ("Snapshots", Unit::PerSecond, &["kubewitness_pipeline_snapshots_written_total", "kubewitness_pipeline_snapshots_failed_total"]),
        ("Alert writes", Unit::PerSecond, &["kubewitness_cluster_alert_writes_total", "kubewitness_cluster_alert_writes_deferred_total", "kubewitness_cluster_alert_write_errors_total"]),
    ]),
    ("Collectors", &[
        ("Lines", Unit::PerSecond, &["kubewitness_collector_lines_read_total", "kubewitness_collector_lines_sent_total"]),
        ("Still to read", Unit::Bytes, &["kubewitness_collector_lag_bytes", "kubewitness_collector_spool_bytes"]),
        ("Retries", Unit::PerSecond, &["kubewitness_collector_retries_total"]),
        ("Files", Unit::Count, &["kubewitness_collector_files_open", "kubewitness_collector_files_over_limit", "kubewitness_collector_files_refused"]),
        ("Relay: events", Unit::PerSecond, &["kubewitness_collector_relay_events_received_total", "kubewitness_collector_relay_events_stored_total"]),
        ("Relay: refused", Unit::PerSecond, &["kubewitness_collector_relay_refused_total"]),
        ("Relay: disk", Unit::Bytes, &["kubewitness_collector_relay_spool_bytes"]),
        ("Failures of disk and files", Unit::PerSecond, &["kubewitness_collector_file_errors_total", "kubewitness_collector_checkpoint_errors_total", "kubewitness_collector_spool_errors_total"]),
    ]),
];

/// Every metric that a panel names.
pub fn named() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|(_, panels)| panels.iter().flat_map(|(_, _, metrics)| metrics.iter().copied()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn panels_name_metrics_that_exist_once_each() {
        let families = crate::generate::metric_families().unwrap();
        let exist: BTreeSet<&str> = families.iter().map(|family| family.name()).collect();
        let mut seen = BTreeSet::new();
        for metric in super::named() {
            assert!(exist.contains(metric), "no metric {metric}");
            assert!(seen.insert(metric), "{metric} stands twice");
        }
    }
}
