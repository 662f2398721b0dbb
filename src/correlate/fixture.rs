//! Rules, evidence and matches for tests, built by hand: what `ruleset` compiles and `detect` finds.

use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::rule::{Requirements, RuleMode, RuleSpec, Severity, Source},
    detect::{Evidence, Key, Match},
    event::Precision,
    record::{RecordId, RuleId},
    ruleset::{
        CompiledDetection, CompiledRule, CompiledSelector, CompiledStep,
        expr::{Expected, Program, Variables},
        template::Template,
    },
};

/// The one place that makes an expression; correlation never evaluates it.
fn program() -> Program {
    static TRUE: LazyLock<Program> = LazyLock::new(|| {
        Program::compile("true", Expected::Bool, &Variables::default()).expect("`true` is an expression")
    });
    TRUE.clone()
}

/// 2026-01-01T00:00:00Z, so that times in tests are small numbers.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_767_225_600_000 + millis).expect("tests stay within a few years")
}

fn spec() -> Arc<RuleSpec> {
    let spec = serde_json::json!({"title": "t", "severity": "High", "selectors": []});
    Arc::new(serde_json::from_value(spec).expect("a rule has a title, a severity and selectors"))
}

pub fn rule(name: &str, selectors: &[&str], detection: CompiledDetection) -> CompiledRule {
    CompiledRule {
        id: RuleId::cluster(name),
        generation: 1,
        digest: RecordId([0; 16]),
        spec: spec(),
        sense: RecordId([0; 16]),
        title: format!("Title of {name}"),
        severity: Severity::High,
        attack: vec!["T1110".into()],
        mode: RuleMode::Alert,
        suspended: false,
        selectors: selectors
            .iter()
            .map(|name| CompiledSelector {
                name: (*name).into(),
                source: Source::Audit,
                stages: Vec::new(),
                condition: program(),
                keys: vec![program()],
                distinct: None,
                captures: Vec::new(),
            })
            .collect(),
        key_names: vec!["who".into()],
        detection,
        summary: Template::default(),
        resolve_after: SignedDuration::from_hours(1),
        requires: Requirements::default(),
    }
}

pub fn threshold(count: u32, distinct: bool, seconds: i64) -> CompiledDetection {
    CompiledDetection::Threshold { selector: 0, count, distinct, within: SignedDuration::from_secs(seconds) }
}

/// Steps as (selector, count).
pub fn sequence(steps: &[(usize, u32)], ordered: bool, seconds: i64) -> CompiledDetection {
    let steps = steps.iter().map(|(selector, count)| CompiledStep { selector: *selector, count: *count }).collect();
    CompiledDetection::Sequence { steps, ordered, within: SignedDuration::from_secs(seconds) }
}

/// The expected selector, what it is expected after, and within how many seconds.
pub fn absence(selector: usize, after: Option<usize>, seconds: i64) -> CompiledDetection {
    CompiledDetection::Absence { selector, after, within: SignedDuration::from_secs(seconds) }
}

/// Learns and forgets, in seconds.
pub fn new_value(learn: i64, forget: i64) -> CompiledDetection {
    let (learn_for, forget_after) = (SignedDuration::from_secs(learn), SignedDuration::from_secs(forget));
    CompiledDetection::NewValue { learn_for, forget_after }
}

pub fn key(value: &str) -> Key {
    Arc::from([Arc::from(value)])
}

pub fn id(n: u64) -> RecordId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    RecordId(bytes)
}

/// Event `n` at `millis`; `n` is also its place in the log.
pub fn evidence(n: u64, millis: i64) -> Evidence {
    Evidence {
        id: id(n),
        seq: n,
        times: 1,
        at: at(millis),
        precision: Precision::Micros,
        source: Source::Audit,
        host: "cp-1".into(),
        message: format!("event {n}"),
        entities: Vec::new(),
        captures: Vec::new(),
    }
}

/// All matches of one event with `rule` and the key "a".
pub fn matches(rule: &Arc<CompiledRule>, selectors: &[usize], evidence: Evidence) -> Vec<Match> {
    let evidence = Arc::new(evidence);
    let of = |selector: &usize| Match {
        rule: rule.clone(),
        selector: *selector,
        key: key("a"),
        distinct: None,
        evidence: evidence.clone(),
    };
    selectors.iter().map(of).collect()
}
