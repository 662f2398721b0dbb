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
