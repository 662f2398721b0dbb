//! Regular expressions that say less, or more, than they seem to. In: literal patterns. Out: warnings with the plain function
//! that says the same, or with the anchors that are missing.

use std::collections::BTreeSet;

use super::{
    Lint, Warning,
    chain::{Scope, children},
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::ruleset::expr::view::{Ast, Kind};

/// Fields whose values are names, which a pattern means as a whole.
const NAMES: &[&str] = &[
    "audit.verb",
    "audit.objectRef.resource",
    "audit.objectRef.subresource",
    "audit.objectRef.apiGroup",
    "audit.objectRef.namespace",
    "event.action",
    "kubernetes.namespace",
    "kubernetes.target.namespace",
];

pub fn check(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>, warnings: &mut Vec<Warning>) {
    let mut expressions: Vec<&Expression> = vec![&selector.condition];
    expressions.extend(selector.keys.iter().chain(&selector.distinct).chain(rule.variables.values()));
    let scope = Scope::new(&rule.variables);
    let mut seen = BTreeSet::new();
    for expression in expressions {
        walk(&expression.ast, &mut |text, pattern, place| {
            if !seen.insert((expression.field.as_str(), place.start)) {
                return;
            }
            if let Some(plain) = plain_function(pattern) {
                let message = format!("the pattern {pattern:?} has no operator");
                let hint = format!("write `{plain}`: it says the same");
                warnings.push(Warning::at(Lint::PlainPattern, expression, place, message, hint));
            } else if let (Some(words), Some(chain)) = (bare_alternatives(pattern), scope.chain(text))
                && NAMES.contains(&chain.path().as_str())
            {
                let message = format!("{pattern:?} is found anywhere in `{}`, within longer names too", chain.path());
                let hint =
                    format!("write `in [\"{}\"]`, or anchor it: \"^({})$\"", words.join("\", \""), words.join("|"));
                warnings.push(Warning::at(Lint::UnanchoredPattern, expression, place, message, hint));
            }
        });
    }
}

fn walk(ast: &Ast, found: &mut dyn FnMut(&Ast, &str, &Ast)) {
    if let Kind::Call { target, function, args } = &ast.kind
        && function == "matches"
        && let Some((text, pattern)) = match (target.as_deref(), args.as_slice()) {
            (Some(text), [pattern]) | (None, [text, pattern]) => Some((text, pattern)),
            _ => None,
        }
        && let Some(literal) = pattern.literal_text()
    {
        found(text, literal, pattern);
    }
    children(ast).into_iter().for_each(|child| walk(child, found));
}

/// What says the same as a pattern without operators.
fn plain_function(pattern: &str) -> Option<String> {
    let (rest, from_start) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
    let (rest, to_end) = rest.strip_suffix('$').map_or((rest, false), |rest| (rest, true));
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            other => text.push(other),
        }
    }
    if text.is_empty() {
        return None;
    }
    Some(match (from_start, to_end) {
        (true, true) => format!("== {text:?}"),
        (true, false) => format!("startsWith({text:?})"),
        (false, true) => format!("endsWith({text:?})"),
        (false, false) => format!("contains({text:?})"),
    })
}

/// The words of a pattern that is only alternatives of words, without anchors.
fn bare_alternatives(pattern: &str) -> Option<Vec<&str>> {
    let inside = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(pattern);
    let words: Vec<&str> = inside.split('|').collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    (words.len() > 1 && words.iter().all(is_word)).then_some(words)
}
