//! The newest place of each distinct value in a Threshold's window: what tells in a few steps how many distinct values
//! a window holds that ends at the newest event.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{entry::Digest128, stamp::Stamp};

#[derive(Debug, Clone, Default)]
pub struct Distinct {
    newest: HashMap<Digest128, Stamp>,
    by_stamp: BTreeMap<Stamp, Digest128>,
}

impl Distinct {
    pub fn insert(&mut self, stamp: Stamp, value: Digest128) {
        match self.newest.get_mut(&value) {
            Some(newest) if *newest >= stamp => return,
            Some(newest) => {
                self.by_stamp.remove(newest);
                *newest = stamp;
            }
            None => {
                self.newest.insert(value, stamp);
            }
        }
        self.by_stamp.insert(stamp, value);
    }

    /// Forgets the oldest event of the window. (The newest of a value goes last, so nothing stands behind it.)
    pub fn remove_oldest(&mut self, stamp: &Stamp) {
        if let Some(value) = self.by_stamp.remove(stamp) {
            self.newest.remove(&value);
        }
    }

    /// True when at least `count` values occur at or after `lower`.
    pub fn reach(&self, count: usize, lower: Timestamp) -> bool {
        match count.checked_sub(1) {
            None => true,
            Some(before) => self.by_stamp.keys().rev().nth(before).is_some_and(|s| s.at >= lower),
        }
    }
}
