//! What collectors send, with a reviewer that knows its tokens by heart: the real TokenReview is for the tests on a real
//! API server.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flate2::{Compression, write::GzEncoder};
use futures::{FutureExt, future::BoxFuture};
use kubewitness::{
    api::{
        log_source::{Assignments, CheckedSource, Labels, LineFormat, LogSourceSpec, Start},
        rule::Source,
    },
    ingest::{Bearer, ReviewFailed, Reviewer},
    record::{Payload, Provenance},
    redact,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{
    event, list,
    server::{PATH, Reply, Sending, Server, TOKEN, batch, head, reply as reply_of},
};

/// Tokens are `NAME.x.x`; see `Table::review`.
#[derive(Default)]
pub struct Table {
    pub asked: AtomicUsize,
}

impl Reviewer for Table {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Bearer>, ReviewFailed>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let bearer = |account: &str, pod: Option<&str>, node: Option<&str>| Bearer {
            user: format!("system:serviceaccount:kubewitness:{account}"),
            pod_uid: pod.map(Into::into),
            node: node.map(Into::into),
        };
        let collector = "kubewitness-collector";
        let answer = match token.split('.').next().unwrap() {
            "worker" => Ok(Some(bearer(collector, Some("uid"), Some("worker-1")))),
            "control" => Ok(Some(bearer(collector, Some("uid"), Some("cp-1")))),
            "unknownnode" => Ok(Some(bearer(collector, Some("uid"), Some("nowhere")))),
            "app" => Ok(Some(bearer("app", Some("uid"), Some("worker-1")))),
            "nopod" => Ok(Some(bearer(collector, None, Some("worker-1")))),
            "nonode" => Ok(Some(bearer(collector, Some("uid"), None))),
            "badnode" => Ok(Some(bearer(collector, Some("uid"), Some("no/node")))),
            "down" => Err(ReviewFailed("no route".into())),
            _ => Ok(None),
        };
        std::future::ready(answer).boxed()
    }
}

/// `auth` and `web` on every node, `audit` on those of the control plane.
pub fn assignments() -> Assignments {
    let source = |name: &str, source, format, paths: &[&str], selector: &[(&str, &str)]| {
        let spec = LogSourceSpec {
            source,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            format,
            time_zone: (name == "auth").then(|| "Europe/Berlin".to_owned()),
            start: Start::End,
            node_selector: labels(selector),
        };
        (name.to_owned(), Arc::new(CheckedSource::check(name, &spec).unwrap()))
    };
    let control_plane = [("role", "control-plane")];
    Assignments {
        sources: [
            source("auth", Source::Node, LineFormat::Syslog, &["/var/log/auth.log"], &[]),
            source("web", Source::Web, LineFormat::Combined, &["/var/log/pods/*/*/*.log"], &[]),
            source("audit", Source::Audit, LineFormat::Audit, &["/var/log/audit.log"], &control_plane),
        ]
        .into(),
        nodes: [("worker-1", labels(&[])), ("cp-1", labels(&control_plane))]
            .map(|(name, labels)| (name.to_owned(), Arc::new(labels)))
            .into(),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const FILE: &str = "0123456789abcdef0123456789abcdef";
const WORKER: &str = "worker.x.x";
const CONTROL: &str = "control.x.x";

fn line(offset: u64, text: &str) -> Value {
    json!({
        "source": "Node", "file": "/var/log/auth.log", "received": "2001-01-01T00:00:00Z",
        "position": {"file": FILE, "offset": offset}, "log": text,
    })
}

fn audit_line(event: &Value) -> Value {
    let mut event = event.clone();
    (event["kind"], event["apiVersion"]) = ("Event".into(), "audit.k8s.io/v1".into());
    json!({"source": "Audit", "file": "/var/log/audit.log", "event": event})
}

fn jsonl(envelopes: &[Value]) -> Vec<u8> {
    envelopes.iter().flat_map(|envelope| format!("{envelope}\n").into_bytes()).collect()
}

fn with_token<'a>(method: &'a str, path: &'a str, token: &str, body: &'a [u8]) -> Sending<'a> {
    let headers = vec![format!("Authorization: Bearer {token}")];
    Sending { method, path, headers, ..batch(body) }
}

async fn send(server: &Server, token: &str, body: &[u8]) -> Reply {
    server.send(with_token("POST", "/records", token, body)).await
}

fn tally(stored: u64, duplicates: u64, quarantined: u64, refused: u64) -> Value {
    json!({"stored": stored, "duplicates": duplicates, "quarantined": quarantined, "refused": refused})
}

fn denied(reason: &str) -> String {
    format!("collectors_denied_total{{reason=\"{reason}\"}}")
}

fn refused(reason: &str) -> String {
    format!("records_refused_total{{reason=\"{reason}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_stored_once_for_the_node_of_its_token() {
    let server = Server::start().await;
    let body = jsonl(&[line(0, "sshd[1]: password=hunter2"), line(40, "sshd[1]: same"), line(80, "sshd[1]: same")]);
    assert_eq!(send(&server, WORKER, &body).await.body, tally(3, 0, 0, 0));
    assert_eq!(send(&server, WORKER, &body).await.body, tally(0, 3, 0, 0));
    let mut named = line(0, "sshd[1]: password=hunter2");
    named["host"] = "worker-1".into();
    assert_eq!(send(&server, WORKER, &jsonl(&[named])).await.body, tally(0, 1, 0, 0), "its own name changes nothing");
    assert_eq!(send(&server, CONTROL, &body).await.body, tally(3, 0, 0, 0), "another node's file is another");
    let records = server.records();
    let origin = records[0].origin.clone().unwrap();
    assert_eq!((&*origin.cluster, &*origin.reporter, origin.provenance), ("prod", "worker-1", Provenance::File));
    assert_eq!(&*records[3].origin.clone().unwrap().reporter, "cp-1");
    assert!(records[0].received_at.as_second() > 1_600_000_000, "the sender's clock is not asked");
    let Payload::Line(kept) = &records[0].payload else { panic!("{records:?}") };
    assert_eq!(&*kept.text, "sshd[1]: password=[redacted]");
    assert_eq!((kept.format, kept.zone.as_deref()), (LineFormat::Syslog, Some("Europe/Berlin")));
    assert_eq!(records[0].facts.redacted, ["message"]);
    assert_eq!(server.metric("records_received_total"), 10.0);
    assert_eq!(server.metric("records_stored_total"), 6.0);
    assert_eq!(server.metric("records_duplicate_total"), 4.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_envelope_among_good_ones_is_refused_alone_and_counted() {
    let server = Server::start().await;
    let with = |more: Value| {
        let mut envelope = line(7, "x");
        envelope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        envelope.to_string().into_bytes()
    };
    for (case, bad, reason) in [
        ("broken", b"{\"source\":\"Node\"".to_vec(), "Unreadable"),
        ("no object", b"[]".to_vec(), "Unreadable"),
        ("no UTF-8", b"{\"source\":\"Node\",\"file\":\"/var/log/auth.log\",\"log\":\"\xff\"}".to_vec(), "Unreadable"),
        ("another kind", with(json!({"source": "Journal"})), "Unreadable"),
        ("offset below zero", with(json!({"position": {"file": FILE, "offset": -1}})), "Unreadable"),
        ("too long", with(json!({"log": "x".repeat(2 << 20)})), "TooLong"),
        ("of another node", with(json!({"host": "cp-1"})), "OtherNode"),
        ("of no node", with(json!({"host": ""})), "OtherNode"),
        ("other file", with(json!({"file": "/etc/shadow"})), "OutOfScope"),
        ("up and down", with(json!({"file": "/var/log/../log/auth.log"})), "OutOfScope"),
        ("no file", with(json!({"file": null})), "OutOfScope"),
        (
            "long file",
            with(json!({"source": "Web", "file": format!("/var/log/pods/{}/a/0.log", "a".repeat(1024))})),
            "OutOfScope",
        ),
        ("file of another kind", with(json!({"source": "Web"})), "OutOfScope"),
        ("no position", with(json!({"position": null})), "NoPosition"),
        ("file without a name", with(json!({"position": {"file": "", "offset": 1}})), "NoPosition"),
        ("nothing", with(json!({"log": null})), "WrongContent"),
        ("an event", with(json!({"log": null, "event": {}})), "WrongContent"),
        ("both", with(json!({"event": {}})), "WrongContent"),
        ("audit without a source", audit_line(&event("a")).to_string().into_bytes(), "OutOfScope"),
    ] {
        let before = server.metric(&refused(reason));
        let good: Vec<Value> = (0..100).map(|n| line(n, case)).collect();
        let (first, last) = good.split_at(50);
        let body = [jsonl(first), bad, b"\n".to_vec(), jsonl(last)].concat();
        let reply = send(&server, WORKER, &body).await;
        assert_eq!((reply.code, &reply.body), (200, &tally(100, 0, 0, 1)), "{case}");
        assert_eq!(server.metric(&refused(reason)) - before, 1.0, "{case}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_event_is_stored_once_by_webhook_and_log() {
    let server = Server::start().await;
    let events: Vec<Value> = ["a", "b", "c"].map(event).into();
    // Over 1 MiB, so that bodies and long strings go, by either way.
    let mut large = event("large");
    large["requestObject"] = json!({"data": "x".repeat(1 << 20)});
    large["userAgent"] = "y".repeat(100_000).into();
    let from_webhook = list(&[events[0].clone(), events[1].clone(), large.clone()]);
    assert_eq!(server.post(&from_webhook).await.body["stored"], 3);
    let lines: Vec<Value> = [&events[0], &events[2], &large].map(audit_line).into();
    assert_eq!(send(&server, CONTROL, &jsonl(&lines)).await.body, tally(1, 2, 0, 0));
    assert_eq!(server.post(&list(&events)).await.body["duplicates"], 3, "whichever came first");
    let redacted = [&events[0], &large].map(|event| {
        let bytes = audit_line(event)["event"].to_string().into_bytes();
        let redacted = redact::audit_event(redact::Input { bytes: &bytes, oversize: false }).unwrap();
        audit_line(&serde_json::from_str(redacted.canonical.get()).unwrap())
    });
    assert_eq!(send(&server, CONTROL, &jsonl(&redacted)).await.body, tally(0, 2, 0, 0), "redacted by the collector");
    assert_eq!(server.stored(), ["a", "b", "large", "c"]);
    let records = server.records();
    let origin = records.last().unwrap().origin.clone().unwrap();
    assert_eq!((&*origin.cluster, &*origin.reporter, origin.provenance), ("prod", "cp-1", Provenance::AuditLog));
    // What can't be read is in quarantine, as when the webhook sends it.
    let broken = [
        json!({"source": "Audit", "file": "/var/log/audit.log", "event": {"a": 1}}),
        json!({
            "source": "Audit", "file": "/var/log/audit.log", "log": "{\"kind\":\"Event\",\"st"
        }),
    ];
    assert_eq!(send(&server, CONTROL, &jsonl(&broken)).await.body, tally(2, 0, 2, 0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_behind_a_relay_is_missed_before_it_speaks_and_heard_when_it_does() {
    let server = Server::start().await;
    let heard = |name: &str| format!("apiserver_last_event_timestamp_seconds{{apiserver=\"{name}\",cluster=\"prod\"}}");
    // cp-1 and cp-2 have a token for this door, cp-3 has one for its relay.
    let relayed = format!("credentials: [{{cluster: prod, apiserver: cp-3, tokenSHA256: {}}}]", "ab".repeat(32));
    server.relays.send_replace(Some(Arc::from(relayed.as_bytes())));
    server.until_shown(&heard("cp-3")).await;
    assert_eq!([server.metric(&heard("cp-3")), server.metric(&heard("cp-1"))], [0.0, 0.0]);
    assert_eq!(server.metric("last_event_timestamp_seconds"), 0.0);
    assert_eq!(send(&server, WORKER, &jsonl(&[line(0, "x")])).await.code, 200);
    assert_eq!(server.metric("last_event_timestamp_seconds"), 0.0, "a line is no event of an API server");
    assert_eq!(send(&server, CONTROL, &jsonl(&[audit_line(&event("a"))])).await.body, tally(1, 0, 0, 0));
    // Seconds of a clock that is not ours to set; the record has the same to the millisecond.
    let received = server.records().last().unwrap().received_at.as_millisecond() as f64 / 1000.0;
    for series in ["last_event_timestamp_seconds", &heard("cp-1")] {
        assert_eq!(server.metric(series), received, "{series}");
    }
    assert_eq!(server.metric(&heard("cp-3")), 0.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pod_of_a_collector_gets_in() {
    let server = Server::start().await;
    let body = jsonl(&[line(0, "x")]);
    for (token, code, reason) in [
        ("app.x.x", 403, "OtherAccount"),
        ("nopod.x.x", 403, "NoPod"),
        ("nonode.x.x", 403, "NoNode"),
        ("badnode.x.x", 403, "NoNode"),
        ("guess.x.x", 401, "Unauthenticated"),
        ("guess", 401, "Malformed"),
        (TOKEN, 401, "Malformed"),
        ("down.x.x", 503, "NotReviewed"),
    ] {
        for (method, path, body) in [("POST", "/records", &*body), ("GET", "/sources", b"")] {
            let before = server.metric(&denied(reason));
            let reply = server.send(with_token(method, path, token, body)).await;
            assert_eq!(reply.code, code, "{method} {token}: {reply:?}");
            assert_eq!(server.metric(&denied(reason)) - before, 1.0, "{method} {token}");
            assert_eq!(reply.head.contains("retry-after"), code == 503, "{}", reply.head);
            assert!(!reply.body.to_string().contains("guess"), "{reply:?}");
        }
    }
    let without = Sending { headers: vec![], ..with_token("POST", "/records", "", &body) };
    assert_eq!(server.send(without).await.code, 401);
    assert_eq!(server.metric(&denied("NoCredential")), 1.0);
    // A node's token is none of an API server's, and the reverse.
    assert_eq!(server.send(with_token("POST", PATH, WORKER, &list(&[event("a")]))).await.code, 401);
    assert_eq!(send(&server, "unknownnode.x.x", &body).await.body, tally(0, 0, 0, 1), "no node, no sources");
    assert_eq!(server.stored(), [""; 0]);
    assert_eq!(server.metric("body_bytes_total"), body.len() as f64, "tokens are checked before the body is read");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_the_api_server_busy() {
    let server = Server::start().await;
    assert_eq!(send(&server, WORKER, b"").await.code, 200);
    for _ in 0..3 {
        assert_eq!(send(&server, WORKER, b"").await.code, 200);
        assert_eq!(send(&server, "guess.x.x", b"").await.code, 401);
    }
    assert_eq!(server.reviewer.asked.load(Ordering::SeqCst), 2, "answers are kept for a while");
    let mut answers = Vec::new();
    // More than the burst of 100 and what grows back meanwhile.
    for n in 0..2000 {
        answers.push(server.send(with_token("GET", "/sources", &format!("guess{n}.x.x"), b"")).await.code);
        if answers.last() == Some(&429) {
            break;
        }
    }
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    assert!(server.metric(&denied("TooMany")) >= 1.0);
    assert_eq!(send(&server, WORKER, b"").await.code, 200, "who is known is not kept out");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_cut_short() {
    let server = Server::start().await;
    let gzip = |plain: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    };
    let post = async |body: &[u8], headers: &[&str]| {
        let mut sending = with_token("POST", "/records", WORKER, body);
        sending.headers.extend(headers.iter().map(|header| (*header).to_owned()));
        server.send(sending).await
    };
    let zipped = "Content-Encoding: gzip";
    let good = jsonl(&[line(0, "x")]);
    for (case, body, headers, code) in [
        ("bomb", gzip(&vec![b'\n'; 64 << 20]), &[zipped][..], 413),
        ("too large", vec![b'\n'; (8 << 20) + 1], &[], 413),
        ("no gzip", good.clone(), &[zipped], 400),
        ("another encoding", good.clone(), &["Content-Encoding: br"], 415),
        ("another type", good.clone(), &["Content-Type: text/html"], 415),
    ] {
        let reply = post(&body, headers).await;
        assert_eq!(reply.code, code, "{case}: {reply:?}");
    }
    assert_eq!(server.stored(), [""; 0]);
    let reply = post(&gzip(&good), &[zipped, "Content-Type: application/x-ndjson"]).await;
    assert_eq!((reply.code, reply.body), (200, tally(1, 0, 0, 0)));
    assert_eq!(server.send(with_token("GET", "/records", WORKER, b"")).await.code, 405);
    let reply = server.send(with_token("POST", "/sources", WORKER, b"")).await;
    assert!(reply.code == 405 && reply.head.contains("allow: get"), "{reply:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sends_slowly_keeps_no_other_out() {
    let server = Server::start().await;
    let body = jsonl(&[line(0, "x")]);
    let (first, rest) = body.split_at(10);
    let mut slow = Vec::new();
    for n in 1..=2 {
        let mut stream = server.connect(None).await.unwrap();
        stream.write_all(head(&with_token("POST", "/records", WORKER, &body)).as_bytes()).await.unwrap();
        stream.write_all(first).await.unwrap();
        stream.flush().await.unwrap();
        server.until_metric("body_bytes_total", f64::from(n) * 10.0).await;
        slow.push(stream);
    }
    let reply = send(&server, WORKER, &body).await;
    assert!(reply.code == 503 && reply.head.contains("retry-after: 1"), "{reply:?}");
    assert_eq!(send(&server, CONTROL, &body).await.body, tally(1, 0, 0, 0));
    for mut stream in slow {
        stream.write_all(rest).await.unwrap();
        assert_eq!(reply_of(&mut stream).await.code, 200);
    }
    assert_eq!(send(&server, WORKER, &body).await.body, tally(0, 1, 0, 0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_its_sources_and_of_their_changes() {
    let server = Server::start().await;
    let ask = async |token: &str, tag: Option<&str>| {
        let mut sending = with_token("GET", "/sources", token, b"");
        sending.headers.extend(tag.map(|tag| format!("If-None-Match: {tag}")));
        let reply = server.send(sending).await;
        let tag = reply.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default().to_owned();
        (reply, tag)
    };
    let (reply, tag) = ask(WORKER, None).await;
    let names = |reply: &Reply| -> Vec<String> {
        reply.body["sources"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (reply.code, &reply.body["node"], names(&reply)),
        (200, &json!("worker-1"), vec!["auth".into(), "web".into()])
    );
    assert_eq!(
        reply.body["sources"][0],
        json!({
            "name": "auth", "source": "Node", "paths": ["/var/log/auth.log"], "format": "Syslog",
            "timeZone": "Europe/Berlin", "start": "End",
        })
    );
    assert_eq!(names(&ask(CONTROL, None).await.0), ["audit", "auth", "web"]);
    let (unchanged, same) = ask(WORKER, Some(&format!("\"other\", W/{tag}"))).await;
    assert_eq!((unchanged.code, unchanged.body, &same), (304, Value::Null, &tag));

    let mut changed = assignments();
    changed.sources.remove("auth");
    server.assignments.store(Some(Arc::new(changed)));
    let (reply, new) = ask(WORKER, Some(&tag)).await;
    assert_eq!((reply.code, names(&reply)), (200, vec!["web".to_owned()]));
    assert_ne!(new, tag);
    assert_eq!(send(&server, WORKER, &jsonl(&[line(0, "x")])).await.body, tally(0, 0, 0, 1), "the same snapshot");

    // Before all is read, nobody is told too little, and nothing is refused for good.
    server.assignments.store(None);
    assert_eq!(ask(WORKER, None).await.0.code, 503);
    assert_eq!(send(&server, WORKER, &jsonl(&[line(0, "x")])).await.code, 503);
    server.stop().await;
}
