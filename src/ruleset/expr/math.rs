//! The math functions of cel-go's extensions.

use std::cmp::Ordering;

use super::{
    budget::Steps,
    error::EvalError,
    operators::{compare, no_overload},
    value::Val,
};

type Answer<'a> = Result<Val<'a>, EvalError>;

fn is_number(value: &Val<'_>) -> bool {
    matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_))
}

/// The one of the numbers that no other one `beats`; the first of equal ones. A single list stands for its elements.
fn extreme<'a>(args: &[Val<'a>], steps: &mut Steps, beats: Ordering) -> Answer<'a> {
    let numbers: Vec<Val<'a>> = match args {
        [Val::List(list)] => list.iter().collect(),
        all => all.to_vec(),
    };
    steps.charge(numbers.len() as u64)?;
    if !numbers.iter().all(is_number) {
        return Err(no_overload(args));
    }
    let mut numbers = numbers.into_iter();
    let mut best = numbers.next().ok_or_else(|| EvalError::BadArgument("argument must not be empty".into()))?;
    for number in numbers {
        if compare(&best, &number, steps)? == Some(beats) {
            best = number;
        }
    }
    Ok(best)
}

pub(super) fn greatest<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    extreme(args, steps, Ordering::Less)
}

pub(super) fn least<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    extreme(args, steps, Ordering::Greater)
}

fn of_double<'a>(args: &[Val<'a>], change: fn(f64) -> f64) -> Answer<'a> {
    let [Val::Double(d)] = args else { return Err(no_overload(args)) };
    Ok(Val::Double(change(*d)))
}

pub(super) fn ceil<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_double(args, f64::ceil)
}

pub(super) fn floor<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_double(args, f64::floor)
}

/// Half away from zero.
pub(super) fn round<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_double(args, f64::round)
}

pub(super) fn trunc<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_double(args, f64::trunc)
}

fn asks<'a>(args: &[Val<'a>], question: fn(f64) -> bool) -> Answer<'a> {
    let [Val::Double(d)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(question(*d)))
}

pub(super) fn is_nan<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    asks(args, f64::is_nan)
}

pub(super) fn is_infinite<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    asks(args, f64::is_infinite)
}

pub(super) fn is_finite<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    asks(args, f64::is_finite)
}

pub(super) fn abs<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Int(i)] => i.checked_abs().map(Val::Int).ok_or(EvalError::Overflow("int")),
        [Val::Uint(u)] => Ok(Val::Uint(*u)),
        [Val::Double(d)] => Ok(Val::Double(d.abs())),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn sign<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Int(i)] => Ok(Val::Int(i.signum())),
        [Val::Uint(u)] => Ok(Val::Uint((*u).min(1))),
        [Val::Double(d)] if d.is_nan() => Ok(Val::Double(*d)),
        [Val::Double(d)] => Ok(Val::Double(if *d > 0.0 {
            1.0
        } else if *d < 0.0 {
            -1.0
        } else {
            0.0
        })),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn sqrt<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Int(i)] => Ok(Val::Double((*i as f64).sqrt())),
        [Val::Uint(u)] => Ok(Val::Double((*u as f64).sqrt())),
        [Val::Double(d)] => Ok(Val::Double(d.sqrt())),
        _ => Err(no_overload(args)),
    }
}

fn bits<'a>(args: &[Val<'a>], join: fn(u64, u64) -> u64) -> Answer<'a> {
    match args {
        [Val::Int(a), Val::Int(b)] => Ok(Val::Int(join(a.cast_unsigned(), b.cast_unsigned()).cast_signed())),
        [Val::Uint(a), Val::Uint(b)] => Ok(Val::Uint(join(*a, *b))),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn bit_and<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    bits(args, |a, b| a & b)
}

pub(super) fn bit_or<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    bits(args, |a, b| a | b)
}

pub(super) fn bit_xor<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    bits(args, |a, b| a ^ b)
}

pub(super) fn bit_not<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Int(i)] => Ok(Val::Int(!i)),
        [Val::Uint(u)] => Ok(Val::Uint(!u)),
        _ => Err(no_overload(args)),
    }
}

/// Bits that leave on either side are lost; a shift by 64 or more leaves none.
fn shift<'a>(args: &[Val<'a>], name: &str, by: fn(u64, u32) -> Option<u64>) -> Answer<'a> {
    let ([_, Val::Int(places)], false) = (args, matches!(args, [_, Val::Int(i64::MIN..=-1)])) else {
        return match args {
            [Val::Int(_) | Val::Uint(_), Val::Int(_)] => {
                Err(EvalError::BadArgument(format!("math.{name}() takes no negative offset")))
            }
            _ => Err(no_overload(args)),
        };
    };
    let shifted = |bits: u64| u32::try_from(*places).ok().and_then(|places| by(bits, places)).unwrap_or(0);
    match args {
        [Val::Int(i), _] => Ok(Val::Int(shifted(i.cast_unsigned()).cast_signed())),
        [Val::Uint(u), _] => Ok(Val::Uint(shifted(*u))),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn shift_left<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    shift(args, "bitShiftLeft", u64::checked_shl)
}

/// Zeros come in from the left, for an int too.
pub(super) fn shift_right<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    shift(args, "bitShiftRight", u64::checked_shr)
}
