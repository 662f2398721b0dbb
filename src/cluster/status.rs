//! What the status of a rule or a LogSource says, made from what checking it said. Pure.

use jiff::Timestamp;

use crate::{
    api::{
        Condition, LogSourceStatus, Reason,
        condition::{ConditionStatus, set_condition},
        log_source::BadSource,
        rule::{Requirements, RuleStatus, RuleWarning},
    },
    ruleset::compile::RuleError,
};

/// What is known of a generation that compiles and passes its tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub requires: Requirements,
    pub warnings: Vec<RuleWarning>,
}

/// What became of a rule at work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleNews {
    pub last_finding: Option<Timestamp>,
    /// Matches that were dropped before their time, for want of room.
    pub evicted: u64,
    /// The generation that is switched off because of what it cost, and how much that was.
    pub over_budget: Option<(i64, String)>,
}

impl RuleNews {
    /// Why this generation is switched off. None while it is not.
    pub fn over_budget(&self, generation: i64) -> Option<&str> {
        self.over_budget.as_ref().filter(|(over, _)| *over == generation).map(|(_, why)| why.as_str())
    }
}

/// What is known of one rule.
pub struct Verdict<'a> {
    pub generation: i64,
    /// The generation that evaluates; 0 for none.
    pub accepted: i64,
    pub outcome: Result<&'a Checked, &'a RuleError>,
    pub suspended: bool,
    pub news: RuleNews,
}

/// Longest condition message (api::Condition's schema).
const MAX_MESSAGE: usize = 4096;

/// The status to write; equal to `before` when there is nothing to say.
pub fn rule_status(before: Option<&RuleStatus>, verdict: &Verdict<'_>, now: Timestamp) -> RuleStatus {
    let mut status = before.cloned().unwrap_or_default();
    let over_budget = verdict.news.over_budget(verdict.accepted);
    let (ready, reason, message) = match verdict.outcome {
        Ok(_) if verdict.suspended => {
            (ConditionStatus::False, Reason::Suspended, "suspended by spec.suspend: evaluates nothing".to_owned())
        }
        Ok(_) if over_budget.is_some() => {
            (ConditionStatus::False, Reason::OverBudget, over_budget.unwrap_or_default().to_owned())
        }
        Ok(_) => (ConditionStatus::True, Reason::Compiled, "compiled, its tests passed; evaluating".to_owned()),
        Err(error) => {
            let standing = match verdict.accepted {
                0 => "nothing evaluates".to_owned(),
                accepted if over_budget.is_some() => {
                    format!("generation {accepted} is over its budget: nothing evaluates")
                }
                accepted => format!("generation {accepted} still evaluates"),
            };
            (ConditionStatus::False, error.reason(), format!("{error}\n({standing})"))
        }
    };
    let condition = Condition {
        type_: "Ready".to_owned(),
        status: ready,
        observed_generation: verdict.generation,
        last_transition_time: now,
        reason,
        message: message.chars().take(MAX_MESSAGE).collect(),
    };
    set_condition(&mut status.conditions, condition);
    status.observed_generation = verdict.generation;
    status.accepted_generation = verdict.accepted;
    status.warnings = verdict.outcome.map(|checked| checked.warnings.clone()).unwrap_or_default();
    if let Ok(checked) = verdict.outcome {
        status.requires = Some(checked.requires.clone());
    }
    // To the minute, so that a busy rule costs one write a minute at most.
    let minute = |time: Timestamp| Timestamp::from_second(time.as_second() - time.as_second().rem_euclid(60)).ok();
    status.evicted_matches = i64::try_from(verdict.news.evicted).unwrap_or(i64::MAX);
    status.last_finding_time = verdict.news.last_finding.and_then(minute).max(status.last_finding_time);
    status
}

/// The status of a LogSource that selects so many nodes, or can't be used; equal to `before` when there is nothing to say.
pub fn log_source_status(
    before: Option<&LogSourceStatus>,
    generation: i64,
    outcome: &Result<usize, BadSource>,
    now: Timestamp,
) -> LogSourceStatus {
    let mut status = before.cloned().unwrap_or_default();
    let (ready, reason, message) = match outcome {
        Ok(0) => (ConditionStatus::True, Reason::Assigned, "no node has the labels of spec.nodeSelector".to_owned()),
        Ok(_) => (ConditionStatus::True, Reason::Assigned, "the nodes' collectors are told to read it".to_owned()),
        Err(error) => (ConditionStatus::False, Reason::InvalidSource, format!("{error}\n(nothing of it is read)")),
    };
    status.nodes = outcome.as_ref().map_or(0, |nodes| i64::try_from(*nodes).unwrap_or(i64::MAX));
    let condition = Condition {
        type_: "Ready".to_owned(),
        status: ready,
        observed_generation: generation,
        last_transition_time: now,
        reason,
        message: message.chars().take(MAX_MESSAGE).collect(),
    };
    set_condition(&mut status.conditions, condition);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_generation_names_the_one_that_still_evaluates() {
        let error = RuleError::one(Reason::InvalidExpression, "spec.selectors[a].where", "1:1: no such field".into());
        let verdict =
            Verdict { generation: 3, accepted: 2, outcome: Err(&error), suspended: false, news: RuleNews::default() };
        let status = rule_status(None, &verdict, Timestamp::UNIX_EPOCH);
        assert_eq!((status.observed_generation, status.accepted_generation), (3, 2));
        assert_eq!(status.conditions[0].reason, Reason::InvalidExpression);
        assert!(status.conditions[0].message.contains("1:1"));
        assert!(status.conditions[0].message.contains("generation 2 still evaluates"));
    }

    #[test]
    fn same_verdict_twice_changes_nothing() {
        let checked = Checked { requires: Requirements::default(), warnings: vec![warning()] };
        let verdict =
            Verdict { generation: 1, accepted: 1, outcome: Ok(&checked), suspended: false, news: RuleNews::default() };
        let first = rule_status(None, &verdict, Timestamp::UNIX_EPOCH);
        let later = rule_status(Some(&first), &verdict, Timestamp::constant(1_000, 0));
        assert_eq!(first, later);
    }

    fn warning() -> RuleWarning {
        RuleWarning { lint: "NoGroupBy".into(), field: "spec.groupBy".into(), message: "without a key".into() }
    }

    #[test]
    fn a_rule_over_its_budget_says_so_until_its_next_generation_is_accepted() {
        let checked = Checked::default();
        let news = RuleNews { over_budget: Some((1, "too dear".into())), evicted: 3, ..RuleNews::default() };
        let verdict = |accepted| Verdict {
            generation: accepted,
            accepted,
            outcome: Ok(&checked),
            suspended: false,
            news: news.clone(),
        };
        let over = rule_status(None, &verdict(1), Timestamp::UNIX_EPOCH);
        assert_eq!((over.conditions[0].reason, over.conditions[0].message.as_str()), (Reason::OverBudget, "too dear"));
        assert_eq!(over.evicted_matches, 3);
        let next = rule_status(Some(&over), &verdict(2), Timestamp::UNIX_EPOCH);
        assert_eq!(next.conditions[0].reason, Reason::Compiled);
    }

    #[test]
    fn warnings_go_with_the_generation_that_they_speak_of() {
        let checked = Checked { requires: Requirements::default(), warnings: vec![warning()] };
        let warned =
            Verdict { generation: 1, accepted: 1, outcome: Ok(&checked), suspended: false, news: RuleNews::default() };
        let first = rule_status(None, &warned, Timestamp::UNIX_EPOCH);
        assert_eq!((first.warnings.as_slice(), first.conditions[0].status), (&[warning()][..], ConditionStatus::True));
        let error = RuleError::one(Reason::InvalidRule, "spec", "is wrong".into());
        let refused =
            Verdict { generation: 2, accepted: 1, outcome: Err(&error), suspended: false, news: RuleNews::default() };
        assert_eq!(rule_status(Some(&first), &refused, Timestamp::UNIX_EPOCH).warnings, []);
    }
}
