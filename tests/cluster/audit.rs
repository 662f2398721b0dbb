//! The audit policy and the webhook kubeconfig that we ship, at work in a real kube-apiserver.

use crate::support::{AuditWebhook, Authority, ClusterOptions, TestCluster, wait_until};
use base64::prelude::{BASE64_STANDARD, Engine};
use kubewitness::record::{IdKey, Origin, Provenance, RecordId};
use kubewitness::redact::{self, Input};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// The events of the audit log so far; a line that is still being written is left out.
fn audit_events(cluster: &TestCluster) -> Vec<Value> {
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn shipped_audit_policy_keeps_stages_and_bodies_but_no_credentials() {
    let cluster = TestCluster::start(ClusterOptions::default()).unwrap();
    let admin = cluster.kubectl();
    for arguments in [
        &["create", "namespace", "shop"][..],
        &["-n", "shop", "create", "serviceaccount", "app"],
        &["-n", "shop", "create", "secret", "generic", "db", "--from-literal=password=planted-in-a-secret"],
        &["-n", "shop", "create", "configmap", "settings", "--from-literal=password=planted-in-a-configmap"],
        &["create", "clusterrolebinding", "own", "--clusterrole=cluster-admin", "--serviceaccount=shop:app"],
        &[
            "-n",
            "shop",
            "run",
            "web",
            "--image=web",
            "--privileged",
            "--overrides={\"spec\":{\"serviceAccountName\":\"app\"}}",
        ],
    ] {
        admin.run(arguments).success().unwrap();
    }
    let kubeconfig = cluster.service_account_kubeconfig("shop", "app").unwrap();
    let file = std::fs::read_to_string(&kubeconfig).unwrap();
    let token = text(&serde_json::from_str(&file).unwrap(), "/users/0/user/token").to_owned();
    std::fs::write(&kubeconfig, file.replace(&token, "no-token-of-ours")).unwrap();
    assert!(!admin.with_kubeconfig(&kubeconfig).run(&["get", "secrets"]).ok);
    assert!(!admin.run(&["-n", "shop", "exec", "web", "--", "true"]).ok, "no node runs the pod");
    assert!(admin.run(&["get", "--raw", "/healthz"]).ok);

    let events = wait_until("the last event", SOON, || {
        let events = audit_events(&cluster);
        events.iter().any(|event| text(event, "/requestURI") == "/healthz").then_some(events)
    })
    .unwrap();
    let find = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        events.iter().find(|event| wanted(event)).unwrap_or_else(|| panic!("no event: {what}"))
    };
    let early = |event: &&Value| text(event, "/stage") == "RequestReceived";
    assert!(events.iter().filter(early).all(|event| text(event, "/verb") == "patch"));
    let refused = find("401", &|event| event.pointer("/responseStatus/code") == Some(&401.into()));
    assert_eq!(text(refused, "/stage"), "ResponseStarted");
    find("exec", &|event| text(event, "/objectRef/subresource") == "exec");
    find("lease", &|event| text(event, "/objectRef/resource") == "leases");
    let made =
        |event: &Value, resource| text(event, "/objectRef/resource") == resource && text(event, "/verb") == "create";
    let binding =
        find("binding", &|event| made(event, "clusterrolebindings") && text(event, "/objectRef/name") == "own");
    assert_eq!(text(binding, "/responseObject/subjects/0/name"), "app");
    assert_eq!(binding.pointer("/responseObject/metadata/managedFields"), None);
    let pod = find("pod", &|event| made(event, "pods") && text(event, "/objectRef/subresource").is_empty());
    assert_eq!(pod.pointer("/requestObject/spec/containers/0/securityContext/privileged"), Some(&true.into()));

    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let encoded = BASE64_STANDARD.encode("planted-in-a-secret");
    for planted in ["planted-in-a-secret", &encoded, "planted-in-a-configmap", &token] {
        assert!(!log.contains(planted), "the audit log holds {planted}");
    }
}

/// Takes one request over TLS, answers 200, and returns its head (lower case) and body.
fn receive_one(listener: &TcpListener, tls: &Arc<rustls::ServerConfig>) -> (String, Vec<u8>) {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let session = rustls::ServerConnection::new(tls.clone()).unwrap();
    let mut stream = BufReader::new(rustls::StreamOwned::new(session, socket));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the request ends early: {head}");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.get_mut().write_all(answer).unwrap();
    stream.get_mut().flush().unwrap();
    (head, body)
}

#[test]
fn shipped_webhook_kubeconfig_makes_the_api_server_post_event_lists() {
    let authority = Authority::new("receiver-ca").unwrap();
    let identity = authority.server(&["127.0.0.1"]).unwrap();
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = AuditWebhook {
        url: format!("https://{}/audit/shop-eu/cp-1", listener.local_addr().unwrap()),
        ca_pem: authority.pem().to_owned(),
        token: "token-of-cp-1".to_owned(),
    };
    let (sender, received) = mpsc::channel();
    // Ends with the first request: that is all this test asks for.
    let receiver = std::thread::spawn(move || sender.send(receive_one(&listener, &Arc::new(tls))).unwrap());
    let cluster = TestCluster::start(ClusterOptions { audit_webhook: Some(webhook), ..Default::default() }).unwrap();
    let (head, body) = received.recv_timeout(SOON).expect("a batch arrives");
    receiver.join().unwrap();
    assert!(head.starts_with("post /audit/shop-eu/cp-1?timeout=30s http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: bearer token-of-cp-1\r\n"), "{head}");
    let list: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((text(&list, "/apiVersion"), text(&list, "/kind")), ("audit.k8s.io/v1", "EventList"));
    let first = text(&list, "/items/0/auditID");
    wait_until("the event in the audit log", SOON, || {
        audit_events(&cluster).iter().any(|event| text(event, "/auditID") == first).then_some(())
    })
    .unwrap();
    // Both ways give the text of an event in one order, so its id is the same and it is stored once.
    let items = serde_json::from_slice::<Items>(&body).unwrap().items;
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let logged: BTreeSet<RecordId> = log.lines().map(id).collect();
    let missing: Vec<&str> = items.iter().map(|item| item.get()).filter(|item| !logged.contains(&id(item))).collect();
    assert!(!items.is_empty() && missing.is_empty(), "of {} sent, not in the log: {missing:?}", items.len());
}

#[derive(serde::Deserialize)]
struct Items {
    items: Vec<Box<RawValue>>,
}

/// What the record of this text of an event is known by.
fn id(text: &str) -> RecordId {
    let origin = Origin { cluster: "c".into(), reporter: "n".into(), provenance: Provenance::AuditLog };
    let outcome = redact::audit_event(Input { bytes: text.as_bytes(), oversize: false });
    redact::record(outcome, text.as_bytes(), &origin, jiff::Timestamp::UNIX_EPOCH, &IdKey::OFFLINE).id
}
