//! What bounds an expression, for the reference page: the numbers are those that the parser and the checker hold.

use super::{budget, check, parse, pattern};

/// One bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What is bounded, with its unit.
    pub what: &'static str,
    pub most: u64,
}

/// All bounds of an expression: those at compile time, then the steps that an evaluation may take.
pub fn bounds() -> Vec<Bound> {
    let bound = |what, most: usize| Bound { what, most: most as u64 };
    vec![
        bound("bytes of one expression", parse::SOURCE),
        bound("brackets nested in each other", parse::BRACKETS),
        bound("levels of its syntax tree", parse::DEPTH),
        bound("parts (literals, names, calls), those of the variables that it uses counted each time", parse::NODES),
        bound("macros over lists and maps in each other's bodies", check::MACROS),
        bound("literal regular expressions", check::PATTERNS),
        bound("bytes of a regular expression", pattern::PATTERN),
        bound(
            "Unicode classes (`\\p`, `\\P`) of all literal regular expressions; of one that is no literal a quarter",
            pattern::CLASSES,
        ),
        Bound {
            what: "steps of an evaluation: about one a part, an element, 64 bytes of text",
            most: budget::STEP_LIMIT,
        },
    ]
}
