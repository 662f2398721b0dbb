//! Secret values planted wherever an event can hold one: none may be found in what is kept.

use serde_json::json;

use super::*;

/// Plants numbered values and remembers what must not be found again.
#[derive(Default)]
struct Planter(Vec<String>);

impl Planter {
    fn canary(&mut self) -> String {
        self.remember(format!("CANARY-{:03}-x7Qp", self.0.len()))
    }

    fn remember(&mut self, secret: String) -> String {
        self.0.push(secret.clone());
        secret
    }

    /// A value of a known maker's shape.
    fn shaped(&mut self, before: &str, characters: &str, length: usize) -> String {
        let text: String = characters.chars().cycle().skip(self.0.len()).take(length).collect();
        self.remember(format!("{before}{text}"))
    }

    fn jwt(&mut self) -> String {
        let payload = format!("CANARY{:03}cGF5bG9hZA", self.0.len());
        self.remember(payload.clone());
        format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl")
    }
}

fn at(resource: &str, subresource: &str) -> Value {
    let mut event = mk_event();
    event["objectRef"]["resource"] = json!(resource);
    if !subresource.is_empty() {
        event["objectRef"]["subresource"] = json!(subresource);
    }
    event
}

fn of(resource: &str, request: Value) -> Value {
    let mut event = at(resource, "");
    event["requestObject"] = request;
    event
}

fn secrets_and_config_maps(p: &mut Planter) -> Vec<Value> {
    let secret = json!({"kind": "Secret", "metadata": {"annotations": {"a": p.canary(), "kubectl.kubernetes.io/last-applied-configuration": p.canary()}},
        "data": {"a": p.canary()}, "stringData": {"b": p.canary()}});
    let config_map = json!({"kind": "ConfigMap", "data": {"a": p.canary()}, "binaryData": {"b": p.canary()}});
    let merge_patch = json!({"data": {"a": p.canary()}, "stringData": {"b": p.canary()}, "kind": "Other"});
    let json_patch = json!([{"op": "add", "path": "/data/a", "value": p.canary()}, {"op": "replace", "path": "/data", "value": {"a": p.canary()}}]);
    let list = json!({"kind": "SecretList", "items": [{"metadata": {"annotations": {"b": p.canary()}}, "data": {"a": p.canary()}}]});
    let table = json!({"kind": "Table", "rows": [{"cells": ["a"], "object": {"metadata": {"annotations": {"b": p.canary()}}}}]});
    let mut mute = of("secrets", json!({"data": {"a": p.canary()}}));
    mute["objectRef"] = json!(5);
    mute["requestURI"] = json!("/api/v1/namespaces/a/secrets/b");
    let mut response = at("configmaps", "");
    response["responseObject"] = config_map;
    let nested = json!({"kind": "Template", "objects": [{"kind": "Secret", "data": {"a": p.canary()}}, {"kind": "ConfigMap", "data": {"a": p.canary()}}],
        "list": {"kind": "ConfigMapList", "items": [{"data": {"a": p.canary()}}]}});
    vec![
        of("secrets", secret),
        response,
        of("secrets", merge_patch),
        of("secrets", json_patch),
        of("secrets", list),
        of("secrets", table),
        of("secrets", json!(p.canary())),
        mute,
        of("templates", nested),
    ]
}

fn tokens_and_kubectl_copies(p: &mut Planter) -> Vec<Value> {
    let mut token = at("serviceaccounts", "token");
    token["responseObject"] = json!({"kind": "TokenRequest", "status": {"token": p.canary()}});
    let review = of("tokenreviews", json!({"spec": {"token": p.canary()}}));
    let copy = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": p.canary()}}});
    let copy_patch = json!([{"op": "add", "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", "value": p.canary()}]);
    let embedded =
        json!({"kind": "Pod", "spec": {"containers": [{"env": [{"name": "A", "value": p.canary()}]}]}}).to_string();
    let other_copy = json!({"metadata": {"annotations": {"objectset.example.com/applied": embedded}}});
    vec![token, review, of("pods", copy), of("pods", copy_patch), of("pods", other_copy)]
}

fn workloads(p: &mut Planter) -> Vec<Value> {
    let container = json!({"name": "c",
        "env": [{"name": "A", "value": p.canary()}, {"name": "B", "value": p.canary()}],
        "command": ["sh", "-c", format!("mysql --password={} -h db", p.canary())],
        "args": ["--token", p.canary(), format!("--api-key={}", p.canary()), format!("PASSWORD={} run", p.canary()),
            format!("curl -H 'Authorization: Bearer {}' http://x", p.canary()), format!("https://bob:{}@host/x", p.canary()),
            format!("curl -u bob:{} http://x", p.canary()), p.jwt(), p.shaped("AKIA", "ABCDEFGH23456789", 16),
            p.shaped("ghp_", "a1B2c3D4e5F6g7H8i9", 36), p.shaped("github_pat_", "a1B2c3D4e5", 40), p.shaped("xoxb-", "1234567890", 24)]});
    let pod = json!({"kind": "Deployment", "spec": {"template": {"spec": {"initContainers": [container.clone()], "containers": [container]}}}});
    let env_patch = json!([
        {"op": "add", "path": "/spec/containers/0/env", "value": [{"name": "A", "value": p.canary()}]},
        {"op": "add", "path": "/spec/containers/0/env/-", "value": {"name": "A", "value": p.canary()}},
        {"op": "replace", "path": "/spec/containers/0/env/0/value", "value": p.canary()},
        {"op": "replace", "path": "/spec/database/password", "value": p.canary()},
    ]);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", p.canary());
    let custom = json!({"spec": {"password": p.canary(), "clientSecret": p.canary(), "apiKey": p.canary(), "credentials": [p.canary()],
        "tls": key, "valuesContent": format!("db:\n  password: {}\n", p.canary()), "encryptionKey": p.shaped("", "0123456789abcdef", 64),
        "params": [{"name": "DB_PASSWORD", "value": p.canary()}], "byToken": {p.jwt(): "x"}, "adminPassword": 839_201_774, "auths": {"r.io": {"auth": p.shaped("", "Ym9iOmh1bnRlcjI", 20)}},
        "probe": {"httpHeaders": [{"name": "Authorization", "value": p.canary()}]},
        "secret_access_key": p.shaped("", "wJalrXUtnFEMIK7MDENGbPxRfiCY/+", 40)}});
    p.remember("839201774".into());
    vec![of("deployments", pod), of("pods", env_patch), of("databases", custom)]
}

fn request_lines(p: &mut Planter) -> Vec<Value> {
    let queries = [
        format!("/x?token={}", p.canary()),
        format!("/x?access_token={}&watch=1", p.canary()),
        format!("/x?X-Amz-Signature={}", p.canary()),
        format!("/x?%70assword={}", p.canary()),
        format!("/exec?command=mysql&command=--password%3D{}", p.canary()),
        format!("/exec?command=mysql&command=--password&command={}", p.canary()),
        format!("/exec?command=sh&command=-c&command=curl+-H+%22Authorization%3A%20Bearer+{}%22", p.canary()),
        format!("http://bob:{}@host/x", p.canary()),
        format!("/proxy/{}", p.jwt()),
    ];
    queries.into_iter().map(|uri| with("requestURI", json!(uri))).collect()
}

fn client_text(p: &mut Planter) -> Vec<Value> {
    vec![
        with("userAgent", json!(format!("curl token={}", p.canary()))),
        with("auditID", json!(p.jwt())),
        with("verb", json!(p.shaped("ghp_", "a1B2c3D4e5F6g7H8i9", 36))),
        with("annotations", json!({"x": format!("password={}", p.canary()), p.jwt(): "y"})),
        with(
            "responseStatus",
            json!({"code": 400, "message": format!("bad header Authorization: Basic {}", p.canary())}),
        ),
        with(
            "responseStatus",
            json!({"code": 422, "message": format!("spec.adminPassword: Invalid value: \"{}\": too short", p.canary())}),
        ),
        with(
            "responseStatus",
            json!({"code": 400, "message": format!("error found in #10 byte of ...|\"a\":\"{}\"", p.canary())}),
        ),
        with(
            "responseStatus",
            json!({"code": 422, "details": {"causes": [
                {"field": "spec.password", "message": format!("Invalid value: \"{}\": too short", p.canary())},
                {"field": "spec.db[0].apiToken.plain", "message": format!("Invalid value: \"{}\": too short", p.canary())},
                {"field": "data[access_key]", "message": format!("Invalid value: \"{}\": too short", p.canary())},
            ]}}),
        ),
        with("user", json!({"username": p.jwt(), "groups": [p.jwt()], "extra": {"a": [p.jwt()]}})),
        with("objectRef", json!({"resource": "pods", "name": p.jwt()})),
        with("unknownField", json!({"password": p.canary()})),
    ]
}

#[test]
fn no_planted_secret_survives() {
    let mut p = Planter::default();
    let plants = [secrets_and_config_maps, tokens_and_kubectl_copies, workloads, request_lines, client_text];
    let events: Vec<Value> = plants.iter().flat_map(|plant| plant(&mut p)).collect();
    assert!(p.0.len() >= 50, "{} planted", p.0.len());
    let sent: String = events.iter().map(Value::to_string).collect();
    for secret in &p.0 {
        assert!(sent.contains(secret.as_str()), "{secret} was never planted");
    }
    for event in events {
        let redacted = redact_value(&event);
        let kept = format!("{} {:?}", redacted.canonical.get(), redacted.facts);
        for secret in &p.0 {
            assert!(!kept.contains(secret.as_str()), "{secret} survives in {kept}");
        }
        assert!(!redacted.facts.redacted.is_empty(), "{kept}");
    }
}

/// What a named case plants; nothing that holds it may be kept.
const PLANTED: &str = "hunter2X";

fn text(text: &str) -> Value {
    of("pods", json!({"spec": {"x": text}}))
}

fn spec(spec: Value) -> Value {
    of("databases", json!({"spec": spec}))
}

fn uri(uri: &str) -> Value {
    with("requestURI", json!(uri))
}

fn no_case_survives(cases: Vec<(&str, Value)>) {
    let mut survivors = Vec::new();
    for (name, event) in cases {
        assert!(event.to_string().contains(PLANTED), "{name}: nothing is planted");
        let once = redact_value(&event);
        let kept = format!("{} {:?}", once.canonical.get(), once.facts);
        if kept.contains(PLANTED) {
            survivors.push(format!("{name}: {kept}"));
        }
        let twice = redact_bytes(once.canonical.get().as_bytes()).unwrap();
        assert_eq!(once.canonical.get(), twice.canonical.get(), "{name}: again");
    }
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}

#[test]
fn passwords_named_pass_are_hidden() {
    no_case_survives(vec![
        ("exec URI", uri("/exec?command=env&command=DB_PASS%3Dhunter2X")),
        ("exec URI, flag", uri("/exec?command=x&command=--pass&command=hunter2X")),
        ("next argument", spec(json!({"args": ["--pass", "hunter2X"]}))),
        ("same argument", spec(json!({"args": ["--pass=hunter2X"]}))),
        ("shell", spec(json!({"command": ["sh", "-c", "DB_PASS=hunter2X ./run"]}))),
        ("camel case key", spec(json!({"smtpPass": "hunter2X"}))),
        ("camel case text", text("smtpPass=hunter2X")),
        ("key", spec(json!({"credentials": {"username": "bob", "pass": "hunter2X"}}))),
        ("INI, pass", text("[db]\npass = hunter2X\n")),
        ("INI, pwd", text("[db]\npwd=hunter2X\n")),
        ("redis", text("redis-server --requirepass hunter2X")),
    ]);
}

#[test]
fn passwords_in_text_are_hidden_to_their_end() {
    no_case_survives(vec![
        ("ampersand", text("password: ab&hunter2X")),
        ("comma", text("PGPASSWORD=abc,hunter2X run")),
        ("escaped quote", text(r#"password: "ab\"hunter2X""#)),
        ("words", text("passphrase: correct horse hunter2X")),
        ("unclosed quote", text("password: \"a hunter2X")),
        ("block", text("token: |-\n    line1\n    hunter2X\nuser: bob")),
        ("folded block with an empty line", text("a:\n  - token: >\n      line1\n\n      hunter2X\n    b: c")),
        ("escaped JSON", text(r#"x {\"password\":\"a hunter2X\"}"#)),
    ]);
}

#[test]
fn wrapped_private_keys_are_hidden_to_their_end() {
    let first = format!("LS0tLS1CRUdJTiBSU0Eg{}", "A".repeat(56));
    let rest = format!("hunter2X{}", "B".repeat(68));
    no_case_survives(vec![
        ("block", text(&format!("client-key-data: |\n  {first}\n  {rest}\n"))),
        ("no name", text(&format!("x: |\n  {first}\n  {rest}\n  {rest}\n  hunter2XC=\n"))),
        ("short end without padding", text(&format!("x: |\n  {first}\n  {rest}\n  hunter2X\ny: z"))),
        ("escaped line breaks", text(&format!(r"echo {first}\n{rest}\n"))),
    ]);
    let kept = redact_value(&text(&format!("key: {first}\ntoken: hunter2X\nuser: bob"))).canonical;
    assert!(!kept.get().contains(PLANTED) && kept.get().contains("user: bob"), "{kept}");
}

#[test]
fn secrets_within_yaml_and_templates_are_hidden() {
    no_case_survives(vec![
        ("heredoc", text("kubectl apply -f - <<E\nkind: Secret\nstringData:\n  dsn: hunter2X\nE")),
        ("values", spec(json!({"valuesContent": "env:\n- name: DB_PASSWORD\n  value: hunter2X"}))),
        ("template", spec(json!({"template": {"stringData": {"dsn": "hunter2X"}}}))),
        ("external secret", spec(json!({"target": {"template": {"data": {"dsn": "hunter2X"}}}}))),
        ("JSON patch", of("x", json!([{"op": "add", "path": "/stringData/dsn", "value": "hunter2X"}]))),
        ("JSON patch of all", of("x", json!([{"op": "add", "path": "/stringData", "value": {"dsn": "hunter2X"}}]))),
        ("cloud-init", text("chpasswd:\n  list: |\n    root:hunter2X\n")),
        ("chpasswd", text("echo root:hunter2X | chpasswd")),
    ]);
}

#[test]
fn objects_under_secret_names_are_hidden() {
    no_case_survives(vec![
        ("value", spec(json!({"password": {"value": "hunter2X"}}))),
        ("JSON patch", of("x", json!([{"op": "add", "path": "/spec/password/value", "value": "hunter2X"}]))),
        ("default", spec(json!({"params": [{"name": "db-password", "default": "hunter2X"}]}))),
        ("secretId", spec(json!({"secretId": "hunter2X"}))),
        ("keyData", spec(json!({"keyData": "hunter2X"}))),
        ("environment map", spec(json!({"extraEnvironmentVars": {"DSN": "hunter2X"}}))),
        ("environment list", spec(json!({"podEnvVariables": [{"name": "DSN", "value": "hunter2X"}]}))),
    ]);
}

#[test]
fn secrets_of_urls_are_hidden() {
    no_case_survives(vec![
        ("slash", text("postgres://u:ab/hunter2X@h/x")),
        ("at sign", text("postgres://u:ab@hunter2X@h/x")),
        ("Go's MySQL", text("root:hunter2X@tcp(db:3306)/x")),
        ("signature", text("https://x.blob.core.windows.net/c?sv=1&sig=hunter2X")),
        ("Discord", text("https://discord.com/api/webhooks/1234/hunter2X")),
        ("Telegram", text("https://api.telegram.org/bot12:hunter2X/sendMessage")),
        ("Office", text("https://a.webhook.office.com/webhookb2/hunter2X")),
    ]);
}

#[test]
fn copies_and_refusals_of_secrets_are_hidden() {
    let refusal = r#"Secret "x" is invalid: data[dsn]: Invalid value: "hunter2X": bad"#;
    let cause = json!({"causes": [{"field": "data[dsn]", "message": "Invalid value: \"hunter2X\": bad"}]});
    let status = |resource: &str, field: &str, status: Value| {
        let mut event = at(resource, "");
        event[field] = status;
        event
    };
    no_case_survives(vec![
        ("Docker", text(r#"echo {"auths":{"r.io":{"auth":"hunter2X"}}} > x"#)),
        (
            "message",
            status("secrets", "responseStatus", json!({"code": 422, "message": refusal, "details": cause.clone()})),
        ),
        (
            "body",
            status("configmaps", "responseObject", json!({"kind": "Status", "message": refusal, "details": cause})),
        ),
        ("Rancher", of("pods", json!({"metadata": {"annotations": {"objectset.rio.cattle.io/applied": "hunter2X"}}}))),
    ]);
}

#[test]
fn groups_of_the_system_survive_any_number_of_others() {
    let mut groups: Vec<String> = vec!["system:masters".into()];
    groups.extend((0..40).map(|i| format!("g{i}")));
    let read = |groups: &[String]| -> Vec<String> {
        let redacted = redact_value(&with("user", json!({"username": "bob", "groups": groups})));
        let event: AuditEvent<'_> = serde_json::from_str(redacted.canonical.get()).unwrap();
        event.user.groups.iter().map(ToString::to_string).collect()
    };
    assert_eq!(read(&groups), groups);
    groups.extend((40..600).map(|i| format!("g{i}")));
    groups.push("system:authenticated".into());
    let kept = read(&groups);
    assert_eq!(kept.len(), 512);
    assert_eq!((kept.first(), kept.last()), (groups.first(), groups.last()));
}

#[test]
fn names_and_references_survive() {
    let spec = json!({
        "bypass": "a", "byPass": "a", "compass": "a", "secretName": "a", "secretRef": {"name": "a"},
        "secretKeyRef": {"name": "a", "key": "password"}, "tokenExpirationSeconds": 3600, "serviceAccountName": "a",
        "summary": {"pass": 3}, "secret": {"secretName": "a", "defaultMode": 420}, "args": ["--bypass=a", "compass: a", "bypass=a"],
        "imageID": "docker-pullable://r.io:5000/app@sha256:0123", "resourceNames": ["db-password"],
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"hostPath": {"path": "/"}}},
    });
    let redacted = redact_value(&of("pods", spec.clone()));
    let read: Value = serde_json::from_str(redacted.canonical.get()).unwrap();
    assert_eq!(read["requestObject"], spec);
}
