//! List and set functions of Kubernetes' CEL libraries.

use std::cmp::Ordering;

use jiff::SignedDuration;

use super::{
    budget::Steps,
    error::EvalError,
    operators::{add, no_overload, order},
    value::{List, Val},
};

type Answer<'a> = Result<Val<'a>, EvalError>;

fn only_list<'v, 'a>(args: &'v [Val<'a>]) -> Result<&'v List<'a>, EvalError> {
    match args {
        [Val::List(list)] => Ok(list),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn is_sorted<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let mut last: Option<Val<'a>> = None;
    for element in only_list(args)?.iter() {
        steps.charge(1)?;
        if let Some(last) = last
            && order(&[last, element.clone()], steps)? == Some(Ordering::Greater)
        {
            return Ok(Val::Bool(false));
        }
        last = Some(element);
    }
    Ok(Val::Bool(true))
}

/// The sum; that of an empty list is the zero of its static type, which the compiler chose the function for.
fn sum_from<'a>(zero: Val<'a>, args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let mut total: Option<Val<'a>> = None;
    for element in only_list(args)?.iter() {
        steps.charge(1)?;
        if !matches!(element, Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::Duration(_)) {
            return Err(no_overload(&[element]));
        }
        total = Some(match total {
            Some(total) => add(&[total, element], steps)?,
            None => element,
        });
    }
    Ok(total.unwrap_or(zero))
}

pub(super) fn sum<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    sum_from(Val::Int(0), args, steps)
}

pub(super) fn sum_uint<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    sum_from(Val::Uint(0), args, steps)
}

pub(super) fn sum_double<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    sum_from(Val::Double(0.0), args, steps)
}

pub(super) fn sum_duration<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    sum_from(Val::Duration(SignedDuration::ZERO), args, steps)
}

fn extreme<'a>(args: &[Val<'a>], steps: &mut Steps, name: &str, replaces: Ordering) -> Answer<'a> {
    let mut best: Option<Val<'a>> = None;
    for element in only_list(args)?.iter() {
        steps.charge(1)?;
        best = match best {
            Some(best) if order(&[element.clone(), best.clone()], steps)? != Some(replaces) => Some(best),
            _ => Some(element),
        };
    }
    best.ok_or_else(|| EvalError::BadArgument(format!("{name} called on empty list")))
}

pub(super) fn min<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    extreme(args, steps, "min", Ordering::Less)
}

pub(super) fn max<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    extreme(args, steps, "max", Ordering::Greater)
}

fn has(list: &List<'_>, value: &Val<'_>, steps: &mut Steps) -> Result<bool, EvalError> {
    for element in list.iter() {
        if element.equals(value, steps)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains_all(list: &List<'_>, values: &List<'_>, steps: &mut Steps) -> Result<bool, EvalError> {
    for value in values.iter() {
        if !has(list, &value, steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn set_contains<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::List(a), Val::List(b)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(contains_all(a, b, steps)?))
}

pub(super) fn set_equivalent<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::List(a), Val::List(b)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(contains_all(a, b, steps)? && contains_all(b, a, steps)?))
}

pub(super) fn set_intersects<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::List(a), Val::List(b)] = args else { return Err(no_overload(args)) };
    for value in a.iter() {
        if has(b, &value, steps)? {
            return Ok(Val::Bool(true));
        }
    }
    Ok(Val::Bool(false))
}
