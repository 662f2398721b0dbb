//! Where the language differs from cel-go with the libraries of Kubernetes' API server, and why. The reference page prints
//! this table, and a test asks cel-go whether each difference still is one.

/// One difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// What differs, a sentence.
    pub what: &'static str,
    pub reason: &'static str,
    /// Expressions that show it; none where it is about what is not there at all.
    pub shown: &'static [Shown],
}

/// An expression with its value here and there, as `kubewitness eval` prints it, or `refused` when it does not compile, or
/// `error` when its evaluation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub expression: &'static str,
    pub ours: &'static str,
    pub theirs: &'static str,
}

/// All differences.
pub fn deviations() -> &'static [Deviation] {
    DEVIATIONS
}

const fn shown(expression: &'static str, ours: &'static str, theirs: &'static str) -> Shown {
    Shown { expression, ours, theirs }
}

static DEVIATIONS: &[Deviation] = &[
    Deviation {
        what: "Protocol buffer messages, enumerations and wrapper types can't be named or built.",
        reason: "Events have no messages; the names are refused when the rule is compiled.",
        shown: &[],
    },
    Deviation {
        what: "`quantity`, `semver` and `authorizer` of Kubernetes' libraries are not there.",
        reason: "Events hold no quantities or versions that detection compares, and a rule can't ask the authorizer about \
                 a past event.",
        shown: &[],
    },
    Deviation {
        what: "An expression has at most 4096 bytes, 2000 parts, 64 levels, macros nested 4 deep, 16 literal patterns; an \
               evaluation at most 100,000 steps.",
        reason: "A rule's cost is bounded and the same on any machine, so no event can slow the others down.",
        shown: &[],
    },
    Deviation {
        what: "A key that is no identifier can be written in backticks; the parser of the API server is set not to read them.",
        reason: "Labels and annotations have such keys, and the specification has the syntax.",
        shown: &[shown("{'a-b': 1}.`a-b`", "1", "refused")],
    },
    Deviation {
        what: "The time zones `Local`, `localtime` and `posixrules` are refused, or errors where they are no literals; cel-go reads what \
               the machine has under these names.",
        reason: "A rule means the same on every machine; names are those of the time zone database that is built in.",
        shown: &[shown("timestamp(0).getHours('Local') >= 0", "refused", "true")],
    },
    Deviation {
        what: "A comparison with what a field can never hold is refused.",
        reason: "It is a mistake in the rule, and would be silent.",
        shown: &[],
    },
    Deviation {
        what: "A key that occurs twice in a map literal is an error; cel-go keeps the last.",
        reason: "The specification wants an error.",
        shown: &[shown("{1: 'a', 1: 'b'}", "error", "{\"1\":\"b\"}")],
    },
    Deviation {
        what: "Keys of a map literal are bool, int, uint or string; cel-go builds maps with others.",
        reason: "The specification has no other keys.",
        shown: &[shown("size({1.5: 'a'})", "refused", "1")],
    },
    Deviation {
        what: "A search that begins beyond the text is an error; cel-go finds nothing.",
        reason: "The specification's cases want an error.",
        shown: &[shown("'ab'.indexOf('b', 5)", "error", "-1"), shown("'ab'.lastIndexOf('b', 5)", "error", "-1")],
    },
    Deviation {
        what: "A field of an optional that holds no map is an error; cel-go gives an empty optional.",
        reason: "The specification's cases want an error.",
        shown: &[shown("optional.of(dyn(1)).a.hasValue()", "error", "false")],
    },
    Deviation {
        what: "A time has no offset: as text it is in UTC. cel-go prints it in the offset that it was read with.",
        reason: "Equal times should print alike; the specification has times without offsets.",
        shown: &[shown(
            "string(timestamp('2026-07-01T00:00:00+02:00'))",
            "\"2026-06-30T22:00:00Z\"",
            "\"2026-07-01T00:00:00+02:00\"",
        )],
    },
    Deviation {
        what: "Times end 26 hours before the end of the year 9999.",
        reason: "Our times end at 9999-12-30T22:00:00Z, so that each can be told in every time zone; no event is as late.",
        shown: &[shown("timestamp('9999-12-31T23:59:59Z').getFullYear()", "refused", "9999")],
    },
    Deviation {
        what: "A number in text has no underscores and is not hexadecimal; cel-go's double() reads the spellings of Go.",
        reason: "In an event these are texts, and the specification does not know such numbers.",
        shown: &[shown("double('1_000')", "error", "1000.0"), shown("double('0x1p-2')", "error", "0.25")],
    },
    Deviation {
        what: "A literal pattern that can't be read is refused when the rule is compiled, in whatever call; cel-go looks at \
               the first argument of `matches`, which in `matches(text, pattern)` is the text.",
        reason: "A broken pattern is found before the first event, and text need be no pattern.",
        shown: &[shown("matches('a', '(')", "refused", "error"), shown("matches('(', 'a')", "false", "refused")],
    },
    Deviation {
        what: "A literal address, network or time zone that can't be read is refused when the rule is compiled; in cel-go the call \
               fails when it is evaluated.",
        reason: "It can never have a value. cel-go judges literals of times, spans of time and patterns so.",
        shown: &[
            shown("string(ip('10.0.0.300'))", "refused", "error"),
            shown("cidr('10.0.0.0/33').prefixLength()", "refused", "error"),
            shown("timestamp(0).getHours('Berlin')", "refused", "error"),
        ],
    },
    Deviation {
        what: "Which error it is where both fail: NaN in an order and a text that is no address are bad values here and missing overloads in \
               cel-go; a part of null or of a number is a missing overload here and a missing key there; a number made a span of \
               time is a missing overload here and a bad value there.",
        reason: "Ours tells what is wrong: the value where its type is right, the type where it is not.",
        shown: &[
            shown("math.greatest([0.0 / 0.0, 1.0]) > 1.0", "error", "error"),
            shown("cidr('10.0.0.0/8').containsIP('no' + 'ne')", "error", "error"),
            shown("dyn({'a': null}).a.x == 1", "error", "error"),
            shown("duration(dyn(1)) == duration('1s')", "error", "error"),
        ],
    },
    Deviation {
        what: "`distinct()` and `sortBy()` of what is no list are missing overloads, and of an error are that error; cel-go catches a panic of \
               its own.",
        reason: "It is a mistake in cel-go.",
        shown: &[shown("dyn(1).distinct() == [1]", "error", "error")],
    },
    Deviation {
        what: "`cel.bind` takes types too.",
        reason: "cel-go can't say why not.",
        shown: &[shown("cel.bind(t, int, type(1) == t)", "true", "refused")],
    },
    Deviation {
        what: "In an optional behind `?:`, optMap and optFlatMap, an optional stays one and a type too; cel-go takes off the outer optional and gives the type's name.",
        reason: "The value is of the type that the expression was checked for.",
        shown: &[shown("(true ? optional.of(optional.of(1)) : optional.none()).value().hasValue()", "true", "error")],
    },
    Deviation {
        what: "An address, a network or a URL is not equal to a value of another type; Kubernetes' libraries fail.",
        reason: "The specification's equality has no errors.",
        shown: &[shown("dyn(ip('10.0.0.1')) == dyn(1)", "false", "error")],
    },
    Deviation {
        what: "An index of an optional gives an optional, also where that one was taken out of a list or a map.",
        reason: "cel-go does so elsewhere, and there has an error; a value means the same wherever it comes from.",
        shown: &[shown("[dyn(optional.of(1u))][0][1].hasValue()", "false", "error")],
    },
    Deviation {
        what: "An optional that holds an address, a network or a URL stays one in what filter(), map() and transformList() \
               make; in cel-go it holds an error then.",
        reason: "cel-go can't make a value of its own of what the optional holds.",
        shown: &[shown("string([optional.of(ip('::1'))].filter(x, true)[0].value())", "\"::1\"", "error")],
    },
    Deviation {
        what: "A list of optionals and null is a list of optionals; in cel-go one of nulls, if null is the last.",
        reason: "The specification's cases want the type that may be null.",
        shown: &[shown("optional.unwrap(optional.unwrap([optional.of(1), null]))", "refused", "error")],
    },
    Deviation {
        what: "Bytes are no key of any map; cel-go has an internal error when it looks for them.",
        reason: "The specification's maps have keys that are bool, int, uint or string, and no others. Of a list, a map or a \
                 time cel-go says too that it is no key.",
        shown: &[shown("dyn(b'a') in {1: 2}", "false", "error")],
    },
    Deviation {
        what: "%f and %e of format() write whole numbers too; cel-go prints what Go says of a wrong type.",
        reason: "The specification's table of clauses takes int, uint and double there, with the values shown here.",
        shown: &[
            shown("'%f'.format([1])", "\"1.000000\"", "\"%!f(int64=000001)\""),
            shown("'%e'.format([1u])", "\"1.000000e+00\"", "\"%!e(uint64=000001)\""),
        ],
    },
    Deviation {
        what: "duration() of a number is refused; in cel-go it compiles, and fails when it is evaluated.",
        reason: "It can never have a value.",
        shown: &[shown("duration(size('a'))", "refused", "error")],
    },
    Deviation {
        what: "What is called on a dynamic value takes what it holds; cel-go may have settled on a type before it saw any.",
        reason: "The value decides, as everywhere with dynamic values.",
        shown: &[shown("dyn(optional.of([2u, 1u])).value().min()", "1", "error")],
    },
];
