//! Makes authorities and certificates: EC P-256, in PEM. In: names, dates, who signs. Out: text. Decides nothing.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::kept::{Authority, BACKDATED, CA, TlsError};

const DAY: i64 = 86_400;
/// Ten years.
const CA_LIFE: i64 = 3_653 * DAY;
const LEAF_LIFE: i64 = 90 * DAY;

/// A certificate and its key, PEM.
pub struct Made {
    pub certificate: String,
    pub key: String,
}

fn at(second: i64) -> Result<OffsetDateTime, TlsError> {
    OffsetDateTime::from_unix_timestamp(second).map_err(|_| rcgen::Error::Time.into())
}

fn authority_params(common_name: String, begins: i64, ends: i64) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (at(begins)?, at(ends)?);
    Ok(params)
}

/// A new authority. Its name holds the time, so that a person can tell one from the next.
pub fn authority(now: Timestamp) -> Result<Made, TlsError> {
    let second = now.as_second();
    let made = Timestamp::from_second(second).unwrap_or_default();
    let key = KeyPair::generate()?;
    let params =
        authority_params(format!("kubewitness ingest CA {made}"), second - BACKDATED, second.saturating_add(CA_LIFE))?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Made { certificate, key: key.serialize_pem() })
}

fn issuer(ca: &Authority) -> Result<Issuer<'static, &KeyPair>, TlsError> {
    Ok(Issuer::from_ca_cert_pem(&ca.pem, &ca.key)?)
}

/// The new authority as the old one vouches for it: same name and key.
pub fn cross(new: &Authority, old: &Authority) -> Result<String, TlsError> {
    let name = super::kept::with_certificate(CA.certificate, &new.pem, |certificate| {
        certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned()
    })?;
    let mut params = authority_params(name, new.life.begins, old.life.ends.min(new.life.ends))?;
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(&new.key, &issuer(old)?)?.pem())
}

/// A server's certificate for these names, that ends with its authority at the latest.
pub fn leaf(ca: &Authority, names: &[String], now: Timestamp) -> Result<Made, TlsError> {
    let second = now.as_second();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "kubewitness");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let ends = second.saturating_add(LEAF_LIFE).min(ca.life.ends);
    (params.not_before, params.not_after) = (at(second - BACKDATED)?, at(ends)?);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer(ca)?)?.pem();
    Ok(Made { certificate, key: key.serialize_pem() })
}
