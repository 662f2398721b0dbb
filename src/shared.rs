//! A list whose copies share what neither changes: a snapshot of millions of items takes no longer than it takes to name
//! their chunks, and each chunk is copied once, when it is changed while the snapshot is written. `Slab` and `Map` are made of it.

mod map;
mod slab;

use std::{collections::VecDeque, sync::Arc};

pub use map::Map;
pub use slab::{Copied, Slab};

/// Items that are copied together: few enough that one event's changes cost microseconds.
const CHUNK: usize = 256;

/// Grows at its end and shrinks at its beginning.
#[derive(Debug, Clone)]
pub struct Shared<T> {
    chunks: VecDeque<Arc<Vec<T>>>,
    /// Items of the first chunk that are gone.
    head: usize,
    len: usize,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared { chunks: VecDeque::new(), head: 0, len: 0 }
    }
}

impl<T> Shared<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, place: usize) -> Option<&T> {
        let place = self.head + place;
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.head)
    }
}

impl<T: Clone> Shared<T> {
    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        let place = self.head + place;
        Arc::make_mut(self.chunks.get_mut(place / CHUNK)?).get_mut(place % CHUNK)
    }

    pub fn push(&mut self, item: T) {
        self.len += 1;
        match self.chunks.back_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(item),
            Some(_) | None => self.chunks.push_back(Arc::new(vec![item])),
        }
    }
}

impl<T: Clone + Default> Shared<T> {
    /// Removes the first item.
    pub fn pop(&mut self) -> Option<T> {
        let head = self.head;
        let first = Arc::make_mut(self.chunks.front_mut()?).get_mut(head).map(std::mem::take)?;
        self.len -= 1;
        self.head += 1;
        if self.head == CHUNK || self.len == 0 {
            self.chunks.pop_front();
            self.head = 0;
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    /// Counts how often it is copied.
    #[derive(Debug, Default)]
    struct Counted(Rc<Cell<usize>>);

    impl Clone for Counted {
        fn clone(&self) -> Counted {
            self.0.set(self.0.get() + 1);
            Counted(Rc::clone(&self.0))
        }
    }

    #[test]
    fn a_copy_copies_no_item_and_a_change_copies_one_chunk_once() {
        let copied = Rc::new(Cell::new(0));
        let mut shared = Shared::default();
        (0..10 * CHUNK).for_each(|_| shared.push(Counted(Rc::clone(&copied))));
        let copy = shared.clone();
        assert_eq!(copied.get(), 0);
        shared.get_mut(3 * CHUNK + 5);
        assert_eq!(copied.get(), CHUNK);
        for place in 3 * CHUNK..4 * CHUNK {
            shared.get_mut(place);
        }
        assert_eq!(copied.get(), CHUNK, "the chunk is its own by now");
        drop(copy);
        shared.get_mut(0);
        assert_eq!(copied.get(), CHUNK, "nothing is shared any more");
    }

    #[test]
    fn it_is_a_queue_and_its_copies_keep_what_they_were() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut shared, mut model) = (Shared::default(), VecDeque::new());
        let mut copies: Vec<(Shared<u32>, VecDeque<u32>)> = Vec::new();
        for step in 0..20_000u32 {
            match random.u8(0..8) {
                0..4 => {
                    shared.push(step);
                    model.push_back(step);
                }
                4..7 if step % 5_000 < 4_000 => assert_eq!(shared.pop(), model.pop_front()),
                7 if !model.is_empty() => {
                    let place = random.usize(..model.len());
                    *shared.get_mut(place).unwrap() = step;
                    model[place] = step;
                }
                _ => {}
            }
            assert_eq!((shared.len(), shared.get(0)), (model.len(), model.front()));
            assert_eq!(shared.get(model.len()), None);
            if step % 2_000 == 0 {
                copies.push((shared.clone(), model.clone()));
            }
        }
        copies.push((shared, model));
        for (shared, model) in copies {
            assert!(shared.iter().eq(model.iter()));
        }
    }
}
