//! The language as a table, for its reference page: every operator, function and macro with its signatures, one line of
//! meaning and an example that holds.

use super::functions;

/// An operator, a function or a macro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The heading that it stands under; entries of one group follow each other.
    pub group: &'static str,
    /// As it is written: `+`, `startsWith`, `sets.contains`.
    pub name: &'static str,
    /// Forms of its call with types, such as `string.startsWith(string) -> bool`.
    pub signatures: Vec<String>,
    /// One line, a sentence.
    pub meaning: &'static str,
    /// An expression that yields `true` for any event.
    pub example: &'static str,
}

/// Everything that can be called, in the order in which a reader meets it.
pub fn reference() -> Vec<Entry> {
    let entry = |&Row(group, name, meaning, example): &Row| Entry {
        group,
        name: functions::symbol(name),
        signatures: signatures(name),
        meaning,
        example,
    };
    ROWS.iter().map(entry).collect()
}

fn signatures(name: &str) -> Vec<String> {
    match MACRO_FORMS.iter().find(|(of, _)| *of == name) {
        Some((_, forms)) => forms.iter().map(|form| (*form).to_owned()).collect(),
        None => functions::signatures(name),
    }
}

/// Group, name in the table of functions, meaning, example.
struct Row(&'static str, &'static str, &'static str, &'static str);

const COMPARING: &str = "Comparing";
const LOGIC: &str = "Logic";
const ARITHMETIC: &str = "Arithmetic";
const TEXT: &str = "Text";
const REGEX: &str = "Regular expressions";
const LISTS: &str = "Lists and maps";
const SETS: &str = "Sets";
const MACROS: &str = "Macros over lists and maps";
const OPTIONAL: &str = "Optional values";
const CONVERTING: &str = "Converting";
const TIME: &str = "Times and durations";
const NET: &str = "Addresses";
const MATH: &str = "Numbers";
const URL: &str = "URLs";

#[rustfmt::skip] // a table reads best as one
static ROWS: &[Row] = &[
    Row(COMPARING, "_==_", "Equal; numbers of different types are equal when their values are.", "dyn(1) == 1.0 && [1] == [1] && {'a': 1} == {'a': 1}"),
    Row(COMPARING, "_!=_", "Not equal.", "'a' != 'b'"),
    Row(COMPARING, "_<_", "Less than; text by code points.", "1 < 2 && 'a' < 'b' && 1 < 1.5"),
    Row(COMPARING, "_<=_", "Less than or equal.", "1 <= 1u"),
    Row(COMPARING, "_>_", "Greater than.", "duration('1h') > duration('59m')"),
    Row(COMPARING, "_>=_", "Greater than or equal.", "2.0 >= 2"),
    Row(COMPARING, "@in", "An element of the list, or a key of the map.", "'a' in ['a', 'b'] && 'k' in {'k': 1}"),
    Row(LOGIC, "_&&_", "Both hold; false when one is false, even if the other is an error.", "!(false && 1 / 0 == 1)"),
    Row(LOGIC, "_||_", "One holds; true when one is true, even if the other is an error.", "1 / 0 == 1 || true"),
    Row(LOGIC, "!_", "The opposite.", "!false"),
    Row(LOGIC, "_?_:_", "The second when the first holds, else the third.", "(true ? 'yes' : 'no') == 'yes'"),
    Row(ARITHMETIC, "_+_", "Sum; text, bytes and lists are joined. Overflow is an error.", "1 + 2 == 3 && 'a' + 'b' == 'ab' && [1] + [2] == [1, 2]"),
    Row(ARITHMETIC, "_-_", "Difference.", "timestamp('2026-01-01T01:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('1h')"),
    Row(ARITHMETIC, "-_", "The number negated.", "-(-2) == 2"),
    Row(ARITHMETIC, "_*_", "Product.", "2 * 3 == 6"),
    Row(ARITHMETIC, "_/_", "Quotient; of ints the whole part.", "7 / 2 == 3 && 7.0 / 2.0 == 3.5"),
    Row(ARITHMETIC, "_%_", "Remainder, with the sign of the first.", "-7 % 3 == -1"),

    Row(TEXT, "contains", "The text contains the other.", "'tacocat'.contains('cat')"),
    Row(TEXT, "startsWith", "The text starts with the other.", "'system:node:a'.startsWith('system:')"),
    Row(TEXT, "endsWith", "The text ends with the other.", "'a.example.com'.endsWith('.com')"),
    Row(TEXT, "size", "Characters of a text, bytes, elements of a list, entries of a map.", "'añb'.size() == 3 && size([1, 2]) == 2"),
    Row(TEXT, "lowerAscii", "A to Z in lower case, the rest unchanged.", "'TacoCÆt'.lowerAscii() == 'tacocÆt'"),
    Row(TEXT, "upperAscii", "a to z in upper case, the rest unchanged.", "'taco'.upperAscii() == 'TACO'"),
    Row(TEXT, "trim", "Without white space at both ends.", "' a '.trim() == 'a'"),
    Row(TEXT, "reverse", "Characters of a text in reverse order.", "'abc'.reverse() == 'cba'"),
    Row(TEXT, "split", "The parts between separators, at most as many as given.", "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']"),
    Row(TEXT, "join", "The texts joined, with a separator between them.", "['a', 'b'].join('-') == 'a-b'"),
    Row(TEXT, "replace", "With each occurrence replaced, at most as many as given.", "'hello'.replace('l', 'L') == 'heLLo' && 'hello'.replace('l', 'L', 1) == 'heLlo'"),
    Row(TEXT, "charAt", "The character at a position, from 0.", "'abc'.charAt(1) == 'b'"),
    Row(TEXT, "substring", "From a position, up to but without another.", "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'"),
    Row(TEXT, "indexOf", "Position of the first occurrence in a text or a list, -1 when there is none.", "'tacocat'.indexOf('a') == 1 && 'tacocat'.indexOf('a', 3) == 5 && [1, 2].indexOf(2) == 1"),
    Row(TEXT, "lastIndexOf", "Position of the last occurrence in a text or a list, -1 when there is none.", "'tacocat'.lastIndexOf('a') == 5 && [1, 1].lastIndexOf(1) == 1"),
    Row(REGEX, "matches", "The pattern (RE2 syntax) is found somewhere in the text; anchor it with ^ and $.", "'k8s-1.34'.matches('^k8s-[0-9.]+$')"),
    Row(REGEX, "find", "The first part that the pattern matches; empty when there is none.", "'abc 123'.find('[0-9]+') == '123'"),
    Row(REGEX, "findAll", "All parts that the pattern matches, at most as many as given.", "'1 and 2'.findAll('[0-9]') == ['1', '2']"),

    Row(TEXT, "format", "The text with %s (any value), %d (number), %f and %e (with %.3f as many digits), %x, %X, %o, %b replaced by the values.", "'%s has %d'.format(['a', 2]) == 'a has 2' && '%.1f'.format([1.25]) == '1.2'"),
    Row(TEXT, "strings.quote", "In double quotes, what would not print escaped.", "strings.quote('a\\n') == '\"a\\\\n\"'"),
    Row(TEXT, "base64.encode", "Bytes as base64.", "base64.encode(b'hello') == 'aGVsbG8='"),
    Row(TEXT, "base64.decode", "The bytes that base64 spells, padded or not.", "base64.decode('aGVsbG8') == b'hello'"),

    Row(LISTS, "slice", "The elements from a position, up to but without another.", "[1, 2, 3].slice(1, 3) == [2, 3]"),
    Row(LISTS, "flatten", "Lists within the list in place of themselves, as deep as given, else one level.", "[1, [2, [3]]].flatten() == [1, 2, [3]] && [1, [2, [3]]].flatten(2) == [1, 2, 3]"),
    Row(LISTS, "sort", "The elements in order.", "[3, 1, 2].sort() == [1, 2, 3]"),
    Row(LISTS, "distinct", "The elements without repetitions.", "[1, 2, 1].distinct() == [1, 2]"),
    Row(LISTS, "first", "The first element, if there is one.", "[1, 2].first().value() == 1"),
    Row(LISTS, "last", "The last element, if there is one.", "[].last() == optional.none()"),
    Row(LISTS, "lists.range", "The ints from 0 up to but without the one given.", "lists.range(3) == [0, 1, 2]"),
    Row(LISTS, "isSorted", "Each element is at least the one before it.", "[1, 2, 2].isSorted()"),
    Row(LISTS, "min", "The least element; an error for an empty list.", "[3, 1].min() == 1"),
    Row(LISTS, "max", "The greatest element; an error for an empty list.", "['a', 'b'].max() == 'b'"),
    Row(LISTS, "sum", "The sum of the elements.", "[1, 2, 3].sum() == 6"),
    Row(SETS, "sets.contains", "The first list has every element of the second.", "sets.contains([1, 2], [2])"),
    Row(SETS, "sets.equivalent", "The lists have the same elements, whatever their order and number.", "sets.equivalent([1, 1, 2], [2, 1])"),
    Row(SETS, "sets.intersects", "The lists have an element in common.", "sets.intersects([1], [1, 2])"),

    Row(MACROS, "has", "The field is set: not empty, 0 or false. Of dynamic values: the key is there.", "has({'a': 1}.a) && !has({'a': 1}.b)"),
    Row(MACROS, "all", "The condition holds for every element or key.", "[1, 2].all(x, x > 0)"),
    Row(MACROS, "exists", "The condition holds for an element or key.", "[1, 2].exists(x, x == 2)"),
    Row(MACROS, "exists_one", "The condition holds for exactly one element or key; `existsOne` is the same with two variables.", "[1, 2].exists_one(x, x == 2)"),
    Row(MACROS, "filter", "The elements or keys for which the condition holds.", "[1, 2, 3].filter(x, x > 1) == [2, 3]"),
    Row(MACROS, "map", "A value made of each element or key, of those for which the condition holds.", "[1, 2].map(x, x * 2) == [2, 4] && [1, 2].map(x, x > 1, x * 2) == [4]"),

    Row(MACROS, "transformList", "A value made of each index and element, or key and value, of those for which the condition holds.", "[5, 6].transformList(i, x, i + x) == [5, 7] && {'a': 1}.transformList(k, v, v) == [1]"),
    Row(MACROS, "transformMap", "A map with the same keys (or indexes) and a value made of each key and value.", "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}"),
    Row(MACROS, "transformMapEntry", "One map of the maps made of each key and value; a key that occurs twice is an error.", "{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}"),
    Row(MACROS, "sortBy", "The elements in the order of what is made of each.", "['aa', 'b'].sortBy(x, x.size()) == ['b', 'aa']"),
    Row(MACROS, "cel.bind", "A name for a value within an expression.", "cel.bind(x, 1 + 1, x * x) == 4"),

    Row(OPTIONAL, "optional.of", "An optional with this value.", "optional.of(1).value() == 1"),
    Row(OPTIONAL, "optional.none", "An optional without a value.", "!optional.none().hasValue()"),
    Row(OPTIONAL, "optional.ofNonZeroValue", "Without a value when it is empty, 0, false or null.", "optional.ofNonZeroValue('') == optional.none()"),
    Row(OPTIONAL, "hasValue", "There is a value.", "{'a': 1}[?'a'].hasValue()"),
    Row(OPTIONAL, "value", "The value; an error when there is none.", "optional.of('a').value() == 'a'"),
    Row(OPTIONAL, "orValue", "The value, or the other when there is none.", "{'a': 1}.?b.orValue(0) == 0"),
    Row(OPTIONAL, "or", "This optional, or the other when it has no value.", "optional.none().or(optional.of(1)).value() == 1"),
    Row(OPTIONAL, "optMap", "An optional of what is made of the value, when there is one.", "optional.of(2).optMap(x, x + 1).value() == 3"),
    Row(OPTIONAL, "optFlatMap", "The optional that is made of the value, when there is one.", "optional.of({'a': 1}).optFlatMap(x, x.?a).value() == 1"),

    Row(OPTIONAL, "optional.unwrap", "The values in a list of optionals.", "optional.unwrap([optional.of(1), optional.none()]) == [1]"),
    Row(OPTIONAL, "unwrapOpt", "The values in a list of optionals.", "[optional.of(1), optional.none()].unwrapOpt() == [1]"),

    Row(MATH, "math.greatest", "The greatest of the numbers, or of a list of numbers.", "math.greatest(1, 2.5, 2) == 2.5 && math.greatest([1, 2]) == 2"),
    Row(MATH, "math.least", "The least of the numbers, or of a list of numbers.", "math.least(2, 1u) == 1"),
    Row(MATH, "math.abs", "Without its sign.", "math.abs(-2) == 2"),
    Row(MATH, "math.sign", "-1, 0 or 1.", "math.sign(-2.5) == -1.0"),
    Row(MATH, "math.ceil", "The next whole number above.", "math.ceil(1.2) == 2.0"),
    Row(MATH, "math.floor", "The next whole number below.", "math.floor(-1.2) == -2.0"),
    Row(MATH, "math.round", "The nearest whole number, halves away from zero.", "math.round(-1.5) == -2.0"),
    Row(MATH, "math.trunc", "Without its fraction.", "math.trunc(-1.7) == -1.0"),
    Row(MATH, "math.sqrt", "The square root.", "math.sqrt(49.0) == 7.0"),
    Row(MATH, "math.isNaN", "It is no number, as 0.0 / 0.0.", "math.isNaN(0.0 / 0.0)"),
    Row(MATH, "math.isInf", "It is infinite.", "math.isInf(1.0 / 0.0)"),
    Row(MATH, "math.isFinite", "It is a number and not infinite.", "math.isFinite(1.2)"),
    Row(MATH, "math.bitAnd", "Bits that both have.", "math.bitAnd(6, 3) == 2"),
    Row(MATH, "math.bitOr", "Bits that one has.", "math.bitOr(6, 3) == 7"),
    Row(MATH, "math.bitXor", "Bits that only one has.", "math.bitXor(6, 3) == 5"),
    Row(MATH, "math.bitNot", "The other bits.", "math.bitNot(1) == -2"),
    Row(MATH, "math.bitShiftLeft", "Bits moved to higher places.", "math.bitShiftLeft(1, 4) == 16"),
    Row(MATH, "math.bitShiftRight", "Bits moved to lower places, zeros from above.", "math.bitShiftRight(16, 2) == 4"),

    Row(CONVERTING, "int", "The int of a number (cut), a text, a time (seconds since 1970) or a duration (nanoseconds).", "int('42') == 42 && int(3.9) == 3"),
    Row(CONVERTING, "uint", "The uint of a number or text.", "uint('7') == 7u"),
    Row(CONVERTING, "double", "The double of a number or text.", "double('1.5') == 1.5"),
    Row(CONVERTING, "bool", "The bool that a text spells.", "bool('true')"),
    Row(CONVERTING, "string", "The value as text.", "string(1.5) == '1.5'"),
    Row(CONVERTING, "bytes", "The bytes of a text in UTF-8.", "bytes('é') == b'\\303\\251'"),
    Row(CONVERTING, "dyn", "The same value, its type checked when it is evaluated.", "dyn(1) == 1.0"),
    Row(CONVERTING, "type", "The type of a value.", "type(1) == int"),

    Row(TIME, "timestamp", "The time of a text in RFC 3339 or of seconds since 1970.", "timestamp('2026-01-01T00:00:00Z') > timestamp(0)"),
    Row(TIME, "duration", "The duration of a text such as 1h30m or 1.5s.", "duration('90m') == duration('1h30m')"),
    Row(TIME, "getFullYear", "The year; in UTC, or in the time zone that is given.", "timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026"),
    Row(TIME, "getMonth", "The month, from 0.", "timestamp('2026-01-02T03:04:05Z').getMonth() == 0"),
    Row(TIME, "getDate", "The day of the month, from 1.", "timestamp('2026-01-02T03:04:05Z').getDate() == 2"),
    Row(TIME, "getDayOfMonth", "The day of the month, from 0.", "timestamp('2026-01-02T03:04:05Z').getDayOfMonth() == 1"),
    Row(TIME, "getDayOfWeek", "The day of the week, from 0 for Sunday.", "timestamp('2026-01-02T03:04:05Z').getDayOfWeek() == 5"),
    Row(TIME, "getDayOfYear", "The day of the year, from 0.", "timestamp('2026-01-02T03:04:05Z').getDayOfYear() == 1"),
    Row(TIME, "getHours", "The hour of a time, or all hours of a duration.", "timestamp('2026-01-02T03:04:05Z').getHours('+01:00') == 4"),
    Row(TIME, "getMinutes", "The minute of a time, or all minutes of a duration.", "duration('1h1m').getMinutes() == 61"),
    Row(TIME, "getSeconds", "The second of a time, or all seconds of a duration.", "duration('1m1s').getSeconds() == 61"),
    Row(TIME, "getMilliseconds", "The millisecond of a time, or all milliseconds of a duration.", "duration('1.5s').getMilliseconds() == 1500"),

    Row(NET, "ip", "The address that a text spells, or that of a network.", "ip('127.0.0.1') == ip('127.0.0.1') && cidr('10.0.0.7/8').ip() == ip('10.0.0.7')"),
    Row(NET, "isIP", "The text is an address.", "isIP('::1') && !isIP('x')"),
    Row(NET, "ip.isCanonical", "The address is written in its one canonical form.", "ip.isCanonical('::1') && !ip.isCanonical('::01')"),
    Row(NET, "family", "4 or 6.", "ip('::1').family() == 6"),
    Row(NET, "isUnspecified", "It is 0.0.0.0 or ::.", "ip('0.0.0.0').isUnspecified()"),
    Row(NET, "isLoopback", "It is a loopback address.", "ip('127.0.0.1').isLoopback()"),
    Row(NET, "isLinkLocalMulticast", "It is a link-local multicast address.", "ip('224.0.0.1').isLinkLocalMulticast()"),
    Row(NET, "isLinkLocalUnicast", "It is a link-local address, as that of a cloud's metadata server.", "ip('169.254.169.254').isLinkLocalUnicast()"),
    Row(NET, "isGlobalUnicast", "It is a unicast address that is neither local to the link nor to the host; private ones count.", "ip('10.0.0.1').isGlobalUnicast()"),
    Row(NET, "cidr", "The network that a text spells.", "cidr('10.0.0.0/8').prefixLength() == 8"),
    Row(NET, "isCIDR", "The text is a network.", "isCIDR('10.0.0.0/8')"),
    Row(NET, "containsIP", "The address lies in the network.", "cidr('10.0.0.0/8').containsIP('10.1.2.3')"),
    Row(NET, "containsCIDR", "The other network lies in this one.", "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')"),
    Row(NET, "masked", "The network with the bits behind its prefix cleared.", "cidr('10.0.0.7/8').masked() == cidr('10.0.0.0/8')"),
    Row(NET, "prefixLength", "The bits of the prefix.", "cidr('::/64').prefixLength() == 64"),

    Row(URL, "url", "The URL that a text spells: absolute, or an absolute path.", "url('https://example.com/').getHost() == 'example.com'"),
    Row(URL, "isURL", "The text is an absolute URL or an absolute path.", "isURL('/api/v1') && !isURL('../x')"),
    Row(URL, "getScheme", "The scheme, empty when there is none.", "url('https://example.com/').getScheme() == 'https'"),
    Row(URL, "getHost", "Host and port, an IPv6 address in brackets.", "url('https://[::1]:80/').getHost() == '[::1]:80'"),
    Row(URL, "getHostname", "The host without port and brackets.", "url('https://[::1]:80/').getHostname() == '::1'"),
    Row(URL, "getPort", "The port, empty when there is none.", "url('https://example.com:80/').getPort() == '80'"),
    Row(URL, "getEscapedPath", "The path, encoded.", "url('https://example.com/a b').getEscapedPath() == '/a%20b'"),
    Row(URL, "getQuery", "Keys of the query and all their values, decoded.", "url('/p?a=1&a=2').getQuery() == {'a': ['1', '2']}"),
];

/// How macros, and operators that are no functions, are written.
static MACRO_FORMS: &[(&str, &[&str])] = &[
    ("_&&_", &["bool && bool"]),
    ("_||_", &["bool || bool"]),
    ("_?_:_", &["bool ? A : A"]),
    ("has", &["has(value.key) -> bool"]),
    (
        "all",
        &[
            "list(A).all(x, bool) -> bool",
            "map(A, B).all(key, bool) -> bool",
            "map(A, B).all(key, value, bool) -> bool",
            "list(A).all(index, x, bool) -> bool",
        ],
    ),
    (
        "exists",
        &[
            "list(A).exists(x, bool) -> bool",
            "map(A, B).exists(key, bool) -> bool",
            "map(A, B).exists(key, value, bool) -> bool",
            "list(A).exists(index, x, bool) -> bool",
        ],
    ),
    (
        "exists_one",
        &[
            "list(A).exists_one(x, bool) -> bool",
            "map(A, B).exists_one(key, bool) -> bool",
            "map(A, B).exists_one(key, value, bool) -> bool",
            "list(A).exists_one(index, x, bool) -> bool",
        ],
    ),
    ("filter", &["list(A).filter(x, bool) -> list(A)", "map(A, B).filter(key, bool) -> list(A)"]),
    (
        "map",
        &["list(A).map(x, B) -> list(B)", "list(A).map(x, bool, B) -> list(B)", "map(A, B).map(key, C) -> list(C)"],
    ),
    (
        "transformList",
        &[
            "list(A).transformList(index, x, B) -> list(B)",
            "map(A, B).transformList(key, value, C) -> list(C)",
            "list(A).transformList(index, x, bool, B) -> list(B)",
        ],
    ),
    (
        "transformMap",
        &[
            "map(A, B).transformMap(key, value, C) -> map(A, C)",
            "map(A, B).transformMap(key, value, bool, C) -> map(A, C)",
            "list(A).transformMap(index, x, B) -> map(int, B)",
        ],
    ),
    (
        "transformMapEntry",
        &[
            "map(A, B).transformMapEntry(key, value, map(C, D)) -> map(C, D)",
            "list(A).transformMapEntry(index, x, map(B, C)) -> map(B, C)",
        ],
    ),
    ("sortBy", &["list(A).sortBy(x, B) -> list(A)"]),
    ("cel.bind", &["cel.bind(x, A, B) -> B"]),
    ("orValue", &["optional(A).orValue(A) -> A"]),
    ("or", &["optional(A).or(optional(A)) -> optional(A)"]),
    ("optMap", &["optional(A).optMap(x, B) -> optional(B)"]),
    ("optFlatMap", &["optional(A).optFlatMap(x, optional(B)) -> optional(B)"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ruleset::expr::{Expected, Program, Steps, Variables, tests::sample};

    #[test]
    fn every_function_and_macro_is_in_the_reference() {
        let listed: BTreeSet<&str> = ROWS.iter().map(|row| row.1).collect();
        assert_eq!(listed.len(), ROWS.len(), "a name is listed twice");
        let missing: Vec<&str> = functions::all_names()
            .chain(functions::MACROS.iter().copied())
            .filter(|name| !listed.contains(name) && *name != "existsOne")
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let without: Vec<&str> = reference().iter().filter(|e| e.signatures.is_empty()).map(|e| e.name).collect();
        assert!(without.is_empty(), "no signatures: {without:?}");
    }

    #[test]
    fn every_example_of_the_reference_holds() {
        let mut wrong = vec![];
        for entry in reference() {
            let value = Program::compile(entry.example, Expected::Bool, &Variables::default())
                .map_err(|e| e.to_string())
                .and_then(|p| p.holds(&sample(), &mut Steps::default()).map_err(|e| e.to_string()));
            if value != Ok(true) {
                wrong.push(format!("{}: {value:?}", entry.example));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
