//! Every function and operator with its overloads, in one table: the checker, its messages and the reference page read it.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    budget::Steps, convert, error::EvalError, lists, net, operators as op, text, time, types::Type, value::Val,
};

/// Evaluates a function on its arguments, the receiver first.
pub(in crate::ruleset) type Implementation = for<'a> fn(&[Val<'a>], &mut Steps) -> Result<Val<'a>, EvalError>;

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `f(x)`, also with a dotted name.
    Global,
    /// `x.f(y)`
    Member,
    /// `x + y`
    Operator,
}
use Style::{Global, Member, Operator};

/// One function: its overloads are `parameters -> result`, the receiver first.
struct Row(&'static str, Style, &'static [&'static str], Implementation);

const ORDERED: &[&str] = &[
    "bool, bool -> bool",
    "int, int -> bool",
    "int, uint -> bool",
    "int, double -> bool",
    "uint, int -> bool",
    "uint, uint -> bool",
    "uint, double -> bool",
    "double, int -> bool",
    "double, uint -> bool",
    "double, double -> bool",
    "string, string -> bool",
    "bytes, bytes -> bool",
    "timestamp, timestamp -> bool",
    "duration, duration -> bool",
];
const IN_ZONE: &[&str] = &["timestamp -> int", "timestamp, string -> int"];
const OF_BOTH: &[&str] = &["timestamp -> int", "timestamp, string -> int", "duration -> int"];
const COMPARABLE: &[&str] = &[
    "list(int) -> int",
    "list(uint) -> uint",
    "list(double) -> double",
    "list(bool) -> bool",
    "list(string) -> string",
    "list(bytes) -> bytes",
    "list(timestamp) -> timestamp",
    "list(duration) -> duration",
];
const SORTABLE: &[&str] = &[
    "list(int) -> bool",
    "list(uint) -> bool",
    "list(double) -> bool",
    "list(bool) -> bool",
    "list(string) -> bool",
    "list(bytes) -> bool",
    "list(timestamp) -> bool",
    "list(duration) -> bool",
];
const SIZES: &[&str] = &["string -> int", "bytes -> int", "list(A) -> int", "map(A, B) -> int"];

#[rustfmt::skip] // a table reads best as one
static TABLE: &[Row] = &[
    Row("_==_", Operator, &["A, A -> bool"], op::equal),
    Row("_!=_", Operator, &["A, A -> bool"], op::not_equal),
    Row("_<_", Operator, ORDERED, op::less),
    Row("_<=_", Operator, ORDERED, op::less_equal),
    Row("_>_", Operator, ORDERED, op::greater),
    Row("_>=_", Operator, ORDERED, op::greater_equal),
    Row("@in", Operator, &["A, list(A) -> bool", "A, map(A, B) -> bool"], op::contained),
    Row("!_", Operator, &["bool -> bool"], op::not),
    Row("-_", Operator, &["int -> int", "double -> double", "duration -> duration"], op::negate),
    Row("_+_", Operator, &["int, int -> int", "uint, uint -> uint", "double, double -> double", "string, string -> string", "bytes, bytes -> bytes", "list(A), list(A) -> list(A)",
        "timestamp, duration -> timestamp", "duration, timestamp -> timestamp", "duration, duration -> duration"], op::add),
    Row("_-_", Operator, &["int, int -> int", "uint, uint -> uint", "double, double -> double", "timestamp, timestamp -> duration", "timestamp, duration -> timestamp", "duration, duration -> duration"], op::subtract),
    Row("_*_", Operator, &["int, int -> int", "uint, uint -> uint", "double, double -> double"], op::multiply),
    Row("_/_", Operator, &["int, int -> int", "uint, uint -> uint", "double, double -> double"], op::divide),
    Row("_%_", Operator, &["int, int -> int", "uint, uint -> uint"], op::modulo),

    Row("contains", Member, &["string, string -> bool"], text::contains),
    Row("startsWith", Member, &["string, string -> bool"], text::starts_with),
    Row("endsWith", Member, &["string, string -> bool"], text::ends_with),
    Row("matches", Member, &["string, string -> bool"], text::matches),
    Row("matches", Global, &["string, string -> bool"], text::matches),
    Row("find", Member, &["string, string -> string"], text::find),
    Row("findAll", Member, &["string, string -> list(string)", "string, string, int -> list(string)"], text::find_all),
    Row("lowerAscii", Member, &["string -> string"], text::lower_ascii),
    Row("upperAscii", Member, &["string -> string"], text::upper_ascii),
    Row("trim", Member, &["string -> string"], text::trim),
    Row("reverse", Member, &["string -> string"], text::reverse),
    Row("split", Member, &["string, string -> list(string)", "string, string, int -> list(string)"], text::split),
    Row("replace", Member, &["string, string, string -> string", "string, string, string, int -> string"], text::replace),
    Row("join", Member, &["list(string) -> string", "list(string), string -> string"], text::join),
    Row("charAt", Member, &["string, int -> string"], text::char_at),
    Row("substring", Member, &["string, int -> string", "string, int, int -> string"], text::substring),
    Row("indexOf", Member, &["string, string -> int", "string, string, int -> int", "list(A), A -> int"], text::index_of),
    Row("lastIndexOf", Member, &["string, string -> int", "string, string, int -> int", "list(A), A -> int"], text::last_index_of),
    Row("size", Global, SIZES, text::size),
    Row("size", Member, SIZES, text::size),

    Row("isSorted", Member, SORTABLE, lists::is_sorted),
    Row("min", Member, COMPARABLE, lists::min),
    Row("max", Member, COMPARABLE, lists::max),
    Row("sum", Member, &["list(int) -> int"], lists::sum),
    Row("sum", Member, &["list(uint) -> uint"], lists::sum_uint),
    Row("sum", Member, &["list(double) -> double"], lists::sum_double),
    Row("sum", Member, &["list(duration) -> duration"], lists::sum_duration),
    Row("sets.contains", Global, &["list(A), list(A) -> bool"], lists::set_contains),
    Row("sets.equivalent", Global, &["list(A), list(A) -> bool"], lists::set_equivalent),
    Row("sets.intersects", Global, &["list(A), list(A) -> bool"], lists::set_intersects),

    Row("int", Global, &["int -> int", "uint -> int", "double -> int", "string -> int", "timestamp -> int", "duration -> int"], convert::int),
    Row("uint", Global, &["uint -> uint", "int -> uint", "double -> uint", "string -> uint"], convert::uint),
    Row("double", Global, &["double -> double", "int -> double", "uint -> double", "string -> double"], convert::double),
    Row("bool", Global, &["bool -> bool", "string -> bool"], convert::bool),
    Row("bytes", Global, &["bytes -> bytes", "string -> bytes"], convert::bytes),
    Row("string", Global, &["string -> string", "bool -> string", "int -> string", "uint -> string", "double -> string", "bytes -> string", "timestamp -> string", "duration -> string", "ip -> string", "cidr -> string"], convert::string),
    Row("timestamp", Global, &["timestamp -> timestamp", "string -> timestamp", "int -> timestamp"], convert::timestamp),
    Row("duration", Global, &["duration -> duration", "string -> duration"], convert::duration),
    Row("dyn", Global, &["A -> dyn"], convert::same),
    Row("type", Global, &["A -> type"], convert::type_of),

    Row("getFullYear", Member, IN_ZONE, time::full_year),
    Row("getMonth", Member, IN_ZONE, time::month),
    Row("getDate", Member, IN_ZONE, time::date),
    Row("getDayOfMonth", Member, IN_ZONE, time::day_of_month),
    Row("getDayOfWeek", Member, IN_ZONE, time::day_of_week),
    Row("getDayOfYear", Member, IN_ZONE, time::day_of_year),
    Row("getHours", Member, OF_BOTH, time::hours),
    Row("getMinutes", Member, OF_BOTH, time::minutes),
    Row("getSeconds", Member, OF_BOTH, time::seconds),
    Row("getMilliseconds", Member, OF_BOTH, time::milliseconds),

    Row("ip", Global, &["string -> ip"], net::ip),
    Row("isIP", Global, &["string -> bool"], net::is_ip),
    Row("ip.isCanonical", Global, &["string -> bool"], net::is_canonical),
    Row("family", Member, &["ip -> int"], net::family),
    Row("isUnspecified", Member, &["ip -> bool"], net::is_unspecified),
    Row("isLoopback", Member, &["ip -> bool"], net::is_loopback),
    Row("isLinkLocalMulticast", Member, &["ip -> bool"], net::is_link_local_multicast),
    Row("isLinkLocalUnicast", Member, &["ip -> bool"], net::is_link_local_unicast),
    Row("isGlobalUnicast", Member, &["ip -> bool"], net::is_global_unicast),
    Row("cidr", Global, &["string -> cidr"], net::cidr),
    Row("isCIDR", Global, &["string -> bool"], net::is_cidr),
    Row("containsIP", Member, &["cidr, ip -> bool", "cidr, string -> bool"], net::contains_ip),
    Row("containsCIDR", Member, &["cidr, cidr -> bool", "cidr, string -> bool"], net::contains_cidr),
    Row("ip", Member, &["cidr -> ip"], net::cidr_ip),
    Row("masked", Member, &["cidr -> cidr"], net::masked),
    Row("prefixLength", Member, &["cidr -> int"], net::prefix_length),

    Row("optional.of", Global, &["A -> optional(A)"], convert::optional_of),
    Row("optional.none", Global, &[" -> optional(A)"], convert::optional_none),
    Row("optional.ofNonZeroValue", Global, &["A -> optional(A)"], convert::optional_of_non_zero),
    Row("hasValue", Member, &["optional(A) -> bool"], convert::has_value),
    Row("value", Member, &["optional(A) -> A"], convert::value),
];

/// What is no function in the table but called like one: macros, and functions that evaluate their argument only if needed.
pub(super) const MACROS: &[&str] =
    &["has", "all", "exists", "exists_one", "existsOne", "map", "filter", "optMap", "optFlatMap", "orValue", "or"];

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
        let result = overload.result.substitute(&bound);
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

/// All names that can be called, for hints.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OVERLOADS
        .keys()
        .map(|(name, _)| *name)
        .filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic()))
        .chain(MACROS.iter().copied())
}
