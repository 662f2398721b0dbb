//! Absence and NewValue: what the definition says of the whole history, found in any order of arrival within lateness, with
//! repeats and with sources whose clocks differ.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{
    api::rule::Source,
    correlate::{
        Correlator, Finding, Limits,
        fixture::{absence, at, evidence, key, new_value, rule},
        stamp::Stamp,
        waits::WITH_WORDS,
    },
    detect::{Evidence, Match},
    event::Precision,
    ruleset::{
        CompiledDetection, CompiledRule,
        template::{NEW_KNOWN, NEW_SINCE, NEW_VALUE},
    },
};

const SECOND: i64 = 1000;
/// Lateness of these tests.
const LATENESS: i64 = 10 * SECOND;

fn live() -> Limits {
    Limits { lateness: Some(SignedDuration::from_millis(LATENESS)), ..Limits::default() }
}

fn offline() -> Limits {
    Limits { lateness: None, ..Limits::default() }
}

/// An event as its source stamps it, and when it is received, in milliseconds.
#[derive(Debug, Clone)]
struct Sent {
    n: u64,
    stamp: i64,
    received: i64,
    source: &'static str,
    coarse: bool,
    selectors: Vec<usize>,
    value: String,
    key: &'static str,
}

impl Sent {
    fn of(n: u64, stamp: i64, selector: usize) -> Sent {
        Sent {
            n,
            stamp: stamp * SECOND,
            received: stamp * SECOND,
            source: "node-1",
            coarse: false,
            selectors: vec![selector],
            value: String::new(),
            key: "a",
        }
    }

    fn evidence(&self) -> Evidence {
        let precision = if self.coarse { Precision::Second } else { Precision::Micros };
        let stamp = if self.coarse { self.stamp.div_euclid(SECOND) * SECOND } else { self.stamp };
        Evidence { precision, source: Source::Node, host: self.source.into(), ..evidence(self.n, stamp) }
    }

    fn matches(&self, rule: &Arc<CompiledRule>) -> Vec<Match> {
        let evidence = Arc::new(self.evidence());
        let of = |selector: &usize| Match {
            rule: rule.clone(),
            selector: *selector,
            key: key(self.key),
            distinct: (!self.value.is_empty()).then(|| Arc::from(self.value.as_str())),
            evidence: evidence.clone(),
        };
        self.selectors.iter().map(of).collect()
    }
}

/// Takes in one event as the pipeline does.
fn take(correlator: &mut Correlator, rule: &Arc<CompiledRule>, sent: &Sent) -> Vec<Finding> {
    correlator.advance(at(sent.received));
    correlator.observe(Source::Node, sent.source, sent.evidence().at, at(sent.received));
    let mut findings = correlator.step(sent.matches(rule));
    findings.extend(correlator.decide());
    findings
}

/// Lets the recorded clock run from a moment to another.
fn tick(correlator: &mut Correlator, from: i64, to: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for millis in (from..to).step_by(30_000).chain([to]) {
        correlator.advance(at(millis));
        findings.extend(correlator.decide());
    }
    findings
}

/// What a finding says: completing event and time, then what a NewValue knew.
type Found = (u64, Timestamp, Vec<String>);

fn said(finding: &Finding) -> Found {
    assert!(finding.new, "these are decided once: {finding:?}");
    let contributing: BTreeSet<u64> = finding.contributing.iter().map(|c| c.evidence.seq).collect();
    assert_eq!(contributing, [finding.completing.seq].into(), "{finding:?}");
    let of = |slot| finding.completing.captures.iter().find(|(s, _)| *s == slot).map(|(_, value)| value.clone());
    (
        finding.completing.seq,
        finding.completing.at,
        [NEW_VALUE, NEW_KNOWN, NEW_SINCE].into_iter().filter_map(of).collect(),
    )
}

fn with(detection: CompiledDetection) -> Arc<CompiledRule> {
    Arc::new(rule("r", &["s0", "s1"], detection))
}

/// Events by (selector, second), numbered from 1; time goes on for `until` seconds. Deadlines by event and second.
fn missed(detection: CompiledDetection, events: &[(usize, i64)], until: i64) -> Vec<(u64, i64)> {
    let rule = with(detection);
    let mut correlator = Correlator::new(live());
    let mut found = Vec::new();
    for (n, (selector, second)) in (1..).zip(events) {
        found.extend(take(&mut correlator, &rule, &Sent::of(n, *second, *selector)));
    }
    let last = events.iter().map(|(_, second)| second * SECOND).max().unwrap_or(0);
    found.extend(tick(&mut correlator, last, until * SECOND + LATENESS + 1));
    let second = |at: Timestamp| (at.as_millisecond() - super::super::fixture::at(0).as_millisecond()) / SECOND;
    let mut found: Vec<_> = found.iter().map(|f| (f.completing.seq, second(f.completing.at))).collect();
    found.sort_unstable();
    found
}

#[test]
fn absence_is_found_where_the_definition_says() {
    for (case, after, events, until, expected) in [
        ("nothing after it", Some(0), [(0, 0)].as_slice(), 60, vec![(1, 60)]),
        ("not before its time", Some(0), &[(0, 0)], 59, vec![]),
        ("answered", Some(0), &[(0, 0), (1, 30)], 600, vec![]),
        ("at the last moment", Some(0), &[(0, 0), (1, 60)], 600, vec![]),
        ("a moment too late", Some(0), &[(0, 0), (1, 61)], 600, vec![(1, 60)]),
        ("what comes before does not answer", Some(0), &[(1, 0), (0, 1)], 600, vec![(2, 61)]),
        ("a tie does", Some(0), &[(0, 5), (1, 5)], 600, vec![]),
        ("one answers all before it", Some(0), &[(0, 0), (0, 20), (0, 40), (1, 50)], 600, vec![]),
        ("each waits for itself", Some(0), &[(0, 0), (0, 20), (1, 70)], 600, vec![(1, 60)]),
        ("nothing is known, nothing is missed", Some(0), &[(1, 0)], 600, vec![]),
        ("a key falls silent", None, &[(1, 0), (1, 50), (1, 100)], 600, vec![(3, 160)]),
        (
            "once for each silence",
            None,
            &[(1, 0), (1, 100), (1, 150), (1, 500)],
            560,
            vec![(1, 60), (3, 210), (4, 560)],
        ),
        ("and not the other selector's", None, &[(0, 0)], 600, vec![]),
        ("what comes late but in time answers", Some(0), &[(0, 0), (1, 69), (1, 59)], 600, vec![]),
    ] {
        assert_eq!(missed(absence(1, after, 60), events, until), expected, "{case}");
    }
}

#[test]
fn whole_seconds_are_given_the_benefit_of_the_doubt() {
    let found = |asked: (i64, bool), answer: (i64, bool)| {
        let rule = with(absence(1, Some(0), 60));
        let mut correlator = Correlator::new(offline());
        let sent = |n, selector, (stamp, coarse): (i64, bool)| Sent { stamp, coarse, ..Sent::of(n, 0, selector) };
        take(&mut correlator, &rule, &sent(1, 0, asked));
        take(&mut correlator, &rule, &sent(2, 1, answer));
        correlator.end(Some(at(3_600_000))).len()
    };
    assert_eq!(found((900, false), (100, true)), 0, "an answer in the same second may have come behind");
    assert_eq!(found((900, false), (100, false)), 1);
    assert_eq!(found((0, true), (60_900, false)), 0, "what was asked may have been at the end of its second");
    assert_eq!(found((0, false), (60_900, false)), 1);
}

#[test]
fn what_is_decided_leaves_nothing_behind() {
    let rule = with(absence(1, None, 60));
    let mut correlator = Correlator::new(live());
    take(&mut correlator, &rule, &Sent::of(1, 0, 1));
    assert_eq!(tick(&mut correlator, 0, 200 * SECOND).len(), 1);
    assert_eq!((correlator.counters().entries, correlator.counters().keys), (0, 0));
    // The same event again, and one before it: time has passed over both.
    let again = Sent { received: 200 * SECOND, ..Sent::of(1, 0, 1) };
    assert!(take(&mut correlator, &rule, &again).is_empty());
    assert!(tick(&mut correlator, 200 * SECOND, 900 * SECOND).is_empty());
    assert_eq!((correlator.counters().late, correlator.counters().keys), (1, 0));
}

#[test]
fn new_value_is_found_where_the_definition_says() {
    // Value and second of each event; then the numbers of those that are new, and how many values were known.
    for (case, learn, forget, events, expected) in [
        ("nothing while it learns", 100, 1000, [("x", 0), ("y", 50), ("z", 99)].as_slice(), vec![]),
        ("then what is new", 100, 1000, &[("x", 0), ("y", 100), ("x", 120), ("y", 130)], vec![(2, 1)]),
        ("without learning, the first", 0, 1000, &[("x", 0), ("x", 1)], vec![(1, 0)]),
        (
            "what is forgotten is new",
            0,
            100,
            &[("x", 0), ("y", 60), ("x", 161), ("y", 160)],
            vec![(1, 0), (2, 1), (3, 1)],
        ),
        ("not at the very end", 0, 100, &[("x", 0), ("y", 60), ("x", 100)], vec![(1, 0), (2, 1)]),
        ("a key that is forgotten learns anew", 50, 100, &[("x", 0), ("y", 60), ("y", 161), ("z", 170)], vec![(2, 1)]),
        ("a late one is known to those behind it", 10, 1000, &[("x", 0), ("y", 105), ("y", 100)], vec![(3, 1)]),
        ("an empty value takes no part", 0, 1000, &[("", 0)], vec![]),
    ] {
        let rule = with(new_value(learn, forget));
        let mut correlator = Correlator::new(live());
        let mut found = Vec::new();
        for (n, (value, second)) in (1..).zip(events) {
            let received = events[..n as usize].iter().map(|(_, second)| second * SECOND).max().unwrap_or(0);
            let sent = Sent { value: (*value).to_owned(), received, ..Sent::of(n, *second, 0) };
            found.extend(take(&mut correlator, &rule, &sent));
        }
        found.extend(tick(&mut correlator, 200 * SECOND, 400 * SECOND));
        let mut found: Vec<(u64, usize)> =
            found.iter().map(said).map(|(seq, _, told)| (seq, told[1].parse().unwrap())).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn a_new_value_says_what_was_known_and_since_when() {
    let rule = with(new_value(10, 1000));
    let mut correlator = Correlator::new(live());
    for (n, value, second) in [(1, "x", 5), (2, "y", 8), (3, "z", 100)] {
        take(&mut correlator, &rule, &Sent { value: value.into(), ..Sent::of(n, second, 0) });
    }
    let found = tick(&mut correlator, 100 * SECOND, 200 * SECOND);
    let told = ["z".to_owned(), "2".to_owned(), at(5 * SECOND).to_string()];
    assert_eq!(found.iter().map(said).collect::<Vec<_>>(), [(3, at(100 * SECOND), told.to_vec())]);
}

#[test]
fn a_node_whose_clock_is_wrong_makes_no_other_late() {
    let rule = with(absence(1, None, 60));
    let mut correlator = Correlator::new(live());
    let mut n = 0;
    let mut beats = |correlator: &mut Correlator, second: i64, nodes: &[(&'static str, i64)]| {
        let mut found = Vec::new();
        for (node, skew) in nodes {
            n += 1;
            let sent = Sent { source: node, key: node, received: second * SECOND, ..Sent::of(n, second + skew, 1) };
            found.extend(take(correlator, &rule, &sent));
        }
        found
    };
    let nodes = [("right", 0), ("ahead", 300), ("behind", -7200)];
    for second in (0..600).step_by(30) {
        assert!(beats(&mut correlator, second, &nodes).is_empty(), "{second}");
    }
    assert_eq!(correlator.counters().late, 0);
    // Only the one that is behind falls silent, which is found by its own clock.
    let mut found = Vec::new();
    for second in (600..800).step_by(30) {
        found.extend(beats(&mut correlator, second, &nodes[..2]));
    }
    let keys: Vec<&str> = found.iter().map(|f| &*f.key[0]).collect();
    assert_eq!((keys, found[0].completing.at), (vec!["behind"], at((570 - 7200 + 60) * SECOND)));
    assert_eq!(correlator.counters().late, 0);
}

/// All files of a node have its clock, so the one that is read up first decides; what the other brings is counted.
#[test]
fn what_a_file_brings_that_lags_behind_its_node_is_late() {
    for (detection, found_by_then) in [(absence(1, Some(0), 5), vec![1]), (new_value(1, 60), vec![])] {
        let rule = with(detection);
        let mut correlator = Correlator::new(live());
        let mut found = take(&mut correlator, &rule, &Sent { value: "known".into(), ..Sent::of(1, 0, 0) });
        found.extend(tick(&mut correlator, 0, 40 * SECOND));
        let slow = Sent { received: 40 * SECOND, value: "other".into(), ..Sent::of(2, 2, 1) };
        found.extend(take(&mut correlator, &rule, &slow));
        found.extend(tick(&mut correlator, 40 * SECOND, 80 * SECOND));
        let found: Vec<u64> = found.iter().map(|finding| finding.completing.seq).collect();
        assert_eq!((found, correlator.counters().late), (found_by_then, 1), "{:?}", rule.detection);
    }
}

#[test]
fn full_state_is_counted_and_hides_no_older_absence() {
    let mut correlator = Correlator::new(Limits { max_entries: 100 * WITH_WORDS, ..live() });
    let rule = with(absence(1, Some(0), 60));
    take(&mut correlator, &rule, &Sent { key: "first", ..Sent::of(1, 0, 0) });
    let keys: Vec<String> = (0..300).map(|n| format!("flood-{n}")).collect();
    for (n, name) in (2..).zip(&keys) {
        let sent = Sent::of(n, 1, 0);
        let all = sent.matches(&rule).into_iter().map(|m| Match { key: key(name), ..m });
        correlator.step(all.collect());
    }
    let counters = correlator.counters();
    let expected = [100, 201].map(|keys| keys * WITH_WORDS as u64);
    assert_eq!([counters.entries, counters.evicted], expected);
    let found = tick(&mut correlator, SECOND, 200 * SECOND);
    assert!(found.iter().any(|f| &*f.key[0] == "first"), "the one that was there first");
    assert_eq!(found.len(), 100);
}

#[test]
fn a_full_key_loses_its_oldest_values_and_counts_them() {
    let most = 30 * WITH_WORDS;
    let rule = with(new_value(0, 1000));
    let mut correlator = Correlator::new(Limits { max_entries_per_key: most, ..live() });
    for n in 1..=800 {
        take(&mut correlator, &rule, &Sent { value: format!("v{n}"), ..Sent::of(n, n as i64, 0) });
    }
    let counters = *correlator.counters();
    assert!(counters.entries <= most as u64 && counters.evicted_from_full_key > 400, "{counters:?}");
    let sent = |n: u64, value: &str| Sent { value: value.into(), ..Sent::of(n, 801, 0) };
    take(&mut correlator, &rule, &sent(801, "v790"));
    take(&mut correlator, &rule, &sent(802, "v1"));
    let new: Vec<u64> = tick(&mut correlator, 801 * SECOND, 830 * SECOND).iter().map(|f| f.completing.seq).collect();
    assert!(new.contains(&802) && !new.contains(&801), "the oldest are forgotten, not the newest: {new:?}");
}

/// The findings by the definition, from the whole history of one key.
fn oracle(detection: &CompiledDetection, history: &[&Sent]) -> BTreeSet<Found> {
    let mut sorted: Vec<(Stamp, &Sent)> = history.iter().map(|sent| (Stamp::of(&sent.evidence()), *sent)).collect();
    sorted.sort_by_key(|(stamp, _)| *stamp);
    match detection {
        CompiledDetection::Absence { selector, after, within } => {
            let asks = |sent: &Sent| sent.selectors.contains(&after.unwrap_or(*selector));
            let is_missed = |(asked, _): &&(Stamp, &Sent)| {
                !sorted.iter().any(|(answer, sent)| {
                    let follows = match after {
                        Some(_) => answer != asked && asked.at <= answer.latest(),
                        None => answer > asked,
                    };
                    sent.selectors.contains(selector) && follows && answer.at <= asked.latest() + *within
                })
            };
            let missed = sorted.iter().filter(|(_, sent)| asks(sent)).filter(is_missed);
            missed.map(|(stamp, sent)| (sent.n, stamp.at + *within, Vec::new())).collect()
        }
        CompiledDetection::NewValue { learn_for, forget_after } => {
            let seen: Vec<&(Stamp, &Sent)> = sorted.iter().filter(|(_, sent)| !sent.value.is_empty()).collect();
            let mut found = BTreeSet::new();
            for (place, (stamp, sent)) in seen.iter().enumerate() {
                let before = &seen[..place];
                let recent: BTreeSet<&str> = before
                    .iter()
                    .filter(|(s, _)| s.at >= stamp.at - *forget_after)
                    .map(|(_, s)| s.value.as_str())
                    .collect();
                let mut since = stamp.at;
                for (earlier, _) in before.iter().rev() {
                    if earlier.at < since - *forget_after {
                        break;
                    }
                    since = earlier.at;
                }
                if !recent.contains(sent.value.as_str()) && stamp.at >= since + *learn_for {
                    let told = vec![sent.value.clone(), recent.len().to_string(), since.to_string()];
                    found.insert((sent.n, stamp.at, told));
                }
            }
            found
        }
        CompiledDetection::Match | CompiledDetection::Threshold { .. } | CompiledDetection::Sequence { .. } => {
            panic!("not a detection that waits")
        }
    }
}

fn detection() -> impl Strategy<Value = CompiledDetection> {
    prop_oneof![
        (prop::option::of(Just(0)), 1..8i64).prop_map(|(after, within)| absence(1, after, within)),
        (0..10i64, 1..12i64).prop_map(|(learn, forget)| new_value(learn, forget)),
    ]
}

/// Clocks of the sources: key "a" has one that is far behind and one key "b" two that differ by half the lateness.
const SOURCES: [(&str, &str, i64); 4] =
    [("a", "behind", -3_600_000), ("b", "right", 0), ("b", "slow", -LATENESS / 2), ("c", "ahead", 120_000)];

fn history() -> impl Strategy<Value = Vec<Sent>> {
    let selectors = prop_oneof![3 => Just(vec![0]), 3 => Just(vec![1]), 1 => Just(vec![0, 1])];
    let one = (0..48i64, 0..4usize, prop::bool::weighted(0.3), selectors, 0..4u8, 0..=LATENESS / 2);
    prop::collection::vec(one, 0..24).prop_map(|all| {
        let of = |(n, (halves, source, coarse, selectors, value, delay)): (usize, (i64, usize, bool, _, u8, i64))| {
            let (key, source, skew) = SOURCES[source];
            let (happened, value) = (halves * 500, ["", "x", "y", "z"][usize::from(value)].to_owned());
            // In whole seconds, an event is stamped up to a second before it happened: that is a part of its delay.
            let delay = if coarse { delay.max(SECOND) - SECOND } else { delay };
            let stamp = happened + skew;
            Sent { n: n as u64 + 1, stamp, received: happened + delay, source, coarse, selectors, value, key }
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn expected(rule: &CompiledRule, history: &[Sent]) -> BTreeSet<Found> {
    let of = |key: &str| -> Vec<&Sent> { history.iter().filter(|sent| sent.key == key).collect() };
    ["a", "b", "c"].into_iter().flat_map(|key| oracle(&rule.detection, &of(key))).collect()
}

fn found(findings: Vec<Finding>) -> BTreeSet<Found> {
    let count = findings.len();
    let found: BTreeSet<Found> = findings.iter().map(said).collect();
    assert_eq!(count, found.len(), "nothing is found twice");
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Live: received in any order that lateness allows, some of it twice, with sources that differ.
    #[test]
    fn what_waits_is_found_as_the_definition_says_in_any_order_within_lateness(
        detection in detection(),
        history in history(),
        again in prop::collection::vec((0..24usize, 0..LATENESS / 2), 0..6),
    ) {
        let rule = with(detection);
        let mut arrivals = history.clone();
        for (place, delay) in again {
            if let Some(sent) = history.get(place) {
                arrivals.push(Sent { received: sent.received + delay, ..sent.clone() });
            }
        }
        arrivals.sort_by_key(|sent| sent.received);
        let mut correlator = Correlator::new(live());
        let mut findings = Vec::new();
        for sent in &arrivals {
            findings.extend(take(&mut correlator, &rule, sent));
        }
        findings.extend(tick(&mut correlator, 40 * SECOND, 4000 * SECOND));
        prop_assert_eq!(found(findings), expected(&rule, &history));
        let late = correlator.counters().late;
        prop_assert!(arrivals.len() > history.len() || late == 0, "{} late", late);
        prop_assert_eq!((correlator.counters().entries, correlator.counters().keys), (0, 0), "nothing is left");
    }

    /// Offline: in any order whatever.
    #[test]
    fn what_is_read_whole_is_found_as_the_definition_says_in_any_order(
        detection in detection(),
        (history, order) in history().prop_flat_map(|history| {
            let order: Vec<usize> = (0..history.len()).chain(0..history.len() / 3).collect();
            (Just(history), Just(order).prop_shuffle())
        }),
    ) {
        let rule = with(detection);
        let mut correlator = Correlator::new(offline());
        for place in order {
            prop_assert!(take(&mut correlator, &rule, &history[place]).is_empty(), "decided at the end");
        }
        prop_assert_eq!(found(correlator.end(Some(at(3_600_000)))), expected(&rule, &history));
    }
}
