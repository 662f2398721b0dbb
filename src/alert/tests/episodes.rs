use std::sync::Arc;

use jiff::SignedDuration;

use super::{alert_at, match_rule};
use crate::{
    alert::{AlertBook, AlertId, BookConfig},
    api::{
        alert::{AlertState, Triage},
        rule::{RuleMode, Severity},
    },
    correlate::{
        Correlator, Limits,
        fixture::{at, evidence, key, matches, rule, threshold},
    },
    detect::Match,
    ruleset::CompiledRule,
};

/// (start second, end second, count), newest first.
fn episodes(rule: CompiledRule, seconds: &[i64]) -> Vec<(i64, i64, u64)> {
    let second = |time: jiff::Timestamp| time.duration_since(at(0)).as_secs();
    let alert = alert_at(rule, seconds);
    alert.status(at(0), None).episodes.iter().map(|e| (second(e.start), second(e.end), e.count)).collect()
}

#[test]
fn episodes_merge_when_a_late_finding_bridges_them() {
    for (case, seconds, expected) in [
        ("one", vec![0, 5, 15], vec![(0, 15, 3)]),
        ("quiet for longer", vec![0, 11], vec![(11, 11, 1), (0, 0, 1)]),
        ("quiet for just as long", vec![0, 10], vec![(0, 10, 2)]),
        ("bridged", vec![0, 16, 8], vec![(0, 16, 3)]),
        ("extended backwards", vec![20, 12], vec![(12, 20, 2)]),
        ("late and apart", vec![20, 0], vec![(20, 20, 1), (0, 0, 1)]),
        ("two bridges of three", vec![0, 40, 20, 10, 30], vec![(0, 40, 5)]),
        (
            "the newest five are shown",
            (0..7).map(|i| i * 20).collect(),
            (2..7).rev().map(|i| (i * 20, i * 20, 1)).collect(),
        ),
    ] {
        assert_eq!(episodes(match_rule(), &seconds), expected, "{case}");
    }
}

#[test]
fn current_episode_and_totals_are_told_apart() {
    let alert = alert_at(match_rule(), &[0, 5, 30, 31, 32]);
    assert_eq!((alert.count(), alert.total_count()), (3, 5));
    assert_eq!((alert.first_seen(), alert.last_seen()), (at(30_000), at(32_000)));
    assert_eq!((alert.total_first_seen(), alert.total_last_seen()), (at(0), at(32_000)));
    assert_eq!(alert.contributions(), [1, 2, 3, 4, 5]);
}

#[test]
fn first_seen_is_the_first_contributing_event_and_count_that_of_completing_ones() {
    let burst: Vec<i64> = (0..12).map(|i| i * 5).collect();
    let alert = alert_at(rule("r", &["s0"], threshold(5, false, 60)), &burst);
    assert_eq!((alert.count(), alert.first_seen(), alert.last_seen()), (8, at(0), at(55_000)));
    assert_eq!(alert.contributions().len(), 12);
}

#[test]
fn an_episode_outlives_the_window_of_its_rule() {
    let slow =
        CompiledRule { resolve_after: SignedDuration::from_secs(1), ..rule("r", &["s0"], threshold(2, false, 60)) };
    assert_eq!(episodes(slow, &[0, 30, 80]), [(30, 80, 2)]);
}

#[test]
fn old_episodes_stay_in_the_totals() {
    let seconds: Vec<i64> = (0..100).map(|i| i * 20).collect();
    for (case, order) in [("ascending", seconds.clone()), ("descending", seconds.iter().rev().copied().collect())] {
        let alert = alert_at(match_rule(), &order);
        assert_eq!(alert.total_count(), 100, "{case}");
        assert!(alert.forgotten_episodes() > 0, "{case}");
        assert_eq!((alert.total_first_seen(), alert.total_last_seen()), (at(0), at(99 * 20_000)), "{case}");
        assert_eq!((alert.count(), alert.status(at(0), None).evidence.len()), (1, 1), "{case}");
    }
}

#[test]
fn state_follows_quiet_time_and_triage() {
    let alert = alert_at(match_rule(), &[0, 30, 35]);
    let speaks_of = |millis: Option<i64>| Triage { acknowledged: true, episode: millis.map(at), ..Triage::default() };
    for (case, now, triage, expected) in [
        ("open", 40, None, AlertState::Open),
        ("open to the last moment", 45, None, AlertState::Open),
        ("quiet", 46, None, AlertState::Resolved),
        ("acknowledged", 40, Some(speaks_of(None)), AlertState::Acknowledged),
        ("this episode acknowledged", 40, Some(speaks_of(Some(30_000))), AlertState::Acknowledged),
        ("its start before late events", 40, Some(speaks_of(Some(35_000))), AlertState::Acknowledged),
        ("an earlier episode acknowledged", 40, Some(speaks_of(Some(0))), AlertState::Open),
        ("looked at, not acknowledged", 40, Some(Triage::default()), AlertState::Open),
        ("quiet wins", 46, Some(speaks_of(None)), AlertState::Resolved),
    ] {
        assert_eq!(alert.status(at(now * 1000), triage.as_ref()).state, expected, "{case}");
    }
}

#[test]
fn severity_only_rises_within_an_episode() {
    let mut correlator = Correlator::new(Limits::default());
    let mut book = AlertBook::new(BookConfig::default());
    let mut severities = Vec::new();
    for (generation, severity, second) in
        [(1, Severity::Medium, 0), (2, Severity::Critical, 5), (3, Severity::Low, 10), (4, Severity::Low, 100)]
    {
        let rule = Arc::new(CompiledRule { generation, severity, ..match_rule() });
        for finding in correlator.step(matches(&rule, &[0], evidence(generation as u64, second * 1000))) {
            let id = book.fold(finding).unwrap();
            severities.push(book.get(&id).unwrap().severity());
        }
    }
    assert_eq!(severities, [Severity::Medium, Severity::Critical, Severity::Critical, Severity::Low]);
}

#[test]
fn dry_run_is_counted_and_makes_no_alert() {
    let rule = Arc::new(CompiledRule { mode: RuleMode::DryRun, ..match_rule() });
    let book = super::book_of(&rule, vec![(&[0], evidence(1, 0)), (&[0, 1], evidence(2, 0))]);
    assert!(book.is_empty());
    assert_eq!(book.counters().dry_run.get(&rule.id), Some(&2));
}

#[test]
fn full_book_drops_resolved_then_low_then_old_alerts_and_counts_them() {
    let mut correlator = Correlator::new(Limits::default());
    let mut book = AlertBook::new(BookConfig { max_alerts: 3, ..BookConfig::default() });
    let mut add = |name: &str, severity, second: i64| {
        let mut rule = CompiledRule { severity, ..match_rule() };
        rule.id = crate::record::RuleId::cluster(name);
        let rule = Arc::new(rule);
        let one = matches(&rule, &[0], evidence(second as u64, second * 1000)).into_iter();
        let found = correlator.step(one.map(|m| Match { key: key("k"), ..m }).collect());
        found.into_iter().for_each(|finding| drop(book.fold(finding)));
        let id = |rule: &CompiledRule| AlertId::of(&rule.id, &key("k"));
        assert!(book.get(&id(&rule)).is_some(), "{name} is new");
        let names = book.iter().map(|a| a.rule.id.name.to_string()).collect::<Vec<_>>();
        (names, book.counters().evicted)
    };
    add("resolved-critical", Severity::Critical, 0);
    add("open-low", Severity::Low, 101);
    add("open-high", Severity::High, 100);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(add("newer-high", Severity::High, 102), (names(&["newer-high", "open-high", "open-low"]), 1));
    assert_eq!(add("critical", Severity::Critical, 103), (names(&["critical", "newer-high", "open-high"]), 2));
    assert_eq!(add("another", Severity::Critical, 104), (names(&["another", "critical", "newer-high"]), 3));
}
