//! Error logs of nginx and Apache. In: one line. Out: an event with level, client and reason. Neither server escapes all
//! that clients send, so of several places that read alike the one is taken that a client can't write; where that can't
//! be told the event is flagged `fields.ambiguous`.

use jiff::civil::Date;

use super::{
    draft::{Draft, canonical},
    stamp::{self, Stamp},
};
use crate::event::Outcome;

/// Reads a line of nginx: `2026/11/25 02:02:57 [error] 122#122: *7 TEXT, client: ADDRESS, server: NAME, request: "…", host: "…"`
/// (`ngx_log_error_core`, src/core/ngx_log.c; `ngx_http_log_error`, src/http/ngx_http_request.c). The text may hold the
/// decoded path of the request, so the last place with an address counts.
pub fn read_nginx<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let Some((stamp, rest)) = nginx_stamp(text) else { return false };
    let Some((level, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return false };
    let Some((process, rest)) = rest.split_once(": ") else { return false };
    let Some(pid) = process.split_once('#').and_then(|(pid, _)| stamp::number::<i64>(pid)) else { return false };
    draft.stamp = Some(stamp);
    mark(draft, level);
    draft.event.service = "nginx".into();
    draft.event.process.name = "nginx".into();
    draft.event.process.pid = pid;
    draft.event.line = rest.into();
    const CLIENT: &str = ", client: ";
    let mut places = rest.rmatch_indices(CLIENT).filter_map(|(at, _)| {
        let (before, after) = rest.split_at_checked(at)?;
        let (address, after) = after.strip_prefix(CLIENT)?.split_once(',').unwrap_or((after.strip_prefix(CLIENT)?, ""));
        super::address::parse(address)?;
        Some((before, address, after))
    });
    let found = places.next();
    if found.is_some() && places.next().is_some() {
        draft.ambiguous();
    }
    let Some((reason, address, after)) = found else { return true };
    draft.event.source_ip = canonical(address);
    draft.event.reason =
        reason.strip_prefix('*').and_then(|r| r.split_once(' ')).map_or(reason, |(_, reason)| reason).into();
    let request = after.split_once(", request: \"").map_or("", |(_, rest)| rest);
    let request = request.rsplit_once("\", host: \"").map_or(request.trim_end_matches('"'), |(request, _)| request);
    draft.note("request", request);
    true
}

fn nginx_stamp(text: &str) -> Option<(Stamp, &str)> {
    let (date, rest) = text.split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    let mut parts = date.split('/');
    let year = parts.next().filter(|year| year.len() == 4)?;
    let date = Date::new(stamp::number(year)?, stamp::number(parts.next()?)?, stamp::number(parts.next()?)?).ok()?;
    let (time, precision) = stamp::clock(time)?;
    Some((Stamp::Local(date.to_datetime(time), precision), rest))
}

/// Reads a line of Apache: `[Wed Nov 25 02:02:57.123456 2026] [core:error] [pid 12:tid 34] [client ADDRESS:PORT] AH00126: …`
/// (`ap_default_log_format`, server/core.c). What stands in front is the server's own.
pub fn read_apache<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let Some((stamp, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return false };
    let Some(stamp) = apache_stamp(stamp) else { return false };
    let Some((module, mut rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return false };
    let (module, level) = module.split_once(':').unwrap_or(("", module));
    draft.stamp = Some(stamp);
    mark(draft, level);
    draft.event.service = "apache".into();
    draft.event.process.name = "apache".into();
    draft.note("module", module);
    if let Some((process, after)) = rest.strip_prefix("[pid ").and_then(|rest| rest.split_once("] ")) {
        draft.event.process.pid = stamp::number(process.split(':').next().unwrap_or(process)).unwrap_or(0);
        rest = after;
    }
    // An error of the system stands before the client: `(36)File name too long: [client …]`.
    let at_start = rest.strip_prefix("[client ");
    let behind_error = || rest.strip_prefix('(').and_then(|r| r.split_once(": [client ")).map(|(_, after)| after);
    if let Some((client, after)) = at_start.or_else(behind_error).and_then(|rest| rest.split_once("] ")) {
        let parsed = client.parse::<std::net::SocketAddr>().ok();
        // Without brackets an IPv6 address and its port look alike but for the last colon.
        let split = client
            .rsplit_once(':')
            .filter(|(address, port)| stamp::number::<u16>(port).is_some() && super::address::parse(address).is_some());
        let (address, port) = match split {
            Some((address, port)) => (address, stamp::number(port).unwrap_or(0)),
            None => (client, parsed.map_or(0, |address| address.port())),
        };
        draft.event.source_ip = canonical(address);
        draft.event.source_port = port;
        rest = after;
    }
    if let Some((code, reason)) = rest.split_once(": ").filter(|(code, _)| code.starts_with("AH") && code.len() == 7) {
        draft.event.code = code.into();
        rest = reason;
    }
    draft.event.reason = rest.into();
    true
}

fn apache_stamp(text: &str) -> Option<Stamp> {
    let mut parts = text.split_ascii_whitespace().skip(1);
    let (month, day) = (stamp::month(parts.next()?)?, stamp::number(parts.next()?)?);
    let (time, precision) = stamp::clock(parts.next()?)?;
    let date = Date::new(stamp::number(parts.next()?)?, month, day).ok()?;
    parts.next().is_none().then_some(Stamp::Local(date.to_datetime(time), precision))
}

fn mark(draft: &mut Draft<'_>, level: &str) {
    let is_error = matches!(level, "error" | "crit" | "alert" | "emerg");
    let (type_, outcome) = if is_error { ("error", Outcome::Failure) } else { ("info", Outcome::Unknown) };
    draft.mark("web-error-log", "web-error", &["web"], &[type_], outcome);
    draft.note("level", level);
}
