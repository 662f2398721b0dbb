//! Who gets in.

use std::{sync::Arc, time::Duration};

use kubewitness::{
    ingest::{Ingest, IngestError, Metrics},
    record::IdKey,
    store::{self, Store, StoreConfig},
};
use prometheus::Registry;

use super::{
    event, list,
    pki::Pki,
    server::{self, OTHER_TOKEN, PATH, Sending, Server, TOKEN, batch, config},
};

fn with_header<'a>(body: &'a [u8], header: Option<&str>, path: &'a str) -> Sending<'a> {
    let headers = header.map(|header| format!("Authorization: {header}")).into_iter().collect();
    Sending { headers, path, ..batch(body) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_path_alone() {
    let server = Server::start().await;
    let body = list(&[event("a")]);
    let good = format!("Bearer {TOKEN}");
    for (case, header, path, code) in [
        ("none", None, PATH, 401),
        ("wrong", Some("Bearer guess"), PATH, 401),
        ("no bearer", Some("Digest dDp0"), PATH, 401),
        ("of another path", Some(&*format!("Bearer {OTHER_TOKEN}")), PATH, 403),
        ("of an unknown path", Some(&*good), "/audit/prod/cp-3", 403),
        ("path of no name", Some(&*good), "/audit/prod/CP_1", 404),
        ("path cut", Some(&*good), "/audit/prod", 404),
        ("path with an escape", Some(&*good), "/audit/prod/cp-1%2F..", 404),
        ("path that is no text", Some(&*good), "/audit/prod/%ff", 404),
    ] {
        let reply = server.send(with_header(&body, header, path)).await;
        assert_eq!(reply.code, code, "{case}: {reply:?}");
        assert_eq!(reply.head.contains("www-authenticate: bearer"), code == 401, "{case}: {}", reply.head);
        assert!(!reply.body.to_string().contains("guess"), "{case}: {reply:?}");
    }
    let reply = server.send(Sending { method: "GET", ..batch(b"") }).await;
    assert_eq!(reply.code, 405);
    assert_eq!(server.stored(), [""; 0], "nothing came in");
    assert_eq!(server.metric(r#"auth_failures_total{reason="NoCredential"}"#), 1.0);
    assert_eq!(server.metric(r#"auth_failures_total{reason="UnknownToken"}"#), 1.0);
    assert_eq!(server.metric(r#"auth_failures_total{reason="Malformed"}"#), 1.0);
    assert_eq!(server.metric(r#"auth_failures_total{reason="OtherPath"}"#), 2.0);
    assert_eq!(server.metric(r#"requests_total{code="401"}"#), 3.0);
    assert_eq!(server.metric("body_bytes_total"), 0.0, "credentials are checked before the body is read");
    assert_eq!(server.send(with_header(&body, Some(&good), PATH)).await.code, 200);
    assert_eq!(server.stored(), ["a"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_opens_its_own_path_alone() {
    let server = Server::start().await;
    let body = list(&[event("a")]);
    for (organization, common_name, code) in [
        ("system:masters", "prod/cp-1", 401),
        ("kubewitness:audit", "cp-1", 401),
        ("kubewitness:audit", "prod/cp-2", 403),
        ("kubewitness:audit", "prod/cp-1", 200),
    ] {
        let leaf = server.pki.sender(organization, common_name);
        let client = Some(server.pki.client(Some(&leaf)));
        let reply = server.send(Sending { client, ..with_header(&body, None, PATH) }).await;
        assert_eq!(reply.code, code, "{organization} {common_name}: {reply:?}");
    }
    assert_eq!(server.stored(), ["a"]);
    let stranger = Pki::new().sender("kubewitness:audit", "prod/cp-1");
    let connected = server.connect(Some(server.pki.client(Some(&stranger)))).await;
    if let Ok(mut stream) = connected {
        // In TLS 1.3 the client learns of the refusal when it reads.
        use tokio::io::AsyncReadExt;
        assert!(stream.read_u8().await.is_err(), "another authority's certificate was taken");
    }
    server.until_metric(r#"connections_refused_total{reason="Handshake"}"#, 1.0).await;
    server.stop().await;
}

#[test]
fn ingest_does_not_start_open_or_with_files_that_are_wrong() {
    let dir = tempfile::tempdir().unwrap();
    Pki::new().write(dir.path());
    server::credentials(dir.path(), &[("cp-1", TOKEN)]);
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let store_metrics = store::Metrics::register(&registry).unwrap();
    let (_store, appender, _writer) = Store::open(StoreConfig::at(dir.path().join("store")), store_metrics).unwrap();
    let start = |config| {
        Ingest::new(config, server::collection(), appender.clone(), IdKey::OFFLINE, metrics.clone()).map(|_| ())
    };
    let good = config(dir.path());
    assert!(start(good.clone()).is_ok());
    let mut open = good.clone();
    (open.credentials, open.client_ca) = (None, None);
    assert!(matches!(start(open), Err(IngestError::Open)));
    for (file, path) in [
        ("tls.crt", "--ingest-tls-cert"),
        ("tls.key", "--ingest-tls-key"),
        ("ca.crt", "--ingest-client-ca"),
        ("credentials.yaml", "--ingest-credentials"),
    ] {
        let whole = std::fs::read(dir.path().join(file)).unwrap();
        std::fs::write(dir.path().join(file), "not what it should be").unwrap();
        let message = start(good.clone()).unwrap_err().to_string();
        assert!(message.contains(path) && message.contains(file), "{file}: {message}");
        std::fs::write(dir.path().join(file), whole).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_take_effect_and_broken_ones_do_not() {
    let mut server = Server::start().await;
    let body = list(&[event("a")]);
    // A broken file changes nothing.
    std::fs::write(server.dir.path().join("credentials.yaml"), "credentials: 7").unwrap();
    for _ in 0..400 {
        if server.metric("reload_failures_total") > 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(server.metric("reload_failures_total") > 0.0);
    assert_eq!(server.post(&body).await.code, 200, "the last good credentials stay");
    // A new authority, certificate and token.
    let old = server.pki.client(None);
    server.pki = Pki::new();
    server.pki.write(server.dir.path());
    server::credentials(server.dir.path(), &[("cp-1", "new token")]);
    let new_header = Some("Bearer new token");
    let client: Arc<_> = server.pki.client(None);
    for attempt in 0.. {
        if server.connect(Some(client.clone())).await.is_ok() {
            break;
        }
        assert!(attempt < 400, "the new certificate is never shown");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(server.connect(Some(old)).await.is_err(), "the old certificate is gone");
    // Certificate and credentials are two files: one look can see the first new and the second still old.
    for attempt in 0.. {
        match server.post(&body).await.code {
            401 => break,
            code => assert!(code == 200 && attempt < 400, "the old token is still good: {code}"),
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(server.send(with_header(&body, new_header, PATH)).await.code, 200);
    server.stop().await;
}
