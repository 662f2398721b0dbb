use serde_json::{Value, json};

use super::*;
use crate::{
    api::rule::Source,
    event::Outcome,
    record::{InventoryChange, NodeFacts, Origin, Provenance, RecordId},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn mk_pod(name: &str, uid: &str, address: &str) -> PodFacts {
    PodFacts {
        namespace: "shop".into(),
        name: name.into(),
        uid: uid.into(),
        node: "n1".into(),
        addresses: vec![address.into()],
        host_network: false,
        service_account: "app".into(),
        workload_kind: "Deployment".into(),
        workload_name: "web".into(),
        labels: [("app".to_owned(), name.to_owned())].into(),
    }
}

fn mk_inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let changes = [
        InventoryChange::Node(NodeFacts { name: "n1".into(), addresses: vec!["192.168.0.1".into()] }),
        InventoryChange::Pod(mk_pod("web", "u-web", "10.1.0.1")),
        InventoryChange::Pod(mk_pod("db", "u-db", "10.1.0.2")),
        InventoryChange::Pod(PodFacts { host_network: true, ..mk_pod("proxy", "u-proxy", "192.168.0.1") }),
        // What an empty value would join with.
        InventoryChange::Pod(PodFacts { name: String::new(), ..mk_pod("", "u-nameless", "") }),
    ];
    for change in &changes {
        inventory.apply(change, at("2026-11-24T20:00:00Z"));
    }
    inventory
}

/// Events of tests borrow from what lives as long as the test's process.
fn mk_event(audit: &Value) -> Event<'static> {
    let created = at("2026-11-24T20:24:22Z");
    let text: &'static str = audit.to_string().leak();
    let audit: AuditEvent<'static> = serde_json::from_str(text).unwrap();
    let origin = Origin { cluster: "c".into(), reporter: "n".into(), provenance: Provenance::AuditWebhook };
    Event {
        outcome: Outcome::Success,
        source_ip: audit.source_ips.last().cloned().unwrap_or_default(),
        audit: Some(Box::new(audit)),
        ..Event::blank(RecordId([7; 16]), Source::Audit, created, Box::leak(Box::new(origin)))
    }
}

fn enriched(fields: Value) -> Event<'static> {
    let mut audit = json!({"stage": "ResponseComplete", "verb": "get"});
    for (name, value) in fields.as_object().unwrap() {
        audit[name] = value.clone();
    }
    let mut event = mk_event(&audit);
    enrich(&mut event, Box::leak(Box::new(mk_inventory())));
    event
}

/// The place of a pod of `mk_inventory`.
fn place_of(name: &'static str, uid: &'static str) -> Place<'static> {
    Place {
        namespace: "shop".into(),
        pod_name: name.into(),
        pod_uid: uid.into(),
        node: "n1".into(),
        workload_kind: "Deployment".into(),
        workload_name: "web".into(),
        service_account: "app".into(),
        service_account_namespace: "shop".into(),
        labels: Some(Box::leak(Box::new([("app".to_owned(), name.to_owned())].into()))),
        ..Place::default()
    }
}

fn service_account() -> Place<'static> {
    Place { service_account: "app".into(), service_account_namespace: "shop".into(), ..Place::default() }
}

#[test]
fn actor_is_placed_by_its_token_then_its_name_then_its_address() {
    let app = "system:serviceaccount:shop:app";
    let extra = |name: &str, uid: &str, node: &str| json!({POD_NAME: [name], POD_UID: [uid], NODE_NAME: [node]});
    let cases = [
        (
            "token of a known pod",
            json!({"user": {"username": app, "extra": extra("web", "u-web", "n1")}, "sourceIPs": ["10.1.0.2"]}),
            place_of("web", "u-web"),
        ),
        (
            "token without uid",
            json!({"user": {"username": app, "extra": {POD_NAME: ["web"]}}}),
            place_of("web", "u-web"),
        ),
        (
            "token of an unknown pod",
            json!({"user": {"username": app, "extra": extra("x", "u-x", "n9")}, "sourceIPs": ["10.1.0.2"]}),
            Place {
                namespace: "shop".into(),
                pod_name: "x".into(),
                pod_uid: "u-x".into(),
                node: "n9".into(),
                ..service_account()
            },
        ),
        (
            "token without pod, address of a pod",
            json!({"user": {"username": app}, "sourceIPs": ["10.1.0.2"]}),
            place_of("db", "u-db"),
        ),
        (
            "another's token in a pod",
            json!({"user": {"username": "system:serviceaccount:ops:ci"}, "sourceIPs": ["10.1.0.2"]}),
            Place { service_account: "ci".into(), service_account_namespace: "ops".into(), ..place_of("db", "u-db") },
        ),
        ("token from outside", json!({"user": {"username": app}, "sourceIPs": ["1.2.3.4"]}), service_account()),
        ("empty claims", json!({"user": {"username": app, "extra": extra("", "", "")}}), service_account()),
        ("no values", json!({"user": {"username": app, "extra": {POD_NAME: [], POD_UID: []}}}), service_account()),
        (
            "kubelet",
            json!({"user": {"username": "system:node:n7"}, "sourceIPs": ["192.168.0.1"]}),
            Place { node: "n7".into(), ..Place::default() },
        ),
        ("person in a pod", json!({"user": {"username": "bob"}, "sourceIPs": ["10.1.0.2"]}), place_of("db", "u-db")),
        (
            "person who claims a pod",
            json!({"user": {"username": "bob", "extra": extra("web", "u-web", "n1")}}),
            Place::default(),
        ),
        (
            "claimed address",
            json!({"user": {"username": "bob"}, "sourceIPs": ["10.1.0.2", "1.2.3.4"]}),
            Place::default(),
        ),
        (
            "address of a node",
            json!({"user": {"username": "bob"}, "sourceIPs": ["192.168.0.1"]}),
            Place { node: "n1".into(), ambiguous: true, ..Place::default() },
        ),
        ("nothing known", json!({"user": {}}), Place::default()),
        ("half a name", json!({"user": {"username": "system:serviceaccount:shop"}}), Place::default()),
    ];
    for (name, fields, place) in cases {
        assert_eq!(enriched(fields).kubernetes, place, "{name}");
    }
}

#[test]
fn target_is_a_pod_or_a_node() {
    let pods = |fields: Value| {
        let mut object = json!({"resource": "pods", "namespace": "shop", "apiVersion": "v1"});
        object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"objectRef": object})
    };
    let only = |namespace: &'static str, pod: &'static str| Place {
        namespace: namespace.into(),
        pod_name: pod.into(),
        ..Place::default()
    };
    let mut creation = pods(json!({"name": "web"}));
    creation["verb"] = json!("create");
    let mut eviction = pods(json!({"name": "web", "subresource": "eviction"}));
    eviction["verb"] = json!("create");
    let cases = [
        ("exec", pods(json!({"name": "web", "subresource": "exec"})), place_of("web", "u-web")),
        ("by uid", pods(json!({"name": "db", "uid": "u-db"})), place_of("db", "u-db")),
        ("unknown", pods(json!({"name": "x"})), only("shop", "x")),
        ("list", pods(json!({})), only("shop", "")),
        ("creation joins no predecessor", creation, only("shop", "web")),
        ("eviction", eviction, place_of("web", "u-web")),
        (
            "pods of another group",
            json!({"objectRef": {"resource": "pods", "apiGroup": "x.io", "namespace": "shop", "name": "web"}}),
            Place::default(),
        ),
        (
            "node",
            json!({"objectRef": {"resource": "nodes", "name": "n1", "subresource": "proxy"}}),
            Place { node: "n1".into(), ..Place::default() },
        ),
        ("secret", json!({"objectRef": {"resource": "secrets", "namespace": "shop", "name": "web"}}), Place::default()),
        ("no object", json!({"requestURI": "/healthz"}), Place::default()),
    ];
    for (name, fields, place) in cases {
        assert_eq!(enriched(fields).target, place, "{name}");
    }
}

fn line_event(source: Source, file: &'static str, address: &'static str) -> Event<'static> {
    line_of("n1", source, file, address)
}

fn line_of(node: &str, source: Source, file: &'static str, address: &'static str) -> Event<'static> {
    let created = at("2026-11-24T20:24:22Z");
    let origin = Origin { cluster: "c".into(), reporter: node.into(), provenance: Provenance::File };
    let origin: &'static Origin = Box::leak(Box::new(origin));
    let mut event = Event::blank(RecordId([7; 16]), source, created, origin);
    event.source_ip = address.into();
    event.log_file = file.into();
    if let Some(pod) = file.strip_prefix("pod:") {
        let (name, uid) = pod.split_once('/').unwrap();
        event.kubernetes = Place {
            namespace: "shop".into(),
            pod_name: name.into(),
            pod_uid: uid.into(),
            container: "nginx".into(),
            ..Place::default()
        };
    }
    enrich(&mut event, Box::leak(Box::new(mk_inventory())));
    event
}

#[test]
fn a_line_of_a_container_is_its_pods_whoever_the_client_was() {
    let expected = Place { container: "nginx".into(), ..place_of("web", "u-web") };
    assert_eq!(line_event(Source::Web, "pod:web/u-web", "10.1.0.2").kubernetes, expected);
    // The kubelet names a static pod's directory by another uid than its mirror pod has.
    let of_manifest = line_event(Source::Web, "pod:web/0123abcd", "").kubernetes;
    assert_eq!(of_manifest.workload_name, "web");
    assert_eq!(line_event(Source::Web, "pod:gone/u-gone", "").kubernetes.node, "n1");
    let elsewhere = line_of("n2", Source::Web, "pod:web/u-web", "").kubernetes;
    assert_eq!(
        elsewhere,
        Place { node: "n2".into(), ambiguous: true, ..Place::default() },
        "n1 alone speaks for its pods"
    );
    assert_eq!(line_event(Source::Node, "/var/log/auth.log", "10.1.0.2").kubernetes, place_of("db", "u-db"));
}

#[test]
fn a_request_from_a_node_names_it_and_tells_whether_the_identity_runs_on_its_network() {
    let from_node = |user: &str, extra: Value| {
        enriched(json!({"user": {"username": user, "extra": extra}, "sourceIPs": ["192.168.0.1"]}))
    };
    let admin = from_node("alice", json!({}));
    assert_eq!((admin.source_node.as_str(), admin.kubernetes.host_network), ("n1", false));
    assert!(from_node("system:serviceaccount:shop:app", json!({})).kubernetes.host_network, "proxy runs as it");
    assert!(!from_node("system:serviceaccount:shop:other", json!({})).kubernetes.host_network);
    let bound =
        |uid: &str| from_node("system:serviceaccount:shop:app", json!({"authentication.kubernetes.io/pod-uid": [uid]}));
    assert!(bound("u-proxy").kubernetes.host_network);
    let stolen = bound("u-web");
    assert_eq!((stolen.kubernetes.host_network, stolen.source_node.as_str()), (false, "n1"));
}
