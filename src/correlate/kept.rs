//! Correlation state as it is written down. In: the states at one moment, with their rules. Out: parts, from which an equal
//! state is made.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    accounts::RuleNo,
    waits::{WaitPart, Waiting},
    watermark::Watermarks,
    windows::{KeptWindows, WindowPart},
};
use crate::{detect::Key, ruleset::CompiledRule, shared::Copied};

/// The state as it stood at one moment. What is large is shared with the state that goes on.
#[derive(Debug)]
pub struct Kept {
    pub(super) received: Timestamp,
    pub(super) rules: HashMap<RuleNo, Arc<CompiledRule>>,
    pub(super) windows: KeptWindows,
    pub(super) marks: Watermarks,
    pub(super) waits: Copied<Waiting>,
    /// What rules lost, of those that did.
    pub(super) evicted: Vec<(RuleNo, u64)>,
}

/// A part of the state. A rule is the place in a list that the writer keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// How far receipt had come.
    Received(Timestamp),
    Window {
        rule: u32,
        window: WindowPart,
    },
    /// How far the time of each source had come.
    Marks(Watermarks),
    Wait {
        rule: u32,
        key: Key,
        wait: WaitPart,
    },
    /// Matches that the rule lost for want of room.
    Evicted {
        rule: u32,
        matches: u64,
    },
}

impl Kept {
    /// The rules that have state.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<CompiledRule>> {
        self.rules.values()
    }

    pub fn parts(&self, place: impl Fn(&Arc<CompiledRule>) -> u32) -> impl Iterator<Item = Part> {
        let places = Rc::new(move |number| self.rules.get(&number).map(|rule| (place(rule), rule)));
        let (of, lost) = (places.clone(), places.clone());
        let windows = self.windows.holders().filter_map(move |holder| {
            let (rule, compiled) = of(holder.rule)?;
            Some(Part::Window { rule, window: self.windows.part(holder, compiled)? })
        });
        let waits = self.waits.iter().filter_map(move |waiting| {
            let (rule, _) = places(waiting.number)?;
            Some(Part::Wait { rule, key: waiting.key.clone(), wait: waiting.part() })
        });
        let evicted = self.evicted.iter().filter_map(move |(number, matches)| {
            let (rule, _) = lost(*number)?;
            Some(Part::Evicted { rule, matches: *matches })
        });
        let head = [Part::Received(self.received), Part::Marks(self.marks.clone())];
        head.into_iter().chain(windows).chain(waits).chain(evicted)
    }
}
