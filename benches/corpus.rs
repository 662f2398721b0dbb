//! Audit events as kube-apiserver writes them (fields in the order of the Go struct, as items of a webhook's EventList), in a
//! mix like that of a cluster at work under a policy that logs reads without bodies and writes with them: mostly leases, and
//! reads, watches and status updates of controllers, operators and kubelets; few deployments, people and refusals. The same
//! seed gives the same events. Names are drawn at random, so that rules have not seen them; bodies bring the mean to 3 KB.

#[path = "corpus/bodies.rs"]
mod bodies;

use std::fmt::Write;

use fastrand::Rng;

use bodies::{config_map, deployment, event_object, metadata, node_object, pod, role_binding, secret};

/// Generates events without end.
pub struct Corpus {
    rng: Rng,
    millis: i64,
    namespaces: Vec<String>,
    nodes: Vec<String>,
}

/// One request before it is written down.
struct Request {
    level: &'static str,
    verb: &'static str,
    user: String,
    groups: Vec<String>,
    pod: Option<(String, String, String)>,
    address: String,
    agent: String,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    namespace: String,
    name: String,
    code: u32,
    request: String,
    response: String,
}

impl Corpus {
    pub fn new(seed: u64) -> Corpus {
        let mut rng = Rng::with_seed(seed);
        let namespaces = (0..60).map(|_| format!("{}-{}", word(&mut rng), word(&mut rng))).collect();
        let nodes = (0..40).map(|n| format!("ip-10-2-{n}-{}", rng.u8(..))).collect();
        Corpus { rng, millis: 0, namespaces, nodes }
    }

    /// `count` events as JSON texts.
    pub fn events(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.event()).collect()
    }

    /// The next event.
    pub fn event(&mut self) -> String {
        let request = match self.rng.u32(..1000) {
            0..360 => self.lease(),
            360..520 => self.kubelet(),
            520..750 => self.controller(),
            750..960 => self.workload(),
            960..964 => self.deployer(),
            964..976 => self.person(),
            976..998 => self.probe(),
            _ => self.refused(),
        };
        self.written(&request)
    }

    fn namespace(&mut self) -> String {
        // Some namespaces are busier than others.
        let place = self.rng.usize(..self.namespaces.len());
        let place = if self.rng.bool() { place / 6 } else { place };
        self.namespaces.get(place).cloned().unwrap_or_default()
    }

    fn node(&mut self) -> String {
        let place = self.rng.usize(..self.nodes.len());
        self.nodes.get(place).cloned().unwrap_or_default()
    }

    fn address(&mut self) -> String {
        format!("10.{}.{}.{}", self.rng.u8(..8), self.rng.u8(..), self.rng.u8(1..))
    }

    fn name(&mut self) -> String {
        format!("{}-{}", word(&mut self.rng), hex(&mut self.rng, 10))
    }

    fn service_account(&mut self, namespace: &str, name: &str) -> Request {
        let groups = [
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".into(),
        ];
        Request {
            level: "Metadata",
            verb: "get",
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: groups.into(),
            pod: None,
            address: self.address(),
            agent: format!(
                "{name}/v{}.{}.{} (linux/amd64) kubernetes/{}",
                self.rng.u8(..3),
                self.rng.u8(..30),
                self.rng.u8(..9),
                hex(&mut self.rng, 7)
            ),
            group: "",
            resource: "pods",
            subresource: "",
            namespace: namespace.into(),
            name: String::new(),
            code: 200,
            request: String::new(),
            response: String::new(),
        }
    }

    /// Leaders and kubelets renew their leases.
    fn lease(&mut self) -> Request {
        let node = self.node();
        let of_node = self.rng.bool();
        let holder = if of_node { node.clone() } else { format!("{node}_{}", hex(&mut self.rng, 16)) };
        let name = if of_node { node.clone() } else { word(&mut self.rng) + "-leader" };
        let namespace = if of_node { "kube-node-lease" } else { "kube-system" };
        let body = format!(
            r#"{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{},"spec":{{"holderIdentity":"{holder}","leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.000000Z"}}}}"#,
            metadata(&mut self.rng, &name, namespace)
        );
        let base = self.service_account("kube-system", &name);
        Request {
            verb: "update",
            user: if of_node { format!("system:node:{node}") } else { "system:kube-scheduler".into() },
            groups: if of_node {
                vec!["system:nodes".into(), "system:authenticated".into()]
            } else {
                vec!["system:authenticated".into()]
            },
            agent: "kubelet/v1.34.1 (linux/amd64) kubernetes/93248f9".into(),
            group: "coordination.k8s.io",
            resource: "leases",
            namespace: namespace.into(),
            level: "RequestResponse",
            request: body.clone(),
            response: body,
            name,
            ..base
        }
    }

    fn kubelet(&mut self) -> Request {
        let node = self.node();
        let namespace = self.namespace();
        let name = self.name();
        let base = Request {
            user: format!("system:node:{node}"),
            groups: vec!["system:nodes".into(), "system:authenticated".into()],
            agent: "kubelet/v1.34.1 (linux/amd64) kubernetes/93248f9".into(),
            ..self.service_account(&namespace, "kubelet")
        };
        match self.rng.u8(..100) {
            0..35 => Request { resource: "nodes", name: node, namespace: String::new(), ..base },
            35..50 => Request {
                verb: "watch",
                resource: if self.rng.u8(..10) == 0 { "secrets" } else { "configmaps" },
                name,
                ..base
            },
            50..68 => Request {
                verb: "patch",
                subresource: "status",
                level: "RequestResponse",
                request: format!(
                    r#"{{"metadata":{{"uid":"{}"}},"status":{{"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#,
                    uid(&mut self.rng)
                ),
                response: pod(&mut self.rng, &name, &namespace, true),
                name,
                ..base
            },
            68..80 => Request {
                verb: "patch",
                resource: "nodes",
                subresource: "status",
                namespace: String::new(),
                level: "RequestResponse",
                request: r#"{"status":{"conditions":[{"lastHeartbeatTime":"2026-01-01T00:00:00Z","type":"MemoryPressure"}]}}"#.into(),
                response: node_object(&mut self.rng, &node),
                name: node,
                ..base
            },
            80 => Request {
                verb: "create",
                resource: "serviceaccounts",
                subresource: "token",
                name: "default".into(),
                code: 201,
                ..base
            },
            81..90 => Request {
                verb: "create",
                resource: "events",
                code: 201,
                level: "Request",
                request: event_object(&mut self.rng, &name, &namespace),
                name,
                ..base
            },
            _ => Request { verb: "get", name, ..base },
        }
    }

    fn controller(&mut self) -> Request {
        const CONTROLLERS: [(&str, &str, &str); 8] = [
            ("replicaset-controller", "apps", "replicasets"),
            ("deployment-controller", "apps", "deployments"),
            ("endpointslice-controller", "discovery.k8s.io", "endpointslices"),
            ("job-controller", "batch", "jobs"),
            ("generic-garbage-collector", "", "pods"),
            ("horizontal-pod-autoscaler", "autoscaling", "horizontalpodautoscalers"),
            ("namespace-controller", "", "namespaces"),
            ("persistent-volume-binder", "", "persistentvolumeclaims"),
        ];
        let (account, group, resource) = self.rng.choice(CONTROLLERS).unwrap_or(("a", "", "pods"));
        let (namespace, name) = (self.namespace(), self.name());
        let base = Request {
            group,
            resource,
            namespace: namespace.clone(),
            name: name.clone(),
            ..self.service_account("kube-system", account)
        };
        match self.rng.u8(..100) {
            0..40 => Request { verb: "get", ..base },
            40..46 => Request { verb: "list", name: String::new(), ..base },
            46..66 => Request { verb: "watch", name: String::new(), ..base },
            66 => Request {
                verb: "create",
                group: "",
                resource: "pods",
                code: 201,
                level: "RequestResponse",
                request: pod(&mut self.rng, &name, &namespace, false),
                response: pod(&mut self.rng, &name, &namespace, true),
                ..base
            },
            67..86 => Request {
                verb: "update",
                subresource: "status",
                level: "RequestResponse",
                request: deployment(&mut self.rng, &name, &namespace),
                response: deployment(&mut self.rng, &name, &namespace),
                code: if self.rng.u8(..9) == 0 { 409 } else { 200 },
                ..base
            },
            86..97 => Request {
                verb: "update",
                group: "discovery.k8s.io",
                resource: "endpointslices",
                level: "RequestResponse",
                request: config_map(&mut self.rng, &name, &namespace),
                response: config_map(&mut self.rng, &name, &namespace),
                ..base
            },
            _ => Request { verb: "delete", level: "Metadata", ..base },
        }
    }

    /// Operators and applications that use the API.
    fn workload(&mut self) -> Request {
        let (namespace, account, name) = (self.namespace(), word(&mut self.rng) + "-operator", self.name());
        let own = format!("{}-{}", word(&mut self.rng), hex(&mut self.rng, 5));
        // A watch starts again every few minutes; few of them are on secrets.
        let resource = if self.rng.u8(..80) == 0 { "secrets" } else { "" };
        let others = ["configmaps", "services", "certificates", "pods", "endpoints"];
        let resource = Some(resource).filter(|r| !r.is_empty()).or_else(|| self.rng.choice(others)).unwrap_or("pods");
        let mut base = self.service_account(&namespace, &account);
        base.pod = Some((own, uid(&mut self.rng), self.node()));
        base.resource = resource;
        base.group = if resource == "certificates" { "cert-manager.io" } else { "" };
        base.name.clone_from(&name);
        match self.rng.u8(..10) {
            0..5 => Request { verb: "get", code: if self.rng.u8(..20) == 0 { 404 } else { 200 }, ..base },
            5..7 => Request { verb: "watch", name: String::new(), ..base },
            7 => Request { verb: "list", name: String::new(), ..base },
            8 => Request {
                verb: "update",
                resource: "configmaps",
                group: "",
                level: "RequestResponse",
                request: config_map(&mut self.rng, &name, &namespace),
                response: config_map(&mut self.rng, &name, &namespace),
                ..base
            },
            _ => Request {
                verb: "patch",
                group: "cert-manager.io",
                resource: "certificates",
                subresource: "status",
                level: "RequestResponse",
                request: config_map(&mut self.rng, &name, &namespace),
                response: config_map(&mut self.rng, &name, &namespace),
                ..base
            },
        }
    }

    /// Continuous delivery: applies whole objects.
    fn deployer(&mut self) -> Request {
        let (namespace, name) = (self.namespace(), self.name());
        let mut base = self.service_account("delivery", "applier");
        base.namespace.clone_from(&namespace);
        base.name.clone_from(&name);
        base.level = "RequestResponse";
        base.verb = self.rng.choice(["patch", "patch", "create", "update"]).unwrap_or("patch");
        match self.rng.u8(..8) {
            0..4 => Request {
                group: "apps",
                resource: "deployments",
                request: deployment(&mut self.rng, &name, &namespace),
                response: deployment(&mut self.rng, &name, &namespace),
                ..base
            },
            4..6 => Request {
                resource: "configmaps",
                request: config_map(&mut self.rng, &name, &namespace),
                response: config_map(&mut self.rng, &name, &namespace),
                ..base
            },
            6 => Request {
                resource: "secrets",
                request: secret(&mut self.rng, &name, &namespace),
                response: secret(&mut self.rng, &name, &namespace),
                ..base
            },
            _ => Request {
                group: "rbac.authorization.k8s.io",
                resource: "rolebindings",
                request: role_binding(&mut self.rng, &name, &namespace),
                response: role_binding(&mut self.rng, &name, &namespace),
                ..base
            },
        }
    }

    fn person(&mut self) -> Request {
        let (namespace, name) = (self.namespace(), self.name());
        let base = Request {
            user: format!("{}.{}@corp.test", word(&mut self.rng), word(&mut self.rng)),
            groups: vec![format!("oidc:{}", word(&mut self.rng)), "system:authenticated".into()],
            agent: "kubectl/v1.33.2 (darwin/arm64) kubernetes/a57b6f7".into(),
            address: format!("198.51.{}.{}", self.rng.u8(..), self.rng.u8(..)),
            name: name.clone(),
            ..self.service_account(&namespace, "none")
        };
        match self.rng.u8(..10) {
            0..4 => Request { verb: "list", name: String::new(), ..base },
            4..7 => Request { resource: "deployments", group: "apps", ..base },
            7 => Request { subresource: "log", ..base },
            8 => Request { verb: "get", subresource: "exec", code: 101, ..base },
            _ => Request {
                verb: "patch",
                resource: "deployments",
                group: "apps",
                level: "RequestResponse",
                request: deployment(&mut self.rng, &name, &namespace),
                response: deployment(&mut self.rng, &name, &namespace),
                ..base
            },
        }
    }

    /// Health checks of load balancers.
    fn probe(&mut self) -> Request {
        Request {
            user: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            agent: "kube-probe/1.34".into(),
            resource: "",
            namespace: String::new(),
            ..self.service_account("none", "none")
        }
    }

    fn refused(&mut self) -> Request {
        let (namespace, name) = (self.namespace(), self.name());
        let account = word(&mut self.rng);
        let response = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden","reason":"Forbidden","code":403}"#;
        Request {
            verb: "list",
            resource: "secrets",
            code: 403,
            response: response.into(),
            level: "RequestResponse",
            name,
            ..self.service_account(&namespace, &account)
        }
    }

    fn written(&mut self, r: &Request) -> String {
        self.millis += self.rng.i64(1..4);
        let mut out = String::with_capacity(1200 + r.request.len() + r.response.len());
        let uri = uri(r);
        let groups = r.groups.iter().map(|g| format!("{g:?}")).collect::<Vec<_>>().join(",");
        let id = uid(&mut self.rng);
        let stage = if r.verb == "watch" || r.subresource == "exec" { "ResponseStarted" } else { "ResponseComplete" };
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).unwrap_or_default();
        put(format_args!(
            r#"{{"level":"{}","auditID":"{id}","stage":"{stage}","requestURI":"{uri}","verb":"{}","user":{{"username":"{}""#,
            r.level, r.verb, r.user
        ));
        if r.user.starts_with("system:serviceaccount:") {
            put(format_args!(r#","uid":"{}""#, uid(&mut self.rng)));
        }
        put(format_args!(r#","groups":[{groups}]"#));
        if let Some((pod, uid, node)) = &r.pod {
            put(format_args!(
                r#","extra":{{"authentication.kubernetes.io/credential-id":["JTI={uid}"],"authentication.kubernetes.io/node-name":["{node}"],"authentication.kubernetes.io/pod-name":["{pod}"],"authentication.kubernetes.io/pod-uid":["{uid}"]}}"#
            ));
        }
        put(format_args!(r#"}},"sourceIPs":["{}"],"userAgent":"{}""#, r.address, r.agent));
        if !r.resource.is_empty() {
            put(format_args!(r#","objectRef":{{"resource":"{}""#, r.resource));
            let version = "v1";
            for (key, value) in [
                ("namespace", &*r.namespace),
                ("name", &r.name),
                ("apiGroup", r.group),
                ("apiVersion", version),
                ("subresource", r.subresource),
            ] {
                if !value.is_empty() {
                    put(format_args!(r#","{key}":"{value}""#));
                }
            }
            put(format_args!("}}"));
        }
        put(format_args!(r#","responseStatus":{{"metadata":{{}},"code":{}}}"#, r.code));
        if r.level != "Metadata" && !r.request.is_empty() {
            put(format_args!(r#","requestObject":{}"#, r.request));
        }
        if r.level == "RequestResponse" && !r.response.is_empty() {
            put(format_args!(r#","responseObject":{}"#, r.response));
        }
        let (decision, reason) = if r.code == 403 {
            ("forbid", "")
        } else {
            (
                "allow",
                r#"RBAC: allowed by ClusterRoleBinding \"system:basic\" of ClusterRole \"system:basic\" to Group \"system:authenticated\""#,
            )
        };
        put(format_args!(
            r#","requestReceivedTimestamp":"{}","stageTimestamp":"{}","annotations":{{"authorization.k8s.io/decision":"{decision}","authorization.k8s.io/reason":"{reason}"}}}}"#,
            stamp(self.millis),
            stamp(self.millis + 2)
        ));
        out
    }
}

fn uri(r: &Request) -> String {
    if r.resource.is_empty() {
        return "/readyz".into();
    }
    let mut uri = if r.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/v1", r.group) };
    if !r.namespace.is_empty() {
        uri += &format!("/namespaces/{}", r.namespace);
    }
    for part in [r.resource, &r.name, r.subresource] {
        if !part.is_empty() {
            uri += &format!("/{part}");
        }
    }
    match r.verb {
        "watch" => {
            uri + "?allowWatchBookmarks=true&resourceVersion=81734422&timeout=7m13s&timeoutSeconds=433&watch=true"
        }
        "list" => uri + "?limit=500",
        "patch" | "create" => uri + "?fieldManager=applier&fieldValidation=Strict",
        _ => uri,
    }
}

/// 2026-01-01 and so many milliseconds, as the API server writes a `MicroTime`.
fn stamp(millis: i64) -> String {
    let (seconds, rest) = (millis / 1000, millis % 1000);
    format!(
        "2026-01-{:02}T{:02}:{:02}:{:02}.{rest:03}417Z",
        1 + seconds / 86_400 % 28,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn word(rng: &mut Rng) -> String {
    const PARTS: [&str; 24] = [
        "ba", "co", "di", "fu", "ga", "he", "ji", "ko", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wi", "xo",
        "zu", "qua", "bri", "clo", "dre", "sta",
    ];
    (0..rng.usize(2..4)).filter_map(|_| rng.choice(PARTS)).collect()
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

fn uid(rng: &mut Rng) -> String {
    format!("{}-{}-4{}-a{}-{}", hex(rng, 8), hex(rng, 4), hex(rng, 3), hex(rng, 3), hex(rng, 12))
}
