//! Secrets within a request URI: user info, query parameters, commands, tokens in the path; also percent-encoded.
//! In: the URI as the API server logged it. Out: the same URI with whole values replaced.

use percent_encoding::percent_decode_str;

use super::{
    command::secret_arguments,
    ledger::{Ledger, clip},
    names::is_secret_parameter,
    pattern::{self, REDACTED},
};
use crate::record::Incomplete;

/// A text may be encoded again by a proxy.
const DECODINGS: usize = 3;

/// Bytes of a URI that are looked at, since the API server cuts none. Well over what is kept, because redaction shortens.
const MAX_READ: usize = 32 * 1024;

/// Hides the secrets in `uri`.
pub fn redact(uri: &mut String, ledger: &mut Ledger) {
    if clip(uri, MAX_READ) {
        ledger.flag(Incomplete::Clipped);
        // The last part is cut, so a secret in it may no longer look like one.
        uri.truncate(uri.rfind(['&', '?', '/']).unwrap_or(0));
    }
    let before = uri.clone();
    let mut secret_like = 0;
    // A password may hold a question mark.
    let whole = match before.contains("://") && before.contains('@') {
        true => {
            let (whole, hits) = pattern::redact(&before);
            secret_like += hits;
            whole
        }
        false => before.as_str().into(),
    };
    let (path, query) = match whole.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*whole, None),
    };
    let (path, hits) = pattern::redact(path);
    secret_like += hits;
    let path: Vec<&str> = path.split('/').map(|segment| hidden(segment, &mut secret_like)).collect();
    let mut redacted = path.join("/");
    if let Some(query) = query {
        redacted.push('?');
        redacted.push_str(&parameters(query, &mut secret_like));
    }
    if redacted != before {
        *uri = redacted;
        ledger.note_secret_like(secret_like);
    }
}

fn parameters(query: &str, secret_like: &mut u32) -> String {
    let commands: Vec<String> = query.split('&').map(command).collect();
    let secret = secret_arguments(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    let mut parts = Vec::new();
    for (index, parameter) in query.split('&').enumerate() {
        let Some((name, value)) = parameter.split_once('=') else {
            parts.push(hidden(parameter, secret_like).to_owned());
            continue;
        };
        let plain_name = decode(name);
        let name = hidden(name, secret_like);
        let value = match () {
            () if value.is_empty() => value,
            () if secret.contains(&index) || is_secret_parameter(&plain_name) => REDACTED,
            () => hidden(value, secret_like),
        };
        parts.push(format!("{name}={value}"));
    }
    parts.join("&")
}

/// An element of the command of an exec; empty for other parameters.
fn command(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, value)) if decode(name) == "command" => decode(value),
        Some(_) | None => String::new(),
    }
}

/// `text`, or the placeholder when it holds a secret in any decoding.
fn hidden<'a>(text: &'a str, secret_like: &mut u32) -> &'a str {
    let mut decoded = text.to_owned();
    for _ in 0..=DECODINGS {
        let (_, hits) = pattern::redact(&decoded);
        if hits > 0 {
            *secret_like += hits;
            return REDACTED;
        }
        let next = decode(&decoded);
        if next == decoded {
            break;
        }
        decoded = next;
    }
    text
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_by_name_by_look_and_by_the_flag_before_them() {
        let cases = [
            ("/api/v1/pods?limit=500", "/api/v1/pods?limit=500"),
            ("/x?token=abc&watch=true", "/x?token=[redacted]&watch=true"),
            ("/x?X-Amz-Signature=abc&sig=d", "/x?X-Amz-Signature=[redacted]&sig=[redacted]"),
            ("/x?access%5Ftoken=abc", "/x?access%5Ftoken=[redacted]"),
            (
                "/exec?command=sh&command=-c&command=cat+%2Fetc%2Fpasswd",
                "/exec?command=sh&command=-c&command=cat+%2Fetc%2Fpasswd",
            ),
            ("/exec?command=mysql&command=--password%3Dhunter2", "/exec?command=mysql&command=[redacted]"),
            (
                "/exec?command=mysql&command=--password&command=hunter2",
                "/exec?command=mysql&command=--password&command=[redacted]",
            ),
            (
                "/exec?command=mysql&command=-uroot&command=-phunter2&container=a",
                "/exec?command=mysql&command=-uroot&command=[redacted]&container=a",
            ),
            ("/exec?command=curl&command=-u&command=bob%3Ahunter2", "/exec?command=curl&command=-u&command=[redacted]"),
            ("/exec?command=curl%20-H%20%22Authorization%3A%20Bearer%20abc%22", "/exec?command=[redacted]"),
            ("/x?command=%2550ASSWORD%253Dhunter2", "/x?command=[redacted]"),
            ("http://bob:hunter2@host/x", "http://[redacted]@host/x"),
            ("postgres://bob:hunter?2@host/x?a=b", "postgres://[redacted]@host/x?a=b"),
            ("/proxy/eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln/x", "/proxy/[redacted]/x"),
        ];
        for (uri, expected) in cases {
            let mut text = uri.to_owned();
            redact(&mut text, &mut Ledger::default());
            assert_eq!(text, expected);
            redact(&mut text, &mut Ledger::default());
            assert_eq!(text, expected, "again");
        }
    }

    #[test]
    fn a_secret_that_is_cut_goes_with_what_was_cut() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.CANARY.c2ln";
        let mut uri = format!("/x?sig={}&a={}{jwt}", "y".repeat(MAX_READ - 40), "z".repeat(4));
        redact(&mut uri, &mut Ledger::default());
        assert_eq!(uri, "/x?sig=[redacted]");
    }
}
