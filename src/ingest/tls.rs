//! TLS of the server: who it is, and which client certificates it believes.
//! In: PEM. Out: a rustls configuration, and the name in a client certificate that rustls has verified.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::credentials::CertificateName;

/// Which of the three files is wrong, and why.
pub(super) enum TlsError {
    Certificate(String),
    Key(String),
    ClientCa(String),
}

/// TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1. A client certificate is asked for when there is a `client_ca`, and may be
/// left out: a token will do.
pub(super) fn server_config(
    certificate: &[u8],
    key: &[u8],
    client_ca: Option<&[u8]>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(certificate).map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| TlsError::Key(e.to_string()))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsError::Certificate(e.to_string()))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(pem).map_err(TlsError::ClientCa)? {
                roots.add(root).map_err(|e| TlsError::ClientCa(e.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|e| TlsError::ClientCa(e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| TlsError::Key(e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    if all.is_empty() { Err("no PEM certificate in it".into()) } else { Ok(all) }
}

/// When the first certificate of a chain ends, in seconds since 1970.
pub(super) fn not_after(chain: &[u8]) -> Option<i64> {
    let first = CertificateDer::from_pem_slice(chain).ok()?;
    let (_, certificate) = X509Certificate::from_der(&first).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The subject of a verified certificate. What can't be read is empty, and so matches nothing.
pub(super) fn certificate_name(certificate: &CertificateDer<'_>) -> CertificateName {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return CertificateName::default() };
    let subject = certificate.subject();
    let organizations =
        subject.iter_organization().filter_map(|o| o.as_str().ok()).take(16).map(str::to_owned).collect();
    // More than one common name would leave open which one counts.
    let mut names = subject.iter_common_name().filter_map(|name| name.as_str().ok());
    let common_name = match (names.next(), names.next()) {
        (Some(name), None) => name.to_owned(),
        _ => String::new(),
    };
    CertificateName { organizations, common_name }
}
