//! One element of a list while its bytes arrive: kept whole up to a limit, and beyond it without what makes it large.
//! In: the bytes of one JSON value, in pieces. Out: the same bytes; or, over the limit, the value with `requestObject`
//! and `responseObject` replaced by `null`, long strings cut and overlong fields replaced by `null`; or only a digest.
//! The outcome depends on the bytes, never on how they were cut into pieces. Memory stays within the limit.
//! Never judges the JSON: what comes in broken goes out broken.

use sha2::{Digest, Sha256};

/// Sizes in bytes; the shipped ones are [`Limits::SHIPPED`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// An element up to this size is kept as it is, and never more than this is kept of a larger one.
    pub element: usize,
    /// A string of an element over the limit keeps this much, as written (escapes count as written).
    pub string: usize,
    /// A top-level field of an element over the limit that is longer than this, with its strings cut, becomes `null`.
    pub field: usize,
}

impl Limits {
    /// 1 MiB an element. An audit event has seven fields that are no strings, so 120 KiB for each, and 40 KiB for each of
    /// the four strings that a client fills, leave a whole event under the limit. Redaction reads 32 KiB of a request URI
    /// and minds where it cuts: so it, and not this, must be what cuts a URI.
    pub const SHIPPED: Limits = Limits { element: 1 << 20, string: 40 << 10, field: 120 << 10 };
}

/// How much of an element is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// It was over the limit: bodies are gone, long strings cut, overlong fields gone.
    Slimmed,
    /// Still over the limit when slimmed: its bytes are a SHA-256 digest, which tells it from others.
    Digest,
}

/// What was kept of one element.
pub(super) struct Held {
    limits: Limits,
    bytes: Vec<u8>,
    length: u64,
    slim: Option<Slim>,
    digest: Option<Sha256>,
}

impl Held {
    pub(super) fn new(limits: Limits) -> Held {
        Held { limits, bytes: Vec::new(), length: 0, slim: None, digest: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn clear(&mut self) {
        *self = Held::new(self.limits);
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        if self.slim.is_none() {
            if self.bytes.len() + piece.len() <= self.limits.element {
                self.bytes.extend_from_slice(piece);
                return;
            }
            let so_far = std::mem::take(&mut self.bytes);
            self.slim = Some(Slim::new(self.limits));
            self.reduce(&so_far);
        }
        self.reduce(piece);
    }

    fn reduce(&mut self, piece: &[u8]) {
        let mut rest = piece;
        if self.digest.is_none()
            && let Some(slim) = &mut self.slim
        {
            let used = slim.push(piece, &mut self.bytes);
            rest = piece.split_at(used).1;
            if self.bytes.len() <= self.limits.element {
                return;
            }
            self.digest = Some(Sha256::new_with_prefix(std::mem::take(&mut self.bytes)));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(rest);
        }
    }

    /// The kept bytes, the length of the element as sent and how much of it the bytes are; starts over.
    pub(super) fn take(&mut self) -> (Vec<u8>, u64, Form) {
        let held = std::mem::replace(self, Held::new(self.limits));
        match (held.digest, held.slim) {
            (Some(digest), _) => (digest.finalize().to_vec(), held.length, Form::Digest),
            (None, Some(_)) => (held.bytes, held.length, Form::Slimmed),
            (None, None) => (held.bytes, held.length, Form::Whole),
        }
    }
}

/// Where in a string the scanner stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Plain,
    /// After a backslash.
    Escape,
    /// So many hexadecimal digits of `\uXXXX` are still to come.
    Hex(u8),
}

/// Copies one JSON value without its bulk. Keys are those of the outermost object.
struct Slim {
    limits: Limits,
    depth: u64,
    text: Text,
    /// Bytes of the current string that were copied.
    copied: usize,
    /// The rest of the current string is left out.
    cutting: bool,
    /// Value of the `\uXXXX` being read; after it, what the last one was if nothing followed yet.
    unit: u16,
    /// The current string is a key of the outermost object, captured up to the length of the longest one sought.
    in_key: bool,
    expects_key: bool,
    key: Vec<u8>,
    /// Where in the output the current field's value begins, while there is one.
    field: Option<usize>,
    /// The rest of the current field is left out: it is `null` already.
    dropping: bool,
}

const BODIES: [&[u8]; 2] = [b"requestObject", b"responseObject"];

impl Slim {
    fn new(limits: Limits) -> Slim {
        Slim {
            limits,
            depth: 0,
            text: Text::Outside,
            copied: 0,
            cutting: false,
            unit: 0,
            in_key: false,
            expects_key: false,
            key: Vec::new(),
            field: None,
            dropping: false,
        }
    }

    /// Copies what stays of `piece`, and stops after the byte with which `out` gets over the limit. Returns how many
    /// bytes of `piece` were taken.
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        for (at, &byte) in piece.iter().enumerate() {
            if self.text == Text::Outside {
                self.outside(byte, out)
            } else {
                self.inside(byte, out)
            }
            if let Some(start) = self.field
                && !self.dropping
                && out.len() - start > self.limits.field
            {
                out.truncate(start);
                self.drop_field(out);
            }
            if out.len() > self.limits.element {
                return at + 1;
            }
        }
        piece.len()
    }

    fn drop_field(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
        self.dropping = true;
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return,
            b'"' => {
                self.text = Text::Plain;
                (self.copied, self.cutting, self.unit) = (0, false, 0);
                self.in_key = self.depth == 1 && self.expects_key;
                self.key.clear();
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.expects_key |= self.depth == 1 && byte == b'{';
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_field();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.depth == 1 => {
                self.end_field();
                self.expects_key = true;
            }
            b':' if self.depth == 1 && self.field.is_none() => {
                out.push(byte);
                self.field = Some(out.len());
                self.expects_key = false;
                if BODIES.contains(&self.key.as_slice()) {
                    self.drop_field(out);
                }
                return;
            }
            _ => {}
        }
        if !self.dropping {
            out.push(byte);
        }
    }

    fn end_field(&mut self) {
        self.field = None;
        self.dropping = false;
    }

    fn inside(&mut self, byte: u8, out: &mut Vec<u8>) {
        let ends = self.text == Text::Plain && byte == b'"';
        if self.text == Text::Plain && !ends && self.copied >= self.limits.string {
            // A cut must not fall inside a character: neither before a continuation byte nor between two surrogates.
            let inside_character = byte & 0xC0 == 0x80 || self.unit & 0xFC00 == 0xD800;
            self.cutting |= !inside_character;
        }
        self.text = match (self.text, byte) {
            (Text::Plain, b'"') => Text::Outside,
            (Text::Plain, b'\\') => Text::Escape,
            (Text::Escape, b'u') => {
                self.unit = 0;
                Text::Hex(4)
            }
            (Text::Hex(left), _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0) as u16;
                self.unit = self.unit << 4 | digit;
                if left > 1 { Text::Hex(left - 1) } else { Text::Plain }
            }
            (Text::Plain | Text::Escape | Text::Outside, _) => {
                self.unit = 0;
                Text::Plain
            }
        };
        if self.in_key && !ends && self.key.len() <= BODIES[1].len() {
            self.key.push(byte);
        }
        if !self.dropping && (ends || !self.cutting) {
            self.copied += 1;
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slimmed(text: &str, limits: Limits) -> String {
        let mut out = Vec::new();
        Slim::new(limits).push(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    const SMALL: Limits = Limits { element: 1 << 10, string: 14, field: 32 };

    #[test]
    fn bulk_goes_and_the_rest_stays() {
        for (case, input, expected) in [
            (
                "bodies",
                r#"{"a":1,"requestObject":{"x":[1,"}"]},"responseObject":"s","b":2}"#,
                r#"{"a":1,"requestObject":null,"responseObject":null,"b":2}"#,
            ),
            (
                "bodies twice, with spaces",
                "{ \"requestObject\" : [ 1 ] , \"requestObject\" : 2 }",
                r#"{"requestObject":null,"requestObject":null}"#,
            ),
            ("bodies further down stay", r#"{"u":{"requestObject":1}}"#, r#"{"u":{"requestObject":1}}"#),
            ("a value named like a body", r#"{"a":"requestObject","b":1}"#, r#"{"a":"requestObject","b":1}"#),
            ("long string", r#"{"uri":"0123456789abcdef"}"#, r#"{"uri":"0123456789abcd"}"#),
            ("escapes stay whole", r#"{"uri":"\u0026\u0026\u0026\u0026"}"#, r#"{"uri":"\u0026\u0026\u0026"}"#),
            ("surrogates stay together", r#"{"uri":"01234567\ud83d\ude00cd"}"#, r#"{"uri":"01234567\ud83d\ude00"}"#),
            ("escaped backslashes", r#"{"uri":"0123456789abc\\\\"}"#, r#"{"uri":"0123456789abc\\"}"#),
            ("characters stay whole", r#"{"uri":"0123456789abcää"}"#, r#"{"uri":"0123456789abcä"}"#),
            ("long field", r#"{"l":[11111,22222,33333,44444,55555,66666],"z":1}"#, r#"{"l":null,"z":1}"#),
        ] {
            assert_eq!(slimmed(input, SMALL), expected, "{case}");
        }
    }

    #[test]
    fn held_is_bounded_and_says_what_it_kept() {
        for (case, input, form) in [
            ("small", br#"{"a":1}"#.to_vec(), Form::Whole),
            ("large body", format!(r#"{{"requestObject":"{}"}}"#, "x".repeat(4096)).into_bytes(), Form::Slimmed),
            ("many keys", (0..500).flat_map(|n| format!("{{\"{n}\":1,").into_bytes()).collect(), Form::Digest),
        ] {
            let kept: Vec<_> = [1, 7, 4096]
                .map(|piece| {
                    let mut held = Held::new(SMALL);
                    for piece in input.chunks(piece) {
                        held.push(piece);
                        assert!(held.bytes.len() <= SMALL.element + 4, "{case}");
                    }
                    held.take()
                })
                .into();
            assert_eq!((kept[0].1, kept[0].2), (input.len() as u64, form), "{case}");
            assert!(kept.iter().all(|other| *other == kept[0]), "{case}: the pieces matter");
        }
    }
}
