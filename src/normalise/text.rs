//! Text of strangers made fit for one line of a terminal, log, table or label. In: any text. Out: one line without
//! anything that moves, hides or reorders what a reader sees.

use std::fmt::Write;

/// Stands for what was cut.
const CUT: char = '…';

/// `text` on one line of at most `max` bytes. Control, bidirectional and invisible characters appear as escapes, such as
/// `\n` or `\u{202e}`; what is cut ends in `…`. Applying it again changes nothing.
pub fn one_line(text: &str, max: usize) -> String {
    // What nearly every text is: nothing to escape, nothing to cut.
    if text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len().min(max));
    // Where to cut so that the mark still fits: after the last whole piece that leaves room for it.
    let mut room = 0;
    let mut piece = String::new();
    for character in text.chars() {
        piece.clear();
        escape(character, &mut piece);
        if line.len() + piece.len() > max {
            line.truncate(room);
            if line.len() + CUT.len_utf8() <= max {
                line.push(CUT);
            }
            return line;
        }
        line.push_str(&piece);
        if line.len() + CUT.len_utf8() <= max {
            room = line.len();
        }
    }
    line
}

fn escape(character: char, piece: &mut String) {
    match character {
        '\n' => piece.push_str("\\n"),
        '\r' => piece.push_str("\\r"),
        '\t' => piece.push_str("\\t"),
        c if c.is_control() || is_invisible(c) => {
            let written = write!(piece, "\\u{{{:x}}}", u32::from(c));
            debug_assert!(written.is_ok(), "writing to a String");
        }
        c => piece.push(c),
    }
}

/// Characters of no width, of no ink, or that change the direction of others (Unicode Cf and fillers).
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' // Arabic and Syriac marks
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' // Khmer vowels, Mongolian selectors
            | '\u{200b}'..='\u{200f}' // zero-width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // joiner, invisible operators, isolates
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' // variation selectors, byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotation
            | '\u{1d173}'..='\u{1d17a}' // musical format
            | '\u{e0000}'..='\u{e0fff}' // tags, variation selectors
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_fool_a_reader_is_escaped() {
        let cases = [
            ("plain", "bob list secrets", "bob list secrets"),
            ("letters of any script stay", "Zoë 日本 عربي", "Zoë 日本 عربي"),
            ("line feed", "a\nb\r\tc", "a\\nb\\r\\tc"),
            ("terminal escape", "\u{1b}[31mred", "\\u{1b}[31mred"),
            ("C1", "\u{9b}31m", "\\u{9b}31m"),
            ("NUL and DEL", "\0\u{7f}", "\\u{0}\\u{7f}"),
            ("override", "a\u{202e}b", "a\\u{202e}b"),
            ("isolate", "\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("zero width", "ad\u{200b}min\u{feff}", "ad\\u{200b}min\\u{feff}"),
            ("tag", "\u{e0041}", "\\u{e0041}"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(one_line(text, 100), expected, "{name}");
        }
    }

    #[test]
    fn cut_lines_end_in_a_mark_and_never_within_an_escape() {
        let cases = [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "ab…"),
            ("ab\u{202e}", 10, "ab\\u{202e}"),
            ("ab\u{202e}xyz", 10, "ab…"),
            ("日本語", 8, "日…"),
            ("abc", 2, ""),
            ("abc", 0, ""),
        ];
        for (text, max, expected) in cases {
            assert_eq!(one_line(text, max), expected, "{text:?} in {max}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_line_is_short_clean_and_stays_as_it_is(text: String, max in 0_usize..64) {
            let line = one_line(&text, max);
            prop_assert!(line.len() <= max);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert_eq!(one_line(&line, max), line);
        }
    }
}
