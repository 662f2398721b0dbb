//! A server under test and its client.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use kubewitness::{
    api::log_source::Assignments,
    ingest::{Certificate, Collection, Ingest, IngestConfig, IngestLimits, Metrics, Tokens},
    record::{Payload, Record},
    store::{self, Appender, Store, StoreConfig, Writer},
};
use prometheus::Registry;
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{
    collectors::{Table, assignments},
    pki::Pki,
};

pub const PATH: &str = "/audit/prod/cp-1";
pub const TOKEN: &str = "token of cp-1";
pub const OTHER_TOKEN: &str = "token of cp-2";

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub address: SocketAddr,
    pub pki: Pki,
    pub dir: TempDir,
    pub store: Store,
    pub reviewer: Arc<Table>,
    pub assignments: Arc<ArcSwapOption<Assignments>>,
    /// What relays let in.
    pub relays: watch::Sender<Option<Arc<[u8]>>>,
    registry: Registry,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    /// Not running: the store takes nothing.
    stalled: Mutex<Option<Writer>>,
}

/// What the server said.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    pub head: String,
    pub body: Value,
}

/// What to send.
pub struct Sending<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Lines of the head, without `Host`, `Content-Length` and `Connection`.
    pub headers: Vec<String>,
    pub body: &'a [u8],
    /// Pretend that the body has this length.
    pub length: Option<usize>,
    pub client: Option<Arc<ClientConfig>>,
}

/// The body for `PATH`, with its token.
pub fn batch(body: &[u8]) -> Sending<'_> {
    Sending {
        method: "POST",
        path: PATH,
        headers: vec![format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json".into()],
        body,
        length: None,
        client: None,
    }
}

pub fn credentials(dir: &Path, tokens: &[(&str, &str)]) {
    let mut yaml = "credentials:\n".to_owned();
    for (apiserver, token) in tokens {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(token));
        yaml += &format!("- {{cluster: prod, apiserver: {apiserver}, tokenSHA256: {hash}}}\n");
    }
    std::fs::write(dir.join("credentials.yaml"), yaml).unwrap();
}

impl Server {
    pub async fn start() -> Server {
        Server::with(|_| {}).await
    }

    pub async fn with(limits: impl FnOnce(&mut IngestLimits)) -> Server {
        Server::launch(limits, |_| {}, true).await
    }

    /// The store never commits.
    pub async fn stalled(store: impl FnOnce(&mut StoreConfig)) -> Server {
        Server::launch(|_| {}, store, false).await
    }

    async fn launch(
        limits: impl FnOnce(&mut IngestLimits),
        store: impl FnOnce(&mut StoreConfig),
        runs_writer: bool,
    ) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let mut store_config = StoreConfig::at(dir.path().join("store"));
        // The machine may be busy with other tests; those about time set their own.
        store_config.deadline = PATIENCE;
        store(&mut store_config);
        let store_metrics = store::Metrics::register(&registry).unwrap();
        let (store, appender, writer) = Store::open(store_config, store_metrics).unwrap();
        let stalled = if runs_writer {
            std::thread::spawn(move || writer.run());
            None
        } else {
            Some(writer)
        };
        let pki = Pki::new();
        pki.write(dir.path());
        credentials(dir.path(), &[("cp-1", TOKEN), ("cp-2", OTHER_TOKEN)]);
        let mut config = config(dir.path());
        limits(&mut config.limits);
        let (relays, content) = watch::channel(None);
        config.relays.push(content);
        let listener = TcpListener::bind(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let reviewer = Arc::new(Table::default());
        let assignments = Arc::new(ArcSwapOption::from_pointee(assignments()));
        let collection = Collection { reviewer: reviewer.clone(), assignments: assignments.clone() };
        let running = run(config, collection, appender, &store, &registry, listener, shutdown.clone());
        Server {
            address,
            pki,
            dir,
            store,
            reviewer,
            assignments,
            relays,
            registry,
            shutdown,
            running,
            stalled: Mutex::new(stalled),
        }
    }

    pub async fn connect(&self, client: Option<Arc<ClientConfig>>) -> std::io::Result<TlsStream<TcpStream>> {
        let client = client.unwrap_or_else(|| self.pki.client(None));
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(client).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// Sends it whole and reads the answer.
    pub async fn send(&self, sending: Sending<'_>) -> Reply {
        let mut stream = self.connect(sending.client.clone()).await.unwrap();
        let head = head(&sending);
        // The answer may come, and the connection go, before everything is written.
        let sent = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(sending.body).await?;
            stream.flush().await
        };
        if let Err(error) = sent.await {
            eprintln!("not all was taken: {error}");
        }
        reply(&mut stream).await
    }

    pub async fn post(&self, body: &[u8]) -> Reply {
        self.send(batch(body)).await
    }

    /// Every record, in order.
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut next = 1;
        loop {
            let some = self.store.read(next, 8 << 20).unwrap();
            let Some((last, _)) = some.last() else { return records };
            next = last + 1;
            records.extend(some.into_iter().map(|(_, record)| record));
        }
    }

    /// The `auditID` of every event; for what is in quarantine its reason and length.
    pub fn stored(&self) -> Vec<String> {
        let name = |record: &Record| match &record.payload {
            Payload::Audit(event) => {
                let event: Value = serde_json::from_str(event.get()).unwrap();
                event["auditID"].as_str().unwrap_or("no auditID").to_owned()
            }
            Payload::Quarantined(quarantined) => format!("{} {}", quarantined.reason.as_str(), quarantined.length),
            other => panic!("ingest stored {other:?}"),
        };
        self.records().iter().map(name).collect()
    }

    /// The value of a series such as `requests_total{code="200"}`.
    pub fn metric(&self, series: &str) -> f64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let prefix = format!("kubewitness_ingest_{series} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    /// Waits until there is such a series.
    pub async fn until_shown(&self, series: &str) {
        let prefix = format!("kubewitness_ingest_{series} ");
        for _ in 0..2400 {
            let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
            if text.lines().any(|line| line.starts_with(&prefix)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no {series} comes");
    }

    /// Waits until a series has this value.
    pub async fn until_metric(&self, series: &str, value: f64) {
        for _ in 0..400 {
            if self.metric(series) == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{series} is {} and not {value}", self.metric(series));
    }

    pub fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
        drop(self.stalled);
    }
}

pub fn config(dir: &Path) -> IngestConfig {
    IngestConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: Certificate::Files { chain: dir.join("tls.crt"), key: dir.join("tls.key") },
        credentials: Some(Tokens::File(dir.join("credentials.yaml"))),
        client_ca: Some(dir.join("ca.crt")),
        cluster: None,
        collectors: vec!["kubewitness/kubewitness-collector".into()],
        relays: Vec::new(),
        limits: IngestLimits { reload_every: Duration::from_millis(50), patience: PATIENCE, ..IngestLimits::SHIPPED },
    }
}

/// What collectors may do in tests that are not about them.
pub fn collection() -> Collection {
    let assignments = Arc::new(ArcSwapOption::from_pointee(assignments()));
    Collection { reviewer: Arc::new(Table::default()), assignments }
}

fn run(
    config: IngestConfig,
    collection: Collection,
    appender: Appender,
    store: &Store,
    registry: &Registry,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> JoinHandle<()> {
    let metrics = Metrics::register(registry).unwrap();
    let ingest = Ingest::new(config, collection, appender, store.id_key().clone(), metrics).unwrap();
    tokio::spawn(async move { ingest.run(listener, shutdown).await.unwrap() })
}

pub fn head(sending: &Sending<'_>) -> String {
    let length = sending.length.unwrap_or(sending.body.len());
    let headers: String = sending.headers.iter().map(|line| format!("{line}\r\n")).collect();
    let (method, path) = (sending.method, sending.path);
    format!(
        "{method} {path}?timeout=30s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )
}

pub async fn reply(stream: &mut TlsStream<TcpStream>) -> Reply {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes).await {
        assert!(!bytes.is_empty(), "no answer: {error}");
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Reply { code, head: head.to_ascii_lowercase(), body }
}
