//! What a chain of selections reads: which field, which keys below it, and whether a missing one is an error. Variables of
//! the rule are followed to what they stand for, those of macros to the list that they run over.

use std::collections::BTreeMap;

use super::rule::Expression;
use crate::{
    event::schema::{self, Field, FieldType},
    ruleset::expr::{
        Value,
        view::{Ast, Binding, Kind, Stands, binding},
    },
};

/// A value that an expression reads: a field and keys below it.
#[derive(Clone)]
pub struct Chain {
    /// The field of the event that it begins with.
    pub field: &'static Field,
    /// The field itself is read with `.?`, so that an event without it is no error.
    pub asks_for_field: bool,
    steps: Vec<Step>,
    /// It has a `.?` or `[?]`: what follows is an optional and never an error.
    optional: bool,
    /// It begins at a macro's variable, which stands for an element.
    pub of_element: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// `None` for an element of a list.
    key: Option<String>,
    /// Its absence is an error.
    hard: bool,
}

impl Chain {
    fn of(field: &'static Field, optional: bool) -> Chain {
        Chain { field, asks_for_field: optional, steps: Vec::new(), optional, of_element: false }
    }

    fn step(mut self, key: Option<String>, optional: bool) -> Chain {
        self.optional |= optional;
        self.steps.push(Step { key, hard: !self.optional });
        self
    }

    /// What the elements of a list are.
    fn element(mut self) -> Chain {
        self.steps.iter_mut().for_each(|step| step.hard = false);
        self.steps.push(Step { key: None, hard: false });
        Chain { optional: false, of_element: true, ..self }
    }

    /// What an optional holds, or a value under another name.
    fn whole(mut self) -> Chain {
        self.steps.iter_mut().for_each(|step| step.hard = false);
        Chain { optional: false, ..self }
    }

    fn written(&self, steps: usize) -> String {
        let mut path = self.field.path.to_owned();
        for step in self.steps.iter().take(steps) {
            match &step.key {
                Some(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                None => path.push_str("[]"),
            }
        }
        path
    }

    /// In one form however it is written: `audit.requestObject.spec.containers[].image`.
    pub fn path(&self) -> String {
        self.written(self.steps.len())
    }

    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// True when nothing below the field is read.
    pub fn is_field(&self) -> bool {
        self.steps.is_empty()
    }

    /// True for an element of a list that is a field: a macro's variable over it.
    pub fn is_element(&self) -> bool {
        matches!(self.steps.as_slice(), [Step { key: None, .. }])
    }

    /// The key right below the field.
    pub fn first_key(&self) -> Option<&str> {
        self.steps.first().and_then(|step| step.key.as_deref())
    }

    /// The path to the last key whose absence is an error.
    pub fn hard_path(&self) -> Option<String> {
        let last = self.steps.iter().rposition(|step| step.hard)?;
        Some(self.written(last + 1))
    }

    /// The same value as an optional: `audit.?requestObject.?spec.?type`. An event may lack the body itself.
    pub fn asked(&self) -> String {
        let mut text = match self.field.path.rsplit_once('.') {
            Some((parent, body)) if self.field.type_ == FieldType::Dyn => format!("{parent}.?{body}"),
            Some(_) | None => self.field.path.to_owned(),
        };
        for step in &self.steps {
            let plain = |key: &&String| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            match &step.key {
                Some(key) if plain(&key) => text.push_str(&format!(".?{key}")),
                Some(key) => text.push_str(&format!("[?{key:?}]")),
                None => text.push_str("[?0]"),
            }
        }
        text
    }

    /// A body that an event must have, or reading it is an error.
    pub fn needs_body(&self) -> Option<&'static Field> {
        (self.field.type_ == FieldType::Dyn && !self.asks_for_field).then_some(self.field)
    }

    /// The chain without its last key; `None` for a field itself.
    pub fn parent(&self) -> Option<Chain> {
        let mut parent = self.clone();
        parent.steps.pop().map(|_| parent)
    }
}

/// How a chain occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Read,
    /// The argument of `has()`.
    Has,
}

/// The names in scope: variables of the rule, and of the macros around.
pub struct Scope<'a> {
    variables: &'a BTreeMap<String, Expression>,
    locals: Vec<(String, Option<Chain>)>,
}

impl<'a> Scope<'a> {
    pub fn new(variables: &'a BTreeMap<String, Expression>) -> Scope<'a> {
        Scope { variables, locals: Vec::new() }
    }

    pub fn is_nested(&self) -> bool {
        !self.locals.is_empty()
    }

    /// The variable of the rule that `variables.NAME` names.
    pub fn variable(&self, ast: &Ast) -> Option<&'a Expression> {
        let Kind::Select { operand, field, optional: false } = &ast.kind else { return None };
        let Kind::Name(space) = &operand.kind else { return None };
        let shadowed = self.locals.iter().any(|(name, _)| name == space);
        if space == "variables" && !shadowed { self.variables.get(field) } else { None }
    }

    /// The variables of the rule without those of the macros around: what a rule's variable itself sees.
    pub fn outside(&self) -> Scope<'a> {
        Scope::new(self.variables)
    }

    /// What the chain reads; `None` for what is no chain on a field or a macro's variable.
    pub fn chain(&self, ast: &Ast) -> Option<Chain> {
        if let Some(variable) = self.variable(ast) {
            return self.outside().chain(&variable.ast);
        }
        if let Some(field) = self.field(ast) {
            return Some(field);
        }
        match &ast.kind {
            Kind::Name(name) => self.locals.iter().rev().find(|(local, _)| local == name).and_then(|(_, c)| c.clone()),
            Kind::Select { operand, field, optional } => {
                Some(self.chain(operand)?.step(Some(field.clone()), *optional))
            }
            Kind::Index { operand, index, optional } => {
                Some(self.chain(operand)?.step(index.literal_text().map(str::to_owned), *optional))
            }
            _ => None,
        }
    }

    /// A field of the schema, `.?` between its parts or not.
    fn field(&self, ast: &Ast) -> Option<Chain> {
        let (mut parts, mut optional, mut at) = (Vec::new(), false, ast);
        while let Kind::Select { operand, field, optional: marked } = &at.kind {
            parts.push(field.as_str());
            optional |= *marked;
            at = operand;
        }
        let Kind::Name(first) = &at.kind else { return None };
        if self.locals.iter().any(|(name, _)| name == first) {
            return None;
        }
        parts.push(first.strip_prefix('.').unwrap_or(first));
        parts.reverse();
        let path = parts.join(".");
        let field = schema::lookup(&path)?;
        Some(Chain::of(field, optional))
    }

    /// Runs `inside` with a macro's variables in scope.
    pub fn bound<T>(&mut self, binding: &Binding<'_>, inside: impl FnOnce(&mut Self) -> T) -> T {
        let source = self.source_of(binding.range);
        let outer = self.locals.len();
        for (name, stands) in &binding.names {
            let chain = match stands {
                Stands::Element => source.clone().map(Chain::element),
                Stands::Whole => source.clone().map(Chain::whole),
                Stands::Key => None,
            };
            self.locals.push(((*name).to_owned(), chain));
        }
        let result = inside(self);
        self.locals.truncate(outer);
        result
    }

    /// The chain that the elements of a list come from: through `orValue`, `filter`, `+` and the like the first that is met.
    fn source_of(&self, ast: &Ast) -> Option<Chain> {
        if let Some(chain) = self.chain(ast) {
            return Some(chain);
        }
        match &ast.kind {
            Kind::Call { target, args, .. } => {
                target.iter().map(|t| &**t).chain(args).find_map(|operand| self.source_of(operand))
            }
            Kind::Select { operand, .. } | Kind::Index { operand, .. } => self.source_of(operand),
            _ => None,
        }
    }

    /// Every chain that the expression reads, and how. Variables are followed.
    pub fn visit(&mut self, ast: &Ast, found: &mut dyn FnMut(&Chain, &Ast, Use)) {
        if let Some(chain) = self.chain(ast) {
            return found(&chain, ast, Use::Read);
        }
        if let Some(variable) = self.variable(ast) {
            return self.outside().visit(&variable.ast, &mut |chain, _, how| found(chain, ast, how));
        }
        if let Some(binding) = binding(ast) {
            self.visit(binding.range, found);
            self.bound(&binding, |scope| binding.inside.iter().for_each(|part| scope.visit(part, found)));
            return;
        }
        match &ast.kind {
            Kind::Call { target: None, function, args } if function == "has" => {
                for arg in args {
                    match (self.chain(arg), &arg.kind) {
                        (Some(chain), _) => found(&chain, arg, Use::Has),
                        (None, Kind::Select { operand, .. }) => self.visit(operand, found),
                        (None, _) => {}
                    }
                }
            }
            _ => children(ast).into_iter().for_each(|child| self.visit(child, found)),
        }
    }
}

/// The parts of an expression, from left to right.
pub fn children(ast: &Ast) -> Vec<&Ast> {
    match &ast.kind {
        Kind::Literal(_) | Kind::Name(_) | Kind::Struct(_) => Vec::new(),
        Kind::Select { operand, .. } => vec![&**operand],
        Kind::Index { operand, index, .. } => vec![&**operand, &**index],
        Kind::Call { target, args, .. } => target.iter().map(|t| &**t).chain(args).collect(),
        Kind::And(terms) | Kind::Or(terms) => terms.iter().collect(),
        Kind::List(elements) => elements.iter().map(|(element, _)| element).collect(),
        Kind::Map(entries) => entries.iter().flat_map(|(key, value, _)| [key, value]).collect(),
    }
}

/// The expression in one form whatever its places and blanks: equal for equal expressions.
pub fn shape(ast: &Ast, scope: &Scope<'_>) -> String {
    if let Some(chain) = scope.chain(ast).filter(|_| !scope.is_nested()) {
        return format!("{}{}", chain.path(), if chain.is_optional() { "?" } else { "" });
    }
    let inside = |children: Vec<&Ast>| children.iter().map(|c| shape(c, scope)).collect::<Vec<_>>().join(" ");
    let name = match &ast.kind {
        Kind::Literal(value) => return literal_shape(value),
        Kind::Name(name) => return name.clone(),
        Kind::Select { field, optional, .. } => format!("select {field} {optional}"),
        Kind::Index { optional, .. } => format!("index {optional}"),
        Kind::Call { target, function, .. } => format!("call {function} {}", target.is_some()),
        Kind::And(_) => "and".to_owned(),
        Kind::Or(_) => "or".to_owned(),
        Kind::List(_) => "list".to_owned(),
        Kind::Map(_) => "map".to_owned(),
        Kind::Struct(name) => format!("struct {name}"),
    };
    format!("({name} {})", inside(children(ast)))
}

fn literal_shape(value: &Value) -> String {
    format!("<{} {}>", value.type_name(), value.to_json())
}
