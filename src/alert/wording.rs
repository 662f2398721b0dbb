//! What an alert says in words: summary and subject. All of it may come from strangers, so all of it is made one line.

use super::{Alert, episode::Shown};
use crate::{
    api::alert::{Entity, EntityKind},
    normalise::text::one_line,
    ruleset::{
        CompiledDetection,
        template::{NEW_KNOWN, NEW_SINCE, NEW_VALUE, Part},
    },
};

/// Bytes of a summary, and of one value in it, so that no value can push the others out of sight.
const MAX_SUMMARY: usize = 1024;
const MAX_VALUE: usize = 256;
/// Bytes of a subject: a column of a table.
const MAX_SUBJECT: usize = 120;
/// Stands for a value that no contributing event has.
const UNKNOWN: &str = "?";

pub fn summary(alert: &Alert) -> String {
    let parts = &alert.rule.summary.parts;
    let filled: String = match parts.is_empty() {
        true => format!("{}: {}", alert.rule.title, subject(alert)),
        false => parts.iter().map(|part| fill(alert, part)).collect(),
    };
    let tells_new = parts.iter().any(|part| matches!(part, Part::New(_)));
    match &alert.rule.detection {
        CompiledDetection::NewValue { .. } if !tells_new => one_line(&format!("{filled} {}", new(alert)), MAX_SUMMARY),
        _ => one_line(&filled, MAX_SUMMARY),
    }
}

/// What a NewValue rule knew, when its summary does not say it.
fn new(alert: &Alert) -> String {
    let [value, known, since] = [NEW_VALUE, NEW_KNOWN, NEW_SINCE].map(|slot| learned(alert, slot));
    format!("(new: {value}; {known} known since {since})")
}

/// A slot of the newest new value.
fn learned(alert: &Alert, slot: usize) -> String {
    let newest = alert.current().latest.last();
    let value = newest.and_then(|newest| newest.evidence.captures.iter().find(|(s, _)| *s == slot));
    value.map_or_else(|| UNKNOWN.into(), |(_, value)| one_line(value, MAX_VALUE))
}

fn fill(alert: &Alert, part: &Part) -> String {
    let share = |selector: &usize| {
        let name = &alert.rule.selectors.get(*selector)?.name;
        alert.current().shares.get(name)
    };
    match part {
        Part::Text(text) => text.clone(),
        Part::Key(index) => alert.key.get(*index).map_or(UNKNOWN.into(), |value| one_line(value, MAX_VALUE)),
        Part::Count(selector) => share(selector).map_or(0, |s| s.count).to_string(),
        Part::New(slot) => learned(alert, *slot),
        Part::Capture { selector, slot } => share(selector)
            .and_then(|s| s.newest.as_ref())
            .filter(|newest| newest.generation == alert.rule.generation)
            .and_then(|newest| newest.evidence.captures.iter().find(|(s, _)| s == slot))
            .map(|(_, value)| one_line(value, MAX_VALUE))
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| UNKNOWN.into()),
    }
}

pub fn subject(alert: &Alert) -> String {
    let parts: Vec<String> = match alert.key.is_empty() {
        false => alert.key.iter().map(ToString::to_string).collect(),
        true => alert.current().latest.last().map(actor_and_target).unwrap_or_default(),
    };
    if parts.is_empty() {
        return one_line(&alert.rule.title, MAX_SUBJECT);
    }
    let whole = joined(&parts, MAX_SUBJECT);
    if whole.len() <= MAX_SUBJECT {
        return whole;
    }
    // All parts are shown, each cut to its share.
    let arrows = ARROW.len() * (parts.len() - 1);
    joined(&parts, MAX_SUBJECT.saturating_sub(arrows) / parts.len())
}

const ARROW: &str = " → ";

fn joined(parts: &[String], max: usize) -> String {
    parts.iter().map(|part| one_line(part, max)).collect::<Vec<_>>().join(ARROW)
}

/// The first who and the first what of an event.
fn actor_and_target(shown: &Shown) -> Vec<String> {
    let is_actor = |e: &&Entity| match e.kind {
        EntityKind::User | EntityKind::ServiceAccount | EntityKind::Address => true,
        EntityKind::Pod | EntityKind::Workload | EntityKind::Node | EntityKind::Resource => false,
    };
    let entities = &shown.evidence.entities;
    let actor = entities.iter().find(is_actor);
    let target = entities.iter().find(|e| e.kind == EntityKind::Resource).or(entities.iter().find(|e| !is_actor(e)));
    actor.into_iter().chain(target).map(named).collect()
}

fn named(entity: &Entity) -> String {
    match entity.namespace.as_str() {
        "" => entity.name.clone(),
        namespace => format!("{namespace}/{}", entity.name),
    }
}
