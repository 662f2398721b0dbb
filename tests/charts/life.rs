//! Install, upgrade, roll back, uninstall: what people and the controller wrote stays.

use super::{CHARTS, run_helm};
use crate::support::{ClusterOptions, TestCluster, wait_until};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

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

    fn crds(&self) -> Vec<String> {
        let all = self.kubectl("get customresourcedefinitions -o name").unwrap();
        all.lines().filter(|name| name.ends_with(".kubewitness.io")).map(str::to_owned).collect()
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
    // Whatever each of them has: rules, or log sources alone.
    let no_rules =
        "--set audit.enabled=false --set node.enabled=false --set joint.enabled=false --set canary.enabled=false";
    for more in ["", no_rules] {
        let refused = installed.helm(&format!("install others {rules} -n kubewitness {more}")).unwrap_err();
        assert!(refused.contains("as release kubewitness-rules in namespace kubewitness"), "{refused}");
    }

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

    let alert = r#"{"apiVersion": "kubewitness.io/v1alpha1", "kind": "SecurityAlert", "metadata": {"name": "seen", "namespace": "kubewitness"},
        "spec": {"ruleRef": {"kind": "ClusterSecurityRule", "name": "our-own"}, "key": []}}"#;
    cluster.kubectl().stdin(alert).run(&["apply", "-f", "-"]).success().unwrap();
    let claim = "get persistentvolumeclaim data-kubewitness-controller-0 -n kubewitness -o jsonpath={.metadata.uid}";
    let made = wait_until("the record's volume is claimed", SOON, || installed.kubectl(claim).ok()).unwrap();

    installed.helm("uninstall kubewitness-rules -n kubewitness").unwrap();
    installed.helm("uninstall kubewitness -n kubewitness").unwrap();
    assert_eq!(installed.crds().len(), 4, "crds.keep");
    installed.kubectl("get securityalert seen -n kubewitness").unwrap();
    assert_eq!(installed.kubectl(claim).unwrap(), made, "the record outlives the chart");
    assert!(severity("exec-into-pod").is_err());
    assert_eq!(severity("our-own").unwrap(), "High", "people's own rules outlive the charts");
    installed.assert_filled("uninstall");
    assert!(installed.kubectl("get clusterrole kubewitness-controller").is_err());

    installed.helm(&format!("install kubewitness {controller} -n kubewitness")).unwrap();
    installed.assert_filled("a second install");
    installed.kubectl("get securityalert seen -n kubewitness").unwrap();
    assert_eq!(installed.kubectl(claim).unwrap(), made, "and the next install goes on with it");

    // No volume comes or goes without a new StatefulSet, which is what the notes say.
    let without = format!("upgrade kubewitness {controller} -n kubewitness --set persistence.enabled=false");
    let refused = installed.helm(&without).unwrap_err();
    assert!(refused.contains("updates to statefulset spec"), "{refused}");
    let again =
        format!("upgrade kubewitness {controller} -n kubewitness --reuse-values --set persistence.enabled=true");
    for upgrade in [without, again] {
        installed.kubectl("delete statefulset kubewitness-controller -n kubewitness").unwrap();
        installed.helm(&upgrade).unwrap();
    }

    installed.helm(&format!("upgrade kubewitness {controller} -n kubewitness --set crds.keep=false")).unwrap();
    installed.kubectl("get securityalert seen -n kubewitness").unwrap();
    installed.helm("uninstall kubewitness -n kubewitness").unwrap();
    wait_until("crds.keep=false removes the kinds", SOON, || installed.crds().is_empty().then_some(())).unwrap();
    installed.assert_filled("an uninstall without crds.keep");
}
