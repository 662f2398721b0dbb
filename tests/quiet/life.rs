//! What the API server tells of an ordinary minute on the node that was recorded: made here, not recorded. Each identity
//! calls from the address that it has in the field: those that live on the node, or behind its SNAT, from the node's own.

use jiff::{SignedDuration, Timestamp};
use kubewitness::{
    record::{IdKey, InventoryChange, NodeFacts, Origin, Payload, PodFacts, Provenance, Record, RecordId},
    redact,
};
use serde_json::{Value, json};

const NODE_ADDRESS: &str = "10.0.0.11";

pub fn inventory() -> Vec<InventoryChange> {
    let pod = |namespace: &str, name: &str, account: &str, address: &str, host_network: bool| {
        InventoryChange::Pod(PodFacts {
            namespace: namespace.into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            node: super::NODE.into(),
            addresses: vec![address.into()],
            host_network,
            service_account: account.into(),
            workload_kind: "Deployment".into(),
            workload_name: account.into(),
            ..PodFacts::default()
        })
    };
    vec![
        InventoryChange::Node(NodeFacts { name: super::NODE.into(), addresses: vec![NODE_ADDRESS.into()] }),
        pod("kube-system", "proxy-1", "kube-proxy", NODE_ADDRESS, true),
        pod("shop", "cart-1", "cart", "10.244.1.7", false),
        pod("ingress", "controller-1", "controller", "10.244.1.8", false),
    ]
}

pub fn inventory_record(change: InventoryChange, at: Timestamp) -> Record {
    let at = at - SignedDuration::from_hours(48);
    Record {
        id: RecordId([0; 16]),
        received_at: at,
        origin: None,
        facts: Default::default(),
        payload: Payload::Inventory(change),
    }
}

/// What happens at the API in each of `minutes` minutes from `start`.
pub fn api_requests(start: Timestamp, minutes: i64) -> Vec<Record> {
    (0..minutes).flat_map(|minute| in_one_minute(start + SignedDuration::from_mins(minute), minute)).collect()
}

fn in_one_minute(at: Timestamp, minute: i64) -> Vec<Record> {
    let account = |name: &str, pod: &str| {
        json!({
            "username": format!("system:serviceaccount:{name}"),
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": [format!("uid-{pod}")]},
        })
    };
    let node = json!({"username": "system:node:node-1", "groups": ["system:nodes", "system:authenticated"]});
    let controllers = json!({"username": "system:serviceaccount:kube-system:replicaset-controller"});
    let scheduler = json!({"username": "system:kube-scheduler"});
    let requests = [
        (node.clone(), NODE_ADDRESS, "get", "secrets", "shop"),
        (node, NODE_ADDRESS, "patch", "nodes", ""),
        (account("kube-system:kube-proxy", "proxy-1"), NODE_ADDRESS, "watch", "services", ""),
        (account("shop:cart", "cart-1"), NODE_ADDRESS, "get", "configmaps", "shop"),
        (account("ingress:controller", "controller-1"), "10.244.1.8", "watch", "services", ""),
        (controllers, NODE_ADDRESS, "create", "pods", "shop"),
        (scheduler, NODE_ADDRESS, "list", "pods", ""),
        (json!({"username": "ann", "groups": ["system:authenticated"]}), "10.20.0.5", "get", "pods", "shop"),
    ];
    let record = |(index, (user, address, verb, resource, namespace)): (usize, (Value, &str, &str, &str, &str))| {
        let stage = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        let event = json!({
            "auditID": format!("{minute}-{index}"), "level": "Metadata", "stage": stage, "verb": verb, "user": user,
            "sourceIPs": [address], "requestURI": format!("/api/v1/namespaces/{namespace}/{resource}"),
            "objectRef": {"resource": resource, "namespace": namespace, "apiVersion": "v1"},
            "responseStatus": {"code": 200}, "requestReceivedTimestamp": at, "stageTimestamp": at,
        });
        let bytes = serde_json::to_vec(&event).unwrap();
        let origin = Origin { cluster: "test".into(), reporter: "api".into(), provenance: Provenance::AuditWebhook };
        let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
        redact::record(outcome, &bytes, &origin, at, &IdKey::OFFLINE)
    };
    requests.into_iter().enumerate().map(record).collect()
}
