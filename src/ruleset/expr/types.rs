//! The static types of the rule language, and when two of them can meet. `dyn` meets everything and is checked at run time.

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
    /// What an empty list, map or optional would hold: it becomes whatever it meets. Only inside of those three.
    Open,
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

    /// The type that can hold both, or `None` when no value is of both.
    pub fn meet(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Type::Open, t) | (t, Type::Open) => Some(t.clone()),
            (Type::Dyn, _) | (_, Type::Dyn) => Some(Type::Dyn),
            (Type::Null, t @ (Type::Timestamp | Type::Duration))
            | (t @ (Type::Timestamp | Type::Duration), Type::Null) => Some(t.clone()),
            (Type::Null, t @ Type::Optional(_)) | (t @ Type::Optional(_), Type::Null) => Some(t.clone()),
            (Type::List(a), Type::List(b)) => Some(Type::list(a.meet(b)?)),
            (Type::Optional(a), Type::Optional(b)) => Some(Type::optional(a.meet(b)?)),
            (Type::Map(ak, av), Type::Map(bk, bv)) => Some(Type::map(ak.meet(bk)?, av.meet(bv)?)),
            _ => None,
        }
    }

    /// Fits an argument to this parameter of a signature, binding type parameters.
    pub fn accepts(&self, argument: &Type, bound: &mut [Option<Type>; 2]) -> bool {
        match (self, argument) {
            (Type::Param(i), _) => {
                let Some(slot) = bound.get_mut(*i) else { return false };
                let met = match slot {
                    Some(earlier) => earlier.meet(argument),
                    None => Some(argument.clone()),
                };
                met.is_some_and(|t| {
                    *slot = Some(t);
                    true
                })
            }
            (_, Type::Dyn | Type::Open) => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.accepts(b, bound),
            (Type::Map(ak, av), Type::Map(bk, bv)) => ak.accepts(bk, bound) && av.accepts(bv, bound),
            (a, b) => a.meet(b).is_some(),
        }
    }

    /// The type of a value on its own, which is never open.
    pub fn settled(self) -> Type {
        if self == Type::Open { Type::Dyn } else { self }
    }

    /// The type with its parameters replaced; an unbound one is open.
    pub fn substitute(&self, bound: &[Option<Type>; 2]) -> Type {
        match self {
            Type::Param(i) => bound.get(*i).cloned().flatten().unwrap_or(Type::Open),
            Type::List(a) => Type::list(a.substitute(bound)),
            Type::Optional(a) => Type::optional(a.substitute(bound)),
            Type::Map(k, v) => Type::map(k.substitute(bound), v.substitute(bound)),
            other => other.clone(),
        }
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
            Type::Dyn | Type::Open => f.write_str("dyn"),
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
