use std::sync::Arc;

use jiff::SignedDuration;

use super::text;
use crate::{
    alert::{Alert, AlertBook, BookConfig},
    correlate::{
        Correlator, Limits,
        fixture::{absence, at, evidence, key, matches, new_value, rule},
    },
    detect::Match,
    ruleset::{
        CompiledRule,
        template::{NEW_KNOWN, NEW_SINCE, NEW_VALUE, Part, Template},
    },
};

/// The one alert of these matches, when all is read and an hour has passed.
fn alert(rule: &Arc<CompiledRule>, events: Vec<Vec<Match>>) -> Alert {
    let mut correlator = Correlator::new(Limits { lateness: None, ..Limits::default() });
    let mut book = AlertBook::new(BookConfig { keep_all_contributions: true, ..BookConfig::default() });
    for event in events {
        assert!(correlator.step(event).is_empty());
    }
    correlator.end(Some(at(3_600_000))).into_iter().for_each(|finding| drop(book.fold(finding)));
    assert_eq!((book.len(), &rule.id), (1, &book.iter().next().unwrap().rule.id));
    book.iter().next().unwrap().clone()
}

#[test]
fn an_absence_shows_what_waited_and_ends_at_its_deadline() {
    let resolve_after = SignedDuration::from_secs(10);
    let rule = Arc::new(CompiledRule { resolve_after, ..rule("r", &["back", "gone"], absence(0, Some(1), 60)) });
    let asked = [(1, 0), (2, 5_000), (3, 600_000)];
    let alert = alert(&rule, asked.map(|(n, millis)| matches(&rule, &[1], evidence(n, millis))).to_vec());
    assert_eq!((alert.count(), alert.total_count()), (1, 3));
    assert_eq!((alert.first_seen(), alert.last_seen()), (at(600_000), at(660_000)));
    assert_eq!((alert.total_first_seen(), alert.total_last_seen()), (at(0), at(660_000)));
    assert_eq!(alert.contributions(), [1, 2, 3]);
    let status = alert.status(at(665_000), None);
    assert_eq!(status.evidence.iter().map(|e| (&*e.selector, e.time)).collect::<Vec<_>>(), [("gone", at(600_000))]);
    let episodes: Vec<_> = status.episodes.iter().map(|e| (e.start, e.end, e.count)).collect();
    assert_eq!(episodes, [(at(660_000), at(660_000), 1), (at(60_000), at(65_000), 2)]);
}

/// Values at seconds, for a rule with this summary.
fn new_value_summary(parts: Vec<Part>) -> String {
    let summary = Template { parts, slots: 0 };
    let rule = Arc::new(CompiledRule { summary, ..rule("r", &["s0"], new_value(10, 1000)) });
    let event = |(n, value, second): (u64, &str, i64)| -> Vec<Match> {
        let all = matches(&rule, &[0], evidence(n, second * 1000)).into_iter();
        all.map(|m| Match { key: key("eve"), distinct: Some(value.into()), ..m }).collect()
    };
    alert(&rule, [(1, "x", 0), (2, "y", 5), (3, "z", 100), (4, "\u{1b}[2J", 200)].map(event).to_vec()).summary()
}

#[test]
fn a_new_value_says_what_is_new_what_was_known_and_since_when() {
    let parts = vec![
        Part::Key(0),
        text(" with "),
        Part::New(NEW_VALUE),
        text(", "),
        Part::New(NEW_KNOWN),
        text(" since "),
        Part::New(NEW_SINCE),
    ];
    let newest = new_value_summary(parts);
    assert!(newest.starts_with("eve with ") && newest.ends_with(", 3 since 2026-01-01T00:00:00Z"), "{newest}");
    assert!(!newest.contains('\u{1b}'), "{newest}");
    let unsaid = new_value_summary(vec![Part::Key(0)]);
    assert!(unsaid.starts_with("eve (new: ") && unsaid.ends_with("; 3 known since 2026-01-01T00:00:00Z)"), "{unsaid}");
    let title = new_value_summary(Vec::new());
    assert!(title.starts_with("Title of r: eve (new: "), "{title}");
}
