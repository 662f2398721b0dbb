//! All holders of windows in one slab, and the queues in which they wait to expire or to be evicted.
//!
//! A queue holds the holders of one rule that have about as many entries (by powers of two) and are due at about the same
//! time. The cheapest to lose are in the first queue of a rule: fewest entries, of those the soonest to expire, of those
//! the longest untouched.

use std::collections::{BTreeMap, BTreeSet};

use super::{accounts::RuleNo, body::Body, entry::Digest128};
use crate::shared::Shared;

/// Names a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub u32);

const NOWHERE: Slot = Slot(u32::MAX);

/// State of one rule and key. The key's text comes with each event that asks for it, so a hash of it is enough here.
#[derive(Debug, Clone)]
pub struct Holder {
    pub key: Digest128,
    pub rule: RuleNo,
    /// Neighbours in the queue; `next` also chains free places.
    previous: Slot,
    next: Slot,
    /// Second since 1970 after which its oldest entry can no longer be joined; 0 before it is known.
    pub due: Due,
    pub body: Body,
}

/// Seconds since 1970, rounded up; `NEVER` is not reached.
pub type Due = u32;
pub const NEVER: Due = u32::MAX;

/// By how many entries: powers of two.
pub type Class = u8;

pub fn class(entries: usize) -> Class {
    entries.checked_ilog2().map_or(0, |log| log as Class)
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    first: Slot,
    last: Slot,
}

#[derive(Debug)]
pub struct Holders {
    places: Shared<Holder>,
    free: Slot,
    live: usize,
    queues: BTreeMap<(RuleNo, Class, Due), Ends>,
    by_due: BTreeSet<(Due, RuleNo, Class)>,
}

impl Default for Holders {
    fn default() -> Self {
        let (queues, by_due) = (BTreeMap::new(), BTreeSet::new());
        Holders { places: Shared::default(), free: NOWHERE, live: 0, queues, by_due }
    }
}

impl Holders {
    pub fn get(&self, slot: Slot) -> Option<&Holder> {
        self.places.get(slot.0 as usize)
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Holder> {
        self.places.get_mut(slot.0 as usize)
    }

    /// All places, those that are free among them: their bodies are empty.
    pub fn places(&self) -> &Shared<Holder> {
        &self.places
    }

    /// A new holder, empty and in no queue.
    pub fn add(&mut self, rule: RuleNo, key: Digest128) -> Slot {
        let holder = Holder { key, rule, previous: NOWHERE, next: NOWHERE, due: 0, body: Body::default() };
        self.live += 1;
        match self.free {
            NOWHERE => {
                let slot = Slot(u32::try_from(self.places.len()).unwrap_or(NOWHERE.0));
                self.places.push(holder);
                slot
            }
            slot => {
                if let Some(place) = self.places.get_mut(slot.0 as usize) {
                    self.free = place.next;
                    *place = holder;
                }
                slot
            }
        }
    }

    /// Frees the place of a holder that is in no queue.
    pub fn free(&mut self, slot: Slot) {
        let free = self.free;
        let Some(holder) = self.get_mut(slot) else { return };
        holder.body = Body::default();
        holder.next = free;
        self.free = slot;
        self.live -= 1;
        if self.live == 0 {
            *self = Holders::default();
        }
    }

    /// The holders of `rule` that are the cheapest to lose: the first one of them.
    pub fn cheapest(&self, rule: RuleNo) -> Option<Slot> {
        let ((of, ..), ends) = self.queues.range((rule, 0, 0)..).next()?;
        (*of == rule).then_some(ends.first)
    }

    /// A holder that is due first, with its queue.
    pub fn soonest(&self) -> Option<(Due, Class, Slot)> {
        let (due, rule, class) = self.by_due.first()?;
        Some((*due, *class, self.queues.get(&(*rule, *class, *due))?.first))
    }

    /// Puts a holder that is in no queue behind those that are like it.
    pub fn enqueue(&mut self, slot: Slot, class: Class, due: Due) {
        let Some(holder) = self.places.get_mut(slot.0 as usize) else { return };
        let queue = (holder.rule, class, due);
        holder.due = due;
        holder.next = NOWHERE;
        holder.previous = NOWHERE;
        match self.queues.get_mut(&queue) {
            Some(ends) => {
                holder.previous = std::mem::replace(&mut ends.last, slot);
                let before = holder.previous;
                if let Some(before) = self.get_mut(before) {
                    before.next = slot;
                }
            }
            None => {
                self.by_due.insert((due, holder.rule, class));
                self.queues.insert(queue, Ends { first: slot, last: slot });
            }
        }
    }

    /// Takes a holder out of the queue of `class` that it is in.
    pub fn dequeue(&mut self, slot: Slot, class: Class) {
        let Some(&Holder { rule, previous, next, due, .. }) = self.get(slot) else { return };
        if let Some(before) = self.get_mut(previous) {
            before.next = next;
        }
        if let Some(behind) = self.get_mut(next) {
            behind.previous = previous;
        }
        let queue = (rule, class, due);
        let Some(ends) = self.queues.get_mut(&queue) else { return };
        if ends.first == slot {
            ends.first = next;
        }
        if ends.last == slot {
            ends.last = previous;
        }
        if ends.first == NOWHERE {
            self.queues.remove(&queue);
            self.by_due.remove(&(due, rule, class));
        }
    }

    /// Holders of a rule.
    pub fn of_rule(&self, rule: RuleNo) -> Vec<(Class, Slot)> {
        let mut slots = Vec::new();
        for ((_, class, _), ends) in self.queues.range((rule, 0, 0)..=(rule, Class::MAX, NEVER)) {
            let mut at = ends.first;
            while let Some(holder) = self.get(at) {
                slots.push((*class, at));
                at = holder.next;
            }
        }
        slots
    }
}
