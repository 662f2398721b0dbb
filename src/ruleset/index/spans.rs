//! Which of many spans of numbers hold a number: one binary search, however the spans overlap. Ints and addresses are
//! numbers here.

use std::{collections::BTreeSet, net::IpAddr, ops::Range};

use ipnet::IpNet;

/// Spans by the segments that their ends cut the numbers into.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// The first number of each segment; all before the first are in no span.
    starts: Vec<u128>,
    /// For each segment, where its tests stand in `tests`.
    places: Vec<Range<u32>>,
    tests: Vec<u32>,
}

impl Spans {
    /// Of (first, last, test), both ends included.
    pub fn new(spans: &[(u128, u128, u32)]) -> Spans {
        let mut edges: Vec<(u128, bool, u32)> = Vec::new();
        for (first, last, test) in spans {
            edges.push((*first, true, *test));
            if let Some(after) = last.checked_add(1) {
                edges.push((after, false, *test));
            }
        }
        edges.sort_unstable();
        let (mut all, mut open) = (Spans::default(), BTreeSet::new());
        for at in edges.chunk_by(|(a, ..), (b, ..)| a == b) {
            for (_, opens, test) in at {
                if *opens {
                    open.insert(*test)
                } else {
                    open.remove(test)
                };
            }
            let from = all.tests.len() as u32;
            all.tests.extend(&open);
            all.starts.extend(at.first().map(|(start, ..)| *start));
            all.places.push(from..all.tests.len() as u32);
        }
        all
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The tests of all spans that hold `number`.
    pub fn of(&self, number: u128) -> &[u32] {
        let after = self.starts.partition_point(|start| *start <= number);
        let place = after.checked_sub(1).and_then(|segment| self.places.get(segment));
        place.and_then(|place| self.tests.get(place.start as usize..place.end as usize)).unwrap_or_default()
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.places) + size_of_val(&*self.tests)
    }
}

/// Ints in their order.
pub(super) fn of_int(int: i64) -> u128 {
    u128::from((int as u64) ^ (1 << 63))
}

/// An address: those of the two families are in spans of their own.
pub(super) fn of_address(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The first and last address of a network.
pub(super) fn of_network(network: &IpNet) -> (u128, u128) {
    (of_address(network.network()), of_address(network.broadcast()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Spans, of_int};

    proptest! {
        #[test]
        fn a_number_is_in_the_spans_that_hold_it(spans in prop::collection::vec((-9i64..9, 0i64..6), 0..8), number in -12i64..16) {
            let spans: Vec<(i64, i64)> = spans.into_iter().map(|(first, length)| (first, first + length)).collect();
            let numbered = spans.iter().enumerate().map(|(i, (first, last))| (of_int(*first), of_int(*last), i as u32));
            let found = Spans::new(&numbered.collect::<Vec<_>>()).of(of_int(number)).to_vec();
            let expected: Vec<u32> = (0..spans.len() as u32)
                .filter(|i| (spans[*i as usize].0..=spans[*i as usize].1).contains(&number))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
