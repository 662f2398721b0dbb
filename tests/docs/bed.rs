//! A real API server with both charts, as the quick start installs them, and a controller beside it. No pod runs: there is no
//! kubelet.

use super::page::judged;
use crate::support::{ClusterOptions, Process, TestCluster, free_port, helm, kubewitness, repository};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The node that commands with `$NODE` speak of.
pub const NODE: &str = "cp-1";

pub struct Bed {
    /// Where commands are run: a checkout, as far as they see.
    pub dir: PathBuf,
    tools: PathBuf,
    controller: Process,
    cluster: TestCluster,
}

impl Bed {
    pub fn start() -> Bed {
        let mut cluster =
            TestCluster::start(ClusterOptions { controller_manager: true, ..Default::default() }).unwrap();
        let (dir, tools) = (cluster.dir().join("checkout"), cluster.dir().join("tools"));
        for directory in [&dir, &tools] {
            fs::create_dir(directory).unwrap();
        }
        for part in ["charts", "manifests", "examples", "tests", "crds"] {
            symlink(repository(part), dir.join(part)).unwrap();
        }
        let kubectl = cluster.kubectl().program().to_owned();
        for (name, program) in
            [("kubectl", kubectl.as_path()), ("helm", helm().unwrap()), ("kubewitness", &kubewitness().unwrap())]
        {
            symlink(program, tools.join(name)).unwrap();
        }
        let definitions = repository("tests/charts/operators.yaml").display().to_string();
        cluster.kubectl().run(&["apply", "--server-side", "-f", &definitions]).success().unwrap();
        let run = |script: &str| succeed(shell(&dir, &tools, cluster.kubeconfig(), script), script);
        // As the quick start does it, but for --wait: there is nobody to start the pods.
        run("helm install kubewitness charts/kubewitness -n kubewitness --create-namespace --set relay.enabled=true");
        run("kubectl wait --for=condition=Established crd --all --timeout=60s");
        run("helm install kubewitness-rules charts/kubewitness-rules -n kubewitness");
        let controller = start_controller(&mut cluster);
        let bed = Bed { dir, tools, controller, cluster };
        bed.run("the bed", "kubectl wait --for=condition=Ready clustersecurityrules --all --timeout=5m");
        for (name, from) in
            [("RULE.yaml", "manifests/rules/audit/forbidden-burst.yaml"), ("EVENT.json", "examples/event.json")]
        {
            fs::copy(repository(from), bed.dir.join(name)).unwrap();
        }
        bed
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.join(name), text).unwrap();
    }

    /// Runs the commands of a block; all must succeed.
    pub fn run(&self, page: &str, script: &str) -> String {
        let output = shell(&self.dir, &self.tools, self.cluster.kubeconfig(), script);
        if !output.status.success() {
            eprintln!("{}", self.controller.log_tail());
        }
        succeed(output, &format!("{page}: {script}"))
    }

    /// Runs one command, in which what the reader fills in is filled in; a search that finds nothing is an answer.
    pub fn judge(&self, page: &str, command: &str) {
        let log_source = || self.run(page, "kubectl get logsources -o jsonpath='{.items[0].metadata.name}'");
        let command = match command {
            of if of.contains("logsource NAME") => of.replace("NAME", log_source().trim()),
            of => of.replace("csrule NAME", "csrule exec-into-pod"),
        };
        self.run(page, &judged(&command));
    }
}

/// As the chart would run it, and under the rights of the chart alone.
fn start_controller(cluster: &mut TestCluster) -> Process {
    let kubeconfig = cluster.service_account_kubeconfig("kubewitness", "kubewitness-controller").unwrap();
    let arguments = [
        format!("KUBECONFIG={}", kubeconfig.display()),
        kubewitness().unwrap().display().to_string(),
        "controller".into(),
        "--namespace=kubewitness".into(),
        "--tls-secret=kubewitness-tls".into(),
        "--tls-name=localhost".into(),
        "--ingest-credentials-secret=kubewitness-ingest-credentials".into(),
        "--collector-service-account=kubewitness/kubewitness-collector".into(),
        format!("--data-dir={}", cluster.dir().join("kubewitness").display()),
        format!("--ingest-listen=127.0.0.1:{}", free_port().unwrap()),
        format!("--admin-listen=127.0.0.1:{}", free_port().unwrap()),
    ];
    cluster.spawn("kubewitness", Path::new("/usr/bin/env"), &arguments).unwrap()
}

fn shell(dir: &Path, tools: &Path, kubeconfig: &Path, script: &str) -> Output {
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, dir.join(".helm"));
    }
    command.args(["-euo", "pipefail", "-c", script]).current_dir(dir).env("PATH", path);
    command.env("KUBECONFIG", kubeconfig).env("KUBERC", "off").env("KUBECACHEDIR", dir.join(".kube")).env("NODE", NODE);
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn succeed(output: Output, what: &str) -> String {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}\n{}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}
