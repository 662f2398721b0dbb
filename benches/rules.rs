//! Rules shaped like the shipped ones, in any number: the shapes repeat with other namespaces, users, roles, tools and
//! networks, as the rules of many teams do. Most name what the corpus never has.

use fastrand::Rng;
use serde_json::{Value, json};

use kubewitness::{api::RuleSpec, record::RuleId, ruleset::compile::RuleSource};

/// The first `count` of an endless list that begins with the shipped rules.
pub fn rules(shipped: Vec<RuleSource>, count: usize) -> Vec<RuleSource> {
    let mut rng = Rng::with_seed(7);
    let mut rules: Vec<RuleSource> = shipped.into_iter().take(count).collect();
    for number in rules.len()..count {
        let namespace = format!("team-{}", rng.u32(..4000));
        let (variables, selectors, detection) = shape(&mut rng, number, &namespace);
        let several = selectors.as_array().is_some_and(|selectors| selectors.len() > 1);
        let of = if several { "used." } else { "" };
        let mut spec = json!({
            "title": format!("Rule {number}"),
            "severity": "Medium",
            "selectors": selectors,
            "groupBy": [{"name": "who", "value": "user.name"}, {"name": "namespace", "value": "audit.objectRef.namespace"}],
            "alert": {"summary": format!("{{key.who}} in {{key.namespace}}: {{{of}audit.verb}} {{{of}audit.requestURI}}")},
        });
        if let Value::Object(fields) = &mut spec {
            fields.extend(variables.map(|v| ("variables".to_owned(), v)));
            fields.extend(detection.map(|d| ("detection".to_owned(), d)));
        }
        let spec: RuleSpec = serde_json::from_value(spec).expect("the shapes are rules");
        let name = format!("rule-{number}");
        // One rule in ten is a tenant's own.
        let id = if number % 10 == 9 { RuleId::namespaced(&namespace, &name) } else { RuleId::cluster(&name) };
        rules.push(RuleSource { id, generation: 1, spec });
    }
    rules
}

fn one(condition: String) -> Value {
    json!([{"name": "seen", "source": "Audit", "where": condition}])
}

const WORKLOADS: [&str; 6] = ["deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "pods"];
const KINDS: [(&str, &str); 8] = [
    ("cert-manager.io", "clusterissuers"),
    ("networking.k8s.io", "networkpolicies"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("policy", "poddisruptionbudgets"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("storage.k8s.io", "storageclasses"),
    ("", "resourcequotas"),
    ("", "persistentvolumes"),
];

/// Variables, selectors and detection of rule `number`.
fn shape(rng: &mut Rng, number: usize, namespace: &str) -> (Option<Value>, Value, Option<Value>) {
    let user = format!("user-{}", rng.u32(..9000));
    let kind = rng.choice(KINDS).unwrap_or(("", ""));
    let workload = rng.choice(WORKLOADS).unwrap_or("pods");
    let (a, b) = (rng.u8(..), rng.u8(..));
    let plain = |condition: String| (None, one(condition), None);
    match number % 16 {
        0 => plain(format!(
            r#"audit.objectRef.resource == "secrets" && audit.objectRef.namespace == "{namespace}" && audit.verb in ["get", "list", "watch"] && event.outcome == "success" && !user.name.startsWith("system:serviceaccount:{namespace}:")"#
        )),
        1 => granted(number),
        2 => privileged(namespace, workload),
        3 => plain(format!(
            r#"audit.objectRef.resource == "pods" && audit.objectRef.subresource in ["exec", "attach"] && audit.objectRef.namespace.startsWith("{namespace}") && !(user.name in ["{user}", "breakglass"])"#
        )),
        4 => {
            let condition = format!(
                r#"audit.responseStatus.code == 403 && user.name.startsWith("system:serviceaccount:{namespace}:") && audit.annotations[?"authorization.k8s.io/decision"].orValue("forbid") != "allow""#
            );
            (
                None,
                one(condition),
                Some(json!({"type": "Threshold", "threshold": {"selector": "seen", "count": 10, "within": "60s"}})),
            )
        }
        5 => plain(format!(r#"cidr("203.{a}.{b}.0/24").containsIP(source.ip) && event.outcome == "success""#)),
        6 => plain(format!(
            r#"user.name == "{user}" && isIP(source.ip) && !cidr("10.{a}.0.0/16").containsIP(source.ip)"#
        )),
        7 => plain(format!(
            r#"user_agent.original.lowerAscii().contains("tool{number}") && audit.verb in ["create", "delete"]"#
        )),
        8 => plain(format!(
            r#"user.name == "system:anonymous" && event.outcome == "success" && audit.requestURI.matches("^/apis/{namespace}[.]") && audit.verb != "watch""#
        )),
        9 => plain(format!(
            r#""oidc:{namespace}" in audit.user.groups && audit.verb in ["create", "update", "patch", "delete"] && audit.objectRef.resource == "{}""#,
            kind.1
        )),
        10 => plain(format!(
            r#"audit.objectRef.apiGroup == "{}" && audit.objectRef.resource == "{}" && audit.verb in ["delete", "deletecollection"] && audit.objectRef.name.startsWith("{namespace}")"#,
            kind.0, kind.1
        )),
        11 => plain(format!(
            r#"user.effective.name == "{user}" || audit.impersonatedUser.groups.exists(g, g == "{namespace}-admins" || g.startsWith("{namespace}:"))"#
        )),
        12 => {
            let selectors = json!([
                {"name": "written", "source": "Audit", "where": format!(r#"audit.objectRef.apiGroup == "rbac.authorization.k8s.io" && audit.objectRef.resource in ["roles", "rolebindings"] && audit.verb in ["create", "update", "patch"] && audit.objectRef.namespace == "{namespace}" && !("system:masters" in audit.user.groups)"#)},
                {"name": "used", "source": "Audit", "where": format!(r#"event.outcome == "success" && audit.objectRef.namespace == "{namespace}" && (audit.objectRef.resource == "pods" && audit.verb == "create" || audit.objectRef.resource == "secrets" && audit.verb in ["get", "list"])"#)},
            ]);
            (
                None,
                selectors,
                Some(
                    json!({"type": "Sequence", "sequence": {"within": "10m", "steps": [{"selector": "written"}, {"selector": "used"}]}}),
                ),
            )
        }
        13 => plain(format!(
            r#"audit.objectRef.resource == "serviceaccounts" && audit.objectRef.subresource == "token" && audit.verb == "create" && audit.objectRef.namespace in ["{namespace}", "{namespace}-test"] && !user.name.startsWith("system:node:")"#
        )),
        14 => plain(format!(
            r#"audit.objectRef.resource == "configmaps" && audit.objectRef.name == "{namespace}-config" && audit.verb in ["update", "patch"] && (!has(audit.requestObject) || audit.requestObject.?data.?mode.orValue("") != "strict")"#
        )),
        _ => plain(format!(
            r#"user.name.endsWith("@{namespace}.test") && audit.objectRef.resource in ["{workload}", "secrets"] && audit.responseStatus.code < 400 && audit.verb.startsWith("p")"#
        )),
    }
}

fn granted(number: usize) -> (Option<Value>, Value, Option<Value>) {
    let variables = json!([
        {"name": "unseen", "expression": r#"!has(audit.requestObject) && !has(audit.responseObject) && ("TruncatedBySender" in event.incomplete || "Oversize" in event.incomplete)"#},
        {"name": "grants", "expression": format!(r#"variables.unseen || (has(audit.responseObject) ? audit.responseObject.?roleRef.?name.orValue("") == "role-{number}" : has(audit.requestObject) && audit.requestObject.?roleRef.?name.orValue("") == "role-{number}")"#)},
        {"name": "dryRun", "expression": r#"audit.requestURI.matches("^[^?]*[?]([^&]*&)*dryRun=All(&|$)")"#},
    ]);
    let condition = r#"audit.objectRef.apiGroup == "rbac.authorization.k8s.io" && audit.objectRef.resource in ["clusterrolebindings", "rolebindings"] && audit.verb in ["create", "update", "patch"] && event.outcome == "success" && !variables.dryRun && !(user.name == "system:apiserver" && audit.objectRef.name == "cluster-admin") && variables.grants"#;
    (Some(variables), one(condition.into()), None)
}

fn privileged(namespace: &str, workload: &str) -> (Option<Value>, Value, Option<Value>) {
    let spec =
        if workload == "pods" { "audit.requestObject.?spec" } else { "audit.requestObject.?spec.?template.?spec" };
    let variables = json!([
        {"name": "containers", "expression": format!("{spec}.?containers.orValue([])")},
        {"name": "privileged", "expression": "variables.containers.exists(c, c.?securityContext.?privileged.orValue(false) == true)"},
    ]);
    let condition = format!(
        r#"audit.objectRef.resource == "{workload}" && audit.objectRef.namespace == "{namespace}" && audit.objectRef.subresource == "" && audit.verb in ["create", "update", "patch"] && event.outcome == "success" && variables.privileged"#
    );
    (Some(variables), one(condition), None)
}
