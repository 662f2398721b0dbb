//! Conditions and their reasons (Kubernetes API conventions: keyed by type, CamelCase reasons, `observedGeneration`).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a condition has its status. Also the only free value of error labels in metrics: bounded by this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// The rule compiled and its tests passed: it evaluates.
    Compiled,
    /// The rule compiled and is suspended by `spec.suspend`.
    Suspended,
    /// An expression does not parse or does not type-check; the message has line:column and an excerpt.
    InvalidExpression,
    /// The rule's parts do not fit together (an unknown selector name, a missing union member, a duplicate name).
    InvalidRule,
    /// One of the rule's own tests failed; the message has the first difference.
    TestsFailed,
    /// The rule's deterministic cost exceeded its budget.
    OverBudget,
    /// The log source is good: collectors of the selected nodes are told of it.
    Assigned,
    /// The log source can't be used; the message names the place.
    InvalidSource,
}

impl Reason {
    pub const ALL: [Reason; 8] = [
        Reason::Compiled,
        Reason::Suspended,
        Reason::InvalidExpression,
        Reason::InvalidRule,
        Reason::TestsFailed,
        Reason::OverBudget,
        Reason::Assigned,
        Reason::InvalidSource,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Compiled => "Compiled",
            Reason::Suspended => "Suspended",
            Reason::InvalidExpression => "InvalidExpression",
            Reason::InvalidRule => "InvalidRule",
            Reason::TestsFailed => "TestsFailed",
            Reason::OverBudget => "OverBudget",
            Reason::Assigned => "Assigned",
            Reason::InvalidSource => "InvalidSource",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// One observation of an object's state; the shape of `metav1.Condition` with our bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed; `Ready` is the summary.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    pub status: ConditionStatus,
    /// The generation of the object that this observation speaks of.
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    pub reason: Reason,
    /// For people: names the place and the remedy.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// Puts `new` among `conditions`, keyed by type. The transition time moves only when the status does.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time;
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}
