//! Evaluates a compiled tree over an input. CEL's semantics: `&&`, `||`, `all` and `exists` absorb errors, everything else
//! passes them on. Each node visited costs a step; running out of steps is never absorbed.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    bindings::Bindings,
    budget::Steps,
    convert::is_zero,
    error::EvalError,
    operators::no_overload,
    text,
    tree::{Node, Selection},
    value::{Map, Val},
};
use crate::event::{
    Event,
    schema::{Field, FieldType},
};

/// What an expression is evaluated over.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Event(&'a Event<'a>),
    Bindings(&'a Bindings),
}

impl<'a> Input<'a> {
    fn field(self, field: &'static Field) -> Option<Val<'a>> {
        match self {
            Input::Event(event) => Val::of_field((field.get)(event)),
            Input::Bindings(_) => None,
        }
    }

    fn bound(self, name: &str) -> Option<Val<'a>> {
        match self {
            Input::Event(_) => None,
            Input::Bindings(bindings) => bindings.bound.get(name)?.value.clone(),
        }
    }

    /// True when the field is not at its default; a body when there is one.
    fn has(self, field: &'static Field) -> bool {
        match (self, field.type_) {
            (Input::Event(event), FieldType::Dyn) => (field.is_there)(event),
            _ => self.field(field).is_some_and(|value| !is_zero(&value)),
        }
    }
}

/// The errors of an evaluation, each with the place of the innermost part that gave it.
#[derive(Default)]
pub(super) struct Faults {
    found: Vec<(EvalError, u32)>,
}

/// Different errors that are remembered.
const FAULTS: usize = 64;

impl Faults {
    pub fn place_of(&self, error: &EvalError) -> Option<usize> {
        self.found.iter().find(|(found, _)| found == error).map(|(_, at)| *at as usize)
    }

    fn note(&mut self, error: &EvalError, at: Option<u32>) {
        if let Some(at) = at
            && self.found.len() < FAULTS
            && self.place_of(error).is_none()
        {
            self.found.push((error.clone(), at));
        }
    }
}

/// What a selection gives, without the cell that an optional is kept in.
enum Picked<'a> {
    Value(Val<'a>),
    Optional(Option<Val<'a>>),
}

impl<'a> Picked<'a> {
    fn of(value: Val<'a>) -> Picked<'a> {
        match value {
            Val::Optional(inner) => Picked::Optional(inner.map(Arc::unwrap_or_clone)),
            value => Picked::Value(value),
        }
    }

    fn kept(self) -> Val<'a> {
        match self {
            Picked::Value(value) => value,
            Picked::Optional(inner) => Val::Optional(inner.map(Arc::new)),
        }
    }
}

/// One evaluation; `TRACED` is one that notes where it fails, which all others must not pay for.
pub(super) struct Evaluation<'a, 's, const TRACED: bool> {
    pub input: Input<'a>,
    /// Variables of the macros around the node, the innermost last.
    pub locals: Vec<Answer<'a>>,
    pub steps: &'s mut Steps,
    /// Values of the rule's variables that were needed so far, by the address of their tree: each is computed once,
    /// however often it is named.
    pub variables: Vec<(usize, Answer<'a>)>,
    pub faults: Faults,
}

pub(super) type Answer<'a> = Result<Val<'a>, EvalError>;

impl<'a, 's, const TRACED: bool> Evaluation<'a, 's, TRACED> {
    pub fn new(input: Input<'a>, locals: Vec<Answer<'a>>, steps: &'s mut Steps) -> Self {
        Evaluation { input, locals, steps, variables: Vec::new(), faults: Faults::default() }
    }
}

impl<'a, const TRACED: bool> Evaluation<'a, '_, TRACED> {
    fn variable(&mut self, node: &'a Node) -> Answer<'a> {
        let address = std::ptr::from_ref(node).addr();
        if let Some((_, known)) = self.variables.iter().find(|(known, _)| *known == address) {
            return known.clone();
        }
        let answer = self.node(node);
        self.variables.push((address, answer.clone()));
        answer
    }

    pub fn node(&mut self, node: &'a Node) -> Answer<'a> {
        if !TRACED {
            return self.value(node);
        }
        let before = self.faults.found.len();
        let answer = self.value(node);
        match &answer {
            // What failed below was absorbed.
            Ok(_) => self.faults.found.truncate(before),
            Err(error) => self.faults.note(error, node.at()),
        }
        answer
    }

    fn value(&mut self, node: &'a Node) -> Answer<'a> {
        self.steps.charge(1)?;
        match node {
            // Borrowed: counting references to what all evaluations share would cost more than the rest of this.
            Node::Constant(Val::Str(text)) => Ok(Val::text(text.as_str())),
            Node::Constant(value) => Ok(value.clone()),
            Node::Field(field) => self.input.field(field).ok_or_else(|| EvalError::NoSuchKey(field.path.into())),
            Node::Local(depth) => self.locals.iter().rev().nth(*depth).cloned().unwrap_or_else(|| Err(unbound("?"))),
            Node::Bound(name) => self.input.bound(name).ok_or_else(|| unbound(name)),
            Node::Variable(node) => self.variable(node),
            Node::HasField(fields) => Ok(Val::Bool(self.has_any(fields)?)),
            Node::OptionalField { field, guards } => self.optional_field(field, guards).map(Picked::kept),
            Node::Select(selection) => self.select(selection).map(Picked::kept),
            Node::Has(selection) => self.has(selection),
            Node::Index { operand, index, optional, at: _ } => self.index(operand, index, *optional),
            Node::And(terms) => self.logic(terms, false),
            Node::Or(terms) => self.logic(terms, true),
            Node::If { condition, then, otherwise } => match self.node(condition)? {
                Val::Bool(true) => self.node(then),
                Val::Bool(false) => self.node(otherwise),
                other => Err(no_overload(&[other])),
            },
            Node::List(elements) => self.list(elements),
            Node::Map { entries, at: _ } => self.map_literal(entries),
            Node::Call { name, implementation, args, at: _ } => self.call(name, *implementation, args),
            Node::Pattern { search, text: subject, pattern, most, at: _ } => {
                let mut args: SmallVec<[Val<'a>; 2]> = SmallVec::from_iter([self.node(subject)?]);
                if let Some(most) = most {
                    args.push(self.node(most)?);
                }
                text::search(*search, pattern, &args, self.steps)
            }
            Node::Macro(comprehension) => self.comprehension(comprehension),
            Node::Bind { value, body } => match self.node(value) {
                Err(EvalError::OverBudget) => Err(EvalError::OverBudget),
                // An error counts only where the name is read.
                answer => self.with_local(answer, body),
            },
            Node::OrElse { optional, other, unwrap } => match self.picked(optional)? {
                Picked::Optional(Some(value)) if *unwrap => Ok(value),
                Picked::Optional(Some(value)) => Ok(Val::some(value)),
                Picked::Optional(None) => self.node(other),
                // A value that is no optional stands for itself, as in the reference implementation.
                Picked::Value(value) => Ok(value),
            },
            Node::OptionalMap { optional, body, wrap } => match self.node(optional)? {
                Val::Optional(Some(value)) => {
                    let mapped = self.with_local(Ok(Arc::unwrap_or_clone(value)), body)?;
                    Ok(if *wrap { Val::some(mapped) } else { mapped })
                }
                Val::Optional(None) => Ok(Val::Optional(None)),
                other => Err(no_overload(&[other])),
            },
        }
    }

    /// As `node`, for what is taken apart at once: `a.?b.?c.orValue(d)` makes no optional.
    fn picked(&mut self, node: &'a Node) -> Result<Picked<'a>, EvalError> {
        match node {
            Node::Select(selection) if !TRACED => {
                self.steps.charge(1)?;
                self.select(selection)
            }
            Node::OptionalField { field, guards } if !TRACED => {
                self.steps.charge(1)?;
                self.optional_field(field, guards)
            }
            node => self.node(node).map(Picked::of),
        }
    }

    fn with_local(&mut self, value: Answer<'a>, body: &'a Node) -> Answer<'a> {
        self.locals.push(value);
        let answer = self.node(body);
        self.locals.pop();
        answer
    }

    fn has_any(&mut self, fields: &[&'static Field]) -> Result<bool, EvalError> {
        self.steps.charge(fields.len() as u64)?;
        Ok(fields.iter().any(|field| self.input.has(field)))
    }

    fn optional_field(
        &mut self,
        field: &'static Field,
        guards: &[Vec<&'static Field>],
    ) -> Result<Picked<'a>, EvalError> {
        for guard in guards {
            if !self.has_any(guard)? {
                return Ok(Picked::Optional(None));
            }
        }
        Ok(Picked::Optional(self.input.field(field)))
    }

    /// `||` (`absorbing` true) and `&&` (false): the absorbing value wins over any error, before or after it.
    fn logic(&mut self, terms: &'a [Node], absorbing: bool) -> Answer<'a> {
        let mut first_error = None;
        for term in terms {
            match self.node(term) {
                Ok(Val::Bool(b)) if b == absorbing => return Ok(Val::Bool(absorbing)),
                Ok(Val::Bool(_)) => {}
                Ok(other) => {
                    first_error.get_or_insert_with(|| no_overload(&[other]));
                }
                Err(EvalError::OverBudget) => return Err(EvalError::OverBudget),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(Val::Bool(!absorbing)), Err)
    }

    fn select(&mut self, selection: &'a Selection) -> Result<Picked<'a>, EvalError> {
        let Selection { operand, key, optional, path, at: _ } = selection;
        let (operand, viral) = match self.picked(operand)? {
            Picked::Optional(None) => return Ok(Picked::Optional(None)),
            Picked::Optional(Some(inner)) => (inner, true),
            Picked::Value(other) => (other, false),
        };
        let value = match &operand {
            Val::Map(map) => {
                self.charge_lookup(map)?;
                map.get(key)
            }
            // A number or text has no keys, so not this one, as the reference implementation sees it; a list is indexed.
            other if *optional && !matches!(other, Val::List(_)) => None,
            other => return Err(no_field(other, key)),
        };
        match value {
            value if *optional || viral => Ok(Picked::Optional(value)),
            Some(value) => Ok(Picked::Value(value)),
            None => Err(EvalError::NoSuchKey(path.to_string())),
        }
    }

    fn charge_lookup(&mut self, map: &Map<'a>) -> Result<(), EvalError> {
        match map {
            Map::Shared(entries) => self.steps.charge(entries.len() as u64),
            Map::Pairs(pairs) => self.steps.charge(pairs.len() as u64),
            Map::Lists(pairs) => self.steps.charge(pairs.len() as u64),
            Map::Strings(_) | Map::Json(_) | Map::Body(_) => Ok(()),
        }
    }

    /// False for what has no keys, an error for a list, as in the reference implementation.
    fn has(&mut self, selection: &'a Selection) -> Answer<'a> {
        let Selection { operand, key, optional: _, path: _, at: _ } = selection;
        let operand = match self.node(operand)? {
            Val::Optional(Some(inner)) => Arc::unwrap_or_clone(inner),
            other => other,
        };
        match operand {
            Val::Map(map) => {
                self.charge_lookup(&map)?;
                Ok(Val::Bool(map.get(key).is_some()))
            }
            list @ Val::List(_) => Err(no_field(&list, key)),
            _ => Ok(Val::Bool(false)),
        }
    }

    fn index(&mut self, operand: &'a Node, index: &'a Node, optional: bool) -> Answer<'a> {
        let operand = self.node(operand)?;
        let index = self.node(index)?;
        let (operand, viral) = match operand {
            Val::Optional(None) => return Ok(Val::Optional(None)),
            Val::Optional(Some(inner)) => (Arc::unwrap_or_clone(inner), true),
            other => (other, false),
        };
        if !optional && !viral {
            return match (self.element(&operand, &index)?, operand) {
                (Some(value), _) => Ok(value),
                (None, Val::List(_)) => Err(EvalError::IndexOutOfRange(index.to_string())),
                (None, _) => Err(EvalError::NoSuchKey(index.to_string())),
            };
        }
        match (&operand, &index) {
            (_, Val::Str(_) | Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::Bool(_)) => {}
            (_, other) => return Err(EvalError::NoSuchOverload(format!("[?{}]", other.type_name()))),
        }
        match operand {
            Val::List(_) | Val::Map(_) => Ok(Val::Optional(self.element(&operand, &index)?.map(Arc::new))),
            _ => Ok(Val::Optional(None)),
        }
    }

    fn element(&mut self, operand: &Val<'a>, index: &Val<'a>) -> Result<Option<Val<'a>>, EvalError> {
        match (operand, index) {
            (Val::List(list), Val::Int(i)) => Ok(usize::try_from(*i).ok().and_then(|i| list.get(i))),
            (Val::List(list), Val::Uint(i)) => Ok(usize::try_from(*i).ok().and_then(|i| list.get(i))),
            (Val::List(list), Val::Double(d)) if d.fract() == 0.0 && *d >= 0.0 => Ok(list.get(*d as usize)),
            (Val::Map(map), key) => map.find(key, self.steps),
            (operand, index) => Err(no_overload(&[operand.clone(), index.clone()])),
        }
    }

    fn list(&mut self, elements: &'a [(Node, bool)]) -> Answer<'a> {
        let mut values = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            match (self.node(element)?, optional) {
                (value, false) => values.push(value),
                (Val::Optional(None), true) => {}
                (Val::Optional(Some(inner)), true) => values.push(Arc::unwrap_or_clone(inner)),
                (other, true) => return Err(no_overload(&[other])),
            }
        }
        Ok(Val::list(values))
    }

    fn map_literal(&mut self, literal: &'a [(Node, Node, bool)]) -> Answer<'a> {
        let mut entries: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(literal.len());
        for (key, value, optional) in literal {
            let key = self.node(key)?;
            if !matches!(key, Val::Str(_) | Val::Int(_) | Val::Uint(_) | Val::Bool(_)) {
                return Err(EvalError::BadArgument(format!("a {} can't be a map key", key.type_name())));
            }
            let value = match (self.node(value)?, optional) {
                (value, false) => value,
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(inner)), true) => Arc::unwrap_or_clone(inner),
                (other, true) => return Err(no_overload(&[other])),
            };
            for (earlier, _) in &entries {
                if earlier.equals(&key, self.steps)? {
                    return Err(EvalError::BadArgument(format!("map key {key} occurs twice")));
                }
            }
            entries.push((key, value));
        }
        Ok(Val::Map(Map::Shared(entries.into())))
    }

    /// Whether a text is one of those in a literal list, without making the list; the steps are those of making it. `None`
    /// when the list has anything but known texts.
    fn member(&mut self, value: &'a Node, list: &'a [(Node, bool)]) -> Option<Answer<'a>> {
        let known = |(node, optional): &'a (Node, bool)| match node {
            Node::Constant(Val::Str(text)) if !optional => Some(text.as_str()),
            _ => None,
        };
        list.iter().all(|element| known(element).is_some()).then(|| {
            let value = self.node(value)?;
            self.steps.charge(1 + list.len() as u64)?;
            for text in list.iter().filter_map(known) {
                if Val::text(text).equals(&value, self.steps)? {
                    return Ok(Val::Bool(true));
                }
            }
            Ok(Val::Bool(false))
        })
    }

    fn call(&mut self, name: &str, implementation: super::table::Implementation, args: &'a [Node]) -> Answer<'a> {
        if name == "@in"
            && let [value, Node::List(list)] = args
            && let Some(answer) = self.member(value, list)
        {
            return answer;
        }
        let mut values: SmallVec<[Val<'a>; 3]> = SmallVec::new();
        for arg in args {
            values.push(self.node(arg)?);
        }
        implementation(&values, self.steps).map_err(|error| match error {
            EvalError::NoSuchOverload(types) => {
                EvalError::NoSuchOverload(format!("{}{types}", super::functions::symbol(name)))
            }
            other => other,
        })
    }
}

fn unbound(name: &str) -> EvalError {
    EvalError::BadArgument(format!("variable `{name}` has no value"))
}

fn no_field(value: &Val<'_>, key: &str) -> EvalError {
    EvalError::NoSuchOverload(format!("{}.{key}", value.type_name()))
}
