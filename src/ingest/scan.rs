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
                    match quote_or_backslash(rest) {
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

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Where the first quote or backslash is. Most texts are short: what a call of `memchr` takes is more than to look at sixteen
/// bytes.
#[inline]
pub(super) fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    for words in 0..2 {
        let Some((eight, after)) = rest.split_first_chunk() else { break };
        let eight = u64::from_le_bytes(*eight);
        // The lowest bit that is set is of a zero byte; those above it may be of a borrow.
        let zeros = |other: u64| other.wrapping_sub(ONES) & !other & HIGHS;
        let found = zeros(eight ^ (ONES * u64::from(b'"'))) | zeros(eight ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(8 * words + found.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    memchr::memchr2(b'"', b'\\', rest).map(|at| bytes.len() - rest.len() + at)
}

#[cfg(test)]
mod tests {
    use super::quote_or_backslash;

    #[test]
    fn the_first_mark_is_found_wherever_it_is() {
        for length in 0..40 {
            for at in 0..length {
                for (mark, before) in [(b'"', b'#'), (b'\\', b']'), (b'"', b'!'), (b'\\', 0xdc), (b'"', 0xa2)] {
                    let mut text = vec![before; length];
                    assert_eq!(quote_or_backslash(&text), None, "{length}");
                    (text[at], text[length - 1]) = (mark, b'"');
                    assert_eq!(quote_or_backslash(&text), Some(at), "{text:?}");
                }
            }
        }
    }
}
