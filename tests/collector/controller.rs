//! A controller that takes records over HTTPS and remembers them: the collector's side of the contract, and no more.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use kubewitness::{api::log_source::Assignment, record::Envelope};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_rustls::TlsAcceptor;

use crate::support::Authority;

pub const TOKEN: &str = "token of node-1";
const BODY: usize = 8 << 20;
const ENVELOPE: usize = 2 << 20;

/// What the controller does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// Answers with this status.
    Refuses(u16),
    /// Closes every connection at once.
    Cut,
    /// Takes the records, and closes the connection instead of answering.
    TakesAndCuts,
    /// Answers 400 to a body with a line that has this in it.
    Hates(&'static str),
}

/// A line as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// `Position::file`.
    pub id: String,
    pub offset: u64,
    pub path: String,
    /// The line, or the event.
    pub text: String,
}

struct Desk {
    mood: Mood,
    token: String,
    assignment: Assignment,
    version: u64,
    /// By place, in which one line stands.
    lines: HashMap<(String, u64), Line>,
    order: Vec<Line>,
    duplicates: u64,
    /// Lines that came again with another text.
    contradictions: Vec<(Line, Line)>,
    denied: u64,
    /// By path and status.
    answers: BTreeMap<(&'static str, u16), u64>,
}

pub struct Controller {
    pub address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    runtime: Option<Runtime>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Controller {
    /// Writes `ca.crt` and `token` to `dir`.
    pub fn start(dir: &Path, assignment: Assignment) -> Controller {
        let authority = Authority::new("collector-test-ca").unwrap();
        let identity = authority.server(&["127.0.0.1", "localhost"]).unwrap();
        fs::write(dir.join("ca.crt"), authority.pem()).unwrap();
        fs::write(dir.join("token"), format!("{TOKEN}\n")).unwrap();
        let desk = Arc::new(Mutex::new(Desk {
            mood: Mood::Takes,
            token: TOKEN.to_owned(),
            assignment,
            version: 1,
            lines: HashMap::new(),
            order: Vec::new(),
            duplicates: 0,
            contradictions: Vec::new(),
            denied: 0,
            answers: BTreeMap::new(),
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let acceptor = acceptor(&identity.certificate_pem, &identity.key_pem);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, acceptor, Arc::clone(&desk)));
        Controller { address, desk, runtime: Some(runtime) }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    pub fn is(&self, mood: Mood) {
        self.desk().mood = mood;
    }

    pub fn takes_only(&self, token: &str) {
        self.desk().token = token.to_owned();
    }

    pub fn assign(&self, assignment: Assignment) {
        let mut desk = self.desk();
        desk.assignment = assignment;
        desk.version += 1;
    }

    /// Every line once, in the order of their first arrival.
    pub fn lines(&self) -> Vec<Line> {
        self.desk().order.clone()
    }

    pub fn texts(&self) -> Vec<String> {
        self.desk().order.iter().map(|line| line.text.clone()).collect()
    }

    pub fn count(&self) -> usize {
        self.desk().order.len()
    }

    pub fn duplicates(&self) -> u64 {
        self.desk().duplicates
    }

    pub fn contradictions(&self) -> Vec<(Line, Line)> {
        self.desk().contradictions.clone()
    }

    /// How often a path was answered with a status.
    pub fn answers(&self, path: &'static str, status: u16) -> u64 {
        self.desk().answers.get(&(path, status)).copied().unwrap_or(0)
    }
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, desk: Arc<Mutex<Desk>>) {
    let router =
        Router::new().route("/sources", get(sources)).route("/records", post(records)).with_state(Arc::clone(&desk));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if desk.lock().unwrap().mood == Mood::Cut {
            continue;
        }
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let served = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            if let Err(error) = served {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}

impl Desk {
    /// The answer before the request is looked at, if there is one.
    fn refusal(&mut self, headers: &HeaderMap) -> Option<Response> {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if bearer != format!("Bearer {}", self.token) {
            self.denied += 1;
            return Some(StatusCode::UNAUTHORIZED.into_response());
        }
        match self.mood {
            Mood::Refuses(status) => {
                Some((StatusCode::from_u16(status).unwrap(), [("retry-after", "0")]).into_response())
            }
            // On a connection that was there before.
            Mood::Cut => Some(broken()),
            Mood::Takes | Mood::TakesAndCuts | Mood::Hates(_) => None,
        }
    }

    fn answered(&mut self, path: &'static str, status: StatusCode) {
        *self.answers.entry((path, status.as_u16())).or_default() += 1;
    }

    fn take(&mut self, body: &str) -> Value {
        let (mut stored, mut duplicates) = (0, 0);
        for text in body.lines() {
            let line = line(text);
            match self.lines.get(&(line.id.clone(), line.offset)) {
                None => {
                    self.lines.insert((line.id.clone(), line.offset), line.clone());
                    self.order.push(line);
                    stored += 1;
                }
                Some(known) => {
                    if *known != line {
                        self.contradictions.push((known.clone(), line));
                    }
                    duplicates += 1;
                }
            }
        }
        self.duplicates += duplicates;
        json!({"stored": stored, "duplicates": duplicates, "quarantined": 0, "refused": 0})
    }
}

/// A body that is shorter than its head says: the sender sees the connection break.
fn broken() -> Response {
    ([("content-length", "1000")], "").into_response()
}

/// Reads an envelope as the controller does.
fn line(text: &str) -> Line {
    assert!(text.len() <= ENVELOPE, "an envelope of {} bytes", text.len());
    let envelope: Envelope = serde_json::from_str(text).unwrap();
    assert!(envelope.host.is_none() && envelope.received.is_some(), "{text}");
    let position = envelope.position.unwrap();
    assert!(position.file.len() == 32 && position.file.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    let text = match (envelope.log, envelope.event) {
        (Some(log), None) => log,
        (None, Some(event)) => event.get().to_owned(),
        other => panic!("{other:?}"),
    };
    Line { id: position.file.to_string(), offset: position.offset, path: envelope.file.unwrap(), text }
}

async fn sources(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap) -> Response {
    let mut desk = desk.lock().unwrap();
    if let Some(refusal) = desk.refusal(&headers) {
        desk.answered("/sources", refusal.status());
        return refusal;
    }
    let etag = format!("\"{}\"", desk.version);
    if headers.get("if-none-match").is_some_and(|value| value.as_bytes() == etag.as_bytes()) {
        desk.answered("/sources", StatusCode::NOT_MODIFIED);
        return StatusCode::NOT_MODIFIED.into_response();
    }
    desk.answered("/sources", StatusCode::OK);
    ([("etag", etag)], serde_json::to_string(&desk.assignment).unwrap()).into_response()
}

async fn records(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap, body: Body) -> Response {
    assert_eq!(headers.get("content-encoding").unwrap(), "gzip");
    assert_eq!(headers.get("content-type").unwrap(), "application/jsonl");
    let Ok(compressed) = Limited::new(body, BODY).collect().await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut text = String::new();
    GzDecoder::new(&*compressed.to_bytes()).read_to_string(&mut text).unwrap();
    assert!(text.len() <= BODY && text.ends_with('\n'), "a body of {} bytes", text.len());
    let mut desk = desk.lock().unwrap();
    if let Some(refusal) = desk.refusal(&headers) {
        desk.answered("/records", refusal.status());
        return refusal;
    }
    if let Mood::Hates(what) = desk.mood
        && text.contains(what)
    {
        desk.answered("/records", StatusCode::BAD_REQUEST);
        return StatusCode::BAD_REQUEST.into_response();
    }
    let tally = desk.take(&text);
    if desk.mood == Mood::TakesAndCuts {
        return broken();
    }
    desk.answered("/records", StatusCode::OK);
    tally.to_string().into_response()
}
