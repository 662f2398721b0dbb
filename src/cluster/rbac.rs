//! Roles, made from the rights that each watch and writer states beside itself.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::core::ObjectMeta;

use super::{alerts, inventory, rules, sources, tokens};
use crate::api::GROUP;

/// One right that some part of the controller needs.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub group: &'static str,
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
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
