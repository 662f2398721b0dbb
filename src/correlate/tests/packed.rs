use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{
    api::{
        alert::{Entity, EntityKind},
        rule::{Severity, Source},
    },
    correlate::{
        accounts::RuleNo,
        entry::{Entry, Form, digest},
        fixture::{evidence, id},
        stamp::Stamp,
        texts::{FORGOTTEN, TextNo, Texts},
    },
    detect::Evidence,
    event::{MAX_TIMES, Precision},
    record::RecordId,
};

const PLENTY: u64 = 1 << 30;

fn entry() -> impl Strategy<Value = Entry> {
    let times = prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        (any::<i64>(), -5..5i32).prop_map(|(nanos, seconds)| {
            Timestamp::from_nanosecond(nanos.into()).unwrap() + SignedDuration::from_secs(seconds.into())
        }),
    ];
    let sources = prop::sample::select(vec![Source::Audit, Source::Node, Source::Container, Source::Web]);
    let flags = (any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>());
    (times, any::<[u8; 16]>(), (0..1u64 << 46, 1..=MAX_TIMES), sources, flags, any::<u32>(), any::<[u8; 16]>())
        .prop_map(|(at, id, (seq, times), source, (selectors, told, done, coarse), text, value)| {
            let precision = if coarse { Precision::Second } else { Precision::Micros };
            let (selectors, told) = (selectors.into(), told.into());
            let stamp = Stamp::new(at, RecordId(id), precision);
            Entry { stamp, at, seq, times, source, selectors, told, done, text: TextNo(text), value }
        })
}

proptest! {
    #[test]
    fn a_packed_entry_is_unpacked_as_it_was(entry in entry()) {
        let packed = entry.pack();
        prop_assert_eq!(Entry::unpack(Form::Valued, &packed), entry);
        let counted = Entry { value: [0; 16], ..entry };
        prop_assert_eq!(Entry::unpack(Form::Counted, &packed[..Form::Counted.size()]), counted);
        let reported = Entry::unpack(Form::Reported, &packed[..Form::Reported.size()]);
        prop_assert_eq!((reported.stamp, reported.selectors), (entry.stamp, entry.selectors));
    }
}

/// An event with everything in it that an alert may show.
fn told(n: u64) -> Evidence {
    let entity = |kind, namespace: &str, name: &str| Entity { kind, namespace: namespace.into(), name: name.into() };
    Evidence {
        message: format!("é{n}").repeat(90),
        entities: vec![
            entity(EntityKind::User, "", "ann"),
            entity(EntityKind::Resource, "shop", ""),
            entity(EntityKind::Node, "", "n"),
        ],
        captures: vec![(0, "x".into()), (300, String::new())],
        ..evidence(n, 0)
    }
}

fn entry_of(evidence: &Evidence, text: TextNo) -> Entry {
    Entry { text, ..Entry::new(evidence, 1, [0; 16]) }
}

#[test]
fn words_come_back_as_they_were_until_they_are_released() {
    let (mut texts, rule) = (Texts::default(), RuleNo(3));
    let entries: Vec<(Evidence, Entry)> = (0..300)
        .map(|n| {
            let evidence = told(n);
            let entry = entry_of(&evidence, texts.keep(rule, Severity::Low, &evidence, PLENTY));
            (evidence, entry)
        })
        .collect();
    for (evidence, entry) in &entries {
        assert_eq!(texts.evidence(rule, entry), *evidence);
    }
    let bytes = texts.bytes();
    texts.release(rule, entries[7].1.text);
    texts.release(rule, entries[7].1.text);
    assert!(texts.bytes() < bytes);
    assert_eq!(texts.evidence(rule, &entries[7].1).message, FORGOTTEN);
    assert_eq!(texts.evidence(rule, &entries[8].1), entries[8].0);
    assert_eq!(texts.evidence(RuleNo(4), &entries[8].1).message, FORGOTTEN, "another rule's");
    for (_, entry) in &entries {
        texts.release(rule, entry.text);
    }
    assert_eq!((texts.bytes(), texts.forgotten), (0, 0));
}

#[test]
fn a_flood_of_words_costs_only_its_own_rule_the_oldest_of_them() {
    let (mut texts, quiet, loud) = (Texts::default(), RuleNo(0), RuleNo(1));
    let budget = 20_000;
    let old = told(0);
    let kept = entry_of(&old, texts.keep(quiet, Severity::Informational, &old, budget));
    let mut loud_ones = Vec::new();
    for n in 1..1000 {
        let evidence = told(n);
        loud_ones.push(entry_of(&evidence, texts.keep(loud, Severity::Critical, &evidence, budget)));
        assert!(texts.bytes() <= budget);
    }
    assert_eq!(texts.evidence(quiet, &kept), old);
    let forgotten = loud_ones.iter().filter(|entry| texts.evidence(loud, entry).message == FORGOTTEN).count();
    assert_eq!(forgotten as u64, texts.forgotten);
    assert_eq!(texts.evidence(loud, &loud_ones[998]), told(999));
    let first = texts.evidence(loud, &loud_ones[0]);
    assert_eq!((first.id, first.seq, first.at), (id(1), 1, told(1).at), "all but the words is there");
}

#[test]
fn digests_tell_where_a_part_ends() {
    assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
    assert_eq!(digest(["ab", "c"]), digest(["ab", "c"]));
}
