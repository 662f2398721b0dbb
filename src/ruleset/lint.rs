//! The linter: what a rule may do and its author hardly meant. In: a rule that compiles. Out: warnings, each with an id, the
//! place and a remedy. It never refuses a rule, and says nothing rather than something wrong: what it can't tell, it lets pass.

mod action;
mod chain;
mod compared;
mod constant;
mod detection;
mod facts;
mod fields;
mod fixed;
mod negation;
mod pattern;
mod policy;
mod possible;
mod reach;
mod redacted;
mod rule;
mod value;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;

use std::fmt;

use self::rule::{Expression, ParsedRule};
use super::{
    compile::RuleSource,
    expr::{ExprError, view::Ast},
};
use crate::api::rule::{RuleWarning, Source};

pub use detection::reach;

/// Bytes of the record that rules are held against where no controller is at hand: the default of `--retain-bytes`.
pub const DEFAULT_RECORD: u64 = 10 << 30;

/// Most warnings of one rule.
pub const MAX_WARNINGS: usize = 16;
/// Longest text of one warning in a status, in characters.
const MAX_TEXT: usize = 1024;

/// What is doubtful. The name is the id that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lint {
    NeverMatches,
    NotLogged,
    StageNotLogged,
    OutOfScope,
    Redacted,
    FieldNeverSet,
    EmptyKey,
    UnknownAction,
    UnknownValue,
    AlwaysFails,
    KeysNeverMeet,
    FixedValue,
    NegatedDynamic,
    AlwaysMatches,
    WindowOutlivesRecord,
    ForgetsWhileLearning,
    RepeatedStep,
    NoGroupBy,
    UnusedSelector,
    UnusedVariable,
    PlainPattern,
    UnanchoredPattern,
}

impl Lint {
    pub const ALL: [Lint; 22] = [
        Lint::NeverMatches,
        Lint::NotLogged,
        Lint::StageNotLogged,
        Lint::OutOfScope,
        Lint::Redacted,
        Lint::FieldNeverSet,
        Lint::EmptyKey,
        Lint::UnknownAction,
        Lint::UnknownValue,
        Lint::AlwaysFails,
        Lint::KeysNeverMeet,
        Lint::FixedValue,
        Lint::NegatedDynamic,
        Lint::AlwaysMatches,
        Lint::WindowOutlivesRecord,
        Lint::ForgetsWhileLearning,
        Lint::RepeatedStep,
        Lint::NoGroupBy,
        Lint::UnusedSelector,
        Lint::UnusedVariable,
        Lint::PlainPattern,
        Lint::UnanchoredPattern,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Lint::NeverMatches => "NeverMatches",
            Lint::NotLogged => "NotLogged",
            Lint::StageNotLogged => "StageNotLogged",
            Lint::OutOfScope => "OutOfScope",
            Lint::Redacted => "Redacted",
            Lint::FieldNeverSet => "FieldNeverSet",
            Lint::EmptyKey => "EmptyKey",
            Lint::UnknownAction => "UnknownAction",
            Lint::UnknownValue => "UnknownValue",
            Lint::AlwaysFails => "AlwaysFails",
            Lint::FixedValue => "FixedValue",
            Lint::ForgetsWhileLearning => "ForgetsWhileLearning",
            Lint::KeysNeverMeet => "KeysNeverMeet",
            Lint::NegatedDynamic => "NegatedDynamic",
            Lint::AlwaysMatches => "AlwaysMatches",
            Lint::WindowOutlivesRecord => "WindowOutlivesRecord",
            Lint::RepeatedStep => "RepeatedStep",
            Lint::NoGroupBy => "NoGroupBy",
            Lint::UnusedSelector => "UnusedSelector",
            Lint::UnusedVariable => "UnusedVariable",
            Lint::PlainPattern => "PlainPattern",
            Lint::UnanchoredPattern => "UnanchoredPattern",
        }
    }

    /// What it stands for, and why that is likely a mistake. Markdown, a sentence or two.
    pub fn meaning(self) -> &'static str {
        match self {
            Lint::NeverMatches => {
                "The conditions of a selector contradict each other: it can never match. So do an `event.provider` and an \
                 `event.action` of another."
            }
            Lint::NotLogged => {
                "The selector needs a body that the audit policy in `manifests/audit/policy.yaml` does not keep for the \
                 requests that it selects: under that policy it can't match."
            }
            Lint::StageNotLogged => {
                "The selector takes only stages that the audit policy in `manifests/audit/policy.yaml` leaves out."
            }
            Lint::OutOfScope => {
                "A SecurityRule asks for another namespace, or for objects of the whole cluster; it sees its own namespace \
                 alone."
            }
            Lint::Redacted => {
                "A value is compared that redaction removes before any rule sees it; it reads `[redacted]`."
            }
            Lint::FieldNeverSet => {
                "A field that the selector's source never sets: it is always empty there. Or a key below `fields` that no parser \
                 sets, or none of those whose events the selector takes."
            }
            Lint::EmptyKey => {
                "A `groupBy` key, or a value to count, that is always empty for a selector. An empty key joins nothing, so \
                 the selector can't take part."
            }
            Lint::NegatedDynamic => {
                "A negation (`!`, `!=`) over a key of a body or map that may be missing. A missing key is an error, and so \
                 no match, where the author most often wants one."
            }
            Lint::AlwaysMatches => "The condition holds for every event of the source.",
            Lint::UnknownAction | Lint::UnknownValue | Lint::AlwaysFails | Lint::KeysNeverMeet | Lint::FixedValue => {
                self.meaning_of_values()
            }
            Lint::WindowOutlivesRecord
            | Lint::ForgetsWhileLearning
            | Lint::RepeatedStep
            | Lint::NoGroupBy
            | Lint::UnusedSelector
            | Lint::UnusedVariable
            | Lint::PlainPattern
            | Lint::UnanchoredPattern => self.meaning_of_style(),
        }
    }

    /// Of values that something can't have, or has always.
    fn meaning_of_values(self) -> &'static str {
        match self {
            Lint::UnknownAction => {
                "`event.action` is compared with a value that no event of the source has: the \
                 [reference of fields](event-fields.md) lists all. The verb of an audit event is in lower case, and one of a \
                 request: RBAC's `bind`, `escalate`, `impersonate` or `use` are permissions and never verbs of requests."
            }
            Lint::UnknownValue => {
                "A field is compared with a value that it can't have: a network where it holds an address, a resource in the \
                 singular, with capitals or with its subresource, a version where an API group stands, a pattern where `==` wants the \
                 text itself, a category, type, provider or service that no event has, a text for a number in a list."
            }
            Lint::AlwaysFails => {
                "A part without fields that fails for every event, such as `1 / 0` or `int(\"abc\")`. As in Kubernetes it compiles, since \
                 `&&` and `||` may absorb the error, but it is never what was meant. A literal that can't be read (a time, a span \
                 of time, a time zone, an address, a network, a pattern) is refused."
            }
            Lint::KeysNeverMeet => {
                "Two steps, or what is expected and after what, can never have the same key: their conditions fix it to different \
                 values."
            }
            Lint::FixedValue => {
                "What a Threshold counts the `distinct` values of, or a NewValue learns, can't vary enough: it is a `groupBy` key, \
                 or the conditions fix it. The rule can never fire, or fires on the first value alone."
            }
            _ => self.as_str(),
        }
    }

    /// Of what may well work, and is better said otherwise.
    fn meaning_of_style(self) -> &'static str {
        match self {
            Lint::WindowOutlivesRecord => {
                "A window, or what a NewValue rule remembers, is longer than the record reaches back. After a restart that has no \
                 snapshot to go on from (`--snapshot-every`) both are rebuilt from the record, and the record is bounded by its \
                 size: what is older than its beginning is forgotten. The controller goes by its own `--retain-bytes`, at 1.5 GB \
                 of events a day; offline it is the default, 10 GiB, which is a week."
            }
            Lint::ForgetsWhileLearning => {
                "A NewValue rule's `forgetAfter` is shorter than its `learnFor`: it forgets what it learns while it learns, and takes it \
                 for new."
            }
            Lint::RepeatedStep => {
                "Neighbouring steps name the same selector. An event serves one step, so they ask for the sum of their counts."
            }
            Lint::NoGroupBy => {
                "Without `groupBy` all findings of the rule fold into one alert, whoever caused them, and unrelated events \
                 complete a Threshold or a Sequence together."
            }
            Lint::UnusedSelector => "A selector that the detection does not name.",
            Lint::UnusedVariable => "A variable that no expression reads.",
            Lint::PlainPattern => {
                "A regular expression without any operator; a plain function says the same and is faster."
            }
            Lint::UnanchoredPattern => {
                "Alternatives of plain words without anchors: `matches` looks for them anywhere in the text, so \
                 `get|list` matches `budget` too."
            }
            _ => self.as_str(),
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The line, and below it a caret.
    pub excerpt: String,
}

/// One thing that is doubtful about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub lint: Lint,
    /// The field of the rule, such as `spec.selectors[failed].where`.
    pub field: String,
    /// `None` when it is about the field as a whole.
    pub place: Option<Place>,
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Warning {
    fn of_field(lint: Lint, field: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Warning {
        Warning { lint, field: field.into(), place: None, message: message.into(), hint: hint.into() }
    }

    /// A warning at the start of `ast`, a part of `expression`.
    fn at(lint: Lint, expression: &Expression, ast: &Ast, message: String, hint: impl Into<String>) -> Warning {
        let ExprError { line, column, excerpt, message, hint } =
            ExprError::at(&expression.text, ast.start, message, hint);
        let place = Some(Place { line, column, excerpt });
        Warning { lint, field: expression.field.clone(), place, message, hint }
    }

    /// As the status of a rule shows it.
    pub fn in_status(&self) -> RuleWarning {
        let text = match &self.place {
            Some(Place { line, column, excerpt }) => {
                format!("{line}:{column}: {}; {}\n{excerpt}", self.message, self.hint)
            }
            None => format!("{}; {}", self.message, self.hint),
        };
        let text = text.chars().take(MAX_TEXT).collect();
        RuleWarning {
            lint: self.lint.as_str().to_owned(),
            field: self.field.chars().take(256).collect(),
            message: text,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.lint, self.field)?;
        if let Some(Place { line, column, .. }) = &self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}; {}", self.message, self.hint)?;
        match &self.place {
            Some(place) => write!(f, "\n{}", place.excerpt),
            None => Ok(()),
        }
    }
}

/// The warnings of a rule that compiles, at most `MAX_WARNINGS`, the worst first. A rule that does not compile has none.
pub fn lint(source: &RuleSource) -> Vec<Warning> {
    lint_within(source, DEFAULT_RECORD)
}

/// The same under a controller that keeps `record_bytes` of the record.
pub fn lint_within(source: &RuleSource, record_bytes: u64) -> Vec<Warning> {
    let Some(rule) = ParsedRule::of(source) else { return Vec::new() };
    let mut warnings = Vec::new();
    for selector in &rule.selectors {
        let reached = reach::check(&rule, selector, &mut warnings);
        if selector.written.source == Source::Audit {
            policy::check(selector, &reached, &mut warnings);
        }
        reach::check_scope(&rule, selector, &reached, &mut warnings);
        fields::check(&rule, selector, &reached, &mut warnings);
        let compared = compared::all(&rule, selector);
        action::check(selector.written.source, &compared, &mut warnings);
        value::check(selector.written.source, &compared, &mut warnings);
        value::check_group(selector, &reached, &mut warnings);
        redacted::check(&rule, selector, &reached, &mut warnings);
        negation::check(&rule, selector, &mut warnings);
        pattern::check(&rule, selector, &mut warnings);
    }
    constant::check(&rule, &mut warnings);
    detection::check(&rule, record_bytes, &mut warnings);
    fixed::check(&rule, &mut warnings);
    warnings.sort_by_key(|warning| warning.lint);
    let mut seen: Vec<Warning> = Vec::new();
    for warning in warnings {
        if !seen.contains(&warning) {
            seen.push(warning);
        }
    }
    seen.truncate(MAX_WARNINGS);
    seen
}
