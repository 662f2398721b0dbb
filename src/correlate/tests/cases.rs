use std::sync::Arc;

use jiff::SignedDuration;

use crate::{
    correlate::{
        Correlator, Finding, Limits,
        fixture::{at, evidence, key, matches, rule, sequence, threshold},
    },
    detect::Match,
    event::Precision,
    ruleset::{CompiledDetection, CompiledRule},
};

const OFFLINE: Limits =
    Limits { lateness: None, max_entries: 1_000_000, max_entries_per_key: 10_000, max_text_bytes: 1 << 30 };

fn with(detection: CompiledDetection) -> Arc<CompiledRule> {
    Arc::new(rule("r", &["s0", "s1", "s2"], detection))
}

/// Events by (selector, second), numbered from 1 in the order given, which is their order of arrival.
fn completing(rule: &Arc<CompiledRule>, events: &[(usize, i64)]) -> Vec<u64> {
    let mut correlator = Correlator::new(OFFLINE);
    let mut found: Vec<u64> = Vec::new();
    for (n, (selector, second)) in events.iter().enumerate() {
        let findings = correlator.step(matches(rule, &[*selector], evidence(n as u64 + 1, second * 1000)));
        found.extend(findings.iter().filter(|f| f.new).map(|f| f.completing.seq));
    }
    found.sort_unstable();
    found
}

fn parts(finding: &Finding) -> Vec<(usize, u64)> {
    finding.contributing.iter().map(|c| (c.selector, c.evidence.seq)).collect()
}

/// After an outage all comes at once, and long after it happened: each match is counted as late, and found together.
#[test]
fn what_comes_after_an_outage_still_finds_what_came_with_it() {
    let burst = [0, 10, 20, 30];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut correlator = Correlator::new(Limits::default());
        let rule = with(threshold(4, false, 60));
        let hour = 3_600_000;
        correlator.expire(at(hour));
        let mut found = Vec::new();
        for (after, n) in (1..).zip(order) {
            found.extend(correlator.step(matches(&rule, &[0], evidence(n as u64 + 1, burst[n] * 1000))));
            // What is received meanwhile, of others and of the same key, takes nothing away.
            let now = hour + after * 20_000;
            correlator.expire(at(now));
            correlator.step(matches(&rule, &[0], evidence(100 + after as u64, now)));
        }
        let completing: Vec<u64> = found.iter().filter(|f| f.new).map(|f| f.completing.seq).collect();
        assert_eq!((completing, correlator.counters().late), (vec![4], 4), "{order:?}");
        for minute in 0..20 {
            correlator.expire(at(hour + minute * 60_000));
        }
        assert_eq!(correlator.counters().entries, 0, "it goes all the same");
    }
}

#[test]
fn each_detection_completes_where_the_definition_says() {
    let burst: Vec<(usize, i64)> = (0..12).map(|i| (0, i * 5)).collect();
    for (case, detection, events, expected) in [
        ("12 in a minute with a threshold of 5 make 8", threshold(5, false, 60), burst.as_slice(), (5..=12).collect()),
        ("a window includes its far end", threshold(2, false, 10), &[(0, 0), (0, 10)], vec![2]),
        ("and nothing beyond it", threshold(2, false, 10), &[(0, 0), (0, 11)], vec![]),
        ("a threshold of one is a match", threshold(1, false, 0), &[(0, 0), (0, 0)], vec![1, 2]),
        ("late event completes later ones", threshold(3, false, 9), &[(0, 1), (0, 3), (0, 4), (0, 2)], vec![2, 3]),
        ("steps in order", sequence(&[(0, 1), (1, 1)], true, 10), &[(0, 0), (1, 5), (1, 6), (1, 11)], vec![2, 3]),
        ("steps in reverse", sequence(&[(0, 1), (1, 1)], true, 10), &[(1, 0), (0, 5)], vec![]),
        ("any order asked for", sequence(&[(0, 1), (1, 1)], false, 10), &[(1, 0), (0, 5), (0, 6)], vec![2, 3]),
        ("late first step", sequence(&[(0, 1), (1, 1)], true, 10), &[(1, 5), (0, 0)], vec![1]),
        (
            "five failures, then a success",
            sequence(&[(0, 5), (1, 1)], true, 600),
            &[(0, 0), (0, 2), (0, 4), (0, 6), (1, 7), (0, 8), (1, 30)],
            vec![7],
        ),
        ("a tie is in order", sequence(&[(0, 1), (1, 1)], true, 10), &[(1, 5), (0, 5)], vec![1]),
        ("the last step counts too", sequence(&[(0, 1), (1, 2)], true, 10), &[(1, 0), (0, 1), (1, 2), (1, 3)], vec![4]),
        ("one selector in two steps", sequence(&[(0, 1), (0, 1)], true, 10), &[(0, 0), (0, 1)], vec![2]),
        (
            "three steps",
            sequence(&[(0, 1), (1, 1), (2, 1)], true, 9),
            &[(1, 0), (0, 1), (2, 2), (1, 3), (2, 4)],
            vec![5],
        ),
    ] {
        assert_eq!(completing(&with(detection), events), expected, "{case}");
    }
}

#[test]
fn two_selectors_of_one_event_are_one_finding_of_a_match_rule() {
    let rule = with(CompiledDetection::Match);
    let findings = Correlator::new(OFFLINE).step(matches(&rule, &[0, 2], evidence(1, 0)));
    assert_eq!(findings.len(), 1);
    assert_eq!(parts(&findings[0]), [(0, 1), (2, 1)]);
}

#[test]
fn one_event_never_serves_two_steps() {
    let rule = with(sequence(&[(0, 1), (1, 1)], false, 10));
    let mut correlator = Correlator::new(OFFLINE);
    assert!(correlator.step(matches(&rule, &[0, 1], evidence(1, 0))).is_empty());
    assert_eq!(correlator.step(matches(&rule, &[0, 1], evidence(2, 1000))).len(), 1);
}

#[test]
fn redelivery_adds_nothing_and_is_counted() {
    for detection in [CompiledDetection::Match, threshold(2, false, 60), sequence(&[(0, 1), (1, 1)], false, 60)] {
        let rule = with(detection);
        let mut correlator = Correlator::new(OFFLINE);
        correlator.step(matches(&rule, &[0], evidence(1, 0)));
        assert!(correlator.step(matches(&rule, &[0], evidence(1, 0))).is_empty(), "{:?}", rule.detection);
        assert_eq!((correlator.counters().entries, correlator.counters().repeated), (1, 1));
    }
}

#[test]
fn late_event_joins_what_was_found_already() {
    let rule = with(sequence(&[(0, 1), (1, 1)], true, 10));
    let mut correlator = Correlator::new(OFFLINE);
    correlator.step(matches(&rule, &[0], evidence(1, 1000)));
    let first = correlator.step(matches(&rule, &[1], evidence(2, 2000)));
    assert_eq!((first[0].new, parts(&first[0])), (true, vec![(0, 1), (1, 2)]));
    let late = correlator.step(matches(&rule, &[0], evidence(3, 0)));
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!((late[0].new, late[0].completing.seq, parts(&late[0])), (false, 2, vec![(0, 3)]));
}

#[test]
fn seconds_and_microseconds_compare_at_seconds() {
    for (case, first, then, expected) in [
        (
            "micros within the second of a coarse success",
            (10_900, Precision::Micros),
            (10_000, Precision::Second),
            true,
        ),
        (
            "micros after the second of a coarse success",
            (11_000, Precision::Micros),
            (10_000, Precision::Second),
            false,
        ),
        (
            "coarse failure in the second of a fine success",
            (10_000, Precision::Second),
            (10_100, Precision::Micros),
            true,
        ),
        ("coarse failure a second later", (11_000, Precision::Second), (10_900, Precision::Micros), false),
        ("micros on both sides", (10_900, Precision::Micros), (10_800, Precision::Micros), false),
    ] {
        let rule = with(sequence(&[(0, 1), (1, 1)], true, 60));
        let events = [(0, 1, first), (1, 2, then)];
        for order in [[0, 1], [1, 0]] {
            let mut correlator = Correlator::new(OFFLINE);
            let found: usize = order
                .map(|i| {
                    let (selector, n, (millis, precision)) = events[i];
                    let stamped = crate::detect::Evidence { precision, ..evidence(n, millis) };
                    correlator.step(matches(&rule, &[selector], stamped)).len()
                })
                .iter()
                .sum();
            assert_eq!(found == 1, expected, "{case}, arriving as {order:?}");
        }
    }
}

#[test]
fn keys_and_generations_share_nothing() {
    let rule = with(threshold(2, false, 10));
    let edited =
        Arc::new(CompiledRule { generation: 2, ..super::super::fixture::rule("r", &["s0"], threshold(2, false, 10)) });
    let mut correlator = Correlator::new(OFFLINE);
    let other_key = |n| -> Vec<Match> {
        matches(&rule, &[0], evidence(n, 0)).into_iter().map(|m| Match { key: key("b"), ..m }).collect()
    };
    assert!(correlator.step(matches(&rule, &[0], evidence(1, 0))).is_empty());
    assert!(correlator.step(other_key(2)).is_empty());
    assert!(correlator.step(matches(&edited, &[0], evidence(3, 0))).is_empty());
    assert_eq!(correlator.counters().keys, 3);
    correlator.retain_rules(|_, generation| generation == 2);
    assert_eq!((correlator.counters().keys, correlator.counters().entries), (1, 1));
    assert!(correlator.step(matches(&rule, &[0], evidence(4, 0))).is_empty(), "the removed generation forgot");
    assert_eq!(correlator.step(matches(&edited, &[0], evidence(5, 0))).len(), 1, "the kept one did not");
}

#[test]
fn state_lives_for_within_and_lateness_after_receipt() {
    let rule = with(threshold(2, false, 60));
    let mut correlator = Correlator::new(Limits::default());
    correlator.step(matches(&rule, &[0], evidence(1, 0)));
    correlator.expire(at(6 * 60_000));
    assert_eq!(correlator.counters().entries, 1, "still joinable");
    let joined = correlator.step(matches(&rule, &[0], evidence(2, 60_000)));
    assert_eq!((joined.len(), correlator.counters().late), (1, 0), "five minutes late is not too late");
    correlator.expire(at(6 * 60_000 + 5_001));
    assert_eq!((correlator.counters().entries, correlator.counters().expired), (1, 1));
    correlator.step(matches(&rule, &[0], evidence(3, 30_000)));
    assert_eq!(correlator.counters().late, 1);
    correlator.expire(at(60 * 60_000));
    assert_eq!((correlator.counters().entries, correlator.counters().keys), (0, 0));
}

#[test]
fn full_state_loses_the_cheapest_first_and_counts_it() {
    let rule = with(threshold(2, false, 3600));
    let mut correlator = Correlator::new(Limits { max_entries: 100, max_entries_per_key: 50, ..OFFLINE });
    for n in 0..120 {
        correlator.step(matches(&rule, &[0], evidence(n, n as i64 * 1000)));
    }
    assert_eq!((correlator.counters().entries, correlator.counters().evicted_from_full_key), (50, 70));
    for n in 0..80u64 {
        let all = matches(&rule, &[0], evidence(1000 + n, (200 + n as i64) * 1000));
        correlator.step(all.into_iter().map(|m| Match { key: key(&n.to_string()), ..m }).collect());
    }
    assert_eq!((correlator.counters().entries, correlator.counters().evicted), (100, 30));
    let late = correlator.step(matches(&rule, &[0], evidence(9999, 118_500)));
    assert_eq!(late.iter().filter(|f| f.new).count(), 1, "the newest of the flooded key are still there");
}

#[test]
fn a_flood_of_one_value_costs_no_rescan() {
    // 20,000 in-order events of one key and one value: a rescan of the window per event would be 10^8 steps.
    let rule = with(threshold(3, true, SignedDuration::from_hours(1).as_secs()));
    let mut correlator = Correlator::new(OFFLINE);
    for n in 0..20_000 {
        let same = matches(&rule, &[0], evidence(n, n as i64)).into_iter();
        assert!(correlator.step(same.map(|m| Match { distinct: Some("x".into()), ..m }).collect()).is_empty());
    }
    assert_eq!(correlator.counters().entries, 10_000);
}
