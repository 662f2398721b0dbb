//! What offline commands read: audit events, record envelopes (`record::Envelope`) and plain lines of a log. In: bytes of a
//! file. Out: records in the file's order, numbered by the line that they begin on, or why a place holds none.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    api::{log_source::LineFormat, rule::Source},
    ingest::{
        Form,
        split::{Element, Splitter},
    },
    normalise::line,
    record::{Envelope, IdKey, Line, Origin, Payload, Provenance, Record, RedactionFacts},
    redact::{self, LinePlace, MAX_LINE},
    telemetry,
};

/// Read size of the input.
const CHUNK: usize = 256 * 1024;

/// How the input is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct InputArgs {
    /// The input is a log file of such lines, one line a record, and no JSON stream.
    #[arg(long, value_enum, ignore_case = true, value_name = "SOURCE")]
    pub lines: Option<LineSource>,
    /// Node that the input is of, where a record does not name one.
    #[arg(long, value_name = "NODE")]
    pub host: Option<String>,
    /// Nodes and pods, for the joins: `nodes: [{name, addresses}]` and `pods: [{namespace, name, uid, node, addresses,
    /// hostNetwork, serviceAccount, workload: KIND/NAME, labels}]` as YAML or JSON, or what `kubectl get nodes,pods -A
    /// -o json` prints.
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
}

/// Sources that have lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LineSource {
    Node,
    Web,
    Container,
}

impl From<LineSource> for Source {
    fn from(source: LineSource) -> Source {
        match source {
            LineSource::Node => Source::Node,
            LineSource::Web => Source::Web,
            LineSource::Container => Source::Container,
        }
    }
}

/// What to try when a place of the input is no record, and no JSON either.
pub fn lines_hint(args: &InputArgs, problem: &str) -> &'static str {
    match args.lines {
        None if !problem.contains("unexpected text") => "",
        None => "; for a log file of a node or web server, give --lines node or --lines web",
        Some(_) => "",
    }
}

/// One place of the input.
pub struct Entry {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// A record, or why it is none; never quotes the input.
    pub record: Result<Record, String>,
}

/// Reads one input.
pub struct Reader {
    lines: Option<Source>,
    host: String,
    file: String,
    /// When the record before was written: for stamps without a year.
    near: Timestamp,
}

impl Reader {
    /// `path` is named in the records of plain lines.
    pub fn new(args: &InputArgs, path: &Path) -> Reader {
        Reader {
            lines: args.lines.map(Source::from),
            host: args.host.clone().unwrap_or_else(|| "replay".to_owned()),
            file: path.display().to_string(),
            near: telemetry::now(),
        }
    }

    /// The first records of `input`, at most `most`.
    pub fn first(&mut self, input: impl Read, most: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.read(input, |entry| {
            if entries.len() < most {
                entries.push(entry);
            }
            if entries.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(entries)
    }

    /// Hands every record of `input` to `take`, in order, until that has enough. An error is one of reading; what can't be
    /// understood is an entry.
    pub fn read(&mut self, input: impl Read, mut take: impl FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        let mut input = unpacked(input)?;
        match self.lines {
            Some(source) => self.plain(&mut input, source, &mut take),
            None => self.stream(&mut input, &mut take),
        }
    }

    fn plain(
        &mut self,
        input: &mut dyn Read,
        source: Source,
        take: &mut impl FnMut(Entry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut input = io::BufReader::with_capacity(CHUNK, input);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            // One byte more than is kept, so that redaction sees that there was more.
            if input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            if bytes.pop_if(|last| *last == b'\n').is_none() && bytes.len() > MAX_LINE {
                input.skip_until(b'\n')?;
            }
            if !bytes.is_empty() {
                let file = self.file.clone();
                let record = Ok(self.line(&bytes, source, &file, number));
                if take(Entry { line: number, record }).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn stream(&mut self, input: &mut dyn Read, take: &mut impl FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        let mut splitter = Splitter::lines();
        let mut chunk = vec![0; CHUNK];
        let mut elements = Vec::new();
        let mut last = 1;
        loop {
            let length = input.read(&mut chunk)?;
            let (bytes, _) = chunk.split_at(length);
            if bytes.is_empty() {
                break;
            }
            splitter.feed(bytes, &mut elements);
            last = elements.last().map_or(last, |element| element.line);
            if elements.drain(..).any(|element| take(self.element(&element)).is_break()) {
                return Ok(());
            }
        }
        let end = splitter.finish(&mut elements);
        let mut rest: Vec<Entry> = elements.drain(..).map(|element| self.element(&element)).collect();
        rest.extend(end.err().map(|broken| Entry { line: last, record: Err(broken.to_string()) }));
        // The end is here, whether `take` had enough or not.
        rest.into_iter().map(take).find(ControlFlow::is_break);
        Ok(())
    }

    fn element(&mut self, element: &Element) -> Entry {
        let record = match envelope(&element.bytes) {
            Some(Ok(_)) if element.form != Form::Whole => Err("an envelope over 1 MiB".to_owned()),
            Some(Ok(envelope)) => self.unwrapped(envelope, element.line),
            Some(Err(problem)) => Err(problem),
            None => {
                let input = redact::Input { bytes: &element.bytes, oversize: element.form != Form::Whole };
                self.audit(input, &element.bytes, None, None)
            }
        };
        if let Ok(record) = &record {
            self.near = record.received_at;
        }
        Entry { line: element.line, record }
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
                Ok(self.dated(log.as_bytes(), place, host.as_deref(), received))
            }
        }
    }

    fn line(&mut self, bytes: &[u8], source: Source, file: &str, number: u64) -> Record {
        let line = Line { source, file: file.into(), format: LineFormat::Auto, zone: None, text: "".into() };
        let place = LinePlace { line, position: None, at: number, facts: RedactionFacts::default() };
        let record = self.dated(bytes, place, None, None);
        self.near = record.received_at;
        record
    }

    /// The record of a line. One that nobody knows the receipt of was received when it was written; a stamp without a year
    /// is of the year nearest to the record before, and the first one to now.
    fn dated(&self, bytes: &[u8], place: LinePlace, host: Option<&str>, received: Option<Timestamp>) -> Record {
        let provenance = match place.line.source {
            Source::Container => Provenance::Container,
            _ if place.line.file.starts_with("/var/log/pods/") => Provenance::Container,
            _ => Provenance::File,
        };
        let origin = self.origin(host, provenance);
        let at = received.unwrap_or(self.near);
        let mut record = redact::line_record(bytes, place, &origin, at, &IdKey::OFFLINE);
        if let (None, Payload::Line(line)) = (received, &record.payload) {
            record.received_at = line::written_near(line, self.near).unwrap_or(self.near);
        }
        record
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
        let origin = self.origin(host, Provenance::AuditLog);
        let mut record = redact::record(outcome, bytes, &origin, Timestamp::UNIX_EPOCH, &IdKey::OFFLINE);
        record.received_at = received.unwrap_or_else(|| happened(&record));
        Ok(record)
    }

    fn origin(&self, host: Option<&str>, provenance: Provenance) -> Origin {
        let reporter = host.filter(|host| !host.is_empty()).unwrap_or(&self.host);
        Origin { cluster: "replay".into(), reporter: reporter.into(), provenance }
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
    // Most inputs are audit events, which shall not be parsed twice.
    memchr::memmem::find(bytes, b"\"source\"")?;
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

/// Logs are packed when they are rotated: gzip is recognised by its first bytes (RFC 1952).
fn unpacked<'a>(input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut input = io::BufReader::with_capacity(CHUNK, input);
    let packed = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) })
}

/// What to call an input.
pub fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The end of a command that has written to standard output. A reader that had enough (`| head`) is no error.
pub fn ended(written: io::Result<()>) -> io::Result<ExitCode> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        outcome => outcome.map(|()| ExitCode::SUCCESS),
    }
}

/// A file, or standard input for `-`.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) })
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
    let stamps: Option<Stamps> = serde_json::from_str(event.get()).ok();
    stamps.and_then(|s| s.stage_timestamp.or(s.request_received_timestamp)).unwrap_or(record.received_at)
}
