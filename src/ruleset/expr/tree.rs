//! The compiled form of an expression: names resolved, macros and regexes compiled. Immutable and shared.

use std::sync::Arc;

use super::{pattern::Pattern, table::Implementation, value::Value};
use crate::event::schema::Field;

/// A node of the compiled tree. Its depth is capped, so recursion over it is bounded. `at` is where it stands in its source:
/// the byte at which a message about it points.
pub(in crate::ruleset) enum Node {
    Constant(Value),
    /// A field of the event.
    Field(&'static Field),
    /// A variable of an enclosing macro, counted from the innermost.
    Local(usize),
    /// `variables.NAME`
    Variable(Arc<Node>),
    /// `has()` of a field, or of a group of fields: any of them is set.
    HasField(Vec<&'static Field>),
    /// `a.?b.c` over schema fields: none unless each group is set.
    OptionalField {
        field: &'static Field,
        guards: Vec<Vec<&'static Field>>,
    },
    Select(Selection),
    Has(Selection),
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        optional: bool,
        at: u32,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    If {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    /// Elements; `true` for `?element`.
    List(Vec<(Node, bool)>),
    Map {
        entries: Vec<(Node, Node, bool)>,
        at: u32,
    },
    Call {
        name: &'static str,
        implementation: Implementation,
        args: Vec<Node>,
        at: u32,
    },
    /// A regex function with a literal pattern.
    Pattern {
        search: Search,
        text: Box<Node>,
        pattern: Pattern,
        /// How many parts `findAll` gives at most.
        most: Option<Box<Node>>,
        at: u32,
    },
    Macro(Comprehension),
    /// `cel.bind`: the value as `Local(0)` of the body.
    Bind {
        value: Box<Node>,
        body: Box<Node>,
    },
    /// A variable of `Bindings`.
    Bound(Arc<str>),
    /// `orValue` (`unwrap`) and `or`.
    OrElse {
        optional: Box<Node>,
        other: Box<Node>,
        unwrap: bool,
    },
    /// `optMap` (`wrap`) and `optFlatMap`.
    OptionalMap {
        optional: Box<Node>,
        body: Box<Node>,
        wrap: bool,
    },
}

/// `operand.key`, `operand.?key`.
pub(in crate::ruleset) struct Selection {
    pub operand: Box<Node>,
    pub key: Arc<str>,
    pub optional: bool,
    /// As written, for errors.
    pub path: Arc<str>,
    pub at: u32,
}

/// A macro over a list or a map. Its variable is `Local(0)` of the body; of two, the second is.
pub(in crate::ruleset) struct Comprehension {
    pub kind: Macro,
    pub range: Box<Node>,
    /// Two variables: index and element, or key and value.
    pub pair: bool,
    /// What an element must satisfy to be transformed.
    pub filter: Option<Box<Node>>,
    pub body: Box<Node>,
    pub at: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ruleset) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    /// `map`, `transformList`
    List,
    /// `transformMap`
    Map,
    /// `transformMapEntry`
    Entries,
    SortBy,
}

/// What is asked of a pattern.
#[derive(Clone, Copy)]
pub(in crate::ruleset) enum Search {
    Matches,
    Find,
    FindAll,
}

impl Node {
    /// Where an error of this node has its place; `None` for one whose errors are its parents'.
    pub fn at(&self) -> Option<u32> {
        match self {
            Node::Select(selection) | Node::Has(selection) => Some(selection.at),
            Node::Macro(comprehension) => Some(comprehension.at),
            Node::Index { at, .. } | Node::Map { at, .. } | Node::Call { at, .. } | Node::Pattern { at, .. } => {
                Some(*at)
            }
            Node::Constant(_)
            | Node::Field(_)
            | Node::Local(_)
            | Node::Variable(_)
            | Node::HasField(_)
            | Node::OptionalField { .. }
            | Node::And(_)
            | Node::Or(_)
            | Node::If { .. }
            | Node::List(_)
            | Node::Bind { .. }
            | Node::Bound(_)
            | Node::OrElse { .. }
            | Node::OptionalMap { .. } => None,
        }
    }
}
