//! Why a condition holds or not: its parts, each evaluated by itself, with the values that it reads. In: a source, the rule's
//! variables and an event. Out: a tree for people. It agrees with the evaluator since it asks it, part by part; far too slow
//! for anything but explaining.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Variables,
    budget::Steps,
    check::{Checker, Root, Typed},
    error::{EvalError, ExprError},
    eval::{Evaluation, Input},
    excerpt::shown,
    types::Type,
    value::{List, Map, Val, Value},
    view::{Ast, Kind, binding, parse, written},
};
use crate::event::{Event, schema};

/// Longest text of a value or of a condition, in characters.
const MAX_TEXT: usize = 256;
/// Elements of a list that are shown one by one.
const MAX_ELEMENTS: usize = 3;

/// What a part of a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Part {
    /// `&&`
    All,
    /// `||`
    Any,
    /// `!` of several conditions.
    Not,
    /// `?:`: the condition, then the side that it chose.
    Choice,
    /// `variables.NAME`
    Variable,
    /// `all`, `exists` and the like: an element each.
    Each,
    Element,
    /// Anything that is not looked into.
    Condition,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    Held,
    Failed,
    /// No value, and why. Within `&&` and `||` another part may absorb it.
    Error(String),
    /// A value that is no bool: of a choice or a variable.
    Value(String),
}

/// A value that a condition read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// As it is written.
    pub path: String,
    /// JSON, cut to 256 characters; `None` when it is missing.
    pub value: Option<String>,
}

/// A condition or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    pub part: Part,
    /// As it is written, on one line, cut to 256 characters.
    pub text: String,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Reading>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Trace>,
    /// Elements that are not shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Trace {
    pub fn held(&self) -> bool {
        self.outcome == Outcome::Held
    }

    /// How many of the parts of a conjunction hold, and of how many; else of itself.
    pub fn conditions(&self) -> (usize, usize) {
        match self.part {
            Part::All => (self.parts.iter().filter(|part| part.held()).count(), self.parts.len()),
            Part::Variable => self.parts.first().map_or((0, 1), Trace::conditions),
            _ => (usize::from(self.held()), 1),
        }
    }

    /// How much of it holds, from 0 to 1.
    pub fn closeness(&self) -> f64 {
        let parts = || self.parts.iter().map(Trace::closeness);
        match (self.held(), self.part, self.parts.len()) {
            (true, _, _) => 1.0,
            (false, Part::All, n @ 1..) => parts().sum::<f64>() / n as f64,
            (false, Part::Any | Part::Variable | Part::Each, 1..) => parts().fold(0.0, f64::max),
            (false, Part::Choice, 1..) => self.parts.last().map_or(0.0, Trace::closeness),
            (false, _, _) => 0.0,
        }
    }
}

/// The variables of a rule, in the order in which they are defined.
#[derive(Default)]
pub struct TracedVariables {
    compiled: Variables,
    parsed: BTreeMap<String, (String, Ast)>,
}

impl TracedVariables {
    /// As `Variables::define`.
    pub fn define(&mut self, name: &str, source: &str) -> Result<(), ExprError> {
        self.compiled.define(name, source)?;
        self.parsed.insert(name.to_owned(), (source.to_owned(), parse(source)?));
        Ok(())
    }
}

/// Evaluates `source` on the event, part by part.
pub fn trace(source: &str, variables: &TracedVariables, event: &Event<'_>) -> Result<Trace, ExprError> {
    let ast = parse(source)?;
    Ok(Tracer { source, variables, event, locals: Vec::new() }.part(&ast))
}

struct Tracer<'t, 'e> {
    source: &'t str,
    variables: &'t TracedVariables,
    event: &'t Event<'e>,
    /// Variables of the macros around, the innermost last.
    locals: Vec<(String, Type, Value)>,
}

impl Tracer<'_, '_> {
    fn part(&self, ast: &Ast) -> Trace {
        match &ast.kind {
            Kind::And(terms) => self.group(Part::All, ast, terms.iter()),
            Kind::Or(terms) => self.group(Part::Any, ast, terms.iter()),
            Kind::Call { target: None, function, args } => match (function.as_str(), args.as_slice()) {
                ("!_", [operand]) if self.is_composed(operand) => self.group(Part::Not, ast, [operand].into_iter()),
                ("_?_:_", [condition, then, otherwise]) => {
                    let chosen = match self.value(condition) {
                        Ok(Val::Bool(true)) => Some(then),
                        Ok(Val::Bool(false)) => Some(otherwise),
                        _ => None,
                    };
                    self.group(Part::Choice, ast, [condition].into_iter().chain(chosen))
                }
                _ => self.leaf(ast),
            },
            Kind::Call { target: Some(range), function, args } => match (function.as_str(), args.as_slice()) {
                ("all" | "exists" | "exists_one", [name, body]) => self.each(ast, range, name, body),
                _ => self.leaf(ast),
            },
            Kind::Select { operand, field, optional: false } => match self.variable(operand, field) {
                Some((source, variable)) => {
                    let inside = Tracer { source, locals: Vec::new(), ..*self };
                    let mut trace = self.leaf(ast);
                    trace.part = Part::Variable;
                    trace.reads.clear();
                    trace.parts.push(inside.part(variable));
                    trace
                }
                None => self.leaf(ast),
            },
            _ => self.leaf(ast),
        }
    }

    /// True for what is shown in parts, so that its negation is too.
    fn is_composed(&self, ast: &Ast) -> bool {
        match &ast.kind {
            Kind::And(_) | Kind::Or(_) => true,
            Kind::Call { target, function, .. } => match target {
                Some(_) => matches!(function.as_str(), "all" | "exists" | "exists_one"),
                None => function == "_?_:_",
            },
            Kind::Select { operand, field, optional: false } => self.variable(operand, field).is_some(),
            _ => false,
        }
    }

    fn variable(&self, operand: &Ast, field: &str) -> Option<(&str, &Ast)> {
        let Kind::Name(space) = &operand.kind else { return None };
        let (source, ast) = self.variables.parsed.get(field).filter(|_| space == "variables")?;
        Some((source, ast))
    }

    fn group<'p>(&self, part: Part, ast: &Ast, parts: impl Iterator<Item = &'p Ast>) -> Trace {
        let parts = parts.map(|part| self.part(part)).collect();
        Trace { part, text: self.text(ast), outcome: self.outcome(ast), reads: Vec::new(), parts, more: 0 }
    }

    fn leaf(&self, ast: &Ast) -> Trace {
        let mut reads = Vec::new();
        self.reads(ast, &mut reads);
        let outcome = self.outcome(ast);
        Trace { part: Part::Condition, text: self.text(ast), outcome, reads, parts: Vec::new(), more: 0 }
    }

    /// A macro over the elements that decide it: those that hold, or else those that fail.
    fn each(&self, ast: &Ast, range: &Ast, name: &Ast, body: &Ast) -> Trace {
        let mut trace = self.leaf(ast);
        trace.part = Part::Each;
        let (Ok((values, type_)), Kind::Name(name)) = (self.elements(range), &name.kind) else { return trace };
        let holds = match &ast.kind {
            Kind::Call { function, .. } if function == "all" => trace.held(),
            _ => true,
        };
        let mut elements: Vec<Trace> = Vec::new();
        for value in values {
            let mut inside = Tracer { locals: self.locals.clone(), ..*self };
            let text = format!("{name} = {}", clip(&value.to_json().to_string()));
            inside.locals.push((name.clone(), type_.clone(), value));
            let body = inside.part(body);
            let outcome = body.outcome.clone();
            elements.push(Trace { part: Part::Element, text, outcome, reads: Vec::new(), parts: vec![body], more: 0 });
        }
        elements.sort_by_key(|element| element.held() != holds);
        trace.more = elements.len().saturating_sub(MAX_ELEMENTS);
        elements.truncate(MAX_ELEMENTS);
        trace.parts = elements;
        trace
    }

    fn elements(&self, range: &Ast) -> Result<(Vec<Value>, Type), EvalError> {
        let type_ = match self.checked(range)?.type_ {
            Type::List(element) | Type::Map(element, _) => (*element).clone(),
            _ => Type::Dyn,
        };
        let list: List<'static> = match self.value(range)? {
            Val::List(list) => list,
            Val::Map(Map::Shared(entries)) => List::Shared(entries.iter().map(|(key, _)| key.clone()).collect()),
            _ => return Err(EvalError::NoValue),
        };
        Ok((list.iter().collect(), type_))
    }

    fn checked(&self, ast: &Ast) -> Result<Typed, EvalError> {
        let mut checker = Checker::new(self.source, Root::Event, &self.variables.compiled.defined);
        checker.locals = self.locals.iter().map(|(name, type_, _)| (name.clone(), type_.clone())).collect();
        checker.check(ast).map_err(|error| EvalError::BadArgument(error.message))
    }

    fn value(&self, ast: &Ast) -> Result<Value, EvalError> {
        let node = self.checked(ast)?.node;
        let mut steps = Steps::default();
        let locals = self.locals.iter().map(|(_, _, value)| Ok(value.clone())).collect();
        let input = Input::Event(self.event);
        let value = Evaluation::<false>::new(input, locals, &mut steps).node(&node)?;
        value.into_owned(&mut Steps::default())
    }

    fn outcome(&self, ast: &Ast) -> Outcome {
        match self.value(ast) {
            Ok(Val::Bool(true)) => Outcome::Held,
            Ok(Val::Bool(false)) => Outcome::Failed,
            Ok(other) => Outcome::Value(clip(&other.to_json().to_string())),
            Err(error) => Outcome::Error(clip(&error.to_string())),
        }
    }

    fn text(&self, ast: &Ast) -> String {
        clip(&self.composed(ast))
    }

    /// As it is written; of several conditions, each as it is written.
    fn composed(&self, ast: &Ast) -> String {
        let inside = |part: &Ast| match &part.kind {
            Kind::And(_) | Kind::Or(_) => format!("({})", self.composed(part)),
            Kind::Call { target: None, function, .. } if function == "_?_:_" => format!("({})", self.composed(part)),
            _ => self.composed(part),
        };
        let join = |terms: &[Ast], operator: &str| terms.iter().map(inside).collect::<Vec<_>>().join(operator);
        match &ast.kind {
            Kind::And(terms) => join(terms, " && "),
            Kind::Or(terms) => join(terms, " || "),
            Kind::Call { target: None, function, args } => match (function.as_str(), args.as_slice()) {
                ("!_", [operand]) if self.is_composed(operand) => format!("!{}", inside(operand)),
                ("_?_:_", [condition, then, otherwise]) => {
                    format!("{} ? {} : {}", inside(condition), inside(then), inside(otherwise))
                }
                _ => written(self.source, ast.start),
            },
            _ => written(self.source, ast.start),
        }
    }

    /// The values that a condition reads, each once, in the order in which they are written.
    fn reads(&self, ast: &Ast, reads: &mut Vec<Reading>) {
        if let Some(path) = spelled(ast).filter(|_| self.is_read(ast)) {
            let value = match self.value(ast) {
                Ok(Val::Optional(inner)) => inner.map(|value| clip(&value.to_json().to_string())),
                Ok(value) => Some(clip(&value.to_json().to_string())),
                Err(_) => None,
            };
            let reading = Reading { path, value };
            if !reads.contains(&reading) {
                reads.push(reading);
            }
            return;
        }
        if let Some(binding) = binding(ast) {
            return self.reads(binding.range, reads);
        }
        match &ast.kind {
            Kind::Call { target, args, .. } => {
                target.iter().map(|t| &**t).chain(args).for_each(|part| self.reads(part, reads));
            }
            Kind::Select { operand, .. } => self.reads(operand, reads),
            Kind::Index { operand, index, .. } => [operand, index].into_iter().for_each(|part| self.reads(part, reads)),
            Kind::And(terms) | Kind::Or(terms) => terms.iter().for_each(|term| self.reads(term, reads)),
            Kind::List(elements) => elements.iter().for_each(|(element, _)| self.reads(element, reads)),
            Kind::Map(entries) => entries.iter().flat_map(|(k, v, _)| [k, v]).for_each(|part| self.reads(part, reads)),
            Kind::Literal(_) | Kind::Name(_) | Kind::Struct(_) => {}
        }
    }

    /// True for a chain on a field, a variable or a macro's variable; a group of fields has no value.
    fn is_read(&self, ast: &Ast) -> bool {
        let mut at = ast;
        let mut path = Vec::new();
        while let Kind::Select { operand, .. } | Kind::Index { operand, .. } = &at.kind {
            if let Kind::Select { field, .. } = &at.kind {
                path.push(field.as_str());
            }
            at = operand;
        }
        let Kind::Name(root) = &at.kind else { return false };
        if self.locals.iter().any(|(name, _, _)| name == root) || (root == "variables" && !path.is_empty()) {
            return true;
        }
        path.push(root.strip_prefix('.').unwrap_or(root));
        path.reverse();
        (1..=path.len()).any(|n| schema::lookup(&path.iter().take(n).copied().collect::<Vec<_>>().join(".")).is_some())
    }
}

/// A chain of selections as it is written: `audit.annotations[?"a/b"]`.
fn spelled(ast: &Ast) -> Option<String> {
    match &ast.kind {
        Kind::Name(name) => Some(name.clone()),
        Kind::Select { operand, field, optional } => {
            Some(format!("{}{}{field}", spelled(operand)?, if *optional { ".?" } else { "." }))
        }
        Kind::Index { operand, index, optional } => {
            let Kind::Literal(key) = &index.kind else { return None };
            Some(format!("{}{}{}]", spelled(operand)?, if *optional { "[?" } else { "[" }, key.to_json()))
        }
        _ => None,
    }
}

fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(MAX_TEXT).map(shown).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::expr::{Expected, Program, tests::sample};

    fn traced(source: &str) -> Trace {
        trace(source, &TracedVariables::default(), &sample()).unwrap()
    }

    #[test]
    fn condition_is_traced_with_the_values_that_it_reads() {
        let found =
            traced("audit.verb == 'create' && audit.objectRef.resource == 'nodes' && has(audit.requestObject.nope)");
        assert_eq!((found.part, &found.outcome), (Part::All, &Outcome::Failed));
        let read = |path: &str, value: Option<&str>| Reading { path: path.into(), value: value.map(Into::into) };
        assert_eq!(found.parts[0].text, "audit.verb == 'create'");
        assert_eq!(
            (found.parts[0].held(), &found.parts[0].reads),
            (true, &vec![read("audit.verb", Some("\"create\""))])
        );
        assert_eq!(found.parts[1].outcome, Outcome::Failed);
        assert_eq!(found.parts[2].reads, [read("audit.requestObject.nope", None)]);
        assert!((found.closeness() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn error_says_why() {
        let found = traced("audit.requestObject.nope == 1 || false");
        let Outcome::Error(why) = &found.parts[0].outcome else { panic!("{found:?}") };
        assert!(why.contains("no such key"), "{why}");
        assert_eq!(found.parts[1].outcome, Outcome::Failed);
    }

    #[test]
    fn elements_choices_and_variables_are_opened() {
        let mut variables = TracedVariables::default();
        variables.define("small", "audit.verb.size() < 3 && true").unwrap();
        let source = "[1, 2, 3, 4, 5].exists(x, x > 3 && x != 9) && (audit.verb == 'get' ? true : variables.small)";
        let found = trace(source, &variables, &sample()).unwrap();
        let each = &found.parts[0];
        assert_eq!((each.part, each.held(), each.more), (Part::Each, true, 2));
        assert_eq!(each.parts[0].text, "x = 4");
        assert_eq!(each.parts[0].parts[0].parts[0].text, "x > 3");
        let choice = &found.parts[1];
        assert_eq!((choice.part, choice.parts[1].part), (Part::Choice, Part::Variable));
        assert_eq!(choice.parts[1].parts[0].parts[0].text, "audit.verb.size() < 3");
        assert_eq!(choice.text, "audit.verb == 'get' ? true : variables.small");
    }

    #[test]
    fn trace_agrees_with_the_evaluator() {
        for source in [
            "audit.verb == 'create'",
            "!(audit.verb == 'create' || user.name == 'x')",
            "audit.requestObject.nope == 1 && false",
            "audit.requestObject.nope == 1 || true",
            "audit.user.groups.all(g, g.size() > 0)",
            "audit.annotations[?'x'].orValue('') == ''",
            "audit.requestObject.?spec.?containers.orValue([]).exists(c, c.?image.orValue('').contains('a'))",
        ] {
            let program = Program::compile(source, Expected::Bool, &Variables::default()).unwrap();
            let held = program.holds(&sample(), &mut Steps::default());
            let found = traced(source);
            match held {
                Ok(held) => assert_eq!(found.held(), held, "{source}: {found:?}"),
                Err(_) => assert!(matches!(found.outcome, Outcome::Error(_)), "{source}: {found:?}"),
            }
        }
    }
}
