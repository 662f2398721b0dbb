//! `url` of Kubernetes' CEL libraries: absolute URLs and absolute paths, taken apart as Go's net/url does.

use std::{fmt, sync::Arc};

use percent_encoding::percent_decode_str;

use super::{
    budget::Steps,
    error::EvalError,
    operators::no_overload,
    value::{Map, Val},
};

type Answer<'a> = Result<Val<'a>, EvalError>;

/// A URL in its parts, each as it was written but for what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// In lower case.
    scheme: String,
    /// What follows the scheme of a URL such as `mailto:a@b`.
    opaque: String,
    /// Name and password, encoded.
    user: Option<String>,

    /// With its port, decoded.
    host: String,
    omit_host: bool,
    /// Encoded.
    path: String,
    force_query: bool,
    query: String,
    fragment: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if !self.opaque.is_empty() {
            f.write_str(&self.opaque)?;
        } else {
            let named = !self.host.is_empty() || self.user.is_some();
            let authority = named || !self.scheme.is_empty() && !self.omit_host && !self.path.is_empty();
            if authority {
                f.write_str("//")?;
                if let Some(user) = &self.user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&encode(&self.host, b"-_.~!$&'()*+,;=:[]<>\""))?;
            }
            f.write_str(&self.path)?;
        }
        if self.force_query || !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.fragment)?;
        }
        Ok(())
    }
}

type Parsed<T> = Result<T, &'static str>;

impl Url {
    /// Reads what Kubernetes' `url()` takes: first the whole text as the target of a request, then again without fragment.
    pub fn parse(text: &str) -> Parsed<Url> {
        request(text, true)?;
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        unescape(fragment)?;
        Ok(Url { fragment: fragment.to_owned(), ..request(text, false)? })
    }

    /// Whether the text is a URL: the first half of `parse`, as in Kubernetes' `isURL()`.
    pub fn is_url(text: &str) -> bool {
        request(text, true).is_ok()
    }

    fn host_and_port(&self) -> (&str, &str) {
        let (host, port) = match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
            _ => (self.host.as_str(), ""),
        };
        (host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host), port)
    }
}

fn request(text: &str, via_request: bool) -> Parsed<Url> {
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("a control character");
    }
    let mut url = Url {
        scheme: String::new(),
        opaque: String::new(),
        user: None,
        host: String::new(),
        omit_host: false,
        path: String::new(),
        force_query: false,
        query: String::new(),
        fragment: String::new(),
    };
    if text.is_empty() && via_request {
        return Err("it is empty");
    }
    if text == "*" {
        url.path = "*".into();
        return Ok(url);
    }
    let (scheme, mut rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    match rest.strip_suffix('?') {
        Some(before) if !before.contains('?') => {
            url.force_query = true;
            rest = before;
        }
        _ => {
            if let Some((before, query)) = rest.split_once('?') {
                url.query = query.to_owned();
                rest = before;
            }
        }
    }
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if via_request {
            return Err("neither absolute nor an absolute path");
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("a colon in its first segment");
        }
    }
    let has_authority = !url.scheme.is_empty() || !via_request && !rest.starts_with("///");
    if let Some(after) = rest.strip_prefix("//").filter(|_| has_authority) {
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        (url.user, url.host) = authority_of(&url.scheme, authority)?;
        rest = path;
    } else if !url.scheme.is_empty() && rest.starts_with('/') {
        url.omit_host = true;
    }
    let decoded = unescape(rest)?;
    url.path = if stands_in_path(rest) { rest.to_owned() } else { encode(&decoded, b"-_.~$&+,/:;=@") };
    Ok(url)
}

fn scheme(text: &str) -> Parsed<(&str, &str)> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("no scheme before its colon"),
            ':' => {
                let (scheme, rest) = text.split_at(at);
                return Ok((scheme, rest.strip_prefix(':').unwrap_or(rest)));
            }
            _ => break,
        }
    }
    Ok(("", text))
}

fn authority_of(scheme: &str, authority: &str) -> Parsed<(Option<String>, String)> {
    let Some((user, host)) = authority.rsplit_once('@') else { return Ok((None, host_of(scheme, authority)?)) };
    let host = host_of(scheme, host)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user.chars().all(fits) {
        return Err("a character that no user name has");
    }
    // Name and password, each as Go writes it again.
    let again = |part: &str| unescape(part).map(|part| encode(&part, b"-_.~$&+,;="));
    let user = match user.split_once(':') {
        Some((name, password)) => format!("{}:{}", again(name)?, again(password)?),
        None => again(user)?,
    };
    Ok((Some(user), host))
}

fn valid_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// The host, decoded. An IPv6 address stands in brackets; colons elsewhere only begin a port.
fn host_of(scheme: &str, host: &str) -> Parsed<String> {
    if let Some(open) = host.rfind('[') {
        let inner = host.strip_prefix('[').filter(|_| open == 0).ok_or("a bracket within its host")?;
        let (address, port) = inner.rsplit_once(']').ok_or("no closing bracket in its host")?;
        if !valid_port(port) {
            return Err("a bad port");
        }
        let address = match address.split_once("%25") {
            Some((address, zone)) => format!("{}%{}", unescape_host(address)?, unescape(zone)?),
            None => unescape_host(address)?,
        };
        let plain = address.split('%').next().unwrap_or_default();
        let zoned = address.strip_suffix('%').is_none();
        if plain.parse::<std::net::Ipv6Addr>().is_err() || !zoned {
            return Err("no IPv6 address in its brackets");
        }
        return Ok(format!("[{address}]{port}"));
    }
    let strict = matches!(scheme, "http" | "https");
    let colon = if strict { host.find(':') } else { host.rfind(':') };
    if colon.is_some_and(|at| !valid_port(host.split_at(at).1)) {
        return Err("a bad port");
    }
    unescape_host(host)
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

/// Decoded; bytes that are no UTF-8 become replacement characters.
fn unescape(text: &str) -> Parsed<String> {
    if !escapes_are_whole(text) {
        return Err("a broken %-escape");
    }
    Ok(percent_decode_str(text).decode_utf8_lossy().into_owned())
}

/// In a host only bytes beyond ASCII may be encoded.
fn unescape_host(text: &str) -> Parsed<String> {
    let ascii_escape =
        |after: &str| after.bytes().next().is_some_and(|b| matches!(b, b'0'..=b'7')) && !after.starts_with("25");
    if text.split('%').skip(1).any(ascii_escape) {
        return Err("an escape in its host");
    }
    let fits = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    if !text.chars().all(fits) {
        return Err("a character that no host has");
    }
    unescape(text)
}

/// Whether an encoded path can stand as it is.
fn stands_in_path(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:@[]%/".contains(c))
}

/// Encoded but for letters, digits and what is `plain`.
fn encode(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn parsed(text: &str, steps: &mut Steps) -> Result<Parsed<Url>, EvalError> {
    steps.charge_bytes(text.len().saturating_mul(2))?;
    Ok(Url::parse(text))
}

pub(super) fn url<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    let shown: String = text.as_str().chars().take(64).collect();
    match parsed(text.as_str(), steps)? {
        Ok(url) => Ok(Val::Url(Arc::new(url))),
        Err(why) => Err(EvalError::BadArgument(format!("{shown:?} is no URL: {why}"))),
    }
}

pub(super) fn is_url<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    steps.charge_bytes(text.as_str().len())?;
    Ok(Val::Bool(Url::is_url(text.as_str())))
}

fn part<'a>(args: &[Val<'a>], steps: &mut Steps, of: fn(&Url) -> &str) -> Answer<'a> {
    let [Val::Url(url)] = args else { return Err(no_overload(args)) };
    steps.charge_bytes(of(url).len())?;
    Ok(Val::shared(of(url)))
}

pub(super) fn scheme_of<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    part(args, steps, |url| &url.scheme)
}

pub(super) fn host<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    part(args, steps, |url| &url.host)
}

pub(super) fn hostname<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    part(args, steps, |url| url.host_and_port().0)
}

pub(super) fn port<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    part(args, steps, |url| url.host_and_port().1)
}

pub(super) fn path<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    part(args, steps, |url| &url.path)
}

/// Keys and all their values, decoded; what does not decode is left out.
pub(super) fn query<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::Url(url)] = args else { return Err(no_overload(args)) };
    steps.charge_bytes(url.query.len())?;
    let mut entries: Vec<(String, Vec<Val<'a>>)> = Vec::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Ok(key), Ok(value)) = (unescape(&key.replace('+', " ")), unescape(&value.replace('+', " "))) else {
            continue;
        };
        steps.charge(1 + entries.len() as u64)?;
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(Val::shared(value)),
            None => entries.push((key, vec![Val::shared(value)])),
        }
    }
    let entries: Vec<(Val<'a>, Val<'a>)> =
        entries.into_iter().map(|(key, values)| (Val::shared(key), Val::list(values))).collect();
    Ok(Val::Map(Map::Shared(entries.into())))
}
