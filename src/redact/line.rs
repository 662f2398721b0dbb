//! Redaction of a log line. In: its bytes. Out: text that may be kept. The parts that formats are read by survive: the
//! working directory of sudo's lines (`PWD=/…` is no password), and of a request target every parameter but the secret ones.

use std::{borrow::Cow, sync::LazyLock};

use jiff::Timestamp;
use regex::Regex;

use super::{
    ledger::{Ledger, clip},
    uri,
};
use crate::record::{IdKey, Incomplete, Line, Origin, Payload, Position, Record, RecordId, RedactionFacts};

/// Bytes of a line that are kept.
pub const MAX_LINE: usize = 64 << 10;

/// What stands for itself within a line: the target of a request in quotes (nginx and Apache write `"METHOD target
/// protocol"`, and escape quotes in the target), and the working directory as sudo writes it.
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    let parts = r#""[A-Z]{3,12} (?P<target>[^\s"]+)|(?:^| |; )(?P<directory>PWD=/[^;]*) ;"#;
    Regex::new(parts).expect("the pattern is fixed and tested")
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
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    // A line of JSON is one value, whose members are judged by their names.
    while !text.starts_with('{')
        && let Some(found) = PARTS.captures(rest)
        && let Some((part, is_target)) =
            found.name("target").map(|m| (m, true)).or_else(|| found.name("directory").map(|m| (m, false)))
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
