//! What the audit policy that we ship keeps of a request, and which selectors need more. In: the policy file, and the
//! alternatives under which a selector matches. Where a rule of the policy may or may not apply, both are assumed.

use std::{collections::BTreeSet, sync::LazyLock};

use serde::Deserialize;

use super::{
    Lint, Warning,
    facts::{Facts, Literal},
    reach::Reached,
    rule::ParsedSelector,
};
use crate::api::rule::{AuditLevel, Stage};

const SHIPPED: &str = include_str!("../../../manifests/audit/policy.yaml");

/// The shipped policy, read once; `None` only if the file were broken, which a test excludes.
static POLICY: LazyLock<Option<Policy>> = LazyLock::new(|| serde_saphyr::from_str(SHIPPED).ok());

/// Verbs whose requests have no body, so that level `Request` adds nothing.
const READS: &[&str] = &["get", "list", "watch", "head", "options"];

/// Where the resources that ship with Kubernetes live; others may live in any group.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "bindings",
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "namespaces",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "podtemplates",
            "replicationcontrollers",
            "resourcequotas",
            "secrets",
            "serviceaccounts",
            "services",
        ],
    ),
    ("apps", &["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
    ("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles", "rolebindings", "roles"]),
    ("authentication.k8s.io", &["tokenreviews", "selfsubjectreviews"]),
    (
        "authorization.k8s.io",
        &["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"],
    ),
    ("certificates.k8s.io", &["certificatesigningrequests"]),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("networking.k8s.io", &["ingressclasses", "ingresses", "networkpolicies"]),
    ("coordination.k8s.io", &["leases"]),
    ("storage.k8s.io", &["csidrivers", "csinodes", "storageclasses", "volumeattachments"]),
];

const STAGES: [Stage; 4] = [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

/// `audit.k8s.io/v1` Policy (k8s.io/apiserver pkg/apis/audit/v1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    #[serde(default)]
    omit_stages: Vec<Stage>,
    rules: Vec<PolicyRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRule {
    level: AuditLevel,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    // What we know of an event does not decide these: such a rule may apply or not.
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What of a request a policy looks at.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
}

impl GroupResources {
    /// As `ruleMatchesResource` of k8s.io/apiserver pkg/audit/policy/checker.go.
    fn takes(&self, request: Request<'_>) -> bool {
        let Request { group, resource, subresource, .. } = request;
        let named = |pattern: &String| match (pattern.strip_prefix("*/"), pattern.strip_suffix("/*")) {
            (Some(of_any), _) => !subresource.is_empty() && of_any == subresource,
            (_, Some(all_of)) => all_of == resource,
            (None, None) if subresource.is_empty() => pattern == "*" || pattern == resource,
            (None, None) => {
                let both = pattern.split_once('/');
                pattern == "*" || both.is_some_and(|(r, s)| r == resource && s == subresource)
            }
        };
        self.group == group && (self.resources.is_empty() || self.resources.iter().any(named))
    }
}

impl Policy {
    /// The rules that may decide on a request of this kind: the first that surely does, and those before it that may.
    fn deciding(&self, request: Request<'_>) -> Vec<&PolicyRule> {
        let mut deciding = Vec::new();
        for rule in &self.rules {
            let verb = rule.verbs.is_empty() || rule.verbs.iter().any(|verb| verb == request.verb);
            let no_resource = request.resource.is_empty();
            let taking: Vec<&GroupResources> = rule.resources.iter().filter(|r| r.takes(request)).collect();
            let object = match (no_resource, rule.resources.is_empty(), rule.non_resource_urls.is_empty()) {
                (_, true, true) => true,
                (true, _, no_urls) => !no_urls,
                (false, _, _) => !taking.is_empty(),
            };
            if !verb || !object {
                continue;
            }
            deciding.push(rule);
            let unsure = !rule.users.is_empty()
                || !rule.user_groups.is_empty()
                || !rule.namespaces.is_empty()
                || (no_resource && !rule.non_resource_urls.is_empty())
                || (!taking.is_empty() && taking.iter().all(|r| !r.resource_names.is_empty()));
            if !unsure {
                break;
            }
        }
        deciding
    }

    /// The highest level that a request of this kind may be kept at.
    fn level(&self, request: Request<'_>) -> AuditLevel {
        self.deciding(request).iter().map(|rule| rule.level).max().unwrap_or(AuditLevel::None)
    }

    /// True when this stage of a request of this kind may be kept.
    fn passes(&self, stage: Stage, request: Request<'_>) -> bool {
        let omits = |stages: &[Stage]| stages.contains(&stage);
        !omits(&self.omit_stages) && self.deciding(request).iter().any(|rule| !omits(&rule.omit_stages))
    }

    /// The values of a part of requests that the policy tells apart, and one that it does not name.
    fn named<'p>(&'p self, of: impl Fn(&'p PolicyRule) -> Vec<&'p str>) -> BTreeSet<&'p str> {
        self.rules.iter().flat_map(of).chain(["other"]).collect()
    }

    /// True when some request that fits the facts is kept with the body.
    fn keeps(&self, body: Body, facts: &Facts) -> bool {
        self.any(facts, |request| body.is_at(self.level(request), request.verb))
    }

    /// True for some request that fits the facts.
    fn any(&self, facts: &Facts, holds: impl Fn(Request<'_>) -> bool) -> bool {
        let resources = || self.rules.iter().flat_map(|r| &r.resources);
        let plain = |name: &&str| !name.contains('*') && !name.is_empty();
        let verbs = self.named(|r| r.verbs.iter().map(String::as_str).collect());
        // The groups that the policy does not name, too: what its last rule keeps, it keeps of all.
        let homes = GROUPS.iter().map(|(group, _)| *group);
        let groups: BTreeSet<&str> = resources().map(|r| r.group.as_str()).chain(homes).chain(["other"]).collect();
        let names = resources().flat_map(|r| &r.resources).map(|r| r.split('/').next().unwrap_or_default());
        let names: BTreeSet<&str> = names.filter(plain).chain(["other"]).collect();
        let parts = resources().flat_map(|r| &r.resources).filter_map(|r| r.split_once('/').map(|(_, s)| s));
        let parts: BTreeSet<&str> = parts.filter(plain).chain(["", "other"]).collect();

        let verbs = values(facts, "audit.verb", verbs);
        let names = values(facts, "audit.objectRef.resource", names);
        let parts = values(facts, "audit.objectRef.subresource", parts);
        let of_any = values(facts, "audit.objectRef.apiGroup", groups);
        verbs.iter().any(|verb| {
            names.iter().any(|resource| {
                let is_home = |group: &&String| home(resource).contains(&group.as_str());
                // A resource of the same name may live in another group: of those that the facts list, any may be meant.
                let at_home = of_any.iter().any(|group| is_home(&group));
                let mut groups = of_any.iter().filter(|group| !at_home || is_home(group));
                groups
                    .any(|group| parts.iter().any(|subresource| holds(Request { verb, group, resource, subresource })))
            })
        })
    }
}

/// The groups that ship with Kubernetes and have this resource.
pub(super) fn home(resource: &str) -> Vec<&'static str> {
    GROUPS.iter().filter(|(_, resources)| resources.contains(&resource)).map(|(group, _)| *group).collect()
}

/// True for a group that ships with Kubernetes.
pub(super) fn is_shipped(group: &str) -> bool {
    GROUPS.iter().any(|(known, _)| *known == group)
}

/// The groups that ship with Kubernetes and have a name.
pub(super) fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|(group, _)| *group).filter(|group| !group.is_empty())
}

/// The values of a quantity to try: those that the facts list, else those that matter to the policy.
fn values(facts: &Facts, quantity: &str, named: BTreeSet<&str>) -> Vec<String> {
    let domain = facts.domain(quantity);
    let text = |literal: &Literal| match literal {
        Literal::Text(text) => Some(text.clone()),
        Literal::Int(_) | Literal::Bool(_) => None,
    };
    match domain.values() {
        Some(values) => values.into_iter().filter_map(text).collect(),
        None => {
            let possible = |name: &&str| *name == "other" || domain.accepts(&Literal::Text((*name).to_owned()));
            named.into_iter().filter(possible).map(str::to_owned).collect()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Request,
    Response,
}

impl Body {
    const ALL: [Body; 2] = [Body::Request, Body::Response];

    fn field(self) -> &'static str {
        match self {
            Body::Request => "audit.requestObject",
            Body::Response => "audit.responseObject",
        }
    }

    fn is_at(self, level: AuditLevel, verb: &str) -> bool {
        match self {
            Body::Request => level >= AuditLevel::Request && !READS.contains(&verb),
            Body::Response => level >= AuditLevel::RequestResponse,
        }
    }
}

/// Warns of a selector that needs what the policy does not keep.
pub fn check(selector: &ParsedSelector<'_>, reached: &Reached, warnings: &mut Vec<Warning>) {
    let Some(policy) = POLICY.as_ref() else { return };
    let condition = &selector.condition;
    for body in Body::ALL {
        let field = body.field();
        if !reached.always(|facts| facts.present.contains(field) && !policy.keeps(body, facts)) {
            continue;
        }
        let verbs: Vec<Vec<String>> =
            reached.alternatives.iter().map(|facts| values(facts, "audit.verb", ["other"].into())).collect();
        let reads = body == Body::Request && verbs.iter().flatten().all(|verb| READS.contains(&verb.as_str()));
        let message = match reads {
            true => format!("it needs `{field}`, which requests of these verbs do not have"),
            false => format!(
                "it needs `{field}`, which the audit policy that we ship (manifests/audit/policy.yaml) does not keep for \
                 the requests that it selects"
            ),
        };
        let hint = "it can only work on what is not logged: decide by the metadata, or have the API server log more";
        warnings.push(Warning::at(Lint::NotLogged, condition, &condition.ast, message, hint));
    }
    check_stages(policy, selector, reached, warnings);
}

/// Warns of a selector that takes only stages that the policy leaves out of the requests that it selects.
fn check_stages(policy: &Policy, selector: &ParsedSelector<'_>, reached: &Reached, warnings: &mut Vec<Warning>) {
    let left_out = |stage: Stage| reached.always(|facts| !policy.any(facts, |request| policy.passes(stage, request)));
    let written = &selector.written.stages;
    let names_it = |facts: &Facts, stage: Stage| {
        let domain = facts.domain("audit.stage");
        domain.accepts(&Literal::Text(stage.as_str().to_owned()))
    };
    let taken: Vec<Stage> = match written.is_empty() {
        false => written.clone(),
        true => STAGES.into_iter().filter(|stage| !reached.always(|facts| !names_it(facts, *stage))).collect(),
    };
    // The last first: to find that a stage is kept is quick, and to find that it is not takes the whole policy.
    if taken.is_empty() || !taken.iter().rev().all(|stage| left_out(*stage)) {
        return;
    }
    let names: Vec<&str> = taken.iter().map(|stage| stage.as_str()).collect();
    let message = format!("it takes only stages that the audit policy that we ship leaves out: {}", names.join(", "));
    let hint = "leave `stages` out: each request is then seen once, by the stage that knows its outcome";
    warnings.push(if written.is_empty() {
        Warning::at(Lint::StageNotLogged, &selector.condition, &selector.condition.ast, message, hint)
    } else {
        Warning::of_field(
            Lint::StageNotLogged,
            format!("spec.selectors[{}].stages", selector.written.name),
            message,
            hint,
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_policy_is_read_as_the_api_server_reads_it() {
        let policy: Policy = serde_saphyr::from_str(SHIPPED).unwrap();
        let request = |verb, group, resource| Request { verb, group, resource, subresource: "" };
        for (kept, request) in [
            (true, request("patch", "rbac.authorization.k8s.io", "roles")),
            (true, request("patch", "", "nodes")),
            (false, request("update", "", "nodes")),
            (false, request("patch", "", "configmaps")),
        ] {
            assert_eq!(policy.passes(Stage::RequestReceived, request), kept, "{request:?}");
            assert!(policy.passes(Stage::ResponseComplete, request), "{request:?}");
        }
        let cases = [
            (("create", "", "pods", ""), AuditLevel::Request),
            (("create", "", "pods", "exec"), AuditLevel::Request),
            (("update", "", "pods", "status"), AuditLevel::Metadata),
            (("get", "", "secrets", ""), AuditLevel::Metadata),
            (("create", "", "secrets", ""), AuditLevel::Metadata),
            (("create", "", "serviceaccounts", "token"), AuditLevel::Request),
            (("get", "", "serviceaccounts", "token"), AuditLevel::Metadata),
            (("patch", "apps", "deployments", ""), AuditLevel::RequestResponse),
            (("patch", "apps", "deployments", "status"), AuditLevel::Metadata),
            (("patch", "", "namespaces", "status"), AuditLevel::RequestResponse),
            (("create", "example.com", "widgets", "token"), AuditLevel::Metadata),
            (("patch", "rbac.authorization.k8s.io", "roles", ""), AuditLevel::RequestResponse),
            (("get", "rbac.authorization.k8s.io", "roles", ""), AuditLevel::Metadata),
            (
                ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
                AuditLevel::RequestResponse,
            ),
            (("create", "certificates.k8s.io", "certificatesigningrequests", "status"), AuditLevel::Metadata),
            (("get", "", "", ""), AuditLevel::Metadata),
        ];
        for ((verb, group, resource, subresource), level) in cases {
            let request = Request { verb, group, resource, subresource };
            assert_eq!(policy.level(request), level, "{request:?}");
        }
    }

    #[test]
    fn rule_that_may_apply_does_not_end_the_search() {
        let text = "rules:\n- {level: None, users: [a]}\n- level: Metadata\n  resources: [{group: '', resources: [pods], resourceNames: [x]}]\n- {level: Request, nonResourceURLs: ['/x*']}\n- {level: Request, resources: [{group: '', resources: ['*/log', 'nodes/*', '*']}]}";
        let policy: Policy = serde_saphyr::from_str(text).unwrap();
        let level = |resource, subresource| policy.level(Request { verb: "get", group: "", resource, subresource });
        assert_eq!(level("pods", ""), AuditLevel::Request);
        assert_eq!(level("pods", "log"), AuditLevel::Request);
        assert_eq!(level("nodes", "proxy"), AuditLevel::Request);
        assert_eq!(level("", ""), AuditLevel::Request);
    }
}
