//! Rules as they evaluate: compiled once, immutable, shared. In: `api::RuleSpec`. Out: `Ruleset`. One function
//! (`compile`) makes a compiled rule; the controller, `kubewitness test` and `replay` all call it, so they can't disagree.

pub mod compile;
pub mod expr;
pub mod index;
pub mod lint;
pub mod template;

use std::sync::{Arc, OnceLock};

use jiff::SignedDuration;

use crate::{
    api::rule::{Requirements, RuleMode, Severity, Source, Stage},
    record::{RecordId, RuleId},
};
use expr::Program;
use index::Index;
use template::Template;

/// A rule that was accepted: everything in it is checked.
#[derive(Debug)]
pub struct CompiledRule {
    pub id: RuleId,
    pub generation: i64,
    /// Of the whole spec: equal for equal rules.
    pub digest: RecordId,
    /// Of what decides which events take part and what is kept of them: equal for versions of a rule that can share their
    /// state.
    pub sense: RecordId,
    pub title: String,
    pub severity: Severity,
    pub attack: Vec<String>,
    pub mode: RuleMode,
    pub suspended: bool,
    pub selectors: Vec<CompiledSelector>,
    /// Names of the `groupBy` keys, in order.
    pub key_names: Vec<Arc<str>>,
    pub detection: CompiledDetection,
    pub summary: Template,
    /// Quiet time after which an episode ends.
    pub resolve_after: SignedDuration,
    pub requires: Requirements,
}

/// One selector with everything that is computed from an event that it selects.
#[derive(Debug)]
pub struct CompiledSelector {
    pub name: Arc<str>,
    pub source: Source,
    /// Empty: the one defining stage of each request.
    pub stages: Vec<Stage>,
    pub condition: Program,
    /// One per `key_names`; each yields a string.
    pub keys: Vec<Program>,
    /// Yields the value whose distinct ones a Threshold counts, or of which a NewValue knows those that were seen.
    pub distinct: Option<Program>,
    /// What the summary shows of this selector's events, in the template's slot order.
    pub captures: Vec<Capture>,
}

/// A field of the summary that is read from this selector's events.
#[derive(Debug)]
pub struct Capture {
    /// Index into `Template` slots.
    pub slot: usize,
    pub program: Program,
}

/// How matches become findings. Selector indices point into `CompiledRule::selectors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompiledDetection {
    /// Any selector's match is a finding.
    Match,
    /// `count` matches (or distinct values) of one key within `within`.
    Threshold { selector: usize, count: u32, distinct: bool, within: SignedDuration },
    /// All steps within `within`.
    Sequence { steps: Vec<CompiledStep>, ordered: bool, within: SignedDuration },
    /// No event of `selector` within `within` after one of `after`; when that is None, after one of its own.
    Absence { selector: usize, after: Option<usize>, within: SignedDuration },
    /// A value that the key has not shown for `forget_after`, when it was seen for `learn_for`.
    NewValue { learn_for: SignedDuration, forget_after: SignedDuration },
}

impl CompiledDetection {
    /// True when it is decided by time that passes, and not by an event.
    pub fn waits(&self) -> bool {
        match self {
            CompiledDetection::Match | CompiledDetection::Threshold { .. } | CompiledDetection::Sequence { .. } => {
                false
            }
            CompiledDetection::Absence { .. } | CompiledDetection::NewValue { .. } => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledStep {
    pub selector: usize,
    pub count: u32,
}

/// All rules that evaluate, immutable. Swapped as a whole.
#[derive(Debug, Default)]
pub struct Ruleset {
    rules: Vec<Arc<CompiledRule>>,
    /// Made when the first event asks, so that rules that are accepted one after another cost one index.
    index: OnceLock<Index>,
}

impl Ruleset {
    /// Rules in the order of their ids, so that evaluation order never depends on arrival.
    pub fn new(mut rules: Vec<Arc<CompiledRule>>) -> Ruleset {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ruleset { rules, index: OnceLock::new() }
    }

    pub fn rules(&self) -> &[Arc<CompiledRule>] {
        &self.rules
    }

    /// The selectors that an event may match; their rules by place in `rules`.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::new(self.rules.iter().map(|rule| &**rule)))
    }

    /// Whether the index was made.
    pub fn is_indexed(&self) -> bool {
        self.index.get().is_some()
    }
}
