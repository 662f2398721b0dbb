//! Values that a field can't have. In: literals that fields are compared with. Out: a warning for a network where an address
//! stands, for a resource as it is never written, and for a literal of another type in a list.

use std::net::IpAddr;

use super::{Lint, Warning, compared::Compared};
use crate::{event::schema::FieldType, ruleset::expr::Value};

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

pub fn check(compared: &[Compared<'_>], warnings: &mut Vec<Warning>) {
    for Compared { expression, place, field, literal } in compared {
        let problem = mistyped(field.type_, literal).or_else(|| match literal {
            Value::Str(text) if ADDRESSES.contains(&field.path) => address(field.path, text.as_str()),
            Value::Str(text) if field.path == "audit.objectRef.resource" => resource(text.as_str()),
            _ => None,
        });
        if let Some((never, hint)) = problem {
            let message = format!("`{}` is {never}", field.path);
            warnings.push(Warning::at(Lint::UnknownValue, expression, place, message, hint));
        }
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
