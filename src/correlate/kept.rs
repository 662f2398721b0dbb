//! Correlation state as it is written down. In: the states at one moment, with their rules. Out: parts, from which an equal
//! state is made.

use std::{iter, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::holder::{State, StatePart};
use crate::{detect::Key, ruleset::CompiledRule};

/// The state as it stood at one moment.
#[derive(Debug)]
pub struct Kept {
    pub(super) received: Timestamp,
    pub(super) windows: Vec<(Arc<CompiledRule>, Key, State)>,
}

/// A part of the state. A rule is the place in a list that the writer keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// How far receipt had come.
    Received(Timestamp),
    Window { rule: u32, key: Key, state: StatePart },
}

impl Kept {
    /// The rules that have state, some more than once.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<CompiledRule>> {
        self.windows.iter().map(|(rule, ..)| rule)
    }

    pub fn parts(&self, mut place: impl FnMut(&Arc<CompiledRule>) -> u32) -> impl Iterator<Item = Part> {
        let windows = self.windows.iter();
        let windows = windows.map(move |(rule, key, state)| Part::Window {
            rule: place(rule),
            key: key.clone(),
            state: state.part(),
        });
        iter::once(Part::Received(self.received)).chain(windows)
    }
}
