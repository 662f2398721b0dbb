//! What the demo shows in the end: the alerts as kubectl prints them, and where to go from here.

use anyhow::Result;

use crate::support::{Kubectl, WatchedCluster, kubewitness, repository};

/// The rule whose alert is shown in full: a sequence, whose evidence has both steps.
const SHOWN: &str = "role-written-then-used";

pub fn print(cluster: &WatchedCluster) -> Result<()> {
    let admin = cluster.kubectl();
    shell(&admin, "get securityalerts -A")?;
    shell(&admin, "get clustersecurityrules")?;
    for alert in cluster.alerts_of(SHOWN)? {
        let field = |name| alert["metadata"][name].as_str().unwrap_or_default();
        shell(&admin, &format!("get securityalert {} -n {} -o yaml", field("name"), field("namespace")))?;
    }
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
  make demo KEEP=1                        leaves all of this running, and says how to look around
  {binary} test {rules}
                                          runs the tests that the rules carry
  {binary} replay --rules {rules} AUDIT-LOG
                                          what the rules find in an audit log of yours, without a cluster
  README.md                               how to write a rule, and what it takes to run this on a cluster of your own",
        binary = binary(),
        rules = "manifests/rules/audit",
    );
}

pub fn invite(cluster: &WatchedCluster) {
    let dir = cluster.dir().display();
    println!(
        "
It runs on until Ctrl-C (or: kill {pid}), which ends and removes all of it. In another terminal:
  export KUBECONFIG={kubeconfig}
  alias kubectl={kubectl}
  kubectl get securityalerts -A -w        then do something that you should not
  kubectl get csrule forbidden-burst -o yaml
  curl -s http://127.0.0.1:{admin}/metrics
  {binary} replay --rules {rules} {log}
                                          the API server's own audit log, without a cluster: the same alerts
  {dir}/kubewitness
                                          the record; logs are in {dir}/log",
        pid = std::process::id(),
        kubeconfig = cluster.kubeconfig().display(),
        kubectl = cluster.kubectl().program().display(),
        admin = cluster.admin_port(),
        binary = binary(),
        rules = repository("manifests/rules/audit").display(),
        log = cluster.audit_log().display(),
    );
}

/// The binary's path, from the working directory where it lies below it.
fn binary() -> String {
    let path = kubewitness().unwrap_or_else(|_| "kubewitness".into());
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(&path).display().to_string()
}
