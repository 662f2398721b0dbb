//! The one writer of SecurityAlerts: a bounded view of the record, kept small for etcd's sake. Alerts wait in a map, newest
//! state only, so a flood costs nothing but its count. Limits: objects, one write per alert and interval, a global budget
//! of writes with a lane for what is urgent.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    core::DeserializeGuard,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{ClusterError, FIELD_MANAGER, Journal, Metrics, call, is_status, metrics::Watched, rbac::Access};
use crate::{
    alert::{Alert, AlertId},
    api::{
        GROUP, SecurityAlert, SecurityAlertSpec, SecurityAlertStatus, VERSION,
        alert::{AlertState, Triage},
        rule::Severity,
    },
    record::{Payload, Record, TriageChange},
    telemetry,
};

/// What the watch and the writer of this module need.
pub const ACCESS: &[Access] = &[
    Access { group: GROUP, resources: &["securityalerts"], verbs: &["list", "watch", "create", "patch", "delete"] },
    Access { group: GROUP, resources: &["securityalerts/status"], verbs: &["patch"] },
];

/// Bounds of what the writer does to the API server.
#[derive(Clone, Debug, clap::Args)]
pub struct AlertArgs {
    /// Most SecurityAlert objects in the cluster; the least severe and oldest make room for new ones.
    #[arg(long, env = "KUBEWITNESS_MAX_ALERTS", default_value_t = 2_000, value_name = "N")]
    pub max_alerts: usize,
    /// Seconds between two writes of one alert.
    #[arg(long, env = "KUBEWITNESS_ALERT_INTERVAL", default_value_t = 10, value_name = "SECONDS")]
    pub alert_interval: u64,
    /// Alert writes a second over all alerts; bursts of ten times as many pass. Critical and High alerts have a budget of
    /// the same size for themselves.
    #[arg(long, env = "KUBEWITNESS_ALERT_WRITES", default_value_t = 5, value_name = "N")]
    pub alert_writes: u32,
    /// Hours after which a resolved alert's object is deleted.
    #[arg(long, env = "KUBEWITNESS_ALERT_TTL", default_value_t = 168, value_name = "HOURS")]
    pub alert_ttl: u64,
}

/// Where the pipeline leaves alerts for the writer: the newest state of each. Bounded by the pipeline's own book.
#[derive(Default)]
pub struct Tray {
    alerts: Mutex<BTreeMap<AlertId, Alert>>,
    filled: Notify,
}

impl Tray {
    pub fn put(&self, alerts: impl IntoIterator<Item = Alert>) {
        if let Ok(mut tray) = self.alerts.lock() {
            tray.extend(alerts.into_iter().map(|alert| (alert.id.clone(), alert)));
        }
        self.filled.notify_one();
    }

    fn take(&self) -> BTreeMap<AlertId, Alert> {
        self.alerts.lock().map(|mut tray| std::mem::take(&mut *tray)).unwrap_or_default()
    }
}

/// (namespace, name) of an object.
type ObjectKey = (String, String);

/// What the API server has of an alert.
#[derive(Debug, Clone)]
struct Existing {
    status: Option<SecurityAlertStatus>,
    triage: Option<Triage>,
}

/// One of our alerts and what is still to be done about it.
struct Ours {
    alert: Alert,
    dirty: bool,
    written_at: Option<Timestamp>,
}

/// A budget that refills evenly: `rate` a second, at most `burst`.
struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    at: Timestamp,
}

impl Bucket {
    fn new(rate: u32, now: Timestamp) -> Bucket {
        let rate = f64::from(rate.max(1));
        Bucket { rate, burst: rate * 10.0, level: rate * 10.0, at: now }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.level = (self.level + passed * self.rate).min(self.burst);
        self.at = now;
        let enough = self.level >= 1.0;
        if enough {
            self.level -= 1.0;
        }
        enough
    }
}

pub struct AlertWriter<J> {
    client: Client,
    journal: J,
    namespace: String,
    args: AlertArgs,
    metrics: Metrics,
    tray: Arc<Tray>,
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
        let errors = self.metrics.watch_errors.with_label_values(&[Watched::SecurityAlerts.as_str()]);
        let objects: Api<DeserializeGuard<SecurityAlert>> = Api::all(self.client.clone());
        let mut changes = watcher(objects, watcher::Config::default())
            .default_backoff()
            .inspect_err(move |error| {
                errors.inc();
                tracing::warn!(kind = Watched::SecurityAlerts.as_str(), %error, "watch broke and starts again");
            })
            .boxed();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let tray = Arc::clone(&self.tray);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(change) = changes.next() => if let Ok(event) = change { self.observe(event) },
                () = tray.filled.notified() => {}
                _ = tick.tick() => {}
            }
            self.collect();
            self.journal_triage().await;
            self.write_due().await;
        }
        self.collect();
        self.write_due().await;
    }

    /// Takes in what the pipeline left.
    fn collect(&mut self) {
        for (_, alert) in self.tray.take() {
            let namespace = alert.namespace().unwrap_or(&self.namespace).to_owned();
            match self.ours.entry((namespace, alert.id.to_string())) {
                Entry::Vacant(entry) => drop(entry.insert(Ours { alert, dirty: true, written_at: None })),
                Entry::Occupied(mut entry) => {
                    entry.get_mut().alert = alert;
                    entry.get_mut().dirty = true;
                }
            }
        }
    }

    fn observe(&mut self, event: watcher::Event<DeserializeGuard<SecurityAlert>>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                let key = object_key(&object);
                self.listed.insert(key);
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
        let existing = match object.0 {
            Ok(alert) => Existing { status: alert.status, triage: alert.spec.triage },
            Err(_) => Existing { status: None, triage: None }, // not our shape any more: written anew
        };
        if let Some(ours) = self.ours.get_mut(&key) {
            ours.dirty |= existing.status.is_none();
        }
        if self.triage.get(&key) != existing.triage.as_ref() {
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

    /// Writes what is due, most severe first, as far as the budgets allow.
    async fn write_due(&mut self) {
        if !self.synced {
            return;
        }
        let now = telemetry::now();
        self.expire(now).await;
        let interval = SignedDuration::from_secs(i64::try_from(self.args.alert_interval).unwrap_or(i64::MAX));
        let mut due: Vec<_> = self
            .ours
            .iter()
            .filter(|(_, ours)| ours.dirty && ours.written_at.is_none_or(|at| now.duration_since(at) >= interval))
            .map(|(key, ours)| (std::cmp::Reverse(ours.alert.severity()), ours.written_at.is_some(), key.clone()))
            .collect();
        due.sort();
        for (severity, _, key) in due {
            let bucket = if severity.0 >= Severity::High { &mut self.urgent } else { &mut self.ordinary };
            if !bucket.take(now) {
                self.metrics.alert_writes_deferred.inc();
                continue;
            }
            self.write_one(&key, now).await;
        }
        self.count_open();
    }

    /// A replay after a restart finds alerts again whose objects had their time; those stay away.
    fn is_over(&self, key: &ObjectKey, now: Timestamp) -> bool {
        !self.existing.contains_key(key)
            && self.ours.get(key).is_some_and(|ours| {
                ours.alert.state_at(now, false) == AlertState::Resolved
                    && now.duration_since(ours.alert.last_seen()) > self.ttl()
            })
    }

    fn ttl(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::try_from(self.args.alert_ttl).unwrap_or(i64::from(u16::MAX)))
    }

    async fn write_one(&mut self, key: &ObjectKey, now: Timestamp) {
        if self.is_over(key, now) {
            self.ours.remove(key);
            return;
        }
        if !self.existing.contains_key(key) && !self.make_room(key).await {
            if let Some(ours) = self.ours.get_mut(key) {
                ours.dirty = false; // its next finding tries again
            }
            self.metrics.alerts_suppressed.inc();
            return;
        }
        let Some(ours) = self.ours.get(key) else { return };
        let existing = self.existing.get(key);
        // What was journaled, not what the object says: one that is written again is acknowledged from its first moment.
        let triage = self.triage.get(key);
        let status = merged(ours.alert.status(now, triage), existing);
        let outcome = if existing.and_then(|e| e.status.as_ref()) == Some(&status) {
            Ok(())
        } else {
            self.metrics.alert_writes.inc();
            let create = existing.is_none().then_some(triage);
            write(&self.client, key, &ours.alert, create, &status).await
        };
        let Some(ours) = self.ours.get_mut(key) else { return };
        match outcome {
            Ok(()) => {
                ours.dirty = false;
                ours.written_at = Some(now);
                let triage = self.triage.get(key).cloned();
                let existing = self.existing.entry(key.clone()).or_insert(Existing { status: None, triage });
                existing.status = Some(status);
            }
            Err(error) => {
                self.metrics.alert_write_errors.inc();
                if is_status(&error, 404) {
                    self.existing.remove(key); // deleted meanwhile, or its namespace is gone
                }
                ours.written_at = Some(now); // so that a namespace that is gone costs one write an interval
                tracing::warn!(namespace = key.0, alert = key.1, %error, "alert not written; it is tried again");
            }
        }
    }

    /// At the limit, deletes the object that is least worth keeping, if the new one is worth more. False: no room.
    async fn make_room(&mut self, key: &ObjectKey) -> bool {
        let full = self.existing.len() >= self.args.max_alerts;
        self.metrics.alert_limit_reached.set(i64::from(full));
        if !full {
            return true;
        }
        let Some(new) = self.ours.get(key).map(|ours| ours.alert.severity()) else { return false };
        let worth = |existing: &Existing| {
            let status = existing.status.as_ref();
            let open = status.is_none_or(|s| s.state != AlertState::Resolved);
            (open, status.map(|s| s.severity), status.map(|s| s.last_seen))
        };
        let least = self.existing.iter().min_by_key(|(_, existing)| worth(existing));
        let Some((victim, existing)) = least else { return false };
        let (open, severity, _) = worth(existing);
        if open && severity >= Some(new) {
            return false;
        }
        let victim = victim.clone();
        self.delete(&victim, "Limit").await
    }

    async fn delete(&mut self, key: &ObjectKey, reason: &str) -> bool {
        let alerts: Api<SecurityAlert> = Api::namespaced(self.client.clone(), &key.0);
        let outcome = call(alerts.delete(&key.1, &DeleteParams::default())).await.map(drop);
        match outcome {
            Err(error) if !is_status(&error, 404) => {
                tracing::warn!(namespace = key.0, alert = key.1, %error, "alert not deleted");
                false
            }
            _ => {
                self.existing.remove(key);
                self.ours.remove(key);
                if self.triage.remove(key).is_some() {
                    self.unjournaled.insert(key.clone());
                }
                self.metrics.alerts_evicted.with_label_values(&[reason]).inc();
                true
            }
        }
    }

    /// Marks what became resolved, and deletes what has been resolved for long.
    async fn expire(&mut self, now: Timestamp) {
        let ttl = self.ttl();
        let mut expired = Vec::new();
        for (key, existing) in &self.existing {
            let Some(status) = &existing.status else { continue };
            if let Some(ours) = self.ours.get_mut(key) {
                let acknowledged = existing.triage.as_ref().is_some_and(|t| ours.alert.acknowledged_by(t));
                ours.dirty |= ours.alert.state_at(now, acknowledged) != status.state;
            }
            if status.state == AlertState::Resolved && now.duration_since(status.last_seen) > ttl {
                expired.push(key.clone());
            }
        }
        for key in expired.into_iter().take(10) {
            self.delete(&key, "Expired").await;
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

fn object_key(object: &DeserializeGuard<SecurityAlert>) -> ObjectKey {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A count never goes backwards: what the object says of this episode stands when the record has forgotten its beginning.
fn merged(mut status: SecurityAlertStatus, existing: Option<&Existing>) -> SecurityAlertStatus {
    if let Some(before) = existing.and_then(|e| e.status.as_ref())
        && before.first_seen <= status.first_seen
        && status.first_seen <= before.last_seen
        && before.count > status.count
    {
        status.count = before.count;
        status.first_seen = before.first_seen;
        status.severity = status.severity.max(before.severity);
    }
    status
}

async fn write(
    client: &Client,
    key: &ObjectKey,
    alert: &Alert,
    create: Option<Option<&Triage>>,
    status: &SecurityAlertStatus,
) -> Result<(), ClusterError> {
    let (namespace, name) = key;
    let alerts: Api<SecurityAlert> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let header = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "SecurityAlert"});
    let body = |part: &str, value: serde_json::Value| {
        let mut body = header.clone();
        body["metadata"] = json!({"name": name, "namespace": namespace});
        body[part] = value;
        body
    };
    if let Some(triage) = create {
        // `triage` is people's: only an object that is written again gets back what they had said.
        let spec = SecurityAlertSpec { triage: triage.cloned(), ..alert.spec() };
        call(alerts.patch(name, &parameters, &Patch::Apply(body("spec", json!(spec))))).await?;
    }
    call(alerts.patch_status(name, &parameters, &Patch::Apply(body("status", json!(status))))).await.map(drop)
}
