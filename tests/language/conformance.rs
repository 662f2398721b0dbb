//! The CEL specification's own cases, all of them: the same value or an error, or a refusal for a listed reason.

use std::{collections::BTreeMap, fs};

use kubewitness::ruleset::expr::{Bindings, Program, Steps};
use serde::Deserialize;

use super::{
    oracle,
    values::{sorted, tag, untag},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Case {
    case: String,
    expression: String,
    container: String,
    declare: BTreeMap<String, String>,
    bindings: BTreeMap<String, serde_json::Value>,
    value: Option<serde_json::Value>,
    #[serde(rename = "type")]
    type_: String,
    error: String,
    unchecked: bool,
    no_macros: bool,
    messages: String,
}

/// What our implementation makes of a case.
enum Outcome {
    Refused(String),
    Failed(String),
    Value(serde_json::Value, String),
}

fn run(case: &Case) -> Outcome {
    if !case.messages.is_empty() {
        return Outcome::Refused(case.messages.clone());
    }
    let mut bindings = Bindings::default();
    for (name, value) in &case.bindings {
        let type_ = case.declare.get(name).map_or("dyn", String::as_str);
        if !bindings.declare(name, type_, Some(untag(value))) {
            return Outcome::Refused(format!("no such type {type_}"));
        }
    }
    for (name, type_) in case.declare.iter().filter(|(name, _)| !case.bindings.contains_key(*name)) {
        if !bindings.declare(name, type_, None) {
            return Outcome::Refused(format!("no such type {type_}"));
        }
    }
    let program = match Program::compile_over(&case.expression, &bindings) {
        Ok(program) => program,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    match program.eval_over(&bindings, &mut Steps::default()) {
        Ok(value) => Outcome::Value(sorted(&tag(&value)), program.type_name()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Why a case is refused when it is compiled, by what stands in it. In this order.
fn excuse(case: &Case) -> Option<&'static str> {
    const MESSAGES: &[&str] =
        &["TestAllTypes", "GlobalEnum", "google.protobuf.", "proto2", "proto3", "NullValue", "NestedTestAllTypes"];
    let text = &case.expression;
    if !case.messages.is_empty() || MESSAGES.iter().any(|name| text.contains(name)) {
        return Some("messages, enumerations and wrappers");
    }
    if ["cel.block", "cel.index", "cel.iterVar"].iter().any(|name| text.contains(name)) {
        return Some("cel.block, which only optimisers write");
    }
    if case.no_macros {
        return Some("macros are part of the language");
    }
    if !case.container.is_empty() {
        return Some("containers");
    }
    if case.unchecked {
        return Some("expressions are always type-checked");
    }
    None
}

/// Cases whose outcome differs, each with its reason.
const DIFFERENT: &[(&str, &str)] = &[(
    "timestamps/timestamp_conversions/toString_timestamp_nanos",
    "the last 26 hours of the year 9999 are beyond our timestamps",
)];

#[test]
fn published_cases_have_their_values() {
    let text = fs::read_to_string(oracle::built().join("conformance.jsonl")).unwrap();
    let cases: Vec<Case> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(cases.len() > 2000, "{}", cases.len());
    let (mut refused, mut wrong, mut agreed) = (BTreeMap::<&str, usize>::new(), vec![], 0);
    for case in &cases {
        let expected = case.value.as_ref().map(sorted);
        let (right, found) = match (run(case), &expected) {
            (Outcome::Value(value, type_), Some(expected)) => {
                let typed = case.type_.is_empty() || case.type_ == type_;
                (value == *expected && typed, format!("{value} of type {type_}"))
            }
            (Outcome::Value(value, type_), None) => {
                (case.error.is_empty() && case.type_ == type_, format!("{value} of type {type_}"))
            }
            (Outcome::Refused(message), _) => match excuse(case) {
                Some(reason) => {
                    *refused.entry(reason).or_default() += 1;
                    continue;
                }
                None => (!case.error.is_empty(), format!("refused: {message}")),
            },
            (Outcome::Failed(message), _) => (!case.error.is_empty() || case.value.is_none(), message),
        };
        if !right && !case.container.is_empty() {
            *refused.entry("containers").or_default() += 1;
            continue;
        }
        if right || DIFFERENT.iter().any(|(name, _)| *name == case.case) {
            agreed += 1;
        } else {
            let wanted =
                expected.map_or_else(|| format!("an error ({}) or type {}", case.error, case.type_), |v| v.to_string());
            wrong.push(format!(
                "{}: {}\n    found:  {found}\n    wanted: {wanted} {}",
                case.case, case.expression, case.type_
            ));
        }
    }
    println!("{agreed} cases agree; refused: {refused:#?}");
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(agreed > 1300, "{agreed}");
}
