//! What `kubewitness test` tells: coverage, the first difference, what the API server would refuse, JSON and JUnit.

use serde_json::Value;

use super::{RULE, run, text, with_rule};

/// Two selectors and a Sequence; its tests leave one selector and one step alone.
const SEQUENCE: &str = r#"
apiVersion: kubewitness.io/v1alpha1
kind: ClusterSecurityRule
metadata: {name: steps}
spec:
  title: Refused, then <deleted> & "gone"
  severity: Low
  selectors:
  - {name: refused, source: Audit, where: audit.responseStatus.code == 403}
  - {name: deleted, source: Audit, where: audit.verb == "delete"}
  groupBy: [{name: user, value: user.name}]
  detection:
    type: Sequence
    sequence: {within: 1m, steps: [{selector: refused, count: 2}, {selector: deleted}]}
  tests:
  - name: one refusal & <no more>
    input: [{event: {verb: get, user: {username: alice}, responseStatus: {code: 403}}}]
    expect: []
"#;

#[test]
fn what_no_test_exercises_is_shown_by_rule_and_in_total() {
    let dir = with_rule(SEQUENCE);
    let output = run(dir.path(), &["test", "."], "");
    assert_eq!(
        text(&output.stdout),
        "ok    ./rule.yaml: steps (1 test)\n      no test exercises selector deleted\n      no test exercises step 1 (refused)\n\
         \x20     no test exercises step 2 (deleted)\ntests exercise 1 of 2 selector(s) and 0 of 2 step(s)\n1 passed, 0 failed\n"
    );
    let more = "  - name: refused twice\n    input:\n    - {repeat: 2, every: 1s, event: {verb: get, user: {username: alice}, responseStatus: {code: 403}}}\n    \
                - {at: 5s, event: {verb: delete, user: {username: alice}}}\n    expect: [{key: {user: alice}, count: 1}]\n";
    let dir = with_rule(&format!("{SEQUENCE}{more}"));
    let shown = text(&run(dir.path(), &["test", "-v", "."], "").stdout);
    for wanted in [
        "      selector refused is exercised by: one refusal & <no more>; refused twice\n",
        "      step 1 (refused) is exercised by: refused twice\n",
        "tests exercise 2 of 2 selector(s) and 2 of 2 step(s)\n",
    ] {
        assert!(shown.contains(wanted), "{wanted}{shown}");
    }
}

#[test]
fn what_the_api_server_would_refuse_is_refused_with_its_field() {
    let cases = [
        (
            "count: 1",
            "count: \"1\"",
            "spec.tests[0].expect[0].count: must be of type integer, not the text \"1\"; write it without quotes",
        ),
        ("count: 1", "count: 0", "spec.tests[0].expect[0].count: is 0, and must be at least 1"),
        ("count: 1", "counts: 1", "spec.tests[0].expect[0].counts: there is no field \"counts\""),
        (
            "key: {user: alice}",
            "key: {user: 7}",
            "spec.tests[0].expect[0].key.user: must be of type string, not the number 7",
        ),
        (
            "severity: Low, ",
            "severity: Lowest, ",
            "spec.tests[0].expect[0].severity: is \"Lowest\", and must be one of",
        ),
        ("  title: Something deleted\n", "", "spec.title: must be there"),
        ("title: Something", "titel: Something", "spec.titel: there is no field \"titel\""),
        ("input: [{", "input: [{at: 1 hour, ", "spec.tests[0].input[0].at: is \"1 hour\""),
        ("input: [{", "input: [{repeat: 2000, ", "spec.tests[0].input[0].repeat: is 2000, and must be at most 1000"),
        (
            "tests:\n",
            "tests:\n  - {name: a delete is seen, input: [{event: {}}], expect: []}\n",
            "spec.tests[1]: is there twice",
        ),
    ];
    for (from, to, wanted) in cases {
        let rule = RULE.replace(from, to);
        assert_ne!(rule, RULE, "{from}");
        let output = run(with_rule(&rule).path(), &["test", "rule.yaml"], "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{to}: {shown}");
        assert!(
            shown.contains("ClusterSecurityRule deletions is refused") && shown.contains(wanted),
            "{wanted}\n{shown}"
        );
    }
}

#[test]
fn expectations_are_exact_and_may_demand_absence() {
    let pod = "inventory: {pods: [{namespace: shop, name: web, addresses: [10.1.2.3]}]}\n    input: [{event: {sourceIPs: [10.1.2.3], ";
    let joined = RULE.replace("input: [{event: {", pod);
    let absent = |rule: &str, fields: &str| rule.replace("count: 1}", &format!("count: 1, absent: [{fields}]}}"));
    let two = "{event: {verb: delete, user: {username: alice}}}, {event: {verb: delete, user: {username: bob}}}";
    let cases = [
        ("not joined", absent(RULE, "kubernetes.pod.name, source.claimed_ips"), 0, "1 passed"),
        ("joined", absent(&joined, "source.claimed_ips"), 0, "1 passed"),
        (
            "joined, though it should not be",
            absent(&joined, "kubernetes.pod.name"),
            1,
            "not absent: [kubernetes.pod.name]",
        ),
        ("a field that is always there", absent(RULE, "user.name"), 1, "absent: [user.name]"),
        ("no such field", absent(RULE, "user.nmae"), 1, "`absent` names \"user.nmae\", which is no event field"),
        (
            "an alert too many",
            RULE.replace("{event: {verb: delete, user: {username: alice}}}", two),
            1,
            "not expected: {severity: Low, key: {user: bob}",
        ),
    ];
    for (name, rule, code, wanted) in cases {
        assert_ne!(rule, RULE, "{name}");
        let output = run(with_rule(&rule).path(), &["test", "rule.yaml"], "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{name}: {shown}");
        assert!(shown.contains(wanted), "{name}: {shown}");
    }
}

/// The controller runs them before a rule goes live, so what they may cost depends on the rule alone.
#[test]
fn tests_that_cost_too_much_are_refused() {
    let input = "{event: {verb: delete, user: {username: alice}}}";
    let many = |n: usize, one: &str| RULE.replace(input, &vec![one; n].join(", "));
    let large = format!("{{repeat: 1000, event: {{verb: delete, userAgent: {}}}}}", "x".repeat(20_000));
    let dear = "audit.verb == \"delete\" && audit.requestObject.l.all(a, audit.requestObject.l.all(b, a != \"\" && b != \"\"))";
    let list = vec!["x"; 150].join(", ");
    let body =
        format!("{{repeat: 500, event: {{verb: delete, user: {{username: alice}}, requestObject: {{l: [{list}]}}}}}}");
    let costly = RULE.replace("audit.verb == \"delete\"", &format!("'{dear}'")).replace(input, &body);
    let cases = [
        (
            "inputs",
            many(11, &input.replace("{event", "{repeat: 1000, event")),
            "expand to 11000 events, and all tests of a rule may have 10000",
        ),
        ("bytes", RULE.replace(input, &large), "bytes, and all tests of a rule may have 16777216"),
        ("steps", costly, "takes over 10000000 steps"),
    ];
    for (name, rule, wanted) in cases {
        let output = run(with_rule(&rule).path(), &["test", "rule.yaml"], "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{name}: {shown}");
        assert!(shown.contains(wanted), "{name}: {shown}");
    }
}

/// Whoever suspends a rule must not have to take its tests out.
#[test]
fn tests_hold_for_a_rule_that_is_suspended_or_in_a_dry_run() {
    for setting in ["suspend: true", "mode: DryRun"] {
        let rule = RULE.replacen("severity: Low", &format!("severity: Low\n  {setting}"), 1);
        let output = run(with_rule(&rule).path(), &["test", "rule.yaml"], "");
        assert_eq!(output.status.code(), Some(0), "{setting}: {}", text(&output.stdout));
    }
}

#[test]
fn json_holds_what_the_text_does() {
    let dir = with_rule(&format!("{SEQUENCE}---\n{}", RULE.replace("count: 1", "count: 2")));
    let output = run(dir.path(), &["test", "--output", "json", "."], "");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (steps, failing) = (&report["rules"][0], &report["rules"][1]);
    assert_eq!(steps["rule"], "steps");
    assert_eq!(steps["tests"][0]["difference"], Value::Null);
    assert_eq!(
        steps["parts"][0],
        serde_json::json!({"name": "selector refused", "tests": ["one refusal & <no more>"]})
    );
    assert_eq!(steps["parts"][3], serde_json::json!({"name": "step 2 (deleted)", "tests": []}));
    let difference = failing["tests"][0]["difference"].as_str().unwrap();
    assert!(difference.starts_with("expected: {severity: Low, key: {user: alice}, count: 2}\n"), "{difference}");
}

/// A CI system looks at the XML and not at the exit code.
#[test]
fn junit_shows_warnings_as_failures_where_they_are_denied() {
    let warned = RULE.replace("audit.verb == \"delete\"", "'audit.verb == \"delete\" && audit.requestObject.a != 1'");
    let dir = with_rule(&warned.replace("username: alice}", "username: alice}, requestObject: {a: 2}"));
    for (arguments, failures, tests) in
        [(&["--output", "junit"][..], "0", "1"), (&["--output", "junit", "--deny-warnings"], "1", "2")]
    {
        let output = run(dir.path(), &[&["test"], arguments, &["."]].concat(), "");
        let xml = text(&output.stdout);
        let document = roxmltree::Document::parse(&xml).unwrap();
        for node in [document.root_element(), document.root_element().first_element_child().unwrap()] {
            assert_eq!((node.attribute("failures"), node.attribute("tests")), (Some(failures), Some(tests)), "{xml}");
        }
        let failed = document.descendants().filter(|node| node.has_tag_name("failure")).count();
        assert_eq!((failed.to_string().as_str(), output.status.code()), (failures, failures.parse().ok()), "{xml}");
    }
}

#[test]
fn junit_is_xml_that_names_each_test_and_each_failure() {
    let control = r#""bad\x01name <x> & \"y\"""#;
    let failing = RULE.replace("count: 1", "count: 2").replace("name: a delete is seen", &format!("name: {control}"));
    let dir = with_rule(&format!("{SEQUENCE}---\n{failing}---\n{}", RULE.replace("audit.verb", "audit.vreb")));
    std::fs::write(dir.path().join("broken.yaml"), "a: [").unwrap();
    let output = run(dir.path(), &["test", "--output", "junit", "."], "");
    assert_eq!(output.status.code(), Some(2));
    let xml = text(&output.stdout);
    let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("tests")), ("testsuites", Some("4")));
    assert_eq!((root.attribute("failures"), root.attribute("errors")), (Some("1"), Some("2")));
    let cases: Vec<_> = root.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let shown: Vec<_> = cases
        .iter()
        .map(|case| (case.attribute("name").unwrap(), case.first_element_child().map(|child| child.tag_name().name())))
        .collect();
    assert_eq!(
        shown,
        [
            ("can be read", Some("error")),
            ("one refusal & <no more>", None),
            ("bad\u{fffd}name <x> & \"y\"", Some("failure")),
            ("compiles", Some("error")),
        ]
    );
    let failure = cases[2].first_element_child().unwrap();
    assert!(failure.attribute("message").unwrap().starts_with("expected: {severity: Low"), "{xml}");
    assert!(failure.text().unwrap().contains("\n  found:    {severity: Low"), "{xml}");
    let said = root.descendants().find(|node| node.has_tag_name("system-out")).unwrap();
    assert!(said.text().unwrap().contains("no test exercises step 2 (deleted)"), "{xml}");
}
