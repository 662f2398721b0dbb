//! Who is a collector of ours, and of which node.
//! In: a bearer token. Out: the node that the API server says it belongs to, or a denial with its reason. The API server
//! judges signature, expiry, audience and whether the pod still exists; here it is asked seldom and within bounds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    Metrics,
    answer::Answer,
    bearer,
    credentials::is_subdomain,
    gate::{Gate, Known, TokenHash},
};
use crate::{
    api::log_source::{Assignments, NodeSources},
    telemetry,
};

/// Questions to the API server at the same time.
const REVIEWS: usize = 8;
/// For a turn and its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the API server whose token this is. Implemented by the root over the cluster.
pub trait Reviewer: Send + Sync + 'static {
    /// `None` when the token is not good, for [`crate::api::log_source::COLLECTOR_AUDIENCE`] at this moment.
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Bearer>, ReviewFailed>>;
}

/// Whom a good token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// `system:serviceaccount:NAMESPACE:NAME`
    pub user: String,
    /// Of the pod that the token is bound to.
    pub pod_uid: Option<String>,
    /// The node on which that pod runs.
    pub node: Option<String>,
}

/// The API server could not be asked. Worth another try.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be reviewed: {0}")]
pub struct ReviewFailed(pub String);

/// What collectors are told and may send, and who judges their tokens.
#[derive(Clone)]
pub struct Collection {
    pub reviewer: Arc<dyn Reviewer>,
    /// `None` until all LogSources and nodes were read.
    pub assignments: Arc<ArcSwapOption<Assignments>>,
}

/// Why a request of a would-be collector is refused. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    NoCredential,
    /// No bearer token of a ServiceAccount's form.
    Malformed,
    /// The API server does not take it: forged, revoked, or its pod is gone.
    Unauthenticated,
    Expired,
    OtherAudience,
    /// Good, but of an account that is no collector of ours.
    OtherAccount,
    /// Bound to no pod.
    NoPod,
    /// Bound to a pod that runs on no node.
    NoNode,
    /// Too many unknown tokens.
    TooMany,
    /// The API server did not answer.
    NotReviewed,
}

impl Denial {
    pub(super) const ALL: [Denial; 10] = [
        Denial::NoCredential,
        Denial::Malformed,
        Denial::Unauthenticated,
        Denial::Expired,
        Denial::OtherAudience,
        Denial::OtherAccount,
        Denial::NoPod,
        Denial::NoNode,
        Denial::TooMany,
        Denial::NotReviewed,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Denial::NoCredential => "NoCredential",
            Denial::Malformed => "Malformed",
            Denial::Unauthenticated => "Unauthenticated",
            Denial::Expired => "Expired",
            Denial::OtherAudience => "OtherAudience",
            Denial::OtherAccount => "OtherAccount",
            Denial::NoPod => "NoPod",
            Denial::NoNode => "NoNode",
            Denial::TooMany => "TooMany",
            Denial::NotReviewed => "NotReviewed",
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Denial::NoCredential
            | Denial::Malformed
            | Denial::Unauthenticated
            | Denial::Expired
            | Denial::OtherAudience => StatusCode::UNAUTHORIZED,
            Denial::OtherAccount | Denial::NoPod | Denial::NoNode => StatusCode::FORBIDDEN,
            Denial::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Denial::NotReviewed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Denial::NoCredential | Denial::Malformed => "send the bearer token of a service account",
            Denial::Unauthenticated => "the API server does not take this token",
            Denial::Expired => "the token has expired",
            Denial::OtherAudience => "the token is for another audience than kubewitness.io/collector",
            Denial::OtherAccount => "the token's service account is no collector; see --collector-service-account",
            Denial::NoPod => "the token is bound to no pod; use a projected one",
            Denial::NoNode => "the token's pod runs on no node",
            Denial::TooMany => "too many unknown tokens; send again",
            Denial::NotReviewed => "the API server could not be asked about the token; send again",
        }
    }
}

pub(super) struct Collectors {
    collection: Collection,
    /// Users that are collectors.
    users: Vec<String>,
    /// The name under which lines of this cluster are kept.
    pub cluster: Arc<str>,
    gate: Mutex<Gate>,
    reviews: Semaphore,
    metrics: Metrics,
}

impl Collectors {
    /// `accounts` as NAMESPACE/NAME.
    pub(super) fn new(collection: Collection, accounts: &[String], cluster: Arc<str>, metrics: Metrics) -> Collectors {
        let users = accounts.iter().map(|account| format!("system:serviceaccount:{}", account.replace('/', ":")));
        Collectors {
            collection,
            users: users.collect(),
            cluster,
            gate: Mutex::new(Gate::new(Instant::now())),
            reviews: Semaphore::new(REVIEWS),
            metrics,
        }
    }

    /// What a node may send now. Never guessed: a collector that is told too little would forget what it has to send.
    pub(super) fn sources_of(&self, node: &str) -> Result<NodeSources, Answer> {
        self.collection.assignments.load().as_ref().map(|assignments| assignments.of(node)).ok_or(Answer::NotResolved)
    }

    /// Counts the nodes that exist by when their collector was heard; nothing is known of them before all were read.
    pub(super) fn count_nodes(&self) {
        if let Some(assignments) = &*self.collection.assignments.load() {
            let nodes = assignments.nodes.keys().map(String::as_str);
            self.metrics.senders.count(nodes, Instant::now().into_std());
        }
    }

    /// The node of a request's token; a denial is counted.
    pub(super) async fn admit(&self, authorization: Option<&[u8]>) -> Result<Arc<str>, Denial> {
        let admitted = self.judge(authorization).await;
        match &admitted {
            Ok(node) => self.metrics.senders.heard(node, Instant::now().into_std()),
            Err(denial) => self.metrics.collectors.denied(*denial),
        }
        admitted
    }

    async fn judge(&self, authorization: Option<&[u8]>) -> Result<Arc<str>, Denial> {
        let token = bearer::token(authorization)?;
        let hash: TokenHash = Sha256::digest(token).into();
        let known = self.with_gate(|gate| gate.enter(&hash, Instant::now()));
        match known {
            Known::Node(node) => Ok(node),
            Known::Denied(denial) => Err(denial),
            Known::Ask => timeout(PATIENCE, self.ask(token, hash)).await.unwrap_or(Err(Denial::NotReviewed)),
        }
    }

    /// In its turn; another request with the same token may have brought the answer meanwhile.
    async fn ask(&self, token: &str, hash: TokenHash) -> Result<Arc<str>, Denial> {
        let Ok(_turn) = self.reviews.acquire().await else { return Err(Denial::NotReviewed) };
        match self.with_gate(|gate| gate.known(&hash, Instant::now())) {
            Known::Node(node) => return Ok(node),
            Known::Denied(denial) => return Err(denial),
            Known::Ask => {}
        }
        let reviewed = self.collection.reviewer.review(token).await.map_err(|error| {
            self.metrics.collectors.reviewed("Failed");
            tracing::warn!(%error, "a collector waits");
            Denial::NotReviewed
        })?;
        self.metrics.collectors.reviewed(if reviewed.is_some() { "Good" } else { "Bad" });
        let node = match reviewed {
            None => Err(bearer::likely_reason(token, telemetry::now())),
            Some(bearer) => self.node_of(bearer),
        };
        self.with_gate(|gate| match &node {
            Ok(node) => gate.learn_good(hash, node.clone(), Instant::now()),
            Err(denial) => gate.learn_bad(hash, *denial, Instant::now()),
        });
        node
    }

    fn node_of(&self, bearer: Bearer) -> Result<Arc<str>, Denial> {
        let Bearer { user, pod_uid, node } = bearer;
        if !self.users.contains(&user) {
            return Err(Denial::OtherAccount);
        }
        if pod_uid.is_none_or(|uid| uid.is_empty()) {
            return Err(Denial::NoPod);
        }
        node.filter(|node| is_subdomain(node)).map(Into::into).ok_or(Denial::NoNode)
    }

    fn with_gate<T>(&self, look: impl FnOnce(&mut Gate) -> T) -> T {
        look(&mut self.gate.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
