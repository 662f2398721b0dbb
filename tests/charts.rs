//! The charts: rendered by the real Helm from every set of values in their `ci`, and held against a real kube-apiserver.
//! On a node they run in `make test-node`.

mod life;
mod notes;
pub mod values;

use crate::support::{ClusterOptions, Kubectl, TestCluster, WatchedCluster, helm, kubewitness, repository};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const CHARTS: [&str; 2] = ["charts/kubewitness", "charts/kubewitness-rules"];

/// What Helm printed, or what it said when it refused.
fn run_helm(home: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(helm().unwrap());
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home);
    }
    let output = command.args(arguments).env_remove("KUBECONFIG").current_dir(repository("")).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()),
    }
}

/// Each chart with each of its files of values.
fn cases() -> Vec<(&'static str, PathBuf)> {
    let values = |chart: &'static str| {
        let mut files: Vec<_> =
            repository(chart).join("ci").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(move |file| (chart, file))
    };
    let cases: Vec<_> = CHARTS.into_iter().flat_map(values).collect();
    assert!(cases.len() >= 12, "{cases:?}");
    cases
}

pub fn template(chart: &str, more: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let arguments = ["template", "kubewitness", chart, "--namespace", "kubewitness"];
    run_helm(home.path(), &[&arguments, more].concat())
}

#[test]
fn charts_lint_without_a_warning_with_every_set_of_values() {
    let home = tempfile::tempdir().unwrap();
    for (chart, values) in cases() {
        let said = run_helm(home.path(), &["lint", "--strict", chart, "--values", values.to_str().unwrap()]).unwrap();
        assert!(!said.contains("[WARNING]"), "{values:?}: {said}");
    }
}

/// An API server that knows our kinds and those of the operators that the charts can write for.
fn cluster() -> TestCluster {
    let cluster = TestCluster::start(ClusterOptions { controller_manager: true, ..Default::default() }).unwrap();
    let kubectl = cluster.kubectl();
    let definitions = ["crds", "tests/charts/operators.yaml"].map(|path| repository(path).display().to_string());
    for path in &definitions {
        kubectl.run(&["apply", "--server-side", "-f", path]).success().unwrap();
        kubectl.run(&["wait", "--for=condition=Established", "-f", path]).success().unwrap();
    }
    for namespace in ["kubewitness", "kubewitness-nodes"] {
        kubectl.run(&["create", "namespace", namespace]).success().unwrap();
    }
    // A pod is taken only where its account is there, and a dry run leaves none behind.
    kubectl.run(&["create", "serviceaccount", "kubewitness-canary", "-n", "kubewitness"]).success().unwrap();
    cluster
}

/// What the API server would make of `objects`.
fn accepted(kubectl: &Kubectl, objects: &str) -> Vec<Value> {
    let dry = ["apply", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"];
    let list: Value = serde_json::from_str(&kubectl.stdin(objects).run(&dry).success().unwrap()).unwrap();
    list["items"].as_array().unwrap().clone()
}

#[test]
fn an_api_server_takes_every_object_that_the_charts_render() {
    let cluster = cluster();
    for (chart, values) in cases() {
        let objects = template(chart, &["--values", values.to_str().unwrap()]).unwrap();
        let accepted = accepted(&cluster.kubectl(), &objects);
        let written = objects.lines().filter(|line| line.starts_with("kind: ")).count();
        assert!(accepted.len() == written && written > 5, "{values:?}: {written} rendered, {} taken", accepted.len());
    }
    // The test of the test: a field that no schema has.
    let values = repository("charts/kubewitness/ci/default-values.yaml");
    let objects = template(CHARTS[0], &["--values", values.to_str().unwrap()]).unwrap();
    let misspelt = objects.replacen("terminationGracePeriodSeconds", "terminationGraceSeconds", 1);
    assert_ne!(objects, misspelt);
    let dry = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    let refused = cluster.kubectl().stdin(misspelt).run(&dry);
    assert!(!refused.ok && refused.stderr.contains("terminationGraceSeconds"), "{refused:?}");
}

/// The pod that a workload of the chart makes, in `namespace`.
fn pod_of(objects: &[Value], kind: &str, name: &str, namespace: &str) -> String {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let mut pod = objects.iter().find(is_it).unwrap()["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("one");
    pod["metadata"]["namespace"] = json!(namespace);
    pod["spec"].as_object_mut().unwrap().remove("serviceAccountName");
    pod["spec"].as_object_mut().unwrap().remove("serviceAccount");
    pod.to_string()
}

#[test]
fn the_controller_is_restricted_and_what_reads_a_node_is_not() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    for level in ["restricted", "baseline", "privileged"] {
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        kubectl.run(&["create", "namespace", level]).success().unwrap();
        kubectl.run(&["label", "namespace", level, &label]).success().unwrap();
        let account = || kubectl.run(&["get", "serviceaccount", "default", "-n", level]).ok.then_some(());
        crate::support::wait_until("its service account", std::time::Duration::from_secs(60), account).unwrap();
    }
    let text = template(CHARTS[0], &["--show-only", "templates/tests/canary.yaml"]).unwrap();
    let mut canary = values::objects(&text).into_iter().find(|object| object["kind"] == "Pod").unwrap();
    let policy = &canary["metadata"]["annotations"]["helm.sh/hook-delete-policy"];
    assert_eq!(policy, "before-hook-creation,hook-succeeded", "it leaves nothing behind");
    canary["metadata"]["namespace"] = json!("restricted");
    canary["spec"].as_object_mut().unwrap().remove("serviceAccountName");
    let taken = kubectl.stdin(canary.to_string()).run(&["apply", "--dry-run=server", "-f", "-"]);
    assert!(taken.ok && !taken.stderr.contains("Warning"), "{taken:?}");
    canary["spec"]["containers"][0]["securityContext"]["capabilities"] = json!(null);
    let refused = kubectl.stdin(canary.to_string()).run(&["apply", "--dry-run=server", "-f", "-"]);
    assert!(!refused.ok && refused.stderr.contains("violates PodSecurity"), "{refused:?}");
    let flags = ["--set", "persistence.enabled=false", "--set", "relay.enabled=true"];
    let objects = accepted(&kubectl, &template(CHARTS[0], &flags).unwrap());
    let take = |pod: String| kubectl.stdin(pod).run(&["apply", "--dry-run=server", "-f", "-"]);
    let controller = take(pod_of(&objects, "StatefulSet", "kubewitness-controller", "restricted"));
    assert!(controller.ok, "{controller:?}");
    for name in ["kubewitness-collector", "kubewitness-relay"] {
        let refused = take(pod_of(&objects, "DaemonSet", name, "baseline"));
        assert!(!refused.ok && refused.stderr.contains("hostPath"), "{refused:?}");
        let taken = take(pod_of(&objects, "DaemonSet", name, "privileged"));
        assert!(taken.ok, "{taken:?}");
    }
}

#[test]
fn wrong_values_are_refused_by_the_key_that_is_wrong() {
    let cases = [
        (CHARTS[0], "controler.maxAlerts=1", "controler"),
        (CHARTS[0], "controller.maxAlert=1", "maxAlert"),
        (CHARTS[0], "persistence.size=12 apples", "size"),
        (CHARTS[0], "image.digest=sha256:12", "digest"),
        (CHARTS[0], "persistence.enabled=yes", "enabled"),
        (CHARTS[0], "service.nodePort=80000", "nodePort"),
        (CHARTS[0], "service.clusterIP=kubewitness.svc", "clusterIP"),
        (CHARTS[0], "clusterName=Prod_1", "clusterName"),
        (CHARTS[0], "controller.runAsUser=0", "runAsUser"),
        (CHARTS[0], "distribution=kind2", "distribution"),
        (CHARTS[0], "collector.createNamespace=true", "collector.createNamespace"),
        (CHARTS[0], "collector.affinity.nodeAffinity.required=x", "required"),
        (CHARTS[0], "controller.extraEnv[0].nam=A", "nam"),
        (CHARTS[0], "networkPolicy.ingestFrom[0].ipBlock.cdir=10.0.0.0/8", "cdir"),
        (CHARTS[0], "controller.extraArgs[0]=alert-writes=10", "extraArgs"),
        (CHARTS[0], "global.x=y,tls.certmanager.enabled=true", "certmanager"),
        (CHARTS[0], "prometheusRule.runbookBaseURL=wiki", "runbookBaseURL"),
        (CHARTS[0], "relay.enabled=true,relay.port=9445,relay.adminPort=9445", "relay.adminPort"),
        (CHARTS[0], r"commonLabels.app\.kubernetes\.io/name=x", "app.kubernetes.io~1name"),
        (CHARTS[0], r"commonLabels.helm\.sh/chart=x", "helm.sh~1chart"),
        (CHARTS[1], r"commonLabels.app\.kubernetes\.io/name=x", "app.kubernetes.io~1name"),
        (CHARTS[1], "audits.enabled=false", "audits"),
        (CHARTS[1], "audit.enable=false", "enable"),
        (CHARTS[1], "overrides.exec-into-pot.suspend=true", "overrides.exec-into-pot"),
        (CHARTS[1], "overrides.exec-into-pod.severity=Highest", "severity"),
    ];
    for (chart, value, key) in cases {
        let refused = template(chart, &["--set", value]).unwrap_err();
        assert!(refused.contains(key), "{value}: {refused}");
    }
    let twice = ["--set", "tls.existingSecret=a", "--set", "tls.certManager.enabled=true"];
    let refused = template(CHARTS[0], &twice).unwrap_err();
    assert!(refused.contains("tls.existingSecret") && refused.contains("tls.certManager.enabled"), "{refused}");
}

#[test]
fn overrides_of_a_rule_change_what_they_name_and_nothing_else() {
    let plain = template(CHARTS[1], &[]).unwrap();
    let flags =
        ["--set", "overrides.exec-into-pod.severity=Informational", "--set", "overrides.forbidden-burst.suspend=true"];
    let changed = template(CHARTS[1], &flags).unwrap();
    let documents = |text: &str| text.split("\n---\n").map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (documents(&plain), documents(&changed));
    assert_eq!(before.len(), after.len());
    let differ: Vec<_> =
        before.iter().zip(&after).filter(|(before, after)| before != after).map(|(_, after)| after).collect();
    assert_eq!(differ.len(), 2, "{differ:?}");
    assert!(differ.iter().any(|rule| rule.contains("name: exec-into-pod") && rule.contains("severity: Informational")));
    assert!(differ.iter().any(|rule| rule.contains("name: forbidden-burst") && rule.contains("suspend: true")));
    let off = template(CHARTS[1], &["--set", "audit.enabled=false", "--set", "joint.enabled=false"]).unwrap();
    assert!(off.contains("name: ssh-brute-force") && !off.contains("name: exec-into-pod"));
}

/// What `helm test` runs in a pod, here from outside; the line's half needs a node (`make test-node`).
#[test]
fn the_canary_comes_back_where_its_rule_is_and_says_what_may_be_wrong_where_not() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let both = |more: &[&str]| {
        let mut command = Command::new(kubewitness().unwrap());
        command.env("KUBECONFIG", watched.kubeconfig()).arg("canary").args(more).output().unwrap()
    };
    let canary = |seconds: &str| both(&["--skip-line", "--timeout", seconds]);
    let lost = canary("5");
    let said = String::from_utf8(lost.stderr).unwrap();
    assert!(!lost.status.success() && said.contains("no alert of the audit event within 5 s"), "{said}");
    assert!(said.contains("kubewitness-canary-request"), "{said}");
    let rules = template(CHARTS[1], &["--show-only", "templates/canary.yaml"]).unwrap();
    watched.kubectl().stdin(rules).run(&["apply", "-f", "-"]).success().unwrap();
    let back = canary("120");
    let said = String::from_utf8(back.stderr).unwrap();
    assert!(back.status.success() && said.contains("the audit event became an alert"), "{said}");
    // Nobody reads its log here: one half that comes back is not enough, and the other is the one that is named.
    let half = both(&["--timeout", "60"]);
    let said = String::from_utf8(half.stderr).unwrap();
    assert!(!half.status.success() && said.contains("the audit event became an alert"), "{said}");
    assert!(said.contains("no alert of the log line within 60 s: does a collector run"), "{said}");
    assert!(!said.contains("no alert of the audit event"), "{said}");
}
