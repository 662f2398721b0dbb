//! Types of generated expressions, and the functions that can be called, from the language's own table: a new one is
//! generated without a change here.

use kubewitness::ruleset::expr::reference;

use super::dice::Dice;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Dyn,
    /// A type by its name, or a type parameter (`A`).
    Named(String),
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Optional(Box<Type>),
}

pub const SCALARS: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"];
const OTHERS: &[&str] = &["ip", "cidr", "url", "type", "null"];

pub fn named(name: &str) -> Type {
    Type::Named(name.to_owned())
}

fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

impl Type {
    pub fn parse(text: &str) -> Type {
        let inner = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
        if let Some(element) = inner("list") {
            return Type::List(Box::new(Type::parse(element)));
        }
        if let Some(value) = inner("optional") {
            return Type::Optional(Box::new(Type::parse(value)));
        }
        if let Some(both) = inner("map").map(split) {
            return Type::Map(Box::new(Type::parse(both[0])), Box::new(Type::parse(both[1])));
        }
        if text == "dyn" { Type::Dyn } else { named(text) }
    }

    /// Whether a value of the signature's type `self` can be of type `wanted`, for one binding of its parameters.
    pub fn gives(&self, wanted: &Type, bound: &mut Vec<(String, Type)>) -> bool {
        match (self, wanted) {
            (Type::Named(parameter), _) if parameter.len() == 1 => {
                bound.push((parameter.clone(), wanted.clone()));
                true
            }
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.gives(b, bound),
            (Type::Map(a, b), Type::Map(c, d)) => a.gives(c, bound) && b.gives(d, bound),
            (a, b) => a == b,
        }
    }

    pub fn bind(&self, bound: &mut Vec<(String, Type)>, dice: &mut Dice) -> Type {
        match self {
            Type::Named(parameter) if parameter.len() == 1 => {
                if let Some((_, type_)) = bound.iter().find(|(name, _)| name == parameter) {
                    return type_.clone();
                }
                let type_ = if parameter == "A" { any(dice, 1) } else { named("int") };
                bound.push((parameter.clone(), type_.clone()));
                type_
            }
            Type::List(a) => Type::List(Box::new(a.bind(bound, dice))),
            Type::Optional(a) => match a.bind(bound, dice) {
                Type::Optional(inner) => Type::Optional(inner),
                inner => Type::Optional(Box::new(inner)),
            },
            Type::Map(a, b) => Type::Map(Box::new(key_type(a.bind(bound, dice))), Box::new(b.bind(bound, dice))),
            other => other.clone(),
        }
    }
}

fn key_type(type_: Type) -> Type {
    match &type_ {
        Type::Named(name) if matches!(name.as_str(), "bool" | "int" | "uint" | "string") => type_,
        _ => named("string"),
    }
}

/// A type to generate for.
pub fn any(dice: &mut Dice, depth: usize) -> Type {
    match dice.below(if depth == 0 { 9 } else { 14 }) {
        0..=6 => named(dice.pick(SCALARS)),
        7 => named("string"),
        8 => named(dice.pick(OTHERS)),
        9 | 10 => Type::List(Box::new(any(dice, depth - 1))),
        11 => Type::Map(Box::new(named(dice.pick(&["string", "int", "bool"]))), Box::new(any(dice, depth - 1))),
        // No optional in an optional: there cel-go loses one, a listed deviation.
        12 => Type::Optional(Box::new(any(dice, 0))),
        _ => Type::Dyn,
    }
}

/// A function's form.
#[derive(Clone, Debug)]
pub struct Signature {
    pub name: String,
    pub receiver: Option<Type>,
    pub parameters: Vec<Type>,
    pub result: Type,
}

/// All functions of the language's table that are called by name.
pub fn signatures() -> Vec<Signature> {
    const MACROS: &[&str] = &[
        "has",
        "all",
        "exists",
        "exists_one",
        "filter",
        "map",
        "transformList",
        "transformMap",
        "transformMapEntry",
        "sortBy",
        "cel.bind",
        "optMap",
        "optFlatMap",
        "or",
        "orValue",
    ];
    let mut all = vec![];
    for entry in reference() {
        let called = entry.name.starts_with(|c: char| c.is_ascii_alphabetic()) && entry.name != "in";
        for text in entry.signatures.iter().filter(|_| called && !MACROS.contains(&entry.name)) {
            let (call, result) = text.rsplit_once(" -> ").unwrap();
            let (before, parameters) = call.split_once(&format!("{}(", entry.name)).unwrap();
            let receiver = before.strip_suffix('.').map(Type::parse);
            let parameters = split(parameters.strip_suffix(')').unwrap()).into_iter().map(Type::parse).collect();
            all.push(Signature { name: entry.name.to_owned(), receiver, parameters, result: Type::parse(result) });
        }
    }
    all
}
