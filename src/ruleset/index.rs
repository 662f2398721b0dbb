//! One index over the conditions of all rules. In: rules. Out, for an event: the selectors whose necessary conditions hold,
//! in the order of the rules; all others can't match it. It may name a selector that does not match, and never leaves out
//! one that does.
//!
//! ```text
//! expression --derive--> alternatives of terms --build--> triggers in columns, checks in groups
//! ```
//! What an alternative asks of the kind of a request (verb, resource, code) is answered for all at once and remembered by
//! kind (`kinds`). An alternative whose kind is rare hangs on that; any other on its rarest term, the trigger. The triggers on
//! one subject, such as `audit.objectRef.namespace`, make a column: one look at the event's value finds those that hold,
//! however many there are; it is left out for kinds of which nothing on it asks. What else an alternative asks is checked for
//! what is triggered alone, and once for all alternatives that ask the same.

mod build;
mod check;
mod condition;
mod derive;
mod kinds;
mod lookup;
mod pattern;
mod rank;
mod spans;
mod trie;

#[cfg(test)]
mod tests;

use std::ops::Range;

use smallvec::SmallVec;

use self::{
    check::{Check, Reader},
    kinds::{Kind, Kinds, Plan},
    lookup::Lookup,
};
use super::CompiledRule;
use crate::{api::rule::Source, event::Event};

/// A selector by its place: (rule, selector).
pub type Candidate = (u32, u32);

type Found = SmallVec<[Candidate; 8]>;

/// Immutable; made anew when the rules change.
#[derive(Debug, Default)]
pub struct Index {
    /// By the code of the source.
    parts: [Part; SOURCES],
}

/// The selectors of one source.
#[derive(Debug, Default)]
struct Part {
    kinds: Kinds,
    columns: Vec<Column>,
    groups: Vec<Group>,
    /// The first are asked by several groups, and answered once for an event.
    checks: Vec<Check>,
    /// The checks of each group, the cheap and rare first.
    asked: Vec<u32>,
    /// The selectors of each group.
    entries: Vec<Candidate>,
}

/// Alternatives that ask the same.
#[derive(Debug)]
struct Group {
    /// What kind of request they ask for.
    kind: Kind,
    /// In `Part::asked`.
    checks: Range<u32>,
    /// In `Part::entries`.
    entries: Range<u32>,
}

/// The triggers on one subject.
#[derive(Debug)]
struct Column {
    reader: Reader,
    /// Checks that hold for whatever hangs on this column, so that it need not be looked at when one does not.
    gates: Box<[u32]>,
    lookup: Lookup,
    /// For each test, where its groups stand in `groups`.
    places: Box<[Range<u32>]>,
    groups: Box<[u32]>,
}

/// Words of 64 answers: checks that are shared beyond that are made again.
const ANSWERS: usize = 8;

/// What is asked about one event.
struct Asked<'e> {
    part: &'e Part,
    plan: &'e Plan,
    event: &'e Event<'e>,
    tenant: Option<&'e str>,
    known: [u64; ANSWERS],
    held: [u64; ANSWERS],
    found: Found,
}

impl Index {
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r CompiledRule>) -> Index {
        build::index(rules)
    }

    /// The selectors that may match `event`. `tenant` is the namespace whose rules may see it.
    pub fn candidates(&self, event: &Event<'_>, tenant: Option<&str>) -> SmallVec<[Candidate; 8]> {
        let Some(part) = self.parts.get(source_code(event.source)) else { return Found::new() };
        let made;
        let plan = match part.kinds.known(event) {
            Some(plan) => plan,
            None => {
                made = part.kinds.plan(&part.kinds.key(event));
                &made
            }
        };
        let (known, held) = ([0; ANSWERS], [0; ANSWERS]);
        let mut asked = Asked { part, plan, event, tenant, known, held, found: Found::new() };
        plan.groups.iter().cloned().flatten().for_each(|group| asked.group(group));
        let columns = plan.columns.iter().filter_map(|column| part.columns.get(*column as usize));
        columns.for_each(|column| asked.column(column));
        let mut found = asked.found;
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// Bytes on the heap, nearly.
    pub fn memory(&self) -> usize {
        self.parts.iter().map(Part::memory).sum()
    }
}

impl Part {
    fn memory(&self) -> usize {
        let of_column = |column: &Column| {
            let lists = size_of_val(&*column.gates) + size_of_val(&*column.places) + size_of_val(&*column.groups);
            size_of::<Column>() + column.lookup.memory() + lists
        };
        self.kinds.memory()
            + self.columns.iter().map(of_column).sum::<usize>()
            + self.checks.iter().map(|check| size_of::<Check>() + check.memory()).sum::<usize>()
            + size_of_val(&*self.groups)
            + size_of_val(&*self.asked)
            + size_of_val(&*self.entries)
    }
}

impl Asked<'_> {
    fn column(&mut self, column: &Column) {
        if !column.gates.iter().all(|check| self.holds(*check)) {
            return;
        }
        let (event, tenant) = (self.event, self.tenant);
        column.reader.each(event, tenant, |read| {
            column.lookup.read(&read, |test| {
                let place = column.places.get(test as usize).cloned().unwrap_or_default();
                let groups = column.groups.get(place.start as usize..place.end as usize).unwrap_or_default();
                groups.iter().for_each(|group| self.group(*group));
            });
        });
    }

    fn group(&mut self, group: u32) {
        let part = self.part;
        let Some(group) = part.groups.get(group as usize).filter(|group| self.plan.has(group.kind)) else { return };
        let checks = part.asked.get(group.checks.start as usize..group.checks.end as usize).unwrap_or_default();
        if checks.iter().all(|check| self.holds(*check)) {
            let entries = part.entries.get(group.entries.start as usize..group.entries.end as usize);
            self.found.extend_from_slice(entries.unwrap_or_default());
        }
    }

    fn holds(&mut self, check: u32) -> bool {
        let (place, bit) = (check as usize / 64, 1 << (check % 64));
        let Some(asked) = self.part.checks.get(check as usize) else { return true };
        let (Some(known), Some(held)) = (self.known.get_mut(place), self.held.get_mut(place)) else {
            return asked.holds(self.event, self.tenant);
        };
        if *known & bit == 0 {
            *known |= bit;
            if asked.holds(self.event, self.tenant) {
                *held |= bit;
            }
        }
        *held & bit != 0
    }
}

const SOURCES: usize = 4;

fn source_code(source: Source) -> usize {
    match source {
        Source::Audit => 0,
        Source::Node => 1,
        Source::Container => 2,
        Source::Web => 3,
    }
}
