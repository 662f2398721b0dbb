//! What a value is in events whose bodies hold none of the texts that an expression looks for. In: a part of an expression. Out:
//! its usual value, and what must hold of the event for it to be another. So a condition on bodies, which have to be decoded to be
//! read, tells texts without which it can't hold: `c.?securityContext.?privileged.orValue(false) == true` says
//! `false == true` of every body without `"privileged"`. An error may stand in the place of any value.

use std::rc::Rc;

use super::{
    condition::{Alternatives, Subject, Term, Test},
    derive::{Bound, Derivation, PART},
};
use crate::{
    event::schema::Field,
    ruleset::expr::{
        EvalError, List, Map, Steps, Val, Value,
        tree::{Comprehension, Macro, Node, Search},
    },
};

/// Keys and texts that nearly every body of interest has: to look for them would be in vain.
const COMMON: [&str; 27] = [
    "annotations",
    "apiVersion",
    "args",
    "command",
    "conditions",
    "containers",
    "env",
    "image",
    "items",
    "kind",
    "labels",
    "message",
    "metadata",
    "name",
    "namespace",
    "ports",
    "reason",
    "resources",
    "rules",
    "securityContext",
    "selector",
    "spec",
    "status",
    "subjects",
    "template",
    "type",
    "volumes",
];

/// Keys that say less than those around them.
const FREQUENT: [&str; 3] = ["path", "from", "value"];

/// Shortest part of a text that is looked for.
const SHORTEST: usize = 3;

/// Steps of one call on usual values: they are short.
const STEPS: u64 = 64;

/// What is known of a value.
#[derive(Clone)]
pub(super) struct Usually {
    value: Usual,
    /// It is another only where this holds.
    unless: Alternatives,
    other: Other,
}

#[derive(Clone)]
enum Usual {
    Unknown,
    Error,
    Value(Value),
}

/// What a value is when it is not the usual one.
#[derive(Clone)]
enum Other {
    Any,
    /// Out of a body, or an optional of that: all its keys and texts stand in the body. Or it holds nothing at all.
    Body,
    /// A list of such elements.
    Items(Rc<Usually>),
}

impl Usually {
    fn unknown() -> Usually {
        Usually { value: Usual::Unknown, unless: Alternatives::always(), other: Other::Any }
    }

    fn constant(value: Value) -> Usually {
        Usually { value: Usual::Value(value), unless: Alternatives::never(), other: Other::Any }
    }

    fn of_body() -> Usually {
        Usually { other: Other::Body, ..Usually::unknown() }
    }

    /// Whether it is out of a body but for its usual value.
    fn is_of_body(&self) -> bool {
        matches!(self.other, Other::Body) || self.unless.is_never()
    }

    /// Whether it is out of a body, or holds nothing.
    fn is_within_body(&self) -> bool {
        let holds_nothing = match &self.value {
            Usual::Unknown | Usual::Error => true,
            Usual::Value(value) => is_empty(value),
        };
        holds_nothing && self.is_of_body()
    }

    fn is_empty_list(&self) -> bool {
        matches!(&self.value, Usual::Value(Val::List(list)) if list.is_empty())
    }

    /// Any element of it, or key of a map.
    fn element(&self) -> Usually {
        match &self.other {
            Other::Items(items) => (**items).clone(),
            Other::Body if self.is_within_body() => Usually::of_body(),
            _ => Usually::unknown(),
        }
    }

    /// What is under a key of it.
    fn selected(self, key: &str) -> Usually {
        let value = Usual::Value(Val::Optional(None));
        match (&self.value, &self.other) {
            (Usual::Value(held), _) if !lacks_keys(held) => Usually::unknown(),
            (_, Other::Body) if FREQUENT.contains(&key) && !self.unless.is_always() => Usually { value, ..self },
            (_, Other::Body) => Usually { value, unless: narrowed(self.unless, quoted(key)), other: Other::Body },
            (Usual::Unknown, _) => Usually::unknown(),
            _ => Usually { value, unless: self.unless, other: Other::Any },
        }
    }

    /// Either of the two.
    fn or(self, other: Usually) -> Usually {
        let within = self.is_of_body() && other.is_of_body();
        match (&self.value, &other.value) {
            (Usual::Value(a), Usual::Value(b)) if is_same(a, b) => Usually {
                value: self.value,
                unless: self.unless.or(other.unless),
                other: if within { Other::Body } else { Other::Any },
            },
            _ if self.is_within_body() && other.is_within_body() => Usually::of_body(),
            _ => Usually::unknown(),
        }
    }
}

/// A value without keys, texts and elements.
fn is_empty(value: &Value) -> bool {
    match value {
        Val::Null | Val::Bool(_) | Val::Optional(None) => true,
        Val::Str(text) => text.as_str().is_empty(),
        Val::List(list) => list.is_empty(),
        Val::Map(map) => map.is_empty(),
        _ => false,
    }
}

/// Of which a selection gives nothing, or an error.
fn lacks_keys(value: &Value) -> bool {
    match value {
        Val::Map(map) => map.is_empty(),
        Val::Optional(inner) => inner.is_none(),
        _ => true,
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Val::Null, Val::Null) | (Val::Optional(None), Val::Optional(None)) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Int(a), Val::Int(b)) => a == b,
        (Val::Str(a), Val::Str(b)) => a.as_str() == b.as_str(),
        (Val::List(a), Val::List(b)) => a.is_empty() && b.is_empty(),
        (Val::Map(a), Val::Map(b)) => a.is_empty() && b.is_empty(),
        _ => false,
    }
}

/// A key or a whole text stands in a body.
fn quoted(text: &str) -> Alternatives {
    if COMMON.contains(&text) { Alternatives::always() } else { part(&format!("\"{text}\""), text) }
}

/// `written` stands in a body for `text`.
fn part(written: &str, text: &str) -> Alternatives {
    let is_plain = text.chars().all(|c| !matches!(c, '"' | '\\') && !c.is_control());
    if !is_plain || text.len() < SHORTEST || text.len() > PART {
        return Alternatives::always();
    }
    Alternatives::one(Term::any(Subject::Bodies, vec![Test::Contains(written.into())]))
}

/// Both hold; the second says more.
fn narrowed(first: Alternatives, second: Alternatives) -> Alternatives {
    if second.is_always() { first } else { second }
}

fn is_body(field: &Field) -> bool {
    matches!(field.path, "audit.requestObject" | "audit.responseObject")
}

impl<'n> Derivation<'n> {
    /// What holds of an event whenever `node` is `wanted` for it, by what it usually is.
    pub(super) fn unusual(&mut self, node: &'n Node, wanted: bool) -> Alternatives {
        let known = self.usually(node);
        let unless = match known.value {
            Usual::Value(Val::Bool(usual)) if usual == wanted => return Alternatives::always(),
            Usual::Unknown => Alternatives::always(),
            _ => known.unless,
        };
        let said = self.said(node, wanted).unwrap_or_else(Alternatives::always);
        narrowed(unless, said)
    }

    /// The texts that a comparison with a value out of a body names.
    fn said(&mut self, node: &'n Node, wanted: bool) -> Option<Alternatives> {
        let Node::Call { name, args, .. } = node else { return None };
        match (*name, args.as_slice(), wanted) {
            ("_==_", [a, b], true) | ("_!=_", [a, b], false) => {
                let (value, text) = match (self.text(a), self.text(b)) {
                    (None, Some(text)) => (a, text),
                    (Some(text), None) => (b, text),
                    _ => return None,
                };
                self.usually(value).is_of_body().then(|| quoted(text))
            }
            ("@in", [value, list], true) => {
                if let Some(text) = self.text(value) {
                    return self.usually(list).is_of_body().then(|| quoted(text));
                }
                let texts = self.texts(list)?;
                let of_texts = texts.into_iter().fold(Alternatives::never(), |all, text| all.or(quoted(text)));
                self.usually(value).is_of_body().then_some(of_texts)
            }
            ("startsWith" | "endsWith" | "contains", [value, text], true) => {
                let text = self.text(text)?;
                self.usually(value).is_of_body().then(|| part(text, text))
            }
            _ => None,
        }
    }

    /// What is known of any value that `node` has.
    pub(super) fn usually(&mut self, node: &'n Node) -> Usually {
        if !self.goes_on() {
            return Usually::unknown();
        }
        match node {
            Node::Constant(value) => Usually::constant(value.clone()),
            Node::Field(field) | Node::OptionalField { field, .. } if is_body(field) => Usually::of_body(),
            Node::Variable(inner) => self.usually(inner),
            Node::Local(depth) => match self.bound.iter().rev().nth(*depth) {
                Some(Bound::Usually(known)) => (**known).clone(),
                Some(Bound::Text(text)) => Usually::constant(Val::Str((*text).into())),
                _ => Usually::unknown(),
            },
            Node::Select(selection) => self.usually(&selection.operand).selected(&selection.key),
            Node::Has(selection) => match self.usually(&selection.operand).selected(&selection.key) {
                Usually { value: Usual::Value(_), unless, .. } => {
                    Usually { unless, ..Usually::constant(Val::Bool(false)) }
                }
                _ => Usually::unknown(),
            },
            Node::Index { operand, index, .. } => match (self.usually(operand), self.text(index)) {
                (operand, Some(key)) => operand.selected(key),
                (operand, None) => operand.element(),
            },
            Node::OrElse { optional, other, unwrap: true } => self.value_or(optional, other),
            Node::If { condition, then, otherwise } => self.either(condition, then, otherwise),
            Node::Bind { value, body } => {
                let value = self.usually(value);
                self.bound_to(Bound::Usually(Rc::new(value)), |within| within.usually(body))
            }
            Node::List(elements) => self.list(elements),
            Node::Map { entries, .. } if entries.is_empty() => {
                Usually::constant(Val::Map(Map::Shared(Vec::new().into())))
            }
            Node::Call { name: "dyn", args, .. } if args.len() == 1 => {
                args.first().map_or_else(Usually::unknown, |arg| self.usually(arg))
            }
            Node::Call { name, args, .. } => self.called(node, name, args),
            Node::Pattern { search: Search::Matches, text, pattern, .. } => match self.usually(text) {
                Usually { value: Usual::Value(Val::Str(text)), unless, .. } => {
                    Usually { unless, ..Usually::constant(Val::Bool(pattern.regex.is_match(text.as_str()))) }
                }
                _ => Usually::unknown(),
            },
            Node::Macro(comprehension) => self.usual_macro(node, comprehension),
            Node::And(_) | Node::Or(_) | Node::HasField(_) => self.truth(node),
            _ => Usually::unknown(),
        }
    }

    /// Of what is true or false.
    fn truth(&mut self, node: &'n Node) -> Usually {
        Usually { unless: self.is(node, true), ..Usually::constant(Val::Bool(false)) }
    }

    fn value_or(&mut self, optional: &'n Node, default: &'n Node) -> Usually {
        let (optional, default) = (self.usually(optional), self.usually(default));
        match optional.value {
            Usual::Value(Val::Optional(None)) => {
                let within = matches!(optional.other, Other::Body) && default.is_of_body();
                let other = if within { Other::Body } else { Other::Any };
                Usually { value: default.value, unless: optional.unless.or(default.unless), other }
            }
            Usual::Unknown => optional.or(default),
            Usual::Value(_) | Usual::Error => Usually::unknown(),
        }
    }

    fn either(&mut self, condition: &'n Node, then: &'n Node, otherwise: &'n Node) -> Usually {
        let (then, otherwise) = (self.usually(then), self.usually(otherwise));
        let joined = then.clone().or(otherwise.clone());
        if matches!(joined.value, Usual::Value(_)) {
            return joined;
        }
        // The usual value is that of the branch that is taken unless the condition is another.
        for (branch, holds) in [(otherwise, true), (then, false)] {
            if let Usual::Value(_) = branch.value {
                let unless = self.is(condition, holds).or(branch.unless);
                if !unless.is_always() {
                    return Usually { value: branch.value, unless, other: joined.other };
                }
            }
        }
        joined
    }

    fn list(&mut self, elements: &'n [(Node, bool)]) -> Usually {
        if elements.iter().any(|(_, optional)| *optional) {
            return Usually::unknown();
        }
        let each: Vec<Usually> = elements.iter().map(|(element, _)| self.usually(element)).collect();
        let unless = each.iter().fold(Alternatives::never(), |all, one| all.or(one.unless.clone()));
        let values: Option<Vec<Value>> = each
            .iter()
            .map(|one| match &one.value {
                Usual::Value(value) => Some(value.clone()),
                Usual::Unknown | Usual::Error => None,
            })
            .collect();
        let other = each.into_iter().reduce(Usually::or).map_or(Other::Any, |any| Other::Items(Rc::new(any)));
        match values {
            Some(values) => Usually { value: Usual::Value(Val::List(List::Shared(values.into()))), unless, other },
            None => Usually { other, ..Usually::unknown() },
        }
    }

    /// A function of usual values has a usual value.
    fn called(&mut self, node: &'n Node, name: &str, args: &'n [Node]) -> Usually {
        let Node::Call { implementation, .. } = node else { return Usually::unknown() };
        let (mut values, mut unless, mut items) = (Vec::new(), Alternatives::never(), Vec::new());
        let mut is_known = true;
        for arg in args {
            let arg = self.usually(arg);
            items.push(arg.element());
            match arg.value {
                Usual::Value(value) => values.push(value),
                Usual::Error => return Usually { value: Usual::Error, unless: arg.unless, other: Other::Any },
                Usual::Unknown => is_known = false,
            }
            unless = unless.or(arg.unless);
        }
        let other = match name {
            "_+_" => items.into_iter().reduce(Usually::or).map_or(Other::Any, |any| Other::Items(Rc::new(any))),
            _ => Other::Any,
        };
        if !is_known {
            return Usually { other, ..Usually::unknown() };
        }
        match implementation(&values, &mut Steps::new(STEPS)) {
            Ok(value) => Usually { value: Usual::Value(value), unless, other },
            Err(EvalError::OverBudget) => Usually::unknown(),
            Err(_) => Usually { value: Usual::Error, unless, other },
        }
    }

    fn usual_macro(&mut self, node: &'n Node, comprehension: &'n Comprehension) -> Usually {
        let Comprehension { kind, range, pair, body, .. } = comprehension;
        match kind {
            Macro::Exists | Macro::All | Macro::ExistsOne => return self.truth(node),
            Macro::Filter | Macro::List => {}
            Macro::Map | Macro::Entries | Macro::SortBy => return Usually::unknown(),
        }
        let known = self.usually(range);
        let (is_empty, element) = (known.is_empty_list(), known.element());
        let bound = Bound::Usually(Rc::new(element.clone()));
        if *kind == Macro::Filter {
            // None is let through unless the condition holds for one.
            let unless = if is_empty { known.unless } else { Alternatives::always() };
            let unless = unless.and(self.with(*pair, bound, body, true));
            let value = Usual::Value(Val::List(List::Shared(Vec::new().into())));
            return Usually { value, unless, other: Other::Items(Rc::new(element)) };
        }
        let element = if *pair { Usually::unknown() } else { self.bound_to(bound, |within| within.usually(body)) };
        let other = Other::Items(Rc::new(element));
        match is_empty {
            true => Usually { other, ..known },
            false => Usually { other, ..Usually::unknown() },
        }
    }

    /// What is known of any element of a range, and what must hold for it to have one.
    pub(super) fn elements(&mut self, range: &'n Node) -> (Usually, Alternatives) {
        let range = self.usually(range);
        let any = if range.is_empty_list() { range.unless.clone() } else { Alternatives::always() };
        (range.element(), any)
    }
}
