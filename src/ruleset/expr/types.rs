//! The static types of the rule language, as they are written and printed. `dyn` is checked at run time.

use std::{fmt, sync::Arc};

use crate::event::schema::FieldType;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// A type as a value.
    Kind,
    Ip,
    Cidr,
    Url,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
    /// Not known yet, such as what an empty list would hold: see `Unknowns`.
    Var(usize),
    /// A type parameter of a signature: `A` is 0, `B` is 1.
    Param(usize),
}

impl Type {
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    pub fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner))
    }

    pub fn of_field(field: FieldType) -> Type {
        match field {
            FieldType::String => Type::String,
            FieldType::Int => Type::Int,
            FieldType::Bool => Type::Bool,
            FieldType::Timestamp => Type::Timestamp,
            FieldType::Strings => Type::list(Type::String),
            FieldType::StringMap => Type::map(Type::String, Type::String),
            FieldType::StringsMap => Type::map(Type::String, Type::list(Type::String)),
            FieldType::Dyn => Type::Dyn,
        }
    }

    /// The type with `dyn` for all that stayed unknown.
    pub fn settled(&self) -> Type {
        match self {
            Type::Var(_) => Type::Dyn,
            Type::List(a) => Type::list(a.settled()),
            Type::Optional(a) => Type::optional(a.settled()),
            Type::Map(k, v) => Type::map(k.settled(), v.settled()),
            other => other.clone(),
        }
    }

    /// True when only the value decides.
    pub fn is_open(&self) -> bool {
        matches!(self, Type::Dyn | Type::Var(_))
    }

    /// `an int`, `a string`.
    pub fn with_article(&self) -> String {
        match self {
            Type::Int | Type::Ip | Type::Optional(_) => format!("an {self}"),
            Type::Null => "null".into(),
            other => format!("a {other}"),
        }
    }

    /// Reads one type of a signature: `list(A)`.
    pub fn parse(text: &str) -> Option<Type> {
        let text = text.trim();
        let inner = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
        if let Some(element) = inner("list") {
            return Some(Type::list(Type::parse(element)?));
        }
        if let Some(element) = inner("optional") {
            return Some(Type::optional(Type::parse(element)?));
        }
        if let Some((key, value)) = inner("map").and_then(|kv| kv.split_once(", ")) {
            return Some(Type::map(Type::parse(key)?, Type::parse(value)?));
        }
        Some(match text {
            "dyn" => Type::Dyn,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "timestamp" => Type::Timestamp,
            "duration" => Type::Duration,
            "type" => Type::Kind,
            "ip" => Type::Ip,
            "cidr" => Type::Cidr,
            "url" => Type::Url,
            "null" => Type::Null,
            "A" => Type::Param(0),
            "B" => Type::Param(1),
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn | Type::Var(_) => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::Kind => f.write_str("type"),
            Type::Ip => f.write_str("ip"),
            Type::Cidr => f.write_str("cidr"),
            Type::Url => f.write_str("url"),
            Type::List(element) => write!(f, "list({element})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(inner) => write!(f, "optional({inner})"),
            Type::Param(0) => f.write_str("A"),
            Type::Param(_) => f.write_str("B"),
        }
    }
}
