//! All alerts of one pipeline. In: findings. Out: which alert changed. Bounded: at the cap the least important alerts go,
//! and are counted; the log keeps what they were made of.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Alert, AlertId, quiet_time};
use crate::{api::rule::RuleMode, correlate::Finding, record::RuleId};

#[derive(Debug, Clone)]
pub struct BookConfig {
    /// Keep the log position of every contributing record, not only of the shown ones: for `replay`.
    pub keep_all_contributions: bool,
    /// Alerts kept. Far more than are written as objects, since a resolved alert that returns must find its episodes.
    pub max_alerts: usize,
}

impl Default for BookConfig {
    fn default() -> Self {
        BookConfig { keep_all_contributions: false, max_alerts: 20_000 }
    }
}

/// What the book did. All only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookCounters {
    /// Completing events of rules in `DryRun`, by rule: they make no alert.
    pub dry_run: BTreeMap<RuleId, u64>,
    /// Alerts dropped because the book was full.
    pub evicted: u64,
    /// Findings that only extend an alert which is gone.
    pub orphaned: u64,
}

#[derive(Debug)]
pub struct AlertBook {
    config: BookConfig,
    /// Shared with the copies that are being written out: a change makes its own.
    alerts: BTreeMap<AlertId, Arc<Alert>>,
    /// The newest completing event: what counts as now when the book is full.
    newest: Timestamp,
    counters: BookCounters,
}

impl AlertBook {
    pub fn new(config: BookConfig) -> AlertBook {
        AlertBook { config, alerts: BTreeMap::new(), newest: Timestamp::MIN, counters: BookCounters::default() }
    }

    /// Adds a finding to its alert. None when that changes none: the rule is in `DryRun`, or the alert is gone.
    pub fn fold(&mut self, finding: Finding) -> Option<AlertId> {
        match finding.rule.mode {
            RuleMode::Alert => {}
            RuleMode::DryRun => {
                *self.counters.dry_run.entry(finding.rule.id.clone()).or_default() += u64::from(finding.new);
                return None;
            }
        }
        let id = AlertId::of(&finding.rule.id, &finding.key);
        self.newest = self.newest.max(finding.completing.at);
        let folded = match self.alerts.entry(id.clone()) {
            Entry::Occupied(mut alert) => Arc::make_mut(alert.get_mut()).fold(&finding),
            Entry::Vacant(place) if finding.new => {
                place.insert(Arc::new(Alert::new(id.clone(), &finding, self.config.keep_all_contributions)));
                self.bound();
                true
            }
            Entry::Vacant(_) => false,
        };
        if !folded {
            self.counters.orphaned += 1;
            return None;
        }
        self.alerts.contains_key(&id).then_some(id)
    }

    /// Drops a sixteenth of the alerts when there are too many, so that a flood of new ones does not sort each time:
    /// resolved ones first, then by severity, then the longest unseen.
    fn bound(&mut self) {
        if self.alerts.len() <= self.config.max_alerts {
            return;
        }
        let excess = self.alerts.len() - self.config.max_alerts + self.config.max_alerts / 16;
        let worth = |alert: &Arc<Alert>| {
            let open = self.newest <= alert.current().quiet_from(quiet_time(&alert.rule));
            (open, alert.severity(), alert.last_seen(), alert.id.clone())
        };
        let mut order: Vec<_> = self.alerts.values().map(worth).collect();
        order.sort_unstable();
        for (.., id) in order.into_iter().take(excess) {
            self.alerts.remove(&id);
            self.counters.evicted += 1;
        }
    }

    pub fn get(&self, id: &AlertId) -> Option<&Alert> {
        self.alerts.get(id).map(Arc::as_ref)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().map(Arc::as_ref)
    }

    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    pub fn counters(&self) -> &BookCounters {
        &self.counters
    }

    /// All alerts, shared.
    pub fn shared(&self) -> Vec<Arc<Alert>> {
        self.alerts.values().cloned().collect()
    }

    /// Takes in an alert of another book.
    pub fn put(&mut self, alert: Alert) {
        self.newest = self.newest.max(alert.episodes.newest_completion());
        self.alerts.insert(alert.id.clone(), Arc::new(alert));
        self.bound();
    }

    /// Drops the alerts of a rule, and names them.
    pub fn remove_rule(&mut self, rule: &RuleId) -> Vec<AlertId> {
        let gone: Vec<AlertId> = self.alerts.values().filter(|a| a.rule.id == *rule).map(|a| a.id.clone()).collect();
        gone.iter().for_each(|id| drop(self.alerts.remove(id)));
        self.counters.dry_run.remove(rule);
        gone
    }
}
