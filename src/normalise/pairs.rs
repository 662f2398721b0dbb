//! Lists of `key=value`, as the kernel's audit, netfilter and logfmt write them. In: text. Out: pairs in their order.
//! A quoted value ends at its quote, wherever blanks are. Of a key that comes twice the first counts.

/// One `key=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub key: &'a str,
    /// Without its quotes; escapes stay as they are.
    pub value: &'a str,
    pub quoted: bool,
}

/// Most pairs of one line that are read.
const MAX_PAIRS: usize = 128;

/// Pairs of `text`. With `escapes`, a backslash within quotes takes the next character with it. A word without `=` is
/// passed over.
pub fn pairs(text: &str, escapes: bool) -> Vec<Pair<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && found.len() < MAX_PAIRS {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let Some((key, after)) = rest.split_at_checked(end) else { break };
        let Some(after) = after.strip_prefix('=') else {
            rest = after.trim_start();
            continue;
        };
        let (value, after, quoted) = match after.strip_prefix(['"', '\'']) {
            Some(inner) => {
                let quote = after.chars().next().unwrap_or('"');
                match closing(inner, quote, escapes).and_then(|end| inner.split_at_checked(end)) {
                    Some((value, after)) => (value, after.strip_prefix(quote).unwrap_or(after), true),
                    // Cut off: what is there is the value.
                    None => (inner, "", true),
                }
            }
            None => {
                let end = after.find(' ').unwrap_or(after.len());
                let (value, after) = after.split_at_checked(end).unwrap_or((after, ""));
                (value, after, false)
            }
        };
        found.push(Pair { key, value, quoted });
        rest = after.trim_start();
    }
    found
}

fn closing(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if escapes => escaped = true,
            c if c == quote => return Some(index),
            _ => {}
        }
    }
    None
}

/// The first value of `key`; empty when there is none.
pub fn value<'a>(pairs: &[Pair<'a>], key: &str) -> &'a str {
    pairs.iter().find(|pair| pair.key == key).map_or("", |pair| pair.value)
}

/// The first pair of `key`.
pub fn pair<'a>(pairs: &[Pair<'a>], key: &str) -> Option<Pair<'a>> {
    pairs.iter().find(|pair| pair.key == key).copied()
}
