//! Which of many prefixes a text has, in one walk over its bytes; read backwards, which of many suffixes.

/// A compressed trie of byte strings, each with the number of its test.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// The bytes that keys begin with, as bits.
    firsts: [u64; 4],
}

#[derive(Debug, Default)]
struct Node {
    /// Bytes between the parent's end and this node's, without the first.
    label: Box<[u8]>,
    test: Option<u32>,
    /// (first byte, node), sorted.
    children: Box<[(u8, u32)]>,
}

impl Trie {
    pub fn new(mut keys: Vec<(Vec<u8>, u32)>) -> Trie {
        let mut trie = Trie::default();
        if !keys.is_empty() {
            keys.sort_unstable();
            for first in keys.iter().filter_map(|(key, _)| key.first()) {
                trie.firsts.get_mut(usize::from(first / 64)).into_iter().for_each(|word| *word |= 1 << (first % 64));
            }
            trie.grow(&keys, 0, 0);
        }
        trie
    }

    /// Adds the node over `keys`, which share their first `from` bytes and, from there, whatever the node adds. `from` is
    /// past the byte that its parent chose it by.
    fn grow(&mut self, keys: &[(Vec<u8>, u32)], chosen: usize, from: usize) -> u32 {
        let number = self.nodes.len() as u32;
        self.nodes.push(Node::default());
        let (Some((first, _)), Some((last, _))) = (keys.first(), keys.last()) else { return number };
        // The root stands before the first byte, so that keys without a common beginning have a common node.
        let shared = if chosen == from {
            0
        } else {
            first.iter().skip(from).zip(last.iter().skip(from)).take_while(|(a, b)| a == b).count()
        };
        let end = from + shared;
        let test = keys.iter().find(|(key, _)| key.len() == end).map(|(_, test)| *test);
        let mut children = Vec::new();
        for group in keys.chunk_by(|(a, _), (b, _)| a.get(end) == b.get(end)) {
            if let Some(byte) = group.first().and_then(|(key, _)| key.get(end)) {
                children.push((*byte, self.grow(group, end, end + 1)));
            }
        }
        if let Some(node) = self.nodes.get_mut(number as usize) {
            *node = Node {
                label: first.iter().skip(from).take(shared).copied().collect(),
                test,
                children: children.into(),
            };
        }
        number
    }

    /// False when no key begins with the byte; no key is empty.
    #[inline]
    pub fn may_begin(&self, first: Option<&u8>) -> bool {
        first.is_some_and(|byte| {
            self.firsts.get(usize::from(byte / 64)).is_some_and(|word| word >> (byte % 64) & 1 == 1)
        })
    }

    /// The tests of all keys that `bytes` begins with.
    pub fn walk(&self, mut bytes: impl Iterator<Item = u8>, mut found: impl FnMut(u32)) {
        let mut next = self.nodes.first();
        while let Some(node) = next {
            if !node.label.iter().all(|byte| bytes.next() == Some(*byte)) {
                return;
            }
            if let Some(test) = node.test {
                found(test);
            }
            let Some(byte) = bytes.next() else { return };
            let child = match &*node.children {
                [] => None,
                [(only, child)] => (*only == byte).then_some(*child),
                many => many
                    .binary_search_by_key(&byte, |(b, _)| *b)
                    .ok()
                    .and_then(|i| many.get(i))
                    .map(|(_, child)| *child),
            };
            next = child.and_then(|child| self.nodes.get(child as usize));
        }
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let of_node = |node: &Node| size_of::<Node>() + node.label.len() + size_of_val(&*node.children);
        self.nodes.iter().map(of_node).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Trie;

    proptest! {
        #[test]
        fn a_walk_finds_the_keys_that_the_text_begins_with(keys in prop::collection::btree_set("[ab]{1,6}", 0..12), text in "[ab]{0,8}") {
            let keys: Vec<String> = keys.into_iter().collect();
            let trie = Trie::new(keys.iter().enumerate().map(|(i, key)| (key.clone().into_bytes(), i as u32)).collect());
            let mut found = Vec::new();
            trie.walk(text.bytes(), |test| found.push(test as usize));
            found.sort_unstable();
            let expected: Vec<usize> = (0..keys.len()).filter(|i| text.starts_with(&keys[*i])).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
