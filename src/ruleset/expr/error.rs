//! What can be wrong with an expression: at compile time with its place in the source, at run time with the values that
//! did not fit. Neither ever ends a process.

use std::fmt;

use super::excerpt::{excerpt, plain};

/// An expression that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    pub message: String,
    /// What to write instead.
    pub hint: String,
    /// The line around the place, at most 120 columns of it, and below it a caret.
    pub excerpt: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.on_one_line(), self.excerpt)
    }
}

impl std::error::Error for ExprError {}

impl ExprError {
    /// Place, message and hint, without the excerpt.
    pub fn on_one_line(&self) -> String {
        format!("{}:{}: {}; {}", self.line, self.column, self.message, self.hint)
    }

    /// An error at byte `offset` of `source`; an offset beyond it stands for its end.
    pub(in crate::ruleset) fn at(
        source: &str,
        offset: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
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
            message: plain(&message.into()),
            hint: plain(&hint.into()),
            excerpt: excerpt(start, rest),
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1)
}

/// Why an evaluation has no value. All but `OverBudget` are values of CEL's own error semantics: `||`, `&&`, `exists`, `all`
/// absorb them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    OverBudget,
    NoSuchKey(String),
    IndexOutOfRange(String),
    NoSuchOverload(String),
    Overflow(&'static str),
    DivisionByZero,
    NoValue,
    BadArgument(String),
}

impl EvalError {
    pub(super) fn message(&self) -> String {
        match self {
            EvalError::OverBudget => "over the budget of evaluation steps".into(),
            EvalError::NoSuchKey(key) => format!("no such key `{key}`"),
            EvalError::IndexOutOfRange(index) => format!("index {index} is out of range"),
            EvalError::NoSuchOverload(call) => format!("no such overload: {call}"),
            EvalError::Overflow(what) => format!("{what} overflows"),
            EvalError::DivisionByZero => "division by zero".into(),
            EvalError::NoValue => "optional has no value".into(),
            EvalError::BadArgument(what) => what.clone(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            EvalError::OverBudget => "narrow the condition or its lists",
            EvalError::NoSuchKey(_) => "test it with has() or read it with .? and orValue()",
            EvalError::IndexOutOfRange(_) => "compare with size() first, or read it with [?…] and orValue()",
            EvalError::NoSuchOverload(_) => "convert the value, or compare type(…) first",
            EvalError::Overflow(_) => "use double() where numbers can be that large",
            EvalError::DivisionByZero => "test the divisor first, as in `n != 0 && m / n > 1`",
            EvalError::NoValue => "read it with orValue()",
            EvalError::BadArgument(_) => "change the value, or test it first",
        }
    }

    /// The error with the place of the part that failed, which begins at byte `offset` of `source`.
    pub(super) fn placed(&self, source: &str, offset: usize) -> ExprError {
        ExprError::at(source, offset, self.message(), self.hint())
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&self.message()))?;
        match self {
            EvalError::OverBudget | EvalError::NoSuchKey(_) | EvalError::NoValue => write!(f, "; {}", self.hint()),
            EvalError::IndexOutOfRange(_)
            | EvalError::NoSuchOverload(_)
            | EvalError::Overflow(_)
            | EvalError::DivisionByZero
            | EvalError::BadArgument(_) => Ok(()),
        }
    }
}

impl std::error::Error for EvalError {}
