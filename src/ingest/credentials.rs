//! Who may send for which API server.
//! In: the credentials file, and what a request brings (a token, or a verified client certificate's name).
//! Out: yes, or a refusal with its reason. Knows tokens by their hash alone and never says which part was wrong.

use base64::prelude::{BASE64_STANDARD, Engine};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Organisation of a sender's client certificate.
const ORGANIZATION: &str = "kubewitness:audit";
/// More than any fleet has API servers; a bound for the comparison with all of them.
const MOST: usize = 4096;
/// Credentials that one API server may have by [`CredentialList::add`]: more than a rotation needs.
const MOST_OF_ONE: usize = 8;

/// One API server, as the path of a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub cluster: Arc<str>,
    pub apiserver: Arc<str>,
}

impl Source {
    /// Both must be DNS-1123 subdomains (RFC 1123: lower case letters, digits, `-` and `.`, at most 253).
    pub(super) fn parse(cluster: &str, apiserver: &str) -> Option<Source> {
        (is_subdomain(cluster) && is_subdomain(apiserver))
            .then(|| Source { cluster: cluster.into(), apiserver: apiserver.into() })
    }
}

/// A DNS-1123 subdomain, as names of clusters, nodes and most objects are.
pub fn is_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// What is wrong with the credentials file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("line {line}, column {column}: not `credentials: [{{cluster, apiserver, tokenSHA256}}]`")]
    Yaml { line: u64, column: u64 },
    #[error("credentials[{at}]: cluster and apiserver must be lower case DNS names")]
    Name { at: usize },
    #[error("credentials[{at}]: tokenSHA256 must be the 64 hexadecimal digits that `sha256sum` prints for the token")]
    Hash { at: usize },
    #[error("credentials[{at}]: the same token as credentials[{first}]; a token is good for one API server")]
    Twice { at: usize, first: usize },
    #[error("more than {MOST} credentials")]
    TooMany,
    #[error(
        "{cluster}/{apiserver} has {MOST_OF_ONE} credentials already: run webhook-config with --revoke-others, which keeps \
         the newest alone"
    )]
    TooManyOfOne { cluster: String, apiserver: String },
    #[error("the list does not serialise: {0}")]
    Unwritable(String),
}

/// The file: which API server has which tokens, by their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialList {
    credentials: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    cluster: String,
    apiserver: String,
    #[serde(rename = "tokenSHA256")]
    token_sha256: String,
}

impl CredentialList {
    /// Nothing at all is an empty list; what is wrong is refused with its place.
    pub fn parse(yaml: &str) -> Result<CredentialList, CredentialsError> {
        if yaml.trim().is_empty() {
            return Ok(CredentialList::default());
        }
        Credentials::parse(yaml)?;
        read(yaml)
    }

    /// Adds a token at the end, so that the last of an API server is the newest.
    pub fn add(&mut self, cluster: &str, apiserver: &str, token: &str) -> Result<(), CredentialsError> {
        if self.count(cluster, apiserver) >= MOST_OF_ONE {
            return Err(CredentialsError::TooManyOfOne {
                cluster: cluster.to_owned(),
                apiserver: apiserver.to_owned(),
            });
        }
        if self.credentials.len() >= MOST {
            return Err(CredentialsError::TooMany);
        }
        let token_sha256 = HEXLOWER.encode(&Sha256::digest(token));
        self.credentials.push(Entry { cluster: cluster.to_owned(), apiserver: apiserver.to_owned(), token_sha256 });
        Ok(())
    }

    /// Keeps the newest of an API server alone; how many went.
    pub fn revoke_others(&mut self, cluster: &str, apiserver: &str) -> usize {
        let mut older = self.count(cluster, apiserver).saturating_sub(1);
        let before = self.credentials.len();
        self.credentials.retain(|entry| {
            let goes = older > 0 && entry.cluster == cluster && entry.apiserver == apiserver;
            older -= usize::from(goes);
            !goes
        });
        before - self.credentials.len()
    }

    /// Tokens of one API server.
    pub fn count(&self, cluster: &str, apiserver: &str) -> usize {
        self.credentials.iter().filter(|entry| entry.cluster == cluster && entry.apiserver == apiserver).count()
    }

    /// The text that [`CredentialList::parse`] reads.
    pub fn to_yaml(&self) -> Result<String, CredentialsError> {
        serde_saphyr::to_string(self).map_err(|error| CredentialsError::Unwritable(error.to_string()))
    }
}

fn read(yaml: &str) -> Result<CredentialList, CredentialsError> {
    // The place alone: the parser's text quotes the file, which may hold a token in clear by mistake.
    serde_saphyr::from_str(yaml).map_err(|error| {
        let place = error.location();
        CredentialsError::Yaml { line: place.map_or(0, |p| p.line()), column: place.map_or(0, |p| p.column()) }
    })
}

/// Why a request is refused. Also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoCredential,
    /// An `Authorization` header that is no bearer token.
    Malformed,
    UnknownToken,
    /// A certificate of the right authority whose subject is no sender.
    NoSender,
    /// A good credential, but for another API server.
    OtherPath,
}

impl Refusal {
    pub(super) const ALL: [Refusal; 5] =
        [Refusal::NoCredential, Refusal::Malformed, Refusal::UnknownToken, Refusal::NoSender, Refusal::OtherPath];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Refusal::NoCredential => "NoCredential",
            Refusal::Malformed => "Malformed",
            Refusal::UnknownToken => "UnknownToken",
            Refusal::NoSender => "NoSender",
            Refusal::OtherPath => "OtherPath",
        }
    }
}

/// Subject of a client certificate that TLS has verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CertificateName {
    pub organizations: Vec<String>,
    pub common_name: String,
}

/// The tokens that are good.
#[derive(Default)]
pub(super) struct Credentials {
    tokens: Vec<([u8; 32], Source)>,
}

impl Credentials {
    pub(super) fn parse(yaml: &str) -> Result<Credentials, CredentialsError> {
        let file = read(yaml)?;
        if file.credentials.len() > MOST {
            return Err(CredentialsError::TooMany);
        }
        let mut tokens: Vec<([u8; 32], Source)> = Vec::new();
        for (at, entry) in file.credentials.iter().enumerate() {
            let source = Source::parse(&entry.cluster, &entry.apiserver).ok_or(CredentialsError::Name { at })?;
            let hash = HEXLOWER_PERMISSIVE.decode(entry.token_sha256.as_bytes()).ok();
            let hash: [u8; 32] = hash.and_then(|h| h.try_into().ok()).ok_or(CredentialsError::Hash { at })?;
            if let Some(first) = tokens.iter().position(|(other, _)| *other == hash) {
                return Err(CredentialsError::Twice { at, first });
            }
            tokens.push((hash, source));
        }
        Ok(Credentials { tokens })
    }

    /// The cluster of all tokens, when they name only one.
    pub(super) fn only_cluster(&self) -> Option<Arc<str>> {
        let (_, first) = self.tokens.first()?;
        let is_only = self.tokens.iter().all(|(_, source)| source.cluster == first.cluster);
        is_only.then(|| first.cluster.clone())
    }

    /// Cluster and name of every API server that a token is for.
    pub(super) fn apiservers(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.tokens.iter().map(|(_, source)| (source.cluster.clone(), source.apiserver.clone())).collect()
    }

    /// Whether a request for `source` may be taken. A token, if there is one, decides alone.
    pub(super) fn admit(
        &self,
        source: &Source,
        authorization: Option<&[u8]>,
        certificate: Option<&CertificateName>,
    ) -> Result<(), Refusal> {
        match (authorization, certificate) {
            (Some(header), _) => self.admit_token(source, header),
            (None, Some(name)) => admit_certificate(source, name),
            (None, None) => Err(Refusal::NoCredential),
        }
    }

    fn admit_token(&self, source: &Source, header: &[u8]) -> Result<(), Refusal> {
        let token = token(header).ok_or(Refusal::Malformed)?;
        let hash: [u8; 32] = Sha256::digest(&token).into();
        // All are compared, in full, so that the time tells nothing about which one came near.
        let mut found = 0u32;
        for (number, (known, _)) in (1u32..).zip(&self.tokens) {
            let same: Choice = known.ct_eq(&hash);
            found.conditional_assign(&number, same);
        }
        let owner = (found as usize).checked_sub(1).and_then(|at| self.tokens.get(at));
        match owner {
            None => Err(Refusal::UnknownToken),
            Some((_, owner)) if owner == source => Ok(()),
            Some(_) => Err(Refusal::OtherPath),
        }
    }
}

/// The token of a header: a bearer, or the password of Basic (RFC 7617) under any name. kube-apiserver sends a bearer token
/// over TLS alone (client-go, tools/clientcmd/client_config.go); to a relay on loopback it can only carry what stands in
/// the URL, which Go sends as Basic.
fn token(header: &[u8]) -> Option<Vec<u8>> {
    let space = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = header.split_at_checked(space)?;
    let rest = rest.trim_ascii();
    let token = match scheme {
        _ if scheme.eq_ignore_ascii_case(b"bearer") => rest.to_vec(),
        _ if scheme.eq_ignore_ascii_case(b"basic") => {
            let pair = BASE64_STANDARD.decode(rest).ok()?;
            let colon = pair.iter().position(|byte| *byte == b':')?;
            pair.get(colon + 1..)?.to_vec()
        }
        _ => return None,
    };
    (!token.is_empty()).then_some(token)
}

fn admit_certificate(source: &Source, name: &CertificateName) -> Result<(), Refusal> {
    if !name.organizations.iter().any(|organization| organization == ORGANIZATION) {
        return Err(Refusal::NoSender);
    }
    match name.common_name.split_once('/') {
        Some((cluster, apiserver)) if *cluster == *source.cluster && *apiserver == *source.apiserver => Ok(()),
        Some((cluster, apiserver)) if Source::parse(cluster, apiserver).is_some() => Err(Refusal::OtherPath),
        _ => Err(Refusal::NoSender),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn entry(cluster: &str, apiserver: &str, token: &str) -> String {
        let hash = HEXLOWER.encode(&Sha256::digest(token));
        format!("- {{cluster: {cluster}, apiserver: {apiserver}, tokenSHA256: {hash}}}\n")
    }

    fn source(cluster: &str, apiserver: &str) -> Source {
        Source::parse(cluster, apiserver).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_path_alone() {
        let yaml = format!("credentials:\n{}{}", entry("prod", "cp-1", "one"), entry("prod", "cp-2", "two"));
        let credentials = Credentials::parse(&yaml).unwrap();
        for (header, expected) in [
            ("Bearer one", Ok(())),
            ("bearer  one ", Ok(())),
            ("Bearer two", Err(Refusal::OtherPath)),
            ("Bearer three", Err(Refusal::UnknownToken)),
            ("Bearer ", Err(Refusal::Malformed)),
            ("Basic YW55Om9uZQ==", Ok(())),                     // any:one
            ("basic b25lOnRocmVl", Err(Refusal::UnknownToken)), // one:three
            ("Basic b25l", Err(Refusal::Malformed)),            // one
            ("Basic b25lOg==", Err(Refusal::Malformed)),        // one:
            ("Basic :", Err(Refusal::Malformed)),
            ("Digest one", Err(Refusal::Malformed)),
            ("Bearerone", Err(Refusal::Malformed)),
            ("", Err(Refusal::Malformed)),
        ] {
            let certificate =
                CertificateName { organizations: vec![ORGANIZATION.into()], common_name: "prod/cp-1".into() };
            let outcome = credentials.admit(&source("prod", "cp-1"), Some(header.as_bytes()), Some(&certificate));
            assert_eq!(outcome, expected, "{header:?}");
        }
        assert_eq!(credentials.admit(&source("prod", "cp-1"), None, None), Err(Refusal::NoCredential));
    }

    #[test]
    fn a_certificate_is_good_for_its_path_alone() {
        for (organization, common_name, expected) in [
            (ORGANIZATION, "prod/cp-1", Ok(())),
            (ORGANIZATION, "prod/cp-2", Err(Refusal::OtherPath)),
            (ORGANIZATION, "prod", Err(Refusal::NoSender)),
            (ORGANIZATION, "prod/cp-1/x", Err(Refusal::NoSender)),
            ("system:masters", "prod/cp-1", Err(Refusal::NoSender)),
        ] {
            let name = CertificateName { organizations: vec![organization.into()], common_name: common_name.into() };
            let outcome = Credentials::default().admit(&source("prod", "cp-1"), None, Some(&name));
            assert_eq!(outcome, expected, "{organization} {common_name}");
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place() {
        let twice = format!("credentials:\n{}{}", entry("a", "b", "one"), entry("a", "c", "one"));
        for (yaml, expected) in [
            ("credentials:\n- {cluster: A, apiserver: b, tokenSHA256: ''}".to_owned(), "credentials[0]: cluster"),
            ("credentials:\n- {cluster: a, apiserver: b, tokenSHA256: s3cret}".to_owned(), "credentials[0]: tokenSHA"),
            ("credentials:\n- {cluster: a, apiserver: b, token: s3cret}".to_owned(), "line 2, column"),
            ("credentials: s3cret".to_owned(), "line 1, column"),
            (twice, "credentials[1]: the same token as credentials[0]"),
        ] {
            let message = Credentials::parse(&yaml).err().unwrap().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn a_list_grows_by_a_token_and_keeps_the_others_until_they_are_revoked() {
        let mut list = CredentialList::parse(" \n").unwrap();
        let admits = |list: &CredentialList, apiserver: &str, token: &str| {
            let credentials = Credentials::parse(&list.to_yaml().unwrap()).unwrap();
            credentials.admit(&source("prod", apiserver), Some(format!("Bearer {token}").as_bytes()), None).is_ok()
        };
        list.add("prod", "cp-1", "one").unwrap();
        list.add("prod", "cp-2", "other").unwrap();
        list.add("prod", "cp-1", "two").unwrap();
        assert!(admits(&list, "cp-1", "one") && admits(&list, "cp-1", "two") && admits(&list, "cp-2", "other"));
        assert_eq!(CredentialList::parse(&list.to_yaml().unwrap()).unwrap(), list);
        assert_eq!(list.revoke_others("prod", "cp-1"), 1);
        assert!(!admits(&list, "cp-1", "one") && admits(&list, "cp-1", "two"), "the newest stays");
        assert!(admits(&list, "cp-2", "other"), "another API server's stays");
        assert_eq!((list.revoke_others("prod", "cp-1"), list.revoke_others("prod", "cp-3")), (0, 0));
        for n in list.count("prod", "cp-1")..MOST_OF_ONE {
            list.add("prod", "cp-1", &n.to_string()).unwrap();
        }
        let message = list.add("prod", "cp-1", "last").unwrap_err().to_string();
        assert!(message.contains("--revoke-others"), "{message}");
        assert_eq!(list.revoke_others("prod", "cp-1"), MOST_OF_ONE - 1);
        list.add("prod", "cp-1", "last").unwrap();
        assert!(CredentialList::parse("credentials: 7").is_err());
        let mut odd = CredentialList::default();
        odd.add("1e3", "null", "t").unwrap();
        assert_eq!(CredentialList::parse(&odd.to_yaml().unwrap()).unwrap(), odd, "names that look like other types");
    }

    #[test]
    fn paths_are_dns_names() {
        for (name, good) in [
            ("cp-1.example.com", true),
            ("", false),
            ("A", false),
            ("a/b", false),
            ("-a", false),
            ("a..b", false),
            ("a_b", false),
        ] {
            assert_eq!(Source::parse("c", name).is_some(), good, "{name:?}");
        }
        assert!(Source::parse(&"a".repeat(254), "b").is_none());
    }
}
