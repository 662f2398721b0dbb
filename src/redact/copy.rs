//! The same as the slow way of `redact`, without a tree: what may stay is copied as it stands in the text, in one pass, and
//! what must go is cut out. In: the bytes of an event. Out: the event and the facts, or nothing for an event that needs
//! more than this knows how to do: odd texts, values that do not fit, secrets within texts. Those go the slow way, which
//! gives the same for all events; a test holds the two together.

mod body;
mod top;

use std::{borrow::Cow, cell::RefCell};

use serde::{Deserialize, de::value::MapDeserializer};
use serde_json::value::RawValue;

use super::{
    MAX_EVENT, Redacted,
    ledger::{self, Ledger},
    pattern::{self, REDACTED},
    tape::{self, Kind, Node, Room, flag},
};
use crate::record::RedactionFacts;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Redacts an event, if it is a plain one.
pub fn event(bytes: &[u8]) -> Option<Redacted> {
    if bytes.len() > MAX_EVENT {
        return None;
    }
    ROOM.with_borrow_mut(|room| redact(str::from_utf8(bytes).ok()?, room))
}

fn redact(text: &str, room: &mut Room) -> Option<Redacted> {
    let any = tape::read(text.as_bytes(), room)?;
    let mut copy = Copy { text, nodes: &mut room.nodes, edits: Vec::new(), paths: Vec::new() };
    let parts = copy.event()?;
    if any & flag::ODD != 0 {
        copy.recode()?;
    }
    let canonical = copy.write(&parts)?;
    if canonical.len() > MAX_EVENT {
        return None;
    }
    let redacted = ledger::kept(copy.paths);
    Some(Redacted { canonical: raw(canonical)?, facts: RedactionFacts { redacted, ..RedactionFacts::default() } })
}

/// What serde_json names a raw value by between its own parts. It is private to it, and the only way to make one of a text
/// that is known to be JSON without reading it again, which takes as long as all else here. A test holds it.
const TOKEN: &str = "$serde_json::private::RawValue";

/// `text`, which is JSON, as a raw value.
pub fn raw(text: String) -> Option<Box<RawValue>> {
    let field = std::iter::once((TOKEN, text));
    Box::<RawValue>::deserialize(MapDeserializer::<_, serde_json::Error>::new(field)).ok()
}

/// What stands in the place of a part of the text.
struct Edit {
    start: u32,
    end: u32,
    /// JSON; the placeholder when absent.
    with: Option<String>,
}

struct Copy<'t> {
    text: &'t str,
    nodes: &'t mut Vec<Node>,
    edits: Vec<Edit>,
    /// Of what was hidden.
    paths: Vec<String>,
}

/// Where a walk stands.
#[derive(Clone, Copy)]
struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    /// The node of the key.
    Key(u32),
    Index(usize),
}

impl Path<'_> {
    const ROOT: Path<'static> = Path { above: None, step: Step::Root };

    fn key(&self, node: u32) -> Path<'_> {
        Path { above: Some(self), step: Step::Key(node) }
    }

    fn index(&self, index: usize) -> Path<'_> {
        Path { above: Some(self), step: Step::Index(index) }
    }
}

impl<'t> Copy<'t> {
    fn node(&self, at: u32) -> Option<Node> {
        self.nodes.get(at as usize).copied()
    }

    fn raw(&self, node: Node) -> &'t [u8] {
        self.text.as_bytes().get(node.start as usize..node.end as usize).unwrap_or_default()
    }

    /// The text of a string; `None` for other values, and for a text that can't be read.
    fn string(&self, node: Node) -> Option<Cow<'t, str>> {
        match node.kind {
            Kind::Hidden => Some(REDACTED.into()),
            Kind::String if node.flags & flag::ESCAPED != 0 => {
                let quoted = self.text.get(node.start as usize - 1..node.end as usize + 1)?;
                serde_json::from_str::<String>(quoted).ok().map(Cow::Owned)
            }
            Kind::String => self.text.get(node.start as usize..node.end as usize).map(Cow::Borrowed),
            Kind::Object | Kind::Array | Kind::Known | Kind::Number | Kind::Bool | Kind::Null => None,
        }
    }

    /// The pairs of an object: (key, value).
    fn pair(&self, object: Node, at: u32) -> Option<(u32, Node, u32, Node)> {
        if at >= object.next {
            return None;
        }
        Some((at, self.node(at)?, at + 1, self.node(at + 1)?))
    }

    /// The value of a key without escapes.
    fn get(&self, object: u32, key: &[u8]) -> Option<(u32, u32)> {
        let node = self.node(object).filter(|node| node.kind == Kind::Object)?;
        let mut next = object + 1;
        while let Some((at, name, value, held)) = self.pair(node, next) {
            if self.raw(name) == key {
                return Some((at, value));
            }
            next = held.next;
        }
        None
    }

    /// Passes over a text that holds no secret; `None` for one that may.
    fn look(&self, node: Node) -> Option<()> {
        if node.kind == Kind::Hidden || node.flags & flag::SUSPECT == 0 {
            return Some(());
        }
        let text = self.string(node)?;
        let (mut redacted, mut ledger) = (text.clone().into_owned(), Ledger::default());
        ledger.text(&mut redacted);
        (ledger.hidden == 0 && redacted == text).then_some(())
    }

    /// As `Ledger::hide`.
    fn hide(&mut self, at: u32, path: &Path<'_>) -> Option<()> {
        let node = self.node(at)?;
        if matches!(node.kind, Kind::Null | Kind::Hidden) || self.string(node).is_some_and(|text| text == REDACTED) {
            return Some(());
        }
        if node.kind == Kind::String && node.flags & flag::ODD != 0 {
            self.string(node)?; // a text that can't be read is flagged by the slow way
        }
        let quotes = u32::from(node.kind == Kind::String);
        self.edits.push(Edit { start: node.start - quotes, end: node.end + quotes, with: None });
        self.nodes.get_mut(at as usize)?.kind = Kind::Hidden;
        let path = self.render(path)?;
        self.paths.push(path);
        Some(())
    }

    fn render(&self, path: &Path<'_>) -> Option<String> {
        let mut steps: smallvec::SmallVec<[Step; 16]> = smallvec::SmallVec::new();
        let mut here = Some(path);
        while let Some(Path { above, step }) = here {
            steps.push(*step);
            here = *above;
        }
        let mut text = String::with_capacity(64);
        for step in steps.iter().rev() {
            match step {
                Step::Root => {}
                Step::Index(index) => {
                    text.push('[');
                    text.push_str(&index.to_string());
                    text.push(']');
                }
                Step::Key(key) => ledger::push_key(&mut text, &self.string(self.node(*key)?)?),
            }
        }
        ledger::clip(&mut text, ledger::MAX_PATH);
        Some(text)
    }

    /// Writes the strings anew that serde_json would write otherwise.
    fn recode(&mut self) -> Option<()> {
        for node in self.nodes.iter().filter(|node| node.kind == Kind::String && node.flags & flag::ODD != 0) {
            let with = Some(serde_json::to_string(&self.string(*node)?).ok()?);
            self.edits.push(Edit { start: node.start - 1, end: node.end + 1, with });
        }
        Some(())
    }

    /// The event of these parts: the metadata in its order, then the bodies.
    fn write(&mut self, parts: &top::Parts) -> Option<String> {
        self.edits.sort_unstable_by_key(|edit| edit.start);
        let mut out = String::with_capacity(self.text.len() + 64 + 12 * self.edits.len());
        out.push('{');
        let mut run = None;
        for (key, value) in &parts.metadata {
            let (start, end) = self.places(*key, *value)?;
            // Nearly all pairs stand behind one another, with a comma between.
            run = match run {
                Some((first, last)) if last + 1 == start => Some((first, end)),
                _ => {
                    self.write_run(run, ",", &mut out)?;
                    Some((start, end))
                }
            };
        }
        self.write_run(run, ",", &mut out)?;
        for (key, value) in &parts.bodies {
            let mark = str::from_utf8(super::BODY_MARK).ok()?;
            self.write_run(Some(self.places(*key, *value)?), mark, &mut out)?;
        }
        out.push('}');
        Some(out)
    }

    /// Where a pair begins and ends in the text.
    fn places(&self, key: u32, value: u32) -> Option<(u32, u32)> {
        let (key, value) = (self.node(key)?, self.node(value)?);
        // A value that is hidden still knows where it was.
        let quoted = self.text.as_bytes().get(value.start as usize - 1) == Some(&b'"');
        Some((key.start - 1, value.end + u32::from(quoted)))
    }

    fn write_run(&self, run: Option<(u32, u32)>, mark: &str, out: &mut String) -> Option<()> {
        let Some((mut at, end)) = run else { return Some(()) };
        out.push_str(if out.len() > 1 { mark } else { "" });
        let first = self.edits.partition_point(|edit| edit.start < at);
        for edit in self.edits.get(first..)?.iter().take_while(|edit| edit.start < end) {
            if edit.start < at {
                continue; // within what is hidden as a whole
            }
            out.push_str(self.text.get(at as usize..edit.start as usize)?);
            match &edit.with {
                Some(json) => out.push_str(json),
                None => {
                    out.push('"');
                    out.push_str(pattern::REDACTED);
                    out.push('"');
                }
            }
            at = edit.end;
        }
        out.push_str(self.text.get(at as usize..end as usize)?);
        Some(())
    }
}
