//! State that is written down anywhere, and read again, goes on as if nothing had happened: also with what came late.

use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;

use crate::{
    api::rule::Source,
    correlate::{
        Correlator, Counters, Finding, Limits,
        fixture::{absence, at, evidence, key, matches, new_value, rule, sequence, threshold},
    },
    detect::{Evidence, Match},
    ruleset::{CompiledDetection, CompiledRule},
};

const SECOND: i64 = 1000;
const LATENESS: i64 = 10 * SECOND;

/// An event of one of two nodes, in milliseconds.
#[derive(Debug, Clone)]
struct Sent {
    n: u64,
    stamp: i64,
    received: i64,
    node: &'static str,
    selectors: Vec<usize>,
    value: u8,
    key: &'static str,
}

impl Sent {
    fn matches(&self, rule: &Arc<CompiledRule>) -> Vec<Match> {
        let evidence = evidence(self.n, self.stamp);
        let evidence = Arc::new(Evidence { source: Source::Node, host: self.node.into(), ..evidence });
        let of = |selector: &usize| Match {
            rule: rule.clone(),
            selector: *selector,
            key: key(self.key),
            distinct: Some(self.value.to_string().into()),
            evidence: evidence.clone(),
        };
        self.selectors.iter().map(of).collect()
    }
}

fn limits() -> Limits {
    Limits { lateness: Some(SignedDuration::from_millis(LATENESS)), ..Limits::default() }
}

/// What one record makes a correlator say, as the pipeline asks it; None is a record of something else.
fn take(correlator: &mut Correlator, rule: &Arc<CompiledRule>, received: i64, sent: Option<&Sent>) -> Vec<String> {
    let told = |finding: &Finding| {
        let contributing: Vec<_> =
            finding.contributing.iter().map(|c| (c.selector, c.evidence.seq, c.evidence.message.clone())).collect();
        let Evidence { seq, at, captures, .. } = &*finding.completing;
        format!("{} {:?} {seq} {at} {captures:?} {contributing:?}", finding.new, finding.key)
    };
    correlator.advance(at(received));
    let mut findings = Vec::new();
    if let Some(sent) = sent {
        correlator.observe(Source::Node, sent.node, at(sent.stamp), at(received));
        findings.extend(correlator.step(sent.matches(rule)));
    }
    correlator.expire(at(received));
    findings.extend(correlator.decide());
    let mut told: Vec<String> = findings.iter().map(told).collect();
    told.sort_unstable();
    told
}

/// The same state, from what was written.
fn restored(correlator: &Correlator, rule: &Arc<CompiledRule>, limits: &Limits) -> Correlator {
    let mut next = Correlator::new(limits.clone());
    for part in correlator.keep().parts(|_| 0) {
        let written = serde_json::to_string(&part).unwrap();
        next.put(serde_json::from_str(&written).unwrap(), |_| Some(rule)).unwrap();
    }
    next
}

/// Those that only grow, of a run and of those that went on from it.
fn grown(all: &[&Counters]) -> [u64; 4] {
    let sum = |of: fn(&Counters) -> u64| all.iter().map(|counters| of(counters)).sum();
    [sum(|c| c.late), sum(|c| c.repeated), sum(|c| c.expired), sum(|c| c.evicted_from_full_key)]
}

fn detection() -> impl Strategy<Value = CompiledDetection> {
    let steps = prop::collection::vec((0..2usize, 1..3u32), 2..4);
    prop_oneof![
        3 => (1..4u32, any::<bool>(), 0..30i64).prop_map(|(n, distinct, within)| threshold(n, distinct, within)),
        3 => (steps, any::<bool>(), 0..30i64).prop_map(|(steps, ordered, within)| sequence(&steps, ordered, within)),
        1 => (prop::option::of(Just(0)), 1..20i64).prop_map(|(after, within)| absence(1, after, within)),
        1 => (0..20i64, 1..40i64).prop_map(|(learn, forget)| new_value(learn, forget)),
    ]
}

/// Half of it in time; the other half as after outages, up to six times the lateness too late.
fn history() -> impl Strategy<Value = Vec<Sent>> {
    let selectors = prop_oneof![3 => Just(vec![0]), 3 => Just(vec![1]), 1 => Just(vec![0, 1])];
    let delay = prop_oneof![0..LATENESS, 0..6 * LATENESS];
    let one = (0..240i64, delay, any::<bool>(), selectors, 0..3u8, prop::bool::weighted(0.8));
    prop::collection::vec(one, 0..18).prop_map(|all| {
        let of = |(n, (halves, delay, node, selectors, value, first)): (usize, (i64, i64, bool, _, u8, bool))| Sent {
            n: n as u64 + 1,
            stamp: halves * 500,
            received: halves * 500 + delay,
            node: if node { "node-1" } else { "node-2" },
            selectors,
            value,
            key: if first { "a" } else { "b" },
        };
        let mut all: Vec<Sent> = all.into_iter().enumerate().map(of).collect();
        all.sort_by_key(|sent| sent.received);
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_anywhere_changes_nothing_of_what_comes_late_either(
        detection in detection(),
        history in history(),
        most in prop_oneof![3 => Just(10_000usize), 1 => 1..4usize],
    ) {
        let rule = Arc::new(rule("r", &["s0", "s1"], detection));
        let limits = Limits { max_entries_per_key: most, ..limits() };
        // Records of something else come all the time, and long after.
        let others = (0..60).map(|n| (n * 5 * SECOND, None));
        let mut log: Vec<(i64, Option<&Sent>)> = others.chain(history.iter().map(|s| (s.received, Some(s)))).collect();
        log.sort_by_key(|(received, _)| *received);
        let mut whole = Correlator::new(limits.clone());
        let expected: Vec<_> = log.iter().map(|(received, sent)| take(&mut whole, &rule, *received, *sent)).collect();
        let mut first = Correlator::new(limits.clone());
        for (place, (received, sent)) in log.iter().enumerate() {
            prop_assert_eq!(&take(&mut first, &rule, *received, *sent), &expected[place]);
            if sent.is_none() && place % 4 > 0 {
                continue; // most of what could happen lies behind events
            }
            let mut second = restored(&first, &rule, &limits);
            prop_assert_eq!(second.evicted_by_rule(), first.evicted_by_rule());
            for (place, (received, sent)) in log.iter().enumerate().skip(place + 1) {
                prop_assert_eq!(&take(&mut second, &rule, *received, *sent), &expected[place], "at {}", place);
            }
            prop_assert_eq!(grown(&[first.counters(), second.counters()]), grown(&[whole.counters()]));
            prop_assert_eq!(second.counters().entries, whole.counters().entries);
            prop_assert_eq!(second.evicted_by_rule(), whole.evicted_by_rule());
        }
    }
}

/// A rule, and a correlator that holds the first of two events for it, which came late.
fn with_a_late_one() -> (Arc<CompiledRule>, Correlator) {
    let rule = Arc::new(rule("r", &["s0"], threshold(2, false, 1)));
    let mut correlator = Correlator::new(limits());
    correlator.expire(at(100 * SECOND));
    correlator.step(matches(&rule, &[0], evidence(1, 0)));
    (rule, correlator)
}

/// What an outage held back is not dropped sooner for a restart in the middle of it.
#[test]
fn what_came_late_stays_as_long_as_without_a_restart() {
    let (rule, correlator) = with_a_late_one();
    let mut next = restored(&correlator, &rule, &limits());
    next.expire(at(100 * SECOND + LATENESS / 2));
    let found = next.step(matches(&rule, &[0], evidence(2, 500)));
    assert_eq!(found.iter().map(|finding| finding.completing.seq).collect::<Vec<_>>(), [2]);
}

/// A snapshot of a build that did not write how long a window stays.
#[test]
fn a_window_without_its_time_is_kept_as_long_as_its_entries_ask_for() {
    let (rule, correlator) = with_a_late_one();
    let mut next = Correlator::new(limits());
    for part in correlator.keep().parts(|_| 0) {
        let mut written = serde_json::to_value(&part).unwrap();
        if let Some(window) = written.pointer_mut("/window/window").and_then(serde_json::Value::as_object_mut) {
            assert!(window.remove("due").is_some(), "{window:?}");
        }
        next.put(serde_json::from_value(written).unwrap(), |_| Some(&rule)).unwrap();
    }
    assert_eq!(next.counters().entries, 1);
    next.expire(at(100 * SECOND + 1));
    assert_eq!(next.counters().entries, 0);
}

/// As many keys as there is room for keep evaluation waiting no longer than a few: what is taken names none of them.
#[test]
fn keeping_state_names_no_key_that_waits() {
    let rule = Arc::new(rule("r", &["s0"], new_value(10, 1000)));
    let mut correlator = Correlator::new(limits());
    for n in 0..1_000 {
        let sent = Sent { n, stamp: 0, received: 0, node: "node-1", selectors: vec![0], value: 0, key: "a" };
        let named = sent.matches(&rule).into_iter().map(|found| Match { key: key(&n.to_string()), ..found });
        correlator.step(named.collect());
    }
    let kept = correlator.keep();
    assert_eq!(kept.waits.iter().map(Arc::strong_count).collect::<Vec<_>>(), [1; 1_000]);
}
