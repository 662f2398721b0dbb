//! Bytes of a file -> pieces: JSON values of a stream, or lines of a log. Packed input is unpacked.

use std::io::{self, BufRead, Read};

use flate2::read::MultiGzDecoder;

use crate::{
    ingest::split::{Element, Splitter},
    redact::MAX_LINE,
};

/// Read size of the input, and about the size of a batch.
const CHUNK: usize = 256 * 1024;
/// Most lines of a batch.
const LINES: usize = 1024;

/// What was cut out of the input, and the line on which it begins, from 1.
pub struct Piece {
    pub line: u64,
    pub cut: Cut,
}

pub enum Cut {
    Element(Element),
    Line(Vec<u8>),
    /// The input ends badly: why.
    Broken(String),
}

/// Cuts one input, in its order.
pub struct Cutter<'i> {
    input: io::BufReader<Box<dyn Read + Send + 'i>>,
    form: Form,
}

enum Form {
    Lines {
        number: u64,
    },
    /// `last` is where the last element begins. No splitter: the end was there.
    Stream {
        splitter: Option<Splitter>,
        last: u64,
    },
}

impl<'i> Cutter<'i> {
    pub fn new(input: impl Read + Send + 'i, lines: bool) -> io::Result<Cutter<'i>> {
        let form =
            if lines { Form::Lines { number: 0 } } else { Form::Stream { splitter: Some(Splitter::lines()), last: 1 } };
        Ok(Cutter { input: io::BufReader::with_capacity(CHUNK, unpacked(input)?), form })
    }

    /// The next pieces; `None` at the end.
    pub fn batch(&mut self) -> io::Result<Option<Vec<Piece>>> {
        match &mut self.form {
            Form::Lines { number } => lines(&mut self.input, number),
            Form::Stream { splitter, last } => elements(&mut self.input, splitter, last),
        }
    }
}

fn lines(input: &mut impl BufRead, number: &mut u64) -> io::Result<Option<Vec<Piece>>> {
    let (mut pieces, mut size) = (Vec::new(), 0);
    while pieces.len() < LINES && size < CHUNK {
        let mut bytes = Vec::new();
        // One byte more than is kept, so that redaction sees that there was more.
        if input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        *number += 1;
        if bytes.pop_if(|last| *last == b'\n').is_none() && bytes.len() > MAX_LINE {
            input.skip_until(b'\n')?;
        }
        if !bytes.is_empty() {
            size += bytes.len();
            pieces.push(Piece { line: *number, cut: Cut::Line(bytes) });
        }
    }
    Ok((!pieces.is_empty()).then_some(pieces))
}

fn elements(
    input: &mut impl BufRead,
    splitter: &mut Option<Splitter>,
    last: &mut u64,
) -> io::Result<Option<Vec<Piece>>> {
    let Some(cutting) = splitter else { return Ok(None) };
    let mut elements = Vec::new();
    while elements.is_empty() {
        let bytes = input.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            break;
        }
        cutting.feed(bytes, &mut elements);
        input.consume(length);
    }
    if !elements.is_empty() {
        *last = elements.last().map_or(*last, |element| element.line);
        return Ok(Some(pieces(elements).collect()));
    }
    let end = splitter.take().map_or(Ok(()), |mut cutting| cutting.finish(&mut elements));
    let broken = end.err().map(|broken| Piece { line: *last, cut: Cut::Broken(broken.to_string()) });
    let rest: Vec<Piece> = pieces(elements).chain(broken).collect();
    Ok((!rest.is_empty()).then_some(rest))
}

fn pieces(elements: Vec<Element>) -> impl Iterator<Item = Piece> {
    elements.into_iter().map(|element| Piece { line: element.line, cut: Cut::Element(element) })
}

/// Logs are packed when they are rotated: gzip is recognised by its first bytes (RFC 1952).
fn unpacked<'i>(input: impl Read + Send + 'i) -> io::Result<Box<dyn Read + Send + 'i>> {
    let mut input = io::BufReader::with_capacity(CHUNK, input);
    let packed = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) })
}
