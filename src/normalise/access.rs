//! Access logs of web servers: common, combined, with the virtual host before it, that of ingress-nginx, and nginx as JSON.
//! In: one line. Out: one request. Clients choose user, request, referrer and agent, but the servers escape quotes in all
//! of them: so the first `"` begins the request, wherever a user name holds a bracket or blank.

use serde_json::{Map, Value};

use super::{
    draft::{Draft, canonical},
    escape, stamp,
};
use crate::event::{Outcome, Text};

/// Reads a line of text; false when it is no access log.
pub fn read<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let Some((head, rest)) = text.split_once(" \"") else { return false };
    let Some((client, stamp)) = client(head) else { return false };
    let Some((request, rest)) = quoted(rest) else { return false };
    let mut tail = rest.trim_start().splitn(3, ' ');
    let Some(status) = tail.next().filter(|s| s.len() == 3).and_then(stamp::number::<i64>) else { return false };
    let bytes = tail.next().unwrap_or("-");
    let (referrer, rest) = tail.next().and_then(next_quoted).unwrap_or(("-", ""));
    let (agent, rest) = next_quoted(rest).unwrap_or(("-", rest));
    draft.stamp = Some(stamp);
    finish(draft, status, nil(client.user));
    draft.event.source_ip = canonical(client.address);
    if draft.event.source_ip.is_empty() {
        draft.note("client", client.address);
    }
    draft.event.url.domain = client.host.into();
    draft.event.http.body_bytes = stamp::number(bytes).unwrap_or(0);
    draft.event.http.referrer = escape::access(nil(referrer));
    draft.event.user_agent = escape::access(nil(agent));
    set_request(draft, escape::access(nil(request)));
    ingress(draft, rest.trim());
    true
}

/// `-` is what servers write for nothing.
fn nil(text: &str) -> &str {
    if text == "-" { "" } else { text }
}

struct Client<'a> {
    host: &'a str,
    address: &'a str,
    user: &'a str,
}

/// `[HOST[:PORT] ]ADDRESS IDENT USER [TIME]`. The time is last and of fixed form, so a bracket in the user moves nothing.
fn client(head: &str) -> Option<(Client<'_>, stamp::Stamp)> {
    let (before, time) = head.strip_suffix(']')?.rsplit_once(" [")?;
    let stamp = stamp::access(time)?;
    let (first, rest) = before.split_once(' ')?;
    // An address, a name, or `unix:`; `sshd[7]:` is the tag of another format.
    let is_host = |c: char| c.is_ascii_alphanumeric() || "._:%-".contains(c);
    let is_tag = first.ends_with(':') && first != "unix:" && !first.ends_with("::");
    if !first.chars().all(is_host) || is_tag {
        return None;
    }
    let (second, after) = rest.split_once(' ')?;
    // vhost_combined: an ident is never an address.
    let is_vhost = first.parse::<std::net::IpAddr>().is_err() && second.parse::<std::net::IpAddr>().is_ok();
    if !is_vhost {
        return Some((Client { host: "", address: first, user: after }, stamp));
    }
    let host =
        first.rsplit_once(':').filter(|(_, port)| stamp::number::<u16>(port).is_some()).map_or(first, |(h, _)| h);
    let (_ident, user) = after.split_once(' ')?;
    Some((Client { host, address: second, user }, stamp))
}

/// The text up to the next quote that is not escaped, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (inner, rest) = text.split_at_checked(end)?;
    Some((inner, rest.strip_prefix('"')?))
}

fn next_quoted(text: &str) -> Option<(&str, &str)> {
    quoted(text.trim_start().strip_prefix('"')?)
}

/// What every access log says alike.
fn finish<'a>(draft: &mut Draft<'a>, status: i64, user: &'a str) {
    let outcome = if status >= 400 { Outcome::Failure } else { Outcome::Success };
    let denied = matches!(status, 401 | 403);
    let categories: &[&str] = if status == 401 { &["web", "authentication"] } else { &["web"] };
    draft.mark(
        "access-log",
        "http-request",
        categories,
        if denied { &["access", "denied"] } else { &["access"] },
        outcome,
    );
    draft.event.code = status.to_string().into();
    draft.event.http.status_code = status;
    draft.event.user.name = escape::access(user);
    if draft.event.service.is_empty() {
        draft.event.service = "web".into();
    }
}

/// `METHOD URL HTTP/VERSION`; what has another form (TLS sent to a plain port, HTTP/0.9) is kept as it is.
fn set_request<'a>(draft: &mut Draft<'a>, request: Text<'a>) {
    if request.is_empty() {
        return;
    }
    let parts = request.split_once(' ').filter(|(method, _)| is_method(method)).map(|(method, rest)| {
        let (url, version) = match rest.rsplit_once(" HTTP/") {
            Some((url, version)) => (url, version),
            None => (rest, ""),
        };
        (method.to_owned(), url.to_owned(), version.to_owned())
    });
    match parts {
        Some((method, url, version)) => {
            draft.event.http.method = method.into();
            draft.event.http.version = version.into();
            set_url(draft, url);
        }
        None => {
            draft.event.url.original = request;
            draft.note("malformed", true);
        }
    }
}

/// A method is a token (RFC 9110 sections 9.1 and 5.6.2).
fn is_method(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=32).contains(&text.len()) && text.bytes().all(is_token)
}

fn set_url(draft: &mut Draft<'_>, url: String) {
    // A proxy is asked with the whole URL; its path begins behind the host.
    let behind = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let local = match behind {
        Some(rest) => rest.find(['/', '?']).and_then(|at| rest.split_at_checked(at)).map_or("/", |(_, local)| local),
        None => url.as_str(),
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    draft.event.url.path = escape::percent(path).as_str().to_owned().into();
    draft.event.url.query = query.to_owned().into();
    draft.event.url.original = url.into();
}

/// What ingress-nginx writes behind the agent: `LENGTH SECONDS [UPSTREAM] [ALTERNATIVE] ADDRESS BYTES SECONDS STATUS ID`
/// (`log_format upstreaminfo`, rootfs/etc/nginx/template/nginx.tmpl). With retries, the four before the id are lists.
fn ingress(draft: &mut Draft<'_>, rest: &str) {
    let mut parts = rest.splitn(3, ' ');
    let (Some(length), Some(seconds), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return };
    let Some((upstream, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] [")) else { return };
    let Some((alternative, rest)) = rest.split_once("] ") else { return };
    draft.event.service = "ingress-nginx".into();
    draft.note("request_length", stamp::number::<u64>(length));
    draft.note("request_seconds", seconds);
    draft.note("upstream_name", nil(upstream));
    draft.note("upstream_alternative", nil(alternative));
    let mut lists = vec![String::new()];
    let mut open = true;
    for word in rest.split(' ').take(64) {
        if !open {
            lists.push(String::new());
        }
        if let Some(last) = lists.last_mut() {
            last.push_str(word);
        }
        open = word.ends_with(',') || word.ends_with(':');
    }
    for (key, list) in
        ["upstream_address", "upstream_bytes", "upstream_seconds", "upstream_status", "request_id"].iter().zip(&lists)
    {
        draft.note(key, nil(list));
    }
}

/// Reads nginx's `log_format … escape=json`. Each server names its fields itself, so the usual names are tried.
pub fn read_json(draft: &mut Draft<'_>, text: &str) -> bool {
    let Ok(Value::Object(log)) = serde_json::from_str::<Value>(text) else { return false };
    let Some(address) = first(&log, &["remote_addr", "client_ip", "clientip", "client", "remote_ip"]) else {
        return false;
    };
    let Some(status) = first(&log, &["status", "response_code"]).and_then(|s| stamp::number::<i64>(&s)) else {
        return false;
    };
    let request = first(&log, &["request"]);
    let url = first(&log, &["request_uri", "uri", "url", "path"]);
    if request.is_none() && url.is_none() {
        return false;
    }
    let text = |names: &[&str]| first(&log, names).filter(|value| value != "-").unwrap_or_default();
    let stamped = text(&["time", "time_iso8601", "time_local", "@timestamp", "timestamp", "ts", "msec"]);
    draft.stamp = stamp::rfc3339(&stamped).or_else(|| stamp::access(&stamped));
    finish(draft, status, "");
    draft.event.user.name = text(&["remote_user", "user"]).into();
    draft.event.source_ip = canonical(&address).as_str().to_owned().into();
    draft.event.source_port = stamp::number(&text(&["remote_port"])).unwrap_or(0);
    draft.event.http.body_bytes =
        stamp::number(&text(&["body_bytes_sent", "bytes_sent", "bytes", "size"])).unwrap_or(0);
    draft.event.http.referrer = text(&["http_referer", "http_referrer", "referer", "referrer"]).into();
    draft.event.user_agent = text(&["http_user_agent", "user_agent", "agent"]).into();
    match request {
        Some(request) => set_request(draft, request.into()),
        None => {
            draft.event.http.method = text(&["request_method", "method"]).into();
            draft.event.http.version =
                text(&["server_protocol", "protocol"]).trim_start_matches("HTTP/").to_owned().into();
            let query = text(&["args", "query_string"]);
            let url = url.unwrap_or_default();
            set_url(draft, if query.is_empty() || url.contains('?') { url } else { format!("{url}?{query}") });
        }
    }
    draft.event.url.domain = text(&["host", "http_host", "server_name", "vhost"]).into();
    draft.note("request_seconds", text(&["request_time", "seconds"]));
    draft.note("upstream_address", text(&["upstream_addr"]));
    draft.note("upstream_status", text(&["upstream_status"]));
    draft.note("forwarded_for", text(&["http_x_forwarded_for", "x_forwarded_for"]));
    draft.note("request_id", text(&["request_id", "req_id"]));
    true
}

fn first(log: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match log.get(*name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
