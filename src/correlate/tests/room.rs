use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    api::rule::Severity,
    correlate::{
        Correlator, Finding, Limits,
        fixture::{at, evidence, key, matches, rule, sequence, threshold},
    },
    detect::Match,
    record::RuleId,
    ruleset::{CompiledDetection, CompiledRule},
};

fn severe(name: &str, severity: Severity, detection: CompiledDetection) -> Arc<CompiledRule> {
    Arc::new(CompiledRule { severity, ..rule(name, &["s0", "s1", "s2"], detection) })
}

/// One event that `rule` takes in under `value`.
fn one(rule: &Arc<CompiledRule>, selector: usize, value: &str, n: u64, millis: i64) -> Vec<Match> {
    matches(rule, &[selector], evidence(n, millis)).into_iter().map(|m| Match { key: key(value), ..m }).collect()
}

fn told(findings: &[Finding], of: &Arc<CompiledRule>) -> Vec<String> {
    let all = findings.iter().filter(|f| f.rule.id == of.id);
    all.map(|f| format!("{} {:?} {} {:?}", f.new, f.key, f.completing.message, f.contributing)).collect()
}

/// What `victim` finds among 600 events of a hostile rule a second, each with a key of its own, or without them.
fn beside_a_flood(victim: &Arc<CompiledRule>, hostile: Option<&Arc<CompiledRule>>) -> (Vec<String>, Correlator) {
    let limits = Limits { max_entries: 400, max_text_bytes: 40_000, ..Limits::default() };
    let mut correlator = Correlator::new(limits.clone());
    let mut found = Vec::new();
    for second in 0..60i64 {
        for (n, step) in [(0, 0), (1, 1)] {
            let value = format!("k{}", second % 20);
            let happened = one(victim, step, &value, second as u64 * 2 + n, second * 1000 + n as i64);
            found.extend(told(&correlator.step(happened), victim));
        }
        for n in 0..600 {
            let seq = 1_000_000 + second as u64 * 600 + n;
            let millis = second * 1000 + n as i64;
            let before = *correlator.counters();
            if let Some(hostile) = hostile {
                correlator.step(one(hostile, 0, &format!("x{seq}"), seq, millis));
            }
            correlator.expire(at(millis));
            let after = correlator.counters();
            assert!(after.evicted - before.evicted <= 1, "one more costs one");
            assert!(after.expired - before.expired <= 1024, "no event waits for a whole flood to expire");
            assert!(after.entries <= limits.max_entries as u64 && after.text_bytes <= limits.max_text_bytes);
        }
    }
    (found, correlator)
}

#[test]
fn a_hostile_rule_with_a_key_for_each_event_changes_nothing_for_another() {
    for severity in Severity::ALL {
        for detection in [threshold(3, false, 45), sequence(&[(0, 2), (1, 1)], true, 45)] {
            let victim = severe("victim", Severity::Low, detection);
            let hostile = severe("hostile", severity, threshold(2, false, 3600));
            let (alone, _) = beside_a_flood(&victim, None);
            let (beside, correlator) = beside_a_flood(&victim, Some(&hostile));
            assert!(alone.len() > 20, "{} findings", alone.len());
            assert_eq!(alone, beside, "{severity}");
            let lost = correlator.evicted_by_rule();
            let counters = correlator.counters();
            assert!(lost[&hostile.id] > 30_000, "{lost:?}");
            assert_eq!(lost.values().sum::<u64>(), counters.evicted);
        }
    }
}

#[test]
fn within_a_rule_the_cheapest_to_lose_goes_first() {
    let rule = severe("r", Severity::Low, threshold(9, false, 3600));
    let mut correlator = Correlator::new(Limits { max_entries: 10, ..Limits::default() });
    for n in 0..6 {
        correlator.step(one(&rule, 0, "rich", n, n as i64));
    }
    for (n, second) in [(10, 300), (11, 200), (12, 600), (13, 700)] {
        correlator.step(one(&rule, 0, &n.to_string(), n, second * 1000));
    }
    assert_eq!((correlator.counters().keys, correlator.counters().evicted), (5, 0));
    correlator.step(one(&rule, 0, "new", 20, 800_000));
    assert_eq!((correlator.counters().keys, correlator.counters().evicted), (5, 1));
    // Key 11, with one match and the earliest, is gone; its match comes back as new.
    correlator.step(one(&rule, 0, "11", 11, 200_000));
    assert_eq!(correlator.counters().repeated, 0);
    for (value, n, second) in [("10", 10, 300), ("12", 12, 600), ("13", 13, 700)] {
        let before = correlator.counters().repeated;
        correlator.step(one(&rule, 0, value, n, second * 1000));
        assert_eq!(correlator.counters().repeated, before + 1, "{value} was kept");
    }
    for n in 6..9 {
        let found = correlator.step(one(&rule, 0, "rich", n, n as i64));
        assert_eq!(found.len(), usize::from(n == 8), "the key with most matches lost none");
    }
}

#[test]
fn expiry_leaves_nothing_behind() {
    let rules: Vec<_> = (0..5).map(|n| severe(&format!("r{n}"), Severity::Low, threshold(7, n > 2, 60))).collect();
    let reporting = severe("m", Severity::Low, CompiledDetection::Match);
    let mut correlator = Correlator::new(Limits::default());
    for n in 0..4000u64 {
        let of = if n % 7 == 0 { &reporting } else { &rules[n as usize % 5] };
        let value = (n % 97).to_string();
        let mut happened = one(of, 0, &value, n, n as i64 * 13 % 50_000);
        happened.iter_mut().for_each(|m| m.distinct = Some(format!("v{}", n % 11).into()));
        correlator.step(happened);
    }
    assert_eq!(correlator.counters().entries, 4000);
    for _ in 0..10 {
        correlator.expire(at(3_600_000));
    }
    let counters = correlator.counters();
    assert_eq!((counters.entries, counters.keys, counters.text_bytes, counters.expired), (0, 0, 0, 4000));
}

#[test]
fn a_rule_that_goes_takes_its_state_and_no_other() {
    let (gone, kept) = (
        severe("gone", Severity::Low, threshold(3, false, 60)),
        severe("kept", Severity::Low, threshold(3, false, 60)),
    );
    let mut correlator = Correlator::new(Limits::default());
    for n in 0..200 {
        correlator.step(one(&gone, 0, &(n % 150).to_string(), n, n as i64));
        correlator.step(one(&kept, 0, &(n % 100).to_string(), n, n as i64));
    }
    correlator.retain_rules(|id, _| *id == RuleId::cluster("kept"));
    assert_eq!((correlator.counters().entries, correlator.counters().keys), (200, 100));
    for n in 0..100 {
        let found = correlator.step(one(&kept, 0, &n.to_string(), 500 + n, 500 + n as i64));
        assert_eq!(found.len(), 1);
        assert!(found[0].contributing.iter().all(|c| c.evidence.message == format!("event {}", c.evidence.seq)));
    }
}

#[test]
fn a_version_with_the_same_sense_takes_over_the_state() {
    let old = severe("r", Severity::Low, threshold(3, false, 60));
    let new = Arc::new(CompiledRule {
        generation: 2,
        severity: Severity::Critical,
        ..rule("r", &["s0"], threshold(3, false, 60))
    });
    let mut correlator = Correlator::new(Limits::default());
    correlator.step(one(&old, 0, "k", 1, 1));
    correlator.step(one(&old, 0, "k", 2, 2));
    correlator.succeed(&old, &new);
    correlator.retain_rules(|_, generation| generation == 2);
    let found = correlator.step(one(&new, 0, "k", 3, 3));
    assert_eq!((found.len(), found[0].rule.generation, found[0].contributing.len()), (1, 2, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// A rule that holds no more than its share of the room loses nothing, whatever the others do.
    #[test]
    fn a_rule_within_its_reservation_loses_nothing(
        severities in prop::collection::vec(prop::sample::select(Severity::ALL.to_vec()), 2..5),
        events in prop::collection::vec((0..5usize, 0..400u32, 0..60_000i64), 50..400),
        max_entries in 20..60usize,
    ) {
        let rules: Vec<_> =
            severities.iter().enumerate().map(|(n, s)| severe(&format!("r{n}"), *s, threshold(4, false, 60))).collect();
        let weight = |severity: Severity| 4 + severity as u64;
        let all: u64 = severities.iter().map(|s| weight(*s)).sum();
        let mut correlator = Correlator::new(Limits { max_entries, lateness: None, ..Limits::default() });
        let mut given = vec![0u64; rules.len()];
        for (n, (which, value, millis)) in events.into_iter().enumerate() {
            let which = which % rules.len();
            given[which] += 1;
            correlator.step(one(&rules[which], 0, &value.to_string(), n as u64, millis));
        }
        let lost = correlator.evicted_by_rule();
        for (rule, given) in rules.iter().zip(given) {
            let reserved = max_entries as u64 * weight(rule.severity) / all;
            if given <= reserved {
                prop_assert_eq!(lost.get(&rule.id), None, "{} of {} reserved", given, reserved);
            }
        }
        prop_assert_eq!(lost.values().sum::<u64>(), correlator.counters().evicted);
    }
}
