//! What must hold of an event for an expression to match it, as far as an index can use it: alternatives, each a conjunction
//! of terms on one subject. In: tests that `derive` finds in an expression. Out: `Alternatives`. They may hold where the
//! expression does not; they never fail where it matches.

use std::sync::Arc;

use ipnet::IpNet;

use super::rank::{ALWAYS, share};

/// Most alternatives of one selector; more are folded into one that asks less.
const ALTERNATIVES: usize = 8;

/// What a term speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The audit stage as a code, and whether it is the defining one.
    Stage,
    /// The namespace whose tenants may see the event.
    Tenant,
    /// The field at this path; of a list, any element.
    Field(&'static str),
    /// The same in lower case.
    Lower(&'static str),
    /// The same as `pattern::fold` makes it. Asked positively alone.
    Folded(&'static str),
    /// Whether the event has this body, as a code.
    Present(&'static str),
    /// The text in the body at this path under these keys. What is no text asks nothing.
    Body(&'static str, Arc<[Arc<str>]>),
}

impl Subject {
    /// The path of its field, for what is of a field.
    pub fn path(&self) -> Option<&'static str> {
        match self {
            Subject::Field(path)
            | Subject::Lower(path)
            | Subject::Folded(path)
            | Subject::Present(path)
            | Subject::Body(path, _) => Some(path),
            Subject::Stage | Subject::Tenant => None,
        }
    }
}

/// What a value may be asked. Texts are never empty but for `Equal`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Test {
    Equal(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Contains(Arc<str>),
    /// An address in a network.
    Within(IpNet),
    /// An int from the first to the last, both included.
    Range(i64, i64),
    /// A bool (0 and 1) or a stage.
    Code(u8),
}

/// Some test of `any` holds, unless it is empty, and none of `none` does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Term {
    pub subject: Subject,
    pub any: Vec<Test>,
    pub none: Vec<Test>,
}

impl Term {
    pub fn any(subject: Subject, any: Vec<Test>) -> Term {
        Term { subject, any, none: Vec::new() }
    }

    pub fn none(subject: Subject, none: Vec<Test>) -> Term {
        Term { subject, any: Vec::new(), none }
    }

    fn is_positive(&self) -> bool {
        self.none.is_empty()
    }
}

/// Terms that all hold. Several may ask the same subject.
pub(super) type Conjunction = Vec<Term>;

/// Conjunctions of which one holds: none of them is never, an empty one always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternatives(pub Vec<Conjunction>);

impl Alternatives {
    pub fn always() -> Alternatives {
        Alternatives(vec![Vec::new()])
    }

    pub fn never() -> Alternatives {
        Alternatives(Vec::new())
    }

    pub fn known(holds: bool) -> Alternatives {
        if holds { Alternatives::always() } else { Alternatives::never() }
    }

    pub fn one(term: Term) -> Alternatives {
        Alternatives(vec![vec![term]])
    }

    pub fn or(mut self, other: Alternatives) -> Alternatives {
        for conjunction in other.0 {
            if conjunction.is_empty() {
                return Alternatives::always();
            }
            if !self.0.iter_mut().any(|earlier| join(earlier, &conjunction)) {
                self.0.push(conjunction);
            }
        }
        if self.0.iter().any(Vec::is_empty) {
            return Alternatives::always();
        }
        if self.0.len() > ALTERNATIVES { self.folded() } else { self }
    }

    pub fn and(mut self, mut other: Alternatives) -> Alternatives {
        // What holds of nearly every event anyway loses least.
        if self.0.len() * other.0.len() > ALTERNATIVES && self.share() > other.share() {
            self = self.folded();
        }
        if self.0.len() * other.0.len() > ALTERNATIVES {
            other = other.folded();
        }
        if self.0.len() * other.0.len() > ALTERNATIVES {
            self = self.folded();
        }
        let mut all = Alternatives::never();
        for left in &self.0 {
            for right in &other.0 {
                all = all.or(Alternatives(vec![both(left.clone(), right)]));
            }
        }
        all
    }

    /// How often one of these holds, as far as their rarest terms tell.
    fn share(&self) -> u32 {
        let rarest = |terms: &Conjunction| terms.iter().map(share).min().unwrap_or(ALWAYS);
        self.0.iter().map(rarest).sum::<u32>().min(ALWAYS)
    }

    /// One conjunction that holds whenever any of these does.
    fn folded(self) -> Alternatives {
        let Some((first, rest)) = self.0.split_first() else { return self };
        let mut kept = Conjunction::new();
        for term in first.iter().filter(|term| !term.any.is_empty()) {
            let mut any = term.any.clone();
            let asked = rest.iter().all(|conjunction| {
                let same = conjunction.iter().find(|t| t.subject == term.subject && !t.any.is_empty());
                same.inspect(|t| extend(&mut any, &t.any)).is_some()
            });
            if asked && !kept.iter().any(|t| t.subject == term.subject) {
                kept.push(Term::any(term.subject.clone(), any));
            }
        }
        Alternatives(vec![kept])
    }
}

fn extend(tests: &mut Vec<Test>, more: &[Test]) {
    if tests.len() + more.len() <= 16 {
        for test in more {
            if !tests.contains(test) {
                tests.push(test.clone());
            }
        }
    } else {
        tests.extend_from_slice(more);
        tests.sort_unstable();
        tests.dedup();
    }
}

/// Widens `left` to hold also where `right` does, when that loses nothing: they differ in one term that only names values.
fn join(left: &mut Conjunction, right: &Conjunction) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut different = left.iter_mut().zip(right).filter(|(l, r)| *l != *r);
    match (different.next(), different.next()) {
        (None, _) => true,
        (Some((l, r)), None) if l.subject == r.subject && l.is_positive() && r.is_positive() => {
            extend(&mut l.any, &r.any);
            true
        }
        _ => false,
    }
}

fn both(mut left: Conjunction, right: &Conjunction) -> Conjunction {
    for term in right {
        if left.contains(term) {
            continue;
        }
        if term.any.is_empty()
            && let Some(same) = left.iter_mut().find(|t| t.subject == term.subject)
        {
            extend(&mut same.none, &term.none);
        } else {
            left.push(term.clone());
        }
    }
    left
}
