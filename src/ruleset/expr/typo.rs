//! What somebody meant by text that is no expression: operators and words of other languages, brackets that don't fit, quotes
//! of a word processor. In: a source, the place that the parser stopped at, and its words. Out: what is wrong, and what helps.

use super::{
    hint::{is_called, meant},
    view::{Token, tokens},
};

/// What is wrong, then what to write instead.
pub(super) type Told = (String, String);

/// Numbers that are out of range, by the parser's words.
const NUMBERS: &[(&str, &str, &str)] = &[
    (
        "invalid int literal",
        "a number beyond the range of an int",
        "an int ends at 9223372036854775807; write a larger number as a double, with `.0` behind it",
    ),
    ("invalid uint literal", "a number beyond the range of a uint", "a uint ends at 18446744073709551615u"),
    ("invalid double literal", "a number beyond the range of a double", "a double ends at about 1.8e308"),
];

/// Words that are operators elsewhere.
const WORDS: &[(&str, &str)] = &[
    ("and", "use `&&`"),
    ("or", "use `||`"),
    ("not", "write `!(…)`; what is not in a list is `!(a in [b, c])`"),
    ("xor", "of two conditions write `a != b`"),
    ("in", "write it in lower case, with a list behind it: `a in [b, c]`"),
    ("like", "use `.contains(\"…\")`, `.startsWith(\"…\")`, `.endsWith(\"…\")` or `.matches(r\"…\")`"),
    ("ilike", "use `.lowerAscii().contains(\"…\")`"),
    ("is", "compare with `==`; whether a field is set, has(a.b) tells"),
    ("equals", "compare with `==`"),
    ("eq", "compare with `==`"),
    ("ne", "compare with `!=`"),
    ("gt", "compare with `>`"),
    ("ge", "compare with `>=`"),
    ("lt", "compare with `<`"),
    ("le", "compare with `<=`"),
    ("between", "write `a >= 1 && a <= 9`"),
    ("if", "write `condition ? value : other`; a condition alone needs no word before it"),
    ("then", "write `condition ? value : other`; a condition alone needs nothing behind it"),
    ("else", "write `condition ? value : other`"),
    ("where", "a condition stands alone, without a word before it"),
    ("lambda", "write `list.exists(x, condition)`: the variable, a comma, what is asked of it"),
];

const GENERIC: &str = "before it an operator, a comma or a bracket is missing";
const EXAMPLES: &str = "the reference page of the rule language has examples";
const ELEMENTS: &str = "of all elements ask list.exists(x, condition), or make them another list by list.map(x, value)";
const BACKTICKS: &str = "backticks are for a key behind a point, as in a.`b-c`; a text stands in quotes";
const LISTS: &str = "a list stands in square brackets: `a in [b, c]`";

fn told(message: impl Into<String>, hint: impl Into<String>) -> Told {
    (message.into(), hint.into())
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Explains what the parser says of byte `at` of `source`.
pub(super) fn explain(source: &str, at: usize, words: &str) -> Told {
    if words == "UNKNOWN" || words.contains("Recursion limit") {
        // What the parser says when its own recursion limit ends it.
        return told("nested too deeply", "name parts of it in `variables`");
    }
    if words.starts_with("invalid string literal") || words.starts_with("invalid bytes literal") {
        return told("an escape that stands for no character", r#"a backslash itself is `\\`, or write r"…""#);
    }
    if let Some((_, message, hint)) = NUMBERS.iter().find(|(literal, ..)| words.starts_with(literal)) {
        return told(*message, *hint);
    }
    let quoted = words.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map_or("", |(text, _)| text);
    let before = source.get(..at).unwrap_or_default().trim_end();
    let rest = source.get(at..).unwrap_or_default();
    if words.starts_with("token recognition error") {
        return character(quoted.trim_start_matches(' '), before, rest);
    }
    let token = quoted.split('\'').next().unwrap_or_default();
    if words.starts_with("missing") {
        return told(format!("`{}` is missing", shown(token)), "close each bracket, and put a comma between arguments");
    }
    match token {
        "<EOF>" => early(source),
        // A text in single quotes, which the parser quotes once more.
        "" if quoted.starts_with('\'') => {
            misplaced(source, at, &format!("'{}'", quoted.split('\'').nth(1).unwrap_or_default()), before)
        }
        "" if source.contains('`') => told("not an expression", BACKTICKS),
        "" => told("not an expression", EXAMPLES),
        token => misplaced(source, at, token, before),
    }
}

/// A character that begins no token.
fn character(text: &str, before: &str, rest: &str) -> Told {
    let operator = |name: &str, hint: &str| told(format!("`{name}` is no operator"), hint);
    match text.chars().next().unwrap_or(' ') {
        // That it ends was seen before.
        '"' | '\'' => told(
            "a text with an escape that CEL lacks",
            r#"write a regular expression as r"…", where a backslash is one; elsewhere a backslash is `\\`"#,
        ),
        '=' if text.starts_with("=~") => operator("=~", r#"use `.matches(r"…")`"#),
        '=' if rest.starts_with("=>") => operator("=>", "write a macro as `list.exists(x, condition)`"),
        '=' if before.ends_with("!=") => operator("!==", "use `!=`"),
        '=' => operator("=", "compare with `==`"),
        '&' => operator("&", "use `&&`"),
        '|' => operator("|", "use `||`"),
        '~' => operator("~", r#"use `.matches(r"…")`"#),
        c @ ('“' | '”' | '„' | '‘' | '’' | '«' | '»') => {
            told(format!("`{c}` is no quote of CEL"), "write \" or '")
        }
        ';' => told(
            "`;` can't stand here",
            "take it out: a condition is one expression; terms are joined with `&&` and `||`",
        ),
        '#' => told("`#` can't stand here", "a comment begins with `//`"),
        '$' | '@' => {
            told(format!("`{}` can't stand here", shown(text)), "a field stands by its bare name, such as `user.name`")
        }
        '`' => told(
            format!("`{}` can't stand here", shown(text)),
            "a key in backticks has letters, digits, `_`, `-`, `.`, `/` and blanks alone; write any other as [\"key\"]",
        ),
        _ => told(format!("`{}` can't stand here", shown(text)), "texts stand in quotes"),
    }
}

/// The source ends where it should go on.
fn early(source: &str) -> Told {
    let tokens = tokens(source);
    let is_there = |text: &str| tokens.iter().any(|token| token.text == text);
    let asks = |pair: &[Token<'_>]| matches!(pair, [a, b] if a.text == "?" && b.text == "." && a.end() == b.start);
    let hint = if tokens.windows(2).any(asks) {
        "what may be missing is read with `.?`, the question mark last: a.?b"
    } else if is_there("?") && !is_there(":") {
        "behind `?` stands `value : other`; a condition alone needs none of it"
    } else {
        "something is missing behind the last operator, comma or bracket"
    };
    told("it ends too early", hint)
}

/// The innermost bracket that is open before byte `at`, and the word before it.
fn open_bracket(source: &str, at: usize) -> Option<(&str, &str)> {
    let mut open: Vec<(&str, &str)> = Vec::new();
    let mut last = "";
    for token in tokens(source).into_iter().take_while(|token| token.start < at) {
        match token.text {
            text @ ("(" | "[" | "[?" | "{") => open.push((text, last)),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        last = token.text;
    }
    open.pop()
}

/// A token where none of its kind may stand.
fn misplaced(source: &str, at: usize, token: &str, before: &str) -> Told {
    let here = || format!("`{}` can't stand here", shown(token));
    let is_word = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let last = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let bracket = open_bracket(source, at);
    if token == "!" && source.get(at..).is_some_and(|rest| rest.starts_with("!in")) {
        return told("`!in` is no operator", "write `!(a in [b, c])`");
    }
    // `not audit.verb` stops at what follows the word.
    for word in [token, last] {
        if let Some((_, hint)) = WORDS.iter().find(|(known, _)| *known == word.to_ascii_lowercase() && word != "in") {
            return told(format!("`{}` is no operator", shown(word)), *hint);
        }
    }
    let hint = match token {
        _ if is_word(token) && source.get(..at).is_some_and(|b| b.ends_with(|c: char| c.is_ascii_digit())) => {
            "a span of time is written duration(\"5m\"), an hour duration(\"1h\"), a day duration(\"24h\")".to_owned()
        }
        _ if is_word(token) && is_called(token) => format!("write it with brackets: text.{token}(\"…\")"),
        _ if is_word(token) && meant(token).is_some() => meant(token).unwrap_or_default().to_owned(),
        _ if token.starts_with(['"', '\'']) && is_called(last) => format!("write {last}({})", shown(token)),
        // The place is that of the text behind the point, or of the point itself.
        "." if source.get(at..).is_some_and(|rest| rest.trim_start_matches('.').starts_with(['"', '\''])) => {
            "a key that is no plain name stands in square brackets: a[\"b/c\"]".to_owned()
        }
        _ if token.starts_with("..") => "write a range as `a >= 1 && a <= 9`".to_owned(),
        _ if token.starts_with('`') => BACKTICKS.to_owned(),
        ">" if before.ends_with('<') => return told("`<>` is no operator", "use `!=`"),
        "/" => "a pattern is a text: `.matches(r\"…\")`".to_owned(),
        ":" => "a part of a text is text.substring(from, to), of a list list.slice(from, to)".to_owned(),
        "," if bracket.is_none_or(|(open, word)| open == "(" && word == "in") => LISTS.to_owned(),
        "]" if before.ends_with('[') => ELEMENTS.to_owned(),
        ")" | "]" | "}" => return closes(token, bracket.map(|(open, _)| open)),
        "&&" | "||" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "+" | "*" | "?" | "in" => {
            "what stands before it is missing".to_owned()
        }
        _ => GENERIC.to_owned(),
    };
    told(here(), hint)
}

/// A bracket that closes another than the innermost that is open.
fn closes(token: &str, open: Option<&str>) -> Told {
    let fits = matches!((open, token), (Some("("), ")") | (Some("[" | "[?"), "]") | (Some("{"), "}"));
    match open {
        None => told(format!("`{token}` closes no bracket"), "take it out, or open a bracket before it"),
        Some("{") if token == "}" => {
            told("`}` can't stand here", "a map is written {\"key\": value}; a field stands without brackets")
        }
        Some(open) if !fits => {
            told(format!("`{token}` can't close `{open}`"), "close the bracket that was opened last first")
        }
        Some(_) => {
            told(format!("`{token}` can't stand here"), "something is missing before it, or an operator too many")
        }
    }
}
