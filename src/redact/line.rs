//! Redaction of a log line. In: its bytes. Out: text that may be kept. The parts that formats are read by survive: the
//! working directory of sudo's lines (`PWD=/…` is no password), and of a request target every parameter but the secret ones.

use std::{borrow::Cow, sync::LazyLock};

use jiff::Timestamp;
use regex::{Captures, Regex};

use super::{
    ledger::{Ledger, clip},
    uri,
};
use crate::record::{IdKey, Incomplete, Line, Origin, Payload, Position, Record, RecordId, RedactionFacts};

/// Bytes of a line that are kept.
pub const MAX_LINE: usize = 64 << 10;

/// What stands for itself within a line: the target of a request in quotes, the working directory as sudo writes it, and
/// the words of daemons behind a text that a stranger chose. A pattern that takes all that follows `authorization=` must
/// not take those: a user of that name could hide his failed logins.
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    const ADDRESS: &str = "(?:[0-9A-Fa-f.:]+(?:%[0-9A-Za-z]+)?|UNKNOWN)";
    let parts = [
        r#""[A-Z]{3,12} (?P<target>[^\s"]+)"#.to_owned(),
        r"(?:^| |; )(?P<directory>PWD=/.*?) ; ".to_owned(),
        // sshd
        format!("(?P<peer>(?: from)? {ADDRESS} port [0-9]{{1,5}}| from {ADDRESS}(?: not allowed because |$))"),
        r"(?P<sudo> ; (?:USER|GROUP|TSID|ENV|COMMAND)=)".to_owned(),
        r"(?P<pam> ruser=| rhost=|  user=)".to_owned(),
        format!("(?P<nginx>, client: {ADDRESS}, server: |, request: )"),
        // cron puts all of a command in parentheses.
        r"(?P<cron>\)$)".to_owned(),
        r"(?P<su>\) [^ ]+ on (?:pts/[0-9]+|tty[A-Za-z0-9]*|console|none)$)".to_owned(),
    ];
    Regex::new(&parts.join("|")).expect("the pattern is fixed and tested")
});

/// A line of an access log: client and user, the time, the request, the status, and more in quotes. Servers escape
/// quotes in what clients send.
static ACCESS: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        // The runtime's stamp in a container's log, a virtual host, the address, and an ident that no server asks for.
        r"^(?P<client>(?:[^\s]+ std(?:out|err) [FP] )?(?:[A-Za-z0-9_.:%-]+ ){1,2}- )",
        r#"(?P<user>(?:[^"\\]|\\.)*?)"#,
        r#"(?P<time> \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}(?::[0-9]{2}){3} [+-][0-9]{4}\] ")"#,
        r#"(?P<request>(?:[^"\\]|\\.)*)(?P<status>" [0-9]{3} (?:[0-9]+|-))(?P<rest>.*)$"#,
    ];
    Regex::new(&parts.concat()).expect("the pattern is fixed and tested")
});

/// A record of the kernel's audit, whose words end at blanks: texts that have one are written as hexadecimal digits.
static AUDIT: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r#"^(?:[^"'()]{0,160} kernel(?:\[[0-9]+\])?(?:: | - - - {1,2}))?"#,
        r"(?:\[ *[0-9.]+\] )?(?:audit: )?type=[A-Z0-9_]+ (?:msg=)?audit\([0-9.]+:[0-9]+\):",
    ];
    Regex::new(&parts.concat()).expect("the pattern is fixed and tested")
});

/// A new account, as useradd tells of it; what stands between its own words is any text of whoever may add users.
static NEW_USER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^[^"'()]{0,160}\buseradd(?:\[[0-9]+\])?(?::| [0-9-]+ - -) {1,2}new user: name="#)
        .expect("the pattern is fixed and tested")
});

/// useradd's own words behind the name.
static OF_NEW_USER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r", UID=[0-9]+, GID=[0-9]+, home=|, shell=|, from=").expect("the pattern is fixed and tested")
});

/// The text of a line that may be kept, and what was removed. Bytes that are no UTF-8 become U+FFFD. Redacting what is
/// already redacted changes nothing.
pub fn line(bytes: &[u8]) -> (String, RedactionFacts) {
    let mut ledger = Ledger::default();
    let decoded = String::from_utf8_lossy(bytes);
    if matches!(decoded, Cow::Owned(_)) {
        ledger.flag(Incomplete::InvalidUtf8);
    }
    let mut text = decoded.into_owned();
    if clip(&mut text, MAX_LINE) {
        ledger.flag(Incomplete::Clipped);
        // The last part is cut, so a secret in it may no longer look like one.
        text.truncate(text.rfind([' ', '&', '"', ',']).unwrap_or(0));
    }
    let mut text = ledger.at_key("message", |ledger| redact(&text, ledger));
    if clip(&mut text, MAX_LINE) {
        ledger.flag(Incomplete::Clipped);
    }
    (text, ledger.into_facts())
}

fn redact(text: &str, ledger: &mut Ledger) -> String {
    // A line of JSON is one value, whose members are judged by their names.
    if text.starts_with('{') {
        return plain(text, ledger);
    }
    if let Some(found) = ACCESS.captures(text) {
        return access(&found, ledger);
    }
    if AUDIT.is_match(text) {
        let words: Vec<String> = text.split(' ').map(|word| plain(word, ledger)).collect();
        return words.join(" ");
    }
    if NEW_USER.is_match(text) {
        return new_user(text, ledger);
    }
    parts(text, ledger)
}

/// The line of a new account, each of its texts for itself.
fn new_user(text: &str, ledger: &mut Ledger) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for word in OF_NEW_USER.find_iter(text) {
        kept.push_str(&plain(text.get(from..word.start()).unwrap_or_default(), ledger));
        kept.push_str(word.as_str());
        from = word.end();
    }
    kept.push_str(&plain(text.get(from..).unwrap_or_default(), ledger));
    kept
}

fn parts(text: &str, ledger: &mut Ledger) -> String {
    const KEPT: [&str; 7] = ["directory", "peer", "sudo", "pam", "nginx", "cron", "su"];
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = PARTS.captures(rest)
        && let Some((part, is_target)) = found
            .name("target")
            .map(|part| (part, true))
            .or_else(|| KEPT.iter().find_map(|name| found.name(name)).map(|part| (part, false)))
        && let (Some(before), Some(after)) = (rest.get(..part.start()), rest.get(part.end()..))
    {
        kept.push_str(&plain(before, ledger));
        let mut part = part.as_str().to_owned();
        if is_target {
            uri::redact(&mut part, ledger);
        }
        kept.push_str(&part);
        rest = after;
    }
    kept.push_str(&plain(rest, ledger));
    kept
}

/// A line of an access log, each text of the client's for itself.
fn access(found: &Captures<'_>, ledger: &mut Ledger) -> String {
    let part = |name| found.name(name).map_or("", |part| part.as_str());
    let mut kept = String::new();
    kept.push_str(part("client"));
    kept.push_str(&quotable(&plain(part("user"), ledger)));
    kept.push_str(part("time"));
    kept.push_str(&quotable(&request(part("request"), ledger)));
    kept.push_str(part("status"));
    let mut rest = part("rest");
    while let Some((before, opened)) = rest.split_once('"') {
        let end = end_of_quoted(opened);
        let (inner, after) = opened.split_at_checked(end).unwrap_or((opened, ""));
        kept.push_str(&plain(before, ledger));
        kept.push('"');
        kept.push_str(&quotable(&plain(inner, ledger)));
        kept.extend(after.chars().next());
        rest = after.get(1..).unwrap_or_default();
    }
    kept.push_str(&plain(rest, ledger));
    kept
}

/// `METHOD TARGET HTTP/VERSION`, each for itself.
fn request(text: &str, ledger: &mut Ledger) -> String {
    let Some((method, rest)) = text.split_once(' ') else { return plain(text, ledger) };
    let (target, version) = match rest.rsplit_once(" HTTP/") {
        Some((target, version)) => (target, format!(" HTTP/{}", plain(version, ledger))),
        None => (rest, String::new()),
    };
    let (first, more) =
        target.split_at_checked(target.find(char::is_whitespace).unwrap_or(target.len())).unwrap_or((target, ""));
    let mut first = first.to_owned();
    uri::redact(&mut first, ledger);
    format!("{} {first}{}{version}", plain(method, ledger), plain(more, ledger))
}

/// Where the first quote is that no backslash escapes.
fn end_of_quoted(text: &str) -> usize {
    let mut escaped = false;
    let ends = |byte: u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    text.bytes().position(ends).unwrap_or(text.len())
}

/// `text` so that it ends no quotes: a secret may have taken the backslash before a quote with it.
fn quotable(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut escaped = false;
    for character in text.chars() {
        if character == '"' && !escaped {
            kept.push('\\');
        }
        escaped = character == '\\' && !escaped;
        kept.push(character);
    }
    if escaped {
        kept.push('\\');
    }
    kept
}

fn plain(text: &str, ledger: &mut Ledger) -> String {
    let mut text = text.to_owned();
    ledger.text(&mut text);
    text
}

/// Where a line comes from; see [`Line`].
#[derive(Clone, Debug)]
pub struct LinePlace {
    /// Everything but the text, which is replaced.
    pub line: Line,
    pub position: Option<Position>,
    /// Number of the line in its input, for one without a position.
    pub at: u64,
    /// What the sender's own redaction removed.
    pub facts: RedactionFacts,
}

/// The record of one line.
pub fn line_record(bytes: &[u8], place: LinePlace, origin: &Origin, received_at: Timestamp, key: &IdKey) -> Record {
    let (text, mut facts) = line(bytes);
    facts.add(place.facts);
    let line = Line { text: text.into(), ..place.line };
    let id = RecordId::of_line(key, origin, &line, place.position.as_ref(), place.at);
    Record { id, received_at, origin: Some(origin.clone()), facts, payload: Payload::Line(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(text: &str) -> String {
        line(text.as_bytes()).0
    }

    #[test]
    fn what_a_line_is_read_by_survives_and_its_secrets_do_not() {
        for (written, kept) in [
            ("sshd[8]: Failed password for root from 203.0.113.9 port 4711 ssh2", None),
            ("sudo:  bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/id", None),
            ("sudo: pam_unix(sudo:auth): auth could not identify password for [bob]", None),
            ("passwd[7]: pam_unix(passwd:chauthtok): password changed for bob", None),
            (
                "sudo:  bob : PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/mysql -uroot -phunter2 shop",
                Some("sudo:  bob : PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/mysql -uroot -p[redacted] shop"),
            ),
            (
                r#"10.1.0.9 - - [01/Jan/2026:00:00:00 +0000] "GET /in?token=hunter2&to=/../etc/passwd HTTP/1.1" 200 5 "-" "curl/8""#,
                Some(
                    r#"10.1.0.9 - - [01/Jan/2026:00:00:00 +0000] "GET /in?token=[redacted]&to=/../etc/passwd HTTP/1.1" 200 5 "-" "curl/8""#,
                ),
            ),
            (r#"{"msg":"x","password":"hunter2"}"#, Some(r#"{"msg":"x","password":"[redacted]"}"#)),
            ("app[1]: connecting with password=hunter2", Some("app[1]: connecting with password=[redacted]")),
        ] {
            assert_eq!(text_of(written), kept.unwrap_or(written));
            assert_eq!(text_of(&text_of(written)), text_of(written), "again: {written}");
        }
    }

    #[test]
    fn facts_say_what_happened_to_a_line() {
        let (text, facts) = line(b"app: token=hunter2 \xff");
        assert_eq!(text, "app: token=[redacted] \u{fffd}");
        assert_eq!((facts.redacted, facts.incomplete), (vec!["message".to_owned()], vec![Incomplete::InvalidUtf8]));
        let (text, facts) = line("word ".repeat(MAX_LINE).as_bytes());
        assert!(text.len() <= MAX_LINE && facts.incomplete == [Incomplete::Clipped]);
    }
}
