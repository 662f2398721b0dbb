//! What a window of a Threshold holds while it slides over the entries: matches, or distinct values.

use std::collections::HashMap;

use super::entry::{Digest128, Entry};

pub enum Held {
    Matches(usize),
    /// With how many entries show each.
    Values(HashMap<Digest128, u32>),
}

impl Held {
    pub fn of_values() -> Held {
        Held::Values(HashMap::new())
    }

    pub fn add(&mut self, entry: &Entry) {
        match self {
            Held::Matches(count) => *count += entry.times as usize,
            Held::Values(values) => *values.entry(entry.value).or_default() += 1,
        }
    }

    /// Takes out an entry that was added.
    pub fn remove(&mut self, entry: &Entry) {
        match self {
            Held::Matches(count) => *count -= entry.times as usize,
            Held::Values(values) => {
                if let Some(count) = values.get_mut(&entry.value) {
                    *count -= 1;
                    if *count == 0 {
                        values.remove(&entry.value);
                    }
                }
            }
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Held::Matches(count) => *count,
            Held::Values(values) => values.len(),
        }
    }
}
