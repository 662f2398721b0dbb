//! Addresses in one form. In: what an API server or a client wrote. Out: canonical text, so that equal addresses are
//! equal strings.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::event::Text;

/// Reads `10.0.0.1`, `::1`, `[::1]`, either with a port, and `fe80::1%eth0`. An IPv4 address mapped into IPv6 is IPv4.
pub fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split_once('%').map_or(bare, |(address, _zone)| address);
    let address = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(address.to_canonical())
}

/// Splits an audit event's `sourceIPs` into its source and what is only claimed.
///
/// The API server lists `X-Forwarded-For`, `X-Real-Ip` and last the address that it saw itself; a client can send any
/// headers. So the source is the last address that is no known proxy, and those before it are claims. When all are
/// proxies, the source is the last one.
pub fn source_and_claims<'a>(hops: &[Text<'a>], proxies: &[IpNet]) -> (Text<'a>, Vec<Text<'a>>) {
    let parsed: Vec<Option<IpAddr>> = hops.iter().map(|hop| parse(hop)).collect();
    let is_proxy = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let source = parsed
        .iter()
        .rposition(|hop| hop.is_some_and(|address| !is_proxy(&address)))
        .or_else(|| parsed.iter().rposition(Option::is_some));
    let text = |index: usize| {
        let hop = hops.get(index).cloned().unwrap_or_default();
        match parsed.get(index).copied().flatten().map(|address| address.to_string()) {
            Some(canonical) if canonical != *hop => canonical.into(),
            _ => hop,
        }
    };
    (source.map(text).unwrap_or_default(), (0..source.unwrap_or(hops.len())).map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings<'a>(texts: &[&'a str]) -> Vec<Text<'a>> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    /// Name, hops, proxies, source, claims.
    type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static str, &'static [&'static str]);

    #[test]
    fn source_is_the_last_hop_that_is_no_proxy() {
        let cases: &[Case] = &[
            ("none", &[], &[], "", &[]),
            ("one", &["10.0.0.1"], &[], "10.0.0.1", &[]),
            ("forged header", &["1.2.3.4", "10.0.0.1"], &[], "10.0.0.1", &["1.2.3.4"]),
            ("behind a proxy", &["6.6.6.6", "1.2.3.4", "10.0.0.1"], &["10.0.0.0/24"], "1.2.3.4", &["6.6.6.6"]),
            ("all proxies", &["10.0.0.2", "10.0.0.1"], &["10.0.0.0/24"], "10.0.0.1", &["10.0.0.2"]),
            ("mapped", &["::ffff:10.0.0.1"], &[], "10.0.0.1", &[]),
            ("mapped proxy", &["1.2.3.4", "::ffff:10.0.0.1"], &["10.0.0.1/32"], "1.2.3.4", &[]),
            ("brackets", &["[::1]"], &[], "::1", &[]),
            ("port", &["[::1]:443", "10.0.0.1:80"], &[], "10.0.0.1", &["::1"]),
            ("long form", &["2001:0db8:0:0:0:0:0:1"], &[], "2001:db8::1", &[]),
            ("no address at the end", &["10.0.0.1", "x"], &[], "10.0.0.1", &[]),
            ("no address at all", &["a", "b"], &[], "", &["a", "b"]),
        ];
        for (name, hops, proxies, source, claims) in cases {
            let hops = strings(hops);
            let proxies: Vec<IpNet> = proxies.iter().map(|p| p.parse().unwrap()).collect();
            assert_eq!(source_and_claims(&hops, &proxies), ((*source).into(), strings(claims)), "{name}");
        }
    }
}
