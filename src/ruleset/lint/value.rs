//! Values that a field can't have. In: literals that fields are compared with. Out: a warning for a network where an address
//! stands, for a resource, API group, category or service as it is never written, and for a literal of another type in a list.

use std::net::IpAddr;

use super::{
    Lint, Warning,
    compared::Compared,
    facts::{Facts, Literal},
    policy,
    reach::Reached,
    rule::ParsedSelector,
};
use crate::{
    api::rule::Source,
    event::{
        actions::{OTHER_SERVICES, PROGRAMS, Parser, RENAMED, parsers},
        schema::FieldType,
    },
    ruleset::expr::{Value, view::nearest},
};

/// Fields that hold an address, or a list of them.
const ADDRESSES: &[&str] = &["source.ip", "destination.ip", "source.claimed_ips", "audit.sourceIPs"];
/// Resources that people call by their kind or in the singular.
const RESOURCES: &[&str] = &[
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "configmaps",
    "cronjobs",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "endpoints",
    "events",
    "ingresses",
    "jobs",
    "leases",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "replicasets",
    "resourcequotas",
    "rolebindings",
    "roles",
    "secrets",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "serviceaccounts",
    "services",
    "statefulsets",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingadmissionpolicies",
    "validatingwebhookconfigurations",
];

pub fn check(source: Source, compared: &[Compared<'_>], warnings: &mut Vec<Warning>) {
    for Compared { expression, place, field, literal } in compared {
        let problem = mistyped(field.type_, literal).or_else(|| match literal {
            Value::Str(text) if ADDRESSES.contains(&field.path) => address(field.path, text.as_str()),
            Value::Str(text) => named(source, field.path, text.as_str()),
            _ => None,
        });
        if let Some((never, hint)) = problem {
            let message = format!("`{}` is {never}", field.path);
            warnings.push(Warning::at(Lint::UnknownValue, expression, place, message, hint));
        }
    }
}

/// A name that the field never is, and what to write.
fn named(source: Source, path: &str, text: &str) -> Option<(String, String)> {
    if text.is_empty() {
        return None;
    }
    let of_parsers = |of: fn(&Parser) -> &'static [&'static str]| -> Vec<&'static str> {
        let mut all: Vec<&str> = parsers(source).iter().flat_map(of).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let found = match path {
        "event.category" => unlisted("never has", text, &of_parsers(|parser| parser.categories)),
        "event.type" => unlisted("never has", text, &of_parsers(|parser| parser.types)),
        "event.provider" => {
            let known: Vec<&str> = parsers(source).iter().map(|parser| parser.provider).collect();
            unlisted("is never", text, &known)
        }
        "service.name" => service(text),
        "audit.objectRef.resource" => resource(text),
        "audit.objectRef.apiGroup" => group(text),
        "audit.objectRef.apiVersion" => text.split_once('/').map(|(group, version)| {
            (format!("never {:?}: the group is a field of its own", shown(text)), both(group, version))
        }),
        _ => None,
    };
    found.or_else(|| pattern(path, text))
}

fn unlisted(never: &str, text: &str, known: &[&str]) -> Option<(String, String)> {
    if known.contains(&text) {
        return None;
    }
    let hint = match nearest(&text.to_ascii_lowercase(), known.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("in events of this source it is one of {}", known.join(", ")),
    };
    let never = never.strip_prefix("is ").map_or_else(|| format!("a list that {never}"), str::to_owned);
    Some((format!("{never} {:?}", shown(text)), hint))
}

/// A program may call itself anything; but not what its service is called otherwise, and hardly what is one slip from a known one.
fn service(text: &str) -> Option<(String, String)> {
    if let Some((_, service)) = RENAMED.iter().find(|(program, _)| *program == text) {
        let never = format!("never {text:?}: the lines of that program are of the service {service:?}");
        return Some((never, format!("write {service:?}; `process.name` is what the program calls itself")));
    }
    if let Some((_, name)) = text.rsplit_once('/') {
        return Some((format!("never {:?}: it has no path", shown(text)), format!("write {name:?}")));
    }
    let known = || PROGRAMS.iter().chain(OTHER_SERVICES);
    if known().any(|name| *name == text) {
        return None;
    }
    let meant = known().find(|name| name.eq_ignore_ascii_case(text) || is_slip(text, name))?;
    Some((
        format!("hardly {:?}: no program that we know is called so", shown(text)),
        format!("did you mean {meant:?}?"),
    ))
}

/// Two letters turned, or one too few, in words of more than three letters.
fn is_slip(text: &str, name: &str) -> bool {
    let (a, b) = (text.as_bytes(), name.as_bytes());
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let turned = a.len() == b.len()
        && start + end + 2 == a.len()
        && a.get(start) == b.get(start + 1)
        && a.get(start + 1) == b.get(start);
    let missing = a.len() + 1 == b.len() && start + end >= a.len();
    a.len() > 3 && (turned || missing)
}

fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix('v').unwrap_or_default();
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < digits.len() && (rest.is_empty() || rest.starts_with("alpha") || rest.starts_with("beta"))
}

fn both(group: &str, version: &str) -> String {
    format!("ask audit.objectRef.apiGroup == {group:?} && audit.objectRef.apiVersion == {version:?}")
}

/// Groups of Kubernetes and of its special interest groups beside those whose resources the linter knows (k8s.io/api, kube-aggregator).
const OTHER_GROUPS: &[&str] = &[
    "apiregistration.k8s.io",
    "custom.metrics.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "external.metrics.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "gateway.networking.k8s.io",
    "groupsnapshot.storage.k8s.io",
    "internal.apiserver.k8s.io",
    "metrics.k8s.io",
    "node.k8s.io",
    "policy.networking.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "snapshot.storage.k8s.io",
    "storagemigration.k8s.io",
];

fn group(text: &str) -> Option<(String, String)> {
    let is = |what: &str| format!("never {:?}: {what}", shown(text));
    if is_version(text) {
        return Some((is("that is a version, and the core group is \"\""), both("", text)));
    }
    if let Some((group, version)) = text.split_once('/') {
        return Some((is("the version is a field of its own"), both(group, version)));
    }
    if matches!(text, "core" | "api" | "legacy") {
        return Some((is("the core group is \"\""), "write \"\"".to_owned()));
    }
    if policy::is_shipped(text) || OTHER_GROUPS.contains(&text) {
        return None;
    }
    // Groups of others may have any name, but none without a point, and none of Kubernetes' own domain.
    let whole = policy::groups().find(|group| group.split('.').next() == Some(text));
    let near = || nearest(text, policy::groups()).filter(|_| text.contains("k8s"));
    let meant = whole.or_else(near)?;
    Some((is("no group is called so"), format!("did you mean {meant:?}?")))
}

/// Fields that hold names, in which a `*` or `^` is what a pattern has.
fn pattern(path: &str, text: &str) -> Option<(String, String)> {
    let holds_names = path.starts_with("audit.objectRef.")
        || path.starts_with("kubernetes.")
        || matches!(path, "user.name" | "user.effective.name" | "audit.user.username" | "audit.user.groups")
        || matches!(path, "host.name" | "service.name" | "cluster.name" | "audit.impersonatedUser.username");
    if !holds_names || !(text.contains('*') || text.starts_with('^')) {
        return None;
    }
    let of = if path.ends_with("groups") { "g".to_owned() } else { path.to_owned() };
    let plain = |text: &str| !text.contains(['*', '^', '$', '[', '(', '\\', '|', '?', '+']);
    let test = match (text.strip_suffix('*'), text.strip_prefix('*')) {
        (Some(start), None) if plain(start) && !start.ends_with('.') => format!("{of}.startsWith({start:?})"),
        (None, Some(end)) if plain(end) => format!("{of}.endsWith({end:?})"),
        _ => format!("{of}.matches(r{text:?})"),
    };
    let ask = if path.ends_with("groups") { format!("ask {path}.exists(g, {test})") } else { format!("ask {test}") };
    Some((format!("never {:?}: `==` and `in` compare the whole text, and know no patterns", shown(text)), ask))
}

/// Resources of Kubernetes' own groups that are asked for in another of its groups.
pub fn check_group(selector: &ParsedSelector<'_>, reached: &Reached, warnings: &mut Vec<Warning>) {
    if selector.written.source != Source::Audit {
        return;
    }
    let listed = |facts: &Facts, quantity: &str| -> Option<Vec<String>> {
        let domain = facts.domain(quantity);
        let text = |literal: &Literal| match literal {
            Literal::Text(text) => Some(text.clone()),
            Literal::Int(_) | Literal::Bool(_) => None,
        };
        domain.values()?.into_iter().map(text).collect()
    };
    let mut wrong = None;
    let is_elsewhere = |facts: &Facts| {
        let (Some(resources), Some(groups)) =
            (listed(facts, "audit.objectRef.resource"), listed(facts, "audit.objectRef.apiGroup"))
        else {
            return None;
        };
        let homes: Vec<Vec<&str>> = resources.iter().map(|resource| policy::home(resource)).collect();
        let is_home = |group: &String| homes.iter().any(|home| home.is_empty() || home.contains(&group.as_str()));
        let fits = groups.iter().any(|group| !policy::is_shipped(group) || is_home(group));
        (!fits).then(|| Some((resources.first()?.clone(), groups.first()?.clone(), *homes.first()?.first()?))).flatten()
    };
    if reached.always(|facts| is_elsewhere(facts).is_some()) {
        wrong = reached.alternatives.first().and_then(is_elsewhere);
    }
    if let Some((resource, group, home)) = wrong {
        let message = format!("{resource:?} is no resource of the API group {group:?}");
        let hint = format!("it is of {home:?}: compare `audit.objectRef.apiGroup` with that, or leave it out");
        let condition = &selector.condition;
        warnings.push(Warning::at(Lint::UnknownValue, condition, &condition.ast, message, hint));
    }
}

/// In a list of several types nothing else tells.
fn mistyped(type_: FieldType, literal: &Value) -> Option<(String, String)> {
    match (type_, literal) {
        (FieldType::Int, Value::Str(text)) => {
            Some((format!("an int and never {:?}", shown(text.as_str())), "write the number without quotes".to_owned()))
        }
        (FieldType::String, Value::Int(number)) => {
            Some((format!("a string and never {number}"), "write it in quotes".to_owned()))
        }
        (FieldType::String, Value::Bool(truth)) => {
            Some((format!("a string and never {truth}"), "write it in quotes".to_owned()))
        }
        _ => None,
    }
}

fn address(path: &str, text: &str) -> Option<(String, String)> {
    if text.is_empty() || text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let network = text.split_once('/').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
    let hint = match network {
        true if path.ends_with(".ip") => format!("ask cidr({text:?}).containsIP({path}), behind `{path} != \"\"`"),
        true => format!("ask {path}.exists(a, cidr({text:?}).containsIP(a))"),
        false => "write an address such as \"10.0.0.1\"".to_owned(),
    };
    Some((format!("an address and never {:?}", shown(text)), hint))
}

fn resource(text: &str) -> Option<(String, String)> {
    if let Some((resource, subresource)) = text.split_once('/') {
        let hint =
            format!("ask audit.objectRef.resource == {resource:?} && audit.objectRef.subresource == {subresource:?}");
        return Some((format!("never {:?}: what stands behind the stroke is a field of its own", shown(text)), hint));
    }
    let lower = text.to_ascii_lowercase();
    let plurals =
        [lower.clone(), format!("{lower}s"), format!("{lower}es"), format!("{}ies", lower.trim_end_matches('y'))];
    let meant = plurals.iter().find(|plural| RESOURCES.contains(&plural.as_str()));
    let never = format!("never {:?}: a resource is named in the plural and in lower case", shown(text));
    match meant {
        Some(meant) if meant == text => None,
        Some(meant) => Some((never, format!("did you mean {meant:?}?"))),
        None if lower != text => Some((never, format!("write {lower:?}"))),
        None => None,
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
