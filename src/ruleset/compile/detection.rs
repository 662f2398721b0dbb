//! `spec.detection` and what depends on its type.

use super::{Compiler, Expected, Part, Program, Template};
use crate::{
    api::{
        Span,
        rule::{DetectionType, Selector},
    },
    ruleset::{CompiledDetection, CompiledStep},
};

impl Compiler<'_> {
    fn selector_index(&mut self, field: &str, name: &str) -> usize {
        self.spec.selectors.iter().position(|s| s.name == name).unwrap_or_else(|| {
            self.unknown_selector(field, name);
            0
        })
    }

    pub(super) fn detection(&mut self) -> CompiledDetection {
        let detection = &self.spec.detection;
        let type_ = detection.type_;
        let members = [
            (DetectionType::Threshold, "threshold", detection.threshold.is_some()),
            (DetectionType::Sequence, "sequence", detection.sequence.is_some()),
            (DetectionType::Absence, "absence", detection.absence.is_some()),
            (DetectionType::NewValue, "newValue", detection.new_value.is_some()),
        ];
        for (owner, member, set) in members {
            if set != (owner == type_) {
                let verb = if set { "must not" } else { "must" };
                self.invalid(
                    format!("spec.detection.{member}"),
                    format!("{verb} be set when type is {}", type_.as_str()),
                );
            }
        }
        match type_ {
            DetectionType::Match => CompiledDetection::Match,
            DetectionType::Threshold => self.threshold(),
            DetectionType::Sequence => self.sequence(),
            DetectionType::Absence => self.absence(),
            DetectionType::NewValue => self.new_value(),
        }
    }

    fn threshold(&mut self) -> CompiledDetection {
        let Some(threshold) = &self.spec.detection.threshold else { return CompiledDetection::Match };
        let selector = match (&threshold.selector, self.spec.selectors.len()) {
            (Some(name), _) => self.selector_index("spec.detection.threshold.selector", name),
            (None, 0 | 1) => 0,
            (None, _) => {
                self.invalid("spec.detection.threshold.selector", "must name one, since there are several selectors");
                0
            }
        };
        self.check_count("spec.detection.threshold.count", threshold.count);
        self.check_within("spec.detection.threshold.within", threshold.within);
        CompiledDetection::Threshold {
            selector,
            count: threshold.count,
            distinct: threshold.distinct.is_some(),
            within: threshold.within.as_signed(),
        }
    }

    fn sequence(&mut self) -> CompiledDetection {
        let Some(sequence) = &self.spec.detection.sequence else { return CompiledDetection::Match };
        if !(2..=8).contains(&sequence.steps.len()) {
            self.invalid("spec.detection.sequence.steps", "must have 2 to 8 items");
        }
        self.check_within("spec.detection.sequence.within", sequence.within);
        let mut steps = Vec::new();
        for (i, step) in sequence.steps.iter().enumerate() {
            let selector = self.selector_index(&format!("spec.detection.sequence.steps[{i}].selector"), &step.selector);
            self.check_count(&format!("spec.detection.sequence.steps[{i}].count"), step.count);
            steps.push(CompiledStep { selector, count: step.count });
        }
        CompiledDetection::Sequence { steps, ordered: sequence.ordered, within: sequence.within.as_signed() }
    }

    fn absence(&mut self) -> CompiledDetection {
        let Some(absence) = &self.spec.detection.absence else { return CompiledDetection::Match };
        let selector = self.selector_index("spec.detection.absence.selector", &absence.selector);
        let after = absence.after.as_ref().map(|name| self.selector_index("spec.detection.absence.after", name));
        if absence.after.as_ref() == Some(&absence.selector) {
            let message =
                "is the expected selector itself; leave it out, and each event is expected after the one before";
            self.invalid("spec.detection.absence.after", message);
        }
        self.check_within("spec.detection.absence.within", absence.within);
        CompiledDetection::Absence { selector, after, within: absence.within.as_signed() }
    }

    fn new_value(&mut self) -> CompiledDetection {
        let Some(new_value) = &self.spec.detection.new_value else { return CompiledDetection::Match };
        self.check_within("spec.detection.newValue.forgetAfter", new_value.forget_after);
        CompiledDetection::NewValue {
            learn_for: new_value.learn_for.as_signed(),
            forget_after: new_value.forget_after.as_signed(),
        }
    }

    /// What a selector's events are compared by, besides the key. The outer `None` stands for an expression that does not compile.
    pub(super) fn value(&mut self, selector: &Selector) -> Option<Option<Program>> {
        let detection = &self.spec.detection;
        let counted = detection.threshold.as_ref().filter(|t| t.selector.as_ref().is_none_or(|s| *s == selector.name));
        let (field, text) = match (counted.and_then(|t| t.distinct.as_deref()), &detection.new_value) {
            (Some(text), _) => ("spec.detection.threshold.distinct", text),
            (None, Some(new_value)) => ("spec.detection.newValue.value", &*new_value.value),
            (None, None) => return Some(None),
        };
        self.program(field.to_owned(), text, Expected::Text).map(Some)
    }

    /// What stays away has nothing to show.
    pub(super) fn check_summary(&mut self, template: &Template) {
        let Some(absence) = self.spec.detection.absence.as_ref().filter(|a| a.after.is_some()) else { return };
        let shown = template.parts.iter().filter_map(|part| match part {
            Part::Count(selector) | Part::Capture { selector, .. } => self.spec.selectors.get(*selector),
            Part::Text(_) | Part::Key(_) | Part::New(_) => None,
        });
        if shown.into_iter().any(|selector| selector.name == absence.selector) {
            let message = format!("events of {:?} stay away, so they have nothing to show", absence.selector);
            self.invalid("spec.alert.summary", message);
        }
    }

    fn check_count(&mut self, field: &str, count: u32) {
        if !(1..=10_000).contains(&count) {
            self.invalid(field, "must be between 1 and 10000");
        }
    }

    fn check_within(&mut self, field: &str, within: Span) {
        if within.is_zero() {
            self.invalid(field, "must be longer than 0s");
        }
    }
}
