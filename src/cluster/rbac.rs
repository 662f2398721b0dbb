//! Roles, made from the rights that each watch and writer states beside itself.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::core::ObjectMeta;

use super::{alerts, credentials, inventory, rules, sources, tls, tokens};
use crate::api::GROUP;

/// One right that some part of the controller needs.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub group: &'static str,
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
}

/// A right to objects by their names, within one namespace.
#[derive(Clone, Copy, Debug)]
pub struct NamedAccess {
    pub resource: &'static str,
    pub name: &'static str,
    pub verbs: &'static [&'static str],
}

/// A role of the core group. Its namespace is said where it is applied: `kubectl apply -n`, or the chart.
fn role(name: &str, accesses: &[NamedAccess]) -> Role {
    let mut merged: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for access in accesses {
        merged.entry((access.resource, access.name)).or_default().extend(access.verbs);
    }
    let rules = merged.into_iter().map(|((resource, name), mut verbs)| {
        verbs.sort_unstable();
        verbs.dedup();
        PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec![resource.to_owned()]),
            resource_names: Some(vec![name.to_owned()]),
            verbs: verbs.into_iter().map(str::to_owned).collect(),
            ..PolicyRule::default()
        }
    });
    let labels = BTreeMap::from([("app.kubernetes.io/name".to_owned(), "kubewitness".to_owned())]);
    Role {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        rules: Some(rules.collect()),
    }
}

/// What the controller, and `webhook-config` in its pod, may do in the controller's own namespace beyond
/// [`controller`]. A list or watch of an object by its name is one that its name allows.
pub fn controller_namespace() -> Role {
    role("kubewitness-controller", &[tls::OWN_ACCESS, tls::BUNDLE_ACCESS, credentials::ACCESS].concat())
}

/// The same in each namespace of collectors; there may be several, and one may be the controller's own.
pub fn collectors_namespace() -> Role {
    role("kubewitness-controller-collectors", &[tls::BUNDLE_ACCESS, credentials::RELAY_ACCESS].concat())
}

fn cluster_role(name: &str, labels: &[(&str, &str)], accesses: &[Access]) -> ClusterRole {
    let mut merged: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for access in accesses {
        for resource in access.resources {
            merged.entry((access.group, resource)).or_default().extend(access.verbs);
        }
    }
    let rules = merged.into_iter().map(|((group, resource), mut verbs)| {
        verbs.sort_unstable();
        verbs.dedup();
        PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(vec![resource.to_owned()]),
            verbs: verbs.into_iter().map(str::to_owned).collect(),
            ..PolicyRule::default()
        }
    });
    let mut all = BTreeMap::from([("app.kubernetes.io/name".to_owned(), "kubewitness".to_owned())]);
    all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    ClusterRole {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(all), ..ObjectMeta::default() },
        rules: Some(rules.collect()),
        aggregation_rule: None,
    }
}

/// All that the controller may do.
pub fn controller() -> ClusterRole {
    let accesses: Vec<Access> =
        [super::ACCESS, rules::ACCESS, alerts::ACCESS, inventory::ACCESS, sources::ACCESS, tokens::ACCESS].concat();
    cluster_role("kubewitness-controller", &[], &accesses)
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const TO_VIEW: (&str, &str) = ("rbac.authorization.k8s.io/aggregate-to-view", "true");
const TO_EDIT: (&str, &str) = ("rbac.authorization.k8s.io/aggregate-to-edit", "true");

/// Reads rules and alerts; part of the built-in `view` role, so namespaced kinds only.
pub fn view() -> ClusterRole {
    let accesses = [Access { group: GROUP, resources: &["securityrules", "securityalerts"], verbs: READ }];
    cluster_role("kubewitness-view", &[TO_VIEW], &accesses)
}

/// Reads alerts and writes what people say of them (`spec.triage`); `status` stays the controller's.
pub fn triage() -> ClusterRole {
    let accesses = [
        Access { group: GROUP, resources: &["securityalerts"], verbs: READ },
        Access { group: GROUP, resources: &["securityalerts"], verbs: &["patch", "update"] },
    ];
    cluster_role("kubewitness-triage", &[TO_EDIT], &accesses)
}

/// Writes rules of a namespace; part of the built-in `edit` role. Cluster rules need `kubewitness-rule-author` bound by
/// name, since they see the whole cluster.
pub fn rule_author() -> ClusterRole {
    let accesses = [
        Access { group: GROUP, resources: &["securityrules"], verbs: READ },
        Access { group: GROUP, resources: &["securityrules"], verbs: WRITE },
    ];
    cluster_role("kubewitness-rule-author", &[TO_EDIT], &accesses)
}
