//! The controller's address, as an API server reaches it.

use std::net::IpAddr;

/// `https://HOST[:PORT]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    host: String,
    url: String,
}

/// Parses `--server`.
pub fn server(text: &str) -> Result<Server, String> {
    const FORM: &str = "not https://HOST:PORT";
    let uri: http::Uri = text.parse().map_err(|_| FORM.to_owned())?;
    let authority = uri.authority().ok_or(FORM)?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
    if uri.scheme_str() != Some("https") || !is_bare {
        return Err(FORM.to_owned());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let host = host.parse::<IpAddr>().map_or_else(|_| host.to_ascii_lowercase(), |address| address.to_string());
    Ok(Server { host, url: format!("https://{authority}") })
}

impl Server {
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// The name to check the certificate for, where it does not hold the host: `tls-server-name`.
    pub fn name_to_expect(&self, names: &[String]) -> Option<String> {
        if names.contains(&self.host) {
            return None;
        }
        let dns = names.iter().find(|name| name.parse::<IpAddr>().is_err());
        dns.or(names.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_https_url_without_a_path() {
        for (text, host) in [
            ("https://10.96.0.60:9443", Some("10.96.0.60")),
            ("https://10.96.0.60:9443/", Some("10.96.0.60")),
            ("https://[FD00:0::60]:9443", Some("fd00::60")),
            ("https://Audit.example.com", Some("audit.example.com")),
            ("http://10.96.0.60:9443", None),
            ("10.96.0.60:9443", None),
            ("https://10.96.0.60:9443/audit/a/b", None),
            ("https://10.96.0.60:9443?a", None),
            ("https://user:pass@10.96.0.60:9443", None),
            ("https://", None),
        ] {
            assert_eq!(server(text).ok().map(|server| server.host), host.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn the_name_to_expect_is_told_where_the_certificate_does_not_hold_the_host() {
        let names = ["10.96.0.60".to_owned(), "kubewitness.kubewitness.svc".to_owned()];
        for (text, names, expected) in [
            ("https://10.96.0.60:9443", &names[..], None),
            ("https://10.0.0.7:30943", &names[..], Some("kubewitness.kubewitness.svc")),
            ("https://10.0.0.7:30943", &names[..1], Some("10.96.0.60")),
            ("https://10.0.0.7:30943", &[], None),
        ] {
            assert_eq!(server(text).unwrap().name_to_expect(names).as_deref(), expected, "{text} {names:?}");
        }
    }
}
