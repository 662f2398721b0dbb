//! The one writer of SecurityAlerts: a bounded view of the record, kept small for etcd's sake. Limits: objects, one write
//! per alert and interval, a global budget of calls with a lane for what is urgent. Only calls cost budget: what needs
//! none (unchanged, over, no room) never keeps another alert waiting.

mod budget;
mod object;
pub mod tray;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Client, core::DeserializeGuard, runtime::watcher};
use tokio_util::sync::CancellationToken;

use super::{ClusterError, Journal, Metrics, is_status, metrics::Watched, rbac::Access, watch};
use crate::{
    alert::Alert,
    api::{GROUP, SecurityAlert, SecurityAlertStatus, alert::AlertState, alert::Triage, rule::Severity},
    record::{Payload, Record, TriageChange},
    telemetry,
};
use budget::Bucket;
use object::{Existing, ObjectKey, merged, object_key};
use tray::Left;
pub use tray::Tray;

/// What the watch and the writer of this module need.
pub const ACCESS: &[Access] = &[
    Access { group: GROUP, resources: &["securityalerts"], verbs: &["list", "watch", "create", "patch", "delete"] },
    Access { group: GROUP, resources: &["securityalerts/status"], verbs: &["patch"] },
];

/// Alerts that may wait for their first object where the limit of objects is lower.
const MOST_WAITING: usize = 100;
/// Objects that are deleted at the end of their time in one round, so that it stays short.
const EXPIRED_AT_ONCE: usize = 10;

/// Bounds of what the writer does to the API server.
#[derive(Clone, Debug, clap::Args)]
pub struct AlertArgs {
    /// Most SecurityAlert objects in the cluster; the least severe and oldest make room for new ones.
    #[arg(long, env = "KUBEWITNESS_MAX_ALERTS", default_value_t = 2_000, value_name = "N")]
    pub max_alerts: usize,
    /// Seconds between two writes of one alert.
    #[arg(long, env = "KUBEWITNESS_ALERT_INTERVAL", default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(i64).range(1..=3600))]
    pub alert_interval: i64,
    /// Alert writes a second over all alerts; bursts of ten times as many pass. Critical and High alerts have a budget of
    /// the same size for themselves.
    #[arg(long, env = "KUBEWITNESS_ALERT_WRITES", default_value_t = 5, value_name = "N")]
    pub alert_writes: u32,
    /// Hours between an alert's resolution and the deletion of its object. What is found is shown at least once before,
    /// however old it is.
    #[arg(long, env = "KUBEWITNESS_ALERT_TTL", default_value_t = 168, value_name = "HOURS",
        value_parser = clap::value_parser!(i64).range(0..=87_600))]
    pub alert_ttl: i64,
}

/// One of our alerts and what is still to be done about it.
struct Ours {
    alert: Alert,
    dirty: bool,
    written_at: Option<Timestamp>,
    /// Something was found that no object shows yet: its time is not over before one does.
    is_owed: bool,
}

impl Ours {
    /// Resolved for so long, and shown.
    fn is_over(&self, now: Timestamp, ttl: SignedDuration) -> bool {
        !self.is_owed && now.duration_since(self.alert.resolves_at()) > ttl
    }
}

/// What is to be done about an alert that is due.
enum Task {
    /// Its time is over, and its object gone: nothing, ever again.
    Over,
    /// The object says it all.
    Unchanged,
    /// The limit is reached, and every object is worth more.
    NoRoom,
    Write {
        status: Box<SecurityAlertStatus>,
        /// An object that is worth less and has to go first.
        instead_of: Option<ObjectKey>,
    },
}

/// How much an object is worth keeping: open ones over resolved ones, then by severity, then by age.
type Worth = (bool, Option<Severity>, Option<Timestamp>);

pub struct AlertWriter<J> {
    client: Client,
    journal: J,
    namespace: String,
    args: AlertArgs,
    metrics: Metrics,
    tray: Arc<Tray>,
    /// Alerts that have an object or wait for one.
    ours: BTreeMap<ObjectKey, Ours>,
    existing: BTreeMap<ObjectKey, Existing>,
    listed: BTreeSet<ObjectKey>,
    /// What people said, as journaled: it outlives the object.
    triage: BTreeMap<ObjectKey, Triage>,
    /// Triage that changed and is still to be journaled.
    unjournaled: BTreeSet<ObjectKey>,
    /// Nothing is written before the first list: what exists decides what must be.
    synced: bool,
    urgent: Bucket,
    ordinary: Bucket,
}

impl<J: Journal> AlertWriter<J> {
    /// Alerts of cluster rules are written to `namespace`. `standing` are the records in force at the end of the log.
    pub fn new(
        client: Client,
        journal: J,
        namespace: String,
        args: AlertArgs,
        metrics: Metrics,
        tray: Arc<Tray>,
        standing: &[Record],
    ) -> AlertWriter<J> {
        let now = telemetry::now();
        let journaled = standing.iter().filter_map(|record| match &record.payload {
            Payload::Triage(TriageChange { namespace, name, triage: Some(triage) }) => {
                Some(((namespace.clone(), name.clone()), (**triage).clone()))
            }
            _ => None,
        });
        AlertWriter {
            triage: journaled.collect(),
            unjournaled: BTreeSet::new(),
            client,
            journal,
            namespace,
            urgent: Bucket::new(args.alert_writes, now),
            ordinary: Bucket::new(args.alert_writes, now),
            args,
            metrics,
            tray,
            ours: BTreeMap::new(),
            existing: BTreeMap::new(),
            listed: BTreeSet::new(),
            synced: false,
        }
    }

    /// Returns when `shutdown` is cancelled and what was waiting got one last try.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let objects: Api<DeserializeGuard<SecurityAlert>> = Api::all(self.client.clone());
        let mut changes = watch(objects, Watched::SecurityAlerts, &self.metrics).boxed();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let tray = Arc::clone(&self.tray);
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(event) = changes.next() => self.observe(event),
                () = tray.filled() => {}
                _ = tick.tick() => {}
            }
            self.collect();
            self.journal_triage().await;
            self.write_due(Some(&shutdown)).await;
        }
        self.collect();
        self.write_due(None).await;
    }

    /// Takes in what the pipeline left.
    fn collect(&mut self) {
        let contents = self.tray.take();
        self.metrics.alerts_suppressed.inc_by(contents.dropped);
        for id in contents.forgotten {
            let name = id.to_string();
            let keys: Vec<_> = self.ours.keys().filter(|key| key.1 == name).cloned().collect();
            keys.iter().for_each(|key| self.forget(key));
        }
        for (_, Left { alert, is_news }) in contents.alerts {
            let namespace = alert.namespace().unwrap_or(&self.namespace).to_owned();
            let key = (namespace, alert.id.to_string());
            let before = self.ours.get(&key);
            let (written_at, owed) = before.map_or((None, false), |ours| (ours.written_at, ours.is_owed));
            self.ours.insert(key, Ours { alert, dirty: true, written_at, is_owed: is_news || owed });
        }
        self.bound_waiting();
    }

    /// What has an object is bounded by the limit of objects; what waits for its first one is bounded here.
    fn bound_waiting(&mut self) {
        if !self.synced {
            return; // which have one is not known yet; the tray's bound holds
        }
        let waiting = || self.ours.iter().filter(|(key, _)| !self.existing.contains_key(*key));
        let excess = waiting().count().saturating_sub(self.args.max_alerts.max(MOST_WAITING));
        if excess == 0 {
            return;
        }
        let mut least: Vec<_> =
            waiting().map(|(key, ours)| (ours.alert.severity(), ours.alert.last_seen(), key.clone())).collect();
        least.sort();
        for (.., key) in least.into_iter().take(excess) {
            self.ours.remove(&key);
            self.metrics.alerts_suppressed.inc();
        }
    }

    /// Drops all that is known of an alert but its object.
    fn forget(&mut self, key: &ObjectKey) {
        self.ours.remove(key);
        if self.triage.remove(key).is_some() {
            self.unjournaled.insert(key.clone());
        }
    }

    fn observe(&mut self, event: watcher::Event<DeserializeGuard<SecurityAlert>>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                self.listed.insert(object_key(&object));
                self.found(object);
            }
            watcher::Event::Apply(object) => self.found(object),
            watcher::Event::Delete(object) => self.lost(&object_key(&object)),
            watcher::Event::InitDone => {
                let gone: Vec<_> = self.existing.keys().filter(|key| !self.listed.contains(*key)).cloned().collect();
                gone.iter().for_each(|key| self.lost(key));
                self.synced = true;
            }
        }
    }

    fn found(&mut self, object: DeserializeGuard<SecurityAlert>) {
        let key = object_key(&object);
        let readable = object.0.is_ok();
        let mut existing = Existing::of(object);
        existing.attribute_triage(self.triage.get(&key));
        if let Some(ours) = self.ours.get_mut(&key) {
            ours.dirty |= existing.status.is_none();
        }
        // An object that has not our shape says nothing of what people said.
        if readable && self.triage.get(&key) != existing.triage.as_ref() {
            match &existing.triage {
                Some(triage) => drop(self.triage.insert(key.clone(), triage.clone())),
                None => drop(self.triage.remove(&key)),
            }
            self.unjournaled.insert(key.clone());
        }
        self.existing.insert(key, existing);
    }

    /// What the store does not take now is tried again with the next round.
    async fn journal_triage(&mut self) {
        let change = |key: &ObjectKey| {
            let triage = self.triage.get(key).cloned().map(Box::new);
            Payload::Triage(TriageChange { namespace: key.0.clone(), name: key.1.clone(), triage })
        };
        let payloads: Vec<_> = self.unjournaled.iter().map(change).collect();
        if payloads.is_empty() {
            return;
        }
        match self.journal.append(payloads).await {
            Ok(()) => self.unjournaled.clear(),
            Err(error) => tracing::warn!(%error, "what people say of alerts waits for the store"),
        }
    }

    /// Somebody deleted an object: it comes back, unless its time was over anyway.
    fn lost(&mut self, key: &ObjectKey) {
        if self.existing.remove(key).is_some()
            && let Some(ours) = self.ours.get_mut(key)
        {
            ours.dirty = true;
            ours.written_at = None;
            self.metrics.alerts_restored.inc();
        }
    }

    fn ttl(&self) -> SignedDuration {
        SignedDuration::from_hours(self.args.alert_ttl)
    }

    /// Writes what is due, most severe first, as far as the budgets allow. The last round, without a `shutdown` to mind,
    /// takes what was written a moment ago as due too.
    async fn write_due(&mut self, shutdown: Option<&CancellationToken>) {
        if !self.synced {
            return;
        }
        let now = telemetry::now();
        self.expire(now).await;
        let interval = SignedDuration::from_secs(if shutdown.is_some() { self.args.alert_interval } else { 0 });
        // A clock that was set back must not silence an alert.
        let waited = |at: Timestamp| now < at || now.duration_since(at) >= interval;
        let due = self.ours.iter().filter(|(_, ours)| ours.dirty && ours.written_at.is_none_or(waited));
        let mut due: Vec<_> =
            due.map(|(key, ours)| (Reverse(ours.alert.severity()), ours.written_at.is_some(), key.clone())).collect();
        due.sort();
        for (_, _, key) in due {
            if shutdown.is_some_and(CancellationToken::is_cancelled) || !self.handle(&key, now).await {
                break;
            }
        }
        self.count_open();
    }

    /// False when the API server does not answer, so that the round ends.
    async fn handle(&mut self, key: &ObjectKey, now: Timestamp) -> bool {
        let Some(ours) = self.ours.get(key) else { return true };
        let severity = ours.alert.severity();
        match self.task(key, ours, now) {
            Task::Over => self.forget(key),
            Task::NoRoom => {
                self.ours.remove(key); // the pipeline hands it over whole with its next finding
                self.metrics.alerts_suppressed.inc();
            }
            Task::Unchanged => self.written(key, now, None),
            Task::Write { status, instead_of } => {
                let bucket = if severity >= Severity::High { &mut self.urgent } else { &mut self.ordinary };
                if !bucket.take(now) {
                    self.metrics.alert_writes_deferred.inc();
                    return true;
                }
                let outcome = self.write(key, &status, instead_of).await;
                return self.settle(key, now, *status, outcome);
            }
        }
        true
    }

    fn task(&self, key: &ObjectKey, ours: &Ours, now: Timestamp) -> Task {
        let existing = self.existing.get(key);
        // A replay after a restart finds alerts again whose objects had their time; those stay away.
        if existing.is_none() && ours.is_over(now, self.ttl()) {
            return Task::Over;
        }
        let resolved = ours.alert.state_at(now, false) == AlertState::Resolved;
        // What was journaled, not what the object says: one that is written again is acknowledged from its first moment.
        let status = merged(ours.alert.status(now, self.triage.get(key)), existing);
        if existing.is_some_and(|e| e.status.as_ref() == Some(&status)) {
            return Task::Unchanged;
        }
        let full = existing.is_none() && self.existing.len() >= self.args.max_alerts;
        self.metrics.alert_limit_reached.set(i64::from(self.existing.len() >= self.args.max_alerts));
        if !full {
            return Task::Write { status: Box::new(status), instead_of: None };
        }
        let new: Worth = (!resolved, Some(status.severity), Some(status.last_seen));
        let least = self.existing.iter().map(|(key, existing)| (existing.worth(), key)).min();
        match least {
            Some((worth, victim)) if worth < new => {
                Task::Write { status: Box::new(status), instead_of: Some(victim.clone()) }
            }
            _ => Task::NoRoom,
        }
    }

    async fn write(
        &mut self,
        key: &ObjectKey,
        status: &SecurityAlertStatus,
        instead_of: Option<ObjectKey>,
    ) -> Result<(), ClusterError> {
        if let Some(victim) = instead_of {
            self.delete(&victim, "Limit").await?;
        }
        let Some(ours) = self.ours.get(key) else { return Ok(()) };
        let create = (!self.existing.contains_key(key)).then(|| self.triage.get(key));
        self.metrics.alert_writes.inc();
        object::write(&self.client, key, &ours.alert, create, status).await
    }

    fn settle(
        &mut self,
        key: &ObjectKey,
        now: Timestamp,
        status: SecurityAlertStatus,
        outcome: Result<(), ClusterError>,
    ) -> bool {
        let Err(error) = outcome else {
            self.written(key, now, Some(status));
            return true;
        };
        self.metrics.alert_write_errors.inc();
        tracing::warn!(namespace = key.0, alert = key.1, %error, "alert not written; it is tried again");
        if is_status(&error, 404) {
            self.existing.remove(key); // deleted meanwhile
        }
        if let Some(ours) = self.ours.get_mut(key) {
            ours.written_at = Some(now); // so that what can't be written costs one call an interval
        }
        if key.0 != self.namespace && !self.existing.contains_key(key) && error.says_namespace_is_gone() {
            self.forget(key); // with its tenant: a new one of that name must not find it
        }
        !matches!(error, ClusterError::Timeout)
    }

    fn written(&mut self, key: &ObjectKey, now: Timestamp, status: Option<SecurityAlertStatus>) {
        let Some(ours) = self.ours.get_mut(key) else { return };
        ours.dirty = false;
        ours.is_owed = false;
        ours.written_at = Some(now);
        if let Some(status) = status {
            let triage = self.triage.get(key).cloned();
            let existing =
                self.existing.entry(key.clone()).or_insert(Existing { status: None, triage, created: Some(now) });
            existing.status = Some(status);
        }
    }

    async fn delete(&mut self, key: &ObjectKey, reason: &str) -> Result<(), ClusterError> {
        // The watch may tell of it once more as it was before, and is then answered again.
        let was_there = object::delete(&self.client, key).await?;
        self.existing.remove(key);
        self.forget(key);
        self.metrics.alerts_evicted.with_label_values(&[reason]).inc_by(u64::from(was_there));
        Ok(())
    }

    /// Marks what became resolved, and deletes what has been resolved for long. What the record no longer knows goes by its
    /// age alone.
    async fn expire(&mut self, now: Timestamp) {
        let ttl = self.ttl();
        let mut expired = Vec::new();
        for (key, existing) in &self.existing {
            let is_over = match self.ours.get_mut(key) {
                Some(ours) => {
                    let acknowledged = self.triage.get(key).is_some_and(|t| ours.alert.acknowledged_by(t));
                    let state = ours.alert.state_at(now, acknowledged);
                    ours.dirty |= existing.status.as_ref().is_some_and(|s| s.state != state);
                    ours.is_over(now, ttl)
                }
                None => {
                    let last = existing.status.as_ref().map(|s| s.last_seen).or(existing.created);
                    last.is_some_and(|at| now.duration_since(at) > ttl)
                }
            };
            if is_over {
                expired.push(key.clone());
            }
        }
        for key in expired.into_iter().take(EXPIRED_AT_ONCE) {
            if !self.ordinary.take(now) {
                return;
            }
            if let Err(error) = self.delete(&key, "Expired").await {
                tracing::warn!(namespace = key.0, alert = key.1, %error, "alert not deleted; it is tried again");
                return;
            }
        }
    }

    fn count_open(&self) {
        let mut open: BTreeMap<Severity, i64> = BTreeMap::new();
        for status in self.existing.values().filter_map(|e| e.status.as_ref()) {
            if status.state != AlertState::Resolved {
                *open.entry(status.severity).or_default() += 1;
            }
        }
        for severity in Severity::ALL {
            let count = open.get(&severity).copied().unwrap_or_default();
            self.metrics.alerts.with_label_values(&[severity.as_str()]).set(count);
        }
    }
}
