//! The alert's summary: literal text with slots. Parsed and checked once; filled from a finding.

/// A parsed summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
    /// How many `Part::Capture` slots there are.
    pub slots: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// `{key.NAME}`: index into the rule's `key_names`.
    Key(usize),
    /// `{SELECTOR.count}`: how many contributing matches the selector has; index into the rule's selectors.
    Count(usize),
    /// `{SELECTOR.field}`: the value of capture slot `slot`, from the newest contributing match of that selector.
    Capture {
        selector: usize,
        slot: usize,
    },
}
