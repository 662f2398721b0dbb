//! The documents, followed to the letter on a real node: the quick start on an empty cluster, the runbooks while it runs, then
//! operations, to the end, where nothing is left. `make demo` and `make build` are run before, on this machine.

use super::bed::Bed;
use crate::page::{By, blocks, judged, runbook_commands};
use crate::support::{kubewitness, repository};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Where commands are run on the node: what they see of a checkout.
const CHECKOUT: &str = "/run/checkout";
const NODE: &str = "node-1";

struct Reader<'b> {
    bed: &'b Bed,
}

impl Reader<'_> {
    /// Runs commands on the administrator's laptop, all of which must succeed.
    fn run(&self, page: &str, script: &str) {
        self.on(&Bed::on_laptop(&["bash"]), page, script);
    }

    /// The same as root on the node itself.
    fn run_on_node(&self, page: &str, script: &str) {
        self.on(&["bash"], page, script);
    }

    fn on(&self, shell: &[&str], page: &str, script: &str) {
        self.bed.tell(&format!("  {page}: {}", script.lines().next().unwrap_or_default()));
        let whole = format!(
            "cd {CHECKOUT}; export NODE={NODE} HELM_CACHE_HOME=/run/helm HELM_CONFIG_HOME=/run/helm HELM_DATA_HOME=/run/helm\n{script}"
        );
        let words = [shell, &["-euo", "pipefail", "-c", &whole]].concat();
        let output = self.bed.try_run(&words);
        assert!(output.ok, "{page}: {script}\n{}{}\n{}", output.stdout, output.stderr, self.bed.state());
    }

    /// The commands of a page that are for us, in their order; `after` each of them sees its text.
    fn follow(&self, page: &str, mut after: impl FnMut(&str)) {
        for block in blocks(page).into_iter().filter(|block| block.is_commands() && block.untested.is_none()) {
            if block.by() != Some(By::Node) {
                continue;
            }
            let on_node = ["ctr ", "rm -r /var/lib/"].iter().any(|start| block.text.starts_with(start));
            if on_node {
                self.run_on_node(page, &block.text)
            } else {
                self.run(page, &block.text)
            }
            after(&block.text);
        }
    }

    /// A checkout with the charts and the binary, and the image where `make image` puts it.
    fn prepare(&self) {
        let binary = fs::read(kubewitness().unwrap()).unwrap();
        let made = self.bed.try_with(
            &binary,
            &[
                "bash",
                "-euc",
                "mkdir -p $0/target/release $0/target/image; cd $0; ln -s /opt/charts charts; cat >target/release/kubewitness
                 chmod +x target/release/kubewitness; ln -s /out/images/node-*.tar target/image/kubewitness.tar",
                CHECKOUT,
            ],
        );
        assert!(made.ok, "{made:?}");
    }

    /// What docs/connect.md says for each distribution, as the node's own API server takes it: its flags are lines of a file.
    fn connect(&self) {
        self.run_on_node(
            "flags",
            "cp -r $NODE /etc/kubernetes/kubewitness; chmod -R go= /etc/kubernetes/kubewitness
             sed -n 's/^  \\(--audit-[a-z-]*=[^ ]*\\)$/\\1/p' $NODE/flags.txt >/etc/kubernetes/apiserver.flags",
        );
        super::install::restart_api_server(self.bed);
    }

    fn disconnect(&self) {
        self.run_on_node("flags", ": >/etc/kubernetes/apiserver.flags");
        super::install::restart_api_server(self.bed);
    }

    /// What the runbooks ask pods for, with names filled in.
    fn diagnose(&self) {
        for (command, page) in runbook_commands(By::Node) {
            // The one node is of the control plane, where the relay is the collector.
            let pods =
                "-n kubewitness get pods -l app.kubernetes.io/component=relay -o jsonpath={.items[0].metadata.name}";
            if command.contains("--previous") {
                self.controller_ends();
            }
            let command = match command.as_str() {
                of if of.contains(" POD") => of.replace("POD", &self.bed.kubectl(pods)),
                of => of.replace("node NODE", &format!("node {NODE}")),
            };
            self.run(&page, &judged(&command));
        }
    }
}

impl Reader<'_> {
    /// A container of the controller's pod that ended, and the next one at work.
    fn controller_ends(&self) {
        self.bed.run(&["pkill", "-KILL", "-f", "^/kubewitness controller"]);
        let status = "-n kubewitness get pod kubewitness-controller-0 -o jsonpath={.status.containerStatuses[0].restartCount},{.status.containerStatuses[0].ready}";
        self.bed.until("the controller is back in the same pod", || {
            let said = self.bed.try_kubectl(&status.split_whitespace().collect::<Vec<_>>()).stdout;
            said.split_once(',').is_some_and(|(restarts, ready)| restarts != "0" && ready == "true").then_some(())
        });
    }

    /// What the chart's own page says of an install and of what stays after it.
    fn chart_page(&self) {
        let page = "charts/kubewitness/README.md";
        // The node has one volume and nobody who makes more.
        self.run_on_node("a provisioner's part", "rm -rf /var/volumes/a/*");
        let unbind = r#"[{"op":"remove","path":"/spec/claimRef"}]"#;
        self.run("a provisioner's part", &format!("kubectl patch pv a --type=json -p '{unbind}'"));
        self.follow(page, |text| {
            if text.contains("helm install") {
                self.run(
                    page,
                    "helm uninstall kubewitness-rules -n kubewitness; helm uninstall kubewitness -n kubewitness",
                );
            }
        });
        for kind in ["crd", "pvc,secret,configmap -n kubewitness"] {
            let left = self.bed.kubectl(&format!("get {kind} -o name -l app.kubernetes.io/name=kubewitness"));
            assert_eq!(left, "", "{kind}");
        }
    }

    /// A rule of one's own from the README, to its alert, and what a person says of that.
    fn read_me(&self) {
        let page = blocks("README.md");
        let rule = page.iter().find(|block| block.language == "yaml").unwrap();
        self.bed.apply(&rule.text);
        self.run("README.md", "kubectl wait --for=condition=Ready csrule/my-forbidden-burst");
        for block in page.iter().filter(|block| block.by() == Some(By::Node) && !block.text.starts_with("make ")) {
            let alert = self.bed.kubectl("-n kubewitness get securityalerts -o jsonpath={.items[0].metadata.name}");
            self.run("README.md", &block.text.replace("NAME", &alert));
        }
    }
}

/// What a newcomer runs first, on this machine.
fn on_this_machine() {
    for block in
        blocks("README.md").into_iter().filter(|block| block.by() == Some(By::Node) && block.text.starts_with("make "))
    {
        for line in block.lines().filter(|line| line.starts_with("make ")) {
            let mut command = Command::new("bash");
            command.args(["-euc", line]).current_dir(repository(""));
            match line.contains("KEEP") {
                true => until_ctrl_c(line, &mut command),
                false => assert!(command.status().unwrap().success(), "README.md: {line}"),
            }
        }
    }
}

/// Runs a command that goes on until Ctrl-C, follows what it invites to, and ends it as a terminal would.
fn until_ctrl_c(line: &str, command: &mut Command) {
    let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let mut invited = Vec::new();
    for said in BufReader::new(child.stdout.as_mut().unwrap()).lines().map(|said| said.unwrap()) {
        println!("{said}");
        let is_first = said.contains("In another terminal:");
        let is_last = said.contains("/log") && said.trim_start().starts_with("ls ");
        if is_first || !invited.is_empty() {
            invited.push(said.trim().to_owned());
        }
        if is_last {
            break;
        }
    }
    assert!(invited.len() > 10, "README.md: {line} ended, and did not say how to look around: {invited:?}");
    // An alias is for people's shells, and a look is enough of what would watch without an end.
    let typed = invited[1..].iter().map(|line| match line.strip_prefix("alias kubectl=") {
        Some(program) => format!("kubectl() {{ {program} \"$@\"; }}"),
        None => line.replace(" --watch", ""),
    });
    let typed = typed.collect::<Vec<_>>().join("\n");
    let output = Command::new("bash").args(["-eo", "pipefail", "-c", &typed]).output().unwrap();
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let mut rest = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    assert!(rest.contains("removing what the demo started"), "README.md: {line}: {rest}");
    assert!(output.status.success(), "README.md: {line}: {output:?}");
}

#[test]
fn documents_hold_to_the_letter_on_an_empty_cluster() {
    if std::env::var("KEEP").is_ok_and(|keep| !["", "0", "no"].contains(&keep.as_str())) {
        eprintln!("KEEP=1 keeps the node of the other test, so the documents are not followed on one of their own");
        return;
    }
    on_this_machine();
    let bed = Bed::start_as_shipped();
    let reader = Reader { bed: &bed };
    reader.prepare();
    reader.follow("docs/quickstart.md", |text| {
        if text.contains("webhook-config") {
            reader.connect();
        }
    });
    reader.follow("docs/connect.md", |_| {});
    reader.diagnose();
    reader.read_me();
    let rule_stays = || bed.try_kubectl(&["get", "csrule", "my-configmap-named-trap"]).ok;
    reader.follow("docs/operations.md", |text| {
        if text.contains("kubewitness-secrets.yaml") && text.contains("get secret") {
            // What is to be restored.
            reader.run(
                "a mishap",
                "kubectl delete csrule my-configmap-named-trap; kubectl delete secret -n kubewitness kubewitness-tls",
            );
        } else if text.contains("-f kubewitness-secrets.yaml") {
            assert!(rule_stays(), "it came back");
        } else if text.contains("--replicas=1") {
            // Before the charts go, as the page says.
            reader.disconnect();
        } else if text.contains("helm uninstall") {
            assert!(rule_stays(), "it is of people");
        }
    });
    assert_eq!(bed.kubectl("get crd -o name").matches("kubewitness.io").count(), 0);
    reader.chart_page();
    reader.run("what an install of its own made", "kubectl delete namespace kubewitness");
    assert!(!bed.try_kubectl(&["get", "namespace", "kubewitness"]).ok);
}
