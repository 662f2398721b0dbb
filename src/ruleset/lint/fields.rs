//! Fields that a selector's source never sets, and keys below `fields` that no parser does. In: what its expressions read. Out: warnings where they stand; one for a key
//! as a whole when all that it reads is empty.

use super::{
    Lint, Warning,
    chain::Scope,
    facts::{Facts, Literal},
    reach::Reached,
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::{
    api::rule::Source,
    event::{
        actions::{OF_ANY_LINE, PARSERS, Parser},
        schema::{FIELDS, Field},
    },
    ruleset::expr::view::{Ast, nearest},
};

pub fn check(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>, reached: &Reached, warnings: &mut Vec<Warning>) {
    let source = selector.written.source;
    let written = [&selector.condition].into_iter().chain(&selector.keys).chain(&selector.distinct);
    for expression in written.chain(&selector.captures).filter(|_| source != Source::Audit) {
        keys(rule, expression, reached, warnings);
    }
    for expression in [&selector.condition].into_iter().chain(&selector.captures) {
        for (field, ast) in unset(rule, expression, source).0 {
            warnings.push(never_set(selector, expression, field, &ast));
        }
    }
    for key in selector.keys.iter().chain(&selector.distinct) {
        let (unset, reads) = unset(rule, key, source);
        if unset.is_empty() {
            continue;
        }
        if unset.len() < reads {
            warnings.extend(unset.iter().map(|(field, ast)| never_set(selector, key, field, ast)));
            continue;
        }
        let names: Vec<String> = unset.iter().map(|(field, _)| format!("`{}`", field.path)).collect();
        let message = format!(
            "for selector {:?} it is always empty: {} events never set {}; an empty value joins nothing",
            selector.written.name,
            source.as_str(),
            names.join(", ")
        );
        let hint = match unset.first().and_then(|(field, _)| counterpart(field, source)) {
            Some(name) => format!("for this selector name another value in `from`, such as `{name}`"),
            None => "for this selector name another value in `from`".to_owned(),
        };
        warnings.push(Warning::of_field(Lint::EmptyKey, &key.field, message, hint));
    }
}

/// Keys below `fields` that no parser sets, or none of those whose events the selector takes.
fn keys(rule: &ParsedRule<'_>, expression: &Expression, reached: &Reached, warnings: &mut Vec<Warning>) {
    let taken: Vec<&Parser> = PARSERS
        .iter()
        .filter(|parser| {
            reached.alternatives.is_empty() || reached.alternatives.iter().any(|facts| fits(facts, parser))
        })
        .collect();
    let is_free = |facts: &Facts, quantity: &str| facts.domain(quantity).accepts(&Literal::Text(String::new()));
    let of_any =
        reached.alternatives.iter().any(|facts| is_free(facts, "event.provider") && is_free(facts, "event.action"));
    Scope::new(&rule.variables).visit(&expression.ast, &mut |chain, ast, _| {
        let Some(key) = chain.first_key().filter(|_| chain.field.path == "fields") else { return };
        if OF_ANY_LINE.contains(&key) || taken.iter().any(|parser| parser.fields.contains(&key)) {
            return;
        }
        let mut known: Vec<&str> = taken.iter().flat_map(|parser| parser.fields).chain(OF_ANY_LINE).copied().collect();
        known.sort_unstable();
        known.dedup();
        let setting: Vec<&str> = PARSERS.iter().filter(|p| p.fields.contains(&key)).map(|p| p.provider).collect();
        let message = match setting.as_slice() {
            [] => format!("no parser sets `fields.{key}`"),
            some => {
                format!("`fields.{key}` is of {} alone, and the selector takes none of their events", some.join(", "))
            }
        };
        let hint = match nearest(key, known.iter().copied()) {
            Some(name) => format!("did you mean `fields.{name}`?"),
            None if taken.len() < PARSERS.len() && !of_any => format!("there `fields` has {}", known.join(", ")),
            None => "the reference of event fields lists what each parser sets".to_owned(),
        };
        warnings.push(Warning::at(Lint::FieldNeverSet, expression, ast, message, hint));
    });
}

/// Whether events of a parser can be among those that the facts tell of.
fn fits(facts: &Facts, parser: &Parser) -> bool {
    let accepts = |quantity: &str, text: &str| facts.domain(quantity).accepts(&Literal::Text(text.to_owned()));
    accepts("event.provider", parser.provider) && parser.actions.iter().any(|action| accepts("event.action", action))
}

/// A place in an expression.
type At = usize;

/// The fields that the source never sets, each once, with the place of the first; and how many different fields are read.
fn unset(rule: &ParsedRule<'_>, expression: &Expression, source: Source) -> (Vec<(&'static Field, At)>, usize) {
    let (mut unset, mut read): (Vec<(&'static Field, At)>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut note = |field: &'static Field, ast: &Ast| {
        if !read.contains(&field.path) {
            read.push(field.path);
            if !field.sources.contains(&source) {
                unset.push((field, ast.start));
            }
        }
    };
    Scope::new(&rule.variables).visit(&expression.ast, &mut |chain, ast, _| {
        note(chain.field, ast);
    });
    (unset, read.len())
}

fn never_set(selector: &ParsedSelector<'_>, expression: &Expression, field: &Field, at: &At) -> Warning {
    let source = selector.written.source;
    let sources: Vec<&str> = field.sources.iter().map(|s| s.as_str()).collect();
    let message = format!(
        "`{}` is set by {} events alone; in the {} events of selector {:?} it is always empty",
        field.path,
        sources.join(", "),
        source.as_str(),
        selector.written.name
    );
    let hint = match counterpart(field, source) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "take it out, or choose another source".to_owned(),
    };
    let place = Ast { start: *at, operator: *at, kind: crate::ruleset::expr::view::Kind::Name(String::new()) };
    Warning::at(Lint::FieldNeverSet, expression, &place, message, hint)
}

/// A field of the same last name that the source does set.
fn counterpart(field: &Field, source: Source) -> Option<&'static str> {
    const SAME: &[(&str, &str)] = &[
        ("audit.user.username", "user.name"),
        ("audit.verb", "event.action"),
        ("audit.sourceIPs", "source.ip"),
        ("audit.userAgent", "user_agent.original"),
        ("audit.requestURI", "url.original"),
        ("audit.responseStatus.code", "http.response.status_code"),
    ];
    let name = SAME.iter().find(|(path, _)| *path == field.path).map(|(_, name)| *name)?;
    FIELDS.iter().find(|f| f.path == name && f.sources.contains(&source)).map(|f| f.path)
}
