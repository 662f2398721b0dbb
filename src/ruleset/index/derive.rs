//! An expression's typed tree -> what must hold of schema fields for it to be true (or false). What it can't use, such as
//! bodies and arithmetic, asks nothing. Sound under CEL's errors: an expression that ends in one does not match, and `&&`
//! and `||` pass on only errors that no term absorbs.

use std::sync::Arc;

use super::{
    condition::{Alternatives, Subject, Term, Test},
    pattern::{self, Needed},
};
use crate::{
    event::schema::{Field, FieldType},
    ruleset::expr::{
        Val,
        tree::{Comprehension, Macro, Node, Search},
    },
};

/// Longest literal list of a macro that is taken element by element.
const UNROLLED: usize = 32;

/// Longest text that a value is searched for by the index, in bytes: nothing that people look for is longer, and it bounds
/// how deep a trie is.
const PART: usize = 128;

/// What holds of an event whenever `node` is true for it.
pub(super) fn necessary(node: &Node) -> Alternatives {
    Derivation { bound: Vec::new() }.is(node, true)
}

/// What a macro's variable stands for.
#[derive(Clone, Copy)]
enum Bound<'n> {
    /// Any element of a list field.
    Element(&'static Field),
    Text(&'n str),
    Unknown,
}

struct Derivation<'n> {
    bound: Vec<Bound<'n>>,
}

/// A side of a comparison.
enum Side<'n> {
    Subject(Subject),
    Text(&'n str),
}

impl<'n> Derivation<'n> {
    /// What holds of an event whenever `node` is `wanted` for it.
    fn is(&mut self, node: &'n Node, wanted: bool) -> Alternatives {
        match node {
            Node::Constant(Val::Bool(b)) => Alternatives::known(*b == wanted),
            Node::And(terms) => self.logic(terms, wanted, wanted),
            Node::Or(terms) => self.logic(terms, wanted, !wanted),
            Node::Variable(inner) => self.is(inner, wanted),
            Node::If { condition, then, otherwise } => {
                let first = self.is(condition, true).and(self.is(then, wanted));
                first.or(self.is(condition, false).and(self.is(otherwise, wanted)))
            }
            Node::Field(field) if field.type_ == FieldType::Bool => flag(Subject::Field(field.path), wanted),
            Node::HasField(fields) => match fields.as_slice() {
                [field] => has(field, wanted),
                _ => Alternatives::always(),
            },
            Node::Call { name, args, .. } => self.call(name, args, wanted),
            Node::Pattern { search: Search::Matches, text, pattern: compiled, .. } if wanted => match self.side(text) {
                Some(Side::Subject(subject)) => match pattern::needed(compiled.regex.as_str()) {
                    Some(needed) => needed_of(subject, needed),
                    None => Alternatives::always(),
                },
                _ => Alternatives::always(),
            },
            Node::Macro(comprehension) => self.quantified(comprehension, wanted),
            _ => Alternatives::always(),
        }
    }

    fn logic(&mut self, terms: &'n [Node], wanted: bool, all: bool) -> Alternatives {
        let mut joined = Alternatives::known(all);
        for term in terms {
            let term = self.is(term, wanted);
            joined = if all { joined.and(term) } else { joined.or(term) };
        }
        joined
    }

    fn call(&mut self, name: &str, args: &'n [Node], wanted: bool) -> Alternatives {
        match (name, args) {
            ("!_", [inner]) => self.is(inner, !wanted),
            ("_==_", [a, b]) => self.equal(a, b, wanted),
            ("_!=_", [a, b]) => self.equal(a, b, !wanted),
            ("@in", [value, list]) => self.member(value, list, wanted),
            ("startsWith", [text, part]) => self.part(text, part, wanted, Test::Prefix, |t, p| t.starts_with(p)),
            ("endsWith", [text, part]) => self.part(text, part, wanted, Test::Suffix, |t, p| t.ends_with(p)),
            ("contains", [text, part]) => self.part(text, part, wanted, Test::Contains, |t, p| t.contains(p)),
            ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => match (a, b) {
                (Node::Field(field), Node::Constant(Val::Int(limit))) => compare(field, name, *limit, wanted),
                (Node::Constant(Val::Int(limit)), Node::Field(field)) => {
                    compare(field, &name.replace('<', "?").replace('>', "<").replace('?', ">"), *limit, wanted)
                }
                _ => Alternatives::always(),
            },
            ("containsIP", [network, address]) => self.within(network, address, wanted),
            ("sets.intersects", [Node::Field(field), list] | [list, Node::Field(field)]) if wanted => {
                match self.texts(list) {
                    Some(texts) if field.type_ == FieldType::Strings => {
                        any_or_none(Subject::Field(field.path), equal_to(&texts), true)
                    }
                    _ => Alternatives::always(),
                }
            }
            _ => Alternatives::always(),
        }
    }

    fn equal(&mut self, a: &'n Node, b: &'n Node, wanted: bool) -> Alternatives {
        if let (Some(asked), true) = (self.in_body(a, b).or_else(|| self.in_body(b, a)), wanted) {
            return asked;
        }
        match (self.side(a), self.side(b)) {
            (Some(Side::Subject(subject)), Some(Side::Text(text)))
            | (Some(Side::Text(text)), Some(Side::Subject(subject))) => {
                return any_or_none(subject, vec![Test::Equal(text.into())], wanted);
            }
            (Some(Side::Text(a)), Some(Side::Text(b))) => return Alternatives::known((a == b) == wanted),
            _ => {}
        }
        match (a, b) {
            (Node::Field(field), Node::Constant(Val::Int(i))) | (Node::Constant(Val::Int(i)), Node::Field(field))
                if field.type_ == FieldType::Int =>
            {
                any_or_none(Subject::Field(field.path), vec![Test::Range(*i, *i)], wanted)
            }
            (Node::Field(field), Node::Constant(Val::Bool(b))) | (Node::Constant(Val::Bool(b)), Node::Field(field))
                if field.type_ == FieldType::Bool =>
            {
                flag(Subject::Field(field.path), *b == wanted)
            }
            _ => Alternatives::always(),
        }
    }

    /// `audit.requestObject.?a.?b.orValue("") == "text"`: that text stands there, unless it is what stands for nothing.
    fn in_body(&self, read: &'n Node, text: &'n Node) -> Option<Alternatives> {
        let Node::OrElse { optional, other, unwrap: true } = read else { return None };
        let (Node::Constant(Val::Str(default)), Some(Side::Text(text))) = (&**other, self.side(text)) else {
            return None;
        };
        let (mut keys, mut at) = (Vec::new(), &**optional);
        while let Node::Select(selection) = at {
            keys.push(Arc::clone(&selection.key));
            at = &*selection.operand;
        }
        let (Node::Field(field) | Node::OptionalField { field, .. }) = at else { return None };
        if field.type_ != FieldType::Dyn || keys.is_empty() || text == default.as_str() {
            return None;
        }
        keys.reverse();
        Some(Alternatives::one(Term::any(Subject::Body(field.path, keys.into()), vec![Test::Equal(text.into())])))
    }

    fn member(&mut self, value: &'n Node, list: &'n Node, wanted: bool) -> Alternatives {
        match (self.side(value), list) {
            (Some(Side::Text(text)), Node::Field(field)) if field.type_ == FieldType::Strings => {
                any_or_none(Subject::Field(field.path), vec![Test::Equal(text.into())], wanted)
            }
            (Some(side), list) => match (side, self.texts(list)) {
                (Side::Subject(subject), Some(texts)) => any_or_none(subject, equal_to(&texts), wanted),
                (Side::Text(text), Some(texts)) => Alternatives::known(texts.contains(&text) == wanted),
                (_, None) => Alternatives::always(),
            },
            (None, list) => match (value, ints(list)) {
                (Node::Field(field), Some(ints)) if field.type_ == FieldType::Int => {
                    let tests = ints.into_iter().map(|i| Test::Range(i, i)).collect();
                    any_or_none(Subject::Field(field.path), tests, wanted)
                }
                _ => Alternatives::always(),
            },
        }
    }

    fn part(
        &mut self,
        text: &'n Node,
        part: &'n Node,
        wanted: bool,
        test: fn(Arc<str>) -> Test,
        holds: fn(&str, &str) -> bool,
    ) -> Alternatives {
        match (self.side(text), self.side(part)) {
            (Some(Side::Subject(_)), Some(Side::Text(""))) => Alternatives::known(wanted),
            (Some(Side::Subject(_)), Some(Side::Text(part))) if part.len() > PART => Alternatives::always(),
            (Some(Side::Subject(subject)), Some(Side::Text(part))) => {
                any_or_none(subject, vec![test(part.into())], wanted)
            }
            (Some(Side::Text(text)), Some(Side::Text(part))) => Alternatives::known(holds(text, part) == wanted),
            _ => Alternatives::always(),
        }
    }

    fn within(&mut self, network: &'n Node, address: &'n Node, wanted: bool) -> Alternatives {
        let network = match network {
            Node::Constant(Val::Cidr(network)) => Some(*network),
            Node::Variable(inner) => return self.within(inner, address, wanted),
            Node::Call { name: "cidr", args, .. } => match args.as_slice() {
                [text] => match self.side(text) {
                    Some(Side::Text(text)) => text.parse().ok(),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let address = match address {
            Node::Call { name: "ip", args, .. } => match args.as_slice() {
                [text] => self.side(text),
                _ => None,
            },
            text => self.side(text),
        };
        match (network, address) {
            (Some(network), Some(Side::Subject(subject))) => {
                any_or_none(subject, vec![Test::Within(network.trunc())], wanted)
            }
            _ => Alternatives::always(),
        }
    }

    fn quantified(&mut self, comprehension: &'n Comprehension, wanted: bool) -> Alternatives {
        let Comprehension { kind, range, pair, body, .. } = comprehension;
        // Either the body is `value` for some element, or for every one.
        let (value, some) = match kind {
            Macro::Exists => (wanted, wanted),
            Macro::All => (wanted, !wanted),
            Macro::ExistsOne if wanted => (true, true),
            _ => return Alternatives::always(),
        };
        if let Some(texts) = self.texts(range).filter(|texts| texts.len() <= UNROLLED) {
            let mut joined = Alternatives::known(!some);
            for text in texts {
                let one = self.with(*pair, Bound::Text(text), body, value);
                joined = if some { joined.or(one) } else { joined.and(one) };
            }
            return joined;
        }
        match &**range {
            Node::Field(field) if field.type_ == FieldType::Strings => {
                let of_element = self.with(*pair, Bound::Element(field), body, value);
                if some { of_some(of_element, field) } else { of_every(of_element, field) }
            }
            _ if some => self.with(*pair, Bound::Unknown, body, value),
            _ => Alternatives::always(),
        }
    }

    /// The body's, with its variable bound. Of a `pair`, that is the second; the first is an index or a key.
    fn with(&mut self, pair: bool, bound: Bound<'n>, body: &'n Node, wanted: bool) -> Alternatives {
        let outer = self.bound.len();
        self.bound.extend(pair.then_some(Bound::Unknown));
        self.bound.push(bound);
        let derived = self.is(body, wanted);
        self.bound.truncate(outer);
        derived
    }

    fn side(&self, node: &'n Node) -> Option<Side<'n>> {
        match node {
            Node::Constant(Val::Str(text)) => Some(Side::Text(text.as_str())),
            Node::Field(field) if field.type_ == FieldType::String => Some(Side::Subject(Subject::Field(field.path))),
            Node::Variable(inner) => self.side(inner),
            Node::Local(depth) => match self.bound.iter().rev().nth(*depth)? {
                Bound::Element(field) => Some(Side::Subject(Subject::Field(field.path))),
                Bound::Text(text) => Some(Side::Text(text)),
                Bound::Unknown => None,
            },
            Node::Call { name: "lowerAscii", args, .. } => match args.as_slice() {
                [inner] => match self.side(inner)? {
                    Side::Subject(Subject::Field(path)) => Some(Side::Subject(Subject::Lower(path))),
                    _ => None,
                },
                _ => None,
            },
            // `audit.?objectRef.?name.orValue("")` is the field: both are empty when it is not set.
            Node::OrElse { optional, other, unwrap: true } => match (&**optional, &**other) {
                (Node::OptionalField { field, .. }, Node::Constant(Val::Str(text)))
                    if field.type_ == FieldType::String && text.as_str().is_empty() =>
                {
                    Some(Side::Subject(Subject::Field(field.path)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A list of texts, all known.
    fn texts(&self, node: &'n Node) -> Option<Vec<&'n str>> {
        match node {
            Node::Variable(inner) => self.texts(inner),
            Node::List(elements) => elements
                .iter()
                .map(|element| match element {
                    (Node::Constant(Val::Str(text)), false) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }
}

fn ints(node: &Node) -> Option<Vec<i64>> {
    match node {
        Node::Variable(inner) => ints(inner),
        Node::List(elements) => elements
            .iter()
            .map(|element| match element {
                (Node::Constant(Val::Int(i)), false) => Some(*i),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn equal_to(texts: &[&str]) -> Vec<Test> {
    texts.iter().map(|text| Test::Equal((*text).into())).collect()
}

fn any_or_none(subject: Subject, mut tests: Vec<Test>, wanted: bool) -> Alternatives {
    if tests.is_empty() {
        return Alternatives::known(!wanted);
    }
    tests.sort_unstable();
    tests.dedup();
    Alternatives::one(if wanted { Term::any(subject, tests) } else { Term::none(subject, tests) })
}

fn needed_of(subject: Subject, needed: Needed) -> Alternatives {
    let subject = match (subject, needed.folded) {
        (Subject::Field(path) | Subject::Lower(path), true) => Subject::Folded(path),
        (_, true) => return Alternatives::always(),
        (subject, false) => subject,
    };
    any_or_none(subject, needed.tests, true)
}

fn flag(subject: Subject, wanted: bool) -> Alternatives {
    Alternatives::one(Term::any(subject, vec![Test::Code(u8::from(wanted))]))
}

/// `has()` of one field: it is not at its default, a body is there.
fn has(field: &'static Field, wanted: bool) -> Alternatives {
    let subject = Subject::Field(field.path);
    match field.type_ {
        FieldType::Dyn => flag(Subject::Present(field.path), wanted),
        FieldType::String => any_or_none(subject, vec![Test::Equal("".into())], !wanted),
        FieldType::Int => any_or_none(subject, vec![Test::Range(0, 0)], !wanted),
        FieldType::Bool => flag(subject, wanted),
        FieldType::Timestamp | FieldType::Strings | FieldType::StringMap | FieldType::StringsMap => {
            Alternatives::always()
        }
    }
}

fn compare(field: &'static Field, name: &str, limit: i64, wanted: bool) -> Alternatives {
    if field.type_ != FieldType::Int {
        return Alternatives::always();
    }
    let below = |limit: Option<i64>| limit.map(|limit| Test::Range(i64::MIN, limit));
    let above = |limit: Option<i64>| limit.map(|limit| Test::Range(limit, i64::MAX));
    let test = match (name, wanted) {
        ("_<_", true) | ("_>=_", false) => below(limit.checked_sub(1)),
        ("_<=_", true) | ("_>_", false) => below(Some(limit)),
        ("_>_", true) | ("_<=_", false) => above(limit.checked_add(1)),
        _ => above(Some(limit)),
    };
    match test {
        Some(test) => any_or_none(Subject::Field(field.path), vec![test], true),
        None => Alternatives::never(),
    }
}

/// From what holds of one element to what holds of the event when some element has it: other elements may be anything, so
/// that none of them is something can't be asked.
fn of_some(of_element: Alternatives, field: &Field) -> Alternatives {
    let mut joined = Alternatives::never();
    for mut conjunction in of_element.0 {
        for term in &mut conjunction {
            if is_of(term, field) {
                term.none.clear();
            }
        }
        conjunction.retain(|term| !term.any.is_empty() || !term.none.is_empty());
        joined = joined.or(Alternatives(vec![conjunction]));
    }
    joined
}

/// The same when every element has it: the list may be empty, so only what no element may be can be asked.
fn of_every(of_element: Alternatives, field: &Field) -> Alternatives {
    match of_element.0.as_slice() {
        [conjunction] => {
            let denied = conjunction.iter().filter(|term| is_of(term, field) && !term.none.is_empty());
            let terms = denied.map(|term| Term::none(term.subject.clone(), term.none.clone()));
            Alternatives(vec![terms.collect()])
        }
        _ => Alternatives::always(),
    }
}

fn is_of(term: &Term, field: &Field) -> bool {
    matches!(term.subject, Subject::Field(path) | Subject::Lower(path) | Subject::Folded(path) if path == field.path)
}
