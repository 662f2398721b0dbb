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

/// The element, when values of its type have an order.
fn orderable(element: Val<'_>) -> Result<Val<'_>, EvalError> {
    match element {
        Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Double(_) => Ok(element),
        Val::Str(_) | Val::Bytes(_) | Val::Timestamp(_) | Val::Duration(_) => Ok(element),
        other => Err(no_overload(&[other])),
    }
}

/// The order of two elements. There is none between types and with NaN, and then Kubernetes' functions go on.
fn compared(a: &Val<'_>, b: &Val<'_>, steps: &mut Steps) -> Result<Option<Ordering>, EvalError> {
    match order(&[a.clone(), b.clone()], steps) {
        Err(EvalError::OverBudget) => Err(EvalError::OverBudget),
        other => Ok(other.ok()),
    }
}

pub(super) fn is_sorted<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let mut last: Option<Val<'a>> = None;
    for element in only_list(args)?.iter() {
        steps.charge(1)?;
        if let Some(last) = last
            && compared(&last, &element, steps)? == Some(Ordering::Greater)
        {
            return Ok(Val::Bool(false));
        }
        last = Some(orderable(element)?);
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
        let element = orderable(element)?;
        best = match best {
            Some(best) if compared(&element, &best, steps)? != Some(replaces) => Some(best),
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

pub(super) fn slice<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::List(list), Val::Int(start), Val::Int(end)] = args else { return Err(no_overload(args)) };
    let bad = || EvalError::BadArgument(format!("can't slice({start}, {end}) a list of {}", list.len()));
    let (from, to) = (usize::try_from(*start).map_err(|_| bad())?, usize::try_from(*end).map_err(|_| bad())?);
    if from > to || to > list.len() {
        return Err(bad());
    }
    steps.charge((to - from) as u64)?;
    Ok(Val::list((from..to).filter_map(|i| list.get(i)).collect()))
}

pub(super) fn flatten<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (list, depth) = match args {
        [Val::List(list)] => (list, 1),
        [Val::List(list), Val::Int(depth)] => (list, *depth),
        _ => return Err(no_overload(args)),
    };
    if depth < 0 {
        return Err(EvalError::BadArgument("flatten() takes no negative depth".into()));
    }
    let mut flat = Vec::new();
    flatten_into(&mut flat, list, depth, steps)?;
    Ok(Val::list(flat))
}

/// As deep as values nest, which the depth of the expression or of the body bounds.
fn flatten_into<'a>(flat: &mut Vec<Val<'a>>, list: &List<'a>, depth: i64, steps: &mut Steps) -> Result<(), EvalError> {
    for element in list.iter() {
        steps.charge(1)?;
        match element {
            Val::List(inner) if depth > 0 => flatten_into(flat, &inner, depth - 1, steps)?,
            other => flat.push(other),
        }
    }
    Ok(())
}

pub(super) fn sort<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let list = only_list(args)?;
    steps.charge(list.len() as u64)?;
    let keys: Vec<Val<'a>> = list.iter().collect();
    super::iterate::sort(list, &keys, steps)
}

pub(super) fn distinct<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let mut kept: Vec<Val<'a>> = Vec::new();
    'elements: for element in only_list(args)?.iter() {
        steps.charge(1)?;
        for earlier in &kept {
            if element.equals(earlier, steps)? {
                continue 'elements;
            }
        }
        kept.push(element);
    }
    Ok(Val::list(kept))
}

pub(super) fn range<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::Int(count)] = args else { return Err(no_overload(args)) };
    steps.charge(u64::try_from(*count).unwrap_or(0))?;
    Ok(Val::list((0..*count).map(Val::Int).collect()))
}

fn end_of<'a>(args: &[Val<'a>], index: fn(usize) -> usize) -> Answer<'a> {
    let list = only_list(args)?;
    Ok(list.get(index(list.len())).map_or(Val::Optional(None), Val::some))
}

pub(super) fn first<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    end_of(args, |_| 0)
}

pub(super) fn last<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    end_of(args, |length| length.wrapping_sub(1))
}
