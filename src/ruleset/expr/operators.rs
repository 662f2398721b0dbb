//! Equality, order and arithmetic of values. Overflow is an error, numbers compare across types, values of different kinds
//! are unequal.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};

use super::{
    budget::Steps,
    error::EvalError,
    value::{Val, Value},
};

type Answer<'a> = Result<Val<'a>, EvalError>;

/// The error of a function that has no case for such arguments.
pub(super) fn no_overload(args: &[Val<'_>]) -> EvalError {
    let types: Vec<&str> = args.iter().map(Val::type_name).collect();
    EvalError::NoSuchOverload(format!("({})", types.join(", ")))
}

impl<'a> Val<'a> {
    /// CEL's `==`. Each element compared costs a step.
    pub(super) fn equals(&self, other: &Val<'_>, steps: &mut Steps) -> Result<bool, EvalError> {
        steps.charge(1)?;
        Ok(match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Str(a), Val::Str(b)) => {
                steps.charge_bytes(a.as_str().len())?;
                a.as_str() == b.as_str()
            }
            (Val::Bytes(a), Val::Bytes(b)) => {
                steps.charge_bytes(a.len())?;
                a == b
            }
            (Val::Timestamp(a), Val::Timestamp(b)) => a == b,
            (Val::Duration(a), Val::Duration(b)) => a == b,
            (Val::Type(a), Val::Type(b)) => a == b,
            (Val::Ip(a), Val::Ip(b)) => a == b,
            (Val::Cidr(a), Val::Cidr(b)) => a == b,
            (Val::Url(a), Val::Url(b)) => a == b,
            (Val::Optional(a), Val::Optional(b)) => match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => a.equals(b, steps)?,
                (Some(_), None) | (None, Some(_)) => false,
            },
            (Val::List(a), Val::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (x, y) in a.iter().zip(b.iter()) {
                    if !x.equals(&y, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Val::Map(a), Val::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                steps.charge(a.len() as u64)?;
                for key in a.keys() {
                    let (Some(x), Some(y)) = (a.find(&key, steps)?, b.find(&key, steps)?) else { return Ok(false) };
                    if !x.equals(&y, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => numbers(a, b) == Some(Some(Ordering::Equal)),
        })
    }

    /// The order of two values of one kind, numbers across types. NaN has none.
    fn compare(&self, other: &Val<'_>, steps: &mut Steps) -> Result<Ordering, EvalError> {
        Ok(match (self, other) {
            (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
            (Val::Str(a), Val::Str(b)) => {
                steps.charge_bytes(a.as_str().len().min(b.as_str().len()))?;
                a.as_str().cmp(b.as_str())
            }
            (Val::Bytes(a), Val::Bytes(b)) => {
                steps.charge_bytes(a.len().min(b.len()))?;
                a.cmp(b)
            }
            (Val::Timestamp(a), Val::Timestamp(b)) => a.cmp(b),
            (Val::Duration(a), Val::Duration(b)) => a.cmp(b),
            (a, b) => match numbers(a, b) {
                Some(Some(order)) => order,
                Some(None) => return Err(EvalError::BadArgument("NaN has no order".into())),
                None => {
                    let names = format!("({}, {})", self.type_name(), other.type_name());
                    return Err(EvalError::NoSuchOverload(names));
                }
            },
        })
    }
}

/// The order of two numbers; `None` when one is no number, `Some(None)` when one is NaN. An int and a double compare as
/// doubles unless the double is out of range, as the reference implementation does.
fn numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
        (Val::Uint(a), Val::Uint(b)) => Some(a.cmp(b)),
        (Val::Int(a), Val::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Val::Uint(a), Val::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
        (Val::Double(a), Val::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Val::Int(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
        (Val::Double(a), Val::Uint(b)) => a.partial_cmp(&(*b as f64)),
        (Val::Uint(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
        _ => return None,
    })
}

fn pair<'v, 'a>(args: &'v [Val<'a>]) -> Result<(&'v Val<'a>, &'v Val<'a>), EvalError> {
    match args {
        [a, b] => Ok((a, b)),
        _ => Err(no_overload(args)),
    }
}

/// The order of two values.
pub(super) fn compare(a: &Val<'_>, b: &Val<'_>, steps: &mut Steps) -> Result<Ordering, EvalError> {
    a.compare(b, steps)
}

pub(super) fn order(args: &[Val<'_>], steps: &mut Steps) -> Result<Ordering, EvalError> {
    let (a, b) = pair(args)?;
    a.compare(b, steps)
}

pub(super) fn less<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    Ok(Val::Bool(order(args, steps)?.is_lt()))
}

pub(super) fn less_equal<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    Ok(Val::Bool(order(args, steps)?.is_le()))
}

pub(super) fn greater<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    Ok(Val::Bool(order(args, steps)?.is_gt()))
}

pub(super) fn greater_equal<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    Ok(Val::Bool(order(args, steps)?.is_ge()))
}

pub(super) fn equal<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (a, b) = pair(args)?;
    Ok(Val::Bool(a.equals(b, steps)?))
}

pub(super) fn not_equal<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (a, b) = pair(args)?;
    Ok(Val::Bool(!a.equals(b, steps)?))
}

pub(super) fn contained<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    match args {
        [value, Val::List(list)] => {
            for element in list.iter() {
                if value.equals(&element, steps)? {
                    return Ok(Val::Bool(true));
                }
            }
            Ok(Val::Bool(false))
        }
        [key, Val::Map(map)] => Ok(Val::Bool(map.find(key, steps)?.is_some())),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn not<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Bool(b)] => Ok(Val::Bool(!b)),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn negate<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Int(i)] => i.checked_neg().map(Val::Int).ok_or(EvalError::Overflow("int")),
        [Val::Double(d)] => Ok(Val::Double(-d)),
        [Val::Duration(d)] => duration(d.checked_neg()),
        _ => Err(no_overload(args)),
    }
}

fn int<'a>(value: Option<i64>) -> Answer<'a> {
    value.map(Val::Int).ok_or(EvalError::Overflow("int"))
}

fn uint<'a>(value: Option<u64>) -> Answer<'a> {
    value.map(Val::Uint).ok_or(EvalError::Overflow("uint"))
}

/// A duration, when it is within the reference implementation's range: 2^63 nanoseconds either way.
pub(super) fn duration<'a>(value: Option<SignedDuration>) -> Answer<'a> {
    value.filter(|d| i64::try_from(d.as_nanos()).is_ok()).map(Val::Duration).ok_or(EvalError::Overflow("duration"))
}

/// First and last second that CEL's timestamps have: the years 1 to 9999.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A timestamp, when it is within CEL's range.
pub(super) fn timestamp(value: Option<Timestamp>) -> Result<Value, EvalError> {
    value
        .filter(|t| TIMESTAMP_SECONDS.contains(&(t.as_second() - i64::from(t.subsec_nanosecond() < 0))))
        .map(Val::Timestamp)
        .ok_or(EvalError::Overflow("timestamp"))
}

pub(super) fn add<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    match pair(args)? {
        (Val::Int(a), Val::Int(b)) => int(a.checked_add(*b)),
        (Val::Uint(a), Val::Uint(b)) => uint(a.checked_add(*b)),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a + b)),
        (Val::Str(a), Val::Str(b)) => {
            steps.charge_bytes(a.as_str().len() + b.as_str().len())?;
            Ok(Val::shared([a.as_str(), b.as_str()].concat()))
        }
        (Val::Bytes(a), Val::Bytes(b)) => {
            steps.charge_bytes(a.len() + b.len())?;
            Ok(Val::Bytes([&**a, &**b].concat().into()))
        }
        (Val::List(a), Val::List(b)) => {
            steps.charge((a.len() + b.len()) as u64)?;
            Ok(Val::list(a.iter().chain(b.iter()).collect()))
        }
        (Val::Duration(a), Val::Duration(b)) => duration(a.checked_add(*b)),
        (Val::Timestamp(t), Val::Duration(d)) | (Val::Duration(d), Val::Timestamp(t)) => {
            timestamp(t.checked_add(*d).ok())
        }
        _ => Err(no_overload(args)),
    }
}

pub(super) fn subtract<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match pair(args)? {
        (Val::Int(a), Val::Int(b)) => int(a.checked_sub(*b)),
        (Val::Uint(a), Val::Uint(b)) => uint(a.checked_sub(*b)),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a - b)),
        (Val::Duration(a), Val::Duration(b)) => duration(a.checked_sub(*b)),
        (Val::Timestamp(a), Val::Timestamp(b)) => duration(Some(a.duration_since(*b))),
        // cel-go adds what is negated, and the shortest duration has no opposite.
        (Val::Timestamp(_), Val::Duration(d)) if d.as_nanos() == i128::from(i64::MIN) => timestamp(None),
        (Val::Timestamp(t), Val::Duration(d)) => timestamp(t.checked_sub(*d).ok()),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn multiply<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match pair(args)? {
        (Val::Int(a), Val::Int(b)) => int(a.checked_mul(*b)),
        (Val::Uint(a), Val::Uint(b)) => uint(a.checked_mul(*b)),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a * b)),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn divide<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match pair(args)? {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => Err(EvalError::DivisionByZero),
        (Val::Int(a), Val::Int(b)) => int(a.checked_div(*b)),
        (Val::Uint(a), Val::Uint(b)) => uint(a.checked_div(*b)),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a / b)),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn modulo<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match pair(args)? {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => Err(EvalError::DivisionByZero),
        (Val::Int(a), Val::Int(b)) => int(a.checked_rem(*b)),
        (Val::Uint(a), Val::Uint(b)) => uint(a.checked_rem(*b)),
        _ => Err(no_overload(args)),
    }
}
