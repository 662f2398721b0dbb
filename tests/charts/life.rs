//! Install, upgrade, roll back, uninstall: what people and the controller wrote stays.

use super::{CHARTS, run_helm};
use crate::support::{ClusterOptions, TestCluster};
use serde_json::{Value, json};
use std::path::Path;

/// A rule that a user wrote beside those of the chart.
const OWN: &str = r#"
apiVersion: kubewitness.io/v1alpha1
kind: ClusterSecurityRule
metadata: {name: our-own}
spec:
  title: Somebody used a break-glass account
  severity: High
  selectors:
  - {name: used, source: Audit, where: user.name == "break-glass"}
  groupBy:
  - {name: user, value: user.name}
  alert: {summary: "break-glass was used"}
  tests:
  - name: it was used
    input:
    - {event: {user: {username: break-glass}}}
    expect: [{key: {user: break-glass}, count: 1}]
"#;

struct Installed<'c> {
    cluster: &'c TestCluster,
    home: &'c Path,
}

impl Installed<'_> {
    fn helm(&self, words: &str) -> Result<String, String> {
        let kubeconfig = self.cluster.kubeconfig().display().to_string();
        let mut arguments = vec!["--kubeconfig", &kubeconfig];
        arguments.extend(words.split_whitespace());
        run_helm(self.home, &arguments)
    }

    fn kubectl(&self, words: &str) -> Result<String, String> {
        let arguments: Vec<_> = words.split_whitespace().collect();
        self.cluster.kubectl().run(&arguments).success().map_err(|error| format!("{error:#}"))
    }

    fn data(&self, kind: &str, name: &str) -> Value {
        let object = self.kubectl(&format!("get {kind} {name} -n kubewitness -o json")).unwrap();
        serde_json::from_str::<Value>(&object).unwrap()["data"].clone()
    }

    /// Writes what a controller and `webhook-config` write.
    fn fill(&self) {
        for (kind, name, data) in FILLED {
            let patch = json!({"data": {"key": data}}).to_string();
            let arguments = ["patch", kind, name, "-n", "kubewitness", "--type=merge", "-p", &patch];
            self.cluster.kubectl().run(&arguments).success().unwrap();
        }
    }

    fn assert_filled(&self, after: &str) {
        for (kind, name, data) in FILLED {
            assert_eq!(self.data(kind, name), json!({"key": data}), "{name} after {after}");
        }
    }
}

const FILLED: [(&str, &str, &str); 4] = [
    ("secret", "kubewitness-tls", "MQ=="),
    ("secret", "kubewitness-ingest-credentials", "Mg=="),
    ("secret", "kubewitness-relay-credentials", "Mw=="),
    ("configmap", "kubewitness-ca", "4"),
];

#[test]
fn what_people_and_the_controller_wrote_outlives_upgrade_rollback_and_uninstall() {
    let cluster = TestCluster::start(ClusterOptions { controller_manager: true, ..Default::default() }).unwrap();
    let home = tempfile::tempdir().unwrap();
    let installed = Installed { cluster: &cluster, home: home.path() };
    let [controller, rules] = CHARTS;
    let notes = installed.helm(&format!("install kubewitness {controller} -n kubewitness --create-namespace")).unwrap();
    assert!(notes.contains("webhook-config"), "{notes}");
    installed.kubectl("wait --for=condition=Established crd --all --timeout=60s").unwrap();
    installed.helm(&format!("install kubewitness-rules {rules} -n kubewitness")).unwrap();
    installed.fill();
    cluster.kubectl().stdin(OWN).run(&["apply", "-f", "-"]).success().unwrap();

    let refused = installed.helm(&format!("install another {controller} -n elsewhere --create-namespace")).unwrap_err();
    assert!(refused.contains("as release kubewitness in namespace kubewitness"), "{refused}");

    installed.helm(&format!("upgrade kubewitness {controller} -n kubewitness --set log.filter=debug")).unwrap();
    installed.assert_filled("upgrade");
    installed
        .helm(&format!("upgrade kubewitness-rules {rules} -n kubewitness --set overrides.exec-into-pod.severity=High --set node.enabled=false"))
        .unwrap();
    let severity =
        |name: &str| installed.kubectl(&format!("get clustersecurityrule {name} -o jsonpath={{.spec.severity}}"));
    assert_eq!(severity("exec-into-pod").unwrap(), "High");
    assert!(severity("ssh-brute-force").is_err());
    assert_eq!(severity("our-own").unwrap(), "High");

    installed.helm("rollback kubewitness 1 -n kubewitness").unwrap();
    installed.helm("rollback kubewitness-rules 1 -n kubewitness").unwrap();
    installed.assert_filled("rollback");
    assert_eq!(severity("exec-into-pod").unwrap(), "Low");
    assert_eq!(severity("ssh-brute-force").unwrap(), "Medium");

    installed.helm("uninstall kubewitness-rules -n kubewitness").unwrap();
    installed.helm("uninstall kubewitness -n kubewitness").unwrap();
    assert!(severity("exec-into-pod").is_err());
    assert_eq!(severity("our-own").unwrap(), "High", "people's own rules outlive the charts");
    installed.assert_filled("uninstall");
    assert!(installed.kubectl("get clusterrole kubewitness-controller").is_err());

    installed.helm(&format!("install kubewitness {controller} -n kubewitness")).unwrap();
    installed.assert_filled("a second install");
}
