//! Expressions as they are written, to be read and not to be changed: the syntax tree, and the text of a part of it. In: a
//! source that compiled. Out: what the linter and `explain` walk and quote. Never evaluates anything.

use super::parse::string_length;
pub(in crate::ruleset) use super::{
    ast::{Ast, Kind},
    constant::{Fault, fault},
    names::nearest,
    parse::parse,
};

/// What a macro's variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ruleset) enum Stands {
    /// Each element of the range, or each key of a map.
    Element,
    /// Each index or key.
    Key,
    /// The range itself, as a whole.
    Whole,
}

/// A call that binds variables: `range.exists(x, condition)`, `cel.bind(x, range, body)`, `optional.optMap(x, body)`.
pub(in crate::ruleset) struct Binding<'s> {
    pub range: &'s Ast,
    pub names: Vec<(&'s str, Stands)>,
    /// What is evaluated with them: a filter, if any, and the body.
    pub inside: &'s [Ast],
    /// The range is evaluated only if a variable is read.
    pub is_lazy: bool,
}

/// The variables that a call binds; `None` for any other expression.
pub(in crate::ruleset) fn binding(ast: &Ast) -> Option<Binding<'_>> {
    let Kind::Call { target: Some(target), function, args } = &ast.kind else { return None };
    let bound = match (function.as_str(), args.len()) {
        ("bind", 3) if matches!(&target.kind, Kind::Name(space) if space == "cel") => {
            let (Kind::Name(name), [range, inside @ ..]) = (&args.first()?.kind, args.get(1..)?) else { return None };
            return Some(Binding { range, names: vec![(name, Stands::Whole)], inside, is_lazy: true });
        }
        ("optMap" | "optFlatMap", 2) => [Stands::Whole].as_slice(),
        ("all" | "exists" | "exists_one" | "filter" | "sortBy", 2) | ("map", 2 | 3) => &[Stands::Element],
        ("all" | "exists" | "exists_one" | "existsOne", 3) => &[Stands::Key, Stands::Element],
        ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => &[Stands::Key, Stands::Element],
        _ => return None,
    };
    let (names, inside) = args.split_at_checked(bound.len())?;
    let mut named = Vec::new();
    for (name, stands) in names.iter().zip(bound) {
        let Kind::Name(name) = &name.kind else { return None };
        named.push((name.as_str(), *stands));
    }
    Some(Binding { range: target, names: named, inside, is_lazy: false })
}

/// A piece of a source: an operator of one or two characters, a word, or a string.
pub(super) struct Token<'s> {
    pub start: usize,
    pub text: &'s str,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn opens(&self) -> bool {
        matches!(self.text, "(" | "[" | "[?" | "{")
    }

    fn closes(&self) -> bool {
        matches!(self.text, ")" | "]" | "}")
    }

    /// True when no operand of a logical operator goes on with it.
    fn separates(&self) -> bool {
        matches!(self.text, "&&" | "||" | "?" | ":" | ",")
    }
}

/// The operand of a logical operator that begins at byte `start`, on one line and without comments.
pub(in crate::ruleset) fn written(source: &str, start: usize) -> String {
    let tokens = tokens(source);
    let mut first = tokens.partition_point(|token| token.start < start);
    let mut end = operand_end(&tokens, first);
    // `(a + b) == c` begins at `a` in the tree.
    while let Some((open, close)) = around(&tokens, first, end) {
        (first, end) = (open, operand_end(&tokens, close));
    }
    join(tokens.get(first..end).unwrap_or_default())
}

/// The first token of the parentheses around a part, and the one after them, when the operand goes on there.
fn around(tokens: &[Token<'_>], first: usize, end: usize) -> Option<(usize, usize)> {
    let (mut open, mut close) = (first, end);
    loop {
        open = open.checked_sub(1)?;
        let encloses = tokens.get(open)?.text == "(" && !is_call(tokens, open) && tokens.get(close)?.text == ")";
        close += 1;
        if !encloses || tokens.get(close)?.separates() {
            return None;
        }
        if !tokens.get(close)?.closes() {
            return Some((open, close));
        }
    }
}

/// True when the parenthesis holds arguments.
fn is_call(tokens: &[Token<'_>], open: usize) -> bool {
    let before = open.checked_sub(1).and_then(|i| tokens.get(i));
    before.is_some_and(|t| t.text != "in" && t.text.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Index after the last token of the operand that goes on at `from`.
fn operand_end(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(from) {
        if token.opens() {
            depth += 1;
        } else if token.closes() {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return index,
            }
        } else if depth == 0 && token.separates() {
            return index;
        }
    }
    tokens.len()
}

/// The tokens with one blank wherever there was some space.
fn join(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    let mut end = None;
    for token in tokens {
        if end.is_some_and(|end| end < token.start) {
            text.push(' ');
        }
        text.extend(token.text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        end = Some(token.end());
    }
    text
}

/// The pieces of any source, also of one that does not parse.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let start = source.len() - rest.len();
        let length = if c.is_whitespace() {
            c.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let raw = tokens.last().is_some_and(|t| t.end() == start && is_raw_prefix(t.text));
            let length = token_length(rest, c, raw);
            tokens.push(Token { start, text: rest.get(..length).unwrap_or(rest) });
            length
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

fn is_raw_prefix(word: &str) -> bool {
    matches!(word, "r" | "R" | "rb" | "rB" | "Rb" | "RB" | "br" | "bR" | "Br" | "BR")
}

fn token_length(rest: &str, first: char, raw: bool) -> usize {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let behind = rest.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '"' | '\'' => 1 + string_length(behind, first, raw).unwrap_or(behind.len()),
        c if in_word(c) => rest.find(|c| !in_word(c)).unwrap_or(rest.len()),
        c => {
            let two = ["&&", "||", "==", "!=", "<=", ">=", ".?", "[?"].iter().any(|two| rest.starts_with(two));
            if two { 2 } else { c.len_utf8() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_quoted_as_they_are_written() {
        let cases = [
            ("a == 1 && b", "a", "a == 1"),
            ("x && (a\n  // why\n == 1) && c", "a", "a == 1"),
            ("(a + b) == c && d", "a", "(a + b) == c"),
            ("!(a == b) && c", "!", "!(a == b)"),
            ("!(a || b)", "a", "a"),
            ("l.exists(x, x == 1 && y) || z", "l", "l.exists(x, x == 1 && y)"),
            ("m[?'a,b'].orValue(\"&& )\") == \"\" && c", "m", "m[?'a,b'].orValue(\"&& )\") == \"\""),
            ("a.?b.matches(r\"\\\") ? x : y", "a", "a.?b.matches(r\"\\\")"),
            ("c ? x : y == 2", "y", "y == 2"),
            ("(c ? x : y).size() == 2 && d", "c", "c"),
            ("q && ((a)) == 'é'", "a", "((a)) == 'é'"),
        ];
        for (source, at, wanted) in cases {
            let start = source.find(at).unwrap();
            assert_eq!(written(source, start), wanted, "{source}");
        }
    }
}
