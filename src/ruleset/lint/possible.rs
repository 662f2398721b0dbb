//! For which events a condition can hold: as alternatives, each a set of facts. In: a syntax tree. Out: the alternatives;
//! none means that it can never hold. What it does not understand, it takes as possible.

use std::{cell::RefCell, collections::BTreeSet};

use super::{
    chain::{Scope, children, shape},
    facts::{Domain, Facts, Literal, TextTest},
};
use crate::{
    event::{
        actions::{PARSERS, Parser},
        schema::FieldType,
    },
    ruleset::expr::view::{Ast, Kind, binding},
};

/// Alternatives that are told apart; beyond, a condition refines nothing.
const ALTERNATIVES: usize = 64;

/// The name under which a false literal is noted, and a comparison with itself that never holds.
const LITERAL: &str = "<literal>";
const ITSELF: &str = "<itself>";
/// A provider and an action that go not together.
const PAIR: &str = "<pair>";

/// Fields of an audit event under two names.
const SAME: &[(&str, &str)] = &[
    ("event.action", "audit.verb"),
    ("http.response.status_code", "audit.responseStatus.code"),
    ("url.original", "audit.requestURI"),
    ("user.id", "audit.user.uid"),
    ("user.name", "audit.user.username"),
    ("user_agent.original", "audit.userAgent"),
];

/// Assumes conditions of one selector.
pub struct Assumption<'s, 'a> {
    scope: &'s Scope<'a>,
    is_audit: bool,
    /// Why the last alternative that was ruled out can't be.
    why: RefCell<Option<String>>,
}

impl<'s, 'a> Assumption<'s, 'a> {
    pub fn new(scope: &'s Scope<'a>, is_audit: bool) -> Self {
        Assumption { scope, is_audit, why: RefCell::new(None) }
    }

    pub fn why(&self) -> String {
        self.why.borrow().clone().unwrap_or_else(|| "it is always false".to_owned())
    }

    /// The alternatives of `from` in which the condition is `truth`.
    pub fn assume(&self, ast: &Ast, truth: bool, from: Vec<Facts>) -> Vec<Facts> {
        if from.is_empty() {
            return from;
        }
        if let Some(variable) = self.scope.variable(ast)
            && self.scope.chain(ast).is_none()
        {
            let outside = self.scope.outside();
            let inner = Assumption { scope: &outside, is_audit: self.is_audit, why: RefCell::new(None) };
            let facts = inner.assume(&variable.ast, truth, from);
            if let Some(why) = inner.why.take() {
                self.why.replace(Some(why));
            }
            return facts;
        }
        match &ast.kind {
            Kind::And(terms) if truth => self.each(terms, true, from),
            Kind::Or(terms) if !truth => self.each(terms, false, from),
            Kind::And(terms) | Kind::Or(terms) => {
                let branches = terms.iter().map(|term| self.assume(term, truth, from.clone())).collect();
                join(branches, from)
            }
            Kind::Call { target: None, function, args } => match (function.as_str(), args.as_slice()) {
                ("!_", [operand]) => self.assume(operand, !truth, from),
                ("_?_:_", [condition, then, otherwise]) => {
                    let then = self.assume(then, truth, self.assume(condition, true, from.clone()));
                    let otherwise = self.assume(otherwise, truth, self.assume(condition, false, from.clone()));
                    join(vec![then, otherwise], from)
                }
                _ => self.leaf(ast, truth, from),
            },
            _ => self.leaf(ast, truth, from),
        }
    }

    fn each(&self, terms: &[Ast], truth: bool, from: Vec<Facts>) -> Vec<Facts> {
        terms.iter().fold(from, |facts, term| self.assume(term, truth, facts))
    }

    /// The alternatives of `from` in which the expression has a value at all.
    pub fn evaluates(&self, ast: &Ast, from: Vec<Facts>) -> Vec<Facts> {
        self.keep(from, |facts| self.read(ast, facts))
    }

    fn leaf(&self, ast: &Ast, truth: bool, from: Vec<Facts>) -> Vec<Facts> {
        self.keep(from, |facts| {
            self.read(ast, facts);
            self.refine(ast, truth, facts);
        })
    }

    fn keep(&self, from: Vec<Facts>, refine: impl Fn(&mut Facts)) -> Vec<Facts> {
        let mut kept = Vec::with_capacity(from.len());
        for mut facts in from {
            refine(&mut facts);
            self.link(&mut facts);
            match (facts.conflict(), facts.present.intersection(&facts.absent).next()) {
                (Some((name, domain)), _) => {
                    self.why.replace(Some(conflict(name, domain)));
                }
                (None, Some(body)) => {
                    self.why.replace(Some(format!("`{body}` can't be both there and missing")));
                }
                (None, None) => kept.push(facts),
            }
        }
        kept
    }

    /// What an outcome says of the status code, and a provider of the action.
    fn link(&self, facts: &mut Facts) {
        if !self.is_audit && is_strange_pair(facts) {
            facts.refine(PAIR, |d| d.restrict(BTreeSet::new()));
        }
        let outcome = facts.domain("event.outcome");
        let (true, Some([Literal::Text(outcome)])) = (self.is_audit, outcome.values().as_deref()) else { return };
        match outcome.as_str() {
            "success" => facts.refine("audit.responseStatus.code", |d| d.bound(Some(1), Some(399))),
            "failure" => facts.refine("audit.responseStatus.code", |d| d.bound(Some(400), None)),
            _ => {}
        }
    }

    /// Notes the bodies that the expression can't do without.
    fn read(&self, ast: &Ast, facts: &mut Facts) {
        if let Some(chain) = self.scope.chain(ast) {
            facts.present.extend(chain.needs_body().map(|field| field.path));
            return;
        }
        if let Some(variable) = self.scope.variable(ast) {
            let outside = self.scope.outside();
            let inner = Assumption { scope: &outside, is_audit: self.is_audit, why: RefCell::new(None) };
            return inner.read(&variable.ast, facts);
        }
        if let Some(binding) = binding(ast) {
            if !binding.is_lazy {
                self.read(binding.range, facts); // of an empty list the body is not evaluated
            }
            return;
        }
        match &ast.kind {
            // Errors are absorbed, or the other side is not evaluated at all.
            Kind::And(_) | Kind::Or(_) => {}
            Kind::Call { target: None, function, args } if function == "_?_:_" => {
                args.iter().take(1).for_each(|condition| self.read(condition, facts));
            }
            Kind::Call { target: None, function, args } if function == "has" => {
                let parent = args.first().and_then(|arg| self.scope.chain(arg)).and_then(|chain| chain.parent());
                facts.present.extend(parent.and_then(|chain| chain.needs_body()).map(|field| field.path));
            }
            Kind::Call { target: Some(target), function, args: _ } if matches!(function.as_str(), "orValue" | "or") => {
                self.read(target, facts);
            }
            _ => children(ast).into_iter().for_each(|child| self.read(child, facts)),
        }
    }

    /// The name under which facts about the value of an expression are kept.
    pub fn quantity(&self, ast: &Ast) -> String {
        let shape = shape(ast, self.scope);
        let same = SAME.iter().find(|(alias, _)| self.is_audit && *alias == shape);
        same.map_or(shape, |(_, name)| (*name).to_owned())
    }

    fn refine(&self, ast: &Ast, truth: bool, facts: &mut Facts) {
        if let Some(literal) = literal(ast) {
            if literal != Literal::Bool(truth) {
                rule_out(facts);
            }
            return;
        }
        let Kind::Call { target, function, args } = &ast.kind else { return self.atom(ast, truth, facts) };
        match (target.as_deref(), function.as_str(), args.as_slice()) {
            (None, "_==_", [a, b]) => self.equality(ast, (a, b), truth, facts, truth),
            (None, "_!=_", [a, b]) => self.equality(ast, (a, b), !truth, facts, truth),
            (None, "@in", [element, list]) => self.membership(ast, element, list, truth, facts),
            (None, "_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => self.order(ast, function, (a, b), truth, facts),
            (None, "has", [argument]) => self.has(ast, argument, truth, facts),
            (Some(text), name, [argument]) => match (TextTest::of(name), argument.literal_text()) {
                (Some(test), Some(argument)) => {
                    facts.refine(&self.quantity(text), |d| d.test(test, argument, truth));
                }
                _ => self.atom(ast, truth, facts),
            },
            _ => self.atom(ast, truth, facts),
        }
    }

    /// A condition that is not looked into: it is equal to itself.
    fn atom(&self, ast: &Ast, truth: bool, facts: &mut Facts) {
        facts.refine(&self.quantity(ast), |d| d.restrict([Literal::Bool(truth)].into()));
    }

    fn equality(&self, ast: &Ast, sides: (&Ast, &Ast), equal: bool, facts: &mut Facts, truth: bool) {
        let (named, literal) = match (literal(sides.0), literal(sides.1)) {
            (None, Some(literal)) => (sides.0, literal),
            (Some(literal), None) => (sides.1, literal),
            (Some(a), Some(b)) if (a == b) == equal => return,
            (Some(_), Some(_)) => return rule_out(facts),
            // A schema field other than a body has a value that is equal to itself.
            (None, None) if self.is_itself(sides) => {
                if !equal {
                    facts.refine(ITSELF, |d| d.restrict(BTreeSet::new()));
                }
                return;
            }
            (None, None) => return self.atom(ast, truth, facts),
        };
        facts.refine(&self.quantity(named), |d| match equal {
            true => d.restrict([literal].into()),
            false => d.exclude([literal].into()),
        });
    }

    fn is_itself(&self, (a, b): (&Ast, &Ast)) -> bool {
        let field = |ast| self.scope.chain(ast).filter(|chain| chain.is_field() && !chain.is_optional());
        let is_sure = |ast| field(ast).is_some_and(|chain| chain.field.type_ != FieldType::Dyn);
        is_sure(a) && is_sure(b) && self.quantity(a) == self.quantity(b)
    }

    fn membership(&self, ast: &Ast, element: &Ast, list: &Ast, truth: bool, facts: &mut Facts) {
        let Kind::List(elements) = &list.kind else { return self.atom(ast, truth, facts) };
        let values: Option<BTreeSet<Literal>> =
            elements.iter().map(|(e, optional)| if *optional { None } else { literal(e) }).collect();
        match values {
            Some(values) if truth => facts.refine(&self.quantity(element), |d| d.restrict(values)),
            Some(values) => facts.refine(&self.quantity(element), |d| d.exclude(values)),
            None => self.atom(ast, truth, facts),
        }
    }

    fn order(&self, ast: &Ast, operator: &str, sides: (&Ast, &Ast), truth: bool, facts: &mut Facts) {
        let (named, number, turned) = match (literal(sides.0), literal(sides.1)) {
            (None, Some(Literal::Int(i))) => (sides.0, i, false),
            (Some(Literal::Int(i)), None) => (sides.1, i, true),
            (None, None) if self.is_itself(sides) && matches!(operator, "_<_" | "_>_") == truth => {
                return facts.refine(ITSELF, |d| d.restrict(BTreeSet::new()));
            }
            _ => return self.atom(ast, truth, facts),
        };
        let upper = matches!(operator, "_<_" | "_<=_") ^ turned ^ !truth;
        let strict = matches!(operator, "_<_" | "_>_") ^ !truth;
        let offset = i64::from(strict);
        facts.refine(&self.quantity(named), |d| match upper {
            true => d.bound(None, Some(number.saturating_sub(offset))),
            false => d.bound(Some(number.saturating_add(offset)), None),
        });
    }

    fn has(&self, ast: &Ast, argument: &Ast, truth: bool, facts: &mut Facts) {
        let Some(chain) = self.scope.chain(argument) else { return self.atom(ast, truth, facts) };
        if !chain.is_field() {
            return self.atom(ast, truth, facts);
        }
        let field = chain.field;
        let unset = match field.type_ {
            FieldType::Dyn if truth => {
                facts.present.insert(field.path);
                return;
            }
            FieldType::Dyn => {
                facts.absent.insert(field.path);
                return;
            }
            FieldType::String => Literal::Text(String::new()),
            FieldType::Int => Literal::Int(0),
            FieldType::Bool => Literal::Bool(false),
            _ => return self.atom(ast, truth, facts),
        };
        facts.refine(&self.quantity(argument), |d| match truth {
            true => d.exclude([unset].into()),
            false => d.restrict([unset].into()),
        });
    }
}

/// True when some parser gives the action and some parser is the provider, and none is both.
fn is_strange_pair(facts: &Facts) -> bool {
    let (provider, action) = (facts.domain("event.provider"), facts.domain("event.action"));
    if provider.values().is_none() && action.values().is_none() {
        return false;
    }
    let accepts = |domain: &Domain, text: &str| domain.accepts(&Literal::Text(text.to_owned()));
    let is_provider = |parser: &&Parser| accepts(&provider, parser.provider);
    let gives = |parser: &&Parser| parser.actions.iter().any(|name| accepts(&action, name));
    let unread = accepts(&provider, "") && accepts(&action, "");
    !unread
        && PARSERS.iter().any(|p| is_provider(&p))
        && PARSERS.iter().any(|p| gives(&p))
        && !PARSERS.iter().any(|p| is_provider(&p) && gives(&p))
}

fn literal(ast: &Ast) -> Option<Literal> {
    match &ast.kind {
        Kind::Literal(value) => Literal::of(value),
        _ => None,
    }
}

/// Makes the facts impossible: a literal condition is false.
fn rule_out(facts: &mut Facts) {
    facts.refine(LITERAL, |d| d.restrict(BTreeSet::new()));
}

fn conflict(name: &str, domain: &Domain) -> String {
    match (name, name.starts_with('('), domain.conditions()) {
        (LITERAL, _, _) => "a literal in it is false".to_owned(),
        (PAIR, _, _) => {
            "no parser gives this `event.action` with this `event.provider`: the reference of event fields lists both"
                .to_owned()
        }
        (ITSELF, _, _) => "it asks for a value that differs from itself".to_owned(),
        (_, true, _) => "it asks for something and for its opposite".to_owned(),
        (_, false, [only]) => format!("`{name}` is never {only}"),
        (_, false, several) => format!("`{name}` can't be {} at once", several.join(" and ")),
    }
}

/// All branches; what they started from when those are too many.
fn join(branches: Vec<Vec<Facts>>, from: Vec<Facts>) -> Vec<Facts> {
    let total: usize = branches.iter().map(Vec::len).sum();
    if total > ALTERNATIVES && total > from.len() { from } else { branches.into_iter().flatten().collect() }
}
