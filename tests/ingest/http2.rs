//! HTTP/2, which API servers speak when it is offered: many batches over one connection.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use super::{
    event, list,
    server::{PATH, Server, TOKEN},
};

fn request(token: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post(format!("https://localhost{PATH}?timeout=30s"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_batches_at_once() {
    let server = Server::start().await;
    let mut client = Arc::unwrap_or_clone(server.pki.client(None));
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = server.connect(Some(Arc::new(client))).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut batches = JoinSet::new();
    for n in 0..10 {
        let mut sender = sender.clone();
        batches.spawn(async move {
            let events: Vec<_> = (0..20).map(|m| event(&format!("{n:02}-{m:02}"))).collect();
            let response = sender.send_request(request(TOKEN, list(&events))).await.unwrap();
            let code = response.status().as_u16();
            (code, response.into_body().collect().await.unwrap().to_bytes())
        });
    }
    for (code, body) in batches.join_all().await {
        assert_eq!((code, &*body), (200, &br#"{"duplicates":0,"quarantined":0,"stored":20}"#[..]));
    }
    // A refusal before the body is read reaches the sender, and the connection lives on.
    let mut sender = sender;
    let refused = sender.send_request(request("guess", vec![b' '; 8 << 20])).await.unwrap();
    assert_eq!(refused.status(), 401);
    let last = sender.send_request(request(TOKEN, list(&[event("last")]))).await.unwrap();
    assert_eq!(last.status(), 200);
    let mut stored = server.stored();
    stored.sort_unstable();
    let mut expected: Vec<_> = (0..200).map(|n| format!("{:02}-{:02}", n / 20, n % 20)).collect();
    expected.push("last".to_owned());
    assert_eq!(stored, expected);
    // Asked to shut down, the server says so and the connection ends by itself.
    drop(sender);
    server.stop().await;
    connection.await.unwrap().unwrap();
}
