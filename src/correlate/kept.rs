//! Correlation state as it is written down. In: the states at one moment, with their rules. Out: parts, from which an equal
//! state is made.

use std::{rc::Rc, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    holder::{State, StatePart},
    waits::{WaitPart, Waiting},
    watermark::Watermarks,
};
use crate::{detect::Key, ruleset::CompiledRule};

/// The state as it stood at one moment.
#[derive(Debug)]
pub struct Kept {
    pub(super) received: Timestamp,
    pub(super) windows: Vec<(Arc<CompiledRule>, Key, State)>,
    pub(super) marks: Watermarks,
    pub(super) waits: Vec<Arc<Waiting>>,
}

/// A part of the state. A rule is the place in a list that the writer keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// How far receipt had come.
    Received(Timestamp),
    Window {
        rule: u32,
        key: Key,
        state: StatePart,
    },
    /// How far the time of each source had come.
    Marks(Watermarks),
    Wait {
        rule: u32,
        key: Key,
        state: WaitPart,
    },
}

impl Kept {
    /// The rules that have state, some more than once.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<CompiledRule>> {
        self.windows.iter().map(|(rule, ..)| rule).chain(self.waits.iter().map(|waiting| &waiting.rule))
    }

    pub fn parts(&self, place: impl Fn(&Arc<CompiledRule>) -> u32) -> impl Iterator<Item = Part> {
        let place = Rc::new(place);
        let places = place.clone();
        let windows = self.windows.iter().map(move |(rule, key, state)| Part::Window {
            rule: places(rule),
            key: key.clone(),
            state: state.part(),
        });
        let waits = self.waits.iter().map(move |waiting| Part::Wait {
            rule: place(&waiting.rule),
            key: waiting.key.clone(),
            state: waiting.part(),
        });
        let head = [Part::Received(self.received), Part::Marks(self.marks.clone())];
        head.into_iter().chain(windows).chain(waits)
    }
}
