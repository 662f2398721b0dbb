//! Chooses the function that a call means, by name and types; and the names and signatures for messages and the reference.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    table::{Implementation, Row, Style, TABLE},
    types::Type,
};
use Style::{Global, Member, Operator};

/// What is no function in the table but called like one: macros, and functions that evaluate their argument only if needed.
pub(super) const MACROS: &[&str] = &[
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "sortBy",
    "cel.bind",
    "optMap",
    "optFlatMap",
    "orValue",
    "or",
];

/// One overload, read.
pub(super) struct Overload {
    name: &'static str,
    parameters: Vec<Type>,
    result: Type,
    text: &'static str,
    style: Style,
    implementation: Implementation,
}

type Overloads = BTreeMap<(&'static str, bool), Vec<Overload>>;

static OVERLOADS: LazyLock<Overloads> = LazyLock::new(|| {
    let mut all = Overloads::new();
    for Row(name, style, signatures, implementation) in TABLE {
        for text in *signatures {
            let Some((parameters, result)) = text.split_once("-> ") else { continue };
            let parameters = split_types(parameters.trim()).into_iter().filter_map(Type::parse).collect();
            let result = Type::parse(result).unwrap_or(Type::Dyn);
            let (style, implementation) = (*style, *implementation);
            let overload = Overload { name, parameters, result, text, style, implementation };
            all.entry((name, style == Member)).or_default().push(overload);
        }
    }
    all
});

/// Splits at the commas outside parentheses.
fn split_types(list: &str) -> Vec<&str> {
    let mut depth = 0;
    list.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
    .collect()
}

/// A call that type-checks.
pub(super) struct Resolved {
    pub name: &'static str,
    pub result: Type,
    pub implementation: Implementation,
}

/// True when such a function exists at all.
pub(super) fn exists(name: &str, member: bool) -> bool {
    OVERLOADS.contains_key(&(name, member))
}

/// Chooses the overload that takes such arguments. With `dyn` arguments several may, and the values decide.
pub(super) fn resolve(name: &str, member: bool, args: &[Type]) -> Option<Resolved> {
    let overloads = OVERLOADS.get(&(name, member))?;
    let mut chosen: Option<Resolved> = None;
    for overload in overloads.iter().filter(|o| o.parameters.len() == args.len()) {
        let mut bound = [None, None];
        if !overload.parameters.iter().zip(args).all(|(p, a)| p.accepts(a, &mut bound)) {
            continue;
        }
        let result = overload.result.substitute(&bound).settled();
        match &mut chosen {
            None => {
                chosen = Some(Resolved { name: overload.name, result, implementation: overload.implementation });
            }
            Some(earlier) if earlier.result != result => earlier.result = Type::Dyn,
            Some(_) => {}
        }
    }
    chosen
}

/// The overloads of a function as they are written, at most 6.
pub(super) fn listing(name: &str, member: bool) -> String {
    let overloads = OVERLOADS.get(&(name, member)).map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<String> = overloads.iter().take(6).map(|o| o.show(name)).collect();
    if overloads.len() > 6 {
        shown.push("…".into());
    }
    shown.join(", ")
}

/// All overloads of a name as they are written, those of the global function and of the member.
pub(super) fn signatures(name: &str) -> Vec<String> {
    [false, true]
        .into_iter()
        .filter_map(|member| OVERLOADS.get(&(name, member)))
        .flatten()
        .map(|overload| overload.show(name))
        .collect()
}

impl Overload {
    fn show(&self, name: &str) -> String {
        let (parameters, result) = self.text.split_once("-> ").unwrap_or((self.text, "dyn"));
        let parameters = parameters.trim();
        match (self.style, parameters.split_once(", ")) {
            (Member, _) => {
                let split = split_types(parameters);
                let (receiver, rest) = split.split_first().map_or(("", &[][..]), |(r, rest)| (*r, rest));
                let rest: Vec<&str> = rest.iter().map(|t| t.trim()).collect();
                format!("{receiver}.{name}({}) -> {result}", rest.join(", "))
            }
            (Operator, Some((left, right))) => format!("{left} {} {right}", symbol(name)),
            (Operator, None) => format!("{}{parameters}", symbol(name)),
            (Global, _) => format!("{name}({parameters}) -> {result}"),
        }
    }
}

/// An operator as it is written: `_+_` is `+`.
pub(super) fn symbol(name: &str) -> &str {
    name.trim_matches(|c| c == '_' || c == '@')
}

/// Every name of the table, operators included.
#[cfg(test)]
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    OVERLOADS.keys().map(|(name, _)| *name)
}

/// All names that can be called, for hints.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OVERLOADS
        .keys()
        .map(|(name, _)| *name)
        .filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic()))
        .chain(MACROS.iter().copied())
}
