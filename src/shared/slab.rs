//! Items by number, of which a copy costs as little as that of a list. In: items, each given a number. Out: the items, and copies
//! of all of them as they were. A change copies one chunk of pointers and the item itself, when a copy still has them.

use std::sync::Arc;

use super::Shared;

/// Numbers are given anew after an item is removed.
#[derive(Debug, Clone)]
pub struct Slab<T> {
    places: Shared<Option<Arc<T>>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { places: Shared::default(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        self.places.get(number as usize)?.as_deref()
    }

    /// With their numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.places.iter()).filter_map(|(number, item)| Some((number, item.as_deref()?)))
    }

    /// All of it as it is now.
    pub fn copied(&self) -> Copied<T> {
        Copied(self.places.clone())
    }

    /// Takes in an item. Its number; there is room for four thousand million, far more than any of our limits.
    pub fn add(&mut self, item: T) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.places.get_mut(number as usize) {
                *place = Some(Arc::new(item));
            }
            return number;
        }
        self.places.push(Some(Arc::new(item)));
        u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
    }

    pub fn remove(&mut self, number: u32) -> Option<Arc<T>> {
        self.get(number)?; // else what is no item would copy a chunk
        let item = self.places.get_mut(number as usize)?.take();
        self.free.push(number);
        if self.is_empty() {
            *self = Slab::default();
        }
        item
    }
}

impl<T: Clone> Slab<T> {
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.get(number)?;
        self.places.get_mut(number as usize)?.as_mut().map(Arc::make_mut)
    }
}

/// The items of a slab as they were at one moment, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Copied<T>(Shared<Option<Arc<T>>>);

impl<T> Copied<T> {
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.0.iter().flatten()
    }
}
