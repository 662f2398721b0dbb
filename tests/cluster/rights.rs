//! The controller under its generated ClusterRole: all that it does is allowed, and all that is allowed it does.

mod canary;
mod removed;

use super::collectors::{AUDIENCE, ask, token};
use super::seen::{audit_log, text};
use crate::support::{ClusterOptions, Kubectl, NAMESPACE, WatchedCluster, wait_until};
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const ACCOUNT: &str = "system:serviceaccount:kubewitness:controller";

/// (resource with its group as `kubectl auth can-i` writes it, verb).
type Right = (String, String);

/// The rights that the manifest grants.
fn granted() -> BTreeSet<Right> {
    let role: ClusterRole =
        serde_saphyr::from_str(include_str!("../../manifests/rbac/controller-clusterrole.yaml")).unwrap();
    let mut rights = BTreeSet::new();
    for rule in role.rules.unwrap() {
        assert!(rule.non_resource_urls.is_none() && rule.resource_names.is_none(), "{rule:?}");
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| (qualified(resource, group), verb.clone())));
            }
        }
    }
    rights
}

/// `securityalerts.kubewitness.io/status`, `pods`.
fn qualified(resource: &str, group: &str) -> String {
    match (resource.split_once('/'), group) {
        (_, "") => resource.to_owned(),
        (Some((resource, subresource)), group) => format!("{resource}.{group}/{subresource}"),
        (None, group) => format!("{resource}.{group}"),
    }
}

/// What `kubectl auth can-i --list` says, as rows of a resource (or URL) and a verb.
fn can_i(user: &Kubectl, namespace: &str) -> BTreeSet<Right> {
    let table = user.run(&["auth", "can-i", "--list", "--no-headers", "-n", namespace]).success().unwrap();
    let mut rights = BTreeSet::new();
    for line in table.lines() {
        // Resources, [URLs], [names], [verbs]: the first may be empty, and none of ours has names.
        let (before, verbs) = line.trim_end().trim_end_matches(']').rsplit_once('[').unwrap();
        let what = before.split_whitespace().filter(|cell| *cell != "[]").collect::<Vec<_>>().join(" ");
        rights.extend(verbs.split_whitespace().map(|verb| (what.clone(), verb.to_owned())));
    }
    rights
}

/// What the account asked of the API server: the request's code by right, worst first.
fn asked(watched: &WatchedCluster) -> BTreeMap<Right, BTreeSet<u64>> {
    let mut asked: BTreeMap<Right, BTreeSet<u64>> = BTreeMap::new();
    for event in audit_log(watched) {
        if text(&event, "/user/username") != ACCOUNT {
            continue;
        }
        let resource = match text(&event, "/objectRef/subresource") {
            "" => text(&event, "/objectRef/resource").to_owned(),
            subresource => format!("{}/{subresource}", text(&event, "/objectRef/resource")),
        };
        let what = match resource.as_str() {
            "" => text(&event, "/requestURI").to_owned(),
            resource => qualified(resource, text(&event, "/objectRef/apiGroup")),
        };
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default();
        asked.entry((what, text(&event, "/verb").to_owned())).or_default().insert(code);
    }
    asked
}

fn rule(kind: &str, namespace: &str, name: &str, severity: &str, where_: &str) -> String {
    let rule = json!({
        "apiVersion": "kubewitness.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "title": name, "severity": severity, "alert": {"resolveAfter": "1s"},
            "selectors": [{"name": "touched", "source": "Audit", "where": where_}],
        },
    });
    rule.to_string()
}

const CLUSTER: &str = "clustersecurityrule";

fn touched(name: &str) -> String {
    format!(
        "audit.objectRef.resource == \"configmaps\" && audit.objectRef.name == {name:?} && audit.verb == \"create\""
    )
}

/// One of everything that the controller does: rules of both kinds taken and refused, edited and removed; pods that come
/// and go; alerts written, written again, restored, acknowledged, evicted at the limit, deleted after their time; restarts.
fn full_run(watched: &mut WatchedCluster) {
    let admin = watched.kubectl();
    admin.run(&["create", "namespace", "shop"]).success().unwrap();
    admin.run(&["create", "serviceaccount", "default", "-n", "shop"]).success().unwrap();
    watched.apply_shipped_rules().unwrap();
    watched.apply(&rule("ClusterSecurityRule", "", "first", "Low", &touched("first"))).unwrap();
    watched.apply(&rule("ClusterSecurityRule", "", "second", "High", &touched("second"))).unwrap();
    watched.apply(&rule("ClusterSecurityRule", "", "broken", "High", "no.such.field")).unwrap();
    watched.apply(&rule("SecurityRule", "shop", "tenant", "Medium", &touched("first"))).unwrap();
    for (resource, name, status) in
        [(CLUSTER, "first", "True"), (CLUSTER, "broken", "False"), ("securityrule", "tenant", "True")]
    {
        let namespace = if resource == CLUSTER { "" } else { "shop" };
        assert_eq!(watched.judged(resource, namespace, name).unwrap()["status"], status, "{name}");
    }
    watched.apply(include_str!("../../manifests/log-sources/node-syslog.yaml")).unwrap();
    wait_until("a log source is resolved", SOON, || {
        let ready = "jsonpath={.status.conditions[0].reason}";
        let got = admin.run(&["get", "logsource", "node-syslog", "-o", ready]);
        (got.stdout == "Assigned").then_some(())
    })
    .unwrap();
    let stranger = token(watched, "shop", "default", &["--audience", AUDIENCE]);
    assert_eq!(ask(watched, "GET /sources", Some(&stranger), b"").code, 403);
    admin.run(&["run", "web", "--image=web", "-n", "shop"]).success().unwrap();
    admin.run(&["create", "configmap", "first", "-n", "shop"]).success().unwrap();
    let alert = watched.alert("first", 1).unwrap();
    assert_eq!(text(&watched.alert("tenant", 1).unwrap(), "/metadata/namespace"), "shop");
    let name = text(&alert, "/metadata/name");
    let patch = json!({"spec": {"triage": {"acknowledged": true}}}).to_string();
    admin.run(&["patch", "securityalert", name, "-n", NAMESPACE, "--type=merge", "-p", &patch]).success().unwrap();
    admin.run(&["delete", "securityalert", name, "-n", NAMESPACE]).success().unwrap();
    wait_until("a deleted alert comes back", SOON, || {
        let found = watched.alerts_of("first").ok()?;
        found.iter().any(|again| again["metadata"]["uid"] != alert["metadata"]["uid"]).then_some(())
    })
    .unwrap();
    admin.run(&["delete", "pod", "web", "-n", "shop", "--force"]).success().unwrap();
    admin.run(&["delete", "clustersecurityrule", "broken"]).success().unwrap();
    watched.apply(&rule("ClusterSecurityRule", "", "first", "Informational", &touched("first"))).unwrap();
    watched.judged(CLUSTER, "", "first").unwrap();

    // With room for one object, a severer alert pushes out the others.
    watched.end_controller("TERM").unwrap();
    watched.add_arguments(&["--max-alerts=1"]);
    watched.start_controller().unwrap();
    admin.run(&["create", "configmap", "second", "-n", "shop"]).success().unwrap();
    wait_until("an alert is evicted", SOON, || {
        (watched.metric("kubewitness_cluster_alerts_evicted_total{reason=\"Limit\"}").ok()? > 0.0).then_some(())
    })
    .unwrap();
    // And what is resolved goes when its time is over.
    watched.end_controller("TERM").unwrap();
    watched.add_arguments(&["--alert-ttl=0"]);
    watched.start_controller().unwrap();
    wait_until("an alert expires", SOON, || {
        (watched.metric("kubewitness_cluster_alerts_evicted_total{reason=\"Expired\"}").ok()? > 0.0).then_some(())
    })
    .unwrap();
}

/// Rights that no request of its own verb shows, each with what needs it.
const UNSEEN: [(&str, &str); 1] = [
    // Server-side apply is a `patch`; where the object is not there yet, the API server asks for `create` as well
    // (`applying_what_is_not_there_needs_create` shows it).
    ("securityalerts.kubewitness.io", "create"),
];

#[test]
fn controller_does_all_it_may_and_is_refused_nothing() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    full_run(&mut watched);
    for counter in ["alert_write_errors_total", "status_write_errors_total"] {
        assert_eq!(watched.metric(&format!("kubewitness_cluster_{counter}")).unwrap(), 0.0, "{counter}");
    }
    let asked = asked(&watched);
    let refused: Vec<_> = asked.iter().filter(|(_, codes)| codes.contains(&401) || codes.contains(&403)).collect();
    assert!(refused.is_empty(), "refused: {refused:?}");
    let used: BTreeSet<Right> = asked.keys().cloned().collect();
    let unseen: BTreeSet<Right> = UNSEEN.iter().map(|(what, verb)| ((*what).to_owned(), (*verb).to_owned())).collect();
    let granted = granted();
    let beyond: Vec<_> = used.difference(&granted).collect();
    assert!(beyond.is_empty(), "asked for what its role does not grant: {beyond:?}");
    let idle: Vec<_> = granted.difference(&used).filter(|right| !unseen.contains(right)).collect();
    assert!(idle.is_empty(), "granted and never used: {idle:?}");
    assert!(unseen.is_subset(&granted) && unseen.is_disjoint(&used), "{unseen:?}");
}

#[test]
fn controller_may_do_what_its_manifest_says_and_nothing_else() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    admin.run(&["create", "serviceaccount", "anybody", "-n", NAMESPACE]).success().unwrap();
    let kubeconfig = |account| watched.service_account_kubeconfig(NAMESPACE, account).unwrap();
    let controller = admin.with_kubeconfig(&kubeconfig("controller"));
    let anybody = admin.with_kubeconfig(&kubeconfig("anybody"));
    for namespace in [NAMESPACE, "default", "kube-system"] {
        // What every account may do: ask for its own rights, and discovery.
        let everybodys = can_i(&anybody, namespace);
        assert!(everybodys.contains(&("selfsubjectaccessreviews.authorization.k8s.io".into(), "create".into())));
        let allowed = can_i(&controller, namespace);
        let beyond: BTreeSet<Right> = allowed.difference(&everybodys).cloned().collect();
        let granted = granted();
        assert_eq!(beyond, granted.difference(&everybodys).cloned().collect(), "in {namespace}");
        assert!(granted.is_subset(&allowed), "in {namespace}");
    }
    let crd = "customresourcedefinition.apiextensions.k8s.io/securityalerts.kubewitness.io";
    let alert = "{\"apiVersion\": \"kubewitness.io/v1alpha1\", \"kind\": \"ClusterSecurityRule\", \"metadata\": {\"name\": \"own\"}, \
                 \"spec\": {\"title\": \"own\", \"severity\": \"Low\", \"selectors\": [{\"name\": \"a\", \"source\": \"Audit\", \"where\": \"true\"}]}}";
    for (case, arguments, stdin) in [
        ("read a secret", &["get", "secret", "any", "-n", "default"][..], ""),
        ("list secrets", &["get", "secrets", "-A"], ""),
        ("read configmaps", &["get", "configmaps", "-n", NAMESPACE], ""),
        ("create a pod", &["run", "own", "--image=own", "-n", NAMESPACE], ""),
        ("exec", &["create", "--raw", "/api/v1/namespaces/default/pods/any/exec?command=id", "-f", "-"], "{}"),
        ("write a CRD", &["annotate", crd, "a=b"], ""),
        ("delete a CRD", &["delete", crd], ""),
        ("write a rule", &["create", "-f", "-"], alert),
        ("ask for a token", &["create", "token", "controller", "-n", NAMESPACE], ""),
        ("make itself admin", &["create", "clusterrolebinding", "own", "--clusterrole=cluster-admin", "--user=x"], ""),
        ("act as another", &["get", "pods", "--as=admin"], ""),
        (
            "write a node",
            &["create", "--raw", "/api/v1/nodes", "-f", "-"],
            "{\"kind\": \"Node\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"n\"}}",
        ),
    ] {
        let output = controller.stdin(stdin).run(arguments);
        assert!(!output.ok && output.stderr.contains("orbidden"), "{case}: {output:?}");
    }
}

#[test]
fn applying_what_is_not_there_needs_create() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    admin.run(&["create", "serviceaccount", "patcher", "-n", NAMESPACE]).success().unwrap();
    let role = ["create", "role", "patcher", "--verb=patch", "--resource=securityalerts", "-n", NAMESPACE];
    admin.run(&role).success().unwrap();
    let account = format!("--serviceaccount={NAMESPACE}:patcher");
    admin.run(&["create", "rolebinding", "patcher", "--role=patcher", &account, "-n", NAMESPACE]).success().unwrap();
    let patcher = admin.with_kubeconfig(&watched.service_account_kubeconfig(NAMESPACE, "patcher").unwrap());
    let alert = json!({"apiVersion": "kubewitness.io/v1alpha1", "kind": "SecurityAlert", "metadata": {"name": "a", "namespace": NAMESPACE},
        "spec": {"ruleRef": {"kind": "ClusterSecurityRule", "name": "a"}, "key": []}});
    let arguments = ["apply", "--server-side", "--validate=false", "-f", "-"];
    let refused = patcher.stdin(alert.to_string()).run(&arguments);
    assert!(!refused.ok && refused.stderr.contains("cannot create resource"), "{refused:?}");
    admin.stdin(alert.to_string()).run(&arguments).success().unwrap();
    patcher.stdin(alert.to_string()).run(&arguments).success().unwrap();
}
