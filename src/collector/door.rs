//! Requests to the controller: what is to be read, and the records that were. HTTPS alone, believing one authority alone;
//! token and authority are read from their files when they are needed.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::{Timestamp, fmt::rfc2822};
use prometheus::Gauge;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;

use super::{CollectorConfig, CollectorError, metrics::Retry, spool::compress};
use crate::{api::log_source::Assignment, telemetry};

/// Of a file with a token or certificates, and of an answer, in bytes.
const LARGEST: u64 = 1 << 20;
/// Longest pause that the controller may ask for.
const RETRY_AFTER: u64 = 300;

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub struct Door {
    controller: String,
    ca: PathBuf,
    token: PathBuf,
    timeout: Duration,
    /// With the certificates that it believes; none until the file is there.
    client: Mutex<Option<(Vec<u8>, Https)>>,
    /// This node's clock less the controller's, in seconds.
    clock_offset: Gauge,
}

/// What became of the records of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Tally {
    pub stored: u64,
    pub duplicates: u64,
    pub quarantined: u64,
    pub refused: u64,
}

/// Why a request was not answered as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nothing is wrong with the request: the same again, after a pause.
    Later { reason: Retry, after: Option<Duration>, detail: String },
    /// 400 or 413: something is wrong with the body.
    Body(StatusCode),
}

/// The answer to the question what is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Unchanged,
    New { assignment: Assignment, etag: Option<String> },
}

impl Door {
    /// `clock_offset` is told how this node's clock stands to the controller's. An authority that is not there yet is no error,
    /// since a collector may start before the controller has published it.
    pub fn new(config: &CollectorConfig, clock_offset: Gauge) -> Result<Door, CollectorError> {
        let unusable = |reason| CollectorError::Authority { path: config.controller_ca.clone(), reason };
        let first = match read(&config.controller_ca) {
            Ok(pem) => {
                let client = client(&pem).map_err(unusable)?;
                Some((pem, client))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(path = %config.controller_ca.display(), "--controller-ca is not there yet: waiting for it");
                None
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        Ok(Door {
            controller: config.controller.clone(),
            ca: config.controller_ca.clone(),
            token: config.token_file.clone(),
            timeout: config.limits.request,
            client: Mutex::new(first),
            clock_offset,
        })
    }

    /// `POST /records`. The records are stored when it returns a tally.
    pub async fn records(&self, body: &[u8]) -> Result<Tally, Denied> {
        let compressed = compress(body).map_err(|error| later(Retry::Unexpected, error.to_string()))?;
        let request = Request::post(format!("{}/records", self.controller))
            .header(header::CONTENT_TYPE, "application/jsonl")
            .header(header::CONTENT_ENCODING, "gzip");
        let answer = self.send(request, compressed).await?;
        let unexpected = |detail: String| later(Retry::Unexpected, detail);
        match answer.status() {
            StatusCode::OK => {
                let body = text(answer).await?;
                serde_json::from_slice(&body).map_err(|error| unexpected(format!("POST /records: {error}")))
            }
            status @ (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE) => Err(Denied::Body(status)),
            _ => Err(refusal(answer)),
        }
    }

    /// `GET /sources`, unless nothing changed since the answer with `etag`.
    pub async fn sources(&self, etag: Option<&str>) -> Result<Asked, Denied> {
        let mut request = Request::get(format!("{}/sources", self.controller));
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let asked = telemetry::now();
        let answer = self.send(request, Vec::new()).await?;
        if let Some(offset) = clock_offset(answer.headers(), asked, telemetry::now()) {
            self.clock_offset.set(offset);
        }
        match answer.status() {
            StatusCode::NOT_MODIFIED => Ok(Asked::Unchanged),
            StatusCode::OK => {
                let etag = answer.headers().get(header::ETAG).and_then(|e| e.to_str().ok()).map(str::to_owned);
                let assignment = serde_json::from_slice(&text(answer).await?)
                    .map_err(|error| later(Retry::Unexpected, format!("GET /sources: {error}")))?;
                Ok(Asked::New { assignment, etag })
            }
            _ => Err(refusal(answer)),
        }
    }

    async fn send(&self, request: http::request::Builder, body: Vec<u8>) -> Result<Response<Incoming>, Denied> {
        let token = self.bearer().map_err(|detail| later(Retry::Unauthorized, detail))?;
        let request = request
            .header(header::AUTHORIZATION, token)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| later(Retry::Unexpected, error.to_string()))?;
        let client = self.client().map_err(|detail| later(Retry::Connection, detail))?;
        match tokio::time::timeout(self.timeout, client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(later(Retry::Connection, causes(&error))),
            Err(_) => Err(later(Retry::Timeout, format!("no answer within {} s", self.timeout.as_secs()))),
        }
    }

    fn bearer(&self) -> Result<String, String> {
        let path = format!("--token-file {}", self.token.display());
        let token = read(&self.token).map_err(|error| format!("{path}: {error}"))?;
        let token = String::from_utf8(token).map_err(|_| format!("{path}: no text"))?;
        match token.trim() {
            "" => Err(format!("{path}: empty")),
            token => Ok(format!("Bearer {token}")),
        }
    }

    /// A client that believes what the file says now. One that can't be used changes nothing.
    fn client(&self) -> Result<Https, String> {
        let mut held = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let now = read(&self.ca).map_err(|error| error.to_string());
        match (&*held, &now) {
            (Some((pem, https)), Ok(now)) if now == pem => return Ok(https.clone()),
            _ => {}
        }
        match (now.and_then(|pem| Ok((client(&pem)?, pem))), &*held) {
            (Ok((https, pem)), _) => {
                *held = Some((pem, https.clone()));
                Ok(https)
            }
            (Err(reason), Some((_, https))) => {
                tracing::warn!(reason, "the changed --controller-ca is not usable, the last one stays");
                Ok(https.clone())
            }
            (Err(reason), None) => Err(format!("--controller-ca {}: {reason}", self.ca.display())),
        }
    }
}

/// This clock less that of who answered, in seconds. It answered between `asked` and `answered`, and says when in whole
/// seconds; an answer that took over a second tells too little.
fn clock_offset(headers: &HeaderMap, asked: Timestamp, answered: Timestamp) -> Option<f64> {
    let date = rfc2822::parse(headers.get(header::DATE)?.to_str().ok()?).ok()?.timestamp();
    let took = answered.duration_since(asked).as_secs_f64();
    let middle = asked.duration_since(date).as_secs_f64() + took / 2.0 - 0.5;
    (0.0..=1.0).contains(&took).then_some(middle)
}

fn client(pem: &[u8]) -> Result<Https, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() {
        return Err("no PEM certificate in it".into());
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    // Two requests at a time at most, and the controller closes an idle connection after 120 s.
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(2)
        .build(connector))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 1 MiB, so not the file that was meant"));
    }
    Ok(content)
}

async fn text(answer: Response<Incoming>) -> Result<Bytes, Denied> {
    let read = Limited::new(answer.into_body(), usize::try_from(LARGEST).unwrap_or(usize::MAX)).collect();
    match tokio::time::timeout(Duration::from_secs(30), read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(later(Retry::Connection, error.to_string())),
        Err(_) => Err(later(Retry::Timeout, "the answer breaks off".into())),
    }
}

fn later(reason: Retry, detail: String) -> Denied {
    Denied::Later { reason, after: None, detail }
}

fn refusal(answer: Response<Incoming>) -> Denied {
    let status = answer.status();
    let reason = match status {
        StatusCode::UNAUTHORIZED => Retry::Unauthorized,
        StatusCode::FORBIDDEN => Retry::Forbidden,
        StatusCode::TOO_MANY_REQUESTS => Retry::Throttled,
        status if status.is_server_error() => Retry::Unavailable,
        _ => Retry::Unexpected,
    };
    let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
    let after = seconds.map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER)));
    Denied::Later { reason, after, detail: format!("the controller answers {status}") }
}

/// hyper names the cause (a refused connection, a certificate) only in the source of its error.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_compared_at_the_middle_of_a_quick_answer() {
        let date = |text: &str| HeaderMap::from_iter([(header::DATE, text.parse().unwrap())]);
        let offset = |headers: &HeaderMap, asked: &str, answered: &str| {
            let [asked, answered] = [asked, answered].map(|time| format!("2026-11-28T06:00:{time}Z").parse().unwrap());
            clock_offset(headers, asked, answered)
        };
        let at_two = date("Sat, 28 Nov 2026 06:00:02 GMT");
        assert_eq!(offset(&at_two, "02.25", "02.75"), Some(0.0));
        assert_eq!(offset(&at_two, "32.25", "32.75"), Some(30.0));
        assert_eq!(offset(&at_two, "00.25", "00.75"), Some(-2.0));
        assert_eq!(offset(&at_two, "02.25", "03.75"), None, "a slow answer");
        assert_eq!(offset(&at_two, "02.75", "02.25"), None, "the clock was set back meanwhile");
        assert_eq!(offset(&date("yesterday"), "02.25", "02.75"), None);
        assert_eq!(offset(&HeaderMap::new(), "02.25", "02.75"), None);
    }
}
