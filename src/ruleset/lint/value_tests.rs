//! Values that a field can't have, and what can't vary: found where they are, and nowhere else.

use serde_json::json;

use super::{
    Lint, lint,
    tests::{assert_conditions, ids, rule, with_condition},
};

#[test]
fn value_that_a_field_never_has_is_found() {
    assert_conditions(
        Lint::UnknownValue,
        &[
            r#"audit.objectRef.resource == "Secrets""#,
            r#"audit.objectRef.resource == "secret""#,
            r#"audit.objectRef.resource in ["NetworkPolicy"]"#,
            r#"audit.objectRef.resource == "pods/exec""#,
            r#"source.ip == "10.0.0.0/8""#,
            r#"source.ip != "localhost""#,
            r#""10.0.0.0/8" in audit.sourceIPs"#,
            r#"audit.responseStatus.code in [403, "404"]"#,
            r#"audit.verb in ["get", 1]"#,
        ],
        &[
            r#"audit.objectRef.resource == "secrets""#,
            r#"audit.objectRef.resource == "endpoints""#,
            r#"audit.objectRef.resource == "widget""#,
            r#"source.ip == "10.0.0.1" || source.ip == "" || source.ip == "2001:db8::1""#,
            r#"source.ip != "" && cidr("10.0.0.0/8").containsIP(source.ip)"#,
            r#"audit.responseStatus.code in [403, 404]"#,
        ],
    );
    let hint = |condition| lint(&with_condition(condition))[0].hint.clone();
    assert_eq!(hint(r#"audit.verb == "gte""#), "did you mean \"get\"?");
    assert!(hint(r#"audit.verb == "impersonate""#).contains("audit.impersonatedUser.username"));
    assert_eq!(
        hint(r#"source.ip == "10.0.0.0/8""#),
        "ask cidr(\"10.0.0.0/8\").containsIP(source.ip), behind `source.ip != \"\"`"
    );
    assert_eq!(
        hint(r#"audit.objectRef.resource == "pods/exec""#),
        "ask audit.objectRef.resource == \"pods\" && audit.objectRef.subresource == \"exec\""
    );
    assert_eq!(hint(r#"audit.objectRef.resource == "NetworkPolicy""#), "did you mean \"networkpolicies\"?");
}

#[test]
fn value_that_is_counted_or_learned_and_can_t_vary_is_found() {
    let threshold = |count: u32, distinct: &str, condition: &str| {
        rule(|spec| {
            spec["selectors"][0]["where"] = condition.into();
            let threshold = json!({"count": count, "distinct": distinct, "within": "1m"});
            spec["detection"] = json!({"type": "Threshold", "threshold": threshold});
        })
    };
    let new_value = |value: &str, condition: &str, forget: &str| {
        rule(|spec| {
            spec["selectors"][0]["where"] = condition.into();
            let new_value = json!({"value": value, "learnFor": "1h", "forgetAfter": forget});
            spec["detection"] = json!({"type": "NewValue", "newValue": new_value});
        })
    };
    let some = r#"audit.verb in ["get", "list"]"#;
    for (what, source, expected) in [
        ("the key", threshold(3, "user.name", some), vec![Lint::FixedValue]),
        ("the key by another name", threshold(3, "audit.user.username", some), vec![Lint::FixedValue]),
        ("two of three values", threshold(3, "audit.verb", some), vec![Lint::FixedValue]),
        ("two of two", threshold(2, "audit.verb", some), vec![]),
        ("any", threshold(3, "source.ip", some), vec![]),
        ("learned of two", new_value("audit.verb", some, "1d"), vec![]),
        ("learned of one", new_value("audit.verb", r#"audit.verb == "get""#, "1d"), vec![Lint::FixedValue]),
        ("learned is the key", new_value("user.name", some, "1d"), vec![Lint::FixedValue]),
        ("forgotten while it is learned", new_value("source.ip", some, "59m"), vec![Lint::ForgetsWhileLearning]),
        ("as long", new_value("source.ip", some, "1h"), vec![]),
    ] {
        assert_eq!(ids(&source), expected, "{what}");
    }
}
