//! One index over the conditions of all rules. In: rules. Out, for an event: the selectors whose necessary conditions hold,
//! in the order of the rules; all others can't match it. It may name a selector that does not match, and never leaves out
//! one that does. Each distinct test is made at most once for an event, however many rules share it.
//!
//! ```text
//! expression --derive--> alternatives of terms --build--> columns of tests, entries of 64 a word
//! ```
//! A column holds the tests of one subject, such as `audit.verb`, and which entries each lets through. An entry is an
//! alternative of a selector. Entries that ask for like things lie in the same words, so that a few columns leave few words,
//! and further columns are only looked at for what is left.

mod bits;
mod build;
mod condition;
mod derive;
mod lookup;
mod pattern;
mod spans;
mod trie;

#[cfg(test)]
mod tests;

use smallvec::{SmallVec, smallvec};

use self::{
    bits::{Bits, ones},
    condition::Subject,
    lookup::Lookup,
};
use super::CompiledRule;
use crate::{
    api::rule::{Source, Stage},
    event::{Event, schema::FieldValue},
};

/// A selector by its place: (rule, selector).
pub type Candidate = (u32, u32);

/// Columns that choose the words to look at.
const LEADS: usize = 3;

/// Immutable; made anew when the rules change.
#[derive(Debug, Default)]
pub struct Index {
    /// The most selective first.
    columns: Vec<Column>,
    /// For each word, its part of `needs`.
    words: Vec<Word>,
    needs: Vec<Need>,
    /// The selector of each entry.
    entries: Vec<Candidate>,
}

#[derive(Debug)]
struct Word {
    /// Entries that exist.
    entries: u64,
    needs: std::ops::Range<u32>,
}

/// What a word's entries ask of a column.
#[derive(Debug)]
struct Need {
    column: u32,
    /// Entries that ask something.
    asking: u64,
    /// Entries that hold for a value of which no test holds.
    unseen: u64,
}

#[derive(Debug)]
struct Column {
    subject: Subject,
    /// How its value is read; none for what is no field.
    get: Option<for<'a> fn(&'a Event<'a>) -> FieldValue<'a>>,
    lookup: Lookup,
    /// By number of the test.
    effects: Vec<Effect>,
    /// Words with an entry that holds for a value of which no test holds.
    unseen: Box<[u64]>,
}

/// What a test that holds does to the entries.
#[derive(Debug)]
struct Effect {
    lets: Bits,
    bars: Bits,
}

/// Tests that hold, of the columns that were looked at.
struct Looked {
    /// For each column, its part of `held`.
    places: SmallVec<[Option<(u32, u32)>; 48]>,
    held: SmallVec<[u32; 64]>,
}

impl Index {
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r CompiledRule>) -> Index {
        build::index(rules)
    }

    /// The selectors that may match `event`. `tenant` is the namespace whose rules may see it.
    pub fn candidates(&self, event: &Event<'_>, tenant: Option<&str>) -> SmallVec<[Candidate; 8]> {
        let mut found = SmallVec::new();
        let mut looked = Looked { places: smallvec![None; self.columns.len()], held: SmallVec::new() };
        for (chunk, words) in (0..).zip(self.leading(event, tenant, &mut looked)) {
            for place in ones(words) {
                self.word(chunk * 64 + place, event, tenant, &mut looked, &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// A bit for each word that the leading columns leave.
    fn leading(&self, event: &Event<'_>, tenant: Option<&str>, looked: &mut Looked) -> SmallVec<[u64; 8]> {
        let chunks = self.words.len().div_ceil(64);
        let mut left: SmallVec<[u64; 8]> = smallvec![u64::MAX; chunks];
        if let (Some(last), part @ 1..) = (left.last_mut(), self.words.len() % 64) {
            *last = (1 << part) - 1;
        }
        let mut filled: SmallVec<[u64; 8]> = smallvec![0; chunks];
        for (number, column) in self.columns.iter().enumerate().take(LEADS) {
            filled.copy_from_slice(&column.unseen);
            for test in looked.column(number, column, event, tenant) {
                if let Some(effect) = column.effects.get(*test as usize) {
                    effect.lets.fill(&mut filled);
                }
            }
            left.iter_mut().zip(&filled).for_each(|(left, filled)| *left &= filled);
        }
        left
    }

    fn word(
        &self,
        place: usize,
        event: &Event<'_>,
        tenant: Option<&str>,
        looked: &mut Looked,
        found: &mut SmallVec<[Candidate; 8]>,
    ) {
        let Some(word) = self.words.get(place) else { return };
        let mut left = word.entries;
        for need in self.needs.get(word.needs.start as usize..word.needs.end as usize).unwrap_or_default() {
            if left & need.asking == 0 {
                continue;
            }
            let Some(column) = self.columns.get(need.column as usize) else { continue };
            let (mut lets, mut bars) = (need.unseen, 0);
            for test in looked.column(need.column as usize, column, event, tenant) {
                if let Some(effect) = column.effects.get(*test as usize) {
                    lets |= effect.lets.word(place);
                    bars |= effect.bars.word(place);
                }
            }
            left &= lets & !bars;
            if left == 0 {
                return;
            }
        }
        found.extend(ones(left).filter_map(|bit| self.entries.get(place * 64 + bit).copied()));
    }

    /// Bytes on the heap, nearly.
    pub fn memory(&self) -> usize {
        let of_column = |column: &Column| {
            let effects: usize =
                column.effects.iter().map(|e| size_of::<Effect>() + e.lets.memory() + e.bars.memory()).sum();
            size_of::<Column>() + column.lookup.memory() + effects + size_of_val(&*column.unseen)
        };
        self.columns.iter().map(of_column).sum::<usize>()
            + size_of_val(&*self.words)
            + size_of_val(&*self.needs)
            + size_of_val(&*self.entries)
    }
}

impl Looked {
    /// The tests of a column that hold, looked up when they are first asked for.
    fn column(&mut self, number: usize, column: &Column, event: &Event<'_>, tenant: Option<&str>) -> &[u32] {
        let Looked { places, held } = self;
        let Some(place) = places.get_mut(number) else { return &[] };
        let (from, to) = *place.get_or_insert_with(|| {
            let from = held.len() as u32;
            column.look(event, tenant, held);
            (from, held.len() as u32)
        });
        held.get(from as usize..to as usize).unwrap_or_default()
    }
}

impl Column {
    fn look(&self, event: &Event<'_>, tenant: Option<&str>, held: &mut SmallVec<[u32; 64]>) {
        let mut found = |test| held.push(test);
        match (self.subject, self.get) {
            (Subject::Source, _) => self.lookup.code(source_code(event.source)).into_iter().for_each(found),
            (Subject::Stage, _) => match &event.audit {
                Some(audit) => {
                    let defining = audit.is_defining_stage().then_some(DEFINING);
                    let codes = [Some(stage_code(audit.stage)), defining].into_iter().flatten();
                    codes.filter_map(|code| self.lookup.code(code)).for_each(found);
                }
                // What has no stage is not chosen by it.
                None => (0..self.effects.len() as u32).for_each(found),
            },
            (Subject::Tenant, _) => {
                if let Some(namespace) = tenant {
                    self.lookup.text(namespace, found);
                }
            }
            (Subject::Present(_), Some(get)) => {
                let present = matches!(get(event), FieldValue::Json(Some(_)));
                self.lookup.code(u8::from(present)).into_iter().for_each(found);
            }
            (Subject::Lower(_), Some(get)) => {
                each_text(get(event), |text| {
                    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                        self.lookup.text(&text.to_ascii_lowercase(), &mut found);
                    } else {
                        self.lookup.text(text, &mut found);
                    }
                });
            }
            (Subject::Field(_), Some(get)) => match get(event) {
                FieldValue::Str(text) => self.lookup.text(text, found),
                FieldValue::Int(int) => self.lookup.int(int, found),
                FieldValue::Bool(bool) => self.lookup.code(u8::from(bool)).into_iter().for_each(found),
                list => each_text(list, |text| self.lookup.text(text, &mut found)),
            },
            (Subject::Present(_) | Subject::Lower(_) | Subject::Field(_), None) => {}
        }
    }
}

fn each_text(value: FieldValue<'_>, mut found: impl FnMut(&str)) {
    match value {
        FieldValue::Str(text) => found(text),
        FieldValue::Strings(list) => list.iter().for_each(|text| found(text.as_str())),
        FieldValue::OwnedStrings(list) => list.iter().for_each(|text| found(text)),
        FieldValue::StaticStrings(list) => list.iter().for_each(|text| found(text)),
        FieldValue::Int(_)
        | FieldValue::Bool(_)
        | FieldValue::Timestamp(_)
        | FieldValue::NoTimestamp
        | FieldValue::StringMap(_)
        | FieldValue::StringPairs(_)
        | FieldValue::StringsPairs(_)
        | FieldValue::Json(_) => {}
    }
}

/// A stage that is the defining one of its request.
const DEFINING: u8 = 0;

fn stage_code(stage: Stage) -> u8 {
    match stage {
        Stage::RequestReceived => 1,
        Stage::ResponseStarted => 2,
        Stage::ResponseComplete => 3,
        Stage::Panic => 4,
    }
}

fn source_code(source: Source) -> u8 {
    match source {
        Source::Audit => 0,
        Source::Node => 1,
        Source::Container => 2,
        Source::Web => 3,
    }
}
