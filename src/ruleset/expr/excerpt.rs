//! Text of an expression as people are shown it: on one line, without what a terminal would obey, the caret below the place
//! also behind characters that take two columns. In: any text. Out: text that is what it seems to be.

use unicode_width::UnicodeWidthChar;

/// Columns of the offending line that an excerpt shows.
const EXCERPT: usize = 120;

/// True for what moves the cursor, turns the direction of what follows, or is not seen at all: control characters, and the
/// marks of Unicode's bidirectional algorithm (UAX #9) and of invisible joints.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with hidden characters written out: `\u{202e}`.
pub(super) fn plain(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// One character in its place: hidden ones are a blank or a sign that something is there.
pub(super) fn shown(c: char) -> char {
    match c {
        c if c.is_control() => ' ',
        c if is_hidden(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn width(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// A window of the line that is `before` and `after`, and a caret under the place between them.
pub(super) fn excerpt(before: &str, after: &str) -> String {
    let columns = |text: &str| text.chars().map(|c| width(shown(c))).sum::<usize>();
    let mut skipped = 0;
    let mut start: Vec<char> = before.chars().map(shown).collect();
    let mut column = columns(before);
    if column + columns(after) > EXCERPT {
        while column > EXCERPT / 2 {
            column -= start.get(skipped).copied().map_or(1, width);
            skipped += 1;
        }
    }
    start.drain(..skipped);
    let mut room = EXCERPT;
    let mut line = String::new();
    for c in start.into_iter().chain(after.chars().map(shown)) {
        match room.checked_sub(width(c)) {
            Some(left) => room = left,
            None => break,
        }
        line.push(c);
    }
    format!("{}\n{}^", line.trim_end(), " ".repeat(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caret_stands_below_its_place_whatever_is_before() {
        for (before, after, wanted) in [
            ("a == ", "b", "a == b\n     ^"),
            ("'日本' == ", "b", "'日本' == b\n          ^"),
            ("'e\u{301}' == ", "b", "'e\u{301}' == b\n       ^"),
            ("'\t\u{202e}' == ", "b", "' \u{fffd}' == b\n        ^"),
            ("", "a\u{7}", "a\n^"),
        ] {
            assert_eq!(excerpt(before, after), wanted);
        }
        let long = excerpt(&"日".repeat(200), &"b".repeat(200));
        let (line, caret) = long.split_once('\n').unwrap();
        assert_eq!((line.chars().filter(|c| *c == '日').count(), caret.len()), (30, 61));
    }

    #[test]
    fn hidden_characters_are_written_out() {
        assert_eq!(plain("a\u{202e}b\u{1b}[0m é"), "a\\u{202e}b\\u{1b}[0m é");
    }
}
