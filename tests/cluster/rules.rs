//! What becomes of rules on a real API server: broken ones are refused with their place and disturb nobody, a broken
//! edit leaves the last good generation at work, and every change of a rule takes effect.

use super::seen::{event, event_list, post};
use super::steps::{Mark, accept, cluster_rule, expect, get, judged, look_at, spec};
use crate::support::{ClusterOptions, WatchedCluster, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// What a broken rule is answered with.
enum Answer {
    /// By the API server, in words that hold these.
    Refused(&'static [&'static str]),
    /// By the controller: reason, and words of the message.
    NotReady(&'static str, &'static [&'static str]),
    /// By the controller, for an expression: field, line, column, and a word of the explanation.
    Place(&'static str, usize, usize, &'static str),
}

struct Broken {
    name: &'static str,
    breaks: fn(&mut Value),
    answer: Answer,
}

const WHERE: &str = "spec.selectors[seen].where";

fn condition(spec: &mut Value, text: impl Into<Value>) {
    spec["selectors"][0]["where"] = text.into();
}

/// Rules that the schema lets through to the controller no more.
const BY_THE_API_SERVER: &[Broken] = &[
    Broken {
        name: "unknown-field-of-the-rule",
        breaks: |spec| spec["selectors"][0]["were"] = json!("true"),
        answer: Answer::Refused(&["unknown field", "spec.selectors[0].were"]),
    },
    Broken {
        name: "no-condition",
        breaks: |spec| drop(spec["selectors"][0].as_object_mut().unwrap().remove("where")),
        answer: Answer::Refused(&["spec.selectors[0].where", "Required"]),
    },
    Broken {
        name: "wrong-union-member",
        breaks: |spec| spec["detection"] = json!({"type": "Sequence", "threshold": {"count": 3, "within": "1m"}}),
        answer: Answer::Refused(&["spec.detection", "threshold must be set if and only if type is Threshold"]),
    },
    Broken {
        name: "expression-of-1-mib",
        breaks: |spec| condition(spec, format!("user.name == \"{}\"", "x".repeat(1 << 20))),
        answer: Answer::Refused(&["spec.selectors[0].where", "Too long"]),
    },
    Broken {
        name: "duplicate-selector",
        breaks: |spec| {
            let twin = spec["selectors"][0].clone();
            spec["selectors"].as_array_mut().unwrap().push(twin);
        },
        answer: Answer::Refused(&["spec.selectors[1]", "Duplicate value"]),
    },
    Broken {
        name: "unknown-severity",
        breaks: |spec| spec["severity"] = json!("Extreme"),
        answer: Answer::Refused(&["spec.severity", "Unsupported value: \"Extreme\""]),
    },
    Broken {
        name: "endless-window",
        breaks: |spec| {
            spec["detection"] = json!({"type": "Threshold", "threshold": {"count": 3, "within": "for ever"}});
        },
        answer: Answer::Refused(&["spec.detection.threshold.within"]),
    },
    Broken {
        name: "groupby-without-value",
        breaks: |spec| spec["groupBy"] = json!([{"name": "key"}]),
        answer: Answer::Refused(&["spec.groupBy[0]", "must have value or from"]),
    },
];

/// Rules that only the compiler can tell from good ones.
const BY_THE_CONTROLLER: &[Broken] = &[
    Broken {
        name: "unknown-field",
        breaks: |spec| condition(spec, "user.name != \"\"\n&& audit.objectRef.nmae == \"x\""),
        answer: Answer::Place(WHERE, 2, 4, "no such field `audit.objectRef.nmae`"),
    },
    Broken {
        name: "string-for-a-code",
        breaks: |spec| condition(spec, "audit.responseStatus.code == \"403\""),
        answer: Answer::Place(WHERE, 1, 1, "an int; compared with a string it can never match"),
    },
    Broken {
        name: "bad-regex",
        breaks: |spec| condition(spec, "user.name.matches(\"(root\")"),
        answer: Answer::Place(WHERE, 1, 19, "bad regex"),
    },
    Broken {
        name: "unknown-function",
        breaks: |spec| condition(spec, "user.name.beginsWith(\"root\")"),
        answer: Answer::Place(WHERE, 1, 11, "no such function `beginsWith`"),
    },
    Broken {
        name: "syntax-error",
        breaks: |spec| condition(spec, "user.name == == \"root\""),
        answer: Answer::Place(WHERE, 1, 14, "syntax error"),
    },
    Broken {
        name: "no-truth-value",
        breaks: |spec| condition(spec, "user.name"),
        answer: Answer::Place(WHERE, 1, 1, "a string; it must be a bool"),
    },
    Broken {
        name: "unknown-stage",
        breaks: |spec| condition(spec, "audit.stage == \"ResponseDone\""),
        answer: Answer::Place(WHERE, 1, 16, "never \"ResponseDone\"; it is one of RequestReceived"),
    },
    Broken {
        name: "nesting-bomb",
        breaks: |spec| condition(spec, format!("{}true{}", "(".repeat(2000), ")".repeat(2000))),
        answer: Answer::Place(WHERE, 1, 33, "brackets nested more than 32 deep"),
    },
    Broken {
        name: "broken-variable",
        breaks: |spec| spec["variables"] = json!([{"name": "who", "expression": "user.nmae"}]),
        answer: Answer::Place("spec.variables[who].expression", 1, 1, "did you mean `user.name`?"),
    },
    Broken {
        name: "broken-summary-slot",
        breaks: |spec| spec["alert"]["summary"] = json!("{seen.user.nmae} looked"),
        answer: Answer::Place("spec.alert.summary {user.nmae}", 1, 1, "no such field"),
    },
    Broken {
        name: "broken-summary",
        breaks: |spec| spec["alert"]["summary"] = json!("{key.nobody} looked"),
        answer: Answer::NotReady("InvalidRule", &["spec.alert.summary", "groupBy has no key of that name (key)"]),
    },
    Broken {
        name: "unknown-selector-in-groupby",
        breaks: |spec| spec["groupBy"][0]["from"] = json!([{"selector": "sene", "value": "source.ip"}]),
        answer: Answer::NotReady("InvalidRule", &["spec.groupBy[key].from", "no selector is named \"sene\""]),
    },
    Broken {
        name: "unknown-selector-in-a-step",
        breaks: |spec| {
            let steps = json!([{"selector": "seen"}, {"selector": "used"}]);
            spec["detection"] = json!({"type": "Sequence", "sequence": {"within": "1m", "steps": steps}});
        },
        answer: Answer::NotReady("InvalidRule", &["spec.detection.sequence.steps[1].selector", "\"used\""]),
    },
    Broken {
        name: "failing-test",
        breaks: |spec| {
            let event = json!({"verb": "get", "user": {"username": "jane"}, "requestURI": "/healthz"});
            spec["tests"] = json!([{"name": "jane looks", "input": [{"event": event}], "expect": [{"count": 1}]}]);
        },
        answer: Answer::NotReady("TestsFailed", &["spec.tests[jane looks]", "expected 1 alert(s), found 0"]),
    },
    Broken {
        name: "tests-without-end",
        breaks: |spec| {
            let input = json!({"repeat": 1000, "every": "1s", "event": {"verb": "get"}});
            spec["tests"] = json!([{"name": "long", "input": vec![input; 11], "expect": []}]);
        },
        answer: Answer::NotReady("TestsFailed", &["spec.tests[long]", "all tests of a rule may have 10000"]),
    },
    Broken {
        name: "absence",
        breaks: |spec| spec["detection"] = json!({"type": "Absence", "absence": {"selector": "gone", "within": "1h"}}),
        answer: Answer::NotReady("InvalidRule", &["spec.detection.absence.selector", "\"gone\""]),
    },
];

fn broken_rule(broken: &Broken) -> Value {
    let mut spec = spec("audit.objectRef.name == \"bait\"", "user.name");
    (broken.breaks)(&mut spec);
    cluster_rule(broken.name, spec)
}

/// The message names the place, and below the line that is wrong a caret points at it.
fn assert_place(message: &str, source: &str, (field, line, column, why): (&str, usize, usize, &str)) {
    let (first, excerpt) = message.split_once('\n').unwrap_or_else(|| panic!("no excerpt: {message}"));
    assert!(first.starts_with(&format!("{field}: {line}:{column}: ")) && first.contains(why), "{message}");
    let mut lines = excerpt.lines();
    let (shown, caret) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(caret.ends_with('^') && caret.trim() == "^", "{message}");
    let wrong = source.lines().nth(line - 1).unwrap();
    let from_place: String = wrong.chars().skip(column - 1).take(20).collect();
    let from_caret: String = shown.chars().skip(caret.len() - 1).take(20).collect();
    assert_eq!(from_caret, from_place, "the caret points at the place: {message}");
}

fn assert_not_ready(watched: &WatchedCluster, broken: &Broken, rule: &Value) {
    let ready = judged(watched, rule);
    let message = ready["message"].as_str().unwrap();
    let reason = match &broken.answer {
        Answer::NotReady(reason, words) => {
            assert!(words.iter().all(|word| message.contains(word)), "{}: {message}", broken.name);
            reason
        }
        Answer::Place(field, line, column, why) => {
            let source = match *field {
                WHERE => rule["spec"]["selectors"][0]["where"].as_str().unwrap(),
                _ => "user.nmae",
            };
            assert_place(message, source, (field, *line, *column, why));
            "InvalidExpression"
        }
        Answer::Refused(_) => panic!("{} is refused by the API server", broken.name),
    };
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!(reason)), "{}: {ready}", broken.name);
    assert!(message.contains("nothing evaluates"), "{message}");
}

#[test]
fn broken_rules_are_refused_with_their_place_and_disturb_no_other() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    accept(&watched, &cluster_rule("good", spec("audit.objectRef.name == \"bait\"", "user.name")));
    look_at(&admin, "default", "bait");
    expect(&watched, "good", &[("admin", 1)]);

    for broken in BY_THE_API_SERVER {
        let Answer::Refused(words) = &broken.answer else { panic!("{}: the schema refuses it", broken.name) };
        // `create`: `apply` would copy a rule of 1 MiB into an annotation that can't hold it.
        let said = admin.stdin(broken_rule(broken).to_string()).run(&["create", "-f", "-"]);
        let names_it = words.iter().all(|word| said.stderr.contains(word));
        assert!(!said.ok && names_it, "{}: {}", broken.name, said.stderr.chars().take(600).collect::<String>());
    }
    let rules: Vec<_> = BY_THE_CONTROLLER.iter().map(|broken| (broken, broken_rule(broken))).collect();
    let all = json!({"apiVersion": "v1", "kind": "List", "items": rules.iter().map(|(_, r)| r).collect::<Vec<_>>()});
    watched.apply(&all.to_string()).unwrap();
    look_at(&admin, "default", "bait");
    expect(&watched, "good", &[("admin", 2)]);
    for (broken, rule) in &rules {
        assert_not_ready(&watched, broken, rule);
    }
    let refused = rules.len() as f64;
    assert_eq!(watched.metric("kubewitness_cluster_rules{ready=\"false\"}").unwrap(), refused);

    accept(&watched, &cluster_rule("late", spec("audit.objectRef.name == \"bait\"", "user.name")));
    for detection in [
        json!({"type": "Absence", "absence": {"selector": "seen", "within": "1h"}}),
        json!({"type": "NewValue", "newValue": {"value": "source.ip", "learnFor": "1d", "forgetAfter": "7d"}}),
    ] {
        let mut waits = spec("audit.objectRef.name == \"bait\"", "user.name");
        waits["detection"] = detection;
        accept(&watched, &cluster_rule("waits", waits));
    }
    look_at(&admin, "default", "bait");
    expect(&watched, "good", &[("admin", 3)]);
    expect(&watched, "late", &[("admin", 1)]);
    for (broken, _) in &rules {
        assert_eq!(watched.alerts_of(broken.name).unwrap(), Vec::<Value>::new(), "{}", broken.name);
    }
}

/// (observedGeneration, acceptedGeneration) of a cluster rule.
fn generations(watched: &WatchedCluster, name: &str) -> (u64, u64) {
    let rule = watched.kubectl().run(&["get", "clustersecurityrule", name, "-o", "json"]).success().unwrap();
    let rule: Value = serde_json::from_str(&rule).unwrap();
    let number = |field: &str| rule["status"][field].as_u64().unwrap();
    (number("observedGeneration"), number("acceptedGeneration"))
}

fn watch_for(name: &str) -> Value {
    let condition = format!("audit.objectRef.name.startsWith(\"{name}\")");
    cluster_rule("watch", spec(&condition, "audit.objectRef.name"))
}

/// Ends the controller, starts it, and waits until it has judged the one rule that is broken.
fn restart(watched: &mut WatchedCluster, signal: &str) {
    watched.end_controller(signal).unwrap();
    watched.start_controller().unwrap();
    wait_until("the broken rule is judged again", SOON, || {
        (watched.metric("kubewitness_cluster_rules{ready=\"false\"}").ok()? == 1.0).then_some(())
    })
    .unwrap();
}

#[test]
fn broken_edit_leaves_the_last_good_generation_at_work_also_after_restarts() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let mark = Mark::start(&watched);
    accept(&watched, &watch_for("old"));
    look_at(&admin, "default", "old");
    expect(&watched, "watch", &[("old", 1)]);

    let mut broken = watch_for("new");
    broken["spec"]["selectors"][0]["where"] = json!("audit.objectRef.nmae == \"new\"");
    watched.apply(&broken.to_string()).unwrap();
    let mut count = 1;
    for signal in [None, Some("TERM"), Some("KILL")] {
        if let Some(signal) = signal {
            restart(&mut watched, signal);
        }
        let ready = judged(&watched, &broken);
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("InvalidExpression")), "{signal:?}");
        assert!(ready["message"].as_str().unwrap().contains("generation 1 still evaluates"), "{ready}");
        assert_eq!(generations(&watched, "watch"), (2, 1), "{signal:?}");
        count += 1;
        look_at(&admin, "default", "old");
        expect(&watched, "watch", &[("old", count)]);
    }

    accept(&watched, &watch_for("new"));
    assert_eq!(generations(&watched, "watch"), (3, 3));
    look_at(&admin, "default", "old");
    look_at(&admin, "default", "new");
    mark.pass(&watched);
    expect(&watched, "watch", &[("old", count), ("new", 1)]);

    // Back to what evaluates, by an edit and its revert: this generation is the one that a restart finds.
    watched.apply(&broken.to_string()).unwrap();
    judged(&watched, &broken);
    accept(&watched, &watch_for("new"));
    watched.apply(&broken.to_string()).unwrap();
    judged(&watched, &broken);
    assert_eq!(generations(&watched, "watch"), (6, 5));
    restart(&mut watched, "KILL");
    mark.pass(&watched);
    assert_eq!(generations(&watched, "watch"), (6, 5));
}

#[test]
fn suspended_deleted_and_dry_run_rules_raise_nothing() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let mark = Mark::start(&watched);
    let rule = |name: &str| cluster_rule(name, spec("audit.objectRef.name == \"bait\"", "user.name"));
    for name in ["control", "deleted", "suspended"] {
        accept(&watched, &rule(name));
    }
    let mut dry = rule("dry");
    dry["spec"]["mode"] = json!("DryRun");
    accept(&watched, &dry);
    look_at(&admin, "default", "bait");
    for name in ["control", "deleted", "suspended"] {
        expect(&watched, name, &[("admin", 1)]);
    }

    let mut suspended = rule("suspended");
    suspended["spec"]["suspend"] = json!(true);
    // Its tests tell what it finds when it is at work, and hold all the same.
    suspended["spec"]["tests"] = json!([{
        "name": "bait",
        "input": [{"event": {"verb": "get", "user": {"username": "eve"}, "objectRef": {"resource": "pods", "name": "bait"}}}],
        "expect": [{"key": {"key": "eve"}, "count": 1}],
    }]);
    watched.apply(&suspended.to_string()).unwrap();
    let ready = judged(&watched, &suspended);
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("Suspended")));
    admin.run(&["delete", "clustersecurityrule", "deleted"]).success().unwrap();
    wait_until("the deleted rule stops", SOON, || {
        (watched.metric("kubewitness_pipeline_rules").unwrap() == 4.0).then_some(())
    })
    .unwrap();
    look_at(&admin, "default", "bait");
    mark.pass(&watched);
    expect(&watched, "control", &[("admin", 2)]);
    expect(&watched, "suspended", &[("admin", 1)]);
    expect(&watched, "deleted", &[("admin", 1)]);
    expect(&watched, "dry", &[]);

    // The same after a restart; and what a dry run would have raised is counted.
    watched.end_controller("TERM").unwrap();
    watched.start_controller().unwrap();
    accept(&watched, &rule("suspended"));
    get(&admin, "/api/v1/namespaces/default/configmaps/bait");
    mark.pass(&watched);
    expect(&watched, "control", &[("admin", 3)]);
    expect(&watched, "suspended", &[("admin", 2)]);
    expect(&watched, "deleted", &[("admin", 1)]);
    expect(&watched, "dry", &[]);
    // Of control, suspended and dry one each, and two marks; what was found before the restart is in the snapshot.
    assert_eq!(watched.metric("kubewitness_pipeline_findings_total").unwrap(), 5.0);
}

/// A field of a cluster rule's status, or of its `Ready` condition, as soon as it is what is wanted.
fn wait_for_status(watched: &WatchedCluster, name: &str, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = wait_until(what, SOON * 2, || {
        let rule = watched.kubectl().run(&["get", "clustersecurityrule", name, "-o", "json"]).success().ok()?;
        last = serde_json::from_str::<Value>(&rule).ok()?["status"].take();
        is_wanted(&last).then(|| last.clone())
    });
    found.unwrap_or_else(|error| panic!("{error}: {last}\n{}", watched.controller().log_tail()))
}

#[test]
fn what_a_rule_costs_switches_it_off_and_what_it_drops_is_shown_while_others_alert() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    accept(&watched, &cluster_rule("good", spec("audit.objectRef.name == \"bait\"", "user.name")));
    let dear = "audit.userAgent == \"flood\" && lists.range(20000).exists(i, lists.range(20000).exists(j, i + j < 0))";
    accept(&watched, &cluster_rule("dear", spec(dear, "user.name")));
    // More matches of one key than a key may have.
    let mut flooded = spec("audit.userAgent == \"flood\"", "user.name");
    flooded["detection"] = json!({"type": "Threshold", "threshold": {"count": 10_000, "within": "1h"}});
    accept(&watched, &cluster_rule("flooded", flooded));
    look_at(&admin, "default", "bait");
    expect(&watched, "good", &[("admin", 1)]);

    for batch in 0..21 {
        let flood = |n: u32| event(&format!("flood-{batch}-{n}"), json!({"userAgent": "flood"}));
        let events: Vec<Value> = (0..500).map(flood).collect();
        assert_eq!(post(&watched, &event_list(&events)).code, 200);
    }
    look_at(&admin, "default", "bait");
    expect(&watched, "good", &[("admin", 2)]);
    let ready = |status: &Value| {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default()
    };
    let over = wait_for_status(&watched, "dear", "the dear rule is switched off", |status| {
        ready(status)["reason"] == "OverBudget"
    });
    let said = ready(&over);
    assert_eq!(said["status"], "False", "{said}");
    assert!(said["message"].as_str().unwrap().contains("its expressions took 10"), "{said}");
    let rules = |ready| watched.metric(&format!("kubewitness_cluster_rules{{ready=\"{ready}\"}}")).unwrap();
    let counted = || ((rules("true"), rules("false")) == (2.0, 1.0)).then_some(());
    wait_until("the rule over its budget counts as not ready", SOON, counted).unwrap();
    let dropped = |status: &Value| status["evictedMatches"].as_u64().is_some_and(|dropped| dropped >= 500);
    let flooded = wait_for_status(&watched, "flooded", "what was dropped is shown", dropped);
    assert_eq!(ready(&flooded)["status"], "True", "a flood switches nothing off: {flooded}");
    look_at(&admin, "default", "bait");
    expect(&watched, "good", &[("admin", 3)]);
}
