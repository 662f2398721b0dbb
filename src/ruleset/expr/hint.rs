//! Remedies for what is well written and ill typed: names of other languages, a text where a list stands, a comparison of a
//! comparison. In: syntax and types of what is refused. Out: what to write instead.

use super::{
    ast::{Ast, Kind},
    functions,
    time::parse_duration,
    types::Type,
};
use crate::event::schema::{self, FieldType};

/// How a value of a type is written.
pub(super) fn literal_of(type_: &Type) -> String {
    match type_ {
        Type::Bool => "`true` or `false`".into(),
        Type::Int => "a number, without quotes".into(),
        Type::Uint => "a number with a `u` behind it, such as `1u`".into(),
        Type::Double => "a number with a fraction, such as `1.0`".into(),
        Type::String => "a text in quotes".into(),
        Type::Bytes => "bytes, such as `b\"a\"`".into(),
        Type::Timestamp => "timestamp(\"2026-01-02T03:04:05Z\")".into(),
        Type::Duration => "duration(\"5m\")".into(),
        other => other.with_article(),
    }
}

/// What somebody means who calls a function by this name.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    MEANT.iter().find(|(known, _)| *known == name).map(|(_, hint)| *hint)
}

/// True for the name of a function or macro that is called on something.
pub(super) fn is_called(name: &str) -> bool {
    functions::exists(name, true) || functions::MACROS.contains(&name)
}

/// True for an operator that compares.
fn compares(ast: &Ast) -> bool {
    matches!(&ast.kind, Kind::Call { target: None, function, .. }
        if matches!(function.as_str(), "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "@in"))
}

/// How to say what a comparison of these two can't: the named side and the other, each with its type.
pub(super) fn compared(named: (&Ast, &Type), other: (&Ast, &Type)) -> String {
    let name = || named.0.path().unwrap_or_else(|| "it".into());
    match (named.1, other.1) {
        (Type::Bool, _) if compares(named.0) => {
            "compare each side by itself: `a != 1 && a != 2`, `1 <= a && a <= 9`".into()
        }
        (Type::List(element), other_type) if **element == *other_type => match other.0.literal_text() {
            Some(text) => format!("ask `{text:?} in {}` for an element", name()),
            None => format!("ask `x in {}` for an element", name()),
        },
        (_, Type::List(element)) if **element == *named.1 => format!("for any of several write `{} in [b, c]`", name()),
        (Type::Timestamp, _) if other.0.literal_text().is_some_and(|text| parse_duration(text).is_some()) => {
            "rules have no clock: a span lies between two times, as in event.ingested - event.created > duration(\"5m\")"
                .into()
        }
        (Type::Optional(_), _) => "take the value out of it with orValue(…) first".into(),
        (_, Type::Null) => "what is unset is \"\", 0 or an empty list; whether a field is set, has(a.b) tells".into(),
        _ => format!("compare it with {}", literal_of(named.1)),
    }
}

/// How to reach what stands behind the point of a value that has no fields.
pub(super) fn no_field(operand: &Ast, type_: &Type, field: &str) -> String {
    let of = operand.path();
    if is_called(field) {
        return format!("it is called with brackets: {}.{field}(…)", of.unwrap_or_else(|| "x".into()));
    }
    if let Some(hint) = meant(field) {
        return hint.to_owned();
    }
    let parent = of.as_deref().and_then(|path| path.rsplit_once('.')).map_or("", |(parent, _)| parent);
    if schema::lookup(parent).is_some_and(|map| map.type_ == FieldType::StringMap) {
        return format!("a key with points stands in square brackets: {parent}[\"a.b/c\"]");
    }
    match type_ {
        Type::List(_) => "look at its elements with exists(x, …), or at one with [0]".into(),
        Type::String => "compare the text itself, or take it apart with split()".into(),
        Type::Timestamp | Type::Duration => {
            let of = of.unwrap_or_else(|| "x".into());
            format!("a part of it is {of}.getHours(), {of}.getMinutes(), {of}.getSeconds()")
        }
        _ => "compare the value itself".into(),
    }
}

/// What helps where no form of a function takes these types.
pub(super) fn arguments(ast: &Ast, member: bool, name: &str, types: &[Type]) -> String {
    let argument = |n: usize| match &ast.kind {
        Kind::Call { args, .. } => args.get(n),
        _ => None,
    };
    match (name, types) {
        ("@in", [_, Type::String]) => match argument(1).map(|list| (list.literal_text(), list.path())) {
            Some((Some(text), _)) if text.contains('/') && text.contains(['.', ':']) => {
                format!("of a network ask cidr({text:?}).containsIP(source.ip)")
            }
            Some((Some(text), _)) => format!("a list stands in square brackets: in [{text:?}]"),
            Some((None, Some(path))) => format!("a part of a text is found by {path}.contains(\"…\")"),
            _ => "a part of a text is found by text.contains(\"…\")".into(),
        },
        ("@in", [_, Type::Cidr]) => "ask cidr(\"…\").containsIP(address)".into(),
        ("contains", [Type::Cidr, ..]) => "ask cidr(\"…\").containsIP(address)".into(),
        ("!_", _) => "`!` binds closer than `==` and `in`: write !(a == b)".into(),
        (_, [Type::Kind, ..]) if member => format!("call it on the value: text.{name}(…)"),
        ("contains", [Type::List(_), ..]) if member => {
            "ask `x in list` for an element, or list.exists(x, x.contains(…)) for a part of one".into()
        }
        (_, [Type::List(_), ..]) if member && TEXT_TESTS.contains(&name) => {
            format!("of elements ask list.exists(x, x.{name}(…))")
        }
        (_, [Type::Int | Type::Uint | Type::Double, ..]) if member && TEXT_TESTS.contains(&name) => {
            format!("compare the number, or write string(x).{name}(…)")
        }
        _ => format!("it takes {}", functions::listing(name, member)),
    }
}

/// Functions of texts that people ask of lists of texts.
const TEXT_TESTS: &[&str] = &["startsWith", "endsWith", "matches", "lowerAscii", "upperAscii"];

/// What stands at the root of names elsewhere.
const ELSEWHERE: &[(&str, &str)] = &[
    ("None", UNSET),
    ("nil", UNSET),
    ("NULL", UNSET),
    ("Null", UNSET),
    ("undefined", UNSET),
    ("True", "write `true`"),
    ("TRUE", "write `true`"),
    ("False", "write `false`"),
    ("FALSE", "write `false`"),
    ("now", "rules have no clock; the time of an event is `event.created`"),
    ("strings", "call it on the text: text.contains(\"…\")"),
    ("object", ADMISSION),
    ("oldObject", ADMISSION),
    ("request", ADMISSION),
    ("namespaceObject", ADMISSION),
    ("params", ADMISSION),
    ("authorizer", ADMISSION),
];
const UNSET: &str = "what is unset is \"\", 0 or an empty list; whether a field is set, has(a.b) tells";
const ADMISSION: &str = "that is of admission policies; here the body is `audit.requestObject`, the verb `audit.verb`, who asks `user.name`";

/// What somebody means who begins a path so.
pub(super) fn root(path: &str) -> Option<&'static str> {
    let first = path.split('.').next().unwrap_or(path);
    ELSEWHERE.iter().find(|(known, _)| *known == first).map(|(_, hint)| *hint)
}

/// What people call by its name in another language.
const MEANT: &[(&str, &str)] = &[
    ("any", "write list.exists(x, condition)"),
    ("some", "write list.exists(x, condition)"),
    ("every", "write list.all(x, condition)"),
    ("none", "write !list.exists(x, condition)"),
    ("one", "write list.exists_one(x, condition)"),
    ("find_one", "write list.filter(x, condition)"),
    ("beginsWith", "did you mean `startsWith`?"),
    ("hasPrefix", "did you mean `startsWith`?"),
    ("starts_with", "did you mean `startsWith`?"),
    ("hasSuffix", "did you mean `endsWith`?"),
    ("ends_with", "did you mean `endsWith`?"),
    ("includes", "did you mean `contains`? of a list write `x in list`"),
    ("has_value", "did you mean `hasValue`?"),
    ("len", "did you mean `size`?"),
    ("length", "did you mean `size`?"),
    ("count", "write list.filter(x, condition).size()"),
    ("isEmpty", "write size() == 0"),
    ("lower", "did you mean `lowerAscii`?"),
    ("toLower", "did you mean `lowerAscii`?"),
    ("toLowerCase", "did you mean `lowerAscii`?"),
    ("upper", "did you mean `upperAscii`?"),
    ("toUpper", "did you mean `upperAscii`?"),
    ("toUpperCase", "did you mean `upperAscii`?"),
    ("strip", "did you mean `trim`?"),
    ("match", "did you mean `matches`?"),
    ("regex", "write text.matches(r\"…\")"),
    ("test", "write text.matches(r\"…\")"),
    ("equals", "compare with `==`"),
    ("not", "write `!`"),
    ("exist", "write list.exists(x, condition); whether a field is set, has(a.b) tells"),
    ("defined", "write has(a.b)"),
    ("default", "write value.orValue(default), where the value is read with .?"),
    ("getOrDefault", "write map[?key].orValue(default)"),
    ("get", "write map[?key].orValue(default)"),
    ("substr", "did you mean `substring`?"),
    ("slice", "did you mean `substring`?"),
    ("float", "did you mean `double`?"),
    ("number", "write int(x) or double(x)"),
    ("str", "did you mean `string`?"),
    ("toString", "write string(x)"),
    ("abs", "write math.abs(x)"),
    ("max", "write list.max(), or math.greatest(a, b)"),
    ("min", "write list.min(), or math.least(a, b)"),
    ("search", "write text.matches(r\"…\"), or text.contains(\"…\")"),
    ("regexMatch", "did you mean `matches`?"),
    ("regex_match", "did you mean `matches`?"),
    ("rlike", "did you mean `matches`?"),
    ("glob", "write text.startsWith(\"…\"), or text.matches(r\"…\")"),
    ("wildcard", "write text.startsWith(\"…\"), or text.matches(r\"…\")"),
    ("isPrivate", "write cidr(\"10.0.0.0/8\").containsIP(source.ip), and so of each private network"),
    ("inRange", "write cidr(\"10.0.0.0/8\").containsIP(source.ip)"),
    ("isNull", "an unset text is \"\"; whether a field is set, has(a.b) tells"),
    ("isSet", "write has(a.b)"),
    ("hasKey", "write `\"key\" in map`"),
    ("containsKey", "write `\"key\" in map`"),
    ("keys", "ask map.exists(key, condition), or `\"key\" in map`"),
    ("values", "ask map.exists(key, value, condition)"),
    ("forEach", "write list.all(x, condition) or list.exists(x, condition)"),
    ("ago", "rules have no clock; the time of an event is `event.created`"),
    ("now", "rules have no clock; the time of an event is `event.created`"),
    ("inCIDR", "write cidr(\"10.0.0.0/8\").containsIP(source.ip)"),
    ("cidrMatch", "write cidr(\"10.0.0.0/8\").containsIP(source.ip)"),
];

pub(super) fn macro_usage(function: &str) -> &'static str {
    match function {
        "has" => "write has(a.b)",
        "cel.bind" => "write cel.bind(x, value, what is made of x)",
        "existsOne" => "write list.existsOne(i, x, condition), or list.exists_one(x, condition)",
        "sortBy" => "write list.sortBy(x, key)",
        "transformList" => "write list.transformList(i, x, value) or list.transformList(i, x, condition, value)",
        "transformMap" => "write map.transformMap(k, v, value) or map.transformMap(k, v, condition, value)",
        "transformMapEntry" => "write map.transformMapEntry(k, v, {key: value})",
        "map" => "write list.map(x, value) or list.map(x, condition, value)",
        "filter" => "write list.filter(x, condition)",
        "orValue" => "write optional.orValue(value)",
        "or" => "write optional.or(other optional)",
        "optMap" | "optFlatMap" => "write optional.optMap(x, value)",
        "exists" => {
            "write list.exists(x, condition), of a map map.exists(k, v, condition); whether a field is set, has(a.b) tells"
        }
        "exists_one" => "write list.exists_one(x, condition), of a map map.exists_one(k, v, condition)",
        _ => "write list.all(x, condition), of a map map.all(k, v, condition)",
    }
}
