//! All tests that rules make of one subject, arranged so that a value is looked at once: a hash table for equality, tries
//! for beginnings and ends, Aho-Corasick for parts, sorted spans for numbers and networks. In: a value. Out: the numbers of
//! the tests that hold.

use std::{collections::HashMap, net::IpAddr};

use aho_corasick::AhoCorasick;
use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};

use super::{
    check::Read,
    condition::Test,
    spans::{Spans, of_address, of_int, of_network},
    trie::Trie,
};

/// Codes are small: the stages are the most.
pub(super) const CODES: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Lookup {
    equal: HashMap<Box<str>, u32, RandomState>,
    /// The lengths that texts in `equal` have, as bits; the last is for 63 bytes and more.
    lengths: u64,
    /// Whether there are tests besides those for equality.
    has_others: bool,
    prefixes: Trie,
    suffixes: Trie,
    parts: Option<(AhoCorasick, Vec<u32>)>,
    v4: Spans,
    v6: Spans,
    ints: Spans,
    codes: [Option<u32>; CODES],
}

impl Lookup {
    /// Of tests, numbered by their places.
    pub fn new(tests: &[Test]) -> Lookup {
        let has_others = tests.iter().any(|test| !matches!(test, Test::Equal(_)));
        let mut lookup = Lookup { has_others, ..Lookup::default() };
        let (mut prefixes, mut suffixes, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut v4, mut v6, mut ints) = (Vec::new(), Vec::new(), Vec::new());
        for (test, number) in tests.iter().zip(0_u32..) {
            match test {
                Test::Equal(text) => {
                    lookup.equal.insert((&**text).into(), number);
                    lookup.lengths |= length(text);
                }
                Test::Prefix(text) => prefixes.push((text.bytes().collect(), number)),
                Test::Suffix(text) => suffixes.push((text.bytes().rev().collect(), number)),
                Test::Contains(text) => parts.push((text, number)),
                Test::Within(network) => {
                    let (first, last) = of_network(network);
                    if network.addr().is_ipv4() { &mut v4 } else { &mut v6 }.push((first, last, number));
                }
                Test::Range(first, last) => ints.push((of_int(*first), of_int(*last), number)),
                Test::Code(code) => {
                    if let Some(place) = lookup.codes.get_mut(usize::from(*code)) {
                        *place = Some(number);
                    }
                }
            }
        }
        (lookup.prefixes, lookup.suffixes) = (Trie::new(prefixes), Trie::new(suffixes));
        (lookup.v4, lookup.v6, lookup.ints) = (Spans::new(&v4), Spans::new(&v6), Spans::new(&ints));
        if !parts.is_empty() {
            let automaton = AhoCorasick::new(parts.iter().map(|(text, _)| text.as_bytes()));
            // It fails for more than 2^31 states only, far beyond what all rules' texts can be.
            let automaton = automaton.expect("the texts of all rules are short of 2 GiB");
            lookup.parts = Some((automaton, parts.into_iter().map(|(_, number)| number).collect()));
        }
        lookup
    }

    /// Calls `found` with each test that holds.
    #[inline]
    pub fn read(&self, read: &Read<'_>, mut found: impl FnMut(u32)) {
        match read {
            Read::Text(text) => self.text(text, found),
            Read::Int(int) => self.ints.of(of_int(*int)).iter().copied().for_each(found),
            Read::Code(code) => {
                if let Some(test) = self.codes.get(usize::from(*code)).copied().flatten() {
                    found(test);
                }
            }
        }
    }

    #[inline]
    fn text(&self, text: &str, mut found: impl FnMut(u32)) {
        if self.lengths & length(text) != 0
            && let Some(test) = self.equal.get(text)
        {
            found(*test);
        }
        if !self.has_others {
            return;
        }
        if self.prefixes.may_begin(text.as_bytes().first()) {
            self.prefixes.walk(text.bytes(), &mut found);
        }
        if self.suffixes.may_begin(text.as_bytes().last()) {
            self.suffixes.walk(text.bytes().rev(), &mut found);
        }
        if let Some((automaton, numbers)) = &self.parts {
            parts(automaton, text, |pattern| found(numbers.get(pattern).copied().unwrap_or_default()));
        }
        if !(self.v4.is_empty() && self.v6.is_empty())
            && let Ok(address) = text.parse::<IpAddr>()
        {
            let spans = if address.is_ipv4() { &self.v4 } else { &self.v6 };
            spans.of(of_address(address)).iter().for_each(|test| found(*test));
        }
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let entries = self.equal.capacity() * (size_of::<(Box<str>, u32)>() + 1);
        let texts: usize = self.equal.keys().map(|text| text.len()).sum();
        let parts = self.parts.as_ref().map_or(0, |(automaton, numbers)| automaton.memory_usage() + numbers.len() * 4);
        let spans = self.v4.memory() + self.v6.memory() + self.ints.memory();
        entries + texts + parts + spans + self.prefixes.memory() + self.suffixes.memory()
    }
}

fn length(text: &str) -> u64 {
    1 << text.len().min(63)
}

/// Each pattern once, however often it occurs: a text that repeats one must not cost more than its length.
fn parts(automaton: &AhoCorasick, text: &str, mut found: impl FnMut(usize)) {
    let mut seen: SmallVec<[u64; 8]> = SmallVec::new();
    for hit in automaton.find_overlapping_iter(text) {
        if seen.is_empty() {
            seen = smallvec![0; automaton.patterns_len().div_ceil(64)];
        }
        let pattern = hit.pattern().as_usize();
        if let Some(word) = seen.get_mut(pattern / 64) {
            let bit = 1 << (pattern % 64);
            if *word & bit == 0 {
                *word |= bit;
                found(pattern);
            }
        }
    }
}
