//! Which records are in the log already. In: ids. Out: whether an id was committed in this partition or the one before.
//! Older repetitions are stored again: no sender retries for that long.

use std::collections::HashSet;

use crate::record::RecordId;

/// Most records of a partition. Two sets of this many 16-byte ids take 2 x 17 MiB in a hash table at its emptiest.
pub(super) const MOST_RECORDS: u64 = 500_000;

#[derive(Default)]
pub(super) struct KnownIds {
    current: HashSet<RecordId>,
    previous: HashSet<RecordId>,
}

impl KnownIds {
    pub fn new(previous: Vec<RecordId>, current: Vec<RecordId>) -> KnownIds {
        KnownIds { current: current.into_iter().collect(), previous: previous.into_iter().collect() }
    }

    pub fn contains(&self, id: &RecordId) -> bool {
        self.current.contains(id) || self.previous.contains(id)
    }

    /// Takes in what was committed.
    pub fn extend(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        self.current.extend(ids);
    }

    /// A new partition begins.
    pub fn roll(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }
}
