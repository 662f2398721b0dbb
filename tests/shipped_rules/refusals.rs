//! What was refused is told apart from what was done, and rated lower; no higher, where the success is Low itself.

use std::collections::{BTreeMap, BTreeSet};

use kubewitness::{
    api::rule::Severity,
    record::{IdKey, Origin, Provenance},
    redact,
};
use serde_json::{Value, json};

use super::shipped;

/// Rules on what was refused, and the rules that tell of the same when it is done.
const FAMILIES: [(&str, &[&str]); 8] = [
    ("anonymous-probing", &["anonymous-request-allowed"]),
    ("credentials-rejected-in-a-row", &["system-identity-from-public-address", "pod-token-used-from-many-addresses"]),
    ("exec-or-attach-refused", &["exec-into-pod", "port-forward-opened", "ephemeral-container-added"]),
    ("forbidden-burst", &["identity-impersonated", "exec-into-pod", "port-forward-opened"]),
    ("impersonation-refused", &["identity-impersonated", "privileged-identity-impersonated"]),
    ("privileged-pod-refused", &["privileged-pod-created", "dangerous-capabilities-added"]),
    ("rbac-escalation-refused", &["role-with-wildcards-written", "role-with-escalation-verbs-written"]),
    ("secret-access-refused", &["secrets-listed-cluster-wide", "many-secrets-read-one-by-one"]),
];

/// Those rated as high as the least of their family: a run of refusals says more than one of the Low things that it may be
/// made of, and credentials that are rejected are not those that are used from elsewhere.
const EQUAL: [&str; 2] = ["credentials-rejected-in-a-row", "forbidden-burst"];

#[test]
fn a_rule_on_refusals_is_rated_lower_than_those_on_what_was_refused() {
    let rules: BTreeMap<_, _> = shipped().into_iter().map(|(file, rule)| (file, rule.spec.0)).collect();
    for (refused, done) in FAMILIES {
        let least = done.iter().map(|name| rules[*name].severity).min().unwrap();
        assert!(
            rules[refused].severity < least || EQUAL.contains(&refused) && rules[refused].severity == least,
            "{refused}: {:?}, what it tells of: {least:?}",
            rules[refused].severity
        );
    }
    // Those that look for nothing but refusals of the API server: each has a family.
    let of_refusals: BTreeSet<_> = rules
        .iter()
        .filter(|(_, spec)| {
            spec.selectors.iter().all(|selector| {
                let asks = &selector.where_;
                ["audit.responseStatus.code == 403", "audit.responseStatus.code == 401"]
                    .iter()
                    .any(|c| asks.contains(c))
                    || asks.contains("event.outcome == \"failure\"") && asks.contains("system:anonymous")
            })
        })
        .map(|(file, _)| file.as_str())
        .collect();
    assert_eq!(of_refusals, FAMILIES.iter().map(|(refused, _)| *refused).collect());
}

/// A request of eve's in its own namespace, as the API server writes it down when it is carried out.
fn request(verb: &str, resource: &str, subresource: &str, more: Value) -> Value {
    let mut event = json!({
        "level": "Request", "stage": "ResponseComplete", "verb": verb, "user": {"username": "eve", "groups": ["dev"]},
        "sourceIPs": ["192.0.2.66"], "requestURI": "/api/v1/namespaces/shop/x", "annotations": {"authorization.k8s.io/decision": "allow"},
        "objectRef": {"resource": resource, "subresource": subresource, "namespace": "shop", "name": "x", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-03-01T12:00:00Z", "stageTimestamp": "2026-03-01T12:00:00Z",
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

/// The same, refused for lack of permission.
fn refused(event: &Value, message: &str) -> Value {
    let mut event = event.clone();
    event["responseStatus"] = json!({"code": 403, "reason": "Forbidden", "message": message});
    event["annotations"] = json!({"authorization.k8s.io/decision": "forbid"});
    // It has begun no stream.
    event["stage"] = json!("ResponseComplete");
    // The API server refuses before it acts as another.
    event.as_object_mut().unwrap().remove("impersonatedUser");
    event
}

/// What the rules make of these requests, a millisecond apart: of each alert its subject and its rating.
fn alerts(requests: impl IntoIterator<Item = Value>) -> Vec<(String, Severity)> {
    let mut pipeline = crate::quiet::pipeline();
    let origin = Origin { cluster: "test".into(), reporter: "api".into(), provenance: Provenance::AuditLog };
    for (n, mut event) in (1..).zip(requests) {
        event["auditID"] = json!(format!("{n}"));
        let at = format!("2026-03-01T12:00:00.{n:03}Z");
        event["requestReceivedTimestamp"] = json!(at);
        event["stageTimestamp"] = json!(at);
        let bytes = serde_json::to_vec(&event).unwrap();
        let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
        pipeline.push(n, &redact::record(outcome, &bytes, &origin, at.parse().unwrap(), &IdKey::OFFLINE));
    }
    pipeline.alerts().map(|alert| (alert.subject(), alert.severity())).collect()
}

/// Twelve such requests of one user, each for another object.
fn in_a_row(user: String, event: Value) -> impl Iterator<Item = Value> {
    (0..12).map(move |n| {
        let mut event = event.clone();
        event["user"]["username"] = json!(user);
        event["objectRef"]["name"] = json!(format!("x{n}"));
        event
    })
}

#[test]
fn the_same_requests_are_rated_lower_when_they_are_refused() {
    let rbac =
        json!({"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io", "name": "x", "apiVersion": "v1"});
    let omni = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let cases = [
        (
            "acting as a colleague",
            request("get", "pods", "", json!({"impersonatedUser": {"username": "dana", "groups": ["dev"]}})),
            "users \"dana\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
        ),
        (
            "commands in pods",
            request("get", "pods", "exec", json!({"stage": "ResponseStarted", "requestURI": "/x?command=ls"})),
            "cannot get",
        ),
        (
            "forwarded ports",
            request("create", "pods", "portforward", json!({"stage": "ResponseStarted"})),
            "cannot create",
        ),
        (
            "debugging containers",
            request("patch", "pods", "ephemeralcontainers", json!({"requestObject": {}})),
            "cannot patch",
        ),
        (
            "all secrets",
            request("list", "secrets", "", json!({"objectRef": {"resource": "secrets", "apiVersion": "v1"}})),
            "cannot list",
        ),
        (
            "privileged pods",
            request(
                "create",
                "pods",
                "",
                json!({"requestObject": {"spec": {"hostPID": true, "containers": [{"name": "a"}]}}}),
            ),
            "pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\"",
        ),
        (
            "a role for everything",
            request(
                "create",
                "clusterroles",
                "",
                json!({"objectRef": rbac, "requestObject": omni, "responseObject": omni}),
            ),
            "clusterroles is forbidden: user \"eve\" is attempting to grant RBAC permissions not currently held",
        ),
    ];
    let users = |n: usize| (format!("lucky-{n}."), format!("unlucky-{n}."));
    let requests = cases.iter().enumerate().flat_map(|(n, (_, event, message))| {
        let (lucky, unlucky) = users(n);
        in_a_row(lucky, event.clone()).chain(in_a_row(unlucky, refused(event, message)))
    });
    let alerts = alerts(requests);
    let rating = |user: &str| alerts.iter().filter(|(subject, _)| subject.starts_with(user)).map(|(_, s)| *s).max();
    for (n, (what, ..)) in cases.iter().enumerate() {
        let (lucky, unlucky) = users(n);
        let (done, not_done) = (rating(&lucky), rating(&unlucky));
        assert!(done.is_some(), "{what}: raises nothing when it is done");
        let lower = not_done < done || not_done == done && done <= Some(Severity::Low);
        assert!(lower, "{what}: {done:?} when it is done, {not_done:?} when it is refused");
    }
}

/// Rules leave controllers out by the names of their accounts. A pod that is given such an account in the controllers' own
/// namespace is reported, whoever writes it, and whether the workload is new or was there.
#[test]
fn no_account_that_a_rule_leaves_out_is_to_be_had_unseen() {
    const PREFIX: &str = "system:serviceaccount:kube-system:";
    let mut accounts = BTreeSet::new();
    for (_, rule) in shipped() {
        let spec = &rule.spec.0;
        let asks = spec.selectors.iter().map(|selector| selector.where_.as_str());
        for text in spec.variables.iter().map(|variable| variable.expression.as_str()).chain(asks) {
            accounts.extend(text.split(PREFIX).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    // A prefix alone is no account. The cloud's controller manager is a pod, everywhere.
    accounts.retain(|account| !account.is_empty() && account != "cloud-controller-manager");
    assert!(accounts.len() > 20, "{accounts:?}");
    let with = |account: &str, namespace: &str| {
        request(
            "update",
            "deployments",
            "",
            json!({
                "objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": namespace, "name": account, "apiVersion": "v1"},
                "requestObject": {"spec": {"template": {"spec": {"serviceAccountName": account, "containers": [{"name": "a"}]}}}},
            }),
        )
    };
    let found = alerts(accounts.iter().map(|account| with(account, "kube-system")));
    for account in &accounts {
        let seen = |(subject, severity): &(String, Severity)| {
            subject.ends_with(&format!(" {account}")) && *severity >= Severity::High
        };
        assert!(found.iter().any(seen), "{account}: a pod with it is not reported among {found:?}");
    }
    let elsewhere = alerts(accounts.iter().map(|account| with(account, "shop")));
    assert_eq!(elsewhere, [], "means nothing elsewhere");
}
