//! What `helm install` prints: for each way that API servers reach the controller, and each distribution.

use super::{CHARTS, run_helm};
use crate::support::{ClusterOptions, TestCluster, repository};

/// What each distribution is told to set, and how to take it back.
const TOLD: [(&str, &[&str], &str); 5] = [
    (
        "kubeadm",
        &[
            "/etc/kubernetes/manifests/kube-apiserver.yaml",
            "--audit-policy-file=/etc/kubernetes/kubewitness/policy.yaml",
            "--audit-webhook-config-file=/etc/kubernetes/kubewitness/webhook.kubeconfig",
        ],
        "Roll back: mv /etc/kubernetes/kube-apiserver.before-kubewitness",
    ),
    (
        "k3s",
        &["/etc/rancher/k3s/config.yaml.d/kubewitness.yaml", "kube-apiserver-arg+:", "systemctl restart k3s"],
        "Roll back: rm /etc/rancher/k3s/config.yaml.d/kubewitness.yaml && systemctl restart k3s",
    ),
    (
        "rke2",
        &[
            "/etc/rancher/rke2/config.yaml.d/kubewitness.yaml",
            "audit-policy-file: /etc/rancher/rke2/kubewitness/policy.yaml",
            "kube-apiserver-extra-mount+:",
            "systemctl restart rke2-server",
        ],
        "Roll back: rm /etc/rancher/rke2/config.yaml.d/kubewitness.yaml && systemctl restart rke2-server",
    ),
    (
        "kops",
        &[
            "/srv/kubernetes/kube-apiserver/kubewitness-%s",
            "spec.kubeAPIServer.auditPolicyFile=/srv/kubernetes/kube-apiserver/kubewitness-policy.yaml",
            "spec.kubeAPIServer.auditWebhookConfigFile=/srv/kubernetes/kube-apiserver/kubewitness-webhook.kubeconfig",
            "kops rolling-update cluster",
        ],
        "Roll back: kops replace -f $NODE/before.yaml",
    ),
    (
        "talos",
        &[
            "path: /var/etc/kubewitness/webhook.kubeconfig",
            "permissions: 0o444",
            "auditPolicy:",
            "talosctl -n $NODE patch",
        ],
        "Roll back: talosctl -n $NODE apply-config -f $NODE/before.yaml",
    ),
];

const MANAGED: &str = "MANAGED CLUSTERS (EKS, GKE, AKS and their kin) let nobody set an audit webhook";

#[test]
fn notes_print_the_very_commands_of_each_distribution_and_way() {
    // Even a dry run asks for the cluster's version.
    let cluster = TestCluster::start(ClusterOptions::default()).unwrap();
    // Nor does it take kinds that are not there.
    let operators = repository("tests/charts/operators.yaml").display().to_string();
    cluster.kubectl().run(&["apply", "--server-side", "-f", &operators]).success().unwrap();
    cluster.kubectl().run(&["wait", "--for=condition=Established", "-f", &operators]).success().unwrap();
    let home = tempfile::tempdir().unwrap();
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let notes = |set: &str| {
        let install =
            ["install", "kubewitness", CHARTS[0], "-n", "security", "--dry-run=client", "--kubeconfig", &kubeconfig];
        let said = run_helm(home.path(), &[&install[..], &["--set", set]].concat()).unwrap();
        said.split_once("\nNOTES:\n").unwrap().1.to_owned()
    };
    let config = "kubectl exec -n security kubewitness-controller-0 -- /kubewitness webhook-config --cluster prod";
    let ways = [
        ("relay.enabled=true", "--apiserver $NODE --relay --tar | tar x -C $NODE"),
        ("service.clusterIP=10.96.0.60", "--apiserver $NODE --server https://10.96.0.60:9443 --tar"),
        ("service.clusterIP=fd00::60", "--apiserver $NODE --server https://[fd00::60]:9443 --tar"),
        ("service.nodePort=30443", "--apiserver $NODE --server https://127.0.0.1:30443 --tar"),
        (
            "service.nodePort=0",
            "--server https://$(kubectl get service kubewitness -n security -o jsonpath='{.spec.clusterIP}'):9443",
        ),
    ];
    for (way, command) in ways {
        let said = notes(&format!("clusterName=prod,{way}"));
        assert!(said.contains(config) && said.contains(command), "{way}: {said}");
        for (name, told, back) in TOLD {
            for what in told.iter().chain([&back]) {
                assert!(said.contains(what), "{way}, {name}: {what} is not in {said}");
            }
        }
        assert!(said.contains(MANAGED) && said.contains("helm test kubewitness -n security"), "{said}");
    }
    for (name, told, back) in TOLD {
        let said = notes(&format!("distribution={name},relay.enabled=true"));
        assert!(told.iter().chain([&back]).all(|what| said.contains(what)), "{name}: {said}");
        let others = TOLD.iter().filter(|(other, _, _)| *other != name);
        assert!(
            others.clone().count() == 4 && others.into_iter().all(|(_, _, back)| !said.contains(back)),
            "{name}: {said}"
        );
        assert!(!said.contains(MANAGED), "{name}: {said}");
    }
    let said = notes("distribution=managed");
    assert!(said.contains(MANAGED) && !said.contains("webhook-config"), "{said}");
    let (turned_away, unseen) =
        ("!! networkPolicy.ingestFrom names no ipBlock", "!! relay.adminHost is a loopback address");
    let peer = "relay.enabled=true,networkPolicy.ingestFrom[0]";
    for (set, warnings) in [
        ("relay.enabled=true", [false, false]),
        (&format!("{peer}.podSelector.matchLabels.a=b"), [true, false]),
        (&format!("{peer}.ipBlock.cidr=192.0.2.0/24"), [false, false]),
        (&format!("{peer}.podSelector.matchLabels.a=b,networkPolicy.enabled=false"), [false, false]),
        ("relay.enabled=true,serviceMonitor.enabled=true", [false, true]),
        ("relay.enabled=true,prometheusRule.enabled=true", [false, true]),
        ("relay.enabled=true,prometheusRule.enabled=true,relay.adminHost=node", [false, false]),
        ("serviceMonitor.enabled=true", [false, false]),
    ] {
        let said = notes(set);
        assert_eq!([said.contains(turned_away), said.contains(unseen)], warnings, "{set}: {said}");
    }
    let said = notes("persistence.enabled=false");
    assert!(said.contains("!! persistence.enabled is false"), "{said}");
    assert!(said.contains("!!   kubectl delete statefulset kubewitness-controller -n security\n"), "{said}");
}
