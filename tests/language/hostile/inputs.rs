//! Sources that nobody means well with: any mixture from a seed.

use super::{
    super::generate::{
        dice::Dice,
        generate,
        types::{Type, named, signatures},
    },
    corpus::{CHAINS, CLASSES, NESTS, PATTERNS},
};

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
    match dice.below(4) {
        0 => dice.pick(PATTERNS).to_owned(),
        3 => (0..dice.below(12)).map(|_| dice.pick(CLASSES).replace('\\', r"\\")).collect(),
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
