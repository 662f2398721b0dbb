use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{event::AuditEvent, record::Provenance};

mod canaries;
mod commands;
mod ways;

fn redact_value(event: &Value) -> Redacted {
    ways::agree(&event.to_string());
    redact_bytes(event.to_string().as_bytes()).unwrap()
}

fn redact_bytes(bytes: &[u8]) -> Result<Redacted, Rejected> {
    audit_event(Input { bytes, oversize: false })
}

fn mk_event() -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": "a-1", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods", "verb": "create", "user": {"username": "bob", "groups": ["dev"]},
        "sourceIPs": ["10.0.0.1"], "userAgent": "kubectl/v1.34", "stageTimestamp": "2026-11-24T20:24:22.013859Z",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut event = mk_event();
    event[field] = value;
    event
}

#[test]
fn canonical_keeps_the_order_and_has_neither_kind_nor_api_version() {
    let redacted = redact_value(&mk_event());
    let expected = concat!(
        r#"{"auditID":"a-1","level":"Request","objectRef":{"apiVersion":"v1","name":"web","namespace":"shop","resource":"pods"},"#,
        r#""requestURI":"/api/v1/namespaces/shop/pods","responseStatus":{"code":201,"metadata":{}},"sourceIPs":["10.0.0.1"],"#,
        r#""stage":"ResponseComplete","stageTimestamp":"2026-11-24T20:24:22.013859Z","user":{"groups":["dev"],"username":"bob"},"#,
        r#""userAgent":"kubectl/v1.34","verb":"create"}"#
    );
    assert_eq!(redacted.canonical.get(), expected);
    assert_eq!(redacted.facts, RedactionFacts::default());
}

#[test]
fn unreadable_inputs_are_rejected_with_place_and_reason() {
    let cases: &[(&str, &[u8], QuarantineReason)] = &[
        ("empty", b"", QuarantineReason::Syntax),
        ("broken", br#"{"stage":"#, QuarantineReason::Syntax),
        ("two documents", b"{} {}", QuarantineReason::Syntax),
        ("UTF-16", b"\xff\xfe{\0}\0", QuarantineReason::Syntax),
        ("no object", b"[1]", QuarantineReason::NotAnEvent),
        ("empty object", b"{}", QuarantineReason::NotAnEvent),
        ("unknown stage", br#"{"stage":"X","verb":"get"}"#, QuarantineReason::NotAnEvent),
        ("stage alone", br#"{"stage":"Panic"}"#, QuarantineReason::NotAnEvent),
    ];
    for (name, bytes, reason) in cases {
        let Rejected(quarantined) = redact_bytes(bytes).unwrap_err();
        assert_eq!((quarantined.reason, quarantined.length), (*reason, bytes.len() as u64), "{name}");
        assert!(quarantined.error.len() <= 256, "{name}");
    }
    let deep = format!(r#"{{"stage":"Panic","user":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(redact_bytes(deep.as_bytes()).unwrap_err().0.reason, QuarantineReason::Depth);
}

#[test]
fn damage_is_flagged_and_the_rest_kept() {
    let long = "x".repeat(10_000);
    let many: Vec<String> = (0..100).map(|i| format!("10.0.0.{i}")).collect();
    let deep = serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(120), "]".repeat(120))).unwrap();
    let cases = [
        ("verb is a number", with("verb", json!(5)), vec![Incomplete::MistypedField]),
        ("code is a string", with("responseStatus", json!({"code": "403"})), vec![Incomplete::MistypedField]),
        ("sourceIPs is a string", with("sourceIPs", json!("x")), vec![Incomplete::MistypedField]),
        ("a group is a number", with("user", json!({"groups": ["a", 1]})), vec![Incomplete::MistypedField]),
        ("time is no time", with("stageTimestamp", json!("yesterday")), vec![Incomplete::MistypedField]),
        ("nulls are as good as absent", with("user", json!(null)), vec![]),
        ("long URI", with("requestURI", json!(long)), vec![Incomplete::Clipped]),
        ("long user agent", with("userAgent", json!(long)), vec![Incomplete::Clipped]),
        ("long audit id", with("auditID", json!(long)), vec![Incomplete::Clipped]),
        ("many addresses", with("sourceIPs", json!(many)), vec![Incomplete::Clipped]),
        (
            "cut by the API server",
            with("annotations", json!({"audit.k8s.io/truncated": "true"})),
            vec![Incomplete::TruncatedBySender],
        ),
        ("deep but legal body", with("requestObject", deep), vec![]),
        ("large body", with("requestObject", json!({"x": "y".repeat(MAX_EVENT)})), vec![Incomplete::Oversize]),
    ];
    for (name, event, incomplete) in cases {
        let redacted = redact_value(&event);
        assert_eq!(redacted.facts.incomplete, incomplete, "{name}");
        let read: AuditEvent = serde_json::from_str(redacted.canonical.get()).unwrap();
        assert!(
            read.request_uri.len() <= 8192 && read.user_agent.len() <= 1100 && read.audit_id.len() <= 256,
            "{name}"
        );
        assert!(read.source_ips.len() <= 32, "{name}");
        assert!(
            read.source_ips.is_empty()
                || read.source_ips.last().map(|hop| hop.as_str()) != many.first().map(String::as_str),
            "{name}: the last hop stays"
        );
    }
}

#[test]
fn what_rules_need_survives() {
    let spec = json!({
        "hostPID": true, "hostNetwork": true, "serviceAccountName": "app", "automountServiceAccountToken": false,
        "containers": [{"name": "c", "image": "r/secret-app:1", "securityContext": {"privileged": true},
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]}],
        "volumes": [{"name": "h", "hostPath": {"path": "/"}}, {"name": "s", "secret": {"secretName": "db"}},
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]}}],
        "imagePullSecrets": [{"name": "regcred"}],
    });
    let binding = json!({"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": "shop"}],
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]});
    for body in [json!({"kind": "Pod", "spec": spec}), binding] {
        let redacted = redact_value(&with("requestObject", body.clone()));
        let read: Value = serde_json::from_str(redacted.canonical.get()).unwrap();
        assert_eq!(read["requestObject"], body);
        assert!(redacted.facts.redacted.is_empty(), "{:?}", redacted.facts);
    }
}

#[test]
fn secrets_and_config_maps_keep_their_keys_only() {
    let mut event = with(
        "requestObject",
        json!({
        "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db", "labels": {"a": "b"}, "annotations": {"x": "CANARY"}},
        "data": {"user": "CANARY", "gone": null}, "extra": {"y": "CANARY"}}),
    );
    event["objectRef"]["resource"] = json!("secrets");
    let redacted = redact_value(&event);
    let read: Value = serde_json::from_str(redacted.canonical.get()).unwrap();
    assert_eq!(
        read["requestObject"],
        json!({
        "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db", "labels": {"a": "b"}, "annotations": {"x": REDACTED}},
        "data": {"user": REDACTED, "gone": null}, "extra": REDACTED})
    );
    assert_eq!(
        redacted.facts.redacted,
        ["requestObject.data.user", "requestObject.extra", "requestObject.metadata.annotations.x"]
    );
}

#[test]
fn text_of_too_many_secrets_is_hidden_and_noted() {
    let text = "password=CANARY ".repeat(1000);
    let redacted = redact_value(&with("requestObject", json!({"x": text})));
    assert!(redacted.canonical.get().contains(r#""requestObject":{"x":"[redacted]"}"#), "{}", redacted.canonical);
    assert_eq!((redacted.facts.redacted, redacted.facts.secret_like_values), (vec!["requestObject.x".to_owned()], 1));
}

#[test]
fn records_of_one_event_by_two_ways_have_one_id() {
    let origin = |provenance| Origin { cluster: "c".into(), reporter: "n".into(), provenance };
    let at: Timestamp = "2026-11-24T20:24:23Z".parse().unwrap();
    let line = mk_event().to_string();
    let mut item = mk_event();
    item.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
    let item = serde_json::to_string_pretty(&item).unwrap();
    let record_of = |text: &str, provenance| {
        record(redact_bytes(text.as_bytes()), text.as_bytes(), &origin(provenance), at, &IdKey::OFFLINE)
    };
    let (by_log, by_webhook) = (record_of(&line, Provenance::AuditLog), record_of(&item, Provenance::AuditWebhook));
    assert_eq!(by_log.id, by_webhook.id);
    let broken = record_of("{", Provenance::AuditLog);
    assert!(matches!(broken.payload, Payload::Quarantined(_)) && broken.id != by_log.id);
}

/// Events with any JSON in any place, among it what redaction looks for.
pub fn any_event() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        r#"(--)?(password|token|Authorization|secretName|AKIA|eyJ|pass|\\|\n  |\n|name: |value: |kind: Secret|data:|chpasswd|://|@tcp\(|[ =:"'{}\[\]\\/@?&%+-]|[a-z0-9A-Z]{1,20}){0,8}"#,
        Just("https://a:b@c/?token=x".to_owned()),
        Just(r#"{"password":"x","env":[{"name":"A","value":"B"}]}"#.to_owned()),
        Just("Secret".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "env",
            "value",
            "name",
            "kind",
            "data",
            "metadata",
            "annotations",
            "items",
            "password",
            "args",
            "username",
            "extra",
            "groups",
            "code",
            "resource",
            "path",
            "op",
            "key",
            "token",
            "stringData",
            "template",
            "default",
            "extraEnvironmentVars",
        ])
        .prop_map(str::to_owned),
        text,
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    });
    let fields: Vec<&str> = shape::FIELDS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "stage")
        .chain(["requestObject", "responseObject", "authenticationMetadata"])
        .collect();
    prop::collection::vec((prop::sample::select(fields), value), 0..5).prop_map(|fields| {
        let mut event = mk_event();
        for (field, value) in fields {
            event[field] = value;
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_kept_always_reads_as_an_audit_event(event in any_event()) {
        if let Ok(redacted) = redact_bytes(event.to_string().as_bytes()) {
            let text = redacted.canonical.get();
            let read: Result<AuditEvent, _> = serde_json::from_str(text);
            prop_assert!(read.is_ok(), "{:?}", read.err());
            let by_place = AuditEvent::read(text);
            prop_assert_eq!(format!("{:?}", by_place.unwrap()), format!("{:?}", read.unwrap()));
        }
    }

    #[test]
    fn an_event_is_read_alike_with_and_without_serde(
        event in any_event(),
        text in "[a-z\"\\\\\u{e9} \n]{0,20}",
        user in any::<bool>(),
        place in 0.0..1.0_f64,
        byte: u8,
    ) {
        let mut event = event;
        event["annotations"] = json!({"authorization.k8s.io/reason": text, "b": ""});
        event["objectRef"] = json!({"resource": "pods", "name": text});
        if user {
            event["user"] = json!({"username": text, "groups": [text, "b"], "extra": {"a": [text]}});
        }
        if let Ok(redacted) = redact_bytes(event.to_string().as_bytes()) {
            let mut bytes = redacted.canonical.get().as_bytes().to_vec();
            for _ in 0..2 {
                if let Ok(text) = str::from_utf8(&bytes) {
                    let by_serde = serde_json::from_str::<AuditEvent>(text).map(|event| format!("{event:?}")).ok();
                    let read = AuditEvent::read(text).map(|event| format!("{event:?}")).ok();
                    // What is broken behind the mark shows where a body is asked for.
                    if by_serde.is_some() || !text.contains(", \"re") {
                        prop_assert_eq!(read, by_serde);
                    }
                }
                let at = (place * bytes.len() as f64) as usize;
                bytes[at] = byte;
            }
        }
    }

    #[test]
    fn redacting_twice_changes_nothing(event in any_event()) {
        if let Ok(once) = redact_bytes(event.to_string().as_bytes()) {
            let twice = redact_bytes(once.canonical.get().as_bytes()).unwrap();
            prop_assert_eq!(once.canonical.get(), twice.canonical.get());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(redact_bytes(&bytes).is_err());
    }

    #[test]
    fn no_damage_to_an_event_makes_it_panic(at in 0_usize..700, byte: u8) {
        let mut bytes = mk_event().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(redacted) = redact_bytes(&bytes) {
            prop_assert!(serde_json::from_str::<AuditEvent>(redacted.canonical.get()).is_ok());
        }
    }
}
