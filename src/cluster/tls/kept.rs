//! What the Secret holds, read and checked. In: its keys. Out: authorities, the certificate and their dates, or what is
//! wrong with them. Keys never show in a message.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer, Validity},
};

/// `data` of the Secret, decoded.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// The authority that signs, and its key.
pub const CA: Pair = Pair { certificate: "ca.crt", key: "ca.key" };
/// The one that will sign, once clients had time to read it.
pub const NEXT_CA: Pair = Pair { certificate: "next-ca.crt", key: "next-ca.key" };
/// The server's certificate and its key.
pub const LEAF: Pair = Pair { certificate: "tls.crt", key: "tls.key" };
/// The one that signed before: published for a while.
pub const PREVIOUS_CA: &str = "previous-ca.crt";
/// Each authority signed by the one before it, newest first: sent along, so that who knows only an old one goes on.
pub const CROSS_CA: &str = "cross-ca.crt";

/// Certificates are good from some time before they are made, for clients whose clock is behind. In seconds.
pub const BACKDATED: i64 = 3600;

/// Two keys of the Secret that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub certificate: &'static str,
    pub key: &'static str,
}

/// Why the Secret can't be used, or nothing be made of it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{key}: {reason}")]
    Unreadable { key: &'static str, reason: String },
    #[error("{} is not the key of {}", .0.key, .0.certificate)]
    Mismatch(Pair),
    #[error("{present} without {missing}: restore it, or delete both to have them made anew")]
    Half { present: &'static str, missing: &'static str },
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// From when to when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub begins: i64,
    pub ends: i64,
}

impl Life {
    fn of(validity: &Validity) -> Life {
        Life { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() }
    }

    /// When we made it.
    pub fn made_at(self) -> i64 {
        self.begins.saturating_add(BACKDATED)
    }

    /// Two thirds of it are over.
    pub fn is_due(self, now: Timestamp) -> bool {
        now.as_second() >= self.begins.saturating_add(self.ends.saturating_sub(self.begins) / 3 * 2)
    }

    pub fn is_over(self, now: Timestamp) -> bool {
        now.as_second() >= self.ends
    }
}

/// A certificate and its key, which fit.
#[derive(Debug)]
pub struct Authority {
    pub pem: String,
    pub key: KeyPair,
    pub life: Life,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Leaf {
    pub life: Life,
    /// Sorted; addresses in their canonical form.
    pub names: Vec<String>,
    pub is_signed_by_ca: bool,
}

/// All of the Secret.
#[derive(Debug)]
pub struct Kept {
    pub ca: Option<Authority>,
    pub next_ca: Option<Authority>,
    /// The Secret holds a certificate without its authority's key: somebody else renews it.
    pub is_foreign: bool,
    /// `None` as well where it is no good and a new one can be made.
    pub leaf: Option<Leaf>,
}

/// The text of a key; an empty one is none.
fn text<'c>(contents: &'c Contents, key: &'static str) -> Result<Option<&'c str>, TlsError> {
    let bytes = contents.get(key).map(Vec::as_slice).unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|e| TlsError::Unreadable { key, reason: e.to_string() })?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// Runs `look` over the first certificate of a PEM text.
pub fn with_certificate<T>(
    key: &'static str,
    pem: &str,
    look: impl FnOnce(&X509Certificate<'_>) -> T,
) -> Result<T, TlsError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| TlsError::Unreadable { key, reason: e.to_string() })?;
    let (_, certificate) =
        X509Certificate::from_der(&der).map_err(|e| TlsError::Unreadable { key, reason: e.to_string() })?;
    Ok(look(&certificate))
}

impl Kept {
    pub fn read(contents: &Contents) -> Result<Kept, TlsError> {
        let is_foreign = text(contents, CA.key)?.is_none() && text(contents, LEAF.key)?.is_some();
        let ca = if is_foreign { None } else { authority(contents, CA)? };
        let leaf = match leaf(contents, ca.as_ref().map(|ca| ca.pem.as_str())) {
            Ok(leaf) => leaf,
            Err(error) if is_foreign => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the certificate in the Secret is no good, a new one is made");
                None
            }
        };
        Ok(Kept { ca, next_ca: authority(contents, NEXT_CA)?, is_foreign, leaf })
    }
}

fn pair(contents: &Contents, pair: Pair) -> Result<Option<(&str, KeyPair)>, TlsError> {
    let (pem, key) = match (text(contents, pair.certificate)?, text(contents, pair.key)?) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(TlsError::Half { present: pair.certificate, missing: pair.key }),
        (None, Some(_)) => return Err(TlsError::Half { present: pair.key, missing: pair.certificate }),
        (Some(pem), Some(key)) => (pem, key),
    };
    // The parser's reason may quote what it read.
    let unreadable = |_| TlsError::Unreadable { key: pair.key, reason: "no private key in PEM".to_owned() };
    let key = KeyPair::from_pem(key).map_err(unreadable)?;
    let is_its = with_certificate(pair.certificate, pem, |c| c.public_key().raw == key.subject_public_key_info())?;
    if is_its { Ok(Some((pem, key))) } else { Err(TlsError::Mismatch(pair)) }
}

fn authority(contents: &Contents, at: Pair) -> Result<Option<Authority>, TlsError> {
    let Some((pem, key)) = pair(contents, at)? else { return Ok(None) };
    let (life, is_ca) = with_certificate(at.certificate, pem, |c| (Life::of(c.validity()), c.is_ca()))?;
    if !is_ca {
        return Err(TlsError::Unreadable { key: at.certificate, reason: "no certificate of an authority".to_owned() });
    }
    Ok(Some(Authority { pem: pem.to_owned(), key, life }))
}

fn leaf(contents: &Contents, ca: Option<&str>) -> Result<Option<Leaf>, TlsError> {
    // Keys of other makers may be of kinds that rcgen does not know: those are judged by the server that uses them.
    let pem = match ca {
        None => text(contents, LEAF.certificate)?,
        Some(_) => pair(contents, LEAF)?.map(|(pem, _)| pem),
    };
    let Some(pem) = pem else { return Ok(None) };
    let leaf = with_certificate(LEAF.certificate, pem, |leaf| {
        let is_signed = |ca: &X509Certificate<'_>| leaf.verify_signature(Some(ca.public_key())).is_ok();
        let is_signed_by_ca = ca.map(|ca| with_certificate(CA.certificate, ca, is_signed)).transpose()?;
        let life = Life::of(leaf.validity());
        Ok(Leaf { life, names: names(leaf), is_signed_by_ca: is_signed_by_ca.unwrap_or(false) })
    })?;
    leaf.map(Some)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let all = alternative.iter().flat_map(|names| &names.value.general_names);
    let mut names: Vec<String> = all
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
