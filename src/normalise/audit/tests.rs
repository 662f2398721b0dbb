use proptest::prelude::*;
use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::record::{Incomplete, Origin, Provenance, RecordId, RedactionFacts};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn mk_record(event: &Value) -> Record {
    Record {
        id: RecordId([7; 16]),
        received_at: at("2026-11-24T20:24:23Z"),
        origin: Some(Origin { cluster: "c".into(), reporter: "n".into(), provenance: Provenance::AuditWebhook }),
        facts: RedactionFacts {
            redacted: vec!["requestURI".into()],
            secret_like_values: 2,
            incomplete: vec![Incomplete::Clipped],
        },
        payload: Payload::Audit(to_raw_value(event).unwrap().into()),
    }
}

fn mk_event() -> Value {
    json!({
        "level": "Metadata", "auditID": "a-1", "stage": "ResponseComplete", "verb": "list",
        "requestURI": "/api/v1/namespaces/shop/secrets?limit=500",
        "user": {"username": "system:serviceaccount:shop:app", "uid": "u-1", "groups": ["system:authenticated"]},
        "sourceIPs": ["1.2.3.4", "::ffff:10.0.0.1"], "userAgent": "curl/7",
        "objectRef": {"resource": "secrets", "namespace": "shop", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-24T20:24:22.011516Z", "stageTimestamp": "2026-11-24T20:24:22.013859Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    })
}

fn of(fields: Value) -> Event<'static> {
    let mut event = mk_event();
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    audit(Box::leak(Box::new(mk_record(&event)))).unwrap()
}

#[test]
fn every_field_of_a_listing_is_filled() {
    let event = of(json!({}));
    assert_eq!(
        (event.source, event.precision, event.provider),
        (Source::Audit, crate::event::Precision::Micros, "kubernetes-audit")
    );
    assert_eq!((event.created, event.received), (at("2026-11-24T20:24:22.013859Z"), at("2026-11-24T20:24:23Z")));
    assert_eq!((event.redacted, event.secret_like_values), (["requestURI".to_owned()].as_slice(), 2));
    assert_eq!((event.incomplete.as_slice(), event.clamped), (["Clipped"].as_slice(), false));
    assert_eq!(
        (event.category.as_slice(), event.type_.as_slice()),
        (["api"].as_slice(), ["access", "allowed"].as_slice())
    );
    assert_eq!((event.action.as_str(), event.outcome, event.code.as_str()), ("list", Outcome::Success, "200"));
    assert_eq!(event.user, User { name: "system:serviceaccount:shop:app".into(), id: "u-1".into(), ..User::default() });
    assert_eq!((event.source_ip.as_str(), event.claimed_ips.as_slice()), ("10.0.0.1", ["1.2.3.4".into()].as_slice()));
    assert_eq!(event.user_agent, "curl/7");
    assert_eq!(event.message(), "system:serviceaccount:shop:app list secrets in shop: 200");
    assert_eq!(event.audit.unwrap().audit_id, "a-1");
}

#[test]
fn proxies_are_passed_over() {
    let normaliser = Normaliser { proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Normaliser::default() };
    let record = mk_record(&mk_event());
    let event = normaliser.event(&record).unwrap();
    assert_eq!((event.source_ip.as_str(), event.claimed_ips.len()), ("1.2.3.4", 0));
}

#[test]
fn time_is_the_stage_then_the_request_then_receipt_and_never_far_ahead() {
    let cases = [
        ("no stage", json!({"stageTimestamp": null}), "2026-11-24T20:24:22.011516Z", false),
        ("none", json!({"stageTimestamp": null, "requestReceivedTimestamp": null}), "2026-11-24T20:24:23Z", false),
        ("5 min ahead", json!({"stageTimestamp": "2026-11-24T20:29:23Z"}), "2026-11-24T20:29:23Z", false),
        ("more", json!({"stageTimestamp": "2026-11-24T20:29:23.000001Z"}), "2026-11-24T20:29:23Z", true),
        ("end of time", json!({"stageTimestamp": "9999-12-30T00:00:00Z"}), "2026-11-24T20:29:23Z", true),
        ("an hour late", json!({"stageTimestamp": "2026-11-24T19:24:23Z"}), "2026-11-24T19:24:23Z", false),
    ];
    for (name, fields, created, clamped) in cases {
        let event = of(fields);
        assert_eq!((event.created, event.clamped), (at(created), clamped), "{name}");
    }
}

#[test]
fn outcome_follows_status_and_stage() {
    let cases = [
        ("RequestReceived", json!({"stage": "RequestReceived", "responseStatus": null}), Outcome::Unknown),
        ("no status", json!({"responseStatus": null}), Outcome::Unknown),
        ("399", json!({"responseStatus": {"code": 399}}), Outcome::Success),
        ("101", json!({"responseStatus": {"code": 101}}), Outcome::Success),
        ("400", json!({"responseStatus": {"code": 400}}), Outcome::Failure),
        ("panic", json!({"stage": "Panic", "responseStatus": {"code": 500}}), Outcome::Failure),
    ];
    for (name, fields, outcome) in cases {
        assert_eq!(of(fields).outcome, outcome, "{name}");
    }
}

/// A request: (verb, API group, resource, subresource), status, authorizer's decision.
fn request(
    verb: &str,
    (group, resource, subresource): (&str, &str, &str),
    code: i64,
    decision: &str,
) -> Event<'static> {
    of(
        json!({"verb": verb, "responseStatus": {"code": code}, "annotations": {"authorization.k8s.io/decision": decision},
        "objectRef": {"resource": resource, "subresource": subresource, "apiGroup": group}}),
    )
}

#[test]
fn categories_and_types_follow_verb_and_resource() {
    let rbac = "rbac.authorization.k8s.io";
    let cases: &[(Event<'_>, &[&str], &[&str])] = &[
        (request("create", (rbac, "rolebindings", ""), 201, "allow"), &["api", "iam"], &["creation", "allowed"]),
        (request("create", ("", "serviceaccounts", "token"), 201, "allow"), &["api", "iam"], &["creation", "allowed"]),
        (
            request("patch", ("certificates.k8s.io", "certificatesigningrequests", "approval"), 200, "allow"),
            &["api", "iam"],
            &["change", "allowed"],
        ),
        (
            request("create", ("authentication.k8s.io", "tokenreviews", ""), 201, "allow"),
            &["api", "authentication", "iam"],
            &["access", "allowed"],
        ),
        (request("list", ("", "secrets", ""), 401, ""), &["api", "authentication"], &["access", "denied"]),
        (request("get", ("", "pods", "exec"), 101, "allow"), &["api", "process"], &["start", "allowed"]),
        (request("create", ("", "pods", "attach"), 403, "forbid"), &["api", "process"], &["start", "denied"]),
        (request("get", ("", "pods", "portforward"), 101, "allow"), &["api"], &["start", "allowed"]),
        (request("create", ("", "pods", ""), 403, "allow"), &["api"], &["creation", "denied"]),
        (request("update", ("", "configmaps", ""), 200, "allow"), &["api", "configuration"], &["change", "allowed"]),
        (
            request(
                "deletecollection",
                ("admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
                200,
                "allow",
            ),
            &["api", "configuration"],
            &["deletion", "allowed"],
        ),
        (request("brew", ("", "pots", ""), 418, ""), &["api"], &[]),
    ];
    for (event, category, type_) in cases {
        assert_eq!((event.category.as_slice(), event.type_.as_slice()), (*category, *type_), "{}", event.message());
    }
}

#[test]
fn message_is_one_clean_line() {
    let long = "n".repeat(1000);
    let cases = [
        ("failed login", json!({"user": {}, "responseStatus": {"code": 401}}), "(no user) list secrets in shop: 401"),
        (
            "impersonation",
            json!({"user": {"username": "admin"}, "impersonatedUser": {"username": "mallory"}}),
            "admin as mallory list secrets in shop: 200",
        ),
        (
            "subresource",
            json!({"user": {"username": "a"}, "verb": "get", "objectRef": {"resource": "pods", "subresource": "exec", "name": "web", "namespace": "shop"}}),
            "a get pods/exec web in shop: 200",
        ),
        (
            "no resource",
            json!({"user": {"username": "a"}, "verb": "get", "requestURI": "/healthz?x=1", "objectRef": null}),
            "a get /healthz: 200",
        ),
        (
            "no status",
            json!({"user": {"username": "a"}, "stage": "RequestReceived", "responseStatus": null}),
            "a list secrets in shop: RequestReceived",
        ),
        (
            "control characters",
            json!({"user": {"username": "a\n\u{1b}[2J\u{202e}b"}}),
            "a\\n\\u{1b}[2J\\u{202e}b list secrets in shop: 200",
        ),
    ];
    for (name, fields, message) in cases {
        assert_eq!(of(fields).message(), message, "{name}");
    }
    let event = of(json!({"user": {"username": long}, "impersonatedUser": {"username": long}, "verb": long,
        "objectRef": {"resource": long, "subresource": long, "name": long, "namespace": long}}));
    assert!(event.message().len() <= MAX_MESSAGE && event.message().ends_with(": 200"), "{}", event.message());
}

#[test]
fn effective_name_is_another_than_the_users() {
    assert_eq!(of(json!({"impersonatedUser": {"username": "mallory"}})).user.effective_name, "mallory");
    assert_eq!(of(json!({"impersonatedUser": {"username": "system:serviceaccount:shop:app"}})).user.effective_name, "");
}

#[test]
fn what_is_no_event_gives_none() {
    let mut record = mk_record(&mk_event());
    record.origin = None;
    assert!(matches!(audit(&record), Err(NormaliseError::NoOrigin(_))));
    let record = mk_record(&json!({"stage": 5}));
    assert!(matches!(audit(&record), Err(NormaliseError::Unreadable { .. })));
    let mut record = mk_record(&mk_event());
    record.payload = Payload::Inventory(crate::record::InventoryChange::NodeGone { name: "n".into() });
    assert!(matches!(audit(&record), Err(NormaliseError::NotAudit(_))));
    assert!(super::super::event(&record).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_event_becomes_one_clean_line(
        texts in prop::collection::vec(any::<String>(), 9), code: i64, seconds in -377_705_023_201_i64..253_402_207_200,
    ) {
        let t = |i: usize| texts.get(i).cloned().unwrap_or_default();
        let event = of(json!({"verb": t(0), "user": {"username": t(1)}, "impersonatedUser": {"username": t(2)},
            "objectRef": {"resource": t(3), "subresource": t(4), "name": t(5), "namespace": t(6)}, "requestURI": t(7),
            "sourceIPs": [t(8)], "responseStatus": {"code": code}, "annotations": {},
            "stageTimestamp": Timestamp::from_second(seconds).unwrap().to_string()}));
        prop_assert!(event.message().len() <= MAX_MESSAGE);
        prop_assert_eq!(one_line(event.message(), MAX_MESSAGE), event.message());
        prop_assert!(event.created <= event.received + MAX_AHEAD);
    }
}

#[test]
fn an_answer_that_is_no_object_is_left_out_and_said_to_be() {
    let with = |answer: &str| {
        let text = format!(
            r#"{{"auditID":"1","stage":"ResponseComplete","verb":"create","requestObject":{{"kind":"Role"}},"responseObject":{answer}}}"#
        );
        crate::event::AuditEvent::read(&text).unwrap().response_object.is_some_and(|answer| answer.is_reduced())
    };
    for reduced in [
        r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"x"}}"#,
        r#"{ "apiVersion": "meta.k8s.io/v1beta1", "kind": "PartialObjectMetadataList", "items": [] }"#,
        r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}"#,
    ] {
        assert!(with(reduced), "{reduced}");
    }
    for whole in [
        r#"{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1"}"#,
        r#"{"kind":"Table","apiVersion":"example.com/v1","metadata":{"name":"meta.k8s.io/"}}"#,
        r#"{"kind":"Status","apiVersion":"v1"}"#,
        "null",
        "7",
    ] {
        assert!(!with(whole), "{whole}");
    }
}
