//! A strict JSON reader that copies nothing. In: the text of one document. Out: its values by place, in the order of the
//! text, or nothing for a text that is not plain: with space between tokens, duplicate or escaped keys, deep nesting, broken.
//! Such a text is read by `json`, which is slow and knows what to do. Never recurses past `MAX_DEPTH`.

use super::{
    key::{Class, Classes, Ends, Word, low, word_at},
    known::Known,
    names,
    needle::Seen,
};

/// Containers within containers. Less than what `json` reads.
const MAX_DEPTH: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
    /// A string that stands where a secret stood.
    Hidden,
    /// An object or array of a body that came before, of which there are no nodes: `copy::body` has nothing to look at in it, and
    /// no more is asked of it, for its key is a plain one.
    Known,
}

/// What is known of a string from its bytes.
pub mod flag {
    /// Has an escape.
    pub const ESCAPED: u8 = 1;
    /// Has an escape that serde_json writes otherwise or that hides a letter: `\u`, `\/`.
    pub const ODD: u8 = 2;
    /// Has a byte beyond ASCII.
    pub const HIGH: u8 = 4;
    /// May hold JSON: begins with a bracket, a space or an escape.
    pub const NESTED: u8 = 8;
    /// Holds a needle.
    pub const HOT: u8 = 16;
    /// Names a program whose flags of one letter tell secrets.
    pub const PROGRAM: u8 = 32;
    /// Is a key.
    pub const KEY: u8 = 64;
    /// Of an object or array: `copy::body` may find something in it.
    pub const BUSY: u8 = 128;
    /// Patterns have to look at it.
    pub const SUSPECT: u8 = ODD | HIGH | NESTED | HOT;
}

/// One value, or the key before a value.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Of a string: within its quotes.
    pub start: u32,
    pub end: u32,
    /// The node after this one and all that is in it. Of a key: a hash.
    pub next: u32,
    pub kind: Kind,
    pub flags: u8,
    /// Of a key.
    pub class: Class,
}

/// Room that is used again for each text: at most a few times the size of the largest one, and what is remembered of others.
#[derive(Default)]
pub struct Room {
    pub nodes: Vec<Node>,
    classes: Classes,
    seen: Seen,
    known: Known,
}

/// Reads `text`, which is UTF-8, into `room.nodes`, in the order of the text; gives the flags that any string has. `None` when it is
/// not plain.
pub fn read(text: &[u8], room: &mut Room) -> Option<u8> {
    room.nodes.clear();
    u32::try_from(text.len()).ok()?;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let Room { nodes, classes, seen, known } = room;
    let mut reader = Reader { text, at: 0, any: 0, deepest: 0, in_body: false, nodes, classes, seen, known };
    reader.value(0, Class::default())?;
    (reader.at == text.len()).then_some(reader.any)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// All flags so far.
    any: u8,
    /// The deepest level of containers so far.
    deepest: usize,
    in_body: bool,
    nodes: &'a mut Vec<Node>,
    classes: &'a mut Classes,
    seen: &'a mut Seen,
    known: &'a mut Known,
}

/// What is known of a text's bytes.
#[derive(Clone, Copy, Default)]
struct Scanned {
    start: usize,
    end: usize,
    flags: u8,
    /// Not zero when it has an ASCII letter beyond `f`, an `@`, or perhaps something else.
    letters: u64,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes before the first of these eight that is a quote, a backslash, a control character or beyond ASCII; 8 when none is.
/// A borrow may mark bytes above the first one falsely, never the first one.
fn plain(eight: u64) -> usize {
    let equal = |byte: u8| (eight ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let control = eight.wrapping_sub(ONES * 0x20);
    ((equal(b'"') | equal(b'\\') | control | eight) & HIGHS).trailing_zeros() as usize / 8
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, flags: u8) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { start: start as u32, end: end as u32, next, kind, flags, class: Class::default() });
    }

    /// A value under a key of this class, or one without a key. Gives whether `copy::body` may find something in it.
    fn value(&mut self, depth: usize, class: Class) -> Option<bool> {
        match self.peek()? {
            b'"' => self.text(class),
            b'{' if self.in_body && class.plain() => self.part(Kind::Object, depth),
            b'[' if self.in_body && class.plain() => self.part(Kind::Array, depth),
            b'{' => self.container(Kind::Object, depth),
            b'[' => self.container(Kind::Array, depth),
            b't' => self.word(b"true", Kind::Bool),
            b'f' => self.word(b"false", Kind::Bool),
            b'n' => self.word(b"null", Kind::Null),
            _ => self.number(),
        }
    }

    /// A container of a body that may have come before.
    fn part(&mut self, kind: Kind, depth: usize) -> Option<bool> {
        let start = self.at;
        if let Some((length, height)) =
            self.known.find(self.text, start).filter(|(_, height)| depth + height < MAX_DEPTH)
        {
            self.at += length;
            self.push(Kind::Known, start, self.at, 0);
            return Some(false);
        }
        let before = (self.any, self.deepest);
        (self.any, self.deepest) = (0, depth);
        let busy = self.container(kind, depth)?;
        if !busy && self.any & (flag::ODD | flag::HIGH) == 0 {
            self.known.add(self.text, start, self.at, self.deepest - depth);
        }
        (self.any, self.deepest) = (self.any | before.0, self.deepest.max(before.1));
        Some(busy)
    }

    fn text(&mut self, class: Class) -> Option<bool> {
        let Scanned { start, end, mut flags, letters } = self.string()?;
        let string = self.text.get(start..end)?;
        // No needle is without such a letter, but for that of a URL with a user, which has an `@`.
        if letters != 0 {
            flags |= self.seen.flags(self.text, start, end);
            self.any |= flags;
        }
        self.push(Kind::String, start, end, flags);
        let by_kind = class.word == Word::Kind && (flags & flag::ESCAPED != 0 || may_be_secret_kind(string));
        let by_key = class.key() && string.len() >= names::KEY_MATERIAL;
        // In a list, the next one may be its value.
        let is_flag = string.first() == Some(&b'-') || string.ends_with(b"-u");
        Some(flags & (flag::SUSPECT | flag::PROGRAM) != 0 || by_kind || by_key || is_flag)
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Option<bool> {
        self.text.get(self.at..)?.starts_with(word).then_some(())?;
        self.push(kind, self.at, self.at + word.len(), 0);
        self.at += word.len();
        Some(false)
    }

    /// Integers as all writers write them, and other numbers that serde_json would write the same.
    fn number(&mut self) -> Option<bool> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at)?;
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let is_plain = !digits.is_empty()
            && digits.len() <= 18
            && digits.iter().all(u8::is_ascii_digit)
            && (digits.first() != Some(&b'0') || text == b"0");
        if !is_plain {
            let text = str::from_utf8(text).ok()?;
            let number: serde_json::Number = serde_json::from_str(text).ok()?;
            (number.to_string() == text).then_some(())?;
        }
        self.push(Kind::Number, start, self.at, 0);
        Some(false)
    }

    fn container(&mut self, kind: Kind, depth: usize) -> Option<bool> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let (place, start) = (self.nodes.len(), self.at);
        self.deepest = self.deepest.max(depth);
        self.push(kind, start, start, 0);
        self.at += 1;
        let close = if kind == Kind::Object { b'}' } else { b']' };
        let mut busy = false;
        if self.peek()? == close {
            self.at += 1;
        } else {
            let mut seen = 0;
            loop {
                let class = match kind {
                    Kind::Object => self.key(place, &mut seen)?,
                    _ => Class::IN_ARRAY,
                };
                if depth == 0 {
                    self.in_body = class.word == Word::Body;
                }
                busy |= self.value(depth + 1, class)? | class.busy();
                let after = self.peek()?;
                self.at += 1;
                match after {
                    // What stands before a body in text that was redacted before.
                    b',' => self.at += usize::from(depth == 0 && self.peek() == Some(b' ')),
                    _ if after == close => break,
                    _ => return None,
                }
            }
        }
        let next = self.nodes.len() as u32;
        let node = self.nodes.get_mut(place)?;
        (node.end, node.next) = (self.at as u32, next);
        node.flags = if busy { flag::BUSY } else { 0 };
        Some(busy)
    }

    /// `seen` has a bit of each hash of a key in this object, whose node is `object`.
    fn key(&mut self, object: usize, seen: &mut u64) -> Option<Class> {
        (self.peek()? == b'"').then_some(())?;
        let Scanned { start, end, flags, .. } = self.string()?;
        (flags & (flag::ODD | flag::HIGH) == 0 && self.peek()? == b':').then_some(())?;
        self.at += 1;
        let key = self.text.get(start..end)?;
        let ends = Ends::of(self.text, start, end);
        let hash = ends.hash();
        let class = self.classes.of(key, &ends, hash, flags & flag::ESCAPED != 0)?;
        let bit = 1 << (hash >> 26);
        if *seen & bit != 0 && self.has_key(object, key, hash) {
            return None;
        }
        *seen |= bit;
        let (start, end, flags) = (start as u32, end as u32, flags | flag::KEY);
        self.nodes.push(Node { start, end, next: hash, kind: Kind::String, flags, class });
        Some(class)
    }

    fn has_key(&self, object: usize, key: &[u8], hash: u32) -> bool {
        let mut at = object + 1;
        while let (Some(other), Some(value)) = (self.nodes.get(at), self.nodes.get(at + 1)) {
            if other.next == hash && self.text.get(other.start as usize..other.end as usize) == Some(key) {
                return true;
            }
            at = value.next as usize;
        }
        false
    }

    fn string(&mut self) -> Option<Scanned> {
        let start = self.at + 1;
        let mut at = start;
        let mut letters = 0;
        let mut flags = match self.text.get(start)? {
            b'{' | b'[' | b' ' | b'\\' => flag::NESTED,
            _ => 0,
        };
        loop {
            // Most strings end within sixteen bytes: to look at all of them costs less than to guess after eight.
            while at + 16 <= self.text.len() {
                let (one, two) = (word_at(self.text, at), word_at(self.text, at + 8));
                let first = plain(one);
                let more = if first == 8 { plain(two) } else { 0 };
                letters |= lettered(one & low(first)) | lettered(two & low(more));
                at += first + more;
                if first + more < 16 {
                    break;
                }
            }
            match *self.text.get(at)? {
                b'"' => break,
                b'\\' => {
                    flags |= match *self.text.get(at + 1)? {
                        b'"' | b'\\' | b'n' | b't' | b'r' | b'b' | b'f' => flag::ESCAPED,
                        b'u' | b'/' => flag::ESCAPED | flag::ODD,
                        _ => return None,
                    };
                    letters = u64::MAX;
                    at += 2;
                }
                0..0x20 => return None,
                0x80.. => {
                    flags |= flag::HIGH;
                    letters = u64::MAX;
                    at += 1;
                }
                byte => {
                    letters |= lettered(u64::from(byte));
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        self.any |= flags;
        Some(Scanned { start, end: at, flags, letters })
    }
}

/// Not zero when one of these eight bytes, all below 0x80, is a letter beyond `f`, a bracket of the same range, or an `@`.
fn lettered(eight: u64) -> u64 {
    // 0x19 more lift `g` over 0x7f; an `@` has become a backquote, which lies below, and is sought by itself.
    let folded = eight | ONES * 0x20;
    let at = (eight ^ ONES * u64::from(b'@')).wrapping_sub(ONES);
    (folded + ONES * 0x19 | at) & HIGHS
}

/// By its length and first letter: a superset of what `body::Resource::of_kind` tells.
fn may_be_secret_kind(kind: &[u8]) -> bool {
    matches!(kind.len(), 6 | 9 | 10 | 13) && matches!(kind.first(), Some(b'S' | b's' | b'C' | b'c'))
}
