//! How an event of the relay stands in a file: a line with what its redaction removed beside it, so that nothing of that is
//! lost when the line is redacted once more on its way on. Each file begins with a line of its own, by which it is told from
//! every other file (`fingerprint`) and known as the relay's.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{record::RedactionFacts, redact::Redacted};

const HEAD: &[u8] = b"{\"kubewitnessRelay\":";
const EVENT: &[u8] = b"{\"relayed\":";

/// One line.
#[derive(Debug)]
pub enum Line<'a> {
    /// The first one of a file.
    Head,
    Event(Relayed<'a>),
    /// None of the relay's.
    Other,
    /// Begins as one of the relay's, and is none.
    Broken,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Relayed<'a> {
    #[serde(borrow, rename = "relayed")]
    pub event: &'a RawValue,
    #[serde(default, skip_serializing_if = "is_default")]
    pub facts: RedactionFacts,
}

fn is_default(facts: &RedactionFacts) -> bool {
    *facts == RedactionFacts::default()
}

/// The first line of a file: 16 bytes that nobody else has.
pub fn head(name: [u8; 16]) -> Vec<u8> {
    let mut line = HEAD.to_vec();
    line.extend_from_slice(format!("\"{}\"}}\n", HEXLOWER.encode(&name)).as_bytes());
    line
}

/// Whether a file that begins so is the relay's.
pub fn is_head(bytes: &[u8]) -> bool {
    bytes.starts_with(HEAD)
}

/// Appends the line of an event.
pub fn write(event: &Redacted, lines: &mut Vec<u8>) {
    let relayed = Relayed { event: &event.canonical, facts: event.facts.clone() };
    serde_json::to_writer(&mut *lines, &relayed).expect("text, lists and numbers always serialise");
    lines.push(b'\n');
}

/// Reads a line of any file.
pub fn read(bytes: &[u8]) -> Line<'_> {
    if is_head(bytes) {
        Line::Head
    } else if bytes.starts_with(EVENT) {
        serde_json::from_slice(bytes).map_or(Line::Broken, Line::Event)
    } else {
        Line::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::rule::Source,
        collector::batch::{Batch, LineOrigin},
        record::{Envelope, Incomplete},
        redact::{self, Input},
    };

    /// The envelope that the collector makes of a line.
    fn shipped(line: &[u8]) -> Option<Envelope> {
        let mut batch = Batch::new();
        let origin = LineOrigin { source: Source::Audit, path: "/audit.log".into(), id: "0".into() };
        batch.add(line, 0, &origin, jiff::Timestamp::UNIX_EPOCH).ok()?;
        (!batch.body.is_empty()).then(|| serde_json::from_slice(&batch.body).unwrap())
    }

    fn event(more: &str) -> String {
        format!(r#"{{"kind":"Event","auditID":"a","stage":"ResponseComplete","verb":"create"{more}}}"#)
    }

    #[test]
    fn text_and_facts_of_an_event_come_through_the_file_as_they_were() {
        let large = format!(r#","requestObject":{{"a":"{}"}}"#, "x".repeat(2 << 20));
        let secret = r#","objectRef":{"resource":"secrets"},"requestObject":{"data":{"password":"c2VjcmV0"}}"#;
        let token = r#","requestURI":"/api?token=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl""#;
        for (case, more, oversize, incomplete) in [
            ("plain", r#","userAgent":"a\nb\u0000""#, false, &[][..]),
            ("large", &large, false, &[Incomplete::Oversize]),
            ("bodies dropped by its reader", "", true, &[Incomplete::Oversize]),
            ("secret", secret, false, &[]),
            ("token", token, false, &[]),
            ("a key twice", r#","verb":"get""#, false, &[Incomplete::DuplicateKey]),
            ("mistyped", r#","user":7"#, false, &[Incomplete::MistypedField]),
            ("of no form of ours", r#","relayed":{"a":1},"facts":{"incomplete":["Clipped"]}"#, false, &[]),
        ] {
            let text = event(more);
            let once = redact::audit_event(Input { bytes: text.as_bytes(), oversize }).unwrap();
            let mut lines = Vec::new();
            write(&once, &mut lines);
            assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1, "{case}");
            let envelope = shipped(lines.trim_ascii_end()).unwrap();
            assert_eq!(envelope.event.unwrap().get(), once.canonical.get(), "{case}");
            assert_eq!(envelope.facts, once.facts, "{case}");
            for flag in incomplete {
                assert!(envelope.facts.incomplete.contains(flag), "{case}: {:?}", envelope.facts);
            }
            assert_eq!(["secret", "token"].contains(&case), !envelope.facts.redacted.is_empty(), "{case}");
        }
    }

    #[test]
    fn the_first_line_is_not_sent_and_a_forged_one_is_redacted_all_the_same() {
        let first = head([7; 16]);
        assert!(shipped(first.trim_ascii_end()).is_none() && is_head(&first));
        let secret = event(r#","objectRef":{"resource":"secrets"},"requestObject":{"data":{"password":"planted"}}"#);
        let envelope = shipped(format!(r#"{{"relayed":{secret}}}"#).as_bytes()).unwrap();
        assert!(!envelope.event.unwrap().get().contains("planted"));
        for broken in [r#"{"relayed":{"#, r#"{"relayed":7}"#, r#"{"relayed":{},"facts":7}"#] {
            assert!(shipped(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
