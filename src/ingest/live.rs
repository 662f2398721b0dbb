//! Certificates and credentials as they are on disk now. A change takes effect within seconds, without a restart; a
//! file that has become wrong changes nothing but a counter and the log.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::{
    IngestConfig, IngestError, Metrics,
    credentials::Credentials,
    tls::{self, TlsError},
};

const LARGEST_FILE: u64 = 1 << 20;

pub(super) struct Live {
    config: IngestConfig,
    pub tls: ArcSwap<ServerConfig>,
    pub credentials: ArcSwap<Credentials>,
    read: Mutex<Files>,
}

/// The contents that are in use.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    credentials: Option<Vec<u8>>,
}

impl Files {
    fn read(config: &IngestConfig) -> Result<Files, IngestError> {
        Ok(Files {
            certificate: read(&config.tls_cert)?,
            key: read(&config.tls_key)?,
            client_ca: config.client_ca.as_deref().map(read).transpose()?,
            credentials: config.credentials.as_deref().map(read).transpose()?,
        })
    }

    fn parse(&self, config: &IngestConfig) -> Result<(ServerConfig, Credentials), IngestError> {
        let tls = tls::server_config(&self.certificate, &self.key, self.client_ca.as_deref());
        let tls = tls.map_err(|error| match error {
            TlsError::Certificate(reason) => IngestError::Certificate { path: config.tls_cert.clone(), reason },
            TlsError::Key(reason) => IngestError::Key { path: config.tls_key.clone(), reason },
            TlsError::ClientCa(reason) => {
                IngestError::ClientCa { path: config.client_ca.clone().unwrap_or_default(), reason }
            }
        })?;
        let credentials = match &self.credentials {
            None => Credentials::default(),
            Some(yaml) => Credentials::parse(&String::from_utf8_lossy(yaml)).map_err(|source| {
                IngestError::Credentials { path: config.credentials.clone().unwrap_or_default(), source }
            })?,
        };
        Ok((tls, credentials))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IngestError> {
    let read = |source| IngestError::Read { path: path.to_owned(), source };
    let mut content = Vec::new();
    File::open(path).map_err(read)?.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(read)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(IngestError::FileTooLarge { path: path.to_owned(), limit: LARGEST_FILE });
    }
    Ok(content)
}

impl Live {
    pub(super) fn load(config: IngestConfig) -> Result<Live, IngestError> {
        config.check()?;
        let files = Files::read(&config)?;
        let (tls, credentials) = files.parse(&config)?;
        Ok(Live {
            config,
            tls: ArcSwap::from_pointee(tls),
            credentials: ArcSwap::from_pointee(credentials),
            read: Mutex::new(files),
        })
    }

    /// Reads the files; true when something changed. All of it takes effect, or nothing.
    fn reload(&self) -> Result<bool, IngestError> {
        let files = Files::read(&self.config)?;
        let mut in_use = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_use == files {
            return Ok(false);
        }
        let (tls, credentials) = files.parse(&self.config)?;
        self.tls.store(Arc::new(tls));
        self.credentials.store(Arc::new(credentials));
        *in_use = files;
        Ok(true)
    }

    /// Looks at the files every so often. Certificate and key are renewed by one rename of their directory in a mounted
    /// Secret; elsewhere a pair that doesn't match is tried again at the next look.
    pub(super) async fn reload_until(
        self: &Arc<Self>,
        shutdown: CancellationToken,
        every: Duration,
        metrics: &Metrics,
    ) {
        while shutdown.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let live = self.clone();
            match tokio::task::spawn_blocking(move || live.reload()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("certificates and credentials of ingest were read again"),
                Ok(Err(error)) => {
                    metrics.reload_failures.inc();
                    tracing::warn!(%error, "changed certificates or credentials are not usable, the last good ones stay");
                }
                Err(error) => tracing::error!(%error, "reading certificates and credentials broke off"),
            }
        }
    }
}
