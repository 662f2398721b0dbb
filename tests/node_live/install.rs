//! Both charts, as people install them, and an API server that sends to what they installed.

use super::bed::{Bed, IMAGE};

/// Helm keeps its caches where the node forgets them.
const HELM: [&str; 4] = ["env", "HELM_CACHE_HOME=/run/helm", "HELM_CONFIG_HOME=/run/helm", "HELM_DATA_HOME=/run/helm"];

pub fn helm(bed: &Bed, words: &str) -> String {
    let mut all = HELM.to_vec();
    all.push("helm");
    all.extend(words.split_whitespace());
    bed.run(&Bed::on_laptop(&all))
}

/// On a cluster that never saw a CRD of ours: the second chart's rules meet what the first one installed.
pub fn charts(bed: &Bed) {
    operator(bed);
    bed.tell("the chart kubewitness is installed");
    rules(bed);
}

pub fn operator(bed: &Bed) {
    let notes = helm(
        bed,
        "install kubewitness /opt/charts/kubewitness --namespace kubewitness --create-namespace --wait --timeout 3m \
         --set relay.enabled=true --set clusterName=test --set collector.spoolMax=8MiB --set service.clusterIP=10.96.0.60 --set service.nodePort=30943 \
         --set controller.extraArgs={--tls-ca-overlap=20}",
    );
    assert!(notes.contains("STATUS: deployed"), "{notes}");
}

fn rules(bed: &Bed) {
    helm(bed, "install kubewitness-rules /opt/charts/kubewitness-rules --namespace kubewitness --wait --timeout 3m");
    bed.until("every rule is accepted", || {
        let rules = bed.objects("clustersecurityrules");
        let ready = |rule: &&serde_json::Value| {
            rule["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            })
        };
        (rules.len() > 90 && rules.iter().all(|rule| ready(&rule))).then_some(())
    });
    bed.tell("the chart kubewitness-rules is installed, and every rule is accepted");
    let images = bed.kubectl("-n kubewitness get pods -o jsonpath={..image}");
    assert!(images.split_whitespace().all(|image| image.starts_with(IMAGE)), "{images}");
}

/// The chart's own test: a request and a line of a pod, and their alerts.
pub fn helm_test(bed: &Bed) {
    let said = helm(bed, "test kubewitness --namespace kubewitness --timeout 3m");
    assert!(said.contains("Phase:          Succeeded"), "{said}");
    // It ends well when both alerts came (`kubewitness canary`), and is deleted then.
    assert!(bed.kubectl("-n kubewitness get pods -o name").lines().all(|pod| !pod.contains("canary")));
}

/// Gives the API server the files and flags that `webhook-config` makes, and starts it anew. `to` is `--relay` or `--server=URL`.
pub fn api_server(bed: &Bed, to: &str) {
    bed.run(&Bed::on_laptop(&[
        "bash",
        "-euo",
        "pipefail",
        "-c",
        "mkdir -p /etc/kubernetes/kubewitness
         kubectl exec -n kubewitness kubewitness-controller-0 -- /kubewitness webhook-config --cluster test --apiserver node-1 $0 --tar \
           | tar x -C /etc/kubernetes/kubewitness
         chmod 600 /etc/kubernetes/kubewitness/webhook.kubeconfig
         sed -n 's/^  \\(--audit-[a-z-]*=[^ ]*\\)$/\\1/p' /etc/kubernetes/kubewitness/flags.txt >/etc/kubernetes/apiserver.flags
         echo --audit-log-path=/var/log/kubernetes/audit/audit.log >>/etc/kubernetes/apiserver.flags",
        to,
    ]));
    restart_api_server(bed);
    bed.tell(&format!("the API server sends its audit events by {to}"));
}

/// With the flags that are in its file.
pub fn restart_api_server(bed: &Bed) {
    bed.run(&["service.sh", "restart", "kube-apiserver"]);
    bed.until("the API server answers again", || bed.try_kubectl(&["get", "--raw", "/readyz"]).ok.then_some(()));
}
