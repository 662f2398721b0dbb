//! What offline commands read: audit events, record envelopes (`record::Envelope`) and plain lines of a log. In: bytes of a
//! file. Out: records in the file's order, numbered by the line that they begin on, or why a place holds none.

mod cut;
mod parse;

use std::{
    fs::File,
    io::{self, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

pub use self::{
    cut::{Cutter, Piece},
    parse::{Entry, Parsed, Parser},
};
use crate::{api::rule::Source, normalise::line::Near, telemetry};

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

/// Reads one input on one thread.
pub struct Reader {
    parser: Parser,
}

impl Reader {
    /// `path` is named in the records of plain lines.
    pub fn new(args: &InputArgs, path: &Path) -> Reader {
        Reader { parser: Parser::new(args, path) }
    }

    /// The first records of `input`, at most `most`.
    pub fn first(&self, input: impl Read + Send, most: usize) -> io::Result<Vec<Entry>> {
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
    pub fn read(&self, input: impl Read + Send, mut take: impl FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        let mut cutter = Cutter::new(input, self.parser.reads_lines())?;
        let mut near = None;
        while let Some(pieces) = cutter.batch()? {
            let parsed: Vec<Parsed> = pieces.into_iter().map(|piece| self.parser.parse(piece)).collect();
            let begin = || Near::begin(telemetry::now(), parsed.iter().filter_map(Parsed::undated_line));
            let near = near.get_or_insert_with(begin);
            for parsed in parsed {
                if take(parsed.dated(near)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
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
pub fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}
