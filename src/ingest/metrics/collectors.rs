//! What ingest counts of collectors.

use prometheus::{IntCounter, IntCounterVec};

use super::super::{collectors::Denial, envelope::Unfit};
use crate::telemetry::Series;

/// What came of asking the API server about a token.
const REVIEWS: [&str; 3] = ["Good", "Bad", "Failed"];

#[derive(Clone)]
pub(in crate::ingest) struct CollectorMetrics {
    pub received: IntCounter,
    pub stored: IntCounter,
    pub duplicate: IntCounter,
    refused: IntCounterVec,
    denied: IntCounterVec,
    token_reviews: IntCounterVec,
}

impl CollectorMetrics {
    pub(super) fn register(series: &Series<'_>) -> prometheus::Result<CollectorMetrics> {
        Ok(CollectorMetrics {
            received: series.counter("records_received_total", "Envelopes read from bodies of collectors.")?,
            stored: series.counter("records_stored_total", "Records of collectors that were stored.")?,
            duplicate: series.counter(
                "records_duplicate_total",
                "Records of collectors that were in the log already.",
            )?,
            refused: series.counters(
                "records_refused_total",
                "Envelopes of collectors that were not taken, by why; OtherNode: it names another node than its token's.",
                "reason",
                Unfit::ALL.iter().map(|unfit| unfit.as_str()),
            )?,
            denied: series.counters(
                "collectors_denied_total",
                "Requests to /records and /sources refused for their token.",
                "reason",
                Denial::ALL.iter().map(|denial| denial.as_str()),
            )?,
            token_reviews: series.counters(
                "token_reviews_total",
                "Questions to the API server about tokens of collectors.",
                "outcome",
                REVIEWS.iter().copied(),
            )?,
        })
    }

    pub(in crate::ingest) fn unfit(&self, unfit: Unfit) {
        self.refused.with_label_values(&[unfit.as_str()]).inc();
    }

    pub(in crate::ingest) fn denied(&self, denial: Denial) {
        self.denied.with_label_values(&[denial.as_str()]).inc();
    }

    /// `outcome` is one of [`REVIEWS`].
    pub(in crate::ingest) fn reviewed(&self, outcome: &'static str) {
        self.token_reviews.with_label_values(&[outcome]).inc();
    }
}
