//! Bounds: the budget of evaluation, hostile sources, and expressions made of random parts.

use proptest::prelude::*;

use super::{tests::sample, *};

#[test]
fn evaluation_stops_at_its_budget_and_nothing_absorbs_that() {
    let hundred = format!("[{}]", "1,".repeat(100).trim_end_matches(','));
    let mut variables = Variables::default();
    variables.define("l", &hundred).unwrap();
    let cubic = "variables.l.exists(a, variables.l.exists(b, variables.l.exists(c, a + b + c == 0))) || true";
    let program = Program::compile(cubic, Expected::Bool, &variables).unwrap();
    assert_eq!(program.holds(&sample(), &mut Steps::default()), Err(EvalError::OverBudget));
    let cheap = Program::compile("audit.verb == 'create'", Expected::Bool, &Variables::default()).unwrap();
    let mut steps = Steps::new(10);
    assert_eq!(cheap.holds(&sample(), &mut steps), Ok(true));
    assert_eq!(steps.used(), 4, "one call, two operands, one comparison");
    assert_eq!(cheap.holds(&sample(), &mut Steps::new(2)), Err(EvalError::OverBudget));
    // Each step makes the text ten times as long: charged before it is built.
    let grow = format!("'{}'{}", "a".repeat(100), ".replace('a', 'aaaaaaaaaa')".repeat(12));
    let program = Program::compile(&grow, Expected::Any, &Variables::default()).unwrap();
    assert_eq!(program.eval(&sample(), &mut Steps::default()).err(), Some(EvalError::OverBudget));
    // A value that shares its parts is far larger than what made it.
    let shared = (0..14).fold("[1]".to_owned(), |inner, _| format!("[{inner}].map(x, [x, x, x, x])[0]"));
    let program = Program::compile(&shared, Expected::Any, &Variables::default()).unwrap();
    assert_eq!(program.eval(&sample(), &mut Steps::default()).err(), Some(EvalError::OverBudget));
}

/// A text of 22 KB in which the states of a pattern multiply.
const GROWN: &str = "'abbabaabbaababbaabbaababbabaab'.replace('a','aabab').replace('b','abbab').replace('b','abbab')\
                     .replace('a','abbab').replace('b','abbab').replace('a','abbab')";

#[test]
fn search_whose_states_multiply_is_charged_by_them() {
    let steps = |source: String| {
        let program = Program::compile(&source, Expected::Any, &Variables::default()).unwrap();
        let mut steps = Steps::default();
        let answer = program.eval(&sample(), &mut steps);
        (answer.is_err_and(|error| error == EvalError::OverBudget), steps.used())
    };
    let (over, tame) = steps(format!("{GROWN}.matches('(get|list)[ab]+c')"));
    assert!(!over && tame < 5_000, "{tame}");
    for hostile in [
        format!("{GROWN}.matches('[ab]*a[ab]{{500}}c')"),
        format!("{GROWN}.matches('([ab]*a' + '[ab]{{200}}c)')"),
        format!("{GROWN}.find('c[ab]{{200}}a[ab]*')"),
        // Each search for the next part reads all the rest.
        format!("{GROWN}.findAll('a[ab]*c|a')"),
        format!("lists.range(9000).map(i, {GROWN}.substring(0, 100).matches('[ab]*a[ab]{{300}}c'))"),
    ] {
        assert!(steps(hostile.clone()).0, "{hostile}: {:?}", steps(hostile.clone()));
    }
}

#[test]
fn hostile_sources_are_refused_in_few_words() {
    let repeat =
        |n: usize, open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(n), close.repeat(n));
    let sources = [
        ("flat sum", format!("1{}", "+1".repeat(1500))),
        ("flat sum under the token cap", format!("1{}", "+1".repeat(990))),
        ("parentheses", repeat(2000, "(", "1", ")")),
        ("parentheses under the cap", repeat(32, "(", "1", ")")),
        ("lists", repeat(2000, "[", "", "]")),
        ("open brackets", "[".repeat(4000)),
        ("maps", repeat(600, "{1:", "1", "}")),
        ("not", format!("{}true", "!".repeat(1900))),
        ("minus", format!("{}1", "- ".repeat(1900))),
        ("conditional", format!("{}1", "true?1:".repeat(450))),
        ("conditional to the left", repeat(30, "(", "true", "?true:false)")),
        ("selections", format!("a{}", ".b".repeat(950))),
        ("indexes", format!("a{}", "[0]".repeat(600))),
        ("calls", repeat(400, "int(", "1", ")")),
        ("member calls", format!("'a'{}", ".trim()".repeat(390))),
        ("relations", format!("1{}", "==1".repeat(900))),
        ("or", format!("true{}", "||true".repeat(660))),
        ("raw string hides brackets", format!("r\"\\\"+{}1{}", "(".repeat(1000), ")".repeat(1000))),
        ("triple string hides brackets", format!("\"\"\" \" \"\"\"+{}1{}", "(".repeat(1000), ")".repeat(1000))),
        ("commas", ",".repeat(1999)),
        ("errors", "a b ".repeat(900)),
        ("too long", " ".repeat(4097)),
        ("regex", format!("'a'.matches('{}')", "(a{1000}){1000}".repeat(5))),
        ("big regex class", r"'a'.matches('(\\w{500}){500}')".to_owned()),
        ("many regexes", ["'a'.matches('\\\\w{99}')"; 150].join("||")),
        ("macros", repeat(100, "[1].all(x,", "true", ")")),
        ("nul", "\0".repeat(4096)),
        ("emoji", "\u{1F600}".repeat(1000)),
    ];
    for (name, source) in &sources {
        if let Err(error) = Program::compile(source, Expected::Any, &Variables::default()) {
            assert!(error.message.len() < 300, "{name}: {error}");
        }
    }
    let many = format!("audit.verb in [{}]", vec!["'abcd'"; 480].join(","));
    assert!(Program::compile(&many, Expected::Bool, &Variables::default()).is_ok(), "a long list is no attack");
    let or = format!("true{}", "||true".repeat(660));
    assert!(Program::compile(&or, Expected::Bool, &Variables::default()).is_ok(), "flat alternatives are no depth");
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "audit",
        ".",
        "verb",
        "user",
        "name",
        "audit.verb",
        "audit.requestObject",
        "audit.objectRef",
        "has",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        ".?",
        "[?",
        "==",
        "!=",
        "<",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&&",
        "||",
        "!",
        "in",
        "1",
        "0u",
        "1.5",
        "'a'",
        "\"\"",
        "b'x'",
        "true",
        "null",
        "x",
        "map",
        "exists",
        "all",
        "filter",
        ".map(x,",
        ".exists(x,",
        ".size()",
        "size",
        "optional.of(",
        ".orValue(",
        ".matches(",
        "'('",
        "timestamp(",
        "duration(",
        "'1h'",
        "sets.contains(",
        "r'\\d'",
        "\"\"\"",
        "'",
        "\n",
        "// c\n",
        "`",
        "\\",
        "é",
        "variables.v",
        "dyn(",
        "type(",
        "int",
        "9223372036854775807",
        "{1:2}",
        "[1,2]",
        ".split(",
        ".substring(",
        ".replace('a','b')",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn token_soup_never_panics(tokens in prop::collection::vec(token(), 0..24), spaced in any::<bool>()) {
        let source = tokens.join(if spaced { " " } else { "" });
        let mut variables = Variables::default();
        variables.define("v", "audit.requestObject").unwrap();
        match Program::compile(&source, Expected::Any, &variables) {
            Ok(program) => {
                if let Ok(value) = program.eval(&sample(), &mut Steps::default()) {
                    let _printed = (value.to_string(), value.to_json());
                }
            }
            Err(error) => prop_assert!(error.message != "the parser does not cope with it", "the parser panicked on {source}"),
        }
    }

    #[test]
    fn any_operand_meets_any_function(
        left in prop::sample::select(OPERANDS.to_vec()),
        right in prop::sample::select(OPERANDS.to_vec()),
        third in prop::sample::select(OPERANDS.to_vec()),
        shape in prop::sample::select(SHAPES.to_vec()),
    ) {
        let source = shape.replace('L', left).replace('R', right).replace('T', third);
        if let Ok(program) = Program::compile(&source, Expected::Any, &Variables::default()) {
            let event = sample();
            let (mut one, mut two) = (Steps::default(), Steps::default());
            let first = program.eval(&event, &mut one).map(|v| v.to_json());
            prop_assert_eq!(first, program.eval(&event, &mut two).map(|v| v.to_json()));
            prop_assert_eq!(one.used(), two.used());
        }
    }
}

/// Dynamic operands, so that nearly everything compiles and the values decide.
const OPERANDS: &[&str] = &[
    "dyn(1)",
    "dyn(-9223372036854775808)",
    "dyn(2u)",
    "dyn(1.5)",
    "dyn(1e308)",
    "dyn('é1')",
    "dyn('')",
    "dyn(b'a')",
    "dyn(null)",
    "dyn(true)",
    "dyn([1, 'a'])",
    "dyn([])",
    "dyn({'a': 1})",
    "dyn({1: 2})",
    "dyn(timestamp(0))",
    "dyn(duration('-1h'))",
    "dyn(optional.of(1))",
    "dyn(int)",
    "dyn(ip('::1'))",
    "dyn(cidr('10.0.0.0/8'))",
    "audit.requestObject",
    "audit.responseObject",
    "dyn(-1)",
    "dyn('a')",
];
const SHAPES: &[&str] = &[
    "L + R",
    "L - R",
    "L * R",
    "L / R",
    "L % R",
    "-L",
    "!L",
    "L == R",
    "L < R",
    "L >= R",
    "L in R",
    "L[R]",
    "L[?R]",
    "L && R",
    "L || R",
    "L ? R : T",
    "L.size()",
    "size(L)",
    "L.contains(R)",
    "L.matches(R)",
    "L.find(R)",
    "L.findAll(R, T)",
    "L.split(R)",
    "L.split(R, T)",
    "L.replace(R, T)",
    "L.join(R)",
    "L.substring(R, T)",
    "L.substring(R)",
    "L.indexOf(R)",
    "L.indexOf(R, T)",
    "L.lastIndexOf(R)",
    "L.lastIndexOf(R, T)",
    "L.charAt(R)",
    "L.sum()",
    "L.min()",
    "L.isSorted()",
    "sets.equivalent(L, R)",
    "int(L)",
    "uint(L)",
    "double(L)",
    "string(L)",
    "bytes(L)",
    "bool(L)",
    "timestamp(L)",
    "duration(L)",
    "type(L)",
    "L.getHours()",
    "L.getDayOfWeek(R)",
    "L.getMilliseconds()",
    "L.containsIP(R)",
    "L.containsCIDR(R)",
    "L.orValue(R)",
    "L.map(x, [x, R])",
    "L.exists(x, x == R)",
    "[L, R, T]",
    "{L: R}",
    "L.a",
    "has(L.a)",
    "L.?a.orValue(R)",
    "L.trim()",
    "L.lowerAscii()",
    "L.family()",
    "L.optMap(x, x)",
];
