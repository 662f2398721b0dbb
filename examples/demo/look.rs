//! What the demo shows in the end: the alerts as kubectl prints them, and where to go from here.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::node::Node;
use crate::support::{Kubectl, WatchedCluster, kubewitness, repository};

/// Rules whose alerts are shown in full: each rests on the node and on the API server.
const JOINT: [&str; 2] = ["node-credentials-used-after-ssh-login", "brute-force-then-cluster-secrets"];
const RULES: &str = "manifests/rules";

pub fn print(cluster: &WatchedCluster) -> Result<()> {
    let admin = cluster.kubectl();
    shell(&admin, "get securityalerts -A")?;
    shell(&admin, "get clustersecurityrules")?;
    let mut shown = Vec::new();
    for rule in JOINT {
        for alert in cluster.alerts_of(rule)? {
            both_sides(rule, &alert)?;
            let field = |name| alert["metadata"][name].as_str().unwrap_or_default();
            shown.push(format!("securityalert {} -n {}", field("name"), field("namespace")));
        }
    }
    ensure!(shown.len() == JOINT.len(), "{} alerts of {} joint rules", shown.len(), JOINT.len());
    for alert in &shown {
        shell(&admin, &format!("get {alert} -o yaml"))?;
    }
    for alert in &shown {
        timeline(&admin, alert)?;
    }
    Ok(())
}

/// Fails when the evidence of an alert is of one source alone.
fn both_sides(rule: &str, alert: &Value) -> Result<()> {
    let evidence = alert["status"]["evidence"].as_array().map_or(&[][..], Vec::as_slice);
    for source in ["Node", "Audit"] {
        ensure!(evidence.iter().any(|piece| piece["source"] == source), "{rule} has no evidence of source {source}");
    }
    Ok(())
}

/// What happened, then one line for each piece of evidence, of whichever source, in the order of time.
fn timeline(kubectl: &Kubectl, alert: &str) -> Result<()> {
    const LINES: &str =
        r#"{.status.summary}{"\n"}{range .status.evidence[*]}{.time}  {.source}  {.host}  {.message}{"\n"}{end}"#;
    println!("\n$ kubectl get {alert} -o jsonpath='{LINES}'");
    let format = format!("jsonpath={LINES}");
    let arguments: Vec<&str> = ["get"].into_iter().chain(alert.split_whitespace()).chain(["-o", &format]).collect();
    print!("{}", kubectl.run(&arguments).success()?);
    Ok(())
}

/// Prints the command and what kubectl prints.
fn shell(kubectl: &Kubectl, command: &str) -> Result<()> {
    println!("\n$ kubectl {command}");
    print!("{}", kubectl.run(&command.split_whitespace().collect::<Vec<_>>()).success()?);
    Ok(())
}

pub fn farewell() {
    println!(
        "
Where to go from here
  # leave all of this running, and look around in it
  make demo KEEP=1
  # run the tests that the rules carry
  {binary} test {RULES}
  # what would the rules find in an audit log of yours? No cluster is needed
  {binary} replay --rules {RULES} --output table AUDIT-LOG
README.md says how to write a rule, and what it takes to watch a cluster of your own.",
        binary = binary(),
    );
}

pub fn invite(cluster: &WatchedCluster, node: &Node) {
    println!(
        "
It runs on until Ctrl-C (or: kill {pid}), which ends and removes all of it. In another terminal:
  export KUBECONFIG={kubeconfig}
  alias kubectl={kubectl}
  # do something that you should not,
  kubectl create clusterrolebinding mine --clusterrole=cluster-admin --user=me
  # or on the node: a line in its log, as sudo writes it for one who may not use it
  echo \"$(date +%FT%T.%6N%:z) {name} sudo:  $USER : user NOT in sudoers ; TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/id\" >> {auth}
  # and see it
  kubectl get securityalerts -A --watch
  # what a rule says of itself
  kubectl get csrule cluster-admin-granted -o yaml
  # the controller's metrics
  curl -s http://127.0.0.1:{admin}/metrics
  # the API server's own audit log, without a cluster: the alerts that rest on it alone
  {binary} replay --rules {rules} --output table {log}
  # the record, and the logs of all processes
  ls {store} {dir}/log",
        pid = std::process::id(),
        kubeconfig = cluster.kubeconfig().display(),
        kubectl = cluster.kubectl().program().display(),
        name = crate::node::NAME,
        auth = node.auth_log().display(),
        admin = cluster.admin_port(),
        binary = binary(),
        rules = repository(RULES).display(),
        log = cluster.audit_log().display(),
        store = cluster.store().display(),
        dir = cluster.dir().display(),
    );
}

/// The binary's path, short where it lies below the working directory.
fn binary() -> String {
    let path = kubewitness().unwrap_or_else(|_| "kubewitness".into());
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(&path).display().to_string()
}
