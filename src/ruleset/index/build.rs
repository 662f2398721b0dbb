//! Rules -> index: which term of each alternative triggers it, and which alternatives are one group.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Candidate, Column, Group, Index, Part,
    check::{Check, DEFINING, Reader, stage_code},
    condition::{Alternatives, Subject, Term, Test},
    derive::necessary,
    kinds::{Kind, Kinds, Tests},
    lookup::Lookup,
    rank::{ALWAYS, is_costly, share, share_of_all},
    source_code,
};
use crate::{
    api::{alert::RuleKind, rule::Source},
    event::schema::{self, FieldType},
    ruleset::{CompiledRule, CompiledSelector},
};

/// Different ranges of one subject. Each number may be in all of them, so that they cost the square of their count.
const RANGES: usize = 256;

/// Checks for 10,000 events that alternatives with one cheap trigger may need before a costly one takes its place.
const CHECKS: usize = 2000;

/// Alternatives from which on kinds of requests are told apart.
const BY_KIND: usize = 64;

/// Alternatives that a costly column must serve, if they have another trigger.
const SERVED: usize = 4;

/// Gates of a column, and tests of one gate.
const GATES: usize = 2;
const GATE_TESTS: usize = 32;

/// One alternative of a selector.
struct Entry {
    of: Candidate,
    /// What it asks of the kind of the request.
    kind: Kind,
    /// What else it asks.
    terms: Vec<Term>,
    /// Which of its terms it hangs on; `None` for its kind.
    trigger: Option<usize>,
}

pub(super) fn index<'r>(rules: impl IntoIterator<Item = &'r CompiledRule>) -> Index {
    let mut entries: [Vec<Entry>; super::SOURCES] = Default::default();
    for (rule, number) in rules.into_iter().zip(0..) {
        if rule.suspended {
            continue;
        }
        for (selector, place) in rule.selectors.iter().zip(0..) {
            let Some(part) = entries.get_mut(source_code(selector.source)) else { continue };
            for terms in conditions(rule, selector).0 {
                part.push(Entry { of: (number, place), kind: 0, terms, trigger: None });
            }
        }
    }
    Index { parts: entries.map(part) }
}

/// What the selector asks, with its stage and scope.
fn conditions(rule: &CompiledRule, selector: &CompiledSelector) -> Alternatives {
    let mut asked = necessary(selector.condition.tree());
    if selector.source == Source::Audit {
        let stages = match selector.stages.as_slice() {
            [] => vec![DEFINING],
            stages => stages.iter().copied().map(stage_code).collect::<BTreeSet<u8>>().into_iter().collect(),
        };
        let codes = stages.into_iter().map(Test::Code).collect();
        asked = asked.and(Alternatives::one(Term::any(Subject::Stage, codes)));
    }
    if rule.id.kind == RuleKind::SecurityRule {
        asked = asked.and(Alternatives::one(Term::any(Subject::Tenant, vec![Test::Equal(rule.id.namespace.clone())])));
    }
    asked
}

fn part(mut entries: Vec<Entry>) -> Part {
    drop_excess_ranges(&mut entries);
    // Few entries are asked faster one by one than what kind of request it is.
    let by_kind = entries.len() >= BY_KIND;
    let tests = Tests::of(entries.iter().filter(|_| by_kind).flat_map(|entry| &entry.terms));
    let conditions = split_kinds(&mut entries, &tests);
    choose_triggers(&mut entries, &conditions);
    let mut columns: BTreeMap<(Subject, u8), Vec<&Entry>> = BTreeMap::new();
    for entry in &entries {
        if let Some(term) = entry.trigger() {
            columns.entry((term.subject.clone(), shape(term))).or_default().push(entry);
        }
    }
    let gates: Vec<Vec<Term>> = columns.iter().map(|((subject, _), of)| gates(subject, of)).collect();
    let mut checks = Checks::default();
    gates.iter().flatten().for_each(|term| checks.count(term, 2));
    entries.iter().for_each(|entry| entry.others().for_each(|term| checks.count(&term, 1)));
    let numbers = checks.numbered();
    let mut part = Part { checks: numbers.terms.iter().map(Check::new).collect(), ..Part::default() };
    let of_conditions: Vec<&[Term]> = conditions.iter().map(Vec::as_slice).collect();
    part.kinds = Kinds::new(&tests, &of_conditions);
    let mut by_kind: Vec<Vec<&Entry>> = vec![Vec::new(); conditions.len()];
    for entry in entries.iter().filter(|entry| entry.trigger.is_none()) {
        by_kind.get_mut(entry.kind as usize).into_iter().for_each(|of| of.push(entry));
    }
    for of in by_kind {
        let groups = groups(&mut part, &of, &numbers, |_| {});
        part.kinds.groups.push(groups);
    }
    for (((subject, _), of), gates) in columns.iter().zip(&gates) {
        let mut draft = Draft::default();
        groups(&mut part, of, &numbers, |(group, tests)| draft.add(group, tests));
        part.columns.push(draft.column(subject, gates.iter().map(|gate| numbers.of(gate)).collect()));
        part.kinds.column(of.iter().map(|entry| entry.kind));
    }
    part
}

/// Takes what each entry asks of the kind of the request out of its terms; gives the conditions by their numbers.
fn split_kinds(entries: &mut [Entry], tests: &Tests) -> Vec<Vec<Term>> {
    let mut numbers: HashMap<Vec<Term>, Kind> = HashMap::new();
    let mut conditions = Vec::new();
    for entry in entries {
        let (mut of_kind, others): (Vec<Term>, Vec<Term>) = entry.terms.drain(..).partition(|term| tests.have(term));
        of_kind.sort_unstable();
        entry.terms = others;
        entry.kind = *numbers.entry(of_kind).or_insert_with_key(|of_kind| {
            conditions.push(of_kind.clone());
            conditions.len() as Kind - 1
        });
    }
    conditions
}

/// Which kinds of tests the term makes, as bits: those of one shape share a column, so that a search for ends is left out where
/// only equality is asked.
fn shape(term: &Term) -> u8 {
    let of = |test: &Test| match test {
        Test::Equal(_) => 1,
        Test::Prefix(_) => 2,
        Test::Suffix(_) => 4,
        Test::Contains(_) => 8,
        Test::Within(_) => 16,
        Test::Range(..) => 32,
        Test::Code(_) => 64,
    };
    term.any.iter().map(of).fold(0, |all, one| all | one)
}

impl Entry {
    fn trigger(&self) -> Option<&Term> {
        self.trigger.and_then(|place| self.terms.get(place))
    }

    /// What is asked besides the trigger.
    fn others(&self) -> impl Iterator<Item = Term> {
        self.terms.iter().enumerate().filter_map(|(place, term)| match self.trigger {
            Some(trigger) if trigger == place => {
                (!term.none.is_empty()).then(|| Term::none(term.subject.clone(), term.none.clone()))
            }
            _ => Some(term.clone()),
        })
    }

    /// The rarest of its terms that can trigger it.
    fn rarest(&self, costly: bool) -> Option<usize> {
        let able = self.terms.iter().enumerate().filter(|(_, term)| !term.any.is_empty() && is_costly(term) == costly);
        able.min_by_key(|(place, term)| (share(term), *place)).map(|(place, _)| place)
    }
}

/// Terms beyond the bound ask nothing, so that their selectors are evaluated more often.
fn drop_excess_ranges(entries: &mut [Entry]) {
    let mut ranges: BTreeMap<Subject, BTreeSet<Test>> = BTreeMap::new();
    for entry in entries {
        entry.terms.retain(|term| {
            if !term.any.iter().chain(&term.none).any(|test| matches!(test, Test::Range(..))) {
                return true;
            }
            let known = ranges.entry(term.subject.clone()).or_default();
            known.extend(term.any.iter().chain(&term.none).take(RANGES.saturating_sub(known.len())).cloned());
            term.any.iter().chain(&term.none).all(|test| known.contains(test))
        });
    }
}

/// The kind where few events are of it; else the rarest cheap term; a costly one where that spares many checks.
fn choose_triggers(entries: &mut [Entry], conditions: &[Vec<Term>]) {
    let mut of_kind: Vec<usize> = conditions.iter().map(|terms| share_of_all(terms) as usize).collect();
    let mut alike: HashMap<Term, usize> = HashMap::new();
    let mut kinds = vec![0; conditions.len()];
    for entry in entries.iter() {
        kinds.get_mut(entry.kind as usize).into_iter().for_each(|count: &mut usize| *count += 1);
        if let Some(term) = entry.rarest(false).and_then(|place| entry.terms.get(place)) {
            *alike.entry(term.clone()).or_default() += 1;
        }
    }
    of_kind.iter_mut().zip(kinds).for_each(|(checks, count)| *checks = checks.saturating_mul(count));
    let chosen: Vec<Chosen> = entries
        .iter()
        .map(|entry| {
            let cheap = entry.rarest(false);
            let of_cheap = cheap.and_then(|place| entry.terms.get(place)).map_or(usize::MAX, |term| {
                alike.get(term).copied().unwrap_or_default().saturating_mul(share(term) as usize)
            });
            let of_kind = of_kind.get(entry.kind as usize).copied().unwrap_or_default();
            let by_kind = of_kind <= CHECKS || of_kind <= of_cheap;
            let costly = entry.rarest(true).filter(|_| of_cheap.min(of_kind) > CHECKS);
            Chosen { cheap: cheap.filter(|_| !by_kind), costly }
        })
        .collect();
    let mut served: BTreeMap<Subject, usize> = BTreeMap::new();
    for (entry, chosen) in entries.iter().zip(&chosen) {
        if let Some(term) = chosen.costly.and_then(|place| entry.terms.get(place)) {
            *served.entry(term.subject.clone()).or_default() += 1;
        }
    }
    for (entry, chosen) in entries.iter_mut().zip(chosen) {
        let worth = chosen.costly.filter(|place| {
            let subject = entry.terms.get(*place).map(|term| &term.subject);
            subject.and_then(|subject| served.get(subject)).is_some_and(|count| *count >= SERVED)
        });
        entry.trigger = worth.or(chosen.cheap);
    }
}

/// Terms that may trigger an entry, by their places.
struct Chosen {
    cheap: Option<usize>,
    costly: Option<usize>,
}

/// What holds for all that hang on a column that costs more than a gate does.
fn gates(subject: &Subject, of: &[&Entry]) -> Vec<Term> {
    let is_list = subject.path().and_then(schema::lookup).is_some_and(|field| field.type_ == FieldType::Strings);
    let is_costly_column = of.iter().filter_map(|entry| entry.trigger()).any(is_costly);
    if !is_costly_column && !is_list {
        return Vec::new();
    }
    let asked = |entry: &&Entry| -> BTreeMap<Subject, BTreeSet<Test>> {
        let cheap = entry.terms.iter().filter(|term| !term.any.is_empty() && !is_costly(term));
        cheap.map(|term| (term.subject.clone(), term.any.iter().cloned().collect())).collect()
    };
    let Some((first, rest)) = of.split_first() else { return Vec::new() };
    let mut common = asked(first);
    for entry in rest {
        let own = asked(entry);
        common.retain(|subject, _| own.contains_key(subject));
        for (subject, tests) in &mut common {
            tests.extend(own.get(subject).into_iter().flatten().cloned());
        }
    }
    let mut gates: Vec<Term> = common
        .into_iter()
        .filter(|(of, tests)| of != subject && *of != Subject::Stage && tests.len() <= GATE_TESTS)
        .map(|(of, tests)| Term::any(of, tests.into_iter().collect()))
        .filter(|term| share(term) < ALWAYS)
        .collect();
    gates.sort_by_key(share);
    gates.truncate(GATES);
    gates
}

/// Terms by how many groups may ask them.
#[derive(Default)]
struct Checks {
    counts: BTreeMap<Term, usize>,
}

struct Numbers {
    terms: Vec<Term>,
    places: HashMap<Term, u32>,
}

impl Checks {
    fn count(&mut self, term: &Term, times: usize) {
        *self.counts.entry(term.clone()).or_default() += times;
    }

    /// Those that most ask come first.
    fn numbered(self) -> Numbers {
        let mut counted: Vec<(Term, usize)> = self.counts.into_iter().collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let terms: Vec<Term> = counted.into_iter().map(|(term, _)| term).collect();
        Numbers { places: terms.iter().cloned().zip(0..).collect(), terms }
    }
}

impl Numbers {
    fn of(&self, term: &Term) -> u32 {
        self.places.get(term).copied().unwrap_or_default()
    }
}

/// What the entries of a group have in common: what triggers them, their kind, and the numbers of their checks.
type Alike<'e> = (&'e [Test], Kind, Vec<u32>);

/// Adds the groups of entries that hang on one column, or on nothing; tells each with the tests that trigger it.
fn groups<'e>(
    part: &mut Part,
    entries: &[&'e Entry],
    numbers: &Numbers,
    mut added: impl FnMut((u32, &'e [Test])),
) -> std::ops::Range<u32> {
    let mut alike: BTreeMap<Alike<'_>, Vec<Candidate>> = BTreeMap::new();
    for entry in entries {
        let mut others: Vec<Term> = entry.others().collect();
        others.sort_by_cached_key(|term| (is_costly(term), share(term), numbers.of(term)));
        let asked = others.iter().map(|term| numbers.of(term)).collect();
        let tests = entry.trigger().map_or(&[][..], |term| &term.any);
        alike.entry((tests, entry.kind, asked)).or_default().push(entry.of);
    }
    let first = part.groups.len() as u32;
    for ((tests, kind, asked), of) in alike {
        let (checks, entries) = (part.asked.len() as u32, part.entries.len() as u32);
        part.asked.extend(asked);
        part.entries.extend(of);
        added((part.groups.len() as u32, tests));
        let (checks, entries) = (checks..part.asked.len() as u32, entries..part.entries.len() as u32);
        part.groups.push(Group { kind, checks, entries });
    }
    first..part.groups.len() as u32
}

/// A column while it is filled.
#[derive(Default)]
struct Draft<'e> {
    numbers: HashMap<&'e Test, usize>,
    tests: Vec<Test>,
    groups: Vec<Vec<u32>>,
}

impl<'e> Draft<'e> {
    fn add(&mut self, group: u32, tests: &'e [Test]) {
        for test in tests {
            let number = *self.numbers.entry(test).or_insert_with(|| {
                self.tests.push(test.clone());
                self.groups.push(Vec::new());
                self.tests.len() - 1
            });
            self.groups.get_mut(number).into_iter().for_each(|groups| groups.push(group));
        }
    }

    fn column(self, subject: &Subject, gates: Box<[u32]>) -> Column {
        let (mut places, mut groups) = (Vec::new(), Vec::new());
        for of_test in self.groups {
            let from = groups.len() as u32;
            groups.extend(of_test);
            places.push(from..groups.len() as u32);
        }
        let (places, groups) = (places.into(), groups.into());
        Column { reader: Reader::new(subject), gates, lookup: Lookup::new(&self.tests), places, groups }
    }
}
