//! A map of which a copy costs as little as that of a list. The table by which keys are found is not part of the copy, which is for
//! writing all of it down.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;

use super::{Copied, Slab};

#[derive(Debug, Clone)]
pub struct Map<K, V> {
    entries: Slab<(K, V)>,
    numbers: HashTable<u32>,
    /// Keyed anew for each map: which keys share a bucket can't be aimed at.
    hasher: RandomState,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map { entries: Slab::default(), numbers: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<K: Hash + Eq, V> Map<K, V> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn number<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        let is_it = |number: &u32| self.entries.get(*number).is_some_and(|(known, _)| known.borrow() == key);
        self.numbers.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(self.number(key)?).map(|(_, value)| value)
    }

    /// All of it as it is now, in no order that means anything.
    pub fn copied(&self) -> Copied<(K, V)> {
        self.entries.copied()
    }

    /// Puts `value` in the place of what `key` had, if anything.
    pub fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        let hash = self.hasher.hash_one(&key);
        let number = self.entries.add((key, value));
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_of = |number: &u32| entries.get(*number).map_or(0, |(key, _)| hasher.hash_one(key));
        self.numbers.insert_unique(hash, number, hash_of);
    }

    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<Arc<(K, V)>>
    where
        K: Borrow<Q>,
    {
        let number = self.number(key)?;
        let found = self.numbers.find_entry(self.hasher.hash_one(key), |known| *known == number).ok()?;
        found.remove();
        self.entries.remove(number)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entry_mut(key).map(|(_, value)| value)
    }

    /// The key as it was put in, and its value.
    pub fn entry_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<(&K, &mut V)>
    where
        K: Borrow<Q>,
    {
        let number = self.number(key)?;
        self.entries.get_mut(number).map(|(key, value)| (&*key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sorted(copy: &Copied<(String, u32)>) -> BTreeMap<String, u32> {
        copy.iter().map(|entry| (**entry).clone()).collect()
    }

    #[test]
    fn it_is_a_map_and_its_copies_keep_what_they_were() {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut map, mut model) = (Map::default(), BTreeMap::new());
        let mut copies = Vec::new();
        for step in 0..20_000u32 {
            let key = random.u32(0..1500).to_string();
            match random.u8(0..4) {
                0 | 1 => {
                    map.insert(key.clone(), step);
                    model.insert(key.clone(), step);
                }
                2 => assert_eq!(map.remove(key.as_str()).map(|entry| entry.1), model.remove(&key)),
                _ => {
                    assert_eq!(map.get_mut(key.as_str()).map(|value| *value += 1).is_some(), model.contains_key(&key));
                    model.entry(key.clone()).and_modify(|value| *value += 1);
                }
            }
            assert_eq!((map.get(key.as_str()), map.len()), (model.get(&key), model.len()));
            if step % 2_000 == 0 {
                copies.push((map.copied(), model.clone()));
            }
        }
        copies.push((map.copied(), model.clone()));
        for (copy, model) in copies {
            assert_eq!(sorted(&copy), model);
        }
        for key in model.keys() {
            assert!(map.remove(key.as_str()).is_some() && map.get(key.as_str()).is_none());
        }
        assert!(map.is_empty() && map.copied().iter().next().is_none(), "and nothing is left behind");
    }

    #[test]
    fn a_copy_names_no_entry_and_a_change_copies_one() {
        let mut map = Map::default();
        (0..5_000u32).for_each(|number| map.insert(number, number));
        let copy = map.copied();
        let named_twice = |copy: &Copied<(u32, u32)>| copy.iter().filter(|entry| Arc::strong_count(entry) > 1).count();
        assert_eq!(named_twice(&copy), 0, "both have the same chunks");
        *map.get_mut(&77).unwrap() += 1;
        // The map has a chunk of its own now: of its entries all but the one that changed are named by both.
        assert_eq!(named_twice(&copy), super::super::CHUNK - 1);
        assert_eq!((map.get(&77), copy.iter().find(|entry| entry.0 == 77).map(|entry| entry.1)), (Some(&78), Some(77)));
    }
}
