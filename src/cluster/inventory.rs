//! Watches pods and nodes and records what rules join with: who runs where, under which address.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, runtime::watcher};
use tokio_util::sync::CancellationToken;

use super::{Journal, Metrics, metrics::Watched, rbac::Access, watch};
use crate::record::{InventoryChange, NodeFacts, Payload, PodFacts, Record};

/// What the watches of this module need.
pub const ACCESS: &[Access] = &[Access { group: "", resources: &["nodes", "pods"], verbs: &["list", "watch"] }];

/// Changes that are recorded with one write: 500 pods are about 250 KiB.
const MAX_BATCH: usize = 500;
/// How long a change may wait for others to share its write.
const GATHER: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(1);
/// More objects than this are not known; 5,000 nodes with 110 pods each are 550,000 at Kubernetes' own limit, most
/// clusters stay below 20,000.
const MAX_OBJECTS: usize = 200_000;
const MAX_LABELS: usize = 32;

/// What the watch streams say, in our words.
enum Change {
    Node(NodeFacts),
    NodeGone(String),
    Pod(PodFacts),
    PodGone(String),
    /// A list begins: what it does not name is gone when it ends.
    Begin(Watched),
    End(Watched),
}

pub struct InventoryWatch<J> {
    client: Client,
    journal: J,
    metrics: Metrics,
    nodes: BTreeMap<String, NodeFacts>,
    pods: BTreeMap<String, PodFacts>,
    listed: BTreeSet<String>,
}

impl<J: Journal> InventoryWatch<J> {
    /// `standing` are the inventory records in force at the end of the log.
    pub fn new(client: Client, journal: J, metrics: Metrics, standing: &[Record]) -> Self {
        let mut watch = InventoryWatch {
            client,
            journal,
            metrics,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            listed: BTreeSet::new(),
        };
        for record in standing {
            match &record.payload {
                Payload::Inventory(InventoryChange::Node(node)) => {
                    drop(watch.nodes.insert(node.name.clone(), node.clone()))
                }
                Payload::Inventory(InventoryChange::Pod(pod)) => drop(watch.pods.insert(pod.uid.clone(), pod.clone())),
                _ => {}
            }
        }
        watch
    }

    /// Returns when `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let nodes = changes::<Node>(&self.client, &self.metrics, Watched::Nodes, node_change, |n| {
            Change::NodeGone(n.name_any())
        });
        let pods = changes::<Pod>(&self.client, &self.metrics, Watched::Pods, pod_change, |p| {
            Change::PodGone(p.uid().unwrap_or_default())
        });
        let mut changes = stream::select(nodes, pods).boxed();
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.next() => match change {
                    Some(change) => self.take(change, &mut batch),
                    None => return,
                },
            }
            let gathered = tokio::time::sleep(GATHER);
            tokio::pin!(gathered);
            while batch.len() < MAX_BATCH {
                tokio::select! {
                    () = &mut gathered => break,
                    change = changes.next() => match change {
                        Some(change) => self.take(change, &mut batch),
                        None => break,
                    },
                }
            }
            if !self.record(batch, &shutdown).await {
                return;
            }
        }
    }

    /// What is known may always change; what is new beyond the bound is counted and left out.
    fn has_room(&self, known: usize, is_known: bool) -> bool {
        let room = is_known || known < MAX_OBJECTS;
        if !room {
            self.metrics.inventory_overflow.inc();
        }
        room
    }

    /// Turns a change into what must be recorded: nothing, when it says what is known.
    fn take(&mut self, change: Change, batch: &mut Vec<InventoryChange>) {
        match change {
            Change::Begin(Watched::Nodes) => self.listed.retain(|id| !id.starts_with("node/")),
            Change::Begin(_) => self.listed.retain(|id| !id.starts_with("pod/")),
            Change::Node(node) => {
                self.listed.insert(format!("node/{}", node.name));
                if !self.has_room(self.nodes.len(), self.nodes.contains_key(&node.name)) {
                    return;
                }
                if self.nodes.get(&node.name) != Some(&node) {
                    self.nodes.insert(node.name.clone(), node.clone());
                    batch.push(InventoryChange::Node(node));
                }
            }
            Change::Pod(pod) => {
                self.listed.insert(format!("pod/{}", pod.uid));
                if !self.has_room(self.pods.len(), self.pods.contains_key(&pod.uid)) {
                    return;
                }
                if self.pods.get(&pod.uid) != Some(&pod) {
                    self.pods.insert(pod.uid.clone(), pod.clone());
                    batch.push(InventoryChange::Pod(pod));
                }
            }
            Change::NodeGone(name) => {
                self.listed.remove(&format!("node/{name}"));
                if self.nodes.remove(&name).is_some() {
                    batch.push(InventoryChange::NodeGone { name });
                }
            }
            Change::PodGone(uid) => {
                self.listed.remove(&format!("pod/{uid}"));
                if self.pods.remove(&uid).is_some() {
                    batch.push(InventoryChange::PodGone { uid });
                }
            }
            Change::End(Watched::Nodes) => {
                let gone: Vec<_> =
                    self.nodes.keys().filter(|n| !self.listed.contains(&format!("node/{n}"))).cloned().collect();
                gone.into_iter().for_each(|name| self.take(Change::NodeGone(name), batch));
            }
            Change::End(_) => {
                let gone: Vec<_> =
                    self.pods.keys().filter(|uid| !self.listed.contains(&format!("pod/{uid}"))).cloned().collect();
                gone.into_iter().for_each(|uid| self.take(Change::PodGone(uid), batch));
            }
        }
        self.metrics.inventory_objects.with_label_values(&["nodes"]).set(self.nodes.len() as i64);
        self.metrics.inventory_objects.with_label_values(&["pods"]).set(self.pods.len() as i64);
    }

    /// Records the batch, however often it takes. False when the controller shuts down first.
    async fn record(&self, batch: Vec<InventoryChange>, shutdown: &CancellationToken) -> bool {
        if batch.is_empty() {
            return true;
        }
        let payloads: Vec<_> = batch.into_iter().map(Payload::Inventory).collect();
        while let Err(error) = self.journal.append(payloads.clone()).await {
            tracing::warn!(%error, changes = payloads.len(), "inventory changes wait for the store");
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        true
    }
}

/// One watch as a stream that never ends: errors are counted, logged and retried with backoff.
fn changes<K>(
    client: &Client,
    metrics: &Metrics,
    what: Watched,
    apply: fn(&K) -> Option<Change>,
    delete: fn(&K) -> Change,
) -> impl Stream<Item = Change> + use<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let events = watch(Api::<K>::all(client.clone()), what, metrics);
    events.filter_map(move |event| {
        let change = match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => apply(&object),
            watcher::Event::Delete(object) => Some(delete(&object)),
            watcher::Event::Init => Some(Change::Begin(what)),
            watcher::Event::InitDone => Some(Change::End(what)),
        };
        std::future::ready(change)
    })
}

fn node_change(node: &Node) -> Option<Change> {
    node_facts(node).map(Change::Node)
}

fn pod_change(pod: &Pod) -> Option<Change> {
    pod_facts(pod).map(Change::Pod)
}

/// What the inventory keeps of a node.
pub fn node_facts(node: &Node) -> Option<NodeFacts> {
    let addresses = node.status.as_ref().and_then(|s| s.addresses.as_ref());
    let mut addresses: Vec<_> = addresses
        .into_iter()
        .flatten()
        .filter(|a| a.type_.ends_with("IP"))
        .map(|a| a.address.clone())
        .take(16)
        .collect();
    addresses.sort();
    Some(NodeFacts { name: node.metadata.name.clone()?, addresses })
}

/// Workload kinds own pods directly, but for Deployments, whose ReplicaSets carry the pod template's hash in their name.
fn workload(pod: &Pod) -> (String, String) {
    let owner = pod.owner_references().iter().find(|o| o.controller == Some(true));
    let Some(owner) = owner else { return Default::default() };
    if owner.kind == "ReplicaSet"
        && let Some(hash) = pod.labels().get("pod-template-hash")
        && let Some(name) = owner.name.strip_suffix(&format!("-{hash}"))
    {
        return ("Deployment".to_owned(), name.to_owned());
    }
    (owner.kind.clone(), owner.name.clone())
}

/// What the inventory keeps of a pod; none of one that has no uid yet.
pub fn pod_facts(pod: &Pod) -> Option<PodFacts> {
    let uid = pod.uid()?;
    let spec = pod.spec.as_ref()?;
    let status = pod.status.as_ref();
    // A finished pod's address may already belong to another.
    let finished = status.and_then(|s| s.phase.as_deref()).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
    let addresses = status.and_then(|s| s.pod_ips.as_ref()).filter(|_| !finished);
    let mut addresses: Vec<_> = addresses.into_iter().flatten().map(|ip| ip.ip.clone()).take(8).collect();
    addresses.sort();
    let (workload_kind, workload_name) = workload(pod);
    Some(PodFacts {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid,
        node: spec.node_name.clone().unwrap_or_default(),
        addresses,
        host_network: spec.host_network.unwrap_or_default(),
        service_account: spec.service_account_name.clone().unwrap_or_default(),
        workload_kind,
        workload_name,
        labels: pod.labels().iter().take(MAX_LABELS).map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}
