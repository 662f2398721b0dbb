use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{book_of, text};
use crate::{
    api::alert::{Entity, EntityKind, SecurityAlertStatus},
    correlate::fixture::{at, evidence, rule, sequence, threshold},
    detect::Evidence,
    record::Seq,
    ruleset::{
        CompiledDetection, CompiledRule,
        template::{Part, Template},
    },
};

/// All that is known of the one alert, if there is one.
type Known = Option<(SecurityAlertStatus, u64, Vec<Seq>)>;

fn known(rule: &Arc<CompiledRule>, events: &[(usize, i64, u64)]) -> Known {
    let event = |(selector, second, n): &(usize, i64, u64)| {
        let evidence = Evidence {
            entities: vec![Entity {
                kind: EntityKind::User,
                namespace: String::new(),
                name: format!("user {}", n % 3),
            }],
            captures: vec![(*selector, format!("value {n}"))],
            ..evidence(*n, second * 1000)
        };
        ([[0].as_slice(), &[1]][*selector], evidence)
    };
    let book = book_of(rule, events.iter().map(event).collect());
    let alert = book.iter().next()?;
    Some((alert.status(at(45_000), None), alert.total_count(), alert.contributions().to_vec()))
}

fn detection() -> impl Strategy<Value = CompiledDetection> {
    prop_oneof![
        Just(CompiledDetection::Match),
        (1..4u32, 0..12i64).prop_map(|(count, within)| threshold(count, false, within)),
        (any::<bool>(), 0..12i64).prop_map(|(ordered, within)| sequence(&[(0, 1), (1, 1)], ordered, within)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn same_findings_in_any_order_give_the_same_status(
        detection in detection(),
        quiet in 1..8i64,
        (straight, shuffled) in prop::collection::vec((0..2usize, 0..45i64), 0..24).prop_flat_map(|events| {
            let events: Vec<(usize, i64, u64)> =
                events.into_iter().enumerate().map(|(n, (selector, second))| (selector, second, n as u64 + 1)).collect();
            (Just(events.clone()), Just(events).prop_shuffle())
        }),
    ) {
        let parts = vec![
            Part::Count(0), text(" "), Part::Count(1), text(" "),
            Part::Capture { selector: 0, slot: 0 }, text(" "), Part::Capture { selector: 1, slot: 1 },
        ];
        let rule = Arc::new(CompiledRule {
            resolve_after: SignedDuration::from_secs(quiet),
            summary: Template { parts, slots: 2 },
            ..rule("r", &["s0", "s1"], detection)
        });
        prop_assert_eq!(known(&rule, &shuffled), known(&rule, &straight));
    }
}
