//! The fields of an audit event, by the table of shapes. In: the places of an event. Out: which of its parts are kept, in
//! which order; or nothing for an event with a value that does not fit, or with none that says what it is.

use smallvec::SmallVec;

use super::{Copy, Path};
use crate::redact::{
    body::Resource,
    key::{Class, Word},
    ledger::Ledger,
    pattern,
    shape::{self, Shape, Table},
    tape::{Kind, Node, flag},
    uri,
};

/// What is kept: (key, value), each in the order of the text.
#[derive(Default)]
pub struct Parts {
    pub metadata: SmallVec<[(u32, u32); 20]>,
    pub bodies: SmallVec<[(u32, u32); 2]>,
}

/// Query parameters of Kubernetes' own that hold no secret.
const PARAMETERS: [&str; 24] = [
    "allowWatchBookmarks",
    "container",
    "continue",
    "dryRun",
    "fieldManager",
    "fieldSelector",
    "fieldValidation",
    "follow",
    "force",
    "gracePeriodSeconds",
    "labelSelector",
    "limit",
    "limitBytes",
    "previous",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "sinceSeconds",
    "tailLines",
    "timeout",
    "timeoutSeconds",
    "timestamps",
    "watch",
];

impl Copy<'_> {
    /// Redacts the event and says what is kept of it.
    pub fn event(&mut self) -> Option<Parts> {
        let root = self.node(0).filter(|node| node.kind == Kind::Object)?;
        let mut parts = Parts::default();
        let (mut has_stage, mut has_sign, mut has_unknown) = (false, false, false);
        let (mut annotations, mut object) = (None, None);
        let mut next = 1;
        while let Some((key, name, value, held)) = self.pair(root, next) {
            next = held.next;
            if held.kind == Kind::Null {
                continue;
            }
            match name.class.word {
                Word::Kind | Word::ApiVersion => continue,
                Word::Body => {
                    parts.bodies.push((key, value));
                    continue;
                }
                Word::Stage => has_stage = true,
                Word::Sign => has_sign = true,
                Word::Annotations => annotations = Some(value),
                Word::ObjectRef => object = Some(value),
                _ => {}
            }
            match known(Table::Event, name.class) {
                Some(shape) => self.fit(value, shape, &Path::ROOT.key(key))?,
                None => has_unknown = true,
            }
            parts.metadata.push((key, value));
        }
        if !has_stage || !has_sign {
            return None;
        }
        self.bodies(&parts, annotations, object)?;
        if has_unknown {
            let is_unknown = |name: Class| {
                known(Table::Event, name).is_none() && !matches!(name.word, Word::Kind | Word::ApiVersion | Word::Body)
            };
            self.object(0, &Path::ROOT, is_unknown)?;
        }
        Some(parts)
    }

    fn bodies(&mut self, parts: &Parts, annotations: Option<u32>, object: Option<u32>) -> Option<()> {
        let truncated = annotations.and_then(|at| self.get(at, b"audit.k8s.io/truncated"));
        if truncated.is_some_and(|(_, at)| self.node(at).is_some_and(|node| self.raw(node) == b"true")) {
            return None;
        }
        let resource = self.resource(object)?;
        if resource != Resource::Other {
            for name in [&b"responseStatus"[..], b"responseObject"] {
                if let Some((_, status)) = self.get(0, name) {
                    self.quotes_nothing(status)?;
                }
            }
        }
        for (key, value) in &parts.bodies {
            self.body(*value, resource, &Path::ROOT.key(*key))?;
        }
        Some(())
    }

    fn resource(&self, object: Option<u32>) -> Option<Resource> {
        let object = object.and_then(|object| self.get(object, b"resource"));
        if let Some((_, name)) = object {
            return Some(Resource::of_name(&self.string(self.node(name)?)?));
        }
        let uri = self.get(0, b"requestURI").and_then(|(_, uri)| self.string(self.node(uri)?)).unwrap_or_default();
        let path = uri.split('?').next().unwrap_or_default();
        Some(path.split('/').map(Resource::of_name).find(|r| *r != Resource::Other).unwrap_or(Resource::Other))
    }

    /// A Status of a request on Secrets that may quote from them goes the slow way.
    fn quotes_nothing(&self, status: u32) -> Option<()> {
        if let Some((_, message)) = self.get(status, b"message")
            && let Some(text) = self.string(self.node(message)?)
            && pattern::refused(&text).is_some()
        {
            return None;
        }
        let details = self.get(status, b"details");
        details.is_none_or(|(_, details)| self.get(details, b"causes").is_none()).then_some(())
    }

    /// A value that fits as it is.
    fn fit(&mut self, at: u32, shape: &'static Shape, path: &Path<'_>) -> Option<()> {
        let node = self.node(at)?;
        match (shape, node.kind) {
            (Shape::Text(max), Kind::String) => self.text(node, *max),
            (Shape::OneOf(names), Kind::String) => {
                names.iter().any(|name| name.as_bytes() == self.raw(node)).then_some(())
            }
            (Shape::Uri(max), Kind::String) => self.uri(node, *max),
            (Shape::Time, Kind::String) => self.stamp(node),
            (Shape::Int, Kind::Number) => str::from_utf8(self.raw(node)).ok()?.parse::<i64>().ok().map(|_| ()),
            (Shape::Texts { count, each } | Shape::Groups { count, each }, Kind::Array) => {
                self.texts(at, node, *count, *each)
            }
            (Shape::TextMap { count, each }, Kind::Object) => {
                self.map(at, node, *count, |copy, _, value| match value.kind {
                    Kind::String => copy.text(value, *each),
                    _ => None,
                })
            }
            (Shape::TextsMap { count, each }, Kind::Object) => {
                self.map(at, node, *count, |copy, at, value| match value.kind {
                    Kind::Array => copy.texts(at, value, *count, *each),
                    _ => None,
                })
            }
            (Shape::Object(table), Kind::Object) => self.fields(at, node, *table, path),
            _ => None,
        }
    }

    fn text(&self, node: Node, max: usize) -> Option<()> {
        (self.raw(node).len() <= max).then_some(())?;
        self.look(node)
    }

    fn texts(&self, array: u32, node: Node, count: usize, each: usize) -> Option<()> {
        let (mut next, mut items) = (array + 1, 0);
        while next < node.next {
            let item = self.node(next).filter(|item| item.kind == Kind::String)?;
            self.text(item, each)?;
            (next, items) = (item.next, items + 1);
        }
        (items <= count).then_some(())
    }

    fn map(&self, object: u32, node: Node, count: usize, fits: impl Fn(&Self, u32, Node) -> Option<()>) -> Option<()> {
        let (mut next, mut pairs) = (object + 1, 0);
        while let Some((_, name, value, held)) = self.pair(node, next) {
            (self.raw(name).len() <= shape::KEY).then_some(())?;
            fits(self, value, held)?;
            (next, pairs) = (held.next, pairs + 1);
        }
        (pairs <= count).then_some(())
    }

    fn fields(&mut self, object: u32, node: Node, table: Table, path: &Path<'_>) -> Option<()> {
        let mut has_unknown = false;
        let mut next = object + 1;
        while let Some((key, name, value, held)) = self.pair(node, next) {
            next = held.next;
            match known(table, name.class) {
                Some(shape) => self.fit(value, shape, &path.key(key))?,
                None if held.kind == Kind::Null => return None,
                None => has_unknown = true,
            }
        }
        match has_unknown {
            true => self.object(object, path, |name| known(table, name).is_none()),
            false => Some(()),
        }
    }

    fn stamp(&self, node: Node) -> Option<()> {
        let text = self.raw(node);
        if is_stamp(text) {
            return Some(());
        }
        self.string(node)?.parse::<jiff::Timestamp>().ok().map(|_| ())
    }

    fn uri(&self, node: Node, max: usize) -> Option<()> {
        let raw = self.raw(node);
        (raw.len() <= max).then_some(())?;
        let odd = flag::ESCAPED | flag::SUSPECT | flag::PROGRAM;
        let is_plain = node.flags & odd == 0 && !raw.iter().any(|byte| matches!(byte, b'%' | b'+'));
        let mut parts = raw.split(|byte| *byte == b'?');
        parts.next();
        let mut parameters = parts.next().into_iter().flat_map(|query| query.split(|byte| *byte == b'&'));
        let is_known = |parameter: &[u8]| {
            let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
            PARAMETERS.iter().any(|known| known.as_bytes() == name)
        };
        if is_plain && parameters.all(is_known) && parts.next().is_none() {
            return Some(());
        }
        let text = self.string(node)?;
        let (mut redacted, mut ledger) = (text.clone().into_owned(), Ledger::default());
        uri::redact(&mut redacted, &mut ledger);
        (redacted == text && ledger.hidden == 0).then_some(())
    }
}

fn known(table: Table, name: Class) -> Option<&'static Shape> {
    table.fields().get(name.place(table)?).map(|(_, shape)| shape)
}

/// `2026-01-31T23:59:59.123456Z`, as an API server writes it; only days that every month has.
fn is_stamp(text: &[u8]) -> bool {
    let number = |part: std::ops::Range<usize>| {
        let digits = text.get(part).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        Some(digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0')))
    };
    let within = |part, least: u32, most: u32| number(part).is_some_and(|number| (least..=most).contains(&number));
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    text.len() == 27
        && marks.iter().all(|(at, mark)| text.get(*at) == Some(mark))
        && within(0..4, 1, 9998)
        && within(5..7, 1, 12)
        && within(8..10, 1, 28)
        && within(11..13, 0, 23)
        && within(14..16, 0, 59)
        && within(17..19, 0, 59)
        && number(20..26).is_some()
}
