//! Why a test of a rule does not pass: what differs, or why it can't run. For people.

use std::fmt;

use jiff::SignedDuration;

use crate::pipeline::{
    keyless::Keyless,
    trial::{MAX_BYTES, MAX_INPUTS, MAX_STEPS},
};

/// What a test found; `Display` is the first difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// More inputs than `MAX_INPUTS` after `repeat`, with those of the tests before.
    TooLong { inputs: usize },
    /// More bytes than `MAX_BYTES`, in the same way.
    TooLarge { bytes: usize },
    /// More steps than `MAX_STEPS`, with those of the tests before.
    OverBudget,
    /// An expected alert that names a field which events don't have.
    Field { name: String },
    /// An input that this build can't read.
    Input { index: usize, problem: String },
    /// An input of a rule that waits, which a live controller would not have waited for: offsets of its own time and its receipt.
    Late { at: SignedDuration, received: SignedDuration, lateness: SignedDuration },
    /// `advanceTo` lies before an input.
    EndsEarly,
    /// Fewer alerts than expected of a rule that waits for time to pass; whether the test lets it pass.
    Waits { difference: Box<Failed>, until: bool },
    /// Another number of alerts than expected: what was expected and is not there, and what is there and was not.
    Count { expected: usize, found: usize, missing: Vec<String>, surplus: Vec<String>, matched: u64, events: u64 },
    /// A difference, with evaluations that ended without a value: probably why.
    Unevaluated { difference: Box<Failed>, count: u64, first: String },
    /// A difference, with events that a selector takes and whose key is empty: probably why.
    Keyless { difference: Box<Failed>, keyless: Keyless },
    /// A difference, with events that came when what they join was dropped: probably why.
    Dropped { difference: Box<Failed>, late: u64, lateness: SignedDuration },
    /// An expected alert that no raised one equals.
    Missing { expected: String, found: Vec<String> },
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::TooLong { inputs } => {
                write!(
                    f,
                    "the inputs expand to {inputs} events, and all tests of a rule may have {MAX_INPUTS}: repeat less"
                )
            }
            Failed::TooLarge { bytes } => {
                write!(
                    f,
                    "the inputs expand to {bytes} bytes, and all tests of a rule may have {MAX_BYTES}: repeat less"
                )
            }
            Failed::OverBudget => write!(
                f,
                "evaluating the inputs takes over {MAX_STEPS} steps, and all tests of a rule may take as many: repeat less, or \
                 make the conditions cheaper"
            ),
            Failed::Field { name } => {
                write!(f, "`absent` names {name:?}, which is no event field: docs/reference/event-fields.md lists them")
            }
            Failed::Input { index, problem } => write!(f, "input {}: {problem}", index + 1),
            Failed::Late { at, received, lateness } => write!(
                f,
                "the event of {at:#} is received at {received:#}, and a live controller waits {lateness:#} for what is late: by then \
                 the rule has decided without it, or dropped what it would join. Let `received` follow its time by {lateness:#} at most"
            ),
            Failed::EndsEarly => f.write_str(
                "`advanceTo` lies before the last input: it is an offset from the start of the test, like `at`",
            ),
            Failed::Count { .. }
            | Failed::Unevaluated { .. }
            | Failed::Waits { .. }
            | Failed::Keyless { .. }
            | Failed::Dropped { .. }
            | Failed::Missing { .. } => self.show_difference(f),
        }
    }
}

impl Failed {
    /// Of a test that ran, and found something else.
    fn show_difference(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Count { expected, found, missing, surplus, matched, events } => {
                write!(f, "expected {expected} alert(s), found {found}")?;
                write!(f, " (selectors took {matched} of {events} events)")?;
                missing.iter().try_for_each(|alert| write!(f, "\n  missing:      {alert}"))?;
                surplus.iter().try_for_each(|alert| write!(f, "\n  not expected: {alert}"))
            }
            Failed::Unevaluated { difference, count, first } => {
                write!(f, "{difference}\n  {count} evaluation(s) ended without a value, the first with: {first}")
            }
            Failed::Waits { difference, until: false } => write!(
                f,
                "{difference}\n  a rule that waits decides when time has passed: end the test with `advanceTo`, an offset from its \
                 start that lies beyond the deadline"
            ),
            Failed::Waits { difference, until: true } => write!(
                f,
                "{difference}\n  a rule that waits decides when time has passed: does `advanceTo` lie beyond the deadline (`within`), \
                 or the event behind `learnFor`, with no more than `forgetAfter` between the events before it?"
            ),
            Failed::Keyless { difference, keyless } => write!(f, "{difference}\n  {keyless}"),
            Failed::Missing { expected, found } => {
                write!(f, "expected: {expected}")?;
                found.iter().try_for_each(|alert| write!(f, "\n  found:    {alert}"))
            }
            Failed::Dropped { difference, late, lateness } => write!(
                f,
                "{difference}\n  {late} event(s) were received later than {lateness:#} after their time, and what they would have joined \
                 may be dropped by then, as in a live controller"
            ),
            refusal => fmt::Display::fmt(refusal, f),
        }
    }
}
