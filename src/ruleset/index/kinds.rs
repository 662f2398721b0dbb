//! What kind of request an event is, by the fields that hold few values (verb, resource, code), and what of a part is left
//! to ask of events of that kind. Clusters send the same few hundred kinds over and over, so this is worked out once for a
//! kind and remembered.
//!
//! ```text
//! event --look--> the values --key--> the tests that hold, as bits --plan--> groups to check, columns to look at
//! ```
//! A key has a bit for each test that rules make, and nothing of the values themselves, so that no sender can make more plans
//! than there are kinds that rules tell apart. Plans are kept in a table of a fixed size, as is which values have which plan,
//! which spares looking up each of them. What finds no place there is worked out each time: who fills these tables with
//! kinds that nobody else sends makes selection slower, and changes nothing of what is found.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    ops::Range,
    sync::OnceLock,
};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::{
    check::{Read, Reader},
    condition::{Subject, Term, Test},
    lookup::Lookup,
    rank::{holds_few, is_costly},
};
use crate::event::{
    Event,
    schema::{self, FieldType},
};

/// Tests that a key has room for; terms on more are asked of each event.
const WORDS: usize = 8;
const TESTS: usize = WORDS * 64;

/// Plans and values that are remembered, and how many places are tried for one.
const PLANS: usize = 2048;
const LOOKS: usize = 4096;
const PLACES: usize = 8;

/// Longest values that are remembered, in bytes: those of real requests take some 80.
const LOOK: usize = 224;

pub(super) type Key = [u64; WORDS];

/// All that keys are made of, one after another. No byte of a text is 0xfe or 0xff, which end one and a subject.
type Look = SmallVec<[u8; LOOK]>;

/// The number of a condition on the kind.
pub(super) type Kind = u32;

/// The tests that keys are made of.
#[derive(Debug, Default)]
pub(super) struct Tests {
    numbers: BTreeMap<Subject, HashMap<Test, usize>>,
}

impl Tests {
    /// Those of `terms`, the first of them when there are too many.
    pub fn of<'t>(terms: impl Iterator<Item = &'t Term>) -> Tests {
        let mut tests = Tests::default();
        let mut next = 0;
        for term in terms.filter(|term| is_kind(term)) {
            let known = tests.numbers.entry(term.subject.clone()).or_default();
            for test in term.any.iter().chain(&term.none) {
                if !known.contains_key(test) && next < TESTS {
                    known.insert(test.clone(), next);
                    next += 1;
                }
            }
        }
        tests
    }

    /// Whether the term asks the kind alone.
    pub fn have(&self, term: &Term) -> bool {
        let known = self.numbers.get(&term.subject);
        is_kind(term)
            && known.is_some_and(|known| term.any.iter().chain(&term.none).all(|test| known.contains_key(test)))
    }

    fn mask(&self, subject: &Subject, tests: &[Test]) -> Key {
        let mut mask = Key::default();
        let known = self.numbers.get(subject);
        tests.iter().filter_map(|test| known?.get(test)).for_each(|number| set(&mut mask, *number));
        mask
    }
}

fn is_kind(term: &Term) -> bool {
    if is_costly(term) {
        return false;
    }
    match &term.subject {
        Subject::Stage | Subject::Present(_) => true,
        Subject::Field(path) => {
            holds_few(path)
                || schema::lookup(path).is_some_and(|field| field.type_ == FieldType::Bool || !field.values.is_empty())
        }
        Subject::Tenant | Subject::Lower(_) | Subject::Folded(_) | Subject::Body(..) => false,
    }
}

fn set(key: &mut [u64], bit: usize) {
    if let Some(word) = key.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn meet(a: &[u64], b: &[u64]) -> bool {
    a.iter().zip(b).any(|(a, b)| a & b != 0)
}

/// What a kind must be: a bit of each of `any`, and none of `none`.
#[derive(Debug)]
struct Condition {
    any: Box<[Key]>,
    none: Key,
}

impl Condition {
    fn holds(&self, key: &Key) -> bool {
        self.any.iter().all(|any| meet(any, key)) && !meet(&self.none, key)
    }
}

/// What is left to ask of events of one kind.
#[derive(Debug)]
pub(super) struct Plan {
    key: Key,
    /// The conditions that hold, as bits.
    held: Box<[u64]>,
    /// Groups that hang on the kind alone.
    pub groups: Box<[Range<u32>]>,
    /// Columns on which something hangs whose condition holds.
    pub columns: Box<[u32]>,
}

impl Plan {
    #[inline]
    pub fn has(&self, kind: Kind) -> bool {
        self.held.get(kind as usize / 64).is_some_and(|word| word >> (kind % 64) & 1 == 1)
    }
}

/// Values whose plan is known.
#[derive(Debug)]
struct Seen {
    look: Box<[u8]>,
    /// In `Kinds::plans`.
    plan: usize,
}

#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// Each with the number of its first test.
    subjects: Vec<(Reader, Lookup, usize)>,
    conditions: Vec<Condition>,
    /// For each condition, the groups that hang on it.
    pub groups: Vec<Range<u32>>,
    /// For each column, the conditions of what hangs on it.
    pub columns: Vec<Box<[u64]>>,
    plans: Box<[OnceLock<Box<Plan>>]>,
    seen: Box<[OnceLock<Box<Seen>>]>,
    hasher: RandomState,
}

impl Kinds {
    /// Of conditions, numbered by their places. Groups and columns are added when they are known.
    pub fn new(tests: &Tests, conditions: &[&[Term]]) -> Kinds {
        let mut kinds = Kinds::default();
        // Tests are numbered anew, so that those of one subject stand together.
        let mut renumbered = Tests::default();
        let mut next = 0;
        for (subject, known) in tests.numbers.iter().filter(|(_, known)| !known.is_empty()) {
            let mut ordered: Vec<(&Test, &usize)> = known.iter().collect();
            ordered.sort_unstable_by_key(|(_, number)| **number);
            let ordered: Vec<Test> = ordered.into_iter().map(|(test, _)| test.clone()).collect();
            kinds.subjects.push((Reader::new(subject), Lookup::new(&ordered), next));
            renumbered.numbers.insert(subject.clone(), ordered.into_iter().zip(next..).collect());
            next += known.len();
        }
        for terms in conditions {
            let any = terms.iter().filter(|term| !term.any.is_empty());
            let any = any.map(|term| renumbered.mask(&term.subject, &term.any)).collect();
            let mut none = Key::default();
            for term in *terms {
                let of_term = renumbered.mask(&term.subject, &term.none);
                none.iter_mut().zip(of_term).for_each(|(none, of_term)| *none |= of_term);
            }
            kinds.conditions.push(Condition { any, none });
        }
        if !conditions.is_empty() {
            kinds.plans = (0..PLANS).map(|_| OnceLock::new()).collect();
            kinds.seen = (0..LOOKS).map(|_| OnceLock::new()).collect();
        }
        kinds
    }

    /// Says which conditions a column's groups have.
    pub fn column(&mut self, kinds: impl Iterator<Item = Kind>) {
        let mut bits = vec![0; self.conditions.len().div_ceil(64)];
        kinds.for_each(|kind| set(&mut bits, kind as usize));
        self.columns.push(bits.into());
    }

    fn look(&self, event: &Event<'_>) -> Look {
        let mut look = Look::new();
        for (reader, ..) in &self.subjects {
            reader.each(event, None, |read| match read {
                Read::Text(text) => {
                    look.extend_from_slice(text.as_bytes());
                    look.push(0xfe);
                }
                Read::Int(int) => look.extend_from_slice(&int.to_le_bytes()),
                Read::Code(code) => look.push(code),
            });
            look.push(0xff);
        }
        look
    }

    pub fn key(&self, event: &Event<'_>) -> Key {
        let mut key = Key::default();
        for (reader, lookup, first) in &self.subjects {
            reader.each(event, None, |read| lookup.read(&read, |test| set(&mut key, first + test as usize)));
        }
        key
    }

    /// The plan for an event that is remembered, from now on if not before; `None` when it has no place.
    pub fn known(&self, event: &Event<'_>) -> Option<&Plan> {
        if self.subjects.is_empty() {
            return self.plans.get(self.place(&Key::default())?)?.get().map(|plan| &**plan);
        }
        let look = self.look(event);
        let first = self.hasher.hash_one(look.as_slice()) as usize;
        for place in 0..PLACES {
            let slot = self.seen.get((first.wrapping_add(place)) % LOOKS)?;
            match slot.get() {
                Some(seen) if *seen.look == *look => return self.plans.get(seen.plan)?.get().map(|plan| &**plan),
                Some(_) => {}
                None => {
                    let plan = self.place(&self.key(event))?;
                    if look.len() <= LOOK {
                        // Another thread may have taken the place; the next time finds another.
                        drop(slot.set(Box::new(Seen { look: look.as_slice().into(), plan })));
                    }
                    return self.plans.get(plan)?.get().map(|plan| &**plan);
                }
            }
        }
        self.plans.get(self.place(&self.key(event))?)?.get().map(|plan| &**plan)
    }

    /// Where the plan for a key is.
    fn place(&self, key: &Key) -> Option<usize> {
        let first =
            key.iter().fold(0_u64, |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..PLACES).map(|place| ((first >> 32) as usize + place) % PLANS).find(|place| {
            let slot = self.plans.get(*place);
            slot.is_some_and(|slot| slot.get_or_init(|| Box::new(self.plan(key))).key == *key)
        })
    }

    pub fn plan(&self, key: &Key) -> Plan {
        let mut held = vec![0; self.conditions.len().div_ceil(64)];
        let holding = || self.conditions.iter().enumerate().filter(|(_, condition)| condition.holds(key));
        holding().for_each(|(kind, _)| set(&mut held, kind));
        let groups =
            holding().filter_map(|(kind, _)| self.groups.get(kind).filter(|groups| !groups.is_empty()).cloned());
        let columns = self.columns.iter().zip(0..).filter(|(kinds, _)| meet(kinds, &held)).map(|(_, column)| column);
        Plan { key: *key, groups: groups.collect(), columns: columns.collect(), held: held.into() }
    }

    /// Bytes on the heap, with the plans of now.
    pub fn memory(&self) -> usize {
        let of_plan = |plan: &Plan| {
            size_of::<Plan>() + size_of_val(&*plan.held) + size_of_val(&*plan.groups) + size_of_val(&*plan.columns)
        };
        self.subjects.iter().map(|(_, lookup, _)| size_of::<(Reader, Lookup)>() + lookup.memory()).sum::<usize>()
            + self.conditions.iter().map(|of| size_of::<Condition>() + size_of_val(&*of.any)).sum::<usize>()
            + size_of_val(&*self.groups)
            + self.columns.iter().map(|bits| size_of_val(&**bits)).sum::<usize>()
            + size_of_val(&*self.plans)
            + self.plans.iter().filter_map(|plan| plan.get()).map(|plan| of_plan(plan)).sum::<usize>()
            + size_of_val(&*self.seen)
            + self.seen.iter().filter_map(|seen| seen.get()).map(|of| size_of::<Seen>() + of.look.len()).sum::<usize>()
    }
}
