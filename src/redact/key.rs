//! What redaction has to know of an object's key, found out once for each key. In: a key as it stands in a text. Out: its
//! class. Keys are few and come again and again; what `names` says of one takes longer than to read ten of them.

use super::{
    body::{LAST_APPLIED, OBJECT_SET},
    names, pattern,
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
}

/// What a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    pub word: Word,
    bits: u8,
}

impl Class {
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

    /// `body::is_harmless`.
    pub fn harmless(self) -> bool {
        matches!(self.word, Word::Kind | Word::Message | Word::Harmless)
    }

    /// `body::is_contents`.
    pub fn contents(self) -> bool {
        matches!(self.word, Word::Contents | Word::StringData)
    }

    fn find(key: &str) -> Option<Class> {
        if pattern::redact(key).1 > 0 {
            return None;
        }
        let says = [
            names::is_secret(key),
            names::is_key(key),
            names::is_password(key),
            names::is_environment(key),
            names::is_content(key),
        ];
        let bits = says.iter().enumerate().map(|(bit, yes)| u8::from(*yes) << bit).sum();
        Some(Class { word: word(key), bits })
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
        _ if super::body::is_harmless(key) => Word::Harmless,
        _ => Word::Other,
    }
}

/// Remembers classes. A key that comes takes the place of one of the same hash, so it never grows over `SLOTS`.
pub struct Classes(Vec<(Box<[u8]>, Class)>);

impl Default for Classes {
    fn default() -> Classes {
        Classes(vec![(Box::default(), Class::default()); SLOTS])
    }
}

impl Classes {
    /// The class of `key`, which is written with or without escapes; `None` when the key itself holds a secret.
    pub fn of(&mut self, key: &[u8], hash: u32, escaped: bool) -> Option<Class> {
        let slot = self.0.get_mut(hash as usize % SLOTS)?;
        if &*slot.0 == key && !key.is_empty() {
            return Some(slot.1);
        }
        let text = str::from_utf8(key).ok()?;
        let class = match escaped {
            true => Class::find(&serde_json::from_str::<String>(&format!("\"{text}\"")).ok()?)?,
            false => Class::find(text)?,
        };
        if key.len() <= MAX_KEY {
            *slot = (key.into(), class);
        }
        Some(class)
    }
}
