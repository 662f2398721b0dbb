//! What becomes of a body: the answer, the store and the counters.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use kubewitness::record::{Incomplete, Payload};
use serde_json::{Value, json};

use super::{
    HEAD, event, list, raw_list,
    server::{Sending, Server, batch},
};

fn counts(stored: u64, duplicates: u64, quarantined: u64) -> Value {
    json!({"stored": stored, "duplicates": duplicates, "quarantined": quarantined})
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One event, and then a thousand times as much as is sent.
pub fn bomb() -> Vec<u8> {
    gzip(&[format!("{{{HEAD},\"items\":[{}", event("b")).as_bytes(), &vec![b' '; 12 << 20]].concat())
}

pub fn zipped(body: &[u8]) -> Sending<'_> {
    let mut sending = batch(body);
    sending.headers.push("Content-Encoding: gzip".into());
    sending
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_stored_once_however_often_it_comes() {
    let server = Server::start().await;
    let body = list(&[event("a"), event("b"), event("c")]);
    assert_eq!(server.post(&body).await.body, counts(3, 0, 0));
    assert_eq!(server.post(&body).await.body, counts(0, 3, 0));
    let reply = server.post(&list(&[event("c"), event("d")])).await;
    assert_eq!((reply.code, reply.body), (200, counts(1, 1, 0)));
    assert_eq!(server.stored(), ["a", "b", "c", "d"]);
    assert_eq!(server.metric("events_received_total"), 8.0);
    assert_eq!(server.metric(r#"requests_total{code="200"}"#), 3.0);
    assert_eq!(server.metric("ack_seconds_count"), 3.0);
    assert!(server.metric("last_event_timestamp_seconds") > 1.7e9);
    let origin = server.records()[0].origin.clone().unwrap();
    assert_eq!((&*origin.cluster, &*origin.reporter, origin.provenance.as_str()), ("prod", "cp-1", "AuditWebhook"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_taken_as_far_as_they_go() {
    let (a, b) = (event("a").to_string(), event("b").to_string());
    for (case, body, code, kept) in [
        ("items empty", format!("{{{HEAD},\"items\":[]}}"), 200, &[][..]),
        ("items null", format!("{{{HEAD},\"items\":null}}"), 200, &[]),
        ("items absent", format!("{{{HEAD}}}"), 200, &[]),
        ("byte order mark", format!("\u{feff}{{{HEAD},\"items\":[{a}]}}"), 200, &["a"]),
        ("kind after items", format!("{{\"items\":[{a}],{HEAD}}}\n"), 200, &["a"]),
        ("wrong kind", format!("{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"items\":[{a}]}}"), 400, &[]),
        ("wrong version", format!("{{\"kind\":\"EventList\",\"apiVersion\":\"v1\",\"items\":[{a}]}}"), 400, &[]),
        ("wrong kind after items", format!("{{\"items\":[{a}],\"kind\":\"PodList\"}}"), 400, &[]),
        ("a lone event", a.clone(), 400, &[]),
        ("a list of events", format!("[{a}]"), 400, &[]),
        ("nothing", String::new(), 400, &[]),
        ("truncated in an event", format!("{{{HEAD},\"items\":[{a},{{\"auditID\":\"b"), 400, &["a"]),
        ("truncated after the items", format!("{{{HEAD},\"items\":[{a},{b}]"), 400, &["a", "b"]),
        ("no comma", format!("{{{HEAD},\"items\":[{a} {b}]}}"), 400, &["a"]),
        ("something after it", format!("{{{HEAD},\"items\":[{a}]}} {b}"), 400, &["a"]),
        ("items is an object", format!("{{{HEAD},\"items\":{a}}}"), 400, &[]),
    ] {
        let server = Server::start().await;
        let reply = server.post(body.as_bytes()).await;
        assert_eq!(reply.code, code, "{case}: {reply:?}");
        assert_eq!(reply.body.get("error").is_some(), code != 200, "{case}: {reply:?}");
        assert!(!reply.body.to_string().contains("PodList"), "{case}: the answer repeats the input: {reply:?}");
        assert_eq!(server.stored(), kept, "{case}");
        assert_eq!(server.metric("events_received_total"), kept.len() as f64, "{case}");
        assert_eq!(server.metric(&format!("requests_total{{code=\"{code}\"}}")), 1.0, "{case}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_never_costs_its_neighbours() {
    let (a, z) = (event("a").to_string(), event("z").to_string());
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (case, bad, reason) in [
        ("depth 10,000", deep.as_str(), "Depth"),
        ("not JSON", r#"{"a":tru}"#, "Syntax"),
        ("no event", r#"{"a":1}"#, "NotAnEvent"),
        ("a number", "17", "NotAnEvent"),
        ("null", "null", "NotAnEvent"),
    ] {
        let server = Server::start().await;
        let reply = server.post(&raw_list(&[&a, bad, &z])).await;
        assert_eq!((reply.code, reply.body), (200, counts(3, 0, 1)), "{case}");
        assert_eq!(server.stored(), ["a", &format!("{reason} {}", bad.len()), "z"], "{case}");
        assert_eq!(server.metric(&format!("events_quarantined_total{{reason=\"{reason}\"}}")), 1.0, "{case}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_and_unreadable_text_is_kept_and_said() {
    let server = Server::start().await;
    let twice = event("first").to_string().replacen('{', "{\"auditID\":\"zero\",", 1);
    let mut broken_text = event("bad-").to_string().into_bytes();
    let at = broken_text.windows(4).position(|w| w == b"bad-").unwrap();
    broken_text[at + 3] = 0xFF;
    let mut body = format!("{{{HEAD},\"items\":[{twice},").into_bytes();
    body.extend_from_slice(&broken_text);
    body.extend_from_slice(b"]}");
    let reply = server.post(&body).await;
    assert_eq!((reply.code, reply.body), (200, counts(2, 0, 0)));
    assert_eq!(server.stored(), ["first", "bad\u{fffd}"]);
    let facts: Vec<_> = server.records().iter().map(|record| record.facts.incomplete.clone()).collect();
    assert_eq!(facts, [vec![Incomplete::DuplicateKey], vec![Incomplete::InvalidUtf8]]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_over_the_limit_keeps_its_metadata() {
    let server = Server::start().await;
    let mut large = event("large");
    large["requestObject"] = json!({"data": "x".repeat(3 << 20)});
    let mut long = event("long");
    long["requestURI"] = format!("/api/v1/pods?{}", "&".repeat(3 << 20)).into();
    let mut hopeless = event("hopeless");
    for key in 0..20 {
        hopeless[format!("k{key}")] = "y".repeat(100_000).into();
    }
    let many_fields: serde_json::Map<_, _> = (0..120_000).map(|n| (format!("key-{n:09}"), Value::from(n))).collect();
    let mut flood = event("flood");
    flood.as_object_mut().unwrap().extend(many_fields);
    let length = flood.to_string().len();
    let events = [event("a"), large, long, hopeless, flood, event("z")];
    let reply = server.post(&list(&events)).await;
    assert_eq!((reply.code, reply.body), (200, counts(6, 0, 1)));
    assert_eq!(server.stored(), ["a", "large", "long", "hopeless", &format!("Oversize {length}"), "z"]);
    assert_eq!(server.metric("events_oversize_total"), 4.0);
    for record in &server.records()[1..4] {
        assert!(record.facts.incomplete.contains(&Incomplete::Oversize), "{:?}", record.facts);
        let Payload::Audit(kept) = &record.payload else { panic!("{record:?}") };
        assert!(kept.get().len() < 1 << 20);
        let kept: Value = serde_json::from_str(kept.get()).unwrap();
        assert_eq!(
            (kept.get("requestObject"), &kept["verb"], &kept["user"]),
            (None, &json!("list"), &event("")["user"])
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_64_mib_is_stored_whole() {
    let server = Server::start().await;
    let events: Vec<Value> = (0..80)
        .map(|n| {
            let mut event = event(&format!("event-{n:02}"));
            event["responseObject"] = json!({"kind": "PodList", "text": format!("{n:02}").repeat(420_000)});
            event
        })
        .collect();
    let body = list(&events);
    assert!(body.len() >= 64 << 20, "{}", body.len());
    let reply = server.post(&body).await;
    assert_eq!((reply.code, reply.body), (200, counts(80, 0, 0)));
    let expected: Vec<_> = (0..80).map(|n| format!("event-{n:02}")).collect();
    assert_eq!(server.stored(), expected);
    assert_eq!(server.metric("body_bytes_total"), body.len() as f64);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_decide_what_is_read() {
    let server = Server::start().await;
    let body = list(&[event("a")]);
    let zipped = gzip(&body);
    let bomb = bomb();
    for (case, header, body, length, code) in [
        ("yaml", "Content-Type: application/yaml", &body, None, 415),
        ("brotli", "Content-Encoding: br", &body, None, 415),
        ("over 128 MiB", "X-Nothing: here", &body, Some((128 << 20) + 1), 413),
        ("gzip", "Content-Encoding: gzip", &zipped, None, 200),
        ("cut gzip", "Content-Encoding: gzip", &zipped[..zipped.len() - 9].to_vec(), None, 400),
        ("no gzip", "Content-Encoding: gzip", &body, None, 400),
        ("gzip bomb", "Content-Encoding: gzip", &bomb, None, 413),
    ] {
        let mut sending = Sending { length, ..batch(body) };
        sending.headers.retain(|line| !header.starts_with("Content-Type") || !line.starts_with("Content-Type"));
        sending.headers.push(header.to_owned());
        let reply = server.send(sending).await;
        assert_eq!(reply.code, code, "{case}: {reply:?}");
    }
    let mut bare = batch(&body);
    bare.headers.truncate(1);
    assert_eq!(server.send(bare).await.body, counts(0, 1, 0), "a missing content type is fine");
    assert_eq!(server.stored(), ["a", "b"]);
    assert_eq!(server.metric(r#"requests_total{code="413"}"#), 2.0);
    server.stop().await;
}
