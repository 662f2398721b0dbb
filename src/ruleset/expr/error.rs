//! What can be wrong with an expression: at compile time with its place in the source, at run time with the values that
//! did not fit. Neither ever ends a process.

use std::fmt;

/// Characters of the offending line that an excerpt shows.
const EXCERPT: usize = 120;

/// An expression that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The line around the place, at most 120 characters of it, and below it a caret.
    pub excerpt: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        write!(f, "\n{}", self.excerpt)
    }
}

impl std::error::Error for ExprError {}

impl ExprError {
    /// An error at byte `offset` of `source`; an offset beyond it stands for its end.
    pub(in crate::ruleset) fn at(
        source: &str,
        offset: usize,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> ExprError {
        let mut offset = offset.min(source.len());
        while !source.is_char_boundary(offset) {
            offset -= 1;
        }
        let (before, after) = source.split_at(offset);
        let lines_before = before.matches('\n').count();
        let start = before.rsplit('\n').next().unwrap_or_default();
        let rest = after.split('\n').next().unwrap_or_default();
        let column = start.chars().count();
        ExprError {
            line: count(lines_before),
            column: count(column),
            message: message.into(),
            hint,
            excerpt: excerpt(start, rest, column),
        }
    }

    /// An error at a line and a column in characters, both from 1.
    pub(super) fn at_line(source: &str, line: usize, column: usize, message: impl Into<String>) -> ExprError {
        let mut offset = 0;
        for (number, text) in source.split_inclusive('\n').enumerate() {
            if number + 1 == line {
                offset += text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
                break;
            }
            offset += text.len();
        }
        ExprError::at(source, offset, message, None)
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1)
}

/// A window of the line that has the place in it, and a caret under the place.
fn excerpt(start: &str, rest: &str, column: usize) -> String {
    let fits = column + rest.chars().count() <= EXCERPT;
    let skip = if fits { 0 } else { column.saturating_sub(EXCERPT / 2) };
    let shown: String = start
        .chars()
        .skip(skip)
        .chain(rest.chars())
        .take(EXCERPT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("{}\n{}^", shown.trim_end(), " ".repeat(column - skip))
}

/// Why an evaluation has no value. All but `OverBudget` are values of CEL's own error semantics: `||`, `&&`, `exists`, `all`
/// absorb them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("over the budget of evaluation steps; narrow the condition or its lists")]
    OverBudget,
    #[error("no such key `{0}`; test it with has() or read it with .? and orValue()")]
    NoSuchKey(String),
    #[error("index {0} is out of range")]
    IndexOutOfRange(String),
    #[error("no such overload: {0}")]
    NoSuchOverload(String),
    #[error("{0} overflows")]
    Overflow(&'static str),
    #[error("division by zero")]
    DivisionByZero,
    #[error("optional has no value; read it with orValue()")]
    NoValue,
    #[error("{0}")]
    BadArgument(String),
}
