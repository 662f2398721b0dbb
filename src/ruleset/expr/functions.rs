//! Chooses the function that a call means, by name and types; and the names and signatures for messages and the reference.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    table::{Implementation, Row, Style, TABLE},
    types::Type,
    unify::Unknowns,
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

/// Parameters and result.
type Form = (Vec<Type>, Type);

/// Operators and macros that are no functions but are typed like them, in the order in which cel-go tries their forms.
static FORMS: LazyLock<BTreeMap<&'static str, Vec<Form>>> = LazyLock::new(|| {
    const WRITTEN: &[(&str, &[&str])] = &[
        (
            "[]",
            &[
                "list(A), int -> A",
                "map(A, B), A -> B",
                "optional(list(A)), int -> optional(A)",
                "optional(map(A, B)), A -> optional(B)",
            ],
        ),
        (
            "[?]",
            &[
                "list(A), int -> optional(A)",
                "optional(list(A)), int -> optional(A)",
                "map(A, B), A -> optional(B)",
                "optional(map(A, B)), A -> optional(B)",
            ],
        ),
        ("?:", &["bool, A, A -> A"]),
        ("or", &["optional(A), optional(A) -> optional(A)"]),
        ("orValue", &["optional(A), A -> A"]),
        ("value", &["optional(A) -> A"]),
    ];
    let read = |text: &&str| {
        let (parameters, result) = text.split_once(" -> ")?;
        Some((split_types(parameters).into_iter().filter_map(Type::parse).collect(), Type::parse(result)?))
    };
    WRITTEN.iter().map(|(name, texts)| (*name, texts.iter().filter_map(read).collect())).collect()
});

/// The type of an operator or a macro on such arguments; `None` when no form takes them.
pub(super) fn form(name: &str, args: &[Type], unknowns: &mut Unknowns) -> Option<Type> {
    let mut chosen = None;
    for (parameters, result) in FORMS.get(name)? {
        chosen = fit(parameters, result, args, unknowns, chosen);
    }
    chosen
}

/// The result so far, joined with that of one more overload if it takes the arguments.
fn fit(
    parameters: &[Type],
    result: &Type,
    args: &[Type],
    unknowns: &mut Unknowns,
    chosen: Option<Type>,
) -> Option<Type> {
    if parameters.len() != args.len() {
        return chosen;
    }
    let mut bound = [None, None];
    let wanted: Vec<Type> = parameters.iter().map(|p| unknowns.instance(p, &mut bound)).collect();
    if !unknowns.assign(args.iter().zip(&wanted)) {
        return chosen;
    }
    let result = unknowns.instance(result, &mut bound);
    let result = unknowns.resolved(&result);
    match chosen {
        Some(earlier) if earlier != Type::Dyn && earlier != result => Some(Type::Dyn),
        Some(earlier) => Some(earlier),
        None => Some(result),
    }
}

/// Chooses the overload that takes such arguments. With `dyn` arguments several may, and the values decide; what is not
/// known yet becomes what the first of them takes.
pub(super) fn resolve(name: &str, member: bool, args: &[Type], unknowns: &mut Unknowns) -> Option<Resolved> {
    let overloads = OVERLOADS.get(&(name, member))?;
    let mut chosen: Option<Resolved> = None;
    for overload in overloads {
        let earlier = chosen.as_ref().map(|c| c.result.clone());
        let Some(result) = fit(&overload.parameters, &overload.result, args, unknowns, earlier) else { continue };
        match &mut chosen {
            Some(first) => first.result = result,
            None => chosen = Some(Resolved { name: overload.name, result, implementation: overload.implementation }),
        }
    }
    chosen
}

/// Overloads in the order in which people want to hear of them.
fn told(overloads: &[Overload]) -> Vec<&Overload> {
    const FIRST: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "A", "map(A", "timestamp"];
    let rank = |overload: &&Overload| {
        let first = overload.text.split([',', ' ']).next().unwrap_or_default();
        let first = first.strip_prefix("list(").map_or(first, |inner| inner.trim_end_matches(')'));
        FIRST.iter().position(|name| *name == first).unwrap_or(FIRST.len())
    };
    let mut told: Vec<&Overload> = overloads.iter().collect();
    told.sort_by_key(rank);
    told
}

/// The overloads of a function as they are written, at most 6.
pub(super) fn listing(name: &str, member: bool) -> String {
    let overloads = OVERLOADS.get(&(name, member)).map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<String> = told(overloads).iter().take(6).map(|o| o.show(name)).collect();
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
        .flat_map(|overloads| told(overloads))
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
