//! The syntax tree as the checker reads it: within our caps of depth and size, macros not expanded, `&&` and `||` flat.

use super::value::Value;

/// One node with its place: byte offsets into the source.
#[derive(Debug)]
pub(in crate::ruleset) struct Ast {
    /// Where its text starts.
    pub start: usize,
    /// Where its operator stands (the same as `start` for a leaf).
    pub operator: usize,
    pub kind: Kind,
}

#[derive(Debug)]
pub(in crate::ruleset) enum Kind {
    Literal(Value),
    Name(String),
    Select {
        operand: Box<Ast>,
        field: String,
        optional: bool,
    },
    Index {
        operand: Box<Ast>,
        index: Box<Ast>,
        optional: bool,
    },
    /// Operators are calls too, by the names of the CEL specification (`_==_`).
    Call {
        target: Option<Box<Ast>>,
        function: String,
        args: Vec<Ast>,
    },
    And(Vec<Ast>),
    Or(Vec<Ast>),
    /// Elements; `true` for `?element`.
    List(Vec<(Ast, bool)>),
    /// Keys and values; `true` for `?key`.
    Map(Vec<(Ast, Ast, bool)>),
    /// `Name{…}`, which no rule can use.
    Struct(String),
}

impl Ast {
    /// The dotted path that a chain of selections on a name spells; a key that is no plain name in backticks, so that
    /// one with points in it is not taken for several.
    pub fn path(&self) -> Option<String> {
        match &self.kind {
            Kind::Name(name) => Some(name.clone()),
            Kind::Select { operand, field, optional: false } => {
                let is_plain = field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let tick = if is_plain { "" } else { "`" };
                Some(format!("{}.{tick}{field}{tick}", operand.path()?))
            }
            Kind::Literal(_)
            | Kind::Select { .. }
            | Kind::Index { .. }
            | Kind::Call { .. }
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::List(_)
            | Kind::Map(_)
            | Kind::Struct(_) => None,
        }
    }

    /// The literal string that it is.
    pub fn literal_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Literal(Value::Str(text)) => Some(text.as_str()),
            _ => None,
        }
    }
}
