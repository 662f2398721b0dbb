//! Syntax tree -> compiled tree, with a type for every node. What can't be right is refused here with its place.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ast::{Ast, Kind},
    bindings::Bindings,
    error::ExprError,
    functions,
    parse::{DEPTH, NODES},
    pattern::Effort,
    tree::Node,
    types::Type,
    unify::Unknowns,
    value::{Val, Value},
};
use crate::event::schema::{self, Field};

/// Deepest nesting of macros in each other's bodies.
pub(super) const MACROS: usize = 4;

/// Most regexes in one expression: each may take 256 KiB and two milliseconds to compile.
pub(super) const PATTERNS: usize = 16;

/// A node with its type.
pub(super) struct Typed {
    pub node: Node,
    pub type_: Type,
}

/// What `variables.NAME` stands for.
#[derive(Clone)]
pub(super) struct Variable {
    pub node: Arc<Node>,
    pub type_: Type,
    pub extent: Extent,
    pub fields: BTreeMap<&'static str, &'static Field>,
}

/// How large a tree is, with the variables in it.
#[derive(Clone, Copy, Default)]
pub(super) struct Extent {
    pub nodes: usize,
    pub depth: usize,
    pub macros: usize,
    /// Compiled regexes.
    pub patterns: usize,
}

/// Where top-level names come from.
#[derive(Clone, Copy)]
pub(super) enum Root<'s> {
    /// The event schema.
    Event,
    Bindings(&'s Bindings),
}

/// Checks one expression.
pub(super) struct Checker<'s> {
    pub source: &'s str,
    pub root: Root<'s>,
    pub variables: &'s BTreeMap<String, Variable>,
    /// Variables of the macros around the node, the innermost last.
    pub locals: Vec<(String, Type)>,
    /// Schema fields that the expression reads, by path.
    pub fields: BTreeMap<&'static str, &'static Field>,
    pub extent: Extent,
    pub unknowns: Unknowns,
    /// What is left to try patterns.
    pub effort: Effort,
    /// Of the list literal that was checked last.
    pub elements: Vec<Type>,
    /// Macros over lists and maps around the node.
    pub loops: usize,
    depth: usize,
}

impl<'s> Checker<'s> {
    pub fn new(source: &'s str, root: Root<'s>, variables: &'s BTreeMap<String, Variable>) -> Checker<'s> {
        let (locals, fields, extent) = (Vec::new(), BTreeMap::new(), Extent::default());
        let (unknowns, elements, effort) = (Unknowns::default(), Vec::new(), Effort::of_an_expression());
        Checker { source, root, variables, locals, fields, extent, unknowns, effort, elements, loops: 0, depth: 0 }
    }

    /// An error at byte `at`, and what to write instead.
    pub fn error(&self, at: usize, message: impl Into<String>, hint: impl Into<String>) -> ExprError {
        ExprError::at(self.source, at, message, hint)
    }

    /// Counts a tree of this extent at the current place against the caps.
    pub fn count(&mut self, part: Extent, at: usize) -> Result<(), ExprError> {
        self.extent.nodes += part.nodes;
        self.extent.patterns += part.patterns;
        self.extent.depth = self.extent.depth.max(self.depth + part.depth);
        self.extent.macros = self.extent.macros.max(self.loops + part.macros);
        if self.extent.nodes > NODES {
            let message = format!("more than {NODES} parts, those of the variables included");
            return Err(self.error(at, message, "shorten its lists, or split the rule"));
        }
        if self.extent.patterns > PATTERNS {
            let message = format!("more than {PATTERNS} regexes");
            return Err(self.error(at, message, "join patterns with |, or use startsWith, endsWith, contains"));
        }
        if self.extent.depth > DEPTH {
            let message = format!("nested more than {DEPTH} deep, variables included");
            return Err(self.error(at, message, "write it flat: a list with `in`, several terms with && or ||"));
        }
        if self.extent.macros > MACROS {
            let message = format!("macros nested more than {MACROS} deep");
            return Err(self.error(at, message, "flatten() the lists first, or test fewer levels"));
        }
        Ok(())
    }

    pub fn check(&mut self, ast: &Ast) -> Result<Typed, ExprError> {
        self.count(Extent { nodes: 1, depth: 1, ..Extent::default() }, ast.operator)?;
        self.depth += 1;
        let checked = self.kind(ast);
        self.depth -= 1;
        let Typed { node, type_ } = checked?;
        if self.unknowns.exhausted() {
            return Err(self.error(ast.start, "its types are too large", "nest fewer lists and maps in each other"));
        }
        Ok(Typed { node, type_: self.unknowns.resolved(&type_) })
    }

    fn kind(&mut self, ast: &Ast) -> Result<Typed, ExprError> {
        match &ast.kind {
            Kind::Literal(value) => Ok(Typed { type_: literal_type(value), node: Node::Constant(value.clone()) }),
            Kind::Name(_) | Kind::Select { .. } => self.name_or_select(ast),
            Kind::Index { operand, index, optional } => self.index(ast, operand, index, *optional),
            Kind::Call { target, function, args } => self.call(ast, target.as_deref(), function, args),
            Kind::And(terms) => Ok(Typed { node: Node::And(self.conditions(terms, "&&")?), type_: Type::Bool }),
            Kind::Or(terms) => Ok(Typed { node: Node::Or(self.conditions(terms, "||")?), type_: Type::Bool }),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(ast, entries),
            Kind::Struct(name) => {
                let message = format!("messages such as `{name}{{}}` can't be built here");
                Err(self.error(ast.start, message, "a map is written {\"key\": value}"))
            }
        }
    }

    /// Boxed, for a child.
    pub fn child(&mut self, ast: &Ast) -> Result<(Box<Node>, Type), ExprError> {
        let Typed { node, type_ } = self.check(ast)?;
        Ok((Box::new(node), type_))
    }

    /// A child that must be a bool.
    pub fn condition(&mut self, ast: &Ast, place: &str) -> Result<Node, ExprError> {
        let Typed { node, type_ } = self.check(ast)?;
        if self.unknowns.assign([(&type_, &Type::Bool)]) {
            return Ok(node);
        }
        let message = format!("{} is {}; {place} needs a bool", described(ast), type_.with_article());
        let hint = match (&ast.kind, type_) {
            (Kind::Literal(_), _) if matches!(place, "&&" | "||") => {
                "write the whole comparison on both sides, or list the values: a in [b, c]"
            }
            (_, Type::Optional(_)) => "take the value out of it with orValue(…) first",
            _ => "compare it with something: `==`, `in`, `>`",
        };
        Err(self.error(ast.start, message, hint))
    }

    fn conditions(&mut self, terms: &[Ast], operator: &str) -> Result<Vec<Node>, ExprError> {
        terms.iter().map(|term| self.condition(term, operator)).collect()
    }

    fn index(&mut self, ast: &Ast, operand: &Ast, index: &Ast, optional: bool) -> Result<Typed, ExprError> {
        if let (Some(path), Some(key)) = (operand.path(), index.literal_text())
            && !self.over_bindings()
            && schema::is_prefix(&path)
        {
            let message = format!("`{path}` is a group of fields and no map");
            return Err(self.error(operand.start, message, format!("write `{path}.{key}`")));
        }
        let (operand_node, operand_type) = self.child(operand)?;
        let (index_node, index_type) = self.child(index)?;
        let types = [operand_type, index_type];
        let Some(type_) = functions::form(if optional { "[?]" } else { "[]" }, &types, &mut self.unknowns) else {
            let [operand_type, index_type] = types.map(|t| self.unknowns.resolved(&t));
            return Err(self.no_element(ast, (operand, operand_type), (index, index_type)));
        };
        Ok(Typed {
            node: Node::Index { operand: operand_node, index: index_node, optional, at: place(ast.operator) },
            type_,
        })
    }

    fn no_element(&self, ast: &Ast, operand: (&Ast, Type), index: (&Ast, Type)) -> ExprError {
        let inner = match &operand.1 {
            Type::Optional(inner) => inner,
            other => other,
        };
        let with = index.1.with_article();
        match inner {
            Type::List(_) => self.error(
                index.0.start,
                format!("a list is indexed by an int, not {with}"),
                "look for an element with `in` or exists()",
            ),
            Type::Map(key, _) => self.error(
                index.0.start,
                format!("this map's keys are {key}; indexed with {with}"),
                format!("write a key that is {}", key.with_article()),
            ),
            other => {
                let message = format!("{} is {} and has no elements", described(operand.0), other.with_article());
                self.error(ast.operator, message, "only lists and maps have; of a text use charAt() or substring()")
            }
        }
    }

    fn list(&mut self, elements: &[(Ast, bool)]) -> Result<Typed, ExprError> {
        let (mut nodes, mut joined, mut types) = (Vec::new(), None, Vec::new());
        for (element, optional) in elements {
            let type_ = self.element(element, *optional, &mut nodes)?;
            types.push(type_.clone());
            joined = Some(self.unknowns.join(joined, type_));
        }
        self.elements = types;
        let element = joined.unwrap_or_else(|| self.unknowns.fresh());
        Ok(Typed { node: Node::List(nodes), type_: Type::list(element) })
    }

    fn element(&mut self, ast: &Ast, optional: bool, nodes: &mut Vec<(Node, bool)>) -> Result<Type, ExprError> {
        let Typed { node, type_ } = self.check(ast)?;
        nodes.push((node, optional));
        if optional { self.unwrapped(ast, type_) } else { Ok(type_) }
    }

    /// The type inside an optional that `?` adds to a list or map.
    fn unwrapped(&self, ast: &Ast, type_: Type) -> Result<Type, ExprError> {
        match type_ {
            Type::Optional(inner) => Ok((*inner).clone()),
            Type::Dyn => Ok(Type::Dyn),
            other => {
                let message = format!("`?` needs an optional, not {}", other.with_article());
                Err(self.error(ast.start, message, "leave the `?` out, or read the value with .?"))
            }
        }
    }

    fn map(&mut self, ast: &Ast, entries: &[(Ast, Ast, bool)]) -> Result<Typed, ExprError> {
        let (mut nodes, mut keys, mut values) = (Vec::new(), None, None);
        for (key, value, optional) in entries {
            let Typed { node: key_node, type_: key_type } = self.check(key)?;
            if !key_type.is_open() && !matches!(key_type, Type::String | Type::Int | Type::Uint | Type::Bool) {
                let message = format!("{} can't be a map key", key_type.with_article());
                return Err(self.error(key.start, message, "a key is a string, an int, a uint or a bool"));
            }
            let Typed { node: value_node, type_: mut value_type } = self.check(value)?;
            if *optional {
                value_type = self.unwrapped(value, value_type)?;
            }
            nodes.push((key_node, value_node, *optional));
            keys = Some(self.unknowns.join(keys, key_type));
            values = Some(self.unknowns.join(values, value_type));
        }
        self.count(Extent::default(), ast.start)?;
        let key = keys.unwrap_or_else(|| self.unknowns.fresh());
        let value = values.unwrap_or_else(|| self.unknowns.fresh());
        Ok(Typed { node: Node::Map { entries: nodes, at: place(ast.start) }, type_: Type::map(key, value) })
    }
}

/// A byte of a source, which has at most `parse::SOURCE` of them.
pub(super) fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// How a message names an expression.
pub(super) fn described(ast: &Ast) -> String {
    match (&ast.kind, ast.path()) {
        (_, Some(path)) => format!("`{path}`"),
        (Kind::Literal(value @ Val::Str(text)), None) if text.as_str().len() < 60 => value.to_json().to_string(),
        (Kind::Literal(value), None) if !matches!(value, Val::Str(_) | Val::Bytes(_)) => value.to_string(),
        _ => "this".into(),
    }
}

fn literal_type(value: &Value) -> Type {
    match value {
        Val::Null => Type::Null,
        Val::Bool(_) => Type::Bool,
        Val::Int(_) => Type::Int,
        Val::Uint(_) => Type::Uint,
        Val::Double(_) => Type::Double,
        Val::Str(_) => Type::String,
        Val::Bytes(_) => Type::Bytes,
        // The grammar has no literals of these.
        Val::Timestamp(_) | Val::Duration(_) | Val::List(_) | Val::Map(_) | Val::Optional(_) => Type::Dyn,
        Val::Type(_) | Val::Ip(_) | Val::Cidr(_) | Val::Url(_) => Type::Dyn,
    }
}
