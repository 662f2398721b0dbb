//! A piece of the input -> a record, by itself; and then its date, which may depend on the record before.

use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    InputArgs,
    cut::{Cut, Piece},
};
use crate::{
    api::{log_source::LineFormat, rule::Source},
    ingest::{Form, split::Element},
    normalise::line::Near,
    record::{Envelope, IdKey, Line, Origin, Payload, Provenance, Record, RedactionFacts},
    redact::{self, LinePlace},
};

/// One place of the input.
pub struct Entry {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// A record, or why it is none; never quotes the input.
    pub record: Result<Record, String>,
}

/// An entry that may lack its date.
pub struct Parsed {
    line: u64,
    record: Result<Record, String>,
    /// Nobody knows when the line was received.
    undated: bool,
}

impl Parsed {
    /// Whether it has its date, or needs none.
    pub fn is_dated(&self) -> bool {
        !self.undated || self.record.is_err()
    }

    /// When it was received, if it is a record and that is known.
    pub fn received(&self) -> Option<Timestamp> {
        self.record.as_ref().ok().filter(|_| !self.undated).map(|record| record.received_at)
    }

    /// The line that needs a date.
    pub fn undated_line(&self) -> Option<&Line> {
        match &self.record.as_ref().ok().filter(|_| self.undated)?.payload {
            Payload::Line(line) => Some(line),
            _ => None,
        }
    }

    /// The entry. A line that nobody knows the receipt of was received when it was written.
    pub fn dated(self, near: &mut Near) -> Entry {
        let written = self.undated_line().map(|line| near.date(line));
        let Parsed { line, mut record, .. } = self;
        if let Ok(record) = &mut record {
            record.received_at = written.unwrap_or(record.received_at);
            *near = near.after(record.received_at);
        }
        Entry { line, record }
    }
}

/// Makes records of pieces; each by itself, so that several threads may share one.
pub struct Parser {
    lines: Option<Source>,
    cluster: Arc<str>,
    host: Arc<str>,
    file: String,
}

impl Parser {
    /// `path` is named in the records of plain lines.
    pub fn new(args: &InputArgs, path: &Path) -> Parser {
        Parser {
            lines: args.lines.map(Source::from),
            cluster: "replay".into(),
            host: args.host.as_deref().unwrap_or("replay").into(),
            file: path.display().to_string(),
        }
    }

    /// Whether the input is a log file, one line a record.
    pub fn reads_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Redacts a piece.
    pub fn parse(&self, piece: Piece) -> Parsed {
        let Piece { line, cut } = piece;
        match cut {
            Cut::Element(element) => self.element(&element),
            Cut::Line(bytes) => self.line(&bytes, line),
            Cut::Broken(problem) => Parsed { line, record: Err(problem), undated: false },
        }
    }

    fn element(&self, element: &Element) -> Parsed {
        let line = element.line;
        let of = |record: Result<Record, String>| Parsed { line, record, undated: false };
        match envelope(&element.bytes) {
            Some(Ok(_)) if element.form != Form::Whole => of(Err("an envelope over 1 MiB".to_owned())),
            Some(Ok(envelope)) => {
                let undated = envelope.log.is_some() && envelope.received.is_none();
                Parsed { line, record: self.unwrapped(envelope, line), undated }
            }
            Some(Err(problem)) => of(Err(problem)),
            None => {
                let input = redact::Input { bytes: &element.bytes, oversize: element.form != Form::Whole };
                of(self.audit(input, &element.bytes, None, None))
            }
        }
    }

    fn unwrapped(&self, envelope: Envelope, number: u64) -> Result<Record, String> {
        let Envelope { source, host, file, received, position, log, event, facts } = envelope;
        match (log, event) {
            (Some(_), Some(_)) => Err("an envelope has `log` or `event`, not both".to_owned()),
            (None, None) => Err("an envelope has `log` (a line) or `event` (an audit event)".to_owned()),
            (None, Some(_)) if source != Source::Audit => {
                Err(format!("`event` is an audit event, so `source` is Audit and not {}", source.as_str()))
            }
            (None, Some(event)) => {
                let bytes = event.get().as_bytes();
                self.audit(redact::Input { bytes, oversize: false }, bytes, host.as_deref(), received)
            }
            (Some(log), None) if source == Source::Audit => {
                let bytes = log.as_bytes();
                self.audit(redact::Input { bytes, oversize: false }, bytes, host.as_deref(), received)
            }
            (Some(log), None) => {
                let file = file.unwrap_or_default();
                let line = Line { source, file: file.into(), format: LineFormat::Auto, zone: None, text: "".into() };
                let place = LinePlace { line, position, at: number, facts };
                Ok(self.line_record(log.as_bytes(), place, host.as_deref(), received))
            }
        }
    }

    fn line(&self, bytes: &[u8], number: u64) -> Parsed {
        let line = Line {
            source: self.lines.unwrap_or(Source::Node),
            file: self.file.as_str().into(),
            format: LineFormat::Auto,
            zone: None,
            text: "".into(),
        };
        let place = LinePlace { line, position: None, at: number, facts: RedactionFacts::default() };
        Parsed { line: number, record: Ok(self.line_record(bytes, place, None, None)), undated: true }
    }

    fn line_record(&self, bytes: &[u8], place: LinePlace, host: Option<&str>, received: Option<Timestamp>) -> Record {
        let provenance = match place.line.source {
            Source::Container => Provenance::Container,
            _ if place.line.file.starts_with("/var/log/pods/") => Provenance::Container,
            _ => Provenance::File,
        };
        let origin = self.origin(host, provenance);
        redact::line_record(bytes, place, &origin, received.unwrap_or(Timestamp::UNIX_EPOCH), &IdKey::OFFLINE)
    }

    fn audit(
        &self,
        input: redact::Input<'_>,
        bytes: &[u8],
        host: Option<&str>,
        received: Option<Timestamp>,
    ) -> Result<Record, String> {
        let outcome = redact::audit_event(input);
        if let Err(redact::Rejected(quarantined)) = outcome {
            return Err(quarantined.error);
        }
        let stamp = outcome.as_ref().ok().and_then(|redacted| redacted.happened);
        let origin = self.origin(host, Provenance::AuditLog);
        let mut record = redact::record(outcome, bytes, &origin, Timestamp::UNIX_EPOCH, &IdKey::OFFLINE);
        record.received_at = received.or(stamp).unwrap_or_else(|| happened(&record));
        Ok(record)
    }

    fn origin(&self, host: Option<&str>, provenance: Provenance) -> Origin {
        let reporter = host.filter(|host| !host.is_empty()).map_or_else(|| Arc::clone(&self.host), Arc::from);
        Origin { cluster: Arc::clone(&self.cluster), reporter, provenance }
    }
}

/// An envelope says so by `source` with `log` or `event`, which no audit event has. `None` for anything else.
fn envelope(bytes: &[u8]) -> Option<Result<Envelope, String>> {
    #[derive(Deserialize)]
    struct Marks {
        source: Option<IgnoredAny>,
        log: Option<IgnoredAny>,
        event: Option<IgnoredAny>,
    }
    // Most inputs are audit events, which shall not be parsed twice. Objects of the kind Event have a `source`, and neither of the
    // others. The keys may be written with escapes, but by nobody.
    static MARKS: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["\"source\"", "\"event\"", "\"log\""].map(Finder::new));
    let has = |mark: &Finder<'_>| mark.find(bytes).is_some();
    let [source, event, log] = &*MARKS;
    if !has(source) || !(has(event) || has(log)) {
        return None;
    }
    let marks: Marks = serde_json::from_slice(bytes).ok()?;
    if marks.source.is_none() || (marks.log.is_none() && marks.event.is_none()) {
        return None;
    }
    Some(serde_json::from_slice(bytes).map_err(|error| {
        // Of the message, the part that can't quote what was sent.
        let kind = if error.is_data() { "a field has another type or value than it may" } else { "broken JSON" };
        format!("an envelope that can't be read: {kind} (column {})", error.column())
    }))
}

/// When the audit event of `record` says that it happened.
fn happened(record: &Record) -> Timestamp {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stamps {
        stage_timestamp: Option<Timestamp>,
        request_received_timestamp: Option<Timestamp>,
    }
    let Payload::Audit(event) = &record.payload else { return record.received_at };
    // Behind the mark there are bodies alone.
    let text = event.get();
    let metadata = memchr::memmem::find(text.as_bytes(), redact::BODY_MARK).and_then(|end| text.get(..end));
    let metadata = metadata.map_or(Cow::Borrowed(text), |metadata| Cow::Owned(format!("{metadata}}}")));
    let stamps: Option<Stamps> = serde_json::from_str(&metadata).ok().or_else(|| serde_json::from_str(text).ok());
    stamps.and_then(|s| s.stage_timestamp.or(s.request_received_timestamp)).unwrap_or(record.received_at)
}
