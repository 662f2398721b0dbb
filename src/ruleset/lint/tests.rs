//! Each lint fires where it should, with place and remedy, and stays quiet next to it.

use serde_json::{Value, json};

use super::*;
use crate::{record::RuleId, ruleset::compile::compile};

/// A rule that nothing is wrong with, but for what `change` does to it.
pub(super) fn rule(change: impl FnOnce(&mut Value)) -> RuleSource {
    let mut spec = json!({
        "title": "t",
        "severity": "Low",
        "selectors": [{"name": "a", "source": "Audit", "where": "audit.verb == \"delete\""}],
        "groupBy": [{"name": "who", "value": "user.name"}],
    });
    change(&mut spec);
    RuleSource { id: RuleId::cluster("r"), generation: 1, spec: serde_json::from_value(spec).unwrap() }
}

pub(super) fn with_condition(condition: &str) -> RuleSource {
    rule(|spec| spec["selectors"][0]["where"] = condition.into())
}

pub(super) fn ids(source: &RuleSource) -> Vec<Lint> {
    if let Err(error) = compile(source) {
        panic!("{:?}: {error}", source.spec.selectors);
    }
    lint(source).iter().map(|w| w.lint).collect()
}

pub(super) fn assert_conditions(lint: Lint, fires: &[&str], quiet: &[&str]) {
    for condition in fires {
        assert_eq!(ids(&with_condition(condition)), [lint], "{condition}");
    }
    for condition in quiet {
        assert_eq!(ids(&with_condition(condition)), [], "{condition}");
    }
}

#[test]
fn contradicting_conditions_are_found() {
    assert_conditions(
        Lint::NeverMatches,
        &[
            r#"audit.verb == "get" && audit.verb == "delete""#,
            r#"audit.verb in ["get", "list"] && event.action == "delete""#,
            r#"audit.verb == "get" && audit.verb != "get""#,
            r#"audit.verb in []"#,
            "false",
            "1 == 2",
            r#"audit.verb == "get" && (audit.verb == "list" || audit.verb == "watch")"#,
            r#"!(audit.verb == "get" || audit.verb != "get")"#,
            "audit.responseStatus.code >= 500 && audit.responseStatus.code < 400",
            r#"audit.responseStatus.code == 403 && event.outcome == "success""#,
            r#"event.outcome == "failure" && http.response.status_code < 300"#,
            r#"user.name.startsWith("system:") && user.name.startsWith("kube")"#,
            r#"user.name == "jane" && user.name.endsWith("eve")"#,
            r#"user.name == "jane" && !user.name.matches("^j.")"#,
            r#"has(audit.requestObject) && !has(audit.requestObject)"#,
            r#"has(user.name) && user.name == """#,
            r#""x" in audit.user.groups && !("x" in audit.user.groups)"#,
            r#"audit.stage in ["RequestReceived"] && audit.stage == "Panic""#,
            r#"audit.verb == "get" ? audit.verb == "list" : false"#,
            "audit.responseStatus.code > 700",
            "http.response.status_code < 0",
            "user.name != user.name",
            "user.name != audit.user.username",
            "audit.responseStatus.code < audit.responseStatus.code",
        ],
        &[
            r#"audit.verb == "get" || audit.verb == "delete""#,
            r#"audit.verb in ["get", "list"] && audit.verb != "get""#,
            "audit.responseStatus.code >= 400 && audit.responseStatus.code < 500",
            r#"event.outcome == "failure" && audit.responseStatus.code == 403"#,
            r#"user.name.startsWith("system:") && user.name.startsWith("system:node:")"#,
            r#"user.name.startsWith("system:") && !user.name.startsWith("system:node:")"#,
            r#""x" in audit.user.groups && !("y" in audit.user.groups)"#,
            r#"user.name == audit.impersonatedUser.username && user.name != "x""#,
            r#"audit.objectRef.name.size() > 1 && audit.objectRef.name.size() < 3"#,
            "audit.responseStatus.code > 500",
            "user.name != user.effective.name",
        ],
    );
}

#[test]
fn too_many_alternatives_are_no_contradiction() {
    let or = |n: usize| (0..n).map(|i| format!("audit.objectRef.name == 'n{i}'")).collect::<Vec<_>>().join(" || ");
    let condition = format!("({}) && ({}) && ({})", or(20), or(20), or(15));
    assert_eq!(ids(&with_condition(&condition)), []);
}

#[test]
fn condition_that_always_holds_is_found() {
    assert_conditions(
        Lint::AlwaysMatches,
        &[
            "true",
            r#"event.kind == "event""#,
            r#"audit.verb == "get" || audit.verb != "get""#,
            "user.name == user.name",
        ],
        &[r#"audit.verb != """#, r#"event.outcome in ["success", "failure"]"#],
    );
}

#[test]
fn selector_that_the_shipped_policy_keeps_from_matching_is_found() {
    assert_conditions(
        Lint::NotLogged,
        &[
            r#"audit.objectRef.resource == "secrets" && audit.requestObject.?type.orValue("") == "Opaque""#,
            r#"audit.objectRef.resource in ["secrets", "configmaps"] && has(audit.requestObject)"#,
            r#"audit.objectRef.resource == "nodes" && has(audit.responseObject)"#,
            r#"audit.verb == "get" && audit.objectRef.resource == "pods" && has(audit.requestObject.spec)"#,
            r#"event.action in ["create"] && audit.objectRef.resource == "resourcequotas" && audit.requestObject.metadata.name == "x""#,
            r#"audit.objectRef.resource == "pods" && audit.objectRef.subresource == "status" && has(audit.requestObject)"#,
            r#"audit.verb == "list" && audit.objectRef.apiGroup == "rbac.authorization.k8s.io" && has(audit.responseObject)"#,
        ],
        &[
            "has(audit.requestObject)",
            r#"audit.objectRef.resource == "pods" && has(audit.requestObject.spec)"#,
            r#"audit.objectRef.resource == "secrets" && !has(audit.requestObject)"#,
            r#"audit.objectRef.resource == "secrets" && (has(audit.requestObject) || audit.verb == "get")"#,
            r#"audit.objectRef.resource in ["secrets", "pods"] && has(audit.requestObject)"#,
            r#"audit.objectRef.resource == "secrets" && audit.?requestObject.?type.orValue("x") == "x""#,
            r#"audit.objectRef.apiGroup == "rbac.authorization.k8s.io" && audit.verb == "patch" && has(audit.responseObject)"#,
            r#"audit.objectRef.resource == "roles" && has(audit.responseObject)"#,
        ],
    );
    let by_key = rule(|spec| {
        spec["selectors"][0]["where"] = r#"audit.objectRef.resource == "secrets""#.into();
        spec["groupBy"][0]["value"] = "audit.requestObject.type".into();
    });
    assert_eq!(ids(&by_key), [Lint::NotLogged]);
    assert!(lint(&by_key)[0].message.contains("`audit.requestObject`"));
}

#[test]
fn selector_of_stages_that_are_left_out_is_found() {
    let stages = |stages: Value| {
        rule(|spec| {
            spec["selectors"][0]["where"] = r#"audit.verb == "get""#.into();
            spec["selectors"][0]["stages"] = stages;
        })
    };
    assert_eq!(ids(&stages(json!(["RequestReceived"]))), [Lint::StageNotLogged]);
    assert_eq!(ids(&stages(json!(["RequestReceived", "ResponseComplete"]))), []);
    assert_conditions(
        Lint::StageNotLogged,
        &[r#"audit.verb == "get" && audit.stage == "RequestReceived""#],
        &[
            r#"audit.verb == "patch" && audit.stage == "RequestReceived""#,
            r#"audit.stage != "RequestReceived""#,
            r#"audit.stage == "ResponseStarted""#,
            // Of groups that the policy does not name: its last rule keeps them.
            r#"audit.verb == "update" && audit.objectRef.resource == "leases""#,
            r#"audit.objectRef.resource == "leases" && audit.objectRef.apiGroup == "coordination.k8s.io""#,
            r#"audit.verb == "create" && audit.objectRef.resource in ["subjectaccessreviews", "selfsubjectaccessreviews"]"#,
            r#"audit.verb == "delete" && audit.objectRef.resource == "customresourcedefinitions""#,
            r#"audit.verb == "update" && audit.objectRef.resource == "events""#,
            r#"audit.objectRef.resource == "deployments" && audit.objectRef.apiGroup == "example.com""#,
        ],
    );
    assert_conditions(
        Lint::StageNotLogged,
        &[r#"audit.objectRef.resource == "leases" && audit.stage == "RequestReceived""#],
        &[r#"audit.objectRef.resource == "roles" && audit.verb == "patch" && audit.stage == "RequestReceived""#],
    );
    assert_conditions(
        Lint::NotLogged,
        &[r#"audit.verb == "update" && audit.objectRef.resource == "leases" && has(audit.requestObject)"#],
        &[],
    );
}

#[test]
fn tenant_rule_that_looks_beyond_its_namespace_is_found() {
    let tenant = |condition: &str| RuleSource { id: RuleId::namespaced("shop", "r"), ..with_condition(condition) };
    let fires = [
        r#"audit.objectRef.namespace == "kube-system""#,
        r#"audit.objectRef.resource in ["nodes", "clusterroles"]"#,
        r#"audit.objectRef.namespace == """#,
    ];
    for condition in fires {
        assert_eq!(ids(&tenant(condition)), [Lint::OutOfScope], "{condition}");
        assert_eq!(ids(&with_condition(condition)), [], "{condition}");
    }
    for condition in [r#"audit.objectRef.namespace == "shop""#, r#"audit.objectRef.resource in ["nodes", "pods"]"#] {
        assert_eq!(ids(&tenant(condition)), [], "{condition}");
    }
}

#[test]
fn comparison_with_what_redaction_removes_is_found() {
    assert_conditions(
        Lint::Redacted,
        &[
            r#"audit.requestObject.?spec.?containers.orValue([]).exists(c, c.?env.orValue([]).exists(e, e.value == "x"))"#,
            r#"audit.requestObject.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"].contains("x")"#,
            r#"audit.requestObject.stringData.key.startsWith("x")"#,
        ],
        &[
            r#"audit.requestObject.?spec.?containers.orValue([]).exists(c, c.?env.orValue([]).exists(e, e.name == "x"))"#,
            r#"has(audit.requestObject.stringData)"#,
            r#"audit.requestObject.data.key == "x""#,
        ],
    );
    let secret = with_condition(r#"audit.objectRef.resource == "secrets" && audit.requestObject.data.key == "x""#);
    assert_eq!(ids(&secret), [Lint::NotLogged, Lint::Redacted]);
}

#[test]
fn field_that_the_source_never_sets_is_found() {
    // What the compiler refuses in this version, the linter reads all the same.
    let node = |condition: &str, key: &str| {
        let source = rule(|spec| {
            spec["selectors"][0]["source"] = "Node".into();
            spec["selectors"][0]["where"] = condition.into();
            spec["groupBy"][0]["value"] = key.into();
        });
        lint(&source).into_iter().map(|w| (w.lint, w.to_string())).collect::<Vec<_>>()
    };
    let warnings = node(r#"audit.verb == "get" && host.name != "x""#, "host.name");
    assert_eq!(warnings.iter().map(|w| w.0).collect::<Vec<_>>(), [Lint::FieldNeverSet]);
    assert!(warnings[0].1.contains("did you mean `event.action`?"), "{}", warnings[0].1);
    assert!(warnings[0].1.contains("spec.selectors[a].where:1:1: `audit.verb`"), "{}", warnings[0].1);
    let warnings = node(r#"host.name != "x""#, "audit.user.username");
    assert_eq!(warnings.iter().map(|w| w.0).collect::<Vec<_>>(), [Lint::EmptyKey]);
    assert!(warnings[0].1.contains("`user.name`"), "{}", warnings[0].1);
    assert_eq!(node(r#"host.name != "x""#, "host.name"), []);
    assert_eq!(ids(&with_condition(r#"host.name != "x" && audit.verb == "get""#)), []);
}

#[test]
fn action_that_no_parser_gives_is_found() {
    let node = |condition: &str| {
        let source = rule(|spec| {
            spec["selectors"][0]["source"] = "Node".into();
            spec["selectors"][0]["where"] = condition.into();
            spec["groupBy"][0]["value"] = "host.name".into();
        });
        lint(&source).into_iter().map(|w| (w.lint, w.hint)).collect::<Vec<_>>()
    };
    for condition in
        [r#"event.action == "ssh-logon""#, r#"event.action in ["su", "ssh-logon"]"#, r#""ssh-logon" == event.action"#]
    {
        assert_eq!(node(condition), [(Lint::UnknownAction, "did you mean \"ssh-login\"?".into())], "{condition}");
    }
    assert_eq!(node(r#"event.action == "get""#).len(), 1);
    assert_eq!(node(r#"event.action in ["ssh-login", "su", "user-added"] && event.action != """#), []);
    assert_conditions(
        Lint::UnknownAction,
        &[
            r#"audit.verb == "GET""#,
            r#"event.action in ["ssh-login", "get"]"#,
            r#"audit.verb == "gte""#,
            r#"audit.verb in ["get", "escalate"]"#,
        ],
        &[r#"audit.verb == "deletecollection""#, r#"event.action == "propfind""#],
    );
    let by_variable = rule(|spec| {
        spec["variables"] = json!([{"name": "v", "expression": "event.action == 'Delete'"}]);
        spec["selectors"][0]["where"] = "variables.v".into();
    });
    assert_eq!(ids(&by_variable), [Lint::UnknownAction]);
    assert_eq!(lint(&by_variable)[0].field, "spec.variables[v].expression");
}

#[test]
fn part_that_fails_for_every_event_is_found() {
    assert_conditions(
        Lint::AlwaysFails,
        &[
            r#"audit.verb == "get" || audit.responseStatus.code / 0 == 1"#,
            r#"audit.verb == "get" || 1 / 0 == 1"#,
            r#"audit.verb == "get" || int("abc") == audit.responseStatus.code"#,
            r#"audit.verb == "get" || [1][1] == audit.responseStatus.code"#,
            r#"audit.user.groups.exists(g, g == string(1 % 0))"#,
        ],
        &[
            r#"audit.verb == "get" || cidr("10.0.0.0/8").containsIP(source.ip)"#,
            r#"event.created.getHours("Europe/Berlin") > 20"#,
            r#"audit.verb == "get" || audit.responseStatus.code / 100 == 4"#,
            r#"user.name.lowerAscii().size() / user.id.size() == 1"#,
        ],
    );
    let warning = &lint(&with_condition(r#"audit.verb == "get" || size([ip("::1"), ip("x" + "y")]) == 2"#))[0];
    assert_eq!(warning.place.as_ref().map(|place| place.column), Some(41), "{warning}");
    assert!(warning.message.contains("\"xy\" is not an IP address"), "{warning}");
}

fn sequence(conditions: [&str; 2], keys: Value, steps: Value) -> RuleSource {
    rule(|spec| {
        spec["selectors"] = json!([
            {"name": "a", "source": "Audit", "where": conditions[0]},
            {"name": "b", "source": "Audit", "where": conditions[1]},
        ]);
        spec["groupBy"] = keys;
        spec["detection"] = json!({"type": "Sequence", "sequence": {"within": "1m", "steps": steps}});
    })
}

#[test]
fn steps_whose_keys_never_meet_are_found() {
    let steps = || json!([{"selector": "a"}, {"selector": "b"}]);
    let by_verb = || json!([{"name": "who", "value": "user.name"}, {"name": "verb", "value": "audit.verb"}]);
    let (get, delete) = (r#"audit.verb == "get""#, r#"audit.verb == "delete""#);
    let found = sequence([get, delete], by_verb(), steps());
    assert_eq!(ids(&found), [Lint::KeysNeverMeet]);
    assert_eq!(lint(&found)[0].field, "spec.groupBy[verb]");
    let sets = [r#"audit.verb in ["get", "list"]"#, r#"event.action in ["list", "watch"]"#];
    assert_eq!(ids(&sequence(sets, by_verb(), steps())), []);
    assert_eq!(ids(&sequence([get, "event.created > timestamp(0)"], by_verb(), steps())), []);
    let fixed = json!([{"name": "k", "from": [{"selector": "a", "value": "'x'"}, {"selector": "b", "value": "'y'"}]}]);
    assert_eq!(ids(&sequence([get, delete], fixed, steps())), [Lint::KeysNeverMeet]);
    let mut expected = sequence([get, delete], by_verb(), steps());
    expected.spec.detection =
        serde_json::from_value(json!({"type": "Absence", "absence": {"selector": "a", "after": "b", "within": "1m"}}))
            .unwrap();
    assert_eq!(ids(&expected), [Lint::KeysNeverMeet], "nothing ever answers");
}

#[test]
fn neighbouring_steps_of_one_selector_are_found() {
    let keys = || json!([{"name": "who", "value": "user.name"}]);
    let (get, delete) = (r#"audit.verb == "get""#, r#"audit.verb == "delete""#);
    let found =
        sequence([get, delete], keys(), json!([{"selector": "a", "count": 2}, {"selector": "a"}, {"selector": "b"}]));
    assert_eq!(ids(&found), [Lint::RepeatedStep]);
    assert!(lint(&found)[0].hint.contains("count: 3"));
    let apart = json!([{"selector": "a"}, {"selector": "b"}, {"selector": "a"}]);
    assert_eq!(ids(&sequence([get, delete], keys(), apart)), []);
}

#[test]
fn negation_over_a_key_that_may_be_missing_is_found() {
    assert_conditions(
        Lint::NegatedDynamic,
        &[
            r#"audit.requestObject.spec.type != "ClusterIP""#,
            r#"!(audit.requestObject.spec.type == "ClusterIP")"#,
            r#"!has(audit.requestObject.spec.hostNetwork)"#,
            r#"audit.annotations["authorization.k8s.io/decision"] != "allow""#,
            r#"!(audit.user.extra["x"].exists(v, v == "y"))"#,
            r#"has(audit.requestObject.spec) && audit.requestObject.spec.type != "x""#,
            r#"audit.requestObject.spec.containers.exists(c, c.image != "x")"#,
            r#"!audit.requestObject.?spec.?containers.orValue([]).exists(c, c.image == "x")"#,
            r#"!(audit.requestObject.spec.?type.orValue("") == "x")"#,
            r#"has(audit.requestObject.spec.type) || audit.requestObject.spec.type != "x""#,
            r#"audit.requestObject.spec.containers.exists(i, c, i > 0 && c.image != "x")"#,
            r#"cel.bind(spec, audit.requestObject.?spec.orValue({}), spec.type != "x")"#,
            r#"cel.bind(same, audit.requestObject.spec.type == "x", !same)"#,
            r#"!cel.bind(spec, audit.requestObject.?spec.orValue({}), spec.type == "x")"#,
            r#"audit.requestObject.spec.type == "x" ? false : true"#,
            r#"audit.requestObject.spec.type == "x" ? false : user.name == "y""#,
            r#"(audit.requestObject.spec.type == "x") == false"#,
            r#"true != (audit.requestObject.spec.type == "x")"#,
            r#"audit.requestObject.spec.hostNetwork == false"#,
        ],
        &[
            r#"audit.requestObject.spec.type == "ClusterIP""#,
            r#"audit.requestObject.?spec.?type.orValue("") != "ClusterIP""#,
            r#"!audit.requestObject.?spec.?hostNetwork.orValue(false)"#,
            r#"has(audit.requestObject.spec.type) && audit.requestObject.spec.type != "x""#,
            r#"audit.requestObject.spec.type != "x" && has(audit.requestObject.spec.type)"#,
            r#"!has(audit.requestObject.spec.type) || audit.requestObject.spec.type != "x""#,
            r#"has(audit.requestObject.spec.type) ? audit.requestObject.spec.type != "x" : false"#,
            r#"audit.requestObject.spec.hostNetwork == true"#,
            r#"has(audit.requestObject.spec.a) == false || audit.requestObject.spec.a != "x""#,
            r#"cel.bind(same, audit.requestObject.spec.type == "x", same)"#,
            r#"audit.requestObject.spec.type == "x" ? true : false"#,
            r#"!has(audit.requestObject)"#,
            r#"!(has(audit.requestObject.a) && audit.requestObject.a == "x")"#,
            r#""k" in audit.annotations && audit.annotations["k"] != "x""#,
            r#"audit.annotations[?"k"].orValue("") != "x""#,
            r#"!("k" in audit.annotations)"#,
            r#"audit.requestObject.?spec.?containers.orValue([]).exists(c, has(c.image) && c.image != "x")"#,
            r#"audit.verb != "get" && !(audit.userAgent.startsWith("x"))"#,
            r#"!(audit.user.groups.exists(g, g == "x"))"#,
            r#"cel.bind(spec, audit.requestObject.?spec.orValue({}), spec.?type.orValue("") != "x")"#,
            r#"audit.requestObject.?spec.optMap(s, s.?type.orValue("") != "x").orValue(false)"#,
            r#"audit.requestObject.spec.containers.exists(i, c, i != 0 && c.image == "x")"#,
        ],
    );
    let warning = &lint(&with_condition("audit.verb == 'create'\n  && audit.requestObject.spec.type != \"x\""))[0];
    assert_eq!(
        warning.to_string(),
        "NegatedDynamic: spec.selectors[a].where:2:6: `audit.requestObject.spec.type` may be missing: then this negation is \
         an error, and so no match; read it as `audit.?requestObject.?spec.?type.orValue(…)`, or test it with has() beside\n  \
         && audit.requestObject.spec.type != \"x\"\n     ^"
    );
}

#[test]
fn variables_are_judged_where_they_are_used() {
    let with_variable = |expression: &str, condition: &str| {
        rule(|spec| {
            spec["variables"] = json!([{"name": "v", "expression": expression}]);
            spec["selectors"][0]["where"] = condition.into();
        })
    };
    let bad = with_variable(r#"audit.requestObject.type != "x""#, "variables.v");
    assert_eq!(ids(&bad), [Lint::NegatedDynamic]);
    assert_eq!(lint(&bad)[0].field, "spec.variables[v].expression");
    let guarded = with_variable(r#"audit.requestObject.type != "x""#, "has(audit.requestObject.type) && variables.v");
    assert_eq!(ids(&guarded), []);
    let chain = with_variable("audit.requestObject.spec", r#"variables.v.type != "x""#);
    assert_eq!(ids(&chain), [Lint::NegatedDynamic]);
    let verb = with_variable(r#"audit.verb == "get""#, r#"variables.v && audit.verb == "list""#);
    assert_eq!(ids(&verb), [Lint::NeverMatches]);
    assert_eq!(ids(&with_variable("audit.verb", r#"variables.v == "get""#)), []);
    assert_eq!(ids(&with_variable("audit.verb", r#"audit.verb == "get""#)), [Lint::UnusedVariable]);
}

#[test]
fn window_beyond_the_record_is_found() {
    let within = |span: &str| {
        rule(|spec| spec["detection"] = json!({"type": "Threshold", "threshold": {"count": 2, "within": span}}))
    };
    assert_eq!(ids(&within("8d")), [Lint::WindowOutlivesRecord]);
    assert_eq!(ids(&within("7d")), []);
    let kept = |bytes, span| lint_within(&within(span), bytes).iter().map(|w| w.lint).collect::<Vec<_>>();
    assert_eq!(kept(20 << 30, "8d"), []);
    assert_eq!(kept(20 << 30, "15d"), [Lint::WindowOutlivesRecord]);
    assert_eq!(kept(1 << 30, "1d"), [Lint::WindowOutlivesRecord]);
    let new_value = |learn: &str, forget: &str| {
        let parameters = json!({"value": "source.ip", "learnFor": learn, "forgetAfter": forget});
        rule(|spec| spec["detection"] = json!({"type": "NewValue", "newValue": parameters}))
    };
    assert_eq!(ids(&new_value("1d", "7d")), []);
    assert_eq!(lint(&new_value("8d", "7d"))[0].field, "spec.detection.newValue.learnFor");
    assert_eq!(lint(&new_value("1d", "30d"))[0].field, "spec.detection.newValue.forgetAfter");
}

#[test]
fn missing_group_by_and_unused_selectors_are_found() {
    assert_eq!(ids(&rule(|spec| spec["groupBy"] = json!([]))), [Lint::NoGroupBy]);
    let spare = |detection: Value| {
        rule(|spec| {
            let spare = json!({"name": "b", "source": "Audit", "where": "audit.verb == \"get\""});
            spec["selectors"].as_array_mut().unwrap().push(spare);
            spec["detection"] = detection;
        })
    };
    let threshold = json!({"type": "Threshold", "threshold": {"selector": "a", "count": 2, "within": "1m"}});
    let found = spare(threshold);
    assert_eq!(ids(&found), [Lint::UnusedSelector]);
    assert_eq!(lint(&found)[0].field, "spec.selectors[b]");
    assert_eq!(ids(&spare(json!({"type": "Match"}))), []);
}

#[test]
fn patterns_that_plain_functions_replace_are_found() {
    assert_conditions(
        Lint::PlainPattern,
        &[
            r#"user.name.matches("^system:node$")"#,
            r#"user.name.matches("^system:")"#,
            r#"user.name.matches("@example\\.com$")"#,
            r#"matches(user.name, "bot")"#,
        ],
        &[r#"user.name.matches("^system:node:.")"#, r#"user.name.matches("(?i)bot")"#, r#"user.name.matches("^$")"#],
    );
    let hint = |pattern: &str| lint(&with_condition(&format!("user.name.matches(r'{pattern}')")))[0].hint.clone();
    assert!(hint(r"^a\.b$").contains(r#"`== "a.b"`"#));
    assert!(hint("^a").contains(r#"`startsWith("a")`"#));
    assert!(hint("a$").contains(r#"`endsWith("a")`"#));
    assert!(hint("a").contains(r#"`contains("a")`"#));
    assert_conditions(
        Lint::UnanchoredPattern,
        &[r#"audit.verb.matches("get|list")"#, r#"event.action.matches("(get|list)")"#],
        &[r#"audit.verb.matches("^(get|list)$")"#, r#"user_agent.original.matches("curl|wget")"#],
    );
}

#[test]
fn warnings_are_bounded_and_fit_the_status() {
    let many = (0..40).map(|i| format!("audit.requestObject.k{i} != 'x'")).collect::<Vec<_>>().join(" && ");
    let source = with_condition(&many);
    let warnings = lint(&source);
    assert_eq!(warnings.len(), MAX_WARNINGS);
    for warning in &warnings {
        let shown = warning.in_status();
        assert!(shown.message.chars().count() <= MAX_TEXT && shown.lint == "NegatedDynamic", "{shown:?}");
    }
}

#[test]
fn every_lint_has_a_name_and_a_meaning() {
    let names: std::collections::BTreeSet<&str> = Lint::ALL.iter().map(|l| l.as_str()).collect();
    assert_eq!(names.len(), Lint::ALL.len());
    assert!(Lint::ALL.windows(2).all(|pair| pair[0] < pair[1]), "in the order of their weight");
    assert!(Lint::ALL.iter().all(|lint| lint.meaning().ends_with('.')));
}
