//! Sources that nobody means well with: the worst that we could think of, and any mixture from a seed.

use super::super::generate::{
    dice::Dice,
    generate,
    types::{Type, named, signatures},
};

fn nested(n: usize, open: &str, middle: &str, close: &str) -> String {
    format!("{}{middle}{}", open.repeat(n), close.repeat(n))
}

/// What opens, stands in the middle and closes.
const NESTS: &[(&str, &str, &str)] = &[
    ("(", "1", ")"),
    ("[", "", "]"),
    ("{1:", "1", "}"),
    ("!", "true", ""),
    ("- ", "1", ""),
    ("-", "1", ""),
    ("true?1:", "1", ""),
    ("(", "true", "?true:false)"),
    ("int(", "1", ")"),
    ("dyn(", "1", ")"),
    ("a[", "0", "]"),
    ("a[?", "0", "]"),
    ("optional.of(", "1", ")"),
    ("[1].all(x,", "true", ")"),
    ("[1].map(x,", "x", ")"),
    ("[1].transformMap(k,v,", "v", ")"),
    ("cel.bind(x,1,", "x", ")"),
    ("cel.bind(x,[x,x],", "x", ")"),
    ("cel.bind(x,", "1", ",x)"),
    ("has(", "a.b", ")"),
    ("optional.of(1).optMap(x,", "x", ")"),
    ("sets.contains([],", "[]", ")"),
    ("'%s'.format([", "1", "])"),
    ("math.greatest(1,2,", "3", ")"),
    ("1+(", "1", ")"),
    ("1==(", "1", ")"),
    ("A{a:", "1", "}"),
    ("``", "a", "``"),
    ("r'", "(", "'"),
];

/// What can be repeated behind an operand.
const CHAINS: &[&str] = &[
    "+1",
    "-1",
    "==1",
    "<1",
    "&&true",
    "||true",
    "||audit.verb=='a'",
    " in [1]",
    ".a",
    ".?a",
    "[0]",
    "[?0]",
    ".trim()",
    ".size()",
    ".map(x,x)",
    ".filter(x,true)",
    ".replace('a','aaaaaaaa')",
    ".split('')",
    ".reverse()",
    ".orValue(1)",
    "?1:2",
    ".matches('a')",
    ",",
    " ",
    "//\n",
    "+'a'",
    "+[1]",
    "+b'\\xff'",
];

const PATTERNS: &[&str] = &[
    "(a{1000}){1000}",
    "(((a{30}){30}){30}){30}",
    r"(\\w{500}){500}",
    r"\\pL{999}",
    "(?i)[a-z]{1000}",
    "(a|aa)+$",
    "(a*)*b",
    "((((((((((((((((((((a))))))))))))))))))))",
    "(x+x+)+y",
    r"[\\p{Greek}\\p{Lu}]{400}",
    "((a{1,100}){1,100}){1,100}",
    "|||||||||||",
    "(?:a?){1000}a{1000}",
    "[^\\u0000]{1000}",
];

const WORDS: &[&str] = &[
    "audit",
    ".",
    "verb",
    "audit.verb",
    "audit.requestObject",
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
    " in ",
    "1",
    "0u",
    "1.5",
    "1e400",
    "0x",
    "'a'",
    "\"\"",
    "b'x'",
    "true",
    "null",
    "x",
    "map",
    ".map(x,",
    ".exists(x,",
    ".all(k,v,",
    ".size()",
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
    "'''",
    "'",
    "\"",
    "\n",
    "// c\n",
    "`",
    "\\",
    "é",
    "variables.v",
    "dyn(",
    "type(",
    "9223372036854775808",
    "{1:2}",
    "[1,2]",
    ".split(",
    "cel.bind(x,",
    ".format(",
    "\u{0}",
    "\u{feff}",
    "😀",
    "\u{202e}",
    "for",
    "in",
    "_",
    "__result__",
    "@",
    "#",
    "$",
    ";",
    "\\u",
    "'\\ud800'",
    "-9223372036854775808",
];

/// The worst by hand.
pub fn worst() -> Vec<String> {
    let mut all =
        vec![String::new(), " ".repeat(4097), "\0".repeat(4096), "😀".repeat(1000), ",".repeat(1999), "'".repeat(4096)];
    for (open, middle, close) in NESTS {
        let one = open.len() + close.len();
        for most in [8, 15, 32, 64, (4096 - middle.len()) / one, 4000] {
            all.push(nested(most, open, middle, close));
        }
    }
    for link in CHAINS {
        for operand in ["1", "'aaaaaaaaaaaaaaaa'", "[1,2,3]", "a"] {
            for most in [400, 990, 4090 / link.len()] {
                all.push(format!("{operand}{}", link.repeat(most)));
            }
        }
    }
    for pattern in PATTERNS {
        all.push(format!("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches('{pattern}')"));
        let many: Vec<String> = (0..16).map(|n| format!("audit.verb.matches('{pattern}{n}')")).collect();
        all.push(many.join("||"));
        all.push(format!("[1,2,3].all(x, audit.verb.matches('{pattern}' + string(x)))"));
    }
    let hundred = format!("[{}]", vec!["1"; 100].join(","));
    // A zone that is looked up at each of many steps.
    all.push("lists.range(24000).map(i, event.created.getFullYear('America/New_York')).size() > 0".to_owned());
    all.push(format!("{hundred}.map(a,{hundred}.map(b,{hundred}.map(c,[a,b,c])))"));
    all.push(format!("{hundred}.transformMap(a,b,{hundred}.transformMap(c,d,'aaaaaaaa'))"));
    all.push((0..14).fold("[1]".to_owned(), |inner, _| format!("[{inner}].map(x, [x, x, x, x])[0]")));
    all.push((0..24).fold("'aaaaaaaa'".to_owned(), |inner, n| format!("cel.bind(v{n},{inner},v{n}+v{n})")));
    all.push((0..40).rev().fold("v0".to_owned(), |inner, n| {
        format!("cel.bind(v{n},optional.none().value(),[v{n}=={{v{}:v{}}},{inner}])", n + 1, n + 1)
    }));
    all.push(format!("lists.range({})", i64::MAX));
    all.push("lists.range(99999).map(x, lists.range(99999))".into());
    all.push(format!("'{}'.split('').map(x, '{}')", "a".repeat(1900), "b".repeat(1900)));
    all.push(format!("'%.{}f'.format([1.5])", u64::MAX));
    all.push("'%.999999999f%.999999999e'.format([1.5, 1.5])".into());
    all.push(format!("timestamp('{}')", "9".repeat(3000)));
    all.push(format!("duration('{}h')", "9".repeat(3000)));
    all.push(format!("{}.{}", "1".repeat(2000), "1".repeat(2000)));
    all.push(format!("1e{}", "9".repeat(4000)));
    all.push(format!("double('{}e-{}')", "1".repeat(2000), "9".repeat(1900)));
    all
}

/// Any source.
pub fn any(seed: u64) -> String {
    let dice = &mut Dice::new(seed);
    match dice.below(8) {
        0 => bytes(dice),
        1 | 2 => soup(dice),
        3 => nest(dice),
        4 => {
            let operand = soup(dice).chars().take(20).collect::<String>();
            let most = dice.below(1200);
            format!("{operand}{}", (0..most).map(|_| dice.pick(CHAINS)).collect::<String>())
        }
        5 => {
            let calls = (0..1 + dice.below(20)).map(|_| format!("audit.verb.matches('{}')", pattern(dice)));
            calls.collect::<Vec<_>>().join(" || ")
        }
        6 => mutated(dice, seed),
        _ => comprehensions(dice),
    }
}

fn bytes(dice: &mut Dice) -> String {
    let bytes: Vec<u8> = (0..dice.below(4200)).map(|_| dice.below(256) as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn soup(dice: &mut Dice) -> String {
    let most = dice.pick(&[6, 40, 400, 1500]);
    let space = dice.pick(&["", " "]);
    (0..dice.below(most)).map(|_| dice.pick(WORDS)).collect::<Vec<_>>().join(space)
}

/// One within the other, of all kinds.
fn nest(dice: &mut Dice) -> String {
    let mut source = dice.pick(WORDS).to_owned();
    for _ in 0..dice.below(120) {
        let (open, _, close) = dice.pick(NESTS);
        source = format!("{open}{source}{close}");
    }
    source
}

fn pattern(dice: &mut Dice) -> String {
    let parts =
        ["a", "(", ")", "[", "]", "{1000}", "{0,999}", "*", "+", "?", "|", r"\\w", r"\\pL", "(?i)", "é", "^", "$", "."];
    match dice.below(3) {
        0 => dice.pick(PATTERNS).to_owned(),
        1 => (0..dice.below(60)).map(|_| dice.pick(&parts)).collect(),
        _ => {
            let (inner, times) = (pattern(dice), dice.pick(&["{500}", "{2,}", "*", "{1,1000}"]));
            format!("({}){times}", inner.chars().take(200).collect::<String>())
        }
    }
}

/// A good expression with parts missing, doubled or moved.
fn mutated(dice: &mut Dice, seed: u64) -> String {
    let variables = [("audit.requestObject".to_owned(), Type::Dyn), ("audit.verb".to_owned(), named("string"))];
    let mut chars: Vec<char> = generate(seed, &signatures(), &variables).expression.chars().collect();
    for _ in 0..1 + dice.below(6) {
        let from = dice.below(chars.len());
        let to = (from + dice.below(40)).min(chars.len());
        match dice.below(4) {
            0 => drop(chars.drain(from..to)),
            1 => {
                let part: Vec<char> = chars[from..to].to_vec();
                let times = dice.pick(&[1, 3, 30]);
                let place = dice.below(chars.len());
                chars.splice(place..place, part.repeat(times));
            }
            2 => chars.splice(from..from, dice.pick(WORDS).chars()).for_each(drop),
            _ => chars[from..to].reverse(),
        }
    }
    chars.into_iter().collect()
}

/// Loops in loops over what grows.
fn comprehensions(dice: &mut Dice) -> String {
    const RANGES: &[&str] = &[
        "lists.range(1000)",
        "[1,2,3,4,5,6,7,8]",
        "{'a':1,'b':2}",
        "'aaaaaaaaaaaaaaaa'.split('')",
        "audit.user.groups",
        "x",
    ];
    const BODIES: &[&str] = &[
        "[x,x,x,x]",
        "x",
        "x+x",
        "{'k':x}",
        "'%s%s%s'.format([x,x,x])",
        "string(x)",
        "[x]+[x]",
        "optional.of(x)",
        "x==x",
    ];
    let mut source = dice.pick(BODIES).to_owned();
    for _ in 0..1 + dice.below(5) {
        let range = dice.pick(RANGES);
        source = match dice.below(6) {
            0 => format!("{range}.map(x,{source})"),
            1 => format!("{range}.filter(x,dyn({source})!=1)"),
            2 => format!("{range}.transformMap(y,x,{source})"),
            3 => format!("cel.bind(x,{range},{source})"),
            4 => format!("{range}.map(x,{source}).flatten().sort()"),
            _ => format!("[{source},{source}]"),
        };
    }
    if dice.percent(50) { format!("cel.bind(x,['a'],{source})") } else { source }
}
