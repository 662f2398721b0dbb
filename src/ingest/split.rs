//! Cuts a stream of bytes into the JSON values that audit events are, without holding more than one of them.
//! In: bytes in pieces of any size: one `EventList` ([`Splitter::event_list`]), or events and lists one after the other
//! as in a log file ([`Splitter::lines`]). Out: each event as bytes, with the line it begins on.
//! Looks at structure only: what is inside an event is for redaction to judge, however deep or broken it is.

use std::fmt;

use super::{
    scan::{ValueEnd, quote_or_backslash},
    slim::{Form, Held, Limits},
};

/// One event as sent, or what is left of it when it was too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub bytes: Vec<u8>,
    /// The line of the input on which it begins, from 1.
    pub line: u64,
    /// Its size as sent.
    pub length: u64,
    pub form: Form,
}

/// Why the input is no `EventList`. Never quotes the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("line {line}: no JSON object")]
    NotAnObject { line: u64 },
    #[error("line {line}: broken JSON")]
    Syntax { line: u64 },
    #[error("the body ends before its list does")]
    Truncated,
    #[error("line {line}: something follows the list")]
    Trailing { line: u64 },
    #[error("kind is not EventList")]
    Kind,
    #[error("apiVersion is not audit.k8s.io/v1")]
    ApiVersion,
    #[error("items is neither a list nor null")]
    Items,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    EventList,
    Lines,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The outermost value.
    Start,
    /// A key, or the end of an object without any.
    KeyOrEnd,
    /// A key, after a comma.
    KeyStart,
    /// The rest of a key.
    Key,
    Colon,
    ValueStart,
    /// The rest of a value.
    Value,
    /// A comma or the end of the object.
    AfterValue,
    /// An item, or the end of an empty list.
    ItemOrEnd,
    /// An item, after a comma.
    ItemStart,
    /// The rest of an item.
    Item,
    /// A comma or the end of the list.
    AfterItem,
    /// Nothing (`EventList`).
    End,
    /// The rest of a line that can't be read (`Lines`).
    Resync,
    /// Whatever comes is ignored (`EventList`).
    Broken(Broken),
}

/// The keys of the outermost object that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Kind,
    ApiVersion,
    Items,
    Other,
}

/// Longest text of interest, as written: `"audit.k8s.io/v1"` with every character escaped.
const CAPTURE: usize = 128;
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// A push parser: [`feed`](Splitter::feed) it until the input ends, then [`finish`](Splitter::finish).
pub struct Splitter {
    mode: Mode,
    state: State,
    /// Position of the next byte, and its line.
    offset: u64,
    line: u64,
    at_line_start: bool,
    scan: ValueEnd,
    /// The text of a key or short value, as written.
    capture: Vec<u8>,
    key: Key,
    /// An object of `Lines` turned out to be a list.
    in_list: bool,
    /// The list is a JSON array of its own, around which there is nothing (`Lines`).
    bare: bool,
    has_kind: bool,
    has_api_version: bool,
    held: Held,
    held_line: u64,
    /// Bytes of an element that is kept whole.
    limit: usize,
}

impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter").field("state", &self.state).field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Splitter {
    /// Takes one `audit.k8s.io/v1` `EventList`, strictly. A byte order mark before it is allowed.
    pub fn event_list() -> Splitter {
        Splitter::with_limits(Mode::EventList, Limits::SHIPPED)
    }

    /// Takes values one after the other: the items of an `EventList` or of an array come out one by one, all else as it is. A line
    /// that can't be read comes out as an element, too, so that it is counted, and reading goes on at the next line.
    pub fn lines() -> Splitter {
        Splitter::with_limits(Mode::Lines, Limits::SHIPPED)
    }

    fn with_limits(mode: Mode, limits: Limits) -> Splitter {
        Splitter {
            mode,
            state: State::Start,
            offset: 0,
            line: 1,
            at_line_start: true,
            scan: ValueEnd::default(),
            capture: Vec::new(),
            key: Key::Other,
            in_list: false,
            bare: false,
            has_kind: false,
            has_api_version: false,
            held: Held::new(limits),
            held_line: 1,
            limit: limits.element,
        }
    }

    /// Takes the next bytes; appends the elements that end in them. Once the input is broken, there are no more.
    pub fn feed(&mut self, bytes: &[u8], elements: &mut Vec<Element>) {
        if self.mode == Mode::EventList {
            return self.run(bytes, elements);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            if self.at_line_start
                && self.state == State::Start
                && let Some(length) = one_value(line, self.limit)
            {
                let bytes = line.split_at(length).0.to_vec();
                elements.push(Element { bytes, line: self.line, length: length as u64, form: Form::Whole });
                self.offset += line.len() as u64;
                self.line += 1;
                continue;
            }
            // A record begins a line. If something else is unfinished, a crash or a full disk has cut it there.
            if self.at_line_start && line.first() == Some(&b'{') && !self.may_begin_object() {
                self.give_up(elements);
            }
            self.run(line, elements);
            self.at_line_start = line.last() == Some(&b'\n');
            if self.at_line_start && (self.state == State::Resync || self.scan.inside_text()) {
                self.give_up(elements);
            }
        }
    }

    /// Takes the end of the input.
    pub fn finish(&mut self, elements: &mut Vec<Element>) -> Result<(), Broken> {
        match (self.mode, self.state) {
            (Mode::Lines, _) => {
                self.give_up(elements);
                Ok(())
            }
            (Mode::EventList, State::Broken(why)) => Err(why),
            (Mode::EventList, State::End) if !self.has_kind => Err(Broken::Kind),
            (Mode::EventList, State::End) if !self.has_api_version => Err(Broken::ApiVersion),
            (Mode::EventList, State::End) => Ok(()),
            (Mode::EventList, State::Start) => Err(Broken::NotAnObject { line: self.line }),
            (Mode::EventList, _) => Err(Broken::Truncated),
        }
    }

    /// Why no more elements will come, if so.
    pub fn broken(&self) -> Option<Broken> {
        match self.state {
            State::Broken(why) => Some(why),
            _ => None,
        }
    }

    fn may_begin_object(&self) -> bool {
        matches!(self.state, State::Start | State::ItemOrEnd | State::ItemStart)
    }

    /// Ends what is unfinished; an element comes out as far as it goes.
    fn give_up(&mut self, elements: &mut Vec<Element>) {
        if !self.held.is_empty() {
            self.emit(elements);
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.state = State::Start;
        self.scan = ValueEnd::default();
        (self.in_list, self.bare, self.has_kind, self.has_api_version) = (false, false, false, false);
    }

    fn emit(&mut self, elements: &mut Vec<Element>) {
        let (bytes, length, form) = self.held.take();
        elements.push(Element { bytes, line: self.held_line, length, form });
    }

    fn run(&mut self, mut bytes: &[u8], elements: &mut Vec<Element>) {
        while let Some(&byte) = bytes.first() {
            let used = match self.state {
                State::Broken(_) => return,
                State::Resync if byte == b'\n' => self.consume(1, bytes, false),
                State::Resync => {
                    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes).len();
                    self.consume(text, bytes, true)
                }
                State::Key => self.rest_of_key(bytes),
                State::Value => self.rest_of_value(bytes),
                State::Item => self.rest_of_item(bytes, elements),
                _ => self.punctuation(byte, elements),
            };
            bytes = bytes.split_at(used).1;
        }
    }

    /// Counts the first `count` bytes as read, and holds them if they belong to an element.
    fn consume(&mut self, count: usize, bytes: &[u8], holds: bool) -> usize {
        let read = bytes.split_at(count).0;
        if holds {
            if self.held.is_empty() {
                self.held_line = self.line;
            }
            self.held.push(read);
        }
        self.offset += count as u64;
        self.line += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        count
    }

    /// Whether what is outside of a list's items is part of an element: of a lone event.
    fn holds_outer(&self) -> bool {
        self.mode == Mode::Lines && !self.in_list
    }

    fn rest_of_key(&mut self, bytes: &[u8]) -> usize {
        let (used, ended) = self.scan.advance(bytes);
        self.capture_text(bytes.split_at(used).0);
        if ended {
            self.key = match self.captured_text().as_deref() {
                Some("kind") => Key::Kind,
                Some("apiVersion") => Key::ApiVersion,
                Some("items") => Key::Items,
                _ => Key::Other,
            };
            self.state = State::Colon;
        }
        self.consume(used, bytes, self.holds_outer())
    }

    fn rest_of_value(&mut self, bytes: &[u8]) -> usize {
        let (used, ended) = self.scan.advance(bytes);
        if self.key != Key::Other {
            self.capture_text(bytes.split_at(used).0);
        }
        self.consume(used, bytes, self.holds_outer());
        if ended {
            self.state = State::AfterValue;
            self.judge_value();
        }
        used
    }

    fn rest_of_item(&mut self, bytes: &[u8], elements: &mut Vec<Element>) -> usize {
        let (used, ended) = self.scan.advance(bytes);
        self.consume(used, bytes, true);
        if ended {
            self.emit(elements);
            self.state = State::AfterItem;
        }
        used
    }

    fn capture_text(&mut self, bytes: &[u8]) {
        // One byte more than fits marks the text as too long to be any of those sought.
        let room = (CAPTURE + 1).saturating_sub(self.capture.len()).min(bytes.len());
        self.capture.extend_from_slice(bytes.split_at(room).0);
    }

    fn captured_text(&self) -> Option<String> {
        serde_json::from_slice(&self.capture).ok()
    }

    fn judge_value(&mut self) {
        let text = self.captured_text();
        let wrong = match self.key {
            Key::Other => None,
            Key::Kind => {
                self.has_kind = text.as_deref() == Some("EventList");
                (!self.has_kind).then_some(Broken::Kind)
            }
            Key::ApiVersion => {
                self.has_api_version = text.as_deref() == Some("audit.k8s.io/v1");
                (!self.has_api_version).then_some(Broken::ApiVersion)
            }
            Key::Items => (self.capture != b"null").then_some(Broken::Items),
        };
        if let (Mode::EventList, Some(why)) = (self.mode, wrong) {
            self.state = State::Broken(why);
        }
    }

    /// One byte between values.
    fn punctuation(&mut self, byte: u8, elements: &mut Vec<Element>) -> usize {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            let holds = self.holds_outer() && self.state != State::Start;
            return self.consume(1, &[byte], holds);
        }
        let opens_value = !matches!(byte, b',' | b']' | b'}' | b':');
        let next = match (self.state, byte) {
            (State::Start, _) if self.offset < 3 && BOM.get(self.offset as usize) == Some(&byte) => {
                return self.consume(1, &[byte], false);
            }
            (State::Start, b'{') => State::KeyOrEnd,
            (State::Start, b'[') if self.mode == Mode::Lines => {
                (self.in_list, self.bare) = (true, true);
                State::ItemOrEnd
            }
            (State::ItemOrEnd | State::AfterItem, b']') if self.bare => {
                self.restart();
                return self.consume(1, b"]", false);
            }
            (State::KeyOrEnd | State::KeyStart, b'"') => return self.begin(State::Key),
            (State::KeyOrEnd | State::AfterValue, b'}') => return self.end_object(elements),
            (State::Colon, b':') => State::ValueStart,
            (State::ValueStart, b'[') if self.key == Key::Items => {
                self.held.clear();
                self.in_list = true;
                State::ItemOrEnd
            }
            (State::ValueStart, _) if opens_value => return self.begin(State::Value),
            (State::AfterValue, b',') => State::KeyStart,
            (State::ItemOrEnd | State::AfterItem, b']') => State::AfterValue,
            (State::ItemOrEnd | State::ItemStart, _) if opens_value => return self.begin(State::Item),
            (State::AfterItem, b',') => State::ItemStart,
            _ => return self.fail(),
        };
        self.state = next;
        self.consume(1, &[byte], self.holds_outer())
    }

    /// Enters a key, value or item; its first byte is still to be read.
    fn begin(&mut self, state: State) -> usize {
        self.scan = ValueEnd::default();
        self.capture.clear();
        self.state = state;
        0
    }

    fn end_object(&mut self, elements: &mut Vec<Element>) -> usize {
        self.consume(1, b"}", self.holds_outer());
        if self.mode == Mode::EventList {
            self.state = State::End;
            return 1;
        }
        if self.has_kind {
            self.held.clear();
        }
        self.give_up(elements);
        1
    }

    fn fail(&mut self) -> usize {
        let line = self.line;
        self.state = match (self.mode, self.state) {
            (Mode::Lines, _) => State::Resync,
            (Mode::EventList, State::Start) => State::Broken(Broken::NotAnObject { line }),
            (Mode::EventList, State::End) => State::Broken(Broken::Trailing { line }),
            (Mode::EventList, _) => State::Broken(Broken::Syntax { line }),
        };
        0
    }
}

/// The length of the one object that a whole line holds, and that is no list: nearly all lines of an audit log. Of its keys and
/// values only texts are looked at: one that makes it a list, or that may say so by an escape, leaves the line to others.
fn one_value(line: &[u8], most: usize) -> Option<usize> {
    let text = line.strip_suffix(b"\n")?;
    if text.first() != Some(&b'{') || text.len() > most {
        return None;
    }
    let (mut at, mut depth) = (1, 1_usize);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at;
                at = text_end(text, start)?;
                let within = text.get(start..at - 1).filter(|_| depth == 1).unwrap_or_default();
                if matches!(within, b"items" | b"EventList") || within.contains(&b'\\') {
                    return None;
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return (at == text.len()).then_some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Behind the quote that ends the text which begins at `at`.
fn text_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += quote_or_backslash(text.get(at..)?)?;
        match text.get(at) {
            Some(b'"') => return Some(at + 1),
            _ => at += 2,
        }
    }
}

#[cfg(test)]
mod tests;
