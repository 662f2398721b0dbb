//! What the demo shows in the end: the alerts as kubectl prints them, and where to go from here.

use anyhow::Result;

use crate::support::{Kubectl, WatchedCluster, kubewitness, repository};

/// The rule whose alert is shown in full: its evidence is of the node and of the API server.
const SHOWN: &str = "brute-force-then-cluster-secrets";
const RULES: &str = "manifests/rules";

pub fn print(cluster: &WatchedCluster) -> Result<()> {
    let admin = cluster.kubectl();
    shell(&admin, "get securityalerts -A")?;
    shell(&admin, "get clustersecurityrules")?;
    for alert in cluster.alerts_of(SHOWN)? {
        let field = |name| alert["metadata"][name].as_str().unwrap_or_default();
        let alert = format!("securityalert {} -n {}", field("name"), field("namespace"));
        shell(&admin, &format!("get {alert} -o yaml"))?;
        timeline(&admin, &alert)?;
    }
    Ok(())
}

/// One line for each piece of evidence, of whichever source, in the order of time.
fn timeline(kubectl: &Kubectl, alert: &str) -> Result<()> {
    const LINES: &str =
        r#"jsonpath={range .status.evidence[*]}{.time}{"\t"}{.source}{"\t"}{.host}{"\t"}{.message}{"\n"}{end}"#;
    println!("\n$ kubectl get {alert} -o '{LINES}'");
    let arguments: Vec<&str> = ["get"].into_iter().chain(alert.split_whitespace()).chain(["-o", LINES]).collect();
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

pub fn invite(cluster: &WatchedCluster) {
    println!(
        "
It runs on until Ctrl-C (or: kill {pid}), which ends and removes all of it. In another terminal:
  export KUBECONFIG={kubeconfig}
  alias kubectl={kubectl}
  # do something that you should not, and see it
  kubectl create clusterrolebinding mine --clusterrole=cluster-admin --user=me
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
