//! One and the same thing in each kind that makes pods, by each way to change one, and what stands beside pods. Each has a
//! namespace of its own, which is a part of the alerts' keys: none can be taken for another's.

use serde_json::{Value, json};

use super::{
    Scene, raw,
    ways::{Technique, apply, run},
};

const KINDS: [(&str, &str); 8] = [
    ("Deployment", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("ReplicationController", "v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
    ("PodTemplate", "v1"),
];

/// An object of that kind, named `x`, whose pods are as the specification says.
fn workload(kind: &str, version: &str, namespace: &str, pods: &Value) -> Value {
    let mut pods = pods.clone();
    if kind.ends_with("Job") {
        pods["restartPolicy"] = json!("Never");
    }
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": pods});
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": namespace, "labels": {"app": "x"}}});
    match kind {
        "PodTemplate" => object["template"] = template,
        "CronJob" => object["spec"] = json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}),
        "Job" => object["spec"] = json!({"template": template}),
        "ReplicationController" => object["spec"] = json!({"replicas": 0, "template": template}),
        _ => object["spec"] = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template}),
    }
    object
}

fn namespace(scene: &Scene, name: &str) {
    scene.watched.kubectl().run(&["create", "namespace", name]).success().unwrap();
    scene.watched.kubectl().run(&["-n", name, "create", "serviceaccount", "default"]);
}

fn pod(name: &str, namespace: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

#[rustfmt::skip] // a table reads best as one
pub fn kinds() -> Vec<Technique> {
    vec![
        Technique {
            name: "each kind that makes pods",
            act: |scene| for (kind, version) in KINDS {
                let place = format!("of-{}", kind.to_lowercase());
                namespace(scene, &place);
                apply(scene, &workload(kind, version, &place, &json!({"hostPID": true, "containers": [{"name": "a", "image": "a"}]})));
            },
            alerts: &[
                ("privileged-pod-created", "mallory of-deployment hostPID"), ("privileged-pod-created", "mallory of-daemonset hostPID"),
                ("privileged-pod-created", "mallory of-statefulset hostPID"), ("privileged-pod-created", "mallory of-replicaset hostPID"),
                ("privileged-pod-created", "mallory of-replicationcontroller hostPID"), ("privileged-pod-created", "mallory of-job hostPID"),
                ("privileged-pod-created", "mallory of-cronjob hostPID"), ("privileged-pod-created", "mallory of-podtemplate hostPID"),
            ],
        },
        Technique {
            name: "an init container, and an ephemeral one",
            act: |scene| {
                namespace(scene, "first");
                namespace(scene, "later");
                let privileged = json!({"name": "i", "image": "a", "securityContext": {"privileged": true}});
                apply(scene, &pod("a", "first", &json!({"initContainers": [privileged], "containers": [{"name": "a", "image": "a"}]})));
                scene.watched.apply(&pod("a", "later", &json!({"containers": [{"name": "a", "image": "a"}]})).to_string()).unwrap();
                run(scene, &["-n", "later", "patch", "pod", "a", "--subresource=ephemeralcontainers", "-p",
                    &json!({"spec": {"ephemeralContainers": [privileged]}}).to_string()]);
            },
            alerts: &[("privileged-pod-created", "mallory first privileged"), ("privileged-pod-created", "mallory later privileged")],
        },
        Technique {
            name: "each way to change a workload",
            act: |scene| {
                let plain = json!({"containers": [{"name": "a", "image": "a"}]});
                let weak = json!({"hostIPC": true, "containers": [{"name": "a", "image": "a"}]});
                let merge = json!({"spec": {"template": {"spec": {"hostIPC": true}}}}).to_string();
                let json_patch = json!([{"op": "add", "path": "/spec/template/spec/hostIPC", "value": true}]).to_string();
                for place in ["by-update", "by-merge", "by-strategic", "by-json", "by-apply"] {
                    namespace(scene, place);
                    scene.watched.apply(&workload("Deployment", "apps/v1", place, &plain).to_string()).unwrap();
                    let patch = |kind: &str, body: &str| run(scene, &["-n", place, "patch", "deployment", "x", kind, "-p", body]);
                    let whole = scene.intruder.stdin(workload("Deployment", "apps/v1", place, &weak).to_string());
                    match place {
                        "by-update" => { whole.run(&["replace", "-f", "-"]).success().unwrap(); }
                        "by-apply" => { whole.run(&["apply", "--server-side", "--force-conflicts", "-f", "-"]).success().unwrap(); }
                        "by-merge" => patch("--type=merge", &merge),
                        "by-json" => patch("--type=json", &json_patch),
                        _ => patch("--type=strategic", &merge),
                    }
                }
            },
            alerts: &[
                ("privileged-pod-created", "mallory by-update hostIPC"), ("privileged-pod-created", "mallory by-merge hostIPC"),
                ("privileged-pod-created", "mallory by-strategic hostIPC"), ("privileged-pod-created", "mallory by-json hostIPC"),
                ("privileged-pod-created", "mallory by-apply hostIPC"),
            ],
        },
        Technique {
            name: "a capability in lower case",
            act: |scene| {
                namespace(scene, "lower");
                apply(scene, &pod("a", "lower", &json!({"containers": [{"name": "a", "image": "a", "securityContext": {"capabilities": {"add": ["sys_admin"]}}}]})));
            },
            alerts: &[("dangerous-capabilities-added", "mallory lower")],
        },
        Technique {
            name: "a pod bound to a node by its own subresource",
            act: |scene| {
                namespace(scene, "placed");
                apply(scene, &pod("a", "placed", &json!({"containers": [{"name": "a", "image": "a"}]})));
                scene.send("POST", "/api/v1/namespaces/placed/pods/a/binding", &[("Content-Type", "application/json")],
                    &json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": "Node", "name": "node-1"}}).to_string());
            },
            alerts: &[("pod-placed-without-scheduler", "mallory placed")],
        },
        Technique {
            name: "a namespace opened by its finalisation, and replaced without its level",
            act: |scene| {
                const LEVEL: &str = "pod-security.kubernetes.io/enforce";
                for place in ["finalised", "replaced"] {
                    namespace(scene, place);
                    scene.watched.kubectl().run(&["label", "namespace", place, &format!("{LEVEL}=restricted")]).success().unwrap();
                }
                scene.send("PUT", "/api/v1/namespaces/finalised/finalize", &[("Content-Type", "application/json")],
                    &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "finalised", "labels": {LEVEL: "privileged"}},
                        "spec": {"finalizers": ["kubernetes"]}}).to_string());
                let bare = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "replaced"}});
                scene.intruder.stdin(bare.to_string()).run(&["replace", "-f", "-"]).success().unwrap();
            },
            alerts: &[("pod-security-lowered", "mallory finalised"), ("namespace-replaced-without-pod-security", "mallory replaced")],
        },
        Technique {
            name: "an account given a cloud's role by a JSON patch",
            act: |scene| {
                run(scene, &["-n", "shop", "create", "serviceaccount", "cloudy"]);
                run(scene, &["-n", "shop", "patch", "serviceaccount", "cloudy", "--type=json", "-p",
                    r#"[{"op": "add", "path": "/metadata/annotations", "value": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}]"#]);
            },
            alerts: &[("cloud-role-given-to-service-account", "mallory shop/cloudy")],
        },
        Technique {
            name: "a service's addresses by its status",
            act: |scene| {
                namespace(scene, "claimed");
                scene.watched.kubectl().run(&["-n", "claimed", "create", "service", "loadbalancer", "x", "--tcp=80:80"]).success().unwrap();
                run(scene, &["-n", "claimed", "patch", "service", "x", "--subresource=status", "--type=merge", "-p",
                    r#"{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}"#]);
            },
            alerts: &[("service-takes-foreign-address", "mallory claimed")],
        },
        Technique {
            name: "where a service leads, by Endpoints and by a slice",
            act: |scene| {
                namespace(scene, "ends");
                namespace(scene, "slices");
                apply(scene, &json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "x", "namespace": "ends"},
                    "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]}));
                apply(scene, &json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "x", "namespace": "slices"},
                    "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": []}));
            },
            alerts: &[("endpoints-written-by-person", "mallory ends"), ("endpoints-written-by-person", "mallory slices")],
        },
        Technique {
            name: "kubewitness changed by its image, its arguments and its replicas",
            act: |scene| for (name, body) in [
                ("by-image", r#"{"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}"#),
                ("by-arguments", r#"{"spec": {"template": {"spec": {"containers": [{"name": "a", "args": ["--x"]}]}}}}"#),
                ("by-replicas", r#"{"spec": {"replicas": 0}}"#),
            ] {
                let mut object = workload("Deployment", "apps/v1", "kubewitness", &json!({"containers": [{"name": "a", "image": "a"}]}));
                object["metadata"]["name"] = json!(name);
                scene.watched.apply(&object.to_string()).unwrap();
                run(scene, &["-n", "kubewitness", "patch", "deployment", name, "-p", body]);
            },
            alerts: &[
                ("detection-disturbed", "mallory deployments by-image"), ("detection-disturbed", "mallory deployments by-arguments"),
                ("detection-disturbed", "mallory deployments by-replicas"),
            ],
        },
        Technique {
            name: "a webhook replaced by hand by one that looks at less",
            act: |scene| {
                let webhook = |selector: Value| json!({
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "narrow"},
                    "webhooks": [{"name": "a.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
                        "clientConfig": {"service": {"namespace": "guard", "name": "guard"}}, "namespaceSelector": selector,
                        "rules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["bars"]}]}],
                }).to_string();
                scene.watched.apply(&webhook(json!({}))).unwrap();
                scene.intruder.stdin(webhook(json!({"matchLabels": {"no": "where"}}))).run(&["replace", "-f", "-"]).success().unwrap();
            },
            alerts: &[("admission-control-weakened", "mallory validatingwebhookconfigurations narrow")],
        },
        Technique {
            name: "a request for a certificate behind bytes that are no text, and under a generated name",
            act: |scene| {
                let request = |metadata: Value, prefix: &[u8]| json!({
                    "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": metadata,
                    "spec": {"request": super::ways::certificate_request(prefix, "system:kube-scheduler"), "usages": ["client auth"],
                        "signerName": "kubernetes.io/kube-apiserver-client"},
                });
                apply(scene, &request(json!({"name": "behind"}), b"\xff\n"));
                apply(scene, &request(json!({"generateName": "unnamed-"}), b""));
                let names = scene.intruder.run(&["get", "csr", "-o", "name"]).success().unwrap();
                let name = names.lines().find(|name| name.contains("unnamed-")).unwrap();
                run(scene, &["certificate", "approve", name.rsplit('/').next().unwrap()]);
            },
            alerts: &[("certificate-for-system-identity-requested", "mallory behind"), ("own-certificate-approved", "mallory unnamed-")],
        },
        Technique {
            name: "acting as oneself with the groups of others",
            act: |scene| {
                run(scene, &["get", "pods", "-n", "shop", "--as=mallory", "--as-group=of-others"]);
                run(scene, &["get", "pods", "-n", "shop", "--as=mallory", "--as-group=system:masters"]);
            },
            alerts: &[("identity-impersonated", "mallory mallory"), ("privileged-identity-impersonated", "mallory mallory")],
        },
    ]
}

/// Requests that kubectl does not send. Each is another user's, whose name the alerts' keys hold.
#[rustfmt::skip]
pub fn shapes() -> Vec<Technique> {
    vec![
        Technique {
            name: "a key named twice in a merge patch",
            act: |scene| {
                run(scene, &["create", "clusterrolebinding", "twice", "--clusterrole=view", "--user=nobody"]);
                scene.send_as("mallory-twice", "PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/twice", &[("Content-Type", raw::MERGE_PATCH)],
                    r#"{"subjects": [], "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "other"}]}"#);
                let bound = scene.intruder.run(&["get", "clusterrolebinding", "twice", "-o", "json"]).success().unwrap();
                assert!(bound.contains("\"other\""), "the last one counts");
            },
            alerts: &[("change-hidden-by-answer", "mallory-twice")],
        },
        Technique {
            name: "a dry run in the value of another parameter",
            act: |scene| scene.send_as("mallory-dry", "POST", "/api/v1/namespaces/shop/pods?x=dryRun=All", &[("Content-Type", "application/json")],
                &pod("no-dry-run", "shop", &json!({"hostIPC": true, "containers": [{"name": "a", "image": "a"}]})).to_string()),
            alerts: &[("privileged-pod-created", "mallory-dry shop hostIPC")],
        },
        Technique {
            name: "a pod written in YAML",
            act: |scene| scene.send_as("mallory-yaml", "POST", "/api/v1/namespaces/shop/pods", &[("Content-Type", "application/yaml")],
                "{apiVersion: v1, kind: Pod, metadata: {name: yaml}, spec: {hostIPC: true, containers: [{name: a, image: a}]}}"),
            alerts: &[("privileged-pod-created", "mallory-yaml shop hostIPC")],
        },
        Technique {
            name: "secrets by a watch in a parameter",
            act: |scene| scene.send_as("mallory-watch", "GET", "/api/v1/secrets?watch=1&timeoutSeconds=1", &[], ""),
            alerts: &[("secrets-listed-cluster-wide", "mallory-watch")],
        },
        Technique {
            name: "secrets as a table, and as metadata alone",
            act: |scene| {
                scene.send_as("mallory-table", "GET", "/api/v1/secrets?includeObject=Object", &[("Accept", raw::AS_TABLE)], "");
                scene.send_as("mallory-metadata", "GET", "/api/v1/secrets", &[("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")], "");
            },
            alerts: &[("secrets-listed-cluster-wide", "mallory-table"), ("secrets-listed-cluster-wide", "mallory-metadata")],
        },
        Technique {
            name: "secrets by selectors that only look like that of Helm",
            act: |scene| {
                scene.send_as("mallory-broken", "GET", "/api/v1/secrets?labelSelector=owner%3Dhelm,%zz", &[], "");
                scene.send_as("mallory-or", "GET", "/api/v1/secrets?labelSelector=owner%20notin%20(helm)", &[], "");
            },
            alerts: &[("secrets-listed-cluster-wide", "mallory-broken"), ("secrets-listed-cluster-wide", "mallory-or")],
        },
        Technique {
            name: "secrets by a path without its namespace, and in escaped letters",
            act: |scene| {
                scene.send_as("mallory-empty", "GET", "/api/v1/namespaces//secrets", &[], "");
                scene.send_as("mallory-escaped", "GET", "/api/v1/%73ecrets/", &[], "");
            },
            alerts: &[("secrets-listed-cluster-wide", "mallory-empty"), ("secrets-listed-cluster-wide", "mallory-escaped")],
        },
        Technique {
            name: "secrets by dry runs of their deletion",
            act: |scene| for n in 0..15 {
                scene.watched.kubectl().run(&["-n", "shop", "create", "secret", "generic", &format!("one-{n}"), "--from-literal=a=b"]).success().unwrap();
                scene.send_as("mallory-one", "DELETE", &format!("/api/v1/namespaces/shop/secrets/one-{n}?dryRun=All&propagationPolicy=Foreground"), &[], "");
            },
            alerts: &[("many-secrets-read-one-by-one", "mallory-one")],
        },
    ]
}
