//! Senders that are slow, gone, too many, or come when the store can't.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::{
    HEAD, event, list,
    server::{Sending, Server, batch, head, reply},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_ended_and_its_complete_events_are_kept() {
    let pause = Duration::from_millis(300);
    let start = format!("{{{HEAD},\"items\":[{},{{\"auditID\":\"b", event("a"));
    for (case, drips) in [("silence", false), ("drip", true)] {
        let server = Server::with(|limits| {
            limits.body_pause = pause;
            limits.body_total = 4 * pause;
        })
        .await;
        let mut stream = server.connect(None).await.unwrap();
        let sending = Sending { length: Some(1 << 20), ..batch(start.as_bytes()) };
        stream.write_all(head(&sending).as_bytes()).await.unwrap();
        stream.write_all(sending.body).await.unwrap();
        let (mut reading, mut writing) = tokio::io::split(stream);
        let dripping = tokio::spawn(async move {
            while drips && writing.write_all(b" ").await.is_ok() && writing.flush().await.is_ok() {
                tokio::time::sleep(pause / 6).await;
            }
            std::future::pending::<()>().await;
        });
        let begun = Instant::now();
        let mut answer = [0; 12];
        reading.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408", "{case}");
        assert!(begun.elapsed() < 20 * pause, "{case}: after {:?}", begun.elapsed());
        dripping.abort();
        assert_eq!(server.stored(), ["a"], "{case}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_leaves_midway_leaves_its_complete_events() {
    let server = Server::start().await;
    let start = format!("{{{HEAD},\"items\":[{},{{\"auditID\":\"b", event("a"));
    let mut stream = server.connect(None).await.unwrap();
    let sending = Sending { length: Some(1 << 20), ..batch(start.as_bytes()) };
    stream.write_all(head(&sending).as_bytes()).await.unwrap();
    stream.write_all(sending.body).await.unwrap();
    stream.flush().await.unwrap();
    server.until_metric("body_bytes_total", start.len() as f64).await;
    drop(stream);
    server.until_metric("connections", 0.0).await;
    assert_eq!(server.post(&list(&[event("z")])).await.code, 200);
    assert_eq!(server.stored(), ["a", "z"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_commit_is_said_soon() {
    let server = Server::stalled(|store| store.deadline = Duration::from_millis(300)).await;
    let begun = Instant::now();
    let reply = server.post(&list(&[event("a")])).await;
    assert_eq!(reply.code, 503, "{reply:?}");
    assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    assert!(begun.elapsed() < Duration::from_secs(5), "after {:?}", begun.elapsed());
    assert_eq!(server.metric("ack_seconds_count"), 0.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_is_said_at_once() {
    let server = Server::stalled(|store| {
        store.queue_len = 1;
        store.deadline = Duration::from_secs(8);
    })
    .await;
    let mut first = server.connect(None).await.unwrap();
    let body = list(&[event("a")]);
    let sending = batch(&body);
    first.write_all(head(&sending).as_bytes()).await.unwrap();
    first.write_all(sending.body).await.unwrap();
    server.until_metric("events_received_total", 1.0).await;
    let begun = Instant::now();
    let mut code = 0;
    // The first append may reach the queue a moment after it was counted.
    while code != 503 && begun.elapsed() < Duration::from_secs(5) {
        code = tokio::time::timeout(Duration::from_secs(2), server.post(&body)).await.map_or(0, |reply| reply.code);
    }
    assert_eq!(code, 503);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bodies_than_there_is_room_for_are_sent_back_at_once() {
    let server = Server::with(|limits| limits.bodies = 1).await;
    let mut first = server.connect(None).await.unwrap();
    let body = list(&[event("a")]);
    let (early, late) = body.split_at(20);
    let sending = batch(&body);
    first.write_all(head(&sending).as_bytes()).await.unwrap();
    first.write_all(early).await.unwrap();
    server.until_metric("body_bytes_total", 20.0).await;
    let refused = server.post(&list(&[event("b")])).await;
    assert_eq!((refused.code, refused.head.contains("retry-after: 1")), (503, true));
    first.write_all(late).await.unwrap();
    assert_eq!(reply(&mut first).await.code, 200);
    assert_eq!(server.post(&list(&[event("b")])).await.code, 200);
    assert_eq!(server.stored(), ["a", "b"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_strangers_do_not_keep_theirs() {
    let server = Server::with(|limits| {
        limits.connections = 2;
        // Long enough that a busy machine opens three connections within it.
        limits.first_request = Duration::from_secs(3);
        limits.handshake = Duration::from_secs(3);
    })
    .await;
    let mut idle = server.connect(None).await.unwrap();
    let mut mute = tokio::net::TcpStream::connect(server.address).await.unwrap();
    server.until_metric("connections", 2.0).await;
    assert!(server.connect(None).await.is_err(), "there were two already");
    assert_eq!(server.metric(r#"connections_refused_total{reason="Limit"}"#), 1.0);
    assert_eq!(mute.read(&mut [0]).await.unwrap_or(0), 0, "no handshake");
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "no request");
    server.until_metric("connections", 0.0).await;
    assert_eq!(server.metric(r#"connections_refused_total{reason="HandshakeTimeout"}"#), 1.0);
    assert_eq!(server.metric(r#"connections_refused_total{reason="Idle"}"#), 1.0);
    assert_eq!(server.post(&list(&[event("a")])).await.code, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_answers_what_is_under_way() {
    let server = Server::start().await;
    let mut first = server.connect(None).await.unwrap();
    let body = list(&[event("a")]);
    let (early, late) = body.split_at(20);
    let sending = batch(&body);
    first.write_all(head(&sending).as_bytes()).await.unwrap();
    first.write_all(early).await.unwrap();
    server.until_metric("body_bytes_total", 20.0).await;
    server.begin_shutdown();
    let mut refused = false;
    for _ in 0..400 {
        refused = server.connect(None).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(refused, "no new connection is taken");
    first.write_all(late).await.unwrap();
    let reply = reply(&mut first).await;
    assert_eq!((reply.code, reply.body), (200, json!({"stored": 1, "duplicates": 0, "quarantined": 0})));
    assert_eq!(server.stored(), ["a"]);
    server.stop().await;
}
