//! Finds where one JSON value ends, in bytes that come in pieces. Counts brackets and minds strings; checks nothing else.

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// The state between two pieces. Depth is a counter, so there is no limit to it.
#[derive(Clone, Copy, Default)]
pub(super) struct ValueEnd {
    depth: u64,
    text: Text,
    /// The value is a number or literal: it ends before whatever can't be part of one.
    bare: bool,
}

impl ValueEnd {
    /// Takes the next bytes. Returns how many belong to the value and whether it has ended.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.text {
                Text::Inside => {
                    let rest = bytes.split_at(at).1;
                    match memchr::memchr2(b'"', b'\\', rest) {
                        None => return (bytes.len(), false),
                        Some(run) => at += run + 1,
                    }
                    let quote = bytes.get(at - 1) == Some(&b'"');
                    self.text = if quote { Text::Outside } else { Text::Escaped };
                    if quote && self.depth == 0 {
                        return (at, true);
                    }
                    continue;
                }
                Text::Escaped => self.text = Text::Inside,
                Text::Outside if self.bare => {
                    if matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n') {
                        return (at, true);
                    }
                }
                Text::Outside => match byte {
                    b'"' => self.text = Text::Inside,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return (at + 1, true);
                        }
                    }
                    _ => self.bare = self.depth == 0,
                },
            }
            at += 1;
        }
        (at, false)
    }

    /// Whether the next byte is part of a string.
    pub(super) fn inside_text(&self) -> bool {
        self.text != Text::Outside
    }
}
