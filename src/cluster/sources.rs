//! Watches LogSources and the labels of nodes, resolves who reads what, and tells the outcome in the status.
//! In: watch events. Out: one snapshot, `Assignments`, that is swapped whole; none before both lists were read, so that a
//! collector is never told too little. A LogSource that can't be used is told of in its status and disturbs no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Resource as _, ResourceExt,
    api::{Patch, PatchParams},
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::watcher,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{FIELD_MANAGER, Metrics, call, is_status, metrics::Watched, rbac::Access, status, watch};
use crate::{
    api::{
        GROUP, LogSource, LogSourceSpec, LogSourceStatus, VERSION,
        log_source::{Assignments, BadSource, CheckedSource, Labels},
    },
    telemetry,
};

/// What the watches and the status writer of this module need.
pub const ACCESS: &[Access] = &[
    Access { group: GROUP, resources: &["logsources"], verbs: &["list", "watch"] },
    Access { group: GROUP, resources: &["logsources/status"], verbs: &["patch"] },
    Access { group: "", resources: &["nodes"], verbs: &["list", "watch"] },
];

/// LogSources in use: the first ones by name. Of 16 paths with 512 bytes each that is 2 MiB.
const MAX_SOURCES: usize = 256;
/// LogSources and nodes that are looked at; Kubernetes' own limit is 5,000 nodes.
const MAX_KNOWN: usize = 1024;
const MAX_NODES: usize = 20_000;
const RETRY: Duration = Duration::from_secs(2);

/// A LogSource as the API server has it.
#[derive(Debug)]
struct Object {
    name: String,
    generation: i64,
    /// `Err` when it does not even have our shape.
    spec: Result<LogSourceSpec, String>,
    status: Option<LogSourceStatus>,
}

#[derive(Debug)]
enum Change {
    /// A list begins: what it does not name is gone when it ends.
    Begin(Watched),
    End(Watched),
    Source(Box<Object>),
    SourceGone(String),
    Node(String, Labels),
    NodeGone(String),
}

struct Known {
    generation: i64,
    checked: Result<Arc<CheckedSource>, BadSource>,
    status: Option<LogSourceStatus>,
}

pub struct SourcesWatch {
    client: Client,
    metrics: Metrics,
    assignments: Arc<ArcSwapOption<Assignments>>,
    known: BTreeMap<String, Known>,
    nodes: BTreeMap<String, Arc<Labels>>,
    listed: BTreeSet<(Watched, String)>,
    listing: BTreeSet<Watched>,
    /// Something changed since the statuses were last written.
    has_news: bool,
}

impl SourcesWatch {
    /// Fills `assignments` and keeps it filled.
    pub fn new(client: Client, metrics: Metrics, assignments: Arc<ArcSwapOption<Assignments>>) -> SourcesWatch {
        SourcesWatch {
            client,
            metrics,
            assignments,
            known: BTreeMap::new(),
            nodes: BTreeMap::new(),
            listed: BTreeSet::new(),
            listing: [Watched::LogSources, Watched::Nodes].into(),
            has_news: false,
        }
    }

    /// Returns when `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut changes =
            stream::select(sources(&self.client, &self.metrics), nodes(&self.client, &self.metrics)).boxed();
        let mut retry = tokio::time::interval(RETRY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.next() => match change {
                    Some(change) => self.take(change),
                    None => return,
                },
                _ = retry.tick() => self.write_statuses(&shutdown).await,
            }
        }
    }

    fn take(&mut self, change: Change) {
        let is_new = match change {
            Change::Begin(what) => {
                self.listing.insert(what);
                self.listed.retain(|(listed, _)| *listed != what);
                false
            }
            Change::End(what) => {
                self.listing.remove(&what);
                self.forget_unlisted(what);
                true
            }
            Change::Source(object) => {
                self.listed.insert((Watched::LogSources, object.name.clone()));
                self.source(*object)
            }
            Change::Node(name, labels) => {
                self.listed.insert((Watched::Nodes, name.clone()));
                self.node(name, labels)
            }
            Change::SourceGone(name) => self.known.remove(&name).is_some(),
            Change::NodeGone(name) => self.nodes.remove(&name).is_some(),
        };
        if is_new && self.listing.is_empty() {
            self.publish();
        }
    }

    fn forget_unlisted(&mut self, what: Watched) {
        let listed = std::mem::take(&mut self.listed);
        if what == Watched::Nodes {
            self.nodes.retain(|name, _| listed.contains(&(what, name.clone())));
        } else {
            self.known.retain(|name, _| listed.contains(&(what, name.clone())));
        }
        self.listed = listed.into_iter().filter(|(other, _)| *other != what).collect();
    }

    fn source(&mut self, object: Object) -> bool {
        let Object { name, generation, spec, status } = object;
        if let Some(known) = self.known.get_mut(&name)
            && known.generation == generation
            && let Ok(spec) = &spec
            && CheckedSource::check(&name, spec).map(Arc::new) == known.checked
        {
            // An echo of our own status write, or a change of metadata.
            known.status = status;
            return false;
        }
        if !self.known.contains_key(&name) && self.known.len() >= MAX_KNOWN {
            self.metrics.inventory_overflow.inc();
            return false;
        }
        let checked = spec.map_err(BadSource::Shape).and_then(|spec| CheckedSource::check(&name, &spec));
        if let Err(error) = &checked {
            tracing::warn!(log_source = name, %error, "log source refused");
        }
        self.known.insert(name, Known { generation, checked: checked.map(Arc::new), status });
        true
    }

    fn node(&mut self, name: String, labels: Labels) -> bool {
        if self.nodes.get(&name).is_some_and(|known| **known == labels) {
            return false;
        }
        if !self.nodes.contains_key(&name) && self.nodes.len() >= MAX_NODES {
            self.metrics.inventory_overflow.inc();
            return false;
        }
        self.nodes.insert(name, Arc::new(labels));
        true
    }

    fn publish(&mut self) {
        let good = self.known.values().filter_map(|known| known.checked.as_ref().ok());
        let sources: BTreeMap<_, _> =
            good.take(MAX_SOURCES).map(|source| (source.name().to_owned(), source.clone())).collect();
        let bad = self.known.len() - sources.len();
        self.metrics.log_sources.with_label_values(&["true"]).set(sources.len() as i64);
        self.metrics.log_sources.with_label_values(&["false"]).set(bad as i64);
        self.assignments.store(Some(Arc::new(Assignments { sources, nodes: self.nodes.clone() })));
        self.has_news = true;
    }

    /// Writes the statuses that differ from what the API server has. What fails is tried again.
    async fn write_statuses(&mut self, shutdown: &CancellationToken) {
        let Some(assignments) = self.assignments.load_full().filter(|_| std::mem::take(&mut self.has_news)) else {
            return;
        };
        for (name, known) in &mut self.known {
            if shutdown.is_cancelled() {
                return;
            }
            let outcome = match &known.checked {
                Err(error) => Err(error.clone()),
                Ok(_) if !assignments.sources.contains_key(name) => Err(BadSource::TooMany { limit: MAX_SOURCES }),
                Ok(source) => Ok(assignments.nodes_of(source)),
            };
            let status = status::log_source_status(known.status.as_ref(), known.generation, &outcome, telemetry::now());
            if known.status.as_ref() == Some(&status) {
                continue;
            }
            match write_status(&self.client, name, &status).await {
                Ok(()) => known.status = Some(status),
                Err(error) if is_status(&error, 404) => {}
                Err(error) => {
                    self.metrics.status_write_errors.inc();
                    tracing::warn!(log_source = name, %error, "log source status not written; it is tried again");
                    self.has_news = true;
                    return; // to the watches meanwhile
                }
            }
        }
    }
}

async fn write_status(client: &Client, name: &str, status: &LogSourceStatus) -> Result<(), super::ClusterError> {
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "LogSource",
        "metadata": {"name": name},
        "status": status,
    });
    let sources: Api<LogSource> = Api::all(client.clone());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    call(sources.patch_status(name, &parameters, &Patch::Apply(&body))).await.map(drop)
}

fn sources(client: &Client, metrics: &Metrics) -> impl Stream<Item = Change> + use<> {
    fn object(guarded: DeserializeGuard<LogSource>) -> Change {
        let name = guarded.name_any();
        let generation = guarded.meta().generation.unwrap_or_default();
        let (spec, status) = match guarded.0 {
            Ok(source) => (Ok(source.spec), source.status),
            Err(invalid) => (Err(invalid.error), None),
        };
        Change::Source(Box::new(Object { name, generation, spec, status }))
    }
    let objects = Api::<DeserializeGuard<LogSource>>::all(client.clone());
    watch(objects, Watched::LogSources, metrics).map(|event| match event {
        watcher::Event::Apply(source) | watcher::Event::InitApply(source) => object(source),
        watcher::Event::Delete(source) => Change::SourceGone(source.name_any()),
        watcher::Event::Init => Change::Begin(Watched::LogSources),
        watcher::Event::InitDone => Change::End(Watched::LogSources),
    })
}

/// Names and labels alone: the rest of a node is large and changes often.
fn nodes(client: &Client, metrics: &Metrics) -> impl Stream<Item = Change> + use<> {
    fn labels(mut node: PartialObjectMeta<Node>) -> Change {
        let labels = std::mem::take(node.labels_mut());
        Change::Node(node.name_any(), labels)
    }
    watch(Api::<PartialObjectMeta<Node>>::all(client.clone()), Watched::Nodes, metrics).map(|event| match event {
        watcher::Event::Apply(node) | watcher::Event::InitApply(node) => labels(node),
        watcher::Event::Delete(node) => Change::NodeGone(node.name_any()),
        watcher::Event::Init => Change::Begin(Watched::Nodes),
        watcher::Event::InitDone => Change::End(Watched::Nodes),
    })
}
