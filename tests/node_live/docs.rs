//! The documents, followed to the letter on a real node: the quick start on an empty cluster, the runbooks while it runs, then
//! operations, to the end, where nothing is left. `make demo` and `make build` are run before, on this machine.

use super::bed::Bed;
use crate::page::{By, blocks, judged, runbook_commands};
use crate::support::{kubewitness, repository};
use std::fs;
use std::process::Command;

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
            let pod = || {
                let label = if page.contains("Relay") { "relay" } else { "collector" };
                let selector = format!(
                    "-n kubewitness get pods -l app.kubernetes.io/component={label} -o jsonpath={{..metadata.name}}"
                );
                self.bed.kubectl(&selector)
            };
            if command.contains("--previous") {
                // Of a container that ended: there is none while all is well.
                continue;
            }
            let command = match command.as_str() {
                of if of.contains(" POD") => of.replace("POD", &pod()),
                of => of.replace("node NODE", &format!("node {NODE}")),
            };
            self.run(&page, &judged(&command));
        }
    }
}

/// What a newcomer runs first, on this machine.
fn on_this_machine() {
    for block in
        blocks("README.md").into_iter().filter(|block| block.by() == Some(By::Node) && block.text.starts_with("make "))
    {
        for line in block.lines().filter(|line| line.starts_with("make ") && !line.contains("KEEP")) {
            let status = Command::new("bash").args(["-euc", line]).current_dir(repository("")).status().unwrap();
            assert!(status.success(), "README.md: {line}");
        }
    }
}

#[test]
fn documents_hold_to_the_letter_on_an_empty_cluster() {
    if std::env::var("KEEP").is_ok_and(|keep| !["", "0", "no"].contains(&keep.as_str())) {
        eprintln!("KEEP=1 keeps the node of the other test, so the documents are not followed on one of their own");
        return;
    }
    on_this_machine();
    let bed = Bed::start();
    let reader = Reader { bed: &bed };
    reader.prepare();
    reader.follow("docs/quickstart.md", |text| {
        if text.contains("webhook-config") {
            reader.connect();
        }
    });
    reader.follow("docs/connect.md", |_| {});
    reader.diagnose();
    for block in blocks("README.md").into_iter().filter(|block| block.text.starts_with("kubectl patch")) {
        let alert = bed.kubectl("-n kubewitness get securityalerts -o jsonpath={.items[0].metadata.name}");
        reader.run("README.md", &block.text.replace("NAME", &alert));
    }
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
    assert!(!bed.try_kubectl(&["get", "namespace", "kubewitness"]).ok);
}
