use std::sync::Arc;

use super::{alert_at, book_of, match_rule, text};
use crate::{
    alert::{Alert, AlertId, alert_name, status::MAX_STATUS},
    api::alert::{Entity, EntityKind, RuleKind},
    correlate::fixture::{at, evidence, key, rule, sequence},
    detect::{Evidence, Key},
    record::RuleId,
    ruleset::{
        CompiledRule,
        template::{Part, Template},
    },
};

fn keys(values: &[&str]) -> Key {
    values.iter().map(|v| Arc::from(*v)).collect()
}

#[test]
fn name_is_stable_across_restarts() {
    // Computed apart, with Python's hashlib: a change here renames every alert of every installation.
    let key = keys(&["203.0.113.9", "node-1"]);
    let cluster = RuleId::cluster("node-login-after-failures");
    assert_eq!(alert_name(&cluster, &key), "node-login-after-failures-4qqxkpixbfm2vmxm");
    let tenant = RuleId::namespaced("shop", "node-login-after-failures");
    assert_eq!(alert_name(&tenant, &key), "node-login-after-failures-kosbzt5m7bk4626v");
}

#[test]
fn name_is_a_dns_label_whatever_the_rule_is_called() {
    let long = "a".repeat(253);
    let dash_at_the_cut = format!("{}.b", "a".repeat(45));
    for name in ["x", "a.b.c", "-a-", "...", &long, &dash_at_the_cut, "Ünï", "a--"] {
        let label = alert_name(&RuleId::cluster(name), &keys(&["k"]));
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(label.len() <= 63 && label.chars().all(fine), "{name}: {label}");
        assert!(!label.starts_with('-') && !label.ends_with('-') && !label.contains("--"), "{name}: {label}");
    }
}

#[test]
fn no_two_alerts_share_a_name() {
    let names = [
        alert_name(&RuleId::cluster("r"), &keys(&["ab", "c"])),
        alert_name(&RuleId::cluster("r"), &keys(&["a", "bc"])),
        alert_name(&RuleId::cluster("r"), &keys(&["abc"])),
        alert_name(&RuleId::cluster("r"), &keys(&["abc", ""])),
        alert_name(&RuleId::cluster("r"), &keys(&[])),
        alert_name(&RuleId::namespaced("a", "r"), &keys(&["abc"])),
        alert_name(&RuleId::namespaced("b", "r"), &keys(&["abc"])),
        alert_name(&RuleId::cluster("r.x"), &keys(&["abc"])),
        alert_name(&RuleId::cluster("r-x"), &keys(&["abc"])),
    ];
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

#[test]
fn tenants_alerts_live_in_their_namespace() {
    let mut tenant = match_rule();
    tenant.id = RuleId::namespaced("shop", "r");
    assert_eq!(alert_at(tenant, &[0]).namespace(), Some("shop"));
    assert_eq!(alert_at(match_rule(), &[0]).namespace(), None);
}

#[test]
fn spec_names_rule_and_key() {
    let spec = alert_at(match_rule(), &[0]).spec();
    assert_eq!((spec.rule_ref.kind, spec.rule_ref.name.as_str()), (RuleKind::ClusterSecurityRule, "r"));
    assert_eq!((spec.key[0].name.as_str(), spec.key[0].value.as_str()), ("who", "a"));
    assert_eq!(spec.triage, None);
}

/// Failed at 0 s, 1 s and 2 s as eve, adam and mallory; accepted at 3 s.
fn logins(parts: Vec<Part>) -> Alert {
    let summary = Template { parts, slots: 2 };
    let rule =
        Arc::new(CompiledRule { summary, ..rule("r", &["failed", "accepted"], sequence(&[(0, 3), (1, 1)], true, 60)) });
    let failed = |n: u64, user: &str| Evidence { captures: vec![(0, user.into())], ..evidence(n, n as i64 * 1000) };
    let book = book_of(
        &rule,
        vec![
            (&[1], evidence(3, 3000)),
            (&[0], failed(2, "mallory\u{202e}\n")),
            (&[0], failed(0, "eve")),
            (&[0], failed(1, "adam")),
        ],
    );
    book.get(&AlertId::of(&rule.id, &key("a"))).cloned().unwrap()
}

#[test]
fn summary_is_filled_from_key_counts_and_newest_captures() {
    for (case, parts, expected) in [
        ("text", vec![text("x { y")], "x { y"),
        ("key", vec![text("by "), Part::Key(0)], "by a"),
        ("count", vec![Part::Count(0), text("/"), Part::Count(1)], "3/1"),
        ("the newest, without what fools", vec![Part::Capture { selector: 0, slot: 0 }], r"mallory\u{202e}\n"),
        ("nothing captured", vec![Part::Capture { selector: 1, slot: 1 }, text("!")], "?!"),
        ("title and subject when there is no template", vec![], "Title of r: a"),
    ] {
        assert_eq!(logins(parts).summary(), expected, "{case}");
    }
}

fn entity(kind: EntityKind, namespace: &str, name: &str) -> Entity {
    Entity { kind, namespace: namespace.into(), name: name.into() }
}

#[test]
fn subject_is_the_key_or_who_did_what() {
    let subject = |key: &[&str], entities: Vec<Entity>| {
        let mut alert = alert_at(match_rule(), &[0]);
        let rule = Arc::new(match_rule());
        let book = book_of(&rule, vec![(&[0], Evidence { entities, ..evidence(1, 0) })]);
        alert.episodes = book.iter().next().unwrap().episodes.clone();
        alert.key = keys(key);
        alert.subject()
    };
    assert_eq!(subject(&["203.0.113.9", "node-1"], vec![]), "203.0.113.9 → node-1");
    assert_eq!(subject(&["system:serviceaccount:shop:app"], vec![]), "system:serviceaccount:shop:app");
    let entities = vec![
        entity(EntityKind::Pod, "shop", "app-1"),
        entity(EntityKind::User, "", "eve"),
        entity(EntityKind::Resource, "shop", "secrets"),
    ];
    assert_eq!(subject(&[], entities), "eve → shop/secrets");
    assert_eq!(subject(&[], vec![]), "Title of r");
    let long = subject(&[&"u".repeat(500), &"é".repeat(500), "end"], vec![]);
    assert!(long.len() <= 120 && long.ends_with(" → end") && long.matches('→').count() == 2, "{long}");
    assert_eq!(subject(&["a\u{1b}[31m"], vec![]), "a\\u{1b}[31m");
}

#[test]
fn evidence_is_the_first_and_the_last_few_events() {
    let seconds: Vec<i64> = (0..10).collect();
    let status = alert_at(match_rule(), &seconds).status(at(0), None);
    let shown: Vec<&str> = status.evidence.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(shown, [1, 2, 3, 4, 7, 8, 9, 10].map(|n| format!("event {n}")));
    let few = alert_at(match_rule(), &[3, 1, 2]).status(at(0), None);
    let shown: Vec<&str> = few.evidence.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(shown, ["event 2", "event 3", "event 1"]);
}

#[test]
fn timeline_says_when_episodes_opened_and_ended() {
    let status = alert_at(match_rule(), &[0, 30]).status(at(35_000), None);
    let timeline: Vec<(i64, &str)> =
        status.timeline.iter().map(|t| (t.time.duration_since(at(0)).as_secs(), t.message.as_str())).collect();
    assert_eq!(
        timeline,
        [(0, "opened with severity High"), (10, "resolved after 10s of quiet"), (30, "opened with severity High")]
    );
}

#[test]
fn status_stays_under_8_kib_with_everything_at_its_maximum() {
    for (case, character) in
        [("quotes", "\""), ("backslashes", "\\"), ("controls", "\u{1}"), ("letters", "x"), ("wide", "語")]
    {
        let long = |n: usize| character.repeat(n);
        let mut rule = match_rule();
        rule.title = long(128);
        rule.attack = (0..16).map(|i| format!("T{i:04}.001")).collect();
        rule.selectors[0].name = long(63).into();
        rule.summary = Template { parts: vec![text(&long(512)), Part::Capture { selector: 0, slot: 0 }], slots: 1 };
        let rule = Arc::new(rule);
        let full = |n: u64| Evidence {
            message: long(512),
            entities: (0..8)
                .map(|i| entity(EntityKind::Resource, &long(63), &format!("{n}{i}{}", long(500))))
                .collect(),
            captures: vec![(0, long(256))],
            ..evidence(n, n as i64 * 1000)
        };
        let events = (0..200u64).map(|n| ([0].as_slice(), full(if n < 100 { n * 20 } else { 2000 + n }))).collect();
        let status = book_of(&rule, events).iter().next().unwrap().status(at(1_000_000_000), None);
        let size = serde_json::to_vec(&status).unwrap().len();
        assert!(size < MAX_STATUS, "{case}: {size} bytes");
        assert!(status.evidence.len() >= 4 && !status.entities.is_empty() && status.episodes.len() == 5, "{case}");
    }
}

#[test]
fn flood_of_one_selector_does_not_hide_the_evidence_of_the_other() {
    let rule = Arc::new(rule("r", &["api", "node"], crate::ruleset::CompiledDetection::Match));
    let of = |n: u64| ([usize::from(n == 50)], evidence(n, n as i64 * 1000));
    let events: Vec<_> = (0..100).map(of).collect();
    let events = events.iter().map(|(selectors, evidence)| (selectors.as_slice(), evidence.clone())).collect();
    let status = book_of(&rule, events).iter().next().unwrap().status(at(100_000), None);
    let shown: Vec<_> = status.evidence.iter().filter(|item| item.selector == "node").map(|item| item.time).collect();
    assert_eq!(shown, [at(50_000)]);
    assert!(status.evidence.is_sorted_by_key(|item| item.time) && status.evidence.len() == 9);
}
