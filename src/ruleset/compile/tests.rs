use serde_json::{Value, json};

use super::*;
use crate::ruleset::CompiledDetection;

/// A good rule, as JSON.
fn good() -> Value {
    json!({
        "title": "Burst of refusals",
        "severity": "Medium",
        "attack": ["T1613", "T1078.001"],
        "variables": [{"name": "refused", "expression": "audit.responseStatus.code == 403"}],
        "selectors": [
            {"name": "refused", "source": "Audit", "where": "variables.refused"},
            {"name": "allowed", "source": "Audit", "where": "event.outcome == \"success\""},
        ],
        "groupBy": [{"name": "who", "value": "user.name"}],
        "detection": {"type": "Threshold", "threshold": {"selector": "refused", "count": 5, "within": "1m"}},
        "alert": {"summary": "{key.who} was refused {refused.count} times, last on {refused.audit.objectRef.resource}"},
    })
}

fn compile_json(spec: Value, id: RuleId) -> Result<CompiledRule, RuleError> {
    compile(&RuleSource { id, generation: 3, spec: serde_json::from_value(spec).unwrap() })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut spec = good();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (spec.pointer_mut(parent).unwrap(), last.parse::<usize>()) {
        (Value::Array(items), Ok(index)) if index < items.len() => items[index] = value,
        (Value::Array(items), _) => items.push(value),
        (object, _) => object[last] = value,
    }
    spec
}

#[test]
fn good_rule_compiles_to_what_it_says() {
    let rule = compile_json(good(), RuleId::cluster("burst")).unwrap();
    assert_eq!((rule.generation, rule.selectors.len(), rule.key_names.len()), (3, 2, 1));
    let within = SignedDuration::from_mins(1);
    assert_eq!(rule.detection, CompiledDetection::Threshold { selector: 0, count: 5, distinct: false, within });
    assert_eq!(rule.requires.sources, [Source::Audit]);
    assert_eq!(rule.requires.audit_level, Some(AuditLevel::Metadata));
    assert_eq!(
        rule.requires.fields,
        ["audit.objectRef.resource", "audit.responseStatus.code", "event.outcome", "user.name"]
    );
    assert_eq!(rule.resolve_after, DEFAULT_RESOLVE_AFTER);
}

#[test]
fn rule_that_reads_an_answer_needs_request_response() {
    let spec = with("/selectors/1/where", json!("has(audit.responseObject)"));
    let rule = compile_json(spec, RuleId::cluster("r")).unwrap();
    assert_eq!(rule.requires.audit_level, Some(AuditLevel::RequestResponse));
}

#[test]
fn equal_specs_have_equal_digests_and_different_ones_do_not() {
    let digest = |spec| compile_json(spec, RuleId::cluster("r")).unwrap().digest;
    assert_eq!(digest(good()), digest(good()));
    assert_ne!(digest(good()), digest(with("/severity", json!("High"))));
}

#[test]
fn broken_rules_are_refused_with_reason_field_and_remedy() {
    use Reason::{InvalidExpression, InvalidRule};
    let cases = [
        ("/selectors/0/where", json!("user.nme == 'x'"), InvalidExpression, "spec.selectors[refused].where", "1:"),
        ("/selectors/0/where", json!("user.name"), InvalidExpression, "spec.selectors[refused].where", "bool"),
        ("/selectors/0/where", json!("x".repeat(5000)), InvalidExpression, "spec.selectors[refused].where", "4096"),
        ("/variables/0/expression", json!("1 +"), InvalidExpression, "spec.variables[refused].expression", "1:"),
        ("/groupBy/0/value", json!("usr.name"), InvalidExpression, "spec.groupBy[who]", "no such field"),
        ("/selectors/1/name", json!("refused"), InvalidRule, "spec.selectors", "occurs twice"),
        ("/selectors/1/name", json!("key"), InvalidRule, "spec.selectors", "taken"),
        ("/selectors/1/name", json!("a-b"), InvalidRule, "spec.selectors", "letters"),
        (
            "/groupBy/0/from",
            json!([{"selector": "nope", "value": "user.name"}]),
            InvalidRule,
            "spec.groupBy[who].from",
            "refused, allowed",
        ),
        (
            "/detection/threshold/selector",
            json!("nope"),
            InvalidRule,
            "spec.detection.threshold.selector",
            "refused, allowed",
        ),
        (
            "/detection/threshold/selector",
            json!(null),
            InvalidRule,
            "spec.detection.threshold.selector",
            "must name one",
        ),
        ("/detection/threshold/count", json!(0), InvalidRule, "spec.detection.threshold.count", "10000"),
        ("/detection/threshold/within", json!("0s"), InvalidRule, "spec.detection.threshold.within", "longer"),
        ("/detection/type", json!("Sequence"), InvalidRule, "spec.detection.threshold", "must not be set"),
        ("/detection/type", json!("Match"), InvalidRule, "spec.detection.threshold", "must not be set"),
        ("/attack/0", json!("T99"), InvalidRule, "spec.attack", "T1110"),
        ("/alert/summary", json!("{key.nope}"), InvalidRule, "spec.alert.summary", "who"),
        (
            "/alert/summary",
            json!("{refused.user.nope}"),
            InvalidExpression,
            "spec.alert.summary {user.nope}",
            "no such field",
        ),
        ("/alert/resolveAfter", json!("0s"), InvalidRule, "spec.alert.resolveAfter", "longer"),
        ("/title", json!(""), InvalidRule, "spec.title", "128"),
        ("/alert/summary", json!("x".repeat(513)), InvalidRule, "spec.alert.summary", "512"),
        ("/description", json!("x".repeat(4097)), InvalidRule, "spec.description", "4096"),
    ];
    for (pointer, value, reason, field, text) in cases {
        let shown: String = value.to_string().chars().take(60).collect();
        let error = compile_json(with(pointer, value), RuleId::cluster("r")).unwrap_err();
        let found = error.problems.iter().find(|p| p.field == field && p.message.contains(text));
        let found = found.unwrap_or_else(|| panic!("{pointer} = {shown}: {error}"));
        assert_eq!(found.reason, reason, "{pointer} = {shown}");
    }
}

/// The good rule with another detection, and the summary left out.
fn detecting(type_: &str, member: &str, parameters: Value) -> Value {
    let mut spec = good();
    spec["detection"] = json!({"type": type_, member: parameters});
    spec["alert"] = json!({});
    spec
}

#[test]
fn detections_that_wait_compile_to_what_they_say() {
    let absence = |after: Value| {
        let parameters = json!({"selector": "refused", "after": after, "within": "1m"});
        compile_json(detecting("Absence", "absence", parameters), RuleId::cluster("r")).unwrap().detection
    };
    let within = SignedDuration::from_mins(1);
    assert_eq!(absence(json!("allowed")), CompiledDetection::Absence { selector: 0, after: Some(1), within });
    assert_eq!(absence(Value::Null), CompiledDetection::Absence { selector: 0, after: None, within });

    let parameters = json!({"value": "source.ip", "learnFor": "7d", "forgetAfter": "30d"});
    let mut spec = detecting("NewValue", "newValue", parameters);
    spec["alert"]["summary"] = json!("{new.value} is not among the {new.known} since {new.since}");
    let rule = compile_json(spec, RuleId::cluster("r")).unwrap();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    assert_eq!(rule.detection, CompiledDetection::NewValue { learn_for: days(7), forget_after: days(30) });
    assert!(rule.selectors.iter().all(|selector| selector.distinct.is_some()), "every selector shows values");
    assert!(rule.requires.fields.contains(&"source.ip".to_owned()));
}

#[test]
fn detections_that_can_never_be_decided_are_refused() {
    let new_value = |value: &str, forget: &str| json!({"value": value, "learnFor": "1d", "forgetAfter": forget});
    for (type_, member, parameters, field, text) in [
        (
            "Absence",
            "absence",
            json!({"selector": "nope", "within": "1m"}),
            "spec.detection.absence.selector",
            "allowed",
        ),
        (
            "Absence",
            "absence",
            json!({"selector": "refused", "after": "nope", "within": "1m"}),
            "spec.detection.absence.after",
            "allowed",
        ),
        (
            "Absence",
            "absence",
            json!({"selector": "refused", "after": "refused", "within": "1m"}),
            "spec.detection.absence.after",
            "leave it out",
        ),
        (
            "Absence",
            "absence",
            json!({"selector": "refused", "within": "0s"}),
            "spec.detection.absence.within",
            "longer",
        ),
        ("NewValue", "newValue", new_value("source.ip", "0s"), "spec.detection.newValue.forgetAfter", "longer"),
        ("NewValue", "newValue", new_value("source.pi", "1d"), "spec.detection.newValue.value", "no such field"),
        ("Absence", "newValue", new_value("source.ip", "1d"), "spec.detection.absence", "must be set"),
    ] {
        let shown = format!("{type_} {parameters}");
        let error = compile_json(detecting(type_, member, parameters), RuleId::cluster("r")).unwrap_err();
        let found = error.problems.iter().any(|p| p.field == field && p.message.contains(text));
        assert!(found, "{shown}: {error}");
    }
}

#[test]
fn summary_shows_nothing_of_what_stays_away() {
    let with_summary = |summary: &str| {
        let parameters = json!({"selector": "refused", "after": "allowed", "within": "1m"});
        let mut spec = detecting("Absence", "absence", parameters);
        spec["alert"]["summary"] = json!(summary);
        compile_json(spec, RuleId::cluster("r"))
    };
    assert!(with_summary("{allowed.user.name} and {allowed.count}").is_ok());
    for summary in ["{refused.user.name}", "{refused.count}"] {
        assert!(with_summary(summary).unwrap_err().to_string().contains("stay away"), "{summary}");
    }
}

#[test]
fn tenant_may_not_read_node_logs() {
    let spec = with("/selectors/1/source", json!("Node"));
    let error = compile_json(spec, RuleId::namespaced("shop", "r")).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidRule);
    assert!(error.to_string().contains("ClusterSecurityRule"), "{error}");
}

#[test]
fn every_problem_is_told_at_once() {
    let mut spec = with("/selectors/0/where", json!("nope.a"));
    spec["groupBy"][0]["value"] = json!("nope.b");
    spec["alert"]["summary"] = json!("{nope");
    let error = compile_json(spec, RuleId::cluster("r")).unwrap_err();
    for field in ["spec.selectors[refused].where", "spec.groupBy[who]", "spec.alert.summary"] {
        assert!(error.problems.iter().any(|p| p.field == field), "{field}: {error}");
    }
}

#[test]
fn names_that_the_api_server_refuses_are_refused() {
    for name in ["Bad_Name", "", "-a", "a-", "a..b", &"a".repeat(254)] {
        let error = compile_json(good(), RuleId::cluster(name)).unwrap_err();
        assert_eq!(error.problems[0].field, "metadata.name", "{name}");
    }
    assert!(compile_json(good(), RuleId::cluster("a-1.b2")).is_ok());
}
