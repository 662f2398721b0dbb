//! What a person may get wrong on the command line or in a rule's file, and is told: the place and the remedy.

use std::fs;

use super::{RULE, event, run, text, with_rule};

#[test]
fn misuse_is_refused_with_the_remedy() {
    let dir = with_rule(RULE);
    for name in ["a.log", "b.log"] {
        fs::write(dir.path().join(name), event(name, "delete")).unwrap();
    }
    fs::write(dir.path().join("event.json"), event("1", "delete")).unwrap();
    let explain = ["explain", "--rules", "rule.yaml", "--event", "event.json", "--rule"];
    for (arguments, wanted) in [
        (vec!["replay", "--rules", "rule.yaml", "a.log", "b.log"], "`cat a.log b.log` them into `kubewitness replay"),
        (vec!["replay", "--rules", "rule.yaml", "--", "a.log", "b.log"], "replay reads one input, and these are 2"),
        (vec!["replay", "--threads", "0", "--rules", "rule.yaml", "-"], "at least 1; leave it out for as many as"),
        (vec!["replay", "--threads", "many", "--rules", "rule.yaml", "-"], "at least 1; leave it out for as many as"),
        (vec!["replay", "--summary", "-", "--rules", "rule.yaml", "-"], "standard output has the alerts already"),
        ([explain.as_slice(), &["deletion"]].concat(), "no rule is named deletion; did you mean deletions?"),
        ([explain.as_slice(), &["quite-another"]].concat(), "no rule is named quite-another; there are: deletions"),
    ] {
        let output = run(dir.path(), &arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(wanted), "{arguments:?}: {said}");
    }
    assert!(!dir.path().join("-").exists(), "no file is named -");
}

#[test]
fn two_rules_of_one_name_are_refused_and_a_file_that_is_named_twice_is_read_once() {
    let dir = with_rule(RULE);
    let twice = run(dir.path(), &["test", "rule.yaml", ".", "./rule.yaml"], "");
    assert_eq!((twice.status.code(), text(&twice.stdout).contains("1 passed, 0 failed")), (Some(0), true));
    fs::write(dir.path().join("second.yaml"), RULE).unwrap();
    let output = run(dir.path(), &["test", "."], "");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    let wanted = "FAIL  ./second.yaml: deletions: InvalidRule\n      a rule of this name is in ./rule.yaml too, and names must be unique";
    assert!(shown.contains(wanted) && shown.contains("1 passed, 1 failed"), "{shown}");
}

#[test]
fn a_tenants_rule_without_a_namespace_is_told_which_it_has() {
    let dir = with_rule(&RULE.replace("ClusterSecurityRule", "SecurityRule"));
    let said = text(&run(dir.path(), &["test", "rule.yaml"], "").stderr);
    assert!(
        said.contains("SecurityRule deletions names no metadata.namespace, and is read as one of `default`"),
        "{said}"
    );
    let named =
        RULE.replace("ClusterSecurityRule", "SecurityRule").replace("{name: del", "{namespace: shop, name: del");
    assert_eq!(text(&run(with_rule(&named).path(), &["test", "rule.yaml"], "").stderr), "");
}

#[test]
fn misspelt_fields_of_rules_and_events_are_told_what_was_meant() {
    for (from, to, code, wanted) in [
        ("title: Some", "titel: Some", 2, "there is no field \"titel\"; did you mean \"title\"?"),
        ("username: alice", "name: alice", 1, "an audit event has no field user.name; did you mean user.username?"),
        ("verb: delete", "vreb: delete", 1, "an audit event has no field vreb; did you mean verb?"),
    ] {
        let output = run(with_rule(&RULE.replace(from, to)).path(), &["test", "rule.yaml"], "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{to}: {shown}");
        assert!(shown.contains(wanted), "{to}: {shown}");
    }
}

/// Else a test would pass of which a live rule finds nothing.
#[test]
fn what_comes_late_is_taken_as_a_live_controller_takes_it() {
    let threshold =
        RULE.replace("  tests:", "  detection: {type: Threshold, threshold: {count: 2, within: 1m}}\n  tests:");
    let absence =
        RULE.replace("  tests:", "  detection: {type: Absence, absence: {selector: deleted, within: 1m}}\n  tests:");
    let event = "event: {verb: delete, user: {username: alice}}";
    let inputs = |rule: &str, all: &[&str]| {
        let all: Vec<String> = all.iter().map(|at| format!("{{{at}, {event}}}")).collect();
        rule.replace(
            "input: [{event: {verb: delete, user: {username: alice}}}]",
            &format!("input: [{}]", all.join(", ")),
        )
    };
    let other = "at: 10m, event: {verb: delete, user: {username: bob}}}, {at: 30s";
    let absence = absence.replace("expect:", "advanceTo: 1h\n    expect:");
    for (name, rule, wanted) in [
        ("a match", inputs(RULE, &["received: 1h"]), "1 passed"),
        ("in time", inputs(&threshold, &["at: 0s", "at: 30s, received: 5m"]), "1 passed"),
        ("late, and what it joins is there", inputs(&threshold, &["at: 0s", "at: 30s, received: 10m"]), "1 passed"),
        (
            "late, and time has passed",
            inputs(&threshold, &["at: 0s", &format!("{other}, received: 11m")]),
            "expected 1 alert(s), found 0 (selectors took 3 of 3 events)\n        missing:      {severity: Low, key: {user: alice}, \
             count: 1}\n        1 event(s) were received later than 5m after their time",
        ),
        ("always as late", inputs(&absence, &["received: 10m"]), "1 passed"),
        (
            "later than others of its source",
            inputs(&absence, &["at: 9m", "at: 0s, received: 10m"]),
            "the event of 0s is received at 10m, and a live controller waits 5m",
        ),
    ] {
        let shown = text(&run(with_rule(&rule).path(), &["test", "rule.yaml"], "").stdout);
        assert!(shown.contains(wanted), "{name}: {shown}");
    }
}

#[test]
fn another_number_of_alerts_names_those_that_differ() {
    let two = "{event: {verb: delete, user: {username: alice}}}, {event: {verb: delete, user: {username: bob}}}";
    let both = RULE.replace("{event: {verb: delete, user: {username: alice}}}", two);
    let more = RULE.replace("count: 1}]", "count: 1}, {key: {user: carol}}]");
    let not_expected = "expected 1 alert(s), found 2 (selectors took 2 of 2 events)\n        not expected: {severity: Low, key: {user: bob}, count: 1";
    let missing =
        "expected 2 alert(s), found 1 (selectors took 1 of 1 events)\n        missing:      {key: {user: carol}}\n";
    for (rule, wanted) in [(both, not_expected), (more, missing)] {
        let shown = text(&run(with_rule(&rule).path(), &["test", "rule.yaml"], "").stdout);
        assert!(shown.contains(wanted), "{shown}");
    }
}
