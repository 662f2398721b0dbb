//! What ran where and when, as far as the API server told us. In: inventory changes. Out: a pod or node as of a time.
//! Bounded; never asks anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::registry::{Findable, Handle, KeptRegistry, Part, Registry};
use crate::record::{InventoryChange, NodeFacts, PodFacts};

/// Kubernetes is tested up to 150,000 pods and 5,000 nodes a cluster.
pub const MAX_PODS: usize = 200_000;
pub const MAX_NODES: usize = 20_000;
/// Pods that went within the hour for which they are kept: about 14 a second.
const MAX_GONE_PODS: usize = 50_000;
const MAX_GONE_NODES: usize = 5_000;
const EVERYONES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[derive(Clone, Debug)]
pub struct Inventory {
    pods: Registry<PodFacts>,
    nodes: Registry<NodeFacts>,
}

impl Default for Inventory {
    fn default() -> Inventory {
        Inventory::with_limits(MAX_PODS, MAX_NODES)
    }
}

/// Who had an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    Pod(&'a PodFacts),
    /// A node's own address: the node itself, one of its hostNetwork pods, or any pod behind its SNAT.
    Node(&'a NodeFacts),
    /// More than one pod or node.
    Several,
}

/// An inventory as it stood at one moment.
#[derive(Debug)]
pub struct KeptInventory {
    pods: KeptRegistry<PodFacts>,
    nodes: KeptRegistry<NodeFacts>,
}

impl KeptInventory {
    /// All that it knew, in parts that `put` takes in this order.
    pub fn parts(&self) -> impl Iterator<Item = InventoryPart> {
        self.pods.parts().map(InventoryPart::Pods).chain(self.nodes.parts().map(InventoryPart::Nodes))
    }
}

/// A part of an inventory, to make it again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InventoryPart {
    Pods(Part<PodFacts>),
    Nodes(Part<NodeFacts>),
}

impl Inventory {
    /// An inventory that holds at most so many live pods and nodes.
    pub fn with_limits(pods: usize, nodes: usize) -> Inventory {
        Inventory { pods: Registry::new(pods, MAX_GONE_PODS), nodes: Registry::new(nodes, MAX_GONE_NODES) }
    }

    /// Learns `change` at `at`. Changes come in the order of the log.
    pub fn apply(&mut self, change: &InventoryChange, at: Timestamp) {
        match change {
            InventoryChange::Node(facts) => self.nodes.set(&facts.name, facts.clone(), at),
            InventoryChange::NodeGone { name } => self.nodes.end(name, at),
            InventoryChange::Pod(facts) => self.pods.set(&facts.uid, facts.clone(), at),
            InventoryChange::PodGone { uid } => self.pods.end(uid, at),
        }
    }

    /// The pod with `uid`, as it was at `at` or nearest to it.
    pub fn pod_by_uid(&self, uid: &str, at: Timestamp) -> Option<&PodFacts> {
        self.pods.by_key(uid, at)
    }

    /// The pod that had this name at `at`.
    pub fn pod_by_name(&self, namespace: &str, name: &str, at: Timestamp) -> Option<&PodFacts> {
        if namespace.is_empty() || name.is_empty() {
            return None;
        }
        let handle = Handle::Name { namespace: namespace.to_owned(), name: name.to_owned() };
        // Two can't have one name; if it seems so, the one learnt of last has it.
        self.pods.by_handle(&handle, at).pop()
    }

    pub fn node_by_name(&self, name: &str, at: Timestamp) -> Option<&NodeFacts> {
        self.nodes.by_key(name, at)
    }

    /// Who had `address` at `at`.
    pub fn by_address(&self, address: IpAddr, at: Timestamp) -> Option<Holder<'_>> {
        let handle = Handle::Address(address.to_canonical());
        let (nodes, pods) = (self.nodes.by_handle(&handle, at), self.pods.by_handle(&handle, at));
        match (nodes.as_slice(), pods.as_slice()) {
            ([], []) => None,
            ([node], _) => Some(Holder::Node(node)),
            ([], [pod]) => Some(Holder::Pod(pod)),
            _ => Some(Holder::Several),
        }
    }

    /// True when a pod of this service account was in the network of `node` at `at`.
    pub fn has_host_pod(&self, node: &str, namespace: &str, account: &str, at: Timestamp) -> bool {
        let handle =
            Handle::HostAccount { node: node.to_owned(), namespace: namespace.to_owned(), account: account.to_owned() };
        !self.pods.by_handle(&handle, at).is_empty()
    }

    /// Live pods and nodes.
    pub fn live(&self) -> (usize, usize) {
        (self.pods.live(), self.nodes.live())
    }

    /// All that it knows now; it copies no pod and no node.
    pub fn keep(&self) -> KeptInventory {
        KeptInventory { pods: self.pods.keep(), nodes: self.nodes.keep() }
    }

    /// Takes a part of another inventory in.
    pub fn put(&mut self, part: InventoryPart) {
        match part {
            InventoryPart::Pods(part) => self.pods.put(part),
            InventoryPart::Nodes(part) => self.nodes.put(part),
        }
    }

    /// Changes that were turned away for want of room.
    pub fn overflow(&self) -> u64 {
        self.pods.overflow() + self.nodes.overflow()
    }
}

/// 127.0.0.1, ::1 and the unspecified addresses are everyone's, so they find nobody. Other addresses of 127.0.0.0/8 are
/// nobody's unless the API server says so.
fn address_handles(addresses: &[String]) -> impl Iterator<Item = Handle> {
    addresses
        .iter()
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .filter(|address| !EVERYONES.contains(address) && !address.is_unspecified())
        .map(Handle::Address)
}

impl Findable for PodFacts {
    /// A hostNetwork pod has its node's addresses, which name the node.
    fn handles(&self) -> Vec<Handle> {
        let name = Handle::Name { namespace: self.namespace.clone(), name: self.name.clone() };
        if self.host_network {
            let (node, namespace) = (self.node.clone(), self.namespace.clone());
            return vec![name, Handle::HostAccount { node, namespace, account: self.service_account.clone() }];
        }
        address_handles(&self.addresses).chain([name]).collect()
    }
}

impl Findable for NodeFacts {
    fn handles(&self) -> Vec<Handle> {
        address_handles(&self.addresses).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn mk_pod(uid: &str, name: &str, address: &str) -> PodFacts {
        PodFacts {
            namespace: "shop".into(),
            name: name.into(),
            uid: uid.into(),
            node: "n1".into(),
            addresses: vec![address.into()],
            ..PodFacts::default()
        }
    }

    fn mk_node(name: &str, address: &str) -> InventoryChange {
        InventoryChange::Node(NodeFacts { name: name.into(), addresses: vec![address.into()] })
    }

    fn gone(uid: &str) -> InventoryChange {
        InventoryChange::PodGone { uid: uid.into() }
    }

    fn uid_at_address(inventory: &Inventory, address: &str, minute: i64) -> Option<String> {
        match inventory.by_address(address.parse().unwrap(), at(minute))? {
            Holder::Pod(pod) => Some(pod.uid.clone()),
            Holder::Node(node) => Some(format!("node {}", node.name)),
            Holder::Several => Some("several".into()),
        }
    }

    #[test]
    fn look_ups_are_as_of_the_events_time() {
        let mut inventory = Inventory::default();
        inventory.apply(&InventoryChange::Pod(mk_pod("u1", "web", "10.1.0.1")), at(0));
        inventory.apply(&gone("u1"), at(20));
        inventory.apply(&InventoryChange::Pod(mk_pod("u2", "web", "10.1.0.1")), at(30));
        let cases = [
            (-6, None),
            (-4, Some("u1")),
            (0, Some("u1")),
            (19, Some("u1")),
            (20, None),
            (24, None),
            (26, Some("u2")),
            (30, Some("u2")),
            (500, Some("u2")),
        ];
        for (minute, uid) in cases {
            assert_eq!(uid_at_address(&inventory, "10.1.0.1", minute).as_deref(), uid, "address at {minute}");
            let by_name = inventory.pod_by_name("shop", "web", at(minute)).map(|p| p.uid.as_str());
            assert_eq!(by_name, uid, "name at {minute}");
        }
        assert_eq!(inventory.pod_by_uid("u1", at(-500)).map(|p| p.name.as_str()), Some("web"));
        assert_eq!(inventory.pod_by_uid("u1", at(25)).map(|p| p.name.as_str()), Some("web"));
    }

    #[test]
    fn a_moved_address_is_the_old_pods_before_and_the_new_ones_after() {
        let mut inventory = Inventory::default();
        inventory.apply(&InventoryChange::Pod(PodFacts { addresses: vec![], ..mk_pod("u1", "web", "") }), at(0));
        inventory.apply(&InventoryChange::Pod(mk_pod("u1", "web", "10.1.0.1")), at(2));
        inventory.apply(&InventoryChange::Pod(mk_pod("u1", "web", "10.1.0.2")), at(10));
        assert_eq!(uid_at_address(&inventory, "10.1.0.1", 1).as_deref(), Some("u1"), "seen with it soon after");
        assert_eq!(uid_at_address(&inventory, "10.1.0.1", 9).as_deref(), Some("u1"));
        assert_eq!(uid_at_address(&inventory, "10.1.0.1", 10), None);
        assert_eq!(uid_at_address(&inventory, "::ffff:10.1.0.2", 10).as_deref(), Some("u1"));
    }

    #[test]
    fn shared_addresses_name_no_pod() {
        let mut inventory = Inventory::default();
        inventory.apply(&mk_node("n1", "192.168.0.1"), at(0));
        let host = PodFacts { host_network: true, ..mk_pod("h", "proxy", "192.168.0.1") };
        inventory.apply(&InventoryChange::Pod(host), at(0));
        for uid in ["a", "b"] {
            inventory.apply(&InventoryChange::Pod(mk_pod(uid, uid, "10.1.0.1")), at(0));
        }
        inventory.apply(&InventoryChange::Pod(mk_pod("l", "local", "127.0.0.1")), at(0));
        assert_eq!(uid_at_address(&inventory, "192.168.0.1", 1).as_deref(), Some("node n1"));
        assert_eq!(uid_at_address(&inventory, "10.1.0.1", 1).as_deref(), Some("several"));
        assert_eq!(uid_at_address(&inventory, "127.0.0.1", 1), None);
    }

    #[test]
    fn what_went_is_forgotten_after_an_hour_and_what_came_back_is_not() {
        let mut inventory = Inventory::default();
        inventory.apply(&InventoryChange::Pod(mk_pod("u1", "web", "10.1.0.1")), at(0));
        inventory.apply(&gone("u1"), at(1));
        inventory.apply(&mk_node("n1", "192.168.0.1"), at(0));
        inventory.apply(&InventoryChange::NodeGone { name: "n1".into() }, at(1));
        inventory.apply(&mk_node("n1", "192.168.0.1"), at(2));
        inventory.apply(&gone("nobody"), at(60));
        assert!(inventory.pod_by_uid("u1", at(0)).is_some());
        inventory.apply(&mk_node("n2", "192.168.0.2"), at(62));
        inventory.apply(&InventoryChange::Pod(mk_pod("u2", "db", "10.1.0.2")), at(62));
        assert!(inventory.pod_by_uid("u1", at(0)).is_none());
        assert_eq!(uid_at_address(&inventory, "10.1.0.1", 0), None);
        assert_eq!(uid_at_address(&inventory, "192.168.0.1", 62).as_deref(), Some("node n1"));
        assert_eq!(inventory.live(), (1, 2));
    }

    #[test]
    fn too_many_objects_are_turned_away_and_counted() {
        let mut inventory = Inventory::with_limits(2, 1);
        for uid in ["u1", "u2", "u3"] {
            inventory.apply(&InventoryChange::Pod(mk_pod(uid, uid, "10.1.0.1")), at(0));
        }
        inventory.apply(&mk_node("n1", "192.168.0.1"), at(0));
        inventory.apply(&mk_node("n2", "192.168.0.2"), at(0));
        assert_eq!((inventory.live(), inventory.overflow()), ((2, 1), 2));
        inventory.apply(&InventoryChange::Pod(mk_pod("u1", "renamed", "10.1.0.9")), at(1));
        assert_eq!(
            inventory.pod_by_uid("u1", at(1)).map(|p| p.name.as_str()),
            Some("renamed"),
            "known ones still change"
        );
        inventory.apply(&gone("u2"), at(2));
        inventory.apply(&InventoryChange::Pod(mk_pod("u3", "u3", "10.1.0.3")), at(2));
        assert_eq!((inventory.live(), inventory.overflow()), ((2, 1), 2), "room was made");
        inventory.apply(&InventoryChange::Pod(mk_pod("", "nameless", "10.1.0.4")), at(2));
        assert_eq!(uid_at_address(&inventory, "10.1.0.4", 2), None, "an empty key is nobody's");
    }

    /// Taking a snapshot of 200,000 pods keeps evaluation waiting: it may name chunks, and no pod.
    #[test]
    fn keeping_an_inventory_names_no_pod_and_a_change_names_those_of_one_chunk() {
        let mut inventory = Inventory::default();
        let pod = |number: u32, node: &str| {
            let (uid, addresses) = (format!("u{number}"), vec![format!("10.0.0.{}", number % 200)]);
            let pod = PodFacts { uid, node: node.into(), addresses, ..PodFacts::default() };
            InventoryChange::Pod(PodFacts { namespace: "shop".into(), name: format!("web-{number}"), ..pod })
        };
        let now = Timestamp::UNIX_EPOCH;
        (0..2_000).for_each(|number| inventory.apply(&pod(number, "n1"), now));
        let named = |kept: &KeptInventory| -> (usize, usize) {
            let (mut once, mut twice) = (0, 0);
            for part in kept.parts() {
                let count = match part {
                    InventoryPart::Pods(Part::Object(pod)) => std::sync::Arc::strong_count(&pod),
                    InventoryPart::Pods(Part::Shared(behind)) => std::sync::Arc::strong_count(&behind),
                    InventoryPart::Pods(Part::Gone(..)) | InventoryPart::Nodes(_) => continue,
                };
                // By this part, and by a chunk that both have.
                if count == 2 { once += 1 } else { twice += 1 }
            }
            (once, twice)
        };
        let kept = inventory.keep();
        assert_eq!(named(&kept), (2_000 + 200, 0));
        inventory.apply(&pod(7, "n2"), now);
        let (once, twice) = named(&kept);
        assert_eq!((once + twice, twice), (2_000 + 200, 255), "the rest of a chunk, and nothing behind a handle");
    }
}
