//! What redaction has to know of an object's key, found out once for each key. In: a key as it stands in a text. Out: its
//! class. Keys are few and come again and again; what `names` says of one takes longer than to read ten of them.

use super::{
    body::{LAST_APPLIED, OBJECT_SET},
    names, pattern,
    shape::Table,
};

/// Keys that are remembered, by their hash.
const SLOTS: usize = 2048;
/// Bytes of a key that is remembered.
const MAX_KEY: usize = 96;

/// Keys with a meaning of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    #[default]
    Other,
    /// No key at all.
    None,
    Kind,
    Name,
    Key,
    Field,
    Value,
    Default,
    Message,
    Metadata,
    Annotations,
    Items,
    Rows,
    Object,
    /// What holds the contents of a Secret: `data`, `binaryData`.
    Contents,
    /// Contents wherever it stands.
    StringData,
    Template,
    /// Holds a copy of the whole object.
    Applied,
    /// `body::is_harmless`, and nothing else of the above.
    Harmless,
    /// So, too; an event has none.
    ApiVersion,
    /// Of an event: a request's or answer's body.
    Body,
    ObjectRef,
    Stage,
    /// Of an event: what one has at least one of.
    Sign,
}

/// What a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    pub word: Word,
    bits: u8,
    /// Its place in each table of shapes, from 1.
    places: [u8; Table::ALL.len()],
}

impl Class {
    /// Of an array's items.
    pub const IN_ARRAY: Class = Class { word: Word::None, bits: 0, places: [0; Table::ALL.len()] };

    fn has(self, bit: u8) -> bool {
        self.bits & bit != 0
    }

    /// `names::is_secret`.
    pub fn secret(self) -> bool {
        self.has(1)
    }

    /// `names::is_key`.
    pub fn key(self) -> bool {
        self.has(2)
    }

    /// `names::is_password`.
    pub fn password(self) -> bool {
        self.has(4)
    }

    /// `names::is_environment`.
    pub fn environment(self) -> bool {
        self.has(8)
    }

    /// `names::is_content`.
    pub fn content(self) -> bool {
        self.has(16)
    }

    /// Its value has to be looked at, whatever it is: of all other names only texts are judged, and those by what they hold. A
    /// `kind` and a `key` are judged by their value, too.
    pub fn busy(self) -> bool {
        self.has(32)
    }

    /// Nothing is asked of its value because of its name.
    pub fn plain(self) -> bool {
        self.word == Word::Other && self.bits == 0
    }

    /// Where `table` has it.
    pub fn place(self, table: Table) -> Option<usize> {
        usize::from(*self.places.get(table as usize)?).checked_sub(1)
    }

    /// `body::is_harmless`.
    pub fn harmless(self) -> bool {
        matches!(self.word, Word::Kind | Word::Message | Word::Harmless | Word::ApiVersion)
    }

    /// `body::is_contents`.
    pub fn contents(self) -> bool {
        matches!(self.word, Word::Contents | Word::StringData)
    }

    fn find(key: &str) -> Option<Class> {
        if pattern::redact(key).1 > 0 {
            return None;
        }
        let word = word(key);
        let of_siblings = matches!(word, Word::Value | Word::Default | Word::Field);
        let of_contents = matches!(word, Word::StringData | Word::Template | Word::Applied);
        let says = [
            names::is_secret(key),
            names::is_key(key),
            names::is_password(key),
            names::is_environment(key),
            names::is_content(key),
            names::is_secret(key) || names::is_environment(key) || of_siblings || of_contents,
        ];
        let bits = says.iter().enumerate().map(|(bit, yes)| u8::from(*yes) << bit).sum();
        let place = |table: Table| table.fields().iter().position(|(name, _)| *name == key);
        let places = Table::ALL.map(|table| place(table).map_or(0, |place| place as u8 + 1));
        Some(Class { word, bits, places })
    }
}

fn word(key: &str) -> Word {
    match key {
        "kind" => Word::Kind,
        "name" => Word::Name,
        "key" => Word::Key,
        "field" => Word::Field,
        "value" => Word::Value,
        "default" => Word::Default,
        "message" => Word::Message,
        "metadata" => Word::Metadata,
        "annotations" => Word::Annotations,
        "items" => Word::Items,
        "rows" => Word::Rows,
        "object" => Word::Object,
        "data" | "binaryData" => Word::Contents,
        "stringData" => Word::StringData,
        "template" => Word::Template,
        LAST_APPLIED | OBJECT_SET => Word::Applied,
        "apiVersion" => Word::ApiVersion,
        "requestObject" | "responseObject" => Word::Body,
        "objectRef" => Word::ObjectRef,
        "stage" => Word::Stage,
        "verb" | "stageTimestamp" | "requestReceivedTimestamp" => Word::Sign,
        _ if super::body::is_harmless(key) => Word::Harmless,
        _ => Word::Other,
    }
}

/// A key, or another text, by its length and the bytes of its ends: all of one up to 32 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    first: u64,
    second: u64,
    third: u64,
    last: u64,
    length: u32,
}

/// Bytes of a text that its ends tell all of.
pub const SHORT: usize = 32;

impl Ends {
    /// Of what stands from `start` to `end` of `text`.
    pub fn of(text: &[u8], start: usize, end: usize) -> Ends {
        let length = end - start;
        let length = length as u32;
        match length {
            0..=8 => Ends { first: word_at(text, start) & low(length as usize), length, ..Ends::default() },
            9..=16 => Ends { first: word_at(text, start), last: word_at(text, end - 8), length, ..Ends::default() },
            _ => {
                let (first, second) = (word_at(text, start), word_at(text, start + 8));
                Ends { first, second, third: word_at(text, end - 16), last: word_at(text, end - 8), length }
            }
        }
    }

    /// Equal keys have equal hashes, and few others have.
    pub fn hash(&self) -> u32 {
        (mixed([self.first ^ u64::from(self.length), self.second, self.third, self.last]) >> 32) as u32
    }

    /// Word by word: what was just written can't be read again at once in larger pieces.
    pub fn is(&self, other: &Ends) -> bool {
        self.length == other.length
            && self.first == other.first
            && self.last == other.last
            && self.second == other.second
            && self.third == other.third
    }
}

/// A hash of words, of which all bits are as good as any.
pub fn mixed([first, second, third, last]: [u64; 4]) -> u64 {
    let folded = first ^ second.rotate_left(11) ^ third.rotate_left(47) ^ last.rotate_left(29);
    let mixed = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 32
}

/// The eight bytes from `at`, with zeros behind the end of the text.
pub fn word_at(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// A mask of the first `bytes` of eight; all of them for eight.
pub fn low(bytes: usize) -> u64 {
    if bytes < 8 { (1 << (8 * bytes)) - 1 } else { u64::MAX }
}

#[derive(Clone, Default)]
struct Slot {
    ends: Ends,
    class: Class,
    /// All of a key that is not short.
    long: Box<[u8]>,
}

/// Remembers classes. A key that comes takes the place of one of the same hash, so it never grows over `SLOTS`.
pub struct Classes(Vec<Slot>);

impl Default for Classes {
    fn default() -> Classes {
        Classes(vec![Slot::default(); SLOTS])
    }
}

impl Classes {
    /// The class of `key`, which is written with or without escapes; `None` when the key itself holds a secret.
    pub fn of(&mut self, key: &[u8], ends: &Ends, hash: u32, escaped: bool) -> Option<Class> {
        let slot = self.0.get_mut(hash as usize % SLOTS)?;
        if slot.ends.is(ends) && !key.is_empty() && (key.len() <= SHORT || *slot.long == *key) {
            return Some(slot.class);
        }
        let class = found(key, escaped)?;
        if key.len() <= MAX_KEY {
            *slot = Slot { ends: *ends, class, long: if key.len() > SHORT { key.into() } else { Box::default() } };
        }
        Some(class)
    }
}

#[cold]
fn found(key: &[u8], escaped: bool) -> Option<Class> {
    let text = str::from_utf8(key).ok()?;
    match escaped {
        true => Class::find(&serde_json::from_str::<String>(&format!("\"{text}\"")).ok()?),
        false => Class::find(text),
    }
}
