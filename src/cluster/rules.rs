//! Watches rules, has each new generation checked, records what is accepted, and tells the outcome in the status.
//! A refused generation leaves the last accepted one at work; one bad rule never disturbs the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource as _, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
    runtime::watcher,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    ClusterError, FIELD_MANAGER, Journal, Metrics, Validate, call, is_status,
    metrics::Watched,
    rbac::Access,
    status::{Checked, RuleNews, Verdict, rule_status},
    watch,
};
use crate::{
    api::{ClusterSecurityRule, GROUP, Reason, RuleSpec, RuleStatus, SecurityRule, VERSION, alert::RuleKind},
    record::{Payload, Record, RuleChange, RuleId},
    ruleset::{
        compile::{RuleError, RuleSource},
        lint::lint,
    },
    telemetry,
};

/// What the watches and the status writer of this module need.
pub const ACCESS: &[Access] = &[
    Access { group: GROUP, resources: &["clustersecurityrules", "securityrules"], verbs: &["list", "watch"] },
    Access { group: GROUP, resources: &["clustersecurityrules/status", "securityrules/status"], verbs: &["patch"] },
];

const RETRY: Duration = Duration::from_secs(2);
/// How often what became of the rules goes into statuses.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(30);

/// What became of the rules at work; filled by the root from the pipeline.
pub type Activity = Arc<Mutex<BTreeMap<RuleId, RuleNews>>>;

/// A rule as the API server has it.
#[derive(Debug, Clone)]
struct Object {
    id: RuleId,
    uid: String,
    generation: i64,
    /// `Err` when it does not even have our shape.
    spec: Result<RuleSpec, String>,
    status: Option<RuleStatus>,
}

#[derive(Debug)]
enum Change {
    Begin(RuleKind),
    Apply(Box<Object>),
    Gone(RuleId),
    End(RuleKind),
}

/// What was accepted of a rule.
struct Accepted {
    uid: String,
    generation: i64,
    spec: RuleSpec,
}

/// What is known of a rule that exists.
struct Known {
    uid: String,
    generation: i64,
    suspended: bool,
    outcome: Result<Checked, RuleError>,
    status: Option<RuleStatus>,
}

pub struct RulesWatch<J> {
    client: Client,
    journal: J,
    validate: Validate,
    metrics: Metrics,
    activity: Activity,
    /// What evaluates: the last accepted generation of each rule.
    standing: BTreeMap<RuleId, Accepted>,
    known: BTreeMap<RuleId, Known>,
    listed: BTreeSet<RuleId>,
    /// Statuses that are still to be written.
    unwritten: BTreeSet<RuleId>,
    lists_done: BTreeSet<RuleKind>,
}

impl<J: Journal> RulesWatch<J> {
    /// `standing` are the records in force at the end of the log.
    pub fn new(
        client: Client,
        journal: J,
        validate: Validate,
        metrics: Metrics,
        activity: Activity,
        standing: &[Record],
    ) -> Self {
        let accepted = standing.iter().filter_map(|record| match &record.payload {
            Payload::Rule(RuleChange::Accepted { rule, uid, generation, spec }) => {
                Some((rule.clone(), Accepted { uid: uid.clone(), generation: *generation, spec: (**spec).clone() }))
            }
            _ => None,
        });
        RulesWatch {
            client,
            journal,
            validate,
            metrics,
            activity,
            standing: accepted.collect(),
            known: BTreeMap::new(),
            listed: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            lists_done: BTreeSet::new(),
        }
    }

    /// Returns when `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut changes =
            stream::select(cluster_rules(&self.client, &self.metrics), tenant_rules(&self.client, &self.metrics))
                .boxed();
        let mut retry = tokio::time::interval(RETRY);
        let mut activity = tokio::time::interval(ACTIVITY_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.next() => match change {
                    Some(change) => self.take(change, &shutdown).await,
                    None => return,
                },
                _ = retry.tick() => self.write_statuses(&shutdown).await,
                _ = activity.tick() => self.unwritten.extend(self.known.keys().cloned()),
            }
            self.count();
        }
    }

    async fn take(&mut self, change: Change, shutdown: &CancellationToken) {
        match change {
            Change::Begin(kind) => self.listed.retain(|id| id.kind != kind),
            Change::Apply(object) => {
                self.listed.insert(object.id.clone());
                self.apply(*object, shutdown).await;
            }
            Change::Gone(id) => self.gone(id, shutdown).await,
            Change::End(kind) => {
                let standing = self.standing.keys().chain(self.known.keys());
                let gone: BTreeSet<_> =
                    standing.filter(|id| id.kind == kind && !self.listed.contains(id)).cloned().collect();
                for id in gone {
                    self.gone(id, shutdown).await;
                }
                self.lists_done.insert(kind);
                if self.lists_done.len() == 2 {
                    self.metrics.rules_read.set(1);
                }
            }
        }
    }

    /// Counts the rules that are at work. One that is suspended is as its owner wants it, and counts as ready.
    fn count(&self) {
        let Ok(news) = self.activity.lock() else { return };
        let over = |id: &RuleId| {
            let standing = self.standing.get(id).zip(news.get(id));
            standing.is_some_and(|(standing, news)| news.over_budget(standing.generation).is_some())
        };
        let ready = self.known.iter().filter(|(id, known)| known.outcome.is_ok() && !over(id)).count();
        self.metrics.rules.with_label_values(&["true"]).set(ready as i64);
        self.metrics.rules.with_label_values(&["false"]).set((self.known.len() - ready) as i64);
    }

    async fn apply(&mut self, object: Object, shutdown: &CancellationToken) {
        let known_uid = self.known.get(&object.id).map(|known| &known.uid);
        let standing_uid = self.standing.get(&object.id).map(|accepted| &accepted.uid);
        if known_uid.or(standing_uid).is_some_and(|uid| *uid != object.uid) {
            // Deleted and made anew while nobody looked: another rule of that name, which inherits nothing.
            self.gone(object.id.clone(), shutdown).await;
            self.listed.insert(object.id.clone());
        }
        if let Some(known) = self.known.get_mut(&object.id)
            && known.generation == object.generation
        {
            // An echo of our own status write, or a change of metadata.
            if object.spec.is_ok() {
                known.status = object.status;
            }
            return;
        }
        let outcome = self.check(&object).await;
        match (&outcome, object.spec) {
            (Ok(_), Ok(spec)) => {
                // An edit and its revert are a new generation of an old spec: recorded too, or a restart names the old one.
                let unchanged = self
                    .standing
                    .get(&object.id)
                    .is_some_and(|standing| (standing.generation, &standing.spec) == (object.generation, &spec));
                let accepted = Accepted { uid: object.uid.clone(), generation: object.generation, spec };
                if !unchanged && !self.accept(&object.id, &accepted, shutdown).await {
                    return;
                }
                self.standing.insert(object.id.clone(), accepted);
            }
            (Err(error), _) => {
                self.metrics.rules_refused.with_label_values(&[error.reason().as_str()]).inc();
                tracing::warn!(rule = %object.id, generation = object.generation, reason = error.reason().as_str(), "rule refused");
            }
            (Ok(_), Err(_)) => {}
        }
        let suspended = self.standing.get(&object.id).is_some_and(|standing| standing.spec.suspend);
        let known = Known { uid: object.uid, generation: object.generation, suspended, outcome, status: object.status };
        self.known.insert(object.id.clone(), known);
        self.unwritten.insert(object.id);
        self.write_statuses(shutdown).await;
    }

    /// Compiles, tests and lints a generation, away from the I/O threads.
    async fn check(&self, object: &Object) -> Result<Checked, RuleError> {
        let spec = match &object.spec {
            Ok(spec) => spec.clone(),
            Err(error) => return Err(RuleError::one(Reason::InvalidRule, "spec", error.clone())),
        };
        let source = RuleSource { id: object.id.clone(), generation: object.generation, spec };
        let validate = self.validate;
        let check = move || {
            let rule = validate(&source)?;
            let warnings = lint(&source).iter().map(|warning| warning.in_status()).collect();
            Ok(Checked { requires: rule.requires.clone(), warnings })
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = "checking the rule panicked: please report this rule as a defect".to_owned();
                Err(RuleError::one(Reason::InvalidRule, "spec", message))
            }
        }
    }

    /// Records the acceptance; only then does the pipeline meet the rule. False when the controller shuts down first.
    async fn accept(&self, id: &RuleId, accepted: &Accepted, shutdown: &CancellationToken) -> bool {
        let change = RuleChange::Accepted {
            rule: id.clone(),
            uid: accepted.uid.clone(),
            generation: accepted.generation,
            spec: Box::new(accepted.spec.clone()),
        };
        self.record(change, shutdown).await
    }

    async fn gone(&mut self, id: RuleId, shutdown: &CancellationToken) {
        self.listed.remove(&id);
        self.known.remove(&id);
        self.unwritten.remove(&id);
        if self.standing.remove(&id).is_some() {
            self.record(RuleChange::Removed { rule: id }, shutdown).await;
        }
    }

    async fn record(&self, change: RuleChange, shutdown: &CancellationToken) -> bool {
        while let Err(error) = self.journal.append(vec![Payload::Rule(change.clone())]).await {
            tracing::warn!(%error, "a rule change waits for the store");
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        true
    }

    /// Writes the statuses that differ from what the API server has. What fails stays for the next round.
    async fn write_statuses(&mut self, shutdown: &CancellationToken) {
        let news = self.activity.lock().map(|a| a.clone()).unwrap_or_default();
        let mut unwritten = std::mem::take(&mut self.unwritten);
        while let Some(id) = unwritten.pop_first() {
            if shutdown.is_cancelled() {
                return;
            }
            let accepted = self.standing.get(&id).map_or(0, |standing| standing.generation);
            let Some(known) = self.known.get_mut(&id) else { continue };
            let verdict = Verdict {
                generation: known.generation,
                accepted,
                outcome: known.outcome.as_ref(),
                suspended: known.suspended,
                news: news.get(&id).cloned().unwrap_or_default(),
            };
            let status = rule_status(known.status.as_ref(), &verdict, telemetry::now());
            if known.status.as_ref() == Some(&status) {
                continue;
            }
            match write_status(&self.client, &id, &status).await {
                Ok(()) => known.status = Some(status),
                Err(error) if is_status(&error, 404) => {}
                Err(error) => {
                    self.metrics.status_write_errors.inc();
                    tracing::warn!(rule = %id, %error, "rule status not written; it is tried again");
                    self.unwritten.insert(id);
                    if matches!(error, ClusterError::Timeout) {
                        self.unwritten.append(&mut unwritten); // the API server hangs: look at the watches meanwhile
                    }
                }
            }
        }
    }
}

async fn write_status(client: &Client, id: &RuleId, status: &RuleStatus) -> Result<(), ClusterError> {
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": id.kind.as_str(),
        "metadata": {"name": &*id.name},
        "status": status,
    });
    let patch = Patch::Apply(&body);
    match id.kind {
        RuleKind::ClusterSecurityRule => {
            let rules: Api<ClusterSecurityRule> = Api::all(client.clone());
            call(rules.patch_status(&id.name, &parameters, &patch)).await.map(drop)
        }
        RuleKind::SecurityRule => {
            let rules: Api<SecurityRule> = Api::namespaced(client.clone(), &id.namespace);
            call(rules.patch_status(&id.name, &parameters, &patch)).await.map(drop)
        }
    }
}

fn cluster_rules(client: &Client, metrics: &Metrics) -> impl Stream<Item = Change> + use<> {
    fn split(rule: ClusterSecurityRule) -> (RuleSpec, Option<RuleStatus>) {
        (rule.spec.0, rule.status)
    }
    changes::<ClusterSecurityRule>(client, metrics, RuleKind::ClusterSecurityRule, Watched::ClusterSecurityRules, split)
}

fn tenant_rules(client: &Client, metrics: &Metrics) -> impl Stream<Item = Change> + use<> {
    fn split(rule: SecurityRule) -> (RuleSpec, Option<RuleStatus>) {
        (rule.spec.0, rule.status)
    }
    changes::<SecurityRule>(client, metrics, RuleKind::SecurityRule, Watched::SecurityRules, split)
}

/// One watch as a stream that never ends. Objects that don't have our shape come as such, instead of breaking the watch.
fn changes<K>(
    client: &Client,
    metrics: &Metrics,
    kind: RuleKind,
    what: Watched,
    split: fn(K) -> (RuleSpec, Option<RuleStatus>),
) -> impl Stream<Item = Change> + use<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let object = move |guarded: DeserializeGuard<K>| {
        let id =
            RuleId { kind, namespace: guarded.namespace().unwrap_or_default().into(), name: guarded.name_any().into() };
        let uid = guarded.uid().unwrap_or_default();
        let generation = guarded.meta().generation.unwrap_or_default();
        let (spec, status) = match guarded.0 {
            Ok(rule) => {
                let (spec, status) = split(rule);
                (Ok(spec), status)
            }
            Err(invalid) => (Err(invalid.error), None),
        };
        Change::Apply(Box::new(Object { id, uid, generation, spec, status }))
    };
    let events = watch(Api::<DeserializeGuard<K>>::all(client.clone()), what, metrics);
    events.filter_map(move |event| {
        let change = match event {
            watcher::Event::Apply(rule) | watcher::Event::InitApply(rule) => Some(object(rule)),
            watcher::Event::Delete(rule) => match object(rule) {
                Change::Apply(object) => Some(Change::Gone(object.id)),
                other => Some(other),
            },
            watcher::Event::Init => Some(Change::Begin(kind)),
            watcher::Event::InitDone => Some(Change::End(kind)),
        };
        std::future::ready(change)
    })
}
