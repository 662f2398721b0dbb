//! Secret values planted wherever an API server can meet one, through kubectl and by a policy that audits everything: none
//! of them may be found in what the controller keeps or says.

use super::seen::{self, event, event_list, post, text};
use super::steps::Mark;
use crate::support::{ClusterOptions, Kubectl, WatchedCluster, wait_until};
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, Engine};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// Stands in every alert: what must be found, so that finding nothing else means something.
const CONTROL: &str = "control-pod-4711";

/// Makes secret values, each once, and remembers where it put them.
#[derive(Default)]
struct Planter {
    planted: Vec<(String, String)>,
}

impl Planter {
    /// A value without any look of its own: only its place says that it is secret.
    fn value(&mut self, place: &str) -> String {
        let number = self.planted.len();
        self.remember(place, format!("pLanted{number:03}Q{:07x}z", 0x51f_0a7b ^ (number * 0x9e_3779)))
    }

    /// A value with characters that an encoding changes.
    fn special(&mut self, place: &str) -> String {
        let value = self.value(place);
        let special = format!("{value}/+~é=");
        self.remember(place, special)
    }

    fn jwt(&mut self, place: &str) -> String {
        let subject = BASE64_URL_SAFE.encode(format!("{{\"sub\":\"{}\"}}", self.planted.len()));
        let payload = self.remember(place, format!("{}{}", subject.trim_end_matches('='), self.planted.len()));
        let signature = self.value(place);
        format!("eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.{payload}.{signature}")
    }

    fn remember(&mut self, place: &str, value: String) -> String {
        self.planted.push((place.to_owned(), value.clone()));
        value
    }
}

/// The ways in which a value can stand in a text.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    let json = Value::from(value).to_string();
    forms.push(json.trim_matches('"').to_owned());
    // In base64 a value looks in three ways, by what stands before it; the first and last characters depend on neighbours.
    for before in ["", "x", "xx"] {
        let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{before}{value}"));
        let skip = if before.is_empty() { 0 } else { before.len() + 1 };
        let core: String = encoded.chars().skip(skip).collect();
        let core: String = core.chars().take(core.len().saturating_sub(2)).collect();
        forms.push(core.replace('+', "-").replace('/', "_"));
        forms.push(core);
    }
    let escaped = |all: bool, format: fn(u8) -> String| -> String {
        let one = |b: u8| if !all && b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format(b) };
        value.bytes().map(one).collect()
    };
    forms.push(escaped(false, |b| format!("%{b:02X}")));
    forms.push(escaped(false, |b| format!("%{b:02x}")));
    forms.push(escaped(true, |b| format!("%{b:02X}")));
    forms.push(escaped(true, |b| format!("{b:02x}")));
    forms.sort();
    forms.dedup();
    forms
}

/// The planted values that stand in `text` in any form: where each was planted, and what stands around it.
fn found<'a>(planter: &'a Planter, text: &str) -> Vec<(&'a str, String)> {
    let all = planter.planted.iter().flat_map(|(place, value)| forms(value).into_iter().map(move |f| (place, f)));
    let around = |form: &str| {
        let (before, after) = text.split_once(form)?;
        let before: String = before.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
        Some(format!("{before}{form}{}", after.chars().take(60).collect::<String>()))
    };
    all.filter_map(|(place, form)| Some((place.as_str(), around(&form)?))).collect()
}

fn apply(kubectl: &Kubectl, object: Value) {
    kubectl.stdin(object.to_string()).run(&["apply", "-n", "vault", "-f", "-"]).success().unwrap();
}

/// Whatever comes of it.
fn attempt(kubectl: &Kubectl, arguments: &[&str]) {
    let mut all = vec!["-n", "vault"];
    all.extend(arguments);
    kubectl.run(&all);
}

fn secrets_and_config_maps(admin: &Kubectl, p: &mut Planter) {
    let literal = |value: String| format!("--from-literal=a={value}");
    for kind in ["secret generic", "configmap"] {
        let (value, special) = (literal(p.value(kind)), literal(p.special(kind)));
        let words: Vec<&str> = kind.split(' ').collect();
        let name = format!("made-{}", words[0]);
        let create = |name: &str, value: &str| {
            let mut arguments = vec!["create"];
            arguments.extend(&words);
            arguments.extend([name, value]);
            attempt(admin, &arguments);
        };
        create(&name, &value);
        create(&format!("{name}-2"), &special);
    }
    let password = format!("--docker-password={}", p.value("docker registry"));
    attempt(
        admin,
        &["create", "secret", "docker-registry", "registry", "--docker-server=r.io", "--docker-username=u", &password],
    );
    let data = BASE64_STANDARD.encode(p.value("applied data"));
    let secret = |version: String| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "applied"}, "data": {"a": data}, "stringData": {"b": version}});
    apply(admin, secret(p.value("applied stringData")));
    apply(admin, secret(p.special("applied again: in the patch and in last-applied-configuration")));
    apply(
        admin,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"password": p.value("applied ConfigMap")}}),
    );
    let annotation = format!("vault.example.com/token={}", p.value("annotation of a Secret"));
    attempt(admin, &["annotate", "secret", "applied", &annotation]);
    let merge = json!({"stringData": {"c": p.value("merge patch of a Secret")}}).to_string();
    attempt(admin, &["patch", "secret", "applied", "--type=merge", "-p", &merge]);
    let value = BASE64_STANDARD.encode(p.value("JSON patch of a Secret"));
    let patch = json!([{"op": "add", "path": "/data/d", "value": value}]).to_string();
    attempt(admin, &["patch", "secret", "applied", "--type=json", "-p", &patch]);
}

/// A pod spec that gets its secrets in all the ways that people know.
fn pod_spec(p: &mut Planter) -> Value {
    json!({"containers": [{
        "name": "app", "image": "app",
        "env": [{"name": "DB_PASSWORD", "value": p.special("env")}, {"name": "ORDINARY", "value": p.value("env of any name")}],
        "command": ["sh", "-c", format!("export API_KEY={}; run --password={}", p.value("command line"), p.value("flag in a command line"))],
        "args": [
            format!("--password={}", p.value("args flag=value")), "--token", p.value("args flag value"),
            format!("postgres://app:{}@db/app", p.value("URL with a password")), p.jwt("args JWT"),
            format!("Authorization: Bearer {}", p.value("header in args")),
        ],
        "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": p.value("header of a probe")}]}},
    }]})
}

fn workloads(admin: &Kubectl, p: &mut Planter) {
    let metadata = json!({"name": CONTROL, "annotations": {"vault.example.com/token": p.value("annotation of a pod")}});
    apply(admin, json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(p)}));
    let env = format!("--env=PASSWORD={}", p.value("kubectl run --env"));
    let argument = format!("--api-key={}", p.value("kubectl run -- flag"));
    attempt(admin, &["run", "runner", "--image=x", &env, "--", "serve", &argument]);
    let labels = json!({"app": "a"});
    let deployment = |spec: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}})
    };
    apply(admin, deployment(pod_spec(p)));
    apply(admin, deployment(pod_spec(p)));
    let env = format!("SESSION_SECRET={}", p.value("kubectl set env"));
    attempt(admin, &["set", "env", "deployment/shop", &env]);
    let patch = json!([
        {"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": p.value("JSON patch of env")},
        {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "X", "value": p.value("JSON patch adds env")}},
        {"op": "add", "path": "/metadata/annotations/vault.example.com~1token", "value": p.value("JSON patch of an annotation")},
    ]);
    attempt(admin, &["patch", "deployment", "shop", "--type=json", "-p", &patch.to_string()]);
    let merge = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "Y", "value": p.value("strategic patch of env")}]}]}}}});
    attempt(admin, &["patch", "deployment", "shop", "-p", &merge.to_string()]);
    let env = format!("--env=PGPASSWORD={}", p.value("kubectl debug --env"));
    attempt(admin, &["debug", CONTROL, "--image=x", &env, "--attach=false", "--", "true"]);
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a", "env": [{"name": "A", "value": p.value("env of a Job")}]}]}}}});
    apply(admin, job);
}

/// The requests' own lines: URI and user agent.
fn requests(watched: &WatchedCluster, admin: &Kubectl, p: &mut Planter) {
    for name in ["token", "access_token", "password", "X-Amz-Signature", "Authorization", "client_secret"] {
        let uri = format!("/api/v1/namespaces/vault/pods/{CONTROL}?{name}={}", p.value("query parameter"));
        attempt(admin, &["get", "--raw", &uri]);
    }
    let bearer = format!("/api/v1/namespaces/vault/pods?authorization=Bearer%20{}", p.value("bearer in a query"));
    let twice: String = p.value("query, encoded").bytes().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").unwrap();
        text
    });
    let jwt = format!("/api/v1/namespaces/vault/pods?x={}", p.jwt("JWT in a query"));
    let selector = format!("/api/v1/namespaces/vault/pods?labelSelector=token%3D{}", p.value("label selector"));
    let bad_selector =
        format!("/api/v1/namespaces/vault/pods?labelSelector=token%3D{}!!", p.value("bad label selector"));
    let field = format!("/api/v1/namespaces/vault/pods?fieldSelector=spec.password%3D{}", p.value("field selector"));
    let proxied = p.value("query of a proxied request");
    let proxy = format!("/api/v1/namespaces/vault/services/web/proxy/login?user=bob&pass_word={proxied}");
    for uri in [bad_selector, field, proxy] {
        attempt(admin, &["get", "--raw", &uri]);
    }
    for uri in [bearer, format!("/api/v1/namespaces/vault/pods?p%61ssword={twice}"), jwt, selector] {
        attempt(admin, &["get", "--raw", &uri]);
    }
    let flag = format!("--password={}", p.value("exec flag=value"));
    attempt(admin, &["exec", CONTROL, "--", "mysql", &flag]);
    attempt(admin, &["exec", CONTROL, "--", "mysql", "--password", &p.value("exec flag value")]);
    for command in [
        vec!["curl".to_owned(), "-u".to_owned(), format!("bob:{}", p.value("exec curl -u"))],
        vec!["mysql".to_owned(), format!("-p{}", p.value("exec mysql -p"))],
        vec!["redis-cli".to_owned(), "-a".to_owned(), p.value("exec redis-cli -a")],
        vec!["sh".to_owned(), "-c".to_owned(), format!("mysqldump -uroot -p{} shop", p.value("exec sh mysqldump -p"))],
        vec!["sshpass".to_owned(), "-p".to_owned(), p.value("exec sshpass -p"), "ssh".to_owned(), "x".to_owned()],
    ] {
        let mut arguments = vec!["exec", CONTROL, "--"];
        arguments.extend(command.iter().map(String::as_str));
        attempt(admin, &arguments);
    }
    let script = format!(
        "PGPASSWORD={} psql; curl -H 'Authorization: Bearer {}' http://x",
        p.special("exec assignment"),
        p.value("exec header")
    );
    attempt(admin, &["exec", CONTROL, "--", "sh", "-c", &script]);
    let token = admin.run(&["-n", "vault", "create", "token", "default"]).success().unwrap();
    let token = p.remember("an issued token", token.trim().to_owned());
    // The first part, which names the algorithm, is the same for all.
    token.split('.').skip(1).for_each(|part| drop(p.remember("a part of an issued token", part.to_owned())));
    let port = watched.server().rsplit(':').next().unwrap().parse().unwrap();
    for agent in [p.jwt("user agent"), format!("app/1.0 token={}", p.value("assignment in a user agent"))] {
        let mut stream = seen::connect(port, watched.ca_pem()).unwrap();
        let head = [format!("Authorization: Bearer {token}"), format!("User-Agent: {agent}")];
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let line = format!("GET /api/v1/namespaces/vault/pods/{CONTROL}");
        assert_eq!(seen::request(&mut stream, &line, &head, b"").unwrap().code, 403);
    }
}

/// Requests that fail, with messages that quote what was sent.
fn refusals(admin: &Kubectl, p: &mut Planter) {
    let secret = json!({"type": "string", "minLength": 200});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "password": secret, "apiToken": secret, "auth": {"type": "object", "properties": {"clientSecret": secret}}}}}}});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "databases.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "databases", "kind": "Database"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    apply(admin, crd);
    admin.run(&["wait", "--for=condition=Established", "crd/databases.example.com"]).success().unwrap();
    let spec = json!({"password": p.value("validation message"), "apiToken": p.special("validation message"),
        "auth": {"clientSecret": p.value("validation message, nested")}});
    let database =
        json!({"apiVersion": "example.com/v1", "kind": "Database", "metadata": {"name": "orders"}, "spec": spec})
            .to_string();
    let refused = |arguments: &[&str], input: &str| {
        wait_until("the API server refuses it as invalid", SOON, || {
            let output = admin.stdin(input).run(arguments);
            assert!(!output.ok, "{output:?}");
            output.stderr.contains("nvalid").then_some(output.stderr)
        })
        .unwrap()
    };
    let said = refused(&["create", "-n", "vault", "--validate=false", "-f", "-"], &database);
    assert!(p.planted.iter().any(|(_, value)| said.contains(value.as_str())), "the message quotes the value: {said}");
    for url in [
        format!("https://bob:{}@hooks.example.com/x", p.value("user of a URL that is refused")),
        format!("https://hooks.example.com/x?token={}", p.value("query of a URL that is refused")),
    ] {
        let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "hook"},
            "webhooks": [{"name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {"url": url}}]});
        refused(&["create", "--validate=false", "-f", "-"], &hook.to_string());
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": [
        {"name": "a", "image": "a", "env": [{"name": format!("PASSWORD={} ", p.value("name of a variable")), "value": "x"}]}]}});
    refused(&["create", "-n", "vault", "--validate=false", "-f", "-"], &pod.to_string());
}

/// Events as a policy would make them that audits everything at RequestResponse.
fn careless_policy(p: &mut Planter) -> Vec<Value> {
    let mut events = Vec::new();
    let mut add = |resource: &str, more: Value| {
        let mut event = event(&format!("careless-{}", events.len()), more);
        event["level"] = json!("RequestResponse");
        event["objectRef"] = json!({"resource": resource, "namespace": "vault", "name": CONTROL, "apiVersion": "v1"});
        events.push(event);
    };
    let secret = |p: &mut Planter| {
        let copy = json!({"stringData": {"a": p.value("last-applied-configuration")}}).to_string();
        json!({"kind": "Secret", "apiVersion": "v1",
            "metadata": {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": copy, "note": p.value("annotation of a Secret")}},
            "data": {"a": BASE64_STANDARD.encode(p.value("data")), "b": p.value("data that is no base64")},
            "stringData": {"c": p.special("stringData")}})
    };
    add("secrets", json!({"verb": "create", "requestObject": secret(p), "responseObject": secret(p)}));
    add(
        "secrets",
        json!({"verb": "list", "responseObject": {"kind": "SecretList", "apiVersion": "v1", "items": [secret(p)]}}),
    );
    add(
        "secrets",
        json!({"verb": "patch", "requestObject": [{"op": "replace", "path": "/data", "value": {"a": p.value("JSON patch")}}]}),
    );
    let table = json!({"kind": "Table", "rows": [{"cells": ["s", "Opaque"], "object": secret(p)}]});
    add("secrets", json!({"verb": "list", "responseObject": table}));
    let map = json!({"kind": "ConfigMap", "data": {"app.ini": format!("password={}", p.value("ConfigMap"))}, "binaryData": {"b": p.value("binaryData")}});
    add("configmaps", json!({"verb": "create", "requestObject": map}));
    let token = json!({"kind": "TokenRequest", "status": {"token": p.jwt("TokenRequest")}});
    add("serviceaccounts", json!({"verb": "create", "responseObject": token}));
    let review = json!({"kind": "TokenReview", "spec": {"token": p.value("TokenReview")}});
    add("tokenreviews", json!({"verb": "create", "requestObject": review}));
    let pod = json!({"kind": "Pod", "metadata": {"name": CONTROL}, "spec": pod_spec(p)});
    let copy = json!({"kind": "Pod", "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": pod.to_string()}}, "spec": pod_spec(p)});
    add("pods", json!({"verb": "create", "requestObject": pod, "responseObject": copy}));
    let causes = |p: &mut Planter| {
        json!([
            {"reason": "FieldValueInvalid", "field": "spec.password", "message": format!("Invalid value: \"{}\": too short", p.value("cause of a refusal"))},
            {"reason": "FieldValueInvalid", "field": "spec.db[0].apiToken", "message": format!("Invalid value: \"{}\": too short", p.value("cause of a refusal"))},
        ])
    };
    let status = json!({"kind": "Status", "status": "Failure", "code": 422, "details": {"causes": causes(p)},
        "message": format!("Database is invalid: spec.password: Invalid value: \"{}\": too short", p.value("message of a refusal"))});
    add(
        "databases",
        json!({"verb": "create", "responseObject": status, "responseStatus": {"code": 422, "message": status["message"], "details": {"causes": causes(p)}}}),
    );
    let custom = json!({"kind": "Database", "spec": {"password": p.special("custom resource"), "apiToken": p.value("custom resource"),
        "auth": {"clientSecret": p.value("custom resource")}, "values": format!("db:\n  password: {}\n", p.value("YAML in a string"))}});
    add("databases", json!({"verb": "create", "requestObject": custom}));
    let release = json!({"kind": "List", "items": [secret(p), {"kind": "ConfigMap", "data": {"a": p.value("ConfigMap in a list")}}]});
    add("releases", json!({"verb": "create", "requestObject": release}));
    let user = json!({"username": "eve", "groups": [p.jwt("group")], "extra": {"token": [p.jwt("user extra")]}});
    add(
        "pods",
        json!({"user": user, "userAgent": p.jwt("user agent"), "requestURI": format!("/api/v1/pods?token={}", p.special("query"))}),
    );
    add(
        "pods",
        json!({"annotations": {"note": format!("password={}", p.value("audit annotation"))}, "unknown": {"secret": p.value("unknown field")}}),
    );
    events
}

/// Takes every event of the namespace and says all that it can about it.
fn rules() -> Vec<String> {
    let rule = |name: &str, key: &str, summary: &str| {
        json!({
            "apiVersion": "kubewitness.io/v1alpha1", "kind": "ClusterSecurityRule", "metadata": {"name": name},
            "spec": {
                "title": name, "severity": "High",
                "selectors": [{"name": "touched", "source": "Audit", "where": "audit.objectRef.namespace == \"vault\""}],
                "groupBy": [{"name": "key", "value": key}], "alert": {"summary": summary},
            },
        })
        .to_string()
    };
    vec![
        rule(
            "by-object",
            "audit.objectRef.name",
            "{key.key}: {audit.requestURI} {audit.userAgent} {audit.responseStatus.message}",
        ),
        rule("by-uri", "audit.requestURI", "{key.key}"),
        rule("by-agent", "audit.userAgent", "{key.key}"),
        rule("by-answer", "audit.responseStatus.message", "{key.key}"),
        rule("by-env", "audit.requestObject.spec.containers[0].env[0].value", "{key.key}"),
        rule("by-password", "audit.requestObject.spec.password", "{key.key}"),
        rule("by-argument", "audit.requestObject.spec.containers[0].args[1]", "{key.key}"),
    ]
}

/// Text that the controller leaves behind, by its name; the last one is all files of its directory as they are.
fn left_behind(watched: &WatchedCluster, metrics: String, answers: String) -> Vec<(&'static str, String)> {
    let admin = watched.kubectl();
    let json = |resource: &str| admin.run(&["get", resource, "-A", "-o", "json"]).success().unwrap();
    let rules = json("clustersecurityrules");
    let records = seen::records(&watched.store()).into_iter();
    let records: String = records.map(|record| serde_json::to_string(&record).unwrap() + "\n").collect();
    let mut files = String::new();
    for entry in std::fs::read_dir(watched.store()).unwrap() {
        files += &String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap());
    }
    vec![
        ("alerts", json("securityalerts")),
        ("rules with their statuses", rules),
        ("log", watched.controller().log()),
        ("metrics", metrics),
        ("answers of ingest", answers),
        ("records", records),
        ("files", files),
    ]
}

#[test]
fn no_planted_secret_is_kept_or_said() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    for rule in rules() {
        watched.apply(&rule).unwrap();
        let name = serde_json::from_str::<Value>(&rule).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        let condition = watched.judged("clustersecurityrule", "", &name).unwrap();
        assert_eq!(condition["status"], "True", "{condition}");
    }
    let mark = Mark::start(&watched);
    admin.run(&["create", "namespace", "vault"]).success().unwrap();
    admin.run(&["create", "serviceaccount", "default", "-n", "vault"]);
    let mut p = Planter::default();
    secrets_and_config_maps(&admin, &mut p);
    workloads(&admin, &mut p);
    requests(&watched, &admin, &mut p);
    refusals(&admin, &mut p);
    let by_kubectl = p.planted.len();
    let events = careless_policy(&mut p);
    let mut answers = String::new();
    for body in [
        event_list(&events),
        event_list(&events[..3]),
        b"{\"kind\": \"EventList\", \"items\": [{\"password\": \"".to_vec(),
    ] {
        answers += &post(&watched, &body).body;
    }
    assert!(by_kubectl >= 50 && p.planted.len() - by_kubectl >= 30, "{by_kubectl} of {} planted", p.planted.len());

    // Both ways are open: the API server did send secrets, and a search finds each of those that were posted.
    let sent: String = seen::audit_log(&watched).iter().map(Value::to_string).collect();
    let sent_by_server = found(&p, &sent).len();
    assert!(sent_by_server >= 30, "the API server's own log holds {sent_by_server} of them");
    let posted = String::from_utf8(event_list(&events)).unwrap();
    for (place, value) in &p.planted[by_kubectl..] {
        assert!(forms(value).iter().any(|form| posted.contains(form.as_str())), "{place}: {value} was not posted");
    }

    mark.pass(&watched);
    for (rule, alerts) in
        [("by-uri", 10), ("by-agent", 3), ("by-object", 3), ("by-answer", 3), ("by-env", 1), ("by-password", 1)]
    {
        let got = wait_until(&format!("alerts of {rule}"), SOON, || {
            watched.alerts_of(rule).ok().filter(|found| found.len() >= alerts)
        });
        let alerts = got.unwrap_or_else(|error| panic!("{error}: {:?}", watched.alerts_of(rule)));
        assert!(alerts.iter().any(|alert| alert.to_string().contains("[redacted]")), "{rule}: {alerts:?}");
        assert!(alerts.iter().all(|alert| !text(alert, "/status/evidence/0/message").is_empty()), "{rule}: {alerts:?}");
    }
    let (_, metrics) = watched.admin("/metrics").unwrap();
    watched.end_controller("TERM").unwrap();

    let left = left_behind(&watched, metrics, answers);
    for (name, control) in [
        ("alerts", CONTROL),
        ("rules with their statuses", "by-password"),
        ("log", "controller started"),
        ("metrics", "kubewitness_ingest_events_received_total"),
        ("answers of ingest", "stored"),
        ("records", CONTROL),
        ("records", "careless-0"),
        ("files", "CREATE TABLE"),
    ] {
        let place = left.iter().find(|(place, _)| *place == name).unwrap();
        assert!(place.1.contains(control), "{name}: {control} is not found: {:.2000}", place.1);
    }
    let leaks: Vec<_> =
        left.iter().flat_map(|(name, text)| found(&p, text).into_iter().map(move |leak| (name, leak))).collect();
    assert!(leaks.is_empty(), "{} of {} planted values are left: {leaks:#?}", leaks.len(), p.planted.len());
    eprintln!("{} planted, {by_kubectl} of them through the API server", p.planted.len());
}
