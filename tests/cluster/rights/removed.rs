//! Each verb of the generated roles taken away from a controller that has all the others: it fails at what it needs the verb for,
//! and says so. With all of them it fails at nothing. So no right is there for nothing.

use super::super::own::Own;
use super::super::seen::{connect, event, request};
use super::super::steps::{cluster_rule, spec, tenant_rule};
use super::{ACCOUNT, AUDIENCE, SOON};
use crate::support::{NAMESPACE, repository, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Where each role that the controller runs under counts: in a namespace, or everywhere.
const ROLES: [(&str, Option<&str>); 3] = [
    ("controller-clusterrole.yaml", None),
    ("controller-role.yaml", Some(NAMESPACE)),
    ("controller-collectors-role.yaml", Some("nodes")),
];

/// How long one try may take.
const TRY: Duration = Duration::from_secs(20);

struct Right {
    namespace: Option<&'static str>,
    group: String,
    /// With its subresource, if any.
    resource: String,
    name: Option<String>,
    verb: String,
    role: Value,
    role_without: Value,
}

/// Every verb of every rule.
fn rights() -> Vec<Right> {
    let mut rights = Vec::new();
    for (file, namespace) in ROLES {
        let text = std::fs::read_to_string(repository("manifests/rbac").join(file)).unwrap();
        let role: Value = serde_saphyr::from_str(&text).unwrap();
        for (at, rule) in role["rules"].as_array().unwrap().iter().enumerate() {
            let only = |key: &str| {
                let all = rule[key].as_array().map(Vec::as_slice).unwrap_or_default();
                assert!(all.len() <= 1, "a rule is of one {key} alone: {rule}");
                all.first().map(|value| value.as_str().unwrap().to_owned())
            };
            for verb in rule["verbs"].as_array().unwrap() {
                let mut role_without = role.clone();
                let rules = role_without["rules"].as_array_mut().unwrap();
                let verbs = rules[at]["verbs"].as_array_mut().unwrap();
                verbs.retain(|other| other != verb);
                if verbs.is_empty() {
                    rules.remove(at);
                }
                rights.push(Right {
                    namespace,
                    group: only("apiGroups").unwrap(),
                    resource: only("resources").unwrap(),
                    name: only("resourceNames"),
                    verb: verb.as_str().unwrap().to_owned(),
                    role: role.clone(),
                    role_without,
                });
            }
        }
    }
    rights
}

impl Right {
    fn is_called(&self) -> String {
        let Right { namespace, group, resource, name, verb, .. } = self;
        format!("{verb} {resource} of {group:?}, named {name:?}, in {namespace:?}")
    }

    /// What the API server says to who lacks it.
    fn refusal(&self) -> String {
        let Right { verb, resource, group, .. } = self;
        let object = self.name.as_ref().map(|name| format!("{resource} \"{name}\" is forbidden: ")).unwrap_or_default();
        let place = self.namespace.map(|place| format!(" in the namespace \"{place}\"")).unwrap_or_default();
        format!("{object}User \"{ACCOUNT}\" cannot {verb} resource \"{resource}\" in API group \"{group}\"{place}")
    }

    /// Lists and watches begin with the controller, and so does the question who it is.
    fn is_needed_at_the_start(&self) -> bool {
        ["list", "watch"].contains(&self.verb.as_str()) || self.resource == "selfsubjectreviews"
    }

    /// What `webhook-config` says without it, where that is what needs it; whatever else lacks it has the API server's words logged.
    fn is_said(&self, by_webhook_config: &str) -> bool {
        let kind = if self.resource == "secrets" { "Secret" } else { "ConfigMap" };
        let object = format!("{kind} {}/{}", self.namespace.unwrap_or(""), self.name.as_deref().unwrap_or(""));
        by_webhook_config.contains(&format!("this account may not {} {object}: ", self.verb))
    }
}

struct Scene {
    own: Own,
    token: String,
    bundle: String,
    steps: u32,
}

impl Scene {
    fn start() -> Scene {
        let mut own = Own::start();
        // Every authenticated user may ask who it is by this role; where an administrator took that away, ours must be enough.
        let basic = json!([{"op": "replace", "path": "/rules", "value": [{
            "apiGroups": ["authorization.k8s.io"], "verbs": ["create"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        }]}]);
        let patch = ["patch", "clusterrole", "system:basic-user", "--type=json", "-p", &basic.to_string()];
        own.cluster.kubectl().run(&patch).success().unwrap();
        // What is resolved has its object deleted at once.
        own.add_arguments(&["--alert-ttl=0"]);
        own.restart();
        let token = own.issue("testbed", "cp-1");
        let bundle = own.published();
        let mut scene = Scene { own, token, bundle, steps: 0 };
        for (name, resolve_after) in [("probe", "24h"), ("fleeting", "1s")] {
            let condition = format!("audit.objectRef.name.startsWith(\"{name}-\")");
            let mut rule = spec(&condition, "audit.objectRef.name");
            rule["alert"]["resolveAfter"] = json!(resolve_after);
            scene.apply(&cluster_rule(name, rule));
            scene.wait_ready("clustersecurityrule", "default", name);
        }
        scene
    }

    fn apply(&mut self, object: &Value) {
        let kubectl = self.own.cluster.kubectl().stdin(object.to_string());
        kubectl.run(&["apply", "-f", "-"]).success().unwrap();
    }

    fn wait_ready(&self, kind: &str, namespace: &str, name: &str) {
        let ready = ["wait", "--for=condition=Ready", "--timeout=60s", "-n", namespace, kind, name];
        self.own.cluster.kubectl().run(&ready).success().unwrap();
    }

    fn sets(&self, right: &Right, has_it: bool) {
        let role = if has_it { &right.role } else { &right.role_without };
        let admin = self.own.cluster.kubectl();
        let namespace = right.namespace.unwrap_or("default");
        admin.stdin(role.to_string()).run(&["replace", "-n", namespace, "-f", "-"]).success().unwrap();
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        let group = if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
        let name = right.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let mut ask = vec!["auth".to_owned(), "can-i".into(), right.verb.clone(), format!("{resource}{group}{name}")];
        ask.extend(["-n".into(), namespace.into(), format!("--as={ACCOUNT}"), format!("--subresource={subresource}")]);
        let ask: Vec<&str> = ask.iter().map(String::as_str).collect();
        // The authoriser learns of a role by a watch of its own.
        wait_until(&format!("{} counts", right.is_called()), SOON, || {
            (admin.run(&ask).stdout.trim() == if has_it { "yes" } else { "no" }).then_some(())
        })
        .unwrap();
    }

    /// Does what needs `right`. What `webhook-config` said, if it was that.
    fn do_what_needs(&mut self, right: &Right) -> String {
        self.steps += 1;
        let name = format!("probe-{}", self.steps);
        if right.is_needed_at_the_start() {
            // It loses nothing by that, and there are many.
            self.own.controller.end("KILL").unwrap();
            self.own.spawn();
            return String::new();
        }
        let never = spec(r#"audit.objectRef.name == "never""#, "audit.objectRef.name");
        match (right.resource.as_str(), right.verb.as_str(), right.name.as_deref()) {
            ("clustersecurityrules/status", "patch", None) => self.apply(&cluster_rule(&name, never)),
            ("securityrules/status", "patch", None) => self.apply(&tenant_rule("default", &name, never)),
            ("logsources/status", "patch", None) => self.apply(&json!({
                "apiVersion": "kubewitness.io/v1alpha1", "kind": "LogSource", "metadata": {"name": name},
                "spec": {"source": "Node", "format": "Syslog", "paths": ["/var/log/syslog"]},
            })),
            ("securityalerts" | "securityalerts/status", "create" | "patch", None) => self.makes_an_alert(&name),
            // One that is resolved, and so deleted, a second later.
            ("securityalerts", "delete", None) => self.makes_an_alert(&format!("fleeting-{}", self.steps)),
            ("tokenreviews", "create", None) => drop(self.comes_as_a_collector()),
            ("secrets", "patch", Some("kubewitness-tls")) => self.own.rotate("leaf"),
            ("configmaps", "patch", Some(map)) => {
                let spoil =
                    ["patch", "configmap", map, "-n", right.namespace.unwrap(), "-p", r#"{"data":{"ca.crt":""}}"#];
                self.own.cluster.kubectl().run(&spoil).success().unwrap();
            }
            ("secrets", "get" | "patch", Some("kubewitness-relay-credentials")) => {
                return self.webhook_config(&name, &["--relay", "--collector-namespace=nodes"]);
            }
            ("secrets", "get" | "patch", Some("kubewitness-ingest-credentials"))
            | ("configmaps", "get", Some("kubewitness-ca")) => {
                let server = format!("https://127.0.0.1:{}", self.own.ingest_port);
                return self.webhook_config(&name, &["--server", &server]);
            }
            _ => panic!("nothing here needs {}: is it needed at all?", right.is_called()),
        }
        String::new()
    }

    fn makes_an_alert(&self, of: &str) {
        let object = json!({"resource": "configmaps", "namespace": "shop", "name": of, "apiVersion": "v1"});
        let event = event(of, json!({"objectRef": object}));
        let answer = self.own.post(&self.bundle, Some(&format!("Bearer {}", self.token)), &[event]).unwrap();
        assert_eq!(answer, 200);
    }

    /// Does what needs `right` until `is_done`. An alert that is resolved before a busy machine comes to write it is never written, so
    /// once may not be enough.
    fn until(&mut self, right: &Right, what: &str, is_done: &dyn Fn(&Scene, &str) -> bool) {
        let mut last = String::new();
        for _ in 0..6 {
            let said = self.do_what_needs(right);
            match wait_until(what, TRY, || is_done(self, &said).then_some(())) {
                Ok(()) => return,
                Err(error) => last = format!("{error}: {said}"),
            }
        }
        panic!("{last}; {}", self.own.controller.log_tail());
    }

    /// GET of what to read, with a token that nobody has seen before; the answer's code.
    fn comes_as_a_collector(&self) -> u16 {
        let create = ["create", "token", "controller", "-n", NAMESPACE, "--audience", AUDIENCE];
        let token = self.own.cluster.kubectl().run(&create).success().unwrap();
        let mut stream = connect(self.own.ingest_port, &self.bundle).unwrap();
        request(&mut stream, "GET /sources", &[&format!("Authorization: Bearer {}", token.trim())], b"").unwrap().code
    }

    fn webhook_config(&self, apiserver: &str, more: &[&str]) -> String {
        let said = self.own.webhook_config(&[&["--apiserver", apiserver, "--tar"], more].concat());
        self.own.said(&said)
    }

    /// The controller's log from `from` on, as the API server's words stand in it.
    fn log(&self, from: usize) -> String {
        self.own.controller.log().chars().skip(from).filter(|c| *c != '\\').collect()
    }

    /// All of it, under all the rights.
    fn whole(&mut self, rights: &[Right]) {
        let evicted = "kubewitness_cluster_alerts_evicted_total{reason=\"Expired\"}";
        let delete = rights.iter().find(|right| right.resource == "securityalerts" && right.verb == "delete").unwrap();
        self.until(delete, "an alert is deleted", &|scene, _| scene.own.metric(evicted) > 0.0);
        for right in rights.iter().filter(|right| !right.is_needed_at_the_start()) {
            let said = self.do_what_needs(right);
            assert!(!said.contains("may not"), "{}: {said}", right.is_called());
        }
        for (kind, namespace) in [("clustersecurityrule", "default"), ("securityrule", "default")] {
            self.wait_ready(kind, namespace, "--all");
        }
        assert_eq!(self.comes_as_a_collector(), 403, "a good token of somebody who is no collector");
        wait_until("all of it is done", SOON, || {
            let sources = ["get", "logsources", "-o", "jsonpath={.items[*].status.conditions[*].type}"];
            let is_told = self.own.cluster.kubectl().run(&sources).stdout.contains("Ready");
            let is_rotated = self.own.annotation("kubewitness-tls", "kubewitness.io/rotate").is_empty();
            let is_published = [NAMESPACE, "nodes"].iter().all(|namespace| !self.own.bundle(namespace).is_empty());
            (is_told && is_rotated && is_published).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}: {}", self.own.controller.log_tail()));
        self.own.stop();
        let log = self.log(0);
        assert!(!log.contains("is forbidden") && !log.contains("cannot "), "{log}");
        self.own.spawn();
        self.own.wait_ready();
    }
}

#[test]
fn without_any_one_right_the_controller_fails_at_something_and_says_so() {
    let rights = rights();
    assert!(rights.len() > 30, "{}", rights.len());
    let mut scene = Scene::start();
    scene.whole(&rights);
    // Those that are needed at a start come last: the others need a controller that is ready.
    let (start, running): (Vec<_>, Vec<_>) = rights.iter().partition(|right| right.is_needed_at_the_start());
    for right in running.into_iter().chain(start) {
        scene.sets(right, false);
        let from = scene.own.controller.log().chars().count();
        scene.until(right, &format!("something fails without: {}", right.is_called()), &|scene, said| {
            right.is_said(said) || scene.log(from).contains(&right.refusal())
        });
        scene.sets(right, true);
    }
    scene.own.controller.end("KILL").unwrap();
    let from = scene.own.controller.log().chars().count();
    scene.own.spawn();
    scene.own.wait_ready();
    assert!(!scene.log(from).contains("is forbidden"), "with all of them it is at work again");
}
