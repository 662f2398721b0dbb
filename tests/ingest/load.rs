//! Memory: whatever is sent, the process stays under 256 MiB. Client, server and store share the process here.

use std::{process::Command, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{io::AsyncWriteExt, task::JoinSet};

use super::{
    HEAD, bodies, event, list,
    server::{Sending, Server, batch, head, reply},
};

const ALONE: &str = "KUBEWITNESS_TEST_ALONE";
const LIMIT_KIB: u64 = 256 << 10;

/// The test measures its process, so it runs in one of its own.
#[test]
fn memory_stays_bounded_whatever_is_sent() {
    if std::env::var_os(ALONE).is_none() {
        let name = "ingest::load::memory_stays_bounded_whatever_is_sent";
        // 1,000 connections have 2,000 ends.
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 4096; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(send_everything());
    let peak = peak_kib();
    println!("peak: {peak} KiB");
    assert!(peak < LIMIT_KIB, "{peak} KiB");
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

async fn send_everything() {
    // A thousand handshakes take their time without optimisation.
    let server = Arc::new(Server::with(|limits| limits.first_request = Duration::from_secs(600)).await);
    let client = server.pki.client(None);
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(server.connect(Some(client.clone())).await.unwrap());
    }
    server.until_metric("connections", 1000.0).await;
    assert_eq!(server.post(&list(&[event("between idle ones")])).await.code, 200);
    let bomb = bodies::bomb();
    for _ in 0..4 {
        assert_eq!(server.send(bodies::zipped(&bomb)).await.code, 413);
    }
    // Bodies that are all in the making at the same time; half an event each, as large as it may get.
    let mut sending = JoinSet::new();
    for sender in 0..40 {
        let server = server.clone();
        sending.spawn(async move { send_large(&server, sender).await });
    }
    let codes = sending.join_all().await;
    let taken = codes.iter().filter(|code| **code == 200).count();
    assert!(codes.iter().all(|code| matches!(code, 200 | 503)), "{codes:?}");
    assert!(taken >= 24, "{codes:?}");
    assert_eq!(server.metric("events_received_total"), 5.0 + 3.0 * taken as f64);
    assert_eq!(server.post(&list(&[event("after all")])).await.code, 200);
    drop(idle);
}

/// Streams a body with a 3 MiB event between two of almost 1 MiB, from a small buffer.
async fn send_large(server: &Server, sender: usize) -> u16 {
    let piece = vec![b'x'; 64 << 10];
    let open = |n: usize| {
        let mut event = event(&format!("{sender}-{n}"));
        event["requestObject"] = json!("@");
        event.to_string().split_once('@').map(|(head, tail)| (head.to_owned(), tail.to_owned())).unwrap()
    };
    let parts: Vec<_> = [(0, 15), (1, 48), (2, 15)].map(|(n, pieces)| (open(n), pieces)).into();
    let frame = |n: usize| if n == 0 { format!("{{{HEAD},\"items\":[") } else { ",".to_owned() };
    let length: usize = parts
        .iter()
        .enumerate()
        .map(|(n, ((head, tail), pieces))| frame(n).len() + head.len() + pieces * piece.len() + tail.len())
        .sum();
    let mut stream = server.connect(None).await.unwrap();
    let sent = async {
        stream.write_all(head(&Sending { length: Some(length + 2), ..batch(b"") }).as_bytes()).await?;
        for (n, ((head, tail), pieces)) in parts.iter().enumerate() {
            stream.write_all(frame(n).as_bytes()).await?;
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..*pieces {
                stream.write_all(&piece).await?;
            }
            // Wait where an event is almost complete, so that all senders are here at once.
            stream.flush().await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream.write_all(tail.as_bytes()).await?;
        }
        stream.write_all(b"]}").await?;
        stream.flush().await
    };
    if let Err(error) = sent.await {
        eprintln!("not all was taken: {error}");
    }
    reply(&mut stream).await.code
}
