//! docs/connect.md, where it speaks of files on a node: its commands are run on a copy of the directories that they name, and what
//! they write is what the distribution reads, with the flags that `webhook-config` gives.

use super::bed::{Bed, NODE};
use super::page::{Block, By, blocks};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// As kubeadm 1.34 writes it, shortened.
const KUBEADM: &str = "\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 192.0.2.10:6443
  labels:
    component: kube-apiserver
    tier: control-plane
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=192.0.2.10
    - --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
    image: registry.k8s.io/kube-apiserver:v1.34.0
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  priorityClassName: system-node-critical
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
";

const INSTANCE_GROUP: &str = "\
apiVersion: kops.k8s.io/v1alpha2
kind: InstanceGroup
metadata:
  labels: {kops.k8s.io/cluster: example.org}
  name: control-plane
spec:
  role: ControlPlane
";

/// A node's file, by its path there.
struct Root<'b> {
    bed: &'b Bed,
}

impl Root<'_> {
    /// Runs commands of the page, with the node's directories in place of the machine's own.
    fn run(&self, text: &str) {
        let root = self.bed.dir.join("root");
        let moved = ["/etc/kubernetes", "/etc/rancher"].iter().fold(text.to_owned(), |text, directory| {
            text.replace(directory, &format!("{}{directory}", root.display()))
        });
        self.bed.run("docs/connect.md", &moved);
    }

    fn text(&self, path: &str) -> String {
        let root = format!("{}/root", self.bed.dir.display());
        fs::read_to_string(self.bed.dir.join(path)).unwrap().replace(&root, "")
    }

    fn yaml(&self, path: &str) -> Value {
        serde_saphyr::from_str(&self.text(path)).unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.text(path)))
    }
}

/// Names of flags, with or without dashes, less those that a distribution sets by a key of its own.
fn names<'v>(flags: impl Iterator<Item = &'v str>) -> BTreeSet<String> {
    let name = |flag: &str| flag.trim_start_matches("--").split('=').next().unwrap().to_owned();
    flags.filter(|flag| flag.contains("audit-")).map(name).collect()
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap())
}

pub fn connect(bed: &Bed) {
    let root = Root { bed };
    bed.run("docs/connect.md", "kubewitness webhook-config --apiserver $NODE --relay --output $NODE");
    let flags = root.text(&format!("{NODE}/flags.txt"));
    let flags = names(flags.lines().map(str::trim).filter(|line| line.starts_with("--audit-")));
    assert!(flags.len() >= 4, "{flags:?}");
    bed.run(
        "the node's directories",
        "mkdir -p root/etc/kubernetes/manifests root/etc/rancher/k3s root/etc/rancher/rke2",
    );
    for directory in ["kubernetes", "rancher/k3s", "rancher/rke2"] {
        bed.run("what scp does", &format!("cp -r $NODE root/etc/{directory}/kubewitness"));
    }
    let manifest = "root/etc/kubernetes/manifests/kube-apiserver.yaml";
    bed.write(manifest, KUBEADM);
    bed.write(&format!("{NODE}/before.yaml"), INSTANCE_GROUP);
    let ours = |block: &Block| block.is_commands() && block.untested.is_none() && block.by() == Some(By::Bed);
    let mut seen = 0;
    for block in blocks("docs/connect.md").into_iter().filter(ours) {
        root.run(&block.text);
        seen += 1;
        match block.text.as_str() {
            text if text.contains(".before-kubewitness >") => kubeadm(&root.yaml(manifest), &flags),
            text if text.contains("mv /etc/kubernetes") => assert_eq!(root.text(manifest), KUBEADM, "rolled back"),
            text if text.contains("cat >/etc/rancher/k3s") => {
                let arguments =
                    &root.yaml("root/etc/rancher/k3s/config.yaml.d/kubewitness.yaml")["kube-apiserver-arg+"];
                assert_eq!(names(strings(arguments)), flags);
            }
            text if text.contains("cat >/etc/rancher/rke2") => {
                let written = root.yaml("root/etc/rancher/rke2/config.yaml.d/kubewitness.yaml");
                let mut all = names(strings(&written["kube-apiserver-arg+"]));
                assert!(written["audit-policy-file"].is_string(), "{written}");
                all.insert("audit-policy-file".to_owned());
                assert_eq!(all, flags);
            }
            text if text.contains("rm /etc/rancher/") => {
                let path = text.split_whitespace().nth(1).unwrap();
                assert!(!bed.dir.join("root").join(path.trim_start_matches('/')).exists(), "{path}");
            }
            text if text.contains("group.yaml") => kops(&root),
            text if text.contains("patch.yaml") => talos(&root, &flags),
            text => panic!("it is run, and nobody looks at what it wrote: {text}"),
        }
    }
    assert!(seen >= 8, "{seen} blocks were run");
}

fn kubeadm(pod: &Value, flags: &BTreeSet<String>) {
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["command"][0], "kube-apiserver");
    assert_eq!(&names(strings(&container["command"])), flags, "{pod:#}");
    let mount = &container["volumeMounts"][0];
    assert!(mount["name"] == "kubewitness" && mount["readOnly"] == true, "{mount}");
    let volume = &pod["spec"]["volumes"][0];
    assert!(volume["name"] == "kubewitness" && volume["hostPath"]["path"] == mount["mountPath"], "{volume}");
    let policy = strings(&container["command"]).find_map(|flag| flag.strip_prefix("--audit-policy-file=")).unwrap();
    assert!(policy.starts_with(mount["mountPath"].as_str().unwrap()), "{policy}");
}

fn kops(root: &Root<'_>) {
    let group = root.yaml(&format!("{NODE}/group.yaml"));
    let assets = group["spec"]["fileAssets"].as_array().unwrap_or_else(|| panic!("{group:#}"));
    let contents: Vec<&str> = assets.iter().map(|asset| asset["content"].as_str().unwrap()).collect();
    let files = ["policy.yaml", "webhook.kubeconfig"].map(|file| root.text(&format!("{NODE}/{file}")));
    assert_eq!(contents, files);
}

fn talos(root: &Root<'_>, flags: &BTreeSet<String>) {
    let patch = root.yaml(&format!("{NODE}/patch.yaml"));
    assert_eq!(patch["machine"]["files"][0]["content"], root.text(&format!("{NODE}/webhook.kubeconfig")));
    let api_server = &patch["cluster"]["apiServer"];
    assert_eq!(api_server["auditPolicy"]["kind"], "Policy");
    let mut all = names(api_server["extraArgs"].as_object().unwrap().keys().map(String::as_str));
    all.insert("audit-policy-file".to_owned());
    assert_eq!(&all, flags, "the policy stands in the configuration itself");
}
