//! Certificates and credentials as they are now, in files or Secrets. A change takes effect within seconds, without a
//! restart; what has become wrong changes nothing but a counter and the log, and keeps nothing else from changing.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::{
    IngestConfig, IngestError, Metrics,
    credentials::Credentials,
    held::{Certificate, Tokens, changed},
    tls::{self, TlsError},
};

const LARGEST_FILE: u64 = 1 << 20;

pub(super) struct Live {
    config: IngestConfig,
    /// `None` until a Secret with the certificate was read.
    pub tls: ArcSwapOption<ServerConfig>,
    pub credentials: ArcSwap<Credentials>,
    in_use: Mutex<InUse>,
}

/// The contents that are in use.
#[derive(Default)]
struct InUse {
    tls: Option<TlsContents>,
    credentials: Option<Arc<[u8]>>,
}

#[derive(PartialEq, Eq)]
struct TlsContents {
    chain: Arc<[u8]>,
    key: Arc<[u8]>,
    client_ca: Option<Arc<[u8]>>,
}

fn read(path: &Path) -> Result<Arc<[u8]>, IngestError> {
    let read = |source| IngestError::Read { path: path.to_owned(), source };
    let mut content = Vec::new();
    File::open(path).map_err(read)?.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(read)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(IngestError::FileTooLarge { path: path.to_owned(), limit: LARGEST_FILE });
    }
    Ok(content.into())
}

fn read_tls(config: &IngestConfig) -> Result<Option<TlsContents>, IngestError> {
    let (chain, key) = match &config.certificate {
        Certificate::Files { chain, key } => (read(chain)?, read(key)?),
        Certificate::Held { content, .. } => match content.borrow().clone() {
            None => return Ok(None),
            Some(both) => (both.clone(), both),
        },
    };
    let client_ca = config.client_ca.as_deref().map(read).transpose()?;
    Ok(Some(TlsContents { chain, key, client_ca }))
}

fn parse_tls(config: &IngestConfig, contents: &TlsContents) -> Result<ServerConfig, IngestError> {
    let TlsContents { chain, key, client_ca } = contents;
    tls::server_config(chain, key, client_ca.as_deref()).map_err(|error| match error {
        TlsError::Certificate(reason) => IngestError::Certificate { place: config.certificate.chain_place(), reason },
        TlsError::Key(reason) => IngestError::Key { place: config.certificate.key_place(), reason },
        TlsError::ClientCa(reason) => {
            IngestError::ClientCa { path: config.client_ca.clone().unwrap_or_default(), reason }
        }
    })
}

fn read_credentials(tokens: &Tokens) -> Result<Option<Arc<[u8]>>, IngestError> {
    match tokens {
        Tokens::File(path) => read(path).map(Some),
        Tokens::Held { content, .. } => Ok(content.borrow().clone()),
    }
}

fn parse_credentials(tokens: &Tokens, yaml: &[u8]) -> Result<Credentials, IngestError> {
    // A Secret is empty until the first credential is issued; a file that is empty was cut.
    if matches!(tokens, Tokens::Held { .. }) && yaml.trim_ascii().is_empty() {
        return Ok(Credentials::default());
    }
    Credentials::parse(&String::from_utf8_lossy(yaml))
        .map_err(|source| IngestError::Credentials { place: tokens.place(), source })
}

impl Live {
    pub(super) fn load(config: IngestConfig, metrics: &Metrics) -> Result<Live, IngestError> {
        config.check()?;
        let live = Live {
            config,
            tls: ArcSwapOption::empty(),
            credentials: ArcSwap::from_pointee(Credentials::default()),
            in_use: Mutex::default(),
        };
        live.reload_tls(metrics)?;
        live.reload_credentials()?;
        Ok(live)
    }

    /// True when there is something new.
    fn reload_tls(&self, metrics: &Metrics) -> Result<bool, IngestError> {
        let Some(contents) = read_tls(&self.config)? else { return Ok(false) };
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.tls.as_ref() == Some(&contents) {
            return Ok(false);
        }
        let tls = parse_tls(&self.config, &contents)?;
        metrics.certificate_not_after.set(tls::not_after(&contents.chain).unwrap_or_default());
        self.tls.store(Some(Arc::new(tls)));
        in_use.tls = Some(contents);
        Ok(true)
    }

    /// True when there is something new.
    fn reload_credentials(&self) -> Result<bool, IngestError> {
        let Some(tokens) = &self.config.credentials else { return Ok(false) };
        let Some(yaml) = read_credentials(tokens)? else { return Ok(false) };
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.credentials.as_ref() == Some(&yaml) {
            return Ok(false);
        }
        self.credentials.store(Arc::new(parse_credentials(tokens, &yaml)?));
        in_use.credentials = Some(yaml);
        Ok(true)
    }

    /// Looks at files every so often, and at Secrets when they change. Certificate and key are renewed by one rename of their
    /// directory in a mounted Secret; elsewhere a pair that doesn't match is tried again at the next look.
    pub(super) async fn reload_until(
        self: &Arc<Self>,
        shutdown: CancellationToken,
        every: Duration,
        metrics: &Metrics,
    ) {
        let mut certificate = self.config.certificate.content();
        let mut credentials = self.config.credentials.as_ref().and_then(Tokens::content);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
                () = changed(&mut certificate) => {}
                () = changed(&mut credentials) => {}
            }
            let (live, counts) = (self.clone(), metrics.clone());
            let reload = move || [live.reload_tls(&counts), live.reload_credentials()];
            match tokio::task::spawn_blocking(reload).await {
                Ok(outcomes) => outcomes.into_iter().for_each(|outcome| tell(outcome, metrics)),
                Err(error) => tracing::error!(%error, "reading certificates and credentials broke off"),
            }
        }
    }
}

fn tell(outcome: Result<bool, IngestError>, metrics: &Metrics) {
    match outcome {
        Ok(false) => {}
        Ok(true) => tracing::info!("certificates or credentials of ingest were read again"),
        Err(error) => {
            metrics.reload_failures.inc();
            tracing::warn!(%error, "changed certificates or credentials are not usable, the last good ones stay");
        }
    }
}
