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

/// The lints and hints of a condition over lines.
fn of_lines(condition: &str) -> Vec<(Lint, String)> {
    let source = rule(|spec| {
        spec["selectors"][0]["source"] = "Node".into();
        spec["selectors"][0]["where"] = condition.into();
        spec["groupBy"][0]["value"] = "host.name".into();
    });
    ids(&source);
    lint(&source).into_iter().map(|warning| (warning.lint, warning.hint)).collect()
}

#[test]
fn class_provider_and_service_that_no_event_has_are_found() {
    for (condition, hint) in [
        (r#""authentification" in event.category"#, "did you mean \"authentication\"?"),
        (r#"event.category.exists(c, c == "authentification")"#, "did you mean \"authentication\"?"),
        (r#"!("Authentication" in event.category)"#, "did you mean \"authentication\"?"),
        (r#""deny" in event.type"#, "in events of this source it is one of"),
        (r#"event.provider == "shd""#, "did you mean \"sshd\"?"),
        (r#"event.provider in ["sshd", "kubernetes-audit"]"#, "in events of this source it is one of"),
        (r#"service.name == "sshd-session""#, "write \"sshd\""),
        (r#"service.name == "/usr/sbin/sshd""#, "write \"sshd\""),
        (r#"service.name == "shsd""#, "did you mean \"sshd\"?"),
        (r#"service.name == "Sudo""#, "did you mean \"sudo\"?"),
    ] {
        match of_lines(condition).as_slice() {
            [(Lint::UnknownValue, found)] => assert!(found.starts_with(hint), "{condition}: {found}"),
            other => panic!("{condition}: {other:?}"),
        }
    }
    for condition in [
        r#""authentication" in event.category && "start" in event.type"#,
        r#"event.category.exists(c, c == "iam")"#,
        r#"event.provider == "sshd" || event.provider == """#,
        r#"service.name in ["sshd", "cron", "etcd", "my-agent", "web", "ingress-nginx"]"#,
    ] {
        assert_eq!(of_lines(condition), [], "{condition}");
    }
    assert_conditions(
        Lint::UnknownValue,
        &[r#""session" in event.category"#, r#"event.provider == "sshd""#, r#""info" in event.type"#],
        &[r#""api" in event.category && "denied" in event.type && event.provider == "kubernetes-audit""#],
    );
}

#[test]
fn key_that_no_parser_sets_is_found() {
    for (condition, hint) in [
        (r#"fields.?shel.orValue("") == "/bin/bash""#, "did you mean `fields.shell`?"),
        (r#"has(fields.Shell)"#, "did you mean `fields.shell`?"),
        (r#"fields[?"zzzzzz"].orValue("") == "x""#, "the reference of event fields"),
        (r#"event.provider == "su" && has(fields.shell)"#, "there `fields` has"),
        (r#"event.action == "ssh-login" && has(fields.pam_module)"#, "there `fields` has"),
    ] {
        match of_lines(condition).as_slice() {
            [(Lint::FieldNeverSet, found)] => assert!(found.starts_with(hint), "{condition}: {found}"),
            other => panic!("{condition}: {other:?}"),
        }
    }
    for condition in [
        r#"fields.?shell.orValue("") == "/bin/bash""#,
        r#"event.action == "user-added" && has(fields.shell)"#,
        r#"event.action == "ssh-login" && has(fields.repeated)"#,
        r#"event.provider == "su" && event.action == "su" || has(fields.shell)"#,
    ] {
        assert_eq!(of_lines(condition), [], "{condition}");
    }
}

#[test]
fn provider_with_the_action_of_another_is_found() {
    for condition in [
        r#"event.provider == "sshd" && event.action == "sudo-command""#,
        r#"event.action in ["su", "user-added"] && event.provider in ["sshd", "cron"]"#,
        r#"event.provider != "sshd" && event.action == "ssh-login""#,
    ] {
        let found = of_lines(condition);
        assert_eq!(found.iter().map(|(lint, _)| *lint).collect::<Vec<_>>(), [Lint::NeverMatches], "{condition}");
    }
    for condition in [
        r#"event.provider == "sshd" && event.action == "ssh-login""#,
        r#"event.provider in ["kernel", "auditd"] && event.action == "promiscuous-mode""#,
        r#"event.provider != "sshd" && event.action in ["ssh-login", "su"]"#,
        r#"event.provider == "" && event.action == """#,
    ] {
        assert_eq!(of_lines(condition), [], "{condition}");
    }
}

#[test]
fn group_that_is_a_version_or_another_resource_s_is_found() {
    assert_conditions(
        Lint::UnknownValue,
        &[
            r#"audit.objectRef.apiGroup == "v1""#,
            r#"audit.objectRef.apiGroup in ["v1beta1"]"#,
            r#"audit.objectRef.apiGroup == "apps/v1""#,
            r#"audit.objectRef.apiVersion == "apps/v1""#,
            r#"audit.objectRef.apiGroup == "core""#,
            r#"audit.objectRef.apiGroup == "rbac""#,
            r#"audit.objectRef.apiGroup == "rbac.authorisation.k8s.io""#,
            r#"audit.objectRef.apiGroup == "" && audit.objectRef.resource == "deployments""#,
            r#"audit.objectRef.apiGroup == "apps" && audit.objectRef.resource in ["pods", "secrets"]"#,
            r#"user.name == "system:*""#,
            r#"user.name.lowerAscii() == "a" || user.name == "^admin""#,
            r#""system:*" in audit.user.groups"#,
            r#"audit.objectRef.name == ".*admin""#,
        ],
        &[
            r#"audit.objectRef.apiGroup == "" && audit.objectRef.apiVersion == "v1""#,
            r#"audit.objectRef.apiGroup in ["apps", "rbac.authorization.k8s.io", "batch"]"#,
            r#"audit.objectRef.apiGroup == "vaults.example.com""#,
            r#"audit.objectRef.apiGroup in ["apiregistration.k8s.io", "resource.k8s.io", "metrics.k8s.io"]"#,
            r#"audit.objectRef.apiGroup == "example.com" && audit.objectRef.resource == "deployments""#,
            r#"audit.objectRef.apiGroup in ["", "apps"] && audit.objectRef.resource in ["pods", "deployments"]"#,
            r#"audit.objectRef.apiGroup == "extensions" && audit.objectRef.resource == "ingresses""#,
            r#"audit.requestURI == "*" || user.name == "DESKTOP$""#,
        ],
    );
    let hint = |condition| lint(&with_condition(condition))[0].hint.clone();
    assert_eq!(
        hint(r#"audit.objectRef.apiGroup == "v1""#),
        "ask audit.objectRef.apiGroup == \"\" && audit.objectRef.apiVersion == \"v1\""
    );
    assert_eq!(hint(r#"audit.objectRef.apiGroup == "rbac""#), "did you mean \"rbac.authorization.k8s.io\"?");
    assert_eq!(hint(r#"user.name == "system:*""#), "ask user.name.startsWith(\"system:\")");
    assert_eq!(
        hint(r#""system:*" in audit.user.groups"#),
        "ask audit.user.groups.exists(g, g.startsWith(\"system:\"))"
    );
}
