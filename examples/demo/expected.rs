//! What the demo must find: each alert, with severity, key and count. Its attacks are made for this table, so that an alert
//! too many is as wrong as one too few.
//! In: SecurityAlert objects. Out: the differences, in words. Read by tests/demo.rs too.

use std::collections::BTreeMap;

use serde_json::Value;

/// One alert: an object of the cluster or a line of the table below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub rule: String,
    pub severity: String,
    pub key: BTreeMap<String, String>,
    /// Completing events.
    pub count: u64,
}

const FRONTEND: &str = "system:serviceaccount:shop:frontend";

const NODE: &str = "node-1";

/// Refusals that `forbidden-burst` asks for.
const BURST: u64 = 10;
/// Kinds of objects that the stolen token asks for and is refused.
pub const PROBED: [&str; 12] = [
    "secrets",
    "nodes",
    "pods",
    "services",
    "configmaps",
    "serviceaccounts",
    "persistentvolumes",
    "deployments.apps",
    "daemonsets.apps",
    "cronjobs.batch",
    "roles.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
];

/// The whole truth, in the order of the attacks.
pub fn expected() -> Vec<Row> {
    let refused = PROBED.len() as u64;
    [
        // The tenth refusal completes the burst, and each one after it does so again.
        ("forbidden-burst", "Low", &[("identity", FRONTEND)][..], refused - BURST + 1),
        ("secrets-listed-by-service-account", "High", &[("account", "system:serviceaccount:shop:backup")], 2),
        ("anonymous-request-allowed", "High", &[("source", "127.0.0.1")], 2),
        ("privileged-pod-created", "High", &[("actor", "eve"), ("namespace", "shop"), ("risks", "privileged")], 1),
        ("privileged-pod-created", "High", &[("actor", "eve"), ("namespace", "shop"), ("risks", "hostPath")], 1),
        ("role-written-then-used", "High", &[("actor", "oscar")], 1),
        ("cluster-admin-granted", "Critical", &[("actor", "mallory"), ("binding", "shop-frontend")], 1),
        ("secrets-listed-by-service-account", "High", &[("account", FRONTEND)], 1),
        ("service-account-explores-cluster", "Medium", &[("account", FRONTEND)], 9),
        ("permissions-granted-to-oneself", "High", &[("actor", "oscar"), ("binding", "payments/viewers")], 1),
        ("secrets-listed-cluster-wide", "High", &[("user", "kate")], 1),
        // What setting the scene looks like: an administrator who opens doors, and makes a node and tokens.
        ("anonymous-access-granted", "Critical", &[("actor", "admin"), ("binding", "shop/status-page")], 1),
        ("role-with-escalation-verbs-written", "High", &[("actor", "admin"), ("role", "onboarding")], 1),
        (
            "role-with-escalation-verbs-written",
            "High",
            &[("actor", "admin"), ("role", "payments/permission-keeper")],
            1,
        ),
        ("node-registered-by-others", "Medium", &[("actor", "admin")], 1),
        ("node-labels-or-taints-changed", "Low", &[("actor", "admin")], 1),
        // The collector's pod, which is on that node as a kubelet would say.
        ("pod-placed-without-scheduler", "Medium", &[("actor", "admin"), ("namespace", "kubewitness")], 1),
        (
            "token-requested-for-account",
            "Low",
            &[("actor", "admin"), ("account", "kubewitness/kubewitness-collector")],
            1,
        ),
        ("token-requested-for-account", "Low", &[("actor", "admin"), ("account", "shop/deployer")], 1),
        ("token-requested-for-account", "Low", &[("actor", "admin"), ("account", "shop/backup")], 1),
        ("token-requested-for-account", "Low", &[("actor", "admin"), ("account", "shop/frontend")], 1),
        // The node's own.
        ("web-exploit-attempts", "Low", &[("address", "2001:db8:2::b"), ("node", NODE)], 1),
        ("sudo-not-in-sudoers", "Medium", &[("user", "bob"), ("node", NODE)], 3),
        ("sudo-not-in-sudoers", "Medium", &[("user", "erin"), ("node", NODE)], 1),
        ("account-added-to-privileged-group", "Medium", &[("account", "walter"), ("node", NODE)], 2),
        ("kernel-or-lsm-denial", "Medium", &[("program", "exploit"), ("node", NODE)], 3),
        ("kernel-or-lsm-denial", "Medium", &[("program", "runc"), ("node", NODE)], 1),
        ("ssh-brute-force", "Medium", &[("address", "198.51.100.51"), ("node", NODE)], 5),
        ("ssh-brute-force", "Medium", &[("address", "203.0.113.50"), ("node", NODE)], 3),
        ("ssh-login-after-failures", "High", &[("address", "203.0.113.50"), ("node", NODE)], 1),
        // Of both sides: one request completes both stories.
        ("node-credentials-used-after-ssh-login", "High", &[("node", NODE)], 1),
        ("brute-force-then-cluster-secrets", "Critical", &[("node", NODE)], 1),
    ]
    .into_iter()
    .map(|(rule, severity, key, count)| Row {
        rule: rule.to_owned(),
        severity: severity.to_owned(),
        key: key.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        count,
    })
    .collect()
}

impl Row {
    /// A SecurityAlert object; without its status, which comes a moment later, it has no severity and counts 0.
    pub fn of_object(alert: &Value) -> Row {
        let pair = |entry: &Value| (text(&entry["name"]), text(&entry["value"]));
        Row {
            rule: text(&alert["spec"]["ruleRef"]["name"]),
            severity: text(&alert["status"]["severity"]),
            key: alert["spec"]["key"].as_array().map(|key| key.iter().map(pair).collect()).unwrap_or_default(),
            count: alert["status"]["count"].as_u64().unwrap_or_default(),
        }
    }

    fn subject(&self) -> String {
        let pairs: Vec<String> = self.key.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} of {}", self.rule, pairs.join(", "))
    }

    fn facts(&self) -> String {
        format!("severity {}, count {}", self.severity, self.count)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// One line for each alert that is missing, different, or not expected. Empty when all is as it should be.
pub fn differences(expected: &[Row], found: &[Row]) -> Vec<String> {
    let same_subject = |a: &Row, b: &Row| a.rule == b.rule && a.key == b.key;
    let mut lines = Vec::new();
    for want in expected {
        match found.iter().find(|have| same_subject(want, have)) {
            None => lines.push(format!("missing: {} ({})", want.subject(), want.facts())),
            Some(have) if have == want => {}
            Some(have) => {
                lines.push(format!("different: {}: {} instead of {}", want.subject(), have.facts(), want.facts()));
            }
        }
    }
    for (at, have) in found.iter().enumerate() {
        let earlier = found.iter().take(at).any(|other| same_subject(other, have));
        if earlier || !expected.iter().any(|want| same_subject(want, have)) {
            lines.push(format!("not expected: {} ({})", have.subject(), have.facts()));
        }
    }
    lines
}
