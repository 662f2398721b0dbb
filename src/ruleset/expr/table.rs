//! Every function and operator with its overloads, in one table: the checker, its messages and the reference page read it.
//! Overloads stand in the order of cel-go, where a type that is not known yet becomes what the first of them takes.

use super::{
    budget::Steps, convert, error::EvalError, format, lists, math, net, operators as op, text, time, url, value::Val,
};

/// Evaluates a function on its arguments, the receiver first.
pub(in crate::ruleset) type Implementation = for<'a> fn(&[Val<'a>], &mut Steps) -> Result<Val<'a>, EvalError>;

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`, also with a dotted name.
    Global,
    /// `x.f(y)`
    Member,
    /// `x + y`
    Operator,
}
use Style::{Global, Member, Operator};

/// One function: its overloads are `parameters -> result`, the receiver first.
pub(super) struct Row(pub &'static str, pub Style, pub &'static [&'static str], pub Implementation);

const ORDERED: &[&str] = &[
    "bool, bool -> bool",
    "int, int -> bool",
    "int, double -> bool",
    "int, uint -> bool",
    "uint, uint -> bool",
    "uint, double -> bool",
    "uint, int -> bool",
    "double, double -> bool",
    "double, int -> bool",
    "double, uint -> bool",
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
const SORTED: &[&str] = &[
    "list(int) -> list(int)",
    "list(uint) -> list(uint)",
    "list(double) -> list(double)",
    "list(bool) -> list(bool)",
    "list(string) -> list(string)",
    "list(bytes) -> list(bytes)",
    "list(timestamp) -> list(timestamp)",
    "list(duration) -> list(duration)",
];
/// One number, two, or a list of numbers; calls with more are made a list by the checker.
const NUMBERS: &[&str] = &[
    "double -> double",
    "int -> int",
    "uint -> uint",
    "double, double -> double",
    "int, int -> int",
    "uint, uint -> uint",
    "int, uint -> dyn",
    "int, double -> dyn",
    "double, int -> dyn",
    "double, uint -> dyn",
    "uint, int -> dyn",
    "uint, double -> dyn",
    "list(double) -> double",
    "list(int) -> int",
    "list(uint) -> uint",
];
const ROUNDED: &[&str] = &["double -> double"];
const ASKED: &[&str] = &["double -> bool"];
const BITWISE: &[&str] = &["int, int -> int", "uint, uint -> uint"];
const SHIFTED: &[&str] = &["int, int -> int", "uint, int -> uint"];
const SIZES: &[&str] = &["bytes -> int", "list(A) -> int", "map(A, B) -> int", "string -> int"];

#[rustfmt::skip] // a table reads best as one
pub(super) static TABLE: &[Row] = &[
    Row("_==_", Operator, &["A, A -> bool"], op::equal),
    Row("_!=_", Operator, &["A, A -> bool"], op::not_equal),
    Row("_<_", Operator, ORDERED, op::less),
    Row("_<=_", Operator, ORDERED, op::less_equal),
    Row("_>_", Operator, ORDERED, op::greater),
    Row("_>=_", Operator, ORDERED, op::greater_equal),
    Row("@in", Operator, &["A, list(A) -> bool", "A, map(A, B) -> bool"], op::contained),
    Row("!_", Operator, &["bool -> bool"], op::not),
    Row("-_", Operator, &["double -> double", "int -> int"], op::negate),
    Row("_+_", Operator, &["bytes, bytes -> bytes", "double, double -> double", "duration, duration -> duration", "duration, timestamp -> timestamp", "timestamp, duration -> timestamp",
        "int, int -> int", "list(A), list(A) -> list(A)", "string, string -> string", "uint, uint -> uint"], op::add),
    Row("_-_", Operator, &["double, double -> double", "duration, duration -> duration", "int, int -> int", "timestamp, duration -> timestamp", "timestamp, timestamp -> duration", "uint, uint -> uint"], op::subtract),
    Row("_*_", Operator, &["double, double -> double", "int, int -> int", "uint, uint -> uint"], op::multiply),
    Row("_/_", Operator, &["double, double -> double", "int, int -> int", "uint, uint -> uint"], op::divide),
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
    Row("reverse", Member, &["string -> string", "list(A) -> list(A)"], text::reverse),
    Row("format", Member, &["string, list(dyn) -> string"], format::format),
    Row("strings.quote", Global, &["string -> string"], format::quote),
    Row("base64.encode", Global, &["bytes -> string"], format::base64_encode),
    Row("base64.decode", Global, &["string -> bytes"], format::base64_decode),
    Row("split", Member, &["string, string -> list(string)", "string, string, int -> list(string)"], text::split),
    Row("replace", Member, &["string, string, string -> string", "string, string, string, int -> string"], text::replace),
    Row("join", Member, &["list(string) -> string", "list(string), string -> string"], text::join),
    Row("charAt", Member, &["string, int -> string"], text::char_at),
    Row("substring", Member, &["string, int -> string", "string, int, int -> string"], text::substring),
    Row("indexOf", Member, &["list(A), A -> int", "string, string -> int", "string, string, int -> int"], text::index_of),
    Row("lastIndexOf", Member, &["list(A), A -> int", "string, string -> int", "string, string, int -> int"], text::last_index_of),
    Row("size", Global, SIZES, text::size),
    Row("size", Member, SIZES, text::size),

    Row("isSorted", Member, SORTABLE, lists::is_sorted),
    Row("min", Member, COMPARABLE, lists::min),
    Row("max", Member, COMPARABLE, lists::max),
    Row("sum", Member, &["list(int) -> int"], lists::sum),
    Row("sum", Member, &["list(uint) -> uint"], lists::sum_uint),
    Row("sum", Member, &["list(double) -> double"], lists::sum_double),
    Row("sum", Member, &["list(duration) -> duration"], lists::sum_duration),
    Row("slice", Member, &["list(A), int, int -> list(A)"], lists::slice),
    Row("flatten", Member, &["list(list(A)) -> list(A)", "list(dyn), int -> list(dyn)"], lists::flatten),
    Row("sort", Member, SORTED, lists::sort),
    Row("distinct", Member, &["list(A) -> list(A)"], lists::distinct),
    Row("first", Member, &["list(A) -> optional(A)"], lists::first),
    Row("last", Member, &["list(A) -> optional(A)"], lists::last),
    Row("lists.range", Global, &["int -> list(int)"], lists::range),
    Row("sets.contains", Global, &["list(A), list(A) -> bool"], lists::set_contains),
    Row("sets.equivalent", Global, &["list(A), list(A) -> bool"], lists::set_equivalent),
    Row("sets.intersects", Global, &["list(A), list(A) -> bool"], lists::set_intersects),

    Row("math.ceil", Global, ROUNDED, math::ceil),
    Row("math.floor", Global, ROUNDED, math::floor),
    Row("math.round", Global, ROUNDED, math::round),
    Row("math.trunc", Global, ROUNDED, math::trunc),
    Row("math.abs", Global, &["double -> double", "int -> int", "uint -> uint"], math::abs),
    Row("math.sign", Global, &["double -> double", "int -> int", "uint -> uint"], math::sign),
    Row("math.sqrt", Global, &["double -> double", "int -> double", "uint -> double"], math::sqrt),
    Row("math.isNaN", Global, ASKED, math::is_nan),
    Row("math.isInf", Global, ASKED, math::is_infinite),
    Row("math.isFinite", Global, ASKED, math::is_finite),
    Row("math.bitAnd", Global, BITWISE, math::bit_and),
    Row("math.bitOr", Global, BITWISE, math::bit_or),
    Row("math.bitXor", Global, BITWISE, math::bit_xor),
    Row("math.bitNot", Global, &["int -> int", "uint -> uint"], math::bit_not),
    Row("math.bitShiftLeft", Global, SHIFTED, math::shift_left),
    Row("math.bitShiftRight", Global, SHIFTED, math::shift_right),
    Row("math.greatest", Global, NUMBERS, math::greatest),
    Row("math.least", Global, NUMBERS, math::least),

    Row("int", Global, &["int -> int", "double -> int", "duration -> int", "string -> int", "timestamp -> int", "uint -> int"], convert::int),
    Row("uint", Global, &["uint -> uint", "double -> uint", "int -> uint", "string -> uint"], convert::uint),
    Row("double", Global, &["double -> double", "int -> double", "string -> double", "uint -> double"], convert::double),
    Row("bool", Global, &["bool -> bool", "string -> bool"], convert::bool),
    Row("bytes", Global, &["bytes -> bytes", "string -> bytes"], convert::bytes),
    Row("string", Global, &["string -> string", "bool -> string", "bytes -> string", "double -> string", "duration -> string", "int -> string", "timestamp -> string", "uint -> string", "ip -> string", "cidr -> string"], convert::string),
    Row("timestamp", Global, &["timestamp -> timestamp", "int -> timestamp", "string -> timestamp"], convert::timestamp),
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
    Row("containsIP", Member, &["cidr, string -> bool", "cidr, ip -> bool"], net::contains_ip),
    Row("containsCIDR", Member, &["cidr, string -> bool", "cidr, cidr -> bool"], net::contains_cidr),
    Row("ip", Member, &["cidr -> ip"], net::cidr_ip),
    Row("masked", Member, &["cidr -> cidr"], net::masked),
    Row("prefixLength", Member, &["cidr -> int"], net::prefix_length),

    Row("url", Global, &["string -> url"], url::url),
    Row("isURL", Global, &["string -> bool"], url::is_url),
    Row("getScheme", Member, &["url -> string"], url::scheme_of),
    Row("getHost", Member, &["url -> string"], url::host),
    Row("getHostname", Member, &["url -> string"], url::hostname),
    Row("getPort", Member, &["url -> string"], url::port),
    Row("getEscapedPath", Member, &["url -> string"], url::path),
    Row("getQuery", Member, &["url -> map(string, list(string))"], url::query),

    Row("optional.unwrap", Global, &["list(optional(A)) -> list(A)"], convert::unwrap),
    Row("unwrapOpt", Member, &["list(optional(A)) -> list(A)"], convert::unwrap),
    Row("optional.of", Global, &["A -> optional(A)"], convert::optional_of),
    Row("optional.none", Global, &[" -> optional(A)"], convert::optional_none),
    Row("optional.ofNonZeroValue", Global, &["A -> optional(A)"], convert::optional_of_non_zero),
    Row("hasValue", Member, &["optional(A) -> bool"], convert::has_value),
    Row("value", Member, &["optional(A) -> A"], convert::value),
];
