//! The controller's own certificate and its senders' credentials, on a real API server and under the generated roles alone:
//! the first start, renewals under traffic, `webhook-config`, and what goes wrong.

mod cert_manager;
mod foreign;

use super::own::Own;
use super::seen::{audit_log, event, get, records, text};
use crate::support::wait_until;
use base64::prelude::{BASE64_STANDARD, Engine};
use kubewitness::record::Payload;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn first_start_makes_a_certificate_that_readers_of_the_config_map_trust_and_a_second_one_keeps_it() {
    let mut own = Own::start();
    let made = own.secret("kubewitness-tls");
    assert_eq!(made.keys().collect::<Vec<_>>(), ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    for namespace in ["kubewitness", "nodes"] {
        let bundle = own.bundle(namespace);
        assert_eq!(bundle.trim(), made["ca.crt"].trim(), "{namespace}");
        assert_eq!(own.post(&bundle, None, &[]).unwrap(), 401, "{namespace}: the handshake was good");
    }
    assert!(own.post(own.cluster.ca_pem(), None, &[]).is_err(), "another authority is not trusted");
    let now = kubewitness::telemetry::now().as_second() as f64;
    let days = |metric: &str| (own.metric(metric) - now) / 86_400.0;
    assert_eq!(days("kubewitness_ingest_certificate_not_after_timestamp_seconds").round(), 90.0);
    assert_eq!(days("kubewitness_cluster_ca_not_after_timestamp_seconds").round(), 3653.0);

    own.restart();
    assert_eq!(own.secret("kubewitness-tls"), made, "a second start makes nothing anew");
    let admin = own.cluster.kubectl();
    let empty = ["patch", "secret", "kubewitness-tls", "-n", "kubewitness", "--type=json", "-p"];
    admin.run(&[&empty[..], &[r#"[{"op":"remove","path":"/data"}]"#]].concat()).success().unwrap();
    wait_until("the emptied Secret is filled as it was", SOON, || {
        (own.secret("kubewitness-tls") == made).then_some(())
    })
    .unwrap();
    let spoil = ["patch", "configmap", "kubewitness-ca", "-n", "nodes", "-p", r#"{"data":{"ca.crt":"spoilt"}}"#];
    admin.run(&spoil).success().unwrap();
    wait_until("the spoilt ConfigMap is mended", SOON, || {
        (own.bundle("nodes").trim() == made["ca.crt"].trim()).then_some(())
    })
    .unwrap();
    let key = "-----BEGIN PRIVATE KEY-----";
    assert!(made["ca.key"].starts_with(key) && !own.controller.log().contains(key), "no key in the log");
}

#[test]
fn without_its_secret_the_controller_waits_and_says_so() {
    let mut own = Own::start();
    own.stop();
    let admin = own.cluster.kubectl();
    admin.run(&["delete", "secret", "kubewitness-tls", "-n", "kubewitness"]).success().unwrap();
    own.spawn();
    wait_until("the controller tells what is missing", SOON, || {
        own.controller.log().contains("Secret kubewitness/kubewitness-tls does not exist: create it").then_some(())
    })
    .unwrap();
    assert_eq!(get(own.admin_port, "/readyz").unwrap().code, 503);
    assert_eq!(get(own.admin_port, "/livez").unwrap().code, 200, "a restart would not help");
    assert!(own.metric("kubewitness_cluster_tls_errors_total{reason=\"NoSecret\"}") > 0.0);
    admin.run(&["create", "secret", "generic", "kubewitness-tls", "-n", "kubewitness"]).success().unwrap();
    own.wait_ready();
    assert_eq!(own.post(&own.published(), None, &[]).unwrap(), 401);
}

/// Posts events one after the other until told to stop, trusting what `bundle` says each time. The answers.
fn traffic(own: &Own, name: &str, token: &str, stop: &AtomicBool, bundle: &dyn Fn() -> String) -> usize {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return n;
        }
        let id = format!("{name}-{n}");
        let answer = own.post(&bundle(), Some(&format!("Bearer {token}")), &[event(&id, json!({}))]);
        assert!(matches!(answer, Ok(200)), "{id}: {answer:?}");
    }
    unreachable!()
}

#[test]
fn rotation_of_certificate_and_authority_loses_no_request() {
    let own = Own::start();
    let token = own.issue("testbed", "cp-1");
    let first = own.published();
    let stop = AtomicBool::new(false);
    let (old, new) = std::thread::scope(|scope| {
        let fixed = scope.spawn(|| traffic(&own, "fixed", &token, &stop, &|| first.clone()));
        let reading = scope.spawn(|| traffic(&own, "reading", &token, &stop, &|| own.bundle("nodes")));
        let mut under_way = own.begin("/audit/testbed/cp-1", &first, &token, &[event("under-way", json!({}))]);

        let shown = own.shown();
        own.rotate("leaf");
        wait_until("another certificate is shown", SOON, || (own.shown() != shown).then_some(())).unwrap();
        let after_leaf = own.secret("kubewitness-tls");
        assert_eq!(after_leaf["ca.crt"].trim(), first.trim(), "by the same authority");

        own.rotate("ca");
        wait_until("old and new are published", SOON, || {
            (own.bundle("nodes").matches("BEGIN CERTIFICATE").count() == 2).then_some(())
        })
        .unwrap();
        let last = wait_until("the new one alone is published", SOON, || {
            Some(own.bundle("nodes")).filter(|b| b.matches("BEGIN CERTIFICATE").count() == 1 && *b != first)
        })
        .unwrap();
        assert_eq!(last.trim(), own.secret("kubewitness-tls")["ca.crt"].trim());
        assert_eq!(own.post(&last, Some(&format!("Bearer {token}")), &[event("last", json!({}))]).unwrap(), 200);
        assert_eq!(under_way.finish(), 200, "a request that began before all of it");
        stop.store(true, Ordering::Relaxed);
        (fixed.join().unwrap(), reading.join().unwrap())
    });
    assert!(old > 10 && new > 10, "{old} {new}");
    assert_eq!(own.annotation("kubewitness-tls", "kubewitness.io/rotate"), "", "the request was taken off");
    own.stop();
    let stored = records(&own.store()).into_iter().filter(|record| matches!(record.payload, Payload::Audit(_)));
    assert_eq!(stored.count(), old + new + 2, "answered is stored");
}

#[test]
fn an_api_server_connects_by_what_webhook_config_wrote() {
    let mut own = Own::start();
    let dir = own.cluster.dir().join("cp-1");
    let out = dir.display().to_string();
    let server = format!("https://127.0.0.1:{}", own.ingest_port);
    own.published();
    let said = own.webhook_config(&["--cluster=testbed", "--apiserver=cp-1", "--server", &server, "--output", &out]);
    assert!(said.status.success(), "{said:?}");
    let flags = std::fs::read_to_string(dir.join("flags.txt")).unwrap();
    let kubeconfig = std::fs::read_to_string(dir.join("webhook.kubeconfig")).unwrap();
    let config: Value = serde_saphyr::from_str(&kubeconfig).unwrap();
    let token = text(&config, "/users/0/user/token");
    let kept = own.secret("kubewitness-ingest-credentials");
    assert!(token.len() == 43 && !format!("{kept:?}{said:?}").contains(token), "the token is in the file alone");
    assert!(kept["credentials.yaml"].contains("tokenSHA256"), "{kept:?}");

    // The flags as the file tells them, but for the directory.
    let flags: Vec<String> = flags
        .lines()
        .filter_map(|line| line.strip_prefix("  --audit-"))
        .map(|flag| format!("--audit-{flag}").replace("/etc/kubernetes/kubewitness", &out))
        .collect();
    assert_eq!(flags.len(), 5, "{flags:?}");
    own.restart_api_server(&flags);
    let received = || own.metric("kubewitness_ingest_events_received_total");
    wait_until("the API server's events arrive", SOON, || (received() > 0.0).then_some(())).unwrap();

    // Another credential; both are good until the older one is ended.
    let newer = own.issue("testbed", "cp-1");
    let bundle = own.published();
    let sends = |token: &str| own.post(&bundle, Some(&format!("Bearer {token}")), &[]).unwrap();
    wait_until("the newer credential is good", SOON, || (sends(&newer) == 200).then_some(())).unwrap();
    assert_eq!(sends(token), 200, "and the older one still is");
    let said = own.webhook_config(&["--cluster=testbed", "--apiserver=cp-1", "--revoke-others"]);
    assert!(said.status.success(), "{said:?}");
    wait_until("the older credential is ended", SOON, || (sends(token) == 401).then_some(())).unwrap();
    assert_eq!(sends(&newer), 200);

    let failures = || own.metric("kubewitness_ingest_reload_failures_total");
    let before = failures();
    let spoil = json!({"stringData": {"credentials.yaml": "credentials: 7"}}).to_string();
    let name = "kubewitness-ingest-credentials";
    own.cluster.kubectl().run(&["patch", "secret", name, "-n", "kubewitness", "-p", &spoil]).success().unwrap();
    wait_until("bad content is counted", SOON, || (failures() > before).then_some(())).unwrap();
    assert_eq!(sends(&newer), 200, "the last good ones stay");
    let said = own.webhook_config(&["--apiserver=cp-1", "--server", &server, "--output", &out]);
    assert!(!said.status.success() && own.said(&said).contains("credentials.yaml"), "{said:?}");
}

#[test]
fn an_api_server_shows_the_relay_its_token() {
    let mut own = Own::start();
    let dir = own.cluster.dir().join("cp-1");
    let out = dir.display().to_string();
    let said = own.webhook_config(&[
        "--cluster=testbed",
        "--apiserver=cp-1",
        "--relay",
        "--collector-namespace=nodes",
        "--output",
        &out,
    ]);
    assert!(said.status.success(), "{said:?}");
    assert!(own.secret_in("nodes", "kubewitness-relay-credentials")["credentials.yaml"].contains("cp-1"));
    // Collectors' events bear the controller's name of the cluster, here the one without a flag.
    let silent = r#"kubewitness_ingest_apiserver_last_event_timestamp_seconds{apiserver="cp-1",cluster="default"} 0"#;
    wait_until("the controller expects it before it speaks", SOON * 2, || {
        get(own.admin_port, "/metrics").unwrap().body.lines().any(|line| line == silent).then_some(())
    })
    .unwrap();
    let relay = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = dir.join("webhook.kubeconfig");
    let kubeconfig = std::fs::read_to_string(&path).unwrap();
    let token = kubeconfig.split_once("kubewitness:").and_then(|(_, rest)| rest.split_once('@')).unwrap().0.to_owned();
    let port = relay.local_addr().unwrap().port().to_string();
    std::fs::write(&path, kubeconfig.replace("127.0.0.1:9444", &format!("127.0.0.1:{port}"))).unwrap();
    own.restart_api_server(&[format!("--audit-webhook-config-file={}", path.display())]);
    let (mut stream, _) = relay.accept().unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&head));
        head.extend(&piece[..read]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&head);
    let basic = BASE64_STANDARD.encode(format!("kubewitness:{token}"));
    assert!(head.starts_with("POST /audit/testbed/cp-1?timeout="), "{head}");
    assert!(head.contains(&format!("\r\nAuthorization: Basic {basic}\r\n")), "{head}");
}

#[test]
fn webhook_config_refuses_with_what_to_do() {
    let own = Own::start();
    let server = format!("https://127.0.0.1:{}", own.ingest_port);
    let issue = ["--apiserver=cp-1", "--server", &server, "--tar"];
    let refused = |arguments: &[&str], kubeconfig: &std::path::Path, expected: &str| {
        let said = own.webhook_config_as(kubeconfig, arguments);
        let told = own.said(&said);
        assert!(!said.status.success() && told.contains(expected), "{arguments:?}: {told}");
        assert!(said.stdout.is_empty(), "{arguments:?}: nothing half written");
    };
    let admin = own.cluster.kubeconfig();
    let nobody = own.cluster.client_certificate("nobody", &[]).unwrap();
    refused(&issue, &nobody, "this account may not get ConfigMap kubewitness/kubewitness-ca");
    let revoke = ["--apiserver=cp-1", "--revoke-others"];
    refused(&revoke, &nobody, "this account may not get Secret kubewitness/kubewitness-ingest-credentials");
    refused(&revoke, admin, "there is no credential for /audit/default/cp-1");
    refused(
        &[&issue[..], &["--namespace=nodes"]].concat(),
        admin,
        "Secret nodes/kubewitness-ingest-credentials does not",
    );
    refused(
        &[&issue[..], &["--namespace=default"]].concat(),
        admin,
        "ConfigMap default/kubewitness-ca holds no authority",
    );
    refused(&["--apiserver=cp-1", "--tar"], admin, "--server");
    refused(&["--apiserver=CP", "--server", &server], admin, "not a lower case DNS name");
    refused(&["--apiserver=cp-1", "--server=http://10.0.0.1:9443"], admin, "not https://HOST:PORT");
    let command = format!("{} webhook-config {} ", own.program.display(), issue.join(" "));
    let typescript = own.cluster.dir().join("typescript");
    let at_terminal = std::process::Command::new("script")
        .args(["-qec", &command])
        .arg(&typescript)
        .env("KUBECONFIG", admin)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let told = std::fs::read_to_string(&typescript).unwrap();
    assert!(!at_terminal.status.success() && told.contains("standard output is a terminal"), "{told}");
    assert!(!own.secret("kubewitness-ingest-credentials").contains_key("credentials.yaml"), "nothing was issued");
}

/// (verb, resource, name) that a role grants.
fn granted(yaml: &str) -> BTreeSet<(String, String, String)> {
    let role: k8s_openapi::api::rbac::v1::Role = serde_saphyr::from_str(yaml).unwrap();
    let mut granted = BTreeSet::new();
    for rule in role.rules.unwrap() {
        assert_eq!(rule.api_groups.as_deref(), Some(&[String::new()][..]));
        for resource in rule.resources.iter().flatten() {
            for name in rule.resource_names.as_ref().expect("a right to all objects of a kind is too much") {
                granted.extend(rule.verbs.iter().map(|verb| (verb.clone(), resource.clone(), name.clone())));
            }
        }
    }
    granted
}

#[test]
fn the_generated_roles_are_exactly_enough() {
    let own = Own::start();
    own.issue("testbed", "cp-1");
    let relay = ["--apiserver=cp-1", "--relay", "--collector-namespace=nodes", "--tar"];
    assert!(own.webhook_config(&relay).status.success());
    own.rotate("leaf");
    wait_until("the leaf is renewed", SOON, || {
        own.annotation("kubewitness-tls", "kubewitness.io/rotate").is_empty().then_some(())
    })
    .unwrap();
    own.stop();
    let asked = |namespace: &str| -> BTreeSet<(String, String, String)> {
        let events = audit_log(&own.cluster).into_iter();
        let of_ours =
            events.filter(|event| text(event, "/user/username") == "system:serviceaccount:kubewitness:controller");
        let of_kind = of_ours.filter(|event| {
            ["secrets", "configmaps"].contains(&text(event, "/objectRef/resource"))
                && text(event, "/objectRef/namespace") == namespace
        });
        let rights = of_kind.map(|event| {
            assert_ne!(event["responseStatus"]["code"], 403, "{event}");
            let part = |pointer| text(&event, pointer).to_owned();
            (part("/verb"), part("/objectRef/resource"), part("/objectRef/name"))
        });
        rights.collect()
    };
    assert_eq!(asked("nodes"), granted(include_str!("../../manifests/rbac/controller-collectors-role.yaml")));
    assert_eq!(asked("kubewitness"), granted(include_str!("../../manifests/rbac/controller-role.yaml")));
}
