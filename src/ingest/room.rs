//! Room for bodies of collectors: so many at once, and so many of one node, so that no node takes the room of all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Bodies of one node at the same time: a collector sends one after the other, and a broken connection may linger.
const OF_A_NODE: usize = 2;

pub(super) struct Room {
    limit: usize,
    /// At most `limit` nodes.
    taken: Mutex<HashMap<Arc<str>, usize>>,
}

/// Held while a body is worked on.
pub(super) struct Place<'r> {
    room: &'r Room,
    node: Arc<str>,
}

impl Room {
    pub(super) fn new(limit: usize) -> Room {
        Room { limit, taken: Mutex::default() }
    }

    /// None when there is no room: the sender shall try again.
    pub(super) fn enter(&self, node: &Arc<str>) -> Option<Place<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node = taken.get(node).copied().unwrap_or_default();
        if of_node >= OF_A_NODE || taken.values().sum::<usize>() >= self.limit {
            return None;
        }
        taken.insert(node.clone(), of_node + 1);
        Some(Place { room: self, node: node.clone() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.node) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(taken.remove(&self.node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_for_all_and_for_each_node_and_given_back() {
        let room = Room::new(3);
        let (a, b, c): (Arc<str>, Arc<str>, Arc<str>) = ("a".into(), "b".into(), "c".into());
        let first = room.enter(&a).unwrap();
        let second = room.enter(&a).unwrap();
        assert!(room.enter(&a).is_none(), "one node");
        let third = room.enter(&b).unwrap();
        assert!(room.enter(&c).is_none(), "all");
        drop(first);
        assert!(room.enter(&c).is_some());
        assert!(room.enter(&a).is_some());
        drop((second, third));
        assert_eq!(room.taken.lock().unwrap().len(), 0);
    }
}
