use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{
    correlate::{
        Correlator, Counters, Limits,
        fixture::{evidence, key, rule, sequence, threshold},
        texts::FORGOTTEN,
    },
    detect::Match,
    event::Precision,
    ruleset::{CompiledDetection, CompiledRule},
};

/// An event of the generated history: number, half seconds, precision, selectors, value, key.
#[derive(Debug, Clone)]
struct Happening {
    n: u64,
    /// How often it happened.
    times: u32,
    /// Of those which one, where the definition looks at each by itself.
    nth: u32,
    halves: i64,
    coarse: bool,
    selectors: Vec<usize>,
    value: u8,
    key: &'static str,
}

impl Happening {
    /// Nanoseconds as the source stamps them.
    fn nanos(&self) -> i64 {
        let nanos = self.halves * 500_000_000;
        if self.coarse { nanos - nanos % 1_000_000_000 } else { nanos }
    }

    fn latest(&self) -> i64 {
        self.nanos() + if self.coarse { 999_999_999 } else { 0 }
    }

    fn order(&self) -> (i64, u64, u32) {
        (self.nanos(), self.n, self.nth)
    }

    fn each(&self) -> impl Iterator<Item = Happening> {
        (0..self.times).map(|nth| Happening { nth, ..self.clone() })
    }

    fn matches(&self, rule: &Arc<CompiledRule>) -> Vec<Match> {
        let mut evidence = evidence(self.n, 0);
        evidence.at += SignedDuration::from_millis(self.halves * 500);
        evidence.times = self.times;
        evidence.precision = if self.coarse { Precision::Second } else { Precision::Micros };
        let evidence = Arc::new(evidence);
        let of = |selector: &usize| Match {
            rule: rule.clone(),
            selector: *selector,
            key: key(self.key),
            distinct: Some(Arc::from(self.value.to_string())),
            evidence: evidence.clone(),
        };
        self.selectors.iter().map(of).collect()
    }
}

/// Completing event -> contributing (selector, event) of its window.
type Found = BTreeMap<u64, BTreeSet<(usize, u64)>>;

fn contributing<'a>(window: impl Iterator<Item = &'a Happening>, selectors: &[usize]) -> BTreeSet<(usize, u64)> {
    window.flat_map(|h| h.selectors.iter().filter(|s| selectors.contains(s)).map(|s| (*s, h.n))).collect()
}

/// Looks at the whole history of one key, each completing event by itself, as the definition reads. What happened several
/// times is as many events of one name.
fn oracle(detection: &CompiledDetection, history: &[&Happening]) -> Found {
    let mut found = Found::new();
    let each: Vec<Happening> = history.iter().flat_map(|happening| happening.each()).collect();
    let history: Vec<&Happening> = each.iter().collect();
    for last in history.iter().copied() {
        let nanos = |within: &SignedDuration| last.nanos() - within.as_nanos() as i64;
        let (complete, parts) = match detection {
            CompiledDetection::Match => (true, contributing([last].into_iter(), &[0, 1, 2])),
            CompiledDetection::Threshold { selector, count, distinct, within } => {
                let window: Vec<_> = history
                    .iter()
                    .filter(|h| h.selectors.contains(selector))
                    .filter(|h| h.nanos() >= nanos(within) && h.order() <= last.order())
                    .collect();
                let values: BTreeSet<u8> = window.iter().map(|h| h.value).collect();
                let have = if *distinct { values.len() } else { window.len() };
                let complete = last.selectors.contains(selector) && have >= *count as usize;
                (complete, contributing(window.into_iter().copied(), &[*selector]))
            }
            CompiledDetection::Sequence { steps, ordered, within } => {
                let slots: Vec<usize> =
                    steps.iter().flat_map(|s| std::iter::repeat_n(s.selector, s.count as usize)).collect();
                let starts: Vec<usize> = steps
                    .iter()
                    .scan(0, |sum, s| {
                        *sum += s.count as usize;
                        Some(*sum)
                    })
                    .collect();
                let window: Vec<&Happening> = history
                    .iter()
                    .copied()
                    .filter(|h| h.nanos() >= nanos(within))
                    .filter(|h| if *ordered { h.nanos() <= last.latest() } else { h.order() <= last.order() })
                    .collect();
                let complete = if *ordered {
                    last.selectors.contains(slots.last().unwrap())
                        && in_order(&slots, &starts, &window, last, &mut Vec::new())
                } else {
                    last.selectors.iter().any(|s| slots.contains(s)) && matched(&slots, &window)
                };
                (complete, contributing(window.into_iter(), &slots))
            }
            CompiledDetection::Absence { .. } | CompiledDetection::NewValue { .. } => panic!("see tests/waits.rs"),
        };
        if complete {
            found.entry(last.n).or_default().extend(parts);
        }
    }
    found
}

/// Tries every choice of events for the slots, the last slot being `last`.
fn in_order(
    slots: &[usize],
    starts: &[usize],
    window: &[&Happening],
    last: &Happening,
    chosen: &mut Vec<Happening>,
) -> bool {
    let step = |slot: usize| starts.iter().filter(|s| **s <= slot).count();
    let k = chosen.len();
    let fits = |h: &Happening, chosen: &[Happening]| {
        h.selectors.contains(&slots[k])
            && chosen.iter().enumerate().all(|(j, c)| {
                (c.n, c.nth) != (h.n, h.nth)
                    && if step(j) == step(k) { c.order() < h.order() } else { c.nanos() <= h.latest() }
            })
    };
    if k + 1 == slots.len() {
        return fits(last, chosen);
    }
    for h in window {
        if (h.n, h.nth) != (last.n, last.nth) && fits(h, chosen) {
            chosen.push((*h).clone());
            if in_order(slots, starts, window, last, chosen) {
                return true;
            }
            chosen.pop();
        }
    }
    false
}

/// Bipartite matching of slots to events by augmenting paths (Kuhn).
fn matched(slots: &[usize], window: &[&Happening]) -> bool {
    fn place(
        slot: usize,
        slots: &[usize],
        window: &[&Happening],
        tried: &mut [bool],
        holds: &mut [Option<usize>],
    ) -> bool {
        for (i, h) in window.iter().enumerate() {
            if !tried[i] && h.selectors.contains(&slots[slot]) {
                tried[i] = true;
                if holds[i].is_none_or(|other| place(other, slots, window, tried, holds)) {
                    holds[i] = Some(slot);
                    return true;
                }
            }
        }
        false
    }
    let mut holds = vec![None; window.len()];
    (0..slots.len()).all(|slot| place(slot, slots, window, &mut vec![false; window.len()], &mut holds))
}

fn detection() -> impl Strategy<Value = CompiledDetection> {
    let steps = prop::collection::vec((0..3usize, 1..3u32), 2..4);
    prop_oneof![
        1 => Just(CompiledDetection::Match),
        3 => (1..5u32, any::<bool>(), 0..8i64).prop_map(|(n, distinct, within)| threshold(n, distinct, within)),
        6 => (steps, any::<bool>(), 0..8i64).prop_map(|(steps, ordered, within)| sequence(&steps, ordered, within)),
    ]
}

fn history(overlap: bool) -> impl Strategy<Value = Vec<Happening>> {
    let selectors = if overlap {
        prop::collection::btree_set(0..3usize, 1..3).prop_map(|s| s.into_iter().collect()).boxed()
    } else {
        (0..3usize).prop_map(|s| vec![s]).boxed()
    };
    let times = prop_oneof![4 => Just(1u32), 1 => 2..4u32];
    let one = (0..24i64, prop::bool::weighted(0.3), selectors, 0..3u8, prop::bool::weighted(0.8), times);
    prop::collection::vec(one, 0..11).prop_map(|all| {
        let of = |(n, (halves, coarse, selectors, value, first, times)): (usize, _)| Happening {
            n: n as u64 + 1,
            times,
            nth: 0,
            halves,
            coarse,
            selectors,
            value,
            key: if first { "a" } else { "b" },
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

/// The findings of one arrival order: completing events, and all that contributed. Nothing may come twice.
fn found(rule: &Arc<CompiledRule>, arrivals: &[&Happening], limits: &Limits) -> Seen {
    let mut correlator = Correlator::new(limits.clone());
    let (mut completing, mut parts) = (BTreeSet::new(), BTreeSet::new());
    for arrival in arrivals {
        correlator.expire(Timestamp::MAX);
        for finding in correlator.step(arrival.matches(rule)) {
            assert_eq!(finding.new, completing.insert(finding.completing.seq), "{finding:?}");
            assert!(finding.new || !finding.contributing.is_empty(), "a finding that says nothing");
            let order: Vec<_> = finding.contributing.iter().map(|c| (c.evidence.at, c.evidence.id)).collect();
            assert!(order.is_sorted() || arrivals.iter().any(|a| a.coarse), "{order:?}");
            for part in finding.contributing {
                let has_words = part.evidence.message == format!("event {}", part.evidence.seq);
                let forgot = part.evidence.message == FORGOTTEN && correlator.counters().texts_forgotten > 0;
                assert!(has_words || forgot, "{:?}", part.evidence);
                assert!(parts.insert((part.selector, part.evidence.seq)), "told twice");
            }
        }
    }
    Seen { completing, parts, counters: *correlator.counters() }
}

/// What an arrival order gives.
#[derive(Debug)]
struct Seen {
    completing: BTreeSet<u64>,
    parts: BTreeSet<(usize, u64)>,
    counters: Counters,
}

impl Seen {
    fn findings(self) -> (BTreeSet<u64>, BTreeSet<(usize, u64)>) {
        (self.completing, self.parts)
    }
}

fn unlimited() -> Limits {
    Limits { lateness: None, ..Limits::default() }
}

fn expected(rule: &CompiledRule, history: &[Happening]) -> (BTreeSet<u64>, BTreeSet<(usize, u64)>) {
    let (mut completing, mut parts) = (BTreeSet::new(), BTreeSet::new());
    for key in ["a", "b"] {
        let of_key: Vec<&Happening> = history.iter().filter(|h| h.key == key).collect();
        for (last, window) in oracle(&rule.detection, &of_key) {
            completing.insert(last);
            parts.extend(window);
        }
    }
    (completing, parts)
}

/// Arrival orders of a history, some events delivered twice or thrice.
fn arrivals(history: Vec<Happening>) -> impl Strategy<Value = (Vec<Happening>, Vec<usize>)> {
    let n = history.len();
    let extra = prop::collection::vec(0..n.max(1), 0..4);
    (Just(history), extra).prop_flat_map(move |(history, extra)| {
        let order: Vec<usize> = (0..n).chain(extra.into_iter().filter(move |_| n > 0)).collect();
        (Just(history), Just(order).prop_shuffle())
    })
}

fn uses_a_selector_twice(detection: &CompiledDetection) -> bool {
    match detection {
        CompiledDetection::Sequence { steps, .. } => {
            let all: BTreeSet<usize> = steps.iter().map(|s| s.selector).collect();
            all.len() < steps.len()
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_repetition_finds_what_the_definition_says(
        detection in detection(),
        (history, order) in history(false).prop_flat_map(arrivals),
        max_text_bytes in prop_oneof![Just(0), 0..400u64, Just(1 << 20)],
    ) {
        prop_assume!(!uses_a_selector_twice(&detection) || history.iter().all(|h| !h.coarse));
        let rule = Arc::new(rule("r", &["s0", "s1", "s2"], detection));
        let arriving: Vec<&Happening> = order.iter().map(|i| &history[*i]).collect();
        let limits = Limits { max_text_bytes, ..unlimited() };
        prop_assert_eq!(found(&rule, &arriving, &limits).findings(), expected(&rule, &history));
    }

    #[test]
    fn events_that_fit_several_steps_are_found_in_any_order_alike_and_never_without_proof(
        detection in detection(),
        (history, order) in history(true).prop_flat_map(arrivals),
    ) {
        let rule = Arc::new(rule("r", &["s0", "s1", "s2"], detection));
        let arriving: Vec<&Happening> = order.iter().map(|i| &history[*i]).collect();
        let one = found(&rule, &arriving, &unlimited()).findings();
        let straight: Vec<&Happening> = history.iter().collect();
        prop_assert_eq!(&one, &found(&rule, &straight, &unlimited()).findings());
        let exact = expected(&rule, &history);
        let taken_greedily = matches!(rule.detection, CompiledDetection::Sequence { ordered: true, .. });
        if taken_greedily {
            prop_assert!(one.0.is_subset(&exact.0) && one.1.is_subset(&exact.1));
        } else {
            prop_assert_eq!(one, exact);
        }
    }

    #[test]
    fn what_expires_could_not_join_anything_any_more(
        detection in detection(),
        mut history in history(false),
    ) {
        prop_assume!(!uses_a_selector_twice(&detection) || history.iter().all(|h| !h.coarse));
        history.sort_by_key(|h| (h.halves, h.n));
        let rule = Arc::new(rule("r", &["s0", "s1", "s2"], detection));
        // Each event is received when it happens; one in whole seconds may be stamped up to a second before.
        let mut correlator = Correlator::new(Limits { lateness: Some(SignedDuration::from_secs(1)), ..Limits::default() });
        let (mut completing, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for happening in &history {
            let received = evidence(0, happening.halves * 500).at;
            for finding in correlator.step(happening.matches(&rule)) {
                completing.insert(finding.completing.seq);
                for part in finding.contributing {
                    prop_assert!(parts.insert((part.selector, part.evidence.seq)), "told twice");
                }
            }
            correlator.expire(received);
        }
        prop_assert_eq!((completing, parts), expected(&rule, &history));
        let kept = correlator.counters().entries;
        prop_assert_eq!((correlator.counters().late, correlator.counters().evicted), (0, 0));
        correlator.expire(evidence(0, 3_600_000).at);
        prop_assert_eq!((correlator.counters().entries, correlator.counters().keys), (0, 0));
        prop_assert!(correlator.counters().expired >= kept);
    }

    #[test]
    fn small_limits_lose_findings_only_where_a_counter_says_so_and_never_make_one_up(
        detection in detection(),
        (history, order) in history(false).prop_flat_map(arrivals),
        (max_entries, max_entries_per_key) in (1..12usize, 1..12usize),
    ) {
        prop_assume!(!uses_a_selector_twice(&detection) || history.iter().all(|h| !h.coarse));
        let rule = Arc::new(rule("r", &["s0", "s1", "s2"], detection));
        // What was evicted and comes again is new: redelivery is the store's to drop.
        let mut first = BTreeSet::new();
        let arriving: Vec<&Happening> =
            order.iter().filter(|i| first.insert(**i)).map(|i| &history[*i]).collect();
        let seen = found(&rule, &arriving, &Limits { max_entries, max_entries_per_key, ..unlimited() });
        let exact = expected(&rule, &history);
        prop_assert!(seen.counters.entries <= max_entries as u64);
        if seen.counters.evicted + seen.counters.evicted_from_full_key == 0 {
            prop_assert_eq!(seen.findings(), exact);
        } else {
            prop_assert!(seen.completing.is_subset(&exact.0) && seen.parts.is_subset(&exact.1));
        }
    }
}
