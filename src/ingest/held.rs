//! Where certificate and tokens come from: files, or contents that somebody else keeps current.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

/// What a Secret holds; `None` until it was read.
pub type Content = watch::Receiver<Option<Arc<[u8]>>>;

/// Who the server is.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// PEM files, looked at every so often.
    Files { chain: PathBuf, key: PathBuf },
    /// Chain and key in one PEM; they change together.
    Held { secret: String, content: Content },
}

/// Who may send, YAML.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// Looked at every so often.
    File(PathBuf),
    Held {
        secret: String,
        content: Content,
    },
}

impl Certificate {
    pub(super) fn content(&self) -> Option<Content> {
        match self {
            Certificate::Files { .. } => None,
            Certificate::Held { content, .. } => Some(content.clone()),
        }
    }

    /// Where the chain stands, for messages.
    pub(super) fn chain_place(&self) -> String {
        match self {
            Certificate::Files { chain, .. } => format!("--ingest-tls-cert {}", chain.display()),
            Certificate::Held { secret, .. } => format!("tls.crt of Secret {secret}"),
        }
    }

    /// Where the key stands, for messages.
    pub(super) fn key_place(&self) -> String {
        match self {
            Certificate::Files { key, .. } => format!("--ingest-tls-key {}", key.display()),
            Certificate::Held { secret, .. } => format!("tls.key of Secret {secret}"),
        }
    }
}

impl Tokens {
    pub(super) fn content(&self) -> Option<Content> {
        match self {
            Tokens::File(_) => None,
            Tokens::Held { content, .. } => Some(content.clone()),
        }
    }

    /// Where they stand, for messages.
    pub(super) fn place(&self) -> String {
        match self {
            Tokens::File(path) => format!("--ingest-credentials {}", path.display()),
            Tokens::Held { secret, .. } => format!("credentials.yaml of Secret {secret}"),
        }
    }
}

/// Returns at the next change; never where there is nothing that changes any more.
pub(super) async fn changed(content: &mut Option<Content>) {
    if let Some(receiver) = content
        && receiver.changed().await.is_ok()
    {
        return;
    }
    *content = None;
    std::future::pending().await
}
