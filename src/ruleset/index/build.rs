//! Rules -> index: which columns there are and in which order, where each entry lies, and what each test lets through.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Candidate, Column, DEFINING, Effect, Index, Need, Word,
    bits::{Bits, filled_words},
    condition::{Alternatives, Subject, Term, Test},
    derive::necessary,
    lookup::Lookup,
    source_code, stage_code,
};
use crate::{
    api::{alert::RuleKind, rule::Source},
    event::schema,
    ruleset::{CompiledRule, CompiledSelector},
};

/// Terms of one subject that an entry may have; it asks for no more.
const SAME: u8 = 2;
/// Different ranges of one subject. Each number may be in all of them, so that they cost the square of their count.
const RANGES: usize = 256;

/// A column by its subject, and by which of an entry's terms on that it holds.
type Key = (Subject, u8);

/// One alternative of a selector.
struct Entry {
    of: Candidate,
    /// By column; later by the column's place.
    terms: Vec<(Key, Term)>,
}

pub(super) fn index<'r>(rules: impl IntoIterator<Item = &'r CompiledRule>) -> Index {
    let mut entries = Vec::new();
    for (rule, number) in rules.into_iter().zip(0..) {
        if rule.suspended {
            continue;
        }
        for (selector, place) in rule.selectors.iter().zip(0..) {
            for terms in conditions(rule, selector).0 {
                entries.push(Entry { of: (number, place), terms: keyed(terms) });
            }
        }
    }
    drop_excess_ranges(&mut entries);
    let order = order(&entries);
    for entry in &mut entries {
        entry.terms.sort_by_key(|(key, _)| order.get(key).copied());
    }
    entries.sort_by(|a, b| likeness(a, &order).cmp(likeness(b, &order)).then(a.of.cmp(&b.of)));
    arranged(&entries, &order)
}

/// What the selector asks, with its source, stage and scope.
fn conditions(rule: &CompiledRule, selector: &CompiledSelector) -> Alternatives {
    let codes =
        |subject, codes: Vec<u8>| Alternatives::one(Term::any(subject, codes.into_iter().map(Test::Code).collect()));
    let mut asked =
        necessary(selector.condition.tree()).and(codes(Subject::Source, vec![source_code(selector.source)]));
    if selector.source == Source::Audit {
        let stages = match selector.stages.as_slice() {
            [] => vec![DEFINING],
            stages => stages.iter().copied().map(stage_code).collect::<BTreeSet<u8>>().into_iter().collect(),
        };
        asked = asked.and(codes(Subject::Stage, stages));
    }
    if rule.id.kind == RuleKind::SecurityRule {
        asked = asked.and(Alternatives::one(Term::any(Subject::Tenant, vec![Test::Equal(rule.id.namespace.clone())])));
    }
    asked
}

fn keyed(terms: Vec<Term>) -> Vec<(Key, Term)> {
    let mut counted: BTreeMap<Subject, u8> = BTreeMap::new();
    let mut number = |term: &Term| {
        let count = counted.entry(term.subject).or_default();
        *count += 1;
        *count - 1
    };
    let keyed = terms.into_iter().map(|term| ((term.subject, number(&term)), term));
    keyed.filter(|((_, number), _)| *number < SAME).collect()
}

/// Terms beyond the bound ask nothing, so that their selectors are evaluated more often.
fn drop_excess_ranges(entries: &mut [Entry]) {
    let mut ranges: BTreeMap<Key, BTreeSet<Test>> = BTreeMap::new();
    for entry in entries {
        entry.terms.retain(|(key, term)| {
            let known = ranges.entry(*key).or_default();
            for test in term.any.iter().chain(&term.none) {
                if matches!(test, Test::Range(..)) && !known.contains(test) {
                    if known.len() == RANGES {
                        return false;
                    }
                    known.insert(test.clone());
                }
            }
            true
        });
    }
}

/// The place of each column: first those of which an event's value leaves the fewest entries.
fn order(entries: &[Entry]) -> BTreeMap<Key, u32> {
    #[derive(Default)]
    struct Count<'e> {
        asking: usize,
        lets: usize,
        tests: BTreeSet<&'e Test>,
        costly: bool,
    }
    let mut counts: BTreeMap<Key, Count<'_>> = BTreeMap::new();
    for (key, term) in entries.iter().flat_map(|entry| &entry.terms) {
        let count = counts.entry(*key).or_default();
        count.lets += term.any.len();
        count.asking += usize::from(!term.any.is_empty());
        count.tests.extend(&term.any);
        count.costly |= term.any.iter().chain(&term.none).any(|t| matches!(t, Test::Contains(_) | Test::Within(_)));
    }
    let mut ranked: Vec<(u64, Key)> = counts
        .into_iter()
        .map(|(key, count)| {
            // As if each test were as likely to hold as another, and exactly one did.
            let left = entries.len() - count.asking + count.lets / count.tests.len().max(1);
            let share = (left * 1000 / entries.len().max(1)) as u64;
            (if count.costly { share.max(500) } else { share }, key)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().zip(0..).map(|((_, key), place)| (key, place)).collect()
}

/// What entries are sorted by, so that those that ask for like things lie together.
fn likeness<'e>(
    entry: &'e Entry,
    order: &'e BTreeMap<Key, u32>,
) -> impl Iterator<Item = (Option<u32>, Option<&'e Test>)> {
    entry.terms.iter().map(|(key, term)| (order.get(key).copied(), term.any.first()))
}

/// A column while it is filled.
#[derive(Default)]
struct Draft<'e> {
    numbers: HashMap<&'e Test, usize>,
    tests: Vec<Test>,
    /// For each test, the entries that it lets through, and those that it bars.
    lets: Vec<Vec<u32>>,
    bars: Vec<Vec<u32>>,
    /// Entries that ask something, and those of them that a test has to let through.
    asking: Vec<u64>,
    choosy: Vec<u64>,
}

impl<'e> Draft<'e> {
    fn new(words: usize) -> Draft<'e> {
        Draft { asking: vec![0; words], choosy: vec![0; words], ..Draft::default() }
    }

    fn add(&mut self, entry: u32, term: &'e Term) {
        set(&mut self.asking, entry);
        if !term.any.is_empty() {
            set(&mut self.choosy, entry);
        }
        for test in &term.any {
            let number = self.number(test);
            self.lets.get_mut(number).into_iter().for_each(|entries| entries.push(entry));
        }
        for test in &term.none {
            let number = self.number(test);
            self.bars.get_mut(number).into_iter().for_each(|entries| entries.push(entry));
        }
    }

    fn number(&mut self, test: &'e Test) -> usize {
        *self.numbers.entry(test).or_insert_with(|| {
            self.tests.push(test.clone());
            self.lets.push(Vec::new());
            self.bars.push(Vec::new());
            self.tests.len() - 1
        })
    }

    fn column(self, subject: Subject, entries: &[u64]) -> Column {
        let field = match subject {
            Subject::Field(path) | Subject::Lower(path) | Subject::Present(path) => schema::lookup(path),
            Subject::Source | Subject::Stage | Subject::Tenant => None,
        };
        let effects = self
            .lets
            .iter()
            .zip(&self.bars)
            .map(|(lets, bars)| Effect { lets: Bits::of(lets, entries.len()), bars: Bits::of(bars, entries.len()) });
        let unseen: Vec<u64> = entries.iter().zip(&self.choosy).map(|(entries, choosy)| entries & !choosy).collect();
        Column {
            subject,
            get: field.map(|field| field.get),
            lookup: Lookup::new(&self.tests),
            effects: effects.collect(),
            unseen: filled_words(&unseen),
        }
    }
}

fn set(words: &mut [u64], bit: u32) {
    if let Some(word) = words.get_mut(bit as usize / 64) {
        *word |= 1 << (bit % 64);
    }
}

/// The index over entries that are in their places.
fn arranged(entries: &[Entry], order: &BTreeMap<Key, u32>) -> Index {
    let mut existing = vec![0; entries.len().div_ceil(64)];
    let mut drafts: BTreeMap<u32, (Subject, Draft<'_>)> =
        order.iter().map(|((subject, _), place)| (*place, (*subject, Draft::new(existing.len())))).collect();
    for (entry, number) in entries.iter().zip(0..) {
        set(&mut existing, number);
        for (key, term) in &entry.terms {
            let draft = order.get(key).and_then(|place| drafts.get_mut(place));
            draft.into_iter().for_each(|(_, draft)| draft.add(number, term));
        }
    }
    let (mut words, mut needs) = (Vec::new(), Vec::new());
    for (place, entries) in existing.iter().enumerate() {
        let from = needs.len() as u32;
        for (column, (_, draft)) in &drafts {
            let at = |words: &[u64]| words.get(place).copied().unwrap_or_default();
            if at(&draft.asking) != 0 {
                let (asking, unseen) = (at(&draft.asking), !at(&draft.choosy));
                needs.push(Need { column: *column, asking, unseen });
            }
        }
        words.push(Word { entries: *entries, needs: from..needs.len() as u32 });
    }
    let columns = drafts.into_values().map(|(subject, draft)| draft.column(subject, &existing)).collect();
    Index { columns, words, needs, entries: entries.iter().map(|entry| entry.of).collect() }
}
