//! Conversions between types, and optionals as values.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    budget::Steps,
    error::EvalError,
    operators::{no_overload, timestamp as in_range},
    print,
    time::{self, parse_duration, parse_timestamp},
    value::{Text, Val},
};

type Answer<'a> = Result<Val<'a>, EvalError>;

fn unreadable(text: &str, type_: &str) -> EvalError {
    let shown: String = text.chars().take(64).collect();
    EvalError::BadArgument(format!("{shown:?} is no {type_}"))
}

/// 0001-01-01T00:00:00Z in seconds since 1970.
const YEAR_1: i64 = -62_135_596_800;
/// 2^63 and 2^64 as doubles.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

pub(super) fn int<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    Ok(Val::Int(match args {
        [Val::Int(i)] => *i,
        [Val::Uint(u)] => i64::try_from(*u).map_err(|_| EvalError::Overflow("int"))?,
        // The bounds themselves are out of range in the reference implementation too.
        [Val::Double(d)] if *d > -TWO_63 && *d < TWO_63 => *d as i64,
        [Val::Double(_)] => return Err(EvalError::Overflow("int")),
        [Val::Str(text)] => text.as_str().parse().map_err(|_| unreadable(text.as_str(), "int"))?,
        [Val::Timestamp(t)] => t.as_second() - i64::from(t.subsec_nanosecond() < 0),
        // Nanoseconds; durations are kept within 2^63 of them.
        [Val::Duration(d)] => i64::try_from(d.as_nanos()).map_err(|_| EvalError::Overflow("int"))?,
        _ => return Err(no_overload(args)),
    }))
}

pub(super) fn uint<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    Ok(Val::Uint(match args {
        [Val::Uint(u)] => *u,
        [Val::Int(i)] => u64::try_from(*i).map_err(|_| EvalError::Overflow("uint"))?,
        [Val::Double(d)] if *d >= 0.0 && *d < TWO_64 => *d as u64,
        [Val::Double(_)] => return Err(EvalError::Overflow("uint")),
        [Val::Str(text)] => {
            let text = text.as_str();
            text.parse().ok().filter(|_| !text.starts_with('+')).ok_or_else(|| unreadable(text, "uint"))?
        }
        _ => return Err(no_overload(args)),
    }))
}

pub(super) fn double<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    Ok(Val::Double(match args {
        [Val::Double(d)] => *d,
        [Val::Int(i)] => *i as f64,
        [Val::Uint(u)] => *u as f64,
        [Val::Str(text)] => match text.as_str().parse::<f64>() {
            // Infinity is read when it is spelled, not of digits that are too many.
            Ok(d) if d.is_finite() || !text.as_str().contains(|c: char| c.is_ascii_digit()) => d,
            _ => return Err(unreadable(text.as_str(), "double")),
        },
        _ => return Err(no_overload(args)),
    }))
}

pub(super) fn bool<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Bool(b)] => Ok(Val::Bool(*b)),
        // The spellings of Go's strconv.ParseBool.
        [Val::Str(text)] => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            other => Err(unreadable(other, "bool")),
        },
        _ => Err(no_overload(args)),
    }
}

pub(super) fn string<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Str(text)] => Ok(Val::Str(text.clone())),
        [Val::Bytes(bytes)] => {
            steps.charge_bytes(bytes.len())?;
            let text = std::str::from_utf8(bytes).map_err(|_| EvalError::BadArgument("bytes are no UTF-8".into()))?;
            Ok(Val::Str(Text::from(text)))
        }
        [Val::Type(_)] => Err(no_overload(args)),
        [value] => print::text(value).map(Val::shared).ok_or_else(|| no_overload(args)),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn bytes<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Bytes(bytes)] => Ok(Val::Bytes(bytes.clone())),
        [Val::Str(text)] => {
            steps.charge_bytes(text.as_str().len())?;
            Ok(Val::Bytes(text.as_str().as_bytes().into()))
        }
        _ => Err(no_overload(args)),
    }
}

pub(super) fn timestamp<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Timestamp(t)] => Ok(Val::Timestamp(*t)),
        [Val::Int(seconds)] => in_range(Timestamp::from_second(*seconds).ok()),
        [Val::Str(text)] => {
            let read = parse_timestamp(text.as_str()).ok_or_else(|| match time::is_beyond(text.as_str()) {
                true => EvalError::BadArgument(format!("times end at {}", Timestamp::MAX)),
                false => unreadable(text.as_str(), "timestamp"),
            })?;
            in_range(Some(read))
        }
        _ => Err(no_overload(args)),
    }
}

pub(super) fn duration<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Duration(d)] => Ok(Val::Duration(*d)),
        [Val::Str(text)] => {
            parse_duration(text.as_str()).map(Val::Duration).ok_or_else(|| unreadable(text.as_str(), "duration"))
        }
        _ => Err(no_overload(args)),
    }
}

pub(super) fn same<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [value] => Ok(value.clone()),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn type_of<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [value] => Ok(Val::Type(value.type_name())),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn optional_of<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [value] => Ok(Val::some(value.clone())),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn optional_none<'a>(_: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    Ok(Val::Optional(None))
}

/// True for the value that an unset field of its type has.
pub(super) fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null => true,
        Val::Bool(b) => !b,
        Val::Int(i) => *i == 0,
        Val::Uint(u) => *u == 0,
        Val::Double(d) => *d == 0.0,
        Val::Str(text) => text.as_str().is_empty(),
        Val::Bytes(bytes) => bytes.is_empty(),
        Val::Timestamp(t) => *t == Timestamp::UNIX_EPOCH,
        Val::Duration(d) => d.is_zero(),
        Val::List(list) => list.is_empty(),
        Val::Map(map) => map.is_empty(),
        Val::Optional(inner) => inner.is_none(),
        Val::Type(_) | Val::Ip(_) | Val::Cidr(_) | Val::Url(_) => false,
    }
}

pub(super) fn optional_of_non_zero<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        // The reference implementation's zero time is the year 1, not 1970.
        [Val::Timestamp(t)] if t.as_second() != YEAR_1 => Ok(Val::some(Val::Timestamp(*t))),
        [Val::Timestamp(_)] => Ok(Val::Optional(None)),
        // An optional is never a zero value there, an empty one neither.
        [value] if is_zero(value) && !matches!(value, Val::Optional(_)) => Ok(Val::Optional(None)),
        [value] => Ok(Val::some(value.clone())),
        _ => Err(no_overload(args)),
    }
}

/// The values in a list of optionals.
pub(super) fn unwrap<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::List(list)] = args else { return Err(no_overload(args)) };
    let mut values = Vec::new();
    for element in list.iter() {
        steps.charge(1)?;
        match element {
            Val::Optional(None) => {}
            Val::Optional(Some(inner)) => values.push(Arc::unwrap_or_clone(inner)),
            other => return Err(no_overload(&[other])),
        }
    }
    Ok(Val::list(values))
}

pub(super) fn has_value<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    let [Val::Optional(inner)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(inner.is_some()))
}

pub(super) fn value<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    let [Val::Optional(inner)] = args else { return Err(no_overload(args)) };
    inner.clone().map(Arc::unwrap_or_clone).ok_or(EvalError::NoValue)
}
