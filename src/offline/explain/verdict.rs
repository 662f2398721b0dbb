//! What each rule says of one event. In: compiled rules and a record. Out: per rule and selector whether it matches, the
//! trace of its condition, the join key, and what the detection still needs.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    api::rule::{Absence, DetectionType, RuleMode, Step},
    detect::{in_scope, stage_selected},
    enrich::{Inventory, enrich},
    event::Event,
    normalise::Normaliser,
    record::{Record, RuleId},
    ruleset::{
        CompiledRule, CompiledSelector,
        compile::{RuleError, RuleSource, compile},
        expr::{
            Program, Steps,
            trace::{Trace, TracedVariables, trace},
        },
    },
};

/// A rule that compiled, with what it was compiled from.
pub struct ExplainedRule {
    source: RuleSource,
    compiled: CompiledRule,
    variables: TracedVariables,
}

impl ExplainedRule {
    pub fn compile(source: RuleSource) -> Result<ExplainedRule, (RuleId, RuleError)> {
        let compiled = compile(&source).map_err(|error| (source.id.clone(), error))?;
        let mut variables = TracedVariables::default();
        for variable in &source.spec.variables {
            // They compiled above.
            if variables.define(&variable.name, &variable.expression).is_err() {
                break;
            }
        }
        Ok(ExplainedRule { source, compiled, variables })
    }
}

/// One event and what all rules say of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub event: Head,
    /// Those that match first, then by how near they are.
    pub rules: Vec<RuleVerdict>,
}

/// What the event is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    pub message: String,
    pub created: Timestamp,
    pub source: &'static str,
    /// Empty for what is no audit event.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub stage: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub level: &'static str,
    /// Paths of what redaction removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleVerdict {
    pub rule: String,
    pub severity: &'static str,
    /// A selector takes the event.
    pub matches: bool,
    /// Why no selector looks at the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<String>,
    /// How much of the nearest selector's condition holds, from 0 to 1.
    pub closeness: f64,
    pub selectors: Vec<SelectorVerdict>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectorVerdict {
    pub selector: String,
    pub matches: bool,
    /// Why it does not look at the event: its source, its stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Trace>,
    /// The join key, when the condition holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyValue>,
    /// What the match is worth: `1 of 5 matches in 2m`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub needs: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyValue {
    pub name: String,
    pub value: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What the rules say of the event of `record`; `None` when it holds none.
pub fn explain(rules: &[ExplainedRule], record: &Record, inventory: &Inventory) -> Option<Explanation> {
    let mut event = Normaliser::default().event(record)?;
    enrich(&mut event, inventory);
    let head = Head {
        message: event.message().to_owned(),
        created: event.created,
        source: event.source.as_str(),
        stage: event.audit.as_ref().map_or("", |audit| audit.stage.as_str()),
        level: event.audit.as_ref().map_or("", |audit| audit.level.as_str()),
        redacted: event.redacted.to_vec(),
    };
    let mut rules: Vec<RuleVerdict> = rules.iter().map(|rule| of_rule(rule, &event)).collect();
    rules.sort_by(|a, b| {
        let nearness = |verdict: &RuleVerdict| (verdict.matches, verdict.excluded.is_none());
        nearness(b).cmp(&nearness(a)).then(b.closeness.total_cmp(&a.closeness)).then_with(|| a.rule.cmp(&b.rule))
    });
    Some(Explanation { event: head, rules })
}

fn of_rule(rule: &ExplainedRule, event: &Event<'_>) -> RuleVerdict {
    let compiled = &rule.compiled;
    let mut selectors: Vec<SelectorVerdict> = Vec::new();
    let mut excluded = None;
    if compiled.suspended {
        excluded = Some("it is suspended (spec.suspend)".to_owned());
    } else if !in_scope(compiled, event) {
        let namespace = &compiled.id.namespace;
        excluded =
            Some(format!("a SecurityRule of namespace {namespace} sees requests on objects of {namespace} alone"));
    } else {
        selectors = (0..compiled.selectors.len()).filter_map(|index| of_selector(rule, index, event)).collect();
        if selectors.iter().all(|selector| selector.excluded.is_some()) {
            // Of a rule over several sources, what speaks of this event's source is the reason.
            let of_source = compiled.selectors.iter().position(|selector| selector.source == event.source);
            let reason = of_source.and_then(|index| selectors.get(index)).or(selectors.first());
            excluded = reason.and_then(|selector| selector.excluded.clone());
        }
    }
    let conditions = || selectors.iter().filter_map(|selector| selector.condition.as_ref());
    RuleVerdict {
        rule: compiled.id.to_string(),
        severity: compiled.severity.as_str(),
        matches: selectors.iter().any(|selector| selector.matches),
        excluded,
        closeness: conditions().map(Trace::closeness).fold(0.0, f64::max),
        selectors,
    }
}

fn of_selector(rule: &ExplainedRule, index: usize, event: &Event<'_>) -> Option<SelectorVerdict> {
    let selector = rule.compiled.selectors.get(index)?;
    let mut verdict = SelectorVerdict {
        selector: selector.name.to_string(),
        matches: false,
        excluded: None,
        condition: None,
        key: Vec::new(),
        needs: String::new(),
    };
    if selector.source != event.source {
        let (wanted, found) = (selector.source.as_str(), event.source.as_str());
        verdict.excluded = Some(format!("it reads {wanted} events, and this is one of {found}"));
        return Some(verdict);
    }
    if !stage_selected(selector, event) {
        verdict.excluded = Some(not_its_stage(selector, event));
        return Some(verdict);
    }
    let condition = trace(selector.condition.source(), &rule.variables, event).ok()?;
    if condition.held() {
        let names = rule.compiled.key_names.iter().map(|name| name.to_string());
        verdict.key = names.zip(&selector.keys).map(|(name, program)| key_value(name, program, event)).collect();
        let counted = selector.distinct.as_ref().map(|program| key_value("distinct".to_owned(), program, event));
        verdict.key.extend(counted);
        verdict.matches = verdict.key.iter().all(|key| key.problem.is_none());
        if verdict.matches {
            verdict.needs = needs(rule, index, event.times);
        }
    }
    verdict.condition = Some(condition);
    Some(verdict)
}

fn not_its_stage(selector: &CompiledSelector, event: &Event<'_>) -> String {
    let stage = event.audit.as_ref().map_or("", |audit| audit.stage.as_str());
    if selector.stages.is_empty() {
        return format!("stage {stage} is not the one by which rules see this request");
    }
    let wanted: Vec<&str> = selector.stages.iter().map(|stage| stage.as_str()).collect();
    format!("it looks at stage {} alone, and this is {stage}", wanted.join(", "))
}

fn key_value(name: String, program: &Program, event: &Event<'_>) -> KeyValue {
    match program.text(event, &mut Steps::default()) {
        Ok(value) if value.is_empty() => {
            let problem = Some("empty: an empty value joins nothing, so the event takes no part".to_owned());
            KeyValue { name, value: Some(value), problem }
        }
        Ok(value) => KeyValue { name, value: Some(value.chars().take(256).collect()), problem: None },
        Err(error) => KeyValue { name, value: None, problem: Some(format!("error: {error}")) },
    }
}

/// What one match of the selector is worth.
fn needs(rule: &ExplainedRule, index: usize, times: u32) -> String {
    let spec = &rule.source.spec;
    let name = spec.selectors.get(index).map_or("", |s| s.name.as_str());
    let dry = if spec.mode == RuleMode::DryRun { " (dry run: counted, no alert)" } else { "" };
    let text = match (spec.detection.type_, &spec.detection.threshold, &spec.detection.sequence) {
        (DetectionType::Threshold, Some(threshold), _) => {
            let counted = threshold.selector.as_deref().unwrap_or(name);
            let (what, worth) = if threshold.distinct.is_some() { ("distinct values", 1) } else { ("matches", times) };
            if counted == name {
                format!("{worth} of {} {what} in {}", threshold.count, threshold.within)
            } else {
                format!("the threshold counts {counted} alone")
            }
        }
        (DetectionType::Sequence, _, Some(sequence)) => {
            // An event serves one step.
            let served = sequence.steps.iter().position(|step| step.selector == name);
            let step = |(index, step): (usize, &Step)| {
                let worth = if served == Some(index) { times.min(step.count) } else { 0 };
                format!("{} {worth} of {}", step.selector, step.count)
            };
            let steps: Vec<String> = sequence.steps.iter().enumerate().map(step).collect();
            let joint = if sequence.ordered { ", then " } else { " and " };
            format!("{} in {}", steps.join(joint), sequence.within)
        }
        (DetectionType::Absence, ..) => expects(spec.detection.absence.as_ref(), name),
        (DetectionType::NewValue, ..) => "a finding, if its value is new to the key and the key is learned".to_owned(),
        _ => "one match is a finding".to_owned(),
    };
    text + dry
}

/// What a match means where events are expected.
fn expects(absence: Option<&Absence>, name: &str) -> String {
    let Some(Absence { selector, after, within }) = absence else { return String::new() };
    match after.as_deref() {
        Some(after) if after == name => format!("a finding, unless {selector} comes within {within}"),
        Some(after) if selector == name => format!("what is expected within {within} after {after}"),
        None if selector == name => format!("a finding, unless another comes within {within}"),
        _ => "the detection does not name it".to_owned(),
    }
}

impl SelectorVerdict {
    /// How many of the conditions at the top hold, and of how many.
    pub fn conditions(&self) -> (usize, usize) {
        self.condition.as_ref().map_or((0, 0), Trace::conditions)
    }
}
