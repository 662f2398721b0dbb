//! Pods of collectors and their tokens, as a real API server makes and judges them.
//! In: a watched cluster. Out: tokens of every kind, and what ingest answers to them.

use super::seen::{connect, request};
use crate::support::{NAMESPACE, WatchedCluster};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use rcgen::{KeyPair, SigningKey};
use serde_json::{Value, json};

pub use super::seen::Answer;

pub const AUDIENCE: &str = "kubewitness.io/collector";
pub const ACCOUNT: &str = "kubewitness-collector";
/// `record::Position::file`
pub const FILE: &str = "0123456789abcdef0123456789abcdef";

/// The collectors' service account, in the controller's namespace.
pub fn prepare(watched: &WatchedCluster) {
    watched.kubectl().run(&["create", "serviceaccount", ACCOUNT, "-n", NAMESPACE]).success().unwrap();
}

pub fn node(watched: &WatchedCluster, name: &str, labels: Value) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    watched.apply(&node.to_string()).unwrap();
}

/// A pod on a node, or on none yet.
pub fn pod(watched: &WatchedCluster, namespace: &str, name: &str, account: &str, node: Option<&str>) {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {"serviceAccountName": account, "containers": [{"name": "collector", "image": "kubewitness"}]},
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = node.into();
    }
    watched.apply(&pod.to_string()).unwrap();
}

/// `kubectl create token`: a TokenRequest, as a kubelet makes it for a projected volume.
pub fn token(watched: &WatchedCluster, namespace: &str, account: &str, more: &[&str]) -> String {
    let arguments = [&["create", "token", account, "-n", namespace], more].concat();
    watched.kubectl().run(&arguments).success().unwrap().trim().to_owned()
}

/// The token of a pod, as its collector has it.
pub fn pod_token(watched: &WatchedCluster, pod: &str) -> String {
    let bound = format!("--bound-object-name={pod}");
    token(watched, NAMESPACE, ACCOUNT, &["--audience", AUDIENCE, "--bound-object-kind=Pod", &bound])
}

/// A token with other times of validity, signed with the key of the API server: `seconds` from now.
pub fn restamped(watched: &WatchedCluster, token: &str, seconds: i64) -> String {
    let mut parts = token.split('.');
    let header = parts.next().unwrap();
    let mut claims: Value = serde_json::from_slice(&BASE64URL.decode(parts.next().unwrap()).unwrap()).unwrap();
    let expires = kubewitness::telemetry::now().as_second() + seconds;
    for (claim, at) in [("exp", expires), ("iat", expires - 3600), ("nbf", expires - 3600)] {
        claims[claim] = at.into();
    }
    let signed = format!("{header}.{}", BASE64URL.encode(claims.to_string()));
    let key = std::fs::read_to_string(watched.dir().join("pki/token.key")).unwrap();
    let signature = KeyPair::from_pem(&key).unwrap().sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL.encode(plain_signature(&signature)))
}

/// The two numbers of an ECDSA signature in DER (RFC 3279, 2.2.3), 32 bytes each as JWS wants them (RFC 7518, 3.4).
fn plain_signature(der: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(32)..];
        plain.extend(std::iter::repeat_n(0, 32 - number.len()));
        plain.extend_from_slice(number);
        rest = after;
    }
    plain
}

/// A request to ingest with a bearer token, or none.
pub fn ask(watched: &WatchedCluster, line: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let (port, _, _, authority) = watched.ingest();
    let mut stream = connect(port, authority.pem()).unwrap();
    let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
    let mut head = vec!["Content-Type: application/jsonl"];
    head.extend(bearer.as_deref());
    request(&mut stream, line, &head, body).unwrap()
}

/// POST of envelopes; the answer's tally.
pub fn post_records(watched: &WatchedCluster, token: &str, envelopes: &[Value]) -> Value {
    let lines: Vec<String> = envelopes.iter().map(Value::to_string).collect();
    post_lines(watched, token, &lines)
}

/// The same of envelopes as they are written.
pub fn post_lines(watched: &WatchedCluster, token: &str, envelopes: &[String]) -> Value {
    let body: String = envelopes.iter().map(|envelope| format!("{envelope}\n")).collect();
    let answer = ask(watched, "POST /records", Some(token), body.as_bytes());
    assert_eq!(answer.code, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// Names of the sources that a token's node is told of.
pub fn sources_of(watched: &WatchedCluster, token: &str) -> Option<Vec<String>> {
    let answer = ask(watched, "GET /sources", Some(token), b"");
    let assignment: Value = serde_json::from_str(&answer.body).ok().filter(|_| answer.code == 200)?;
    let sources = assignment["sources"].as_array()?;
    sources.iter().map(|source| source["name"].as_str().map(str::to_owned)).collect()
}

pub fn line(offset: u64, text: &str) -> Value {
    json!({"source": "Node", "file": "/var/log/auth.log", "position": {"file": FILE, "offset": offset}, "log": text})
}

pub fn tally(stored: u64, duplicates: u64, refused: u64) -> Value {
    json!({"stored": stored, "duplicates": duplicates, "quarantined": 0, "refused": refused})
}

pub fn log_source(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "kubewitness.io/v1alpha1", "kind": "LogSource", "metadata": {"name": name}, "spec": spec})
}
