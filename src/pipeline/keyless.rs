//! Why a rule's test finds too few alerts: events that a selector takes, and whose key is empty. In: the records of a test as
//! the pipeline saw them. Out: the first such key, and of how many events. An empty value joins nothing, and nothing else says so.

use std::fmt;

use crate::{
    detect::{in_scope, stage_selected},
    enrich::{Inventory, enrich},
    normalise::Normaliser,
    record::Record,
    ruleset::{CompiledRule, expr::Steps},
};

/// A key that is empty for events that a selector takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyless {
    selector: String,
    key: String,
    events: u64,
}

impl fmt::Display for Keyless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keyless { selector, key, events } = self;
        write!(
            f,
            "selector {selector} takes {events} event(s) whose key {key:?} is empty, and an empty value joins nothing: check \
             its value in groupBy, and what the test says of host and inventory"
        )
    }
}

pub fn find(
    rule: &CompiledRule,
    records: &[Record],
    normaliser: &Normaliser,
    inventory: &Inventory,
) -> Option<Keyless> {
    let mut found: Option<Keyless> = None;
    for record in records {
        let Some(mut event) = normaliser.event(record) else { continue };
        enrich(&mut event, inventory);
        for selector in rule.selectors.iter().filter(|s| s.source == event.source) {
            let steps = || Steps::default();
            let takes = in_scope(rule, &event)
                && stage_selected(selector, &event)
                && selector.condition.holds(&event, &mut steps()).unwrap_or(false);
            let is_empty = |key: usize| {
                let program = selector.keys.get(key).filter(|_| takes);
                program.is_some_and(|key| key.text(&event, &mut steps()).is_ok_and(|value| value.is_empty()))
            };
            let Some(key) = (0..selector.keys.len()).find(|key| is_empty(*key)) else { continue };
            let name = rule.key_names.get(key).map(ToString::to_string).unwrap_or_default();
            let keyless = found.get_or_insert_with(|| Keyless {
                selector: selector.name.to_string(),
                key: name.clone(),
                events: 0,
            });
            keyless.events += u64::from(keyless.key == name && keyless.selector == *selector.name);
        }
    }
    found
}
