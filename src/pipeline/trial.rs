//! What the tests of one rule may cost, and what of the rule they exercise. In: what was seen of their inputs. Out: a refusal once
//! they cost too much, which depends on nothing but the rule; and for each test the selectors and steps that it exercises.

use super::{
    budget::ALLOWED,
    rule_test::Failed,
    seen::{Seen, What},
};
use crate::{
    api::rule_test::{RuleTest, TestInput},
    ruleset::{CompiledDetection, CompiledRule},
};

/// Most inputs that the tests of a rule may expand to (`repeat`).
pub const MAX_INPUTS: usize = 10_000;
/// Most bytes of these inputs, as written.
pub const MAX_BYTES: usize = 16 << 20;
/// Most steps that their evaluation may take: half a second, and what a live rule may take in ten thousand events.
pub const MAX_STEPS: u64 = ALLOWED;

/// What the tests of one rule have cost so far.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    inputs: usize,
    bytes: usize,
    steps: u64,
}

impl Cost {
    /// Takes in a test before it runs.
    pub fn admit(&mut self, test: &RuleTest) -> Result<(), Failed> {
        let times = |input: &TestInput| input.repeat.max(1) as usize;
        self.inputs = self.inputs.saturating_add(test.input.iter().map(times).sum());
        if self.inputs > MAX_INPUTS {
            return Err(Failed::TooLong { inputs: self.inputs });
        }
        let bytes = test.input.iter().map(|input| times(input).saturating_mul(size(input)));
        self.bytes = bytes.fold(self.bytes, usize::saturating_add);
        if self.bytes > MAX_BYTES { Err(Failed::TooLarge { bytes: self.bytes }) } else { Ok(()) }
    }

    /// Takes in what was seen of an input.
    pub fn charge(&mut self, seen: &Seen) -> Result<(), Failed> {
        if let What::Event(event) = &seen.what {
            self.steps = self.steps.saturating_add(event.detected.steps);
        }
        if self.steps > MAX_STEPS { Err(Failed::OverBudget) } else { Ok(()) }
    }
}

fn size(input: &TestInput) -> usize {
    let event = input.event.as_ref().map_or(0, |event| serde_json::to_vec(&event.0).map_or(0, |text| text.len()));
    event.max(input.log.as_ref().map_or(0, String::len))
}

/// How many events of one test each selector of the rule took.
#[derive(Debug, Clone, Default)]
pub struct Exercised {
    taken: Vec<u64>,
}

impl Exercised {
    pub fn note(&mut self, seen: &Seen) {
        let What::Event(event) = &seen.what else { return };
        for found in &event.detected.matches {
            let needed = self.taken.len().max(found.selector + 1);
            self.taken.resize(needed, 0);
            if let Some(taken) = self.taken.get_mut(found.selector) {
                *taken += 1;
            }
        }
    }

    fn taken(&self, selector: usize) -> u64 {
        self.taken.get(selector).copied().unwrap_or_default()
    }

    /// Whether the test exercises `part`: a selector that took an event, a step that as many came of as it needs.
    pub fn includes(&self, part: &Part) -> bool {
        self.taken(part.selector) >= part.count
    }
}

/// A part of a rule that a test can exercise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `selector NAME`, or `step NUMBER (NAME)`.
    pub name: String,
    pub is_step: bool,
    selector: usize,
    count: u64,
}

/// All selectors and steps of a rule.
pub fn parts(rule: &CompiledRule) -> Vec<Part> {
    let selectors = rule.selectors.iter().enumerate();
    let mut parts: Vec<Part> = selectors
        .map(|(selector, s)| Part { name: format!("selector {}", s.name), is_step: false, selector, count: 1 })
        .collect();
    if let CompiledDetection::Sequence { steps, .. } = &rule.detection {
        let name = |selector: usize| rule.selectors.get(selector).map_or("", |s| &*s.name);
        parts.extend(steps.iter().enumerate().map(|(index, step)| Part {
            name: format!("step {} ({})", index + 1, name(step.selector)),
            is_step: true,
            selector: step.selector,
            count: u64::from(step.count),
        }));
    }
    parts
}
