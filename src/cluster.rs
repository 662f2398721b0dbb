//! All talk with the API server: watches of rules, of the inventory and of LogSources, statuses, SecurityAlerts, reviews of
//! tokens, the controller's own certificate and its senders' credentials, and the rights that they need.
//! In: watch events, alerts. Out: payloads for the log, written objects. Never evaluates anything itself.

pub mod alerts;
pub mod credentials;
pub mod inventory;
pub mod metrics;
pub mod rbac;
pub mod rules;
pub mod sources;
pub mod status;
pub mod tls;
pub mod tokens;

use std::{future::Future, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;

use crate::{
    record::Payload,
    ruleset::{
        CompiledRule,
        compile::{RuleError, RuleSource},
    },
};

pub use metrics::Metrics;
use metrics::Watched;

/// Field manager of every server-side apply of ours.
pub const FIELD_MANAGER: &str = "kubewitness";
/// How long one call may take: kube's client would retry for minutes by itself.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Where changes of rules and inventory are recorded before they take effect. Implemented by the root over the store.
pub trait Journal: Clone + Send + Sync + 'static {
    /// Returns when the payloads are on stable storage. An error is worth a retry.
    fn append(&self, payloads: Vec<Payload>) -> impl Future<Output = Result<(), JournalError>> + Send;
}

#[derive(Debug, thiserror::Error)]
#[error("the store did not take the change: {0}")]
pub struct JournalError(pub String);

/// Compiles a rule and runs its tests: the one check before a rule goes live, given by the root.
pub type Validate = fn(&RuleSource) -> Result<Arc<CompiledRule>, RuleError>;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("the API server did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Kube(#[from] Box<kube::Error>),
}

impl ClusterError {
    /// True when the account lacks a right (403).
    pub fn is_forbidden(&self) -> bool {
        is_status(self, 403)
    }

    /// True when the namespace of a write does not exist (404) or is being deleted (403, cause `NamespaceTerminating`).
    fn says_namespace_is_gone(&self) -> bool {
        let ClusterError::Kube(error) = self else { return false };
        let kube::Error::Api(status) = &**error else { return false };
        match status.code {
            404 => status.message.starts_with("namespaces "),
            403 => status.message.contains("is being terminated"),
            _ => false,
        }
    }
}

/// One watch as a stream that never ends: errors are counted, logged and retried with backoff.
fn watch<K>(objects: Api<K>, what: Watched, metrics: &Metrics) -> impl Stream<Item = watcher::Event<K>> + use<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    watch_with(objects, watcher::Config::default(), what, metrics)
}

/// The same of the one object of this name; a right bound to the name (`resourceNames`) is enough for it.
fn watch_one<K>(
    objects: Api<K>,
    name: &str,
    what: Watched,
    metrics: &Metrics,
) -> impl Stream<Item = watcher::Event<K>> + use<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    watch_with(objects, watcher::Config::default().fields(&format!("metadata.name={name}")), what, metrics)
}

fn watch_with<K>(
    objects: Api<K>,
    config: watcher::Config,
    what: Watched,
    metrics: &Metrics,
) -> impl Stream<Item = watcher::Event<K>> + use<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let errors = metrics.watch_errors.with_label_values(&[what.as_str()]);
    let events = watcher(objects, config).default_backoff().inspect_err(move |error| {
        errors.inc();
        tracing::warn!(kind = what.as_str(), %error, "watch broke and starts again");
    });
    events.filter_map(|event| std::future::ready(event.ok()))
}

/// Runs one call with our own deadline.
async fn call<T>(what: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ClusterError> {
    match tokio::time::timeout(CALL_TIMEOUT, what).await {
        Ok(answer) => answer.map_err(|error| Box::new(error).into()),
        Err(_) => Err(ClusterError::Timeout),
    }
}

/// What `own_user` needs. Every authenticated user may ask it by default (role `system:basic-user`); stated all the same.
pub const ACCESS: &[rbac::Access] =
    &[rbac::Access { group: "authentication.k8s.io", resources: &["selfsubjectreviews"], verbs: &["create"] }];

/// The user that this client is, as the API server sees it (SelfSubjectReview, which every authenticated user may ask).
pub async fn own_user(client: &kube::Client) -> Result<Option<String>, ClusterError> {
    let reviews: kube::Api<SelfSubjectReview> = kube::Api::all(client.clone());
    let review = call(reviews.create(&Default::default(), &SelfSubjectReview::default())).await?;
    Ok(review.status.and_then(|status| status.user_info).and_then(|user| user.username))
}

/// True for an answer with this HTTP status.
fn is_status(error: &ClusterError, code: u16) -> bool {
    matches!(error, ClusterError::Kube(error) if matches!(&**error, kube::Error::Api(status) if status.code == code))
}
