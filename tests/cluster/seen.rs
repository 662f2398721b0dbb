//! What a test sees of a cluster from outside: the API server's audit log, the store of a controller that has ended, HTTP
//! answers of any port. In: a cluster, a port. Out: values and text. Changes nothing but by the requests it is told to make.

use crate::support::{AUDIT_PATH, Authority, TestCluster, WatchedCluster};
use kubewitness::record::Record;
use kubewitness::store::{self, Store, StoreConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A request may wait for the commit of a store on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The events of the audit log so far; a line that is still being written is left out.
pub fn audit_log(cluster: &TestCluster) -> Vec<Value> {
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Every record of a store that no controller holds, in order.
pub fn records(dir: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    each_record(dir, &mut |record| records.push(record));
    records
}

/// The same one by one, for stores that are too large for memory.
pub fn each_record(dir: &Path, see: &mut dyn FnMut(Record)) {
    let metrics = store::Metrics::register(&prometheus::Registry::new()).unwrap();
    let (store, _appender, _writer) = Store::open(StoreConfig::at(dir), metrics).unwrap();
    let mut next = store.first_seq().unwrap();
    loop {
        let some = store.read(next, 8 << 20).unwrap();
        let Some((last, _)) = some.last() else { return };
        next = last + 1;
        some.into_iter().for_each(|(_, record)| see(record));
    }
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// Status line and headers.
    pub head: String,
    pub body: String,
}

/// One request; `head` are the lines after the request line, without `Host` and `Content-Length`.
pub fn request(stream: &mut (impl Read + Write), line: &str, head: &[&str], body: &[u8]) -> std::io::Result<Answer> {
    let mut text = format!("{line} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    head.iter().for_each(|header| text += &format!("{header}\r\n"));
    stream.write_all(text.as_bytes())?;
    stream.write_all(b"\r\n")?;
    // The answer may come, and the connection go, before everything is taken.
    let sent = stream.write_all(body).and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let parts = answer.split_once("\r\n\r\n");
    let code = parts.and_then(|(head, _)| head.split_whitespace().nth(1)?.parse().ok());
    match (code, parts) {
        (Some(code), Some((head, body))) => Ok(Answer { code, head: head.to_owned(), body: body.to_owned() }),
        _ => Err(sent.and(read).err().unwrap_or_else(|| std::io::Error::other("no HTTP answer"))),
    }
}

/// GET over plain HTTP.
pub fn get(port: u16, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    request(&mut stream, &format!("GET {path}"), &[], b"")
}

/// A TLS connection to a loopback port whose certificate one of the authorities signed.
pub fn connect(port: u16, ca_pem: &str) -> std::io::Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(rustls::StreamOwned::new(session, socket))
}

/// POST of a body to a path of ingest, with a bearer token or none.
pub fn post_to(watched: &WatchedCluster, path: &str, token: Option<&str>, body: &[u8]) -> std::io::Result<Answer> {
    let (port, _, _, authority): (u16, _, _, &Authority) = watched.ingest();
    let mut stream = connect(port, authority.pem())?;
    let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
    let mut head = vec!["Content-Type: application/json"];
    head.extend(bearer.as_deref());
    request(&mut stream, &format!("POST {path}"), &head, body)
}

/// POST with the API server's own credential.
pub fn post(watched: &WatchedCluster, body: &[u8]) -> Answer {
    post_to(watched, AUDIT_PATH, Some(watched.ingest().2), body).unwrap()
}

/// An EventList as the audit webhook sends it.
pub fn event_list(events: &[Value]) -> Vec<u8> {
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events})
        .to_string()
        .into_bytes()
}

/// A request of now that succeeded, completed; `more` goes over it.
pub fn event(audit_id: &str, more: Value) -> Value {
    let now = kubewitness::telemetry::now();
    let mut event = json!({
        "level": "Metadata", "auditID": audit_id, "stage": "ResponseComplete", "verb": "get",
        "requestURI": "/api/v1/namespaces/shop/pods/web", "user": {"username": "jane", "groups": ["system:authenticated"]},
        "sourceIPs": ["192.0.2.10"], "userAgent": "kubectl/v1.34.1",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": now.to_string(), "stageTimestamp": now.to_string(),
        "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
        event.extend(more);
    }
    event
}

/// A string within a value, empty when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
