//! String and regex functions. Positions count characters (Unicode code points), as in CEL. What is built is charged first.

use super::{
    budget::Steps,
    error::EvalError,
    operators::no_overload,
    pattern::{self, Effort, Pattern},
    tree::Search,
    value::Val,
};

type Answer<'a> = Result<Val<'a>, EvalError>;

/// Steps that a pattern compiled during evaluation costs: it may take milliseconds.
const COMPILE_STEPS: u64 = 12_000;
/// For each Unicode class of a pattern: half a millisecond.
const CLASS_STEPS: u64 = 1_000;

/// Charges for reading `text` once.
fn read(text: &str, steps: &mut Steps) -> Result<(), EvalError> {
    steps.charge_bytes(text.len())
}

/// Searches the text `args[0]`; for `FindAll`, `args[1]` bounds how many parts are given.
pub(super) fn search<'a>(search: Search, pattern: &Pattern, args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, most) = match args {
        [Val::Str(text)] => (text.as_str(), usize::MAX),
        [Val::Str(text), Val::Int(n)] => (text.as_str(), usize::try_from(*n).unwrap_or(usize::MAX)),
        _ => return Err(no_overload(args)),
    };
    let Pattern { regex, weight } = pattern;
    let mut search_for = |bytes: usize| steps.charge((bytes as u64).saturating_mul(*weight) / 64);
    search_for(text.len())?;
    Ok(match search {
        Search::Matches => Val::Bool(regex.is_match(text)),
        Search::Find => Val::shared(regex.find(text).map_or("", |m| m.as_str())),
        Search::FindAll => {
            let mut found = Vec::new();
            for part in regex.find_iter(text).take(most) {
                // The search for the next one may read all the rest: `a.*b|a`.
                search_for(64 + text.len() - part.end())?;
                found.push(Val::shared(part.as_str()));
            }
            Val::list(found)
        }
    })
}

/// The same with a pattern that is only known now, as `args[1]`.
fn search_dynamic<'a>(kind: Search, args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, pattern, rest) = match args {
        [text @ Val::Str(_), Val::Str(pattern), rest @ ..] => (text, pattern, rest),
        _ => return Err(no_overload(args)),
    };
    steps.charge(COMPILE_STEPS + CLASS_STEPS * pattern::classes(pattern.as_str()) as u64)?;
    let pattern = Pattern::new(pattern.as_str(), kind, &mut Effort::none()).map_err(EvalError::BadArgument)?;
    let args: Vec<Val<'a>> = [text].into_iter().chain(rest).cloned().collect();
    search(kind, &pattern, &args, steps)
}

pub(super) fn matches<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    search_dynamic(Search::Matches, args, steps)
}

pub(super) fn find<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    search_dynamic(Search::Find, args, steps)
}

pub(super) fn find_all<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    search_dynamic(Search::FindAll, args, steps)
}

fn test<'a>(args: &[Val<'a>], steps: &mut Steps, holds: fn(&str, &str) -> bool) -> Answer<'a> {
    let [Val::Str(text), Val::Str(part)] = args else { return Err(no_overload(args)) };
    read(text.as_str(), steps)?;
    Ok(Val::Bool(holds(text.as_str(), part.as_str())))
}

pub(super) fn contains<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    test(args, steps, |text, part| text.contains(part))
}

pub(super) fn starts_with<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    test(args, steps, |text, part| text.starts_with(part))
}

pub(super) fn ends_with<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    test(args, steps, |text, part| text.ends_with(part))
}

fn map<'a>(args: &[Val<'a>], steps: &mut Steps, change: fn(&str) -> String) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    read(text.as_str(), steps)?;
    Ok(Val::shared(change(text.as_str())))
}

pub(super) fn lower_ascii<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    map(args, steps, str::to_ascii_lowercase)
}

pub(super) fn upper_ascii<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    map(args, steps, str::to_ascii_uppercase)
}

pub(super) fn trim<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    map(args, steps, |text| text.trim().to_owned())
}

pub(super) fn reverse<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    if let [Val::List(list)] = args {
        steps.charge(list.len() as u64)?;
        return Ok(Val::list((0..list.len()).rev().filter_map(|i| list.get(i)).collect()));
    }
    map(args, steps, |text| text.chars().rev().collect())
}

/// The parts as Go's `strings.SplitN` gives them: an empty separator splits into characters.
pub(super) fn split<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, separator, most) = match args {
        [Val::Str(text), Val::Str(separator)] => (text.as_str(), separator.as_str(), usize::MAX),
        [Val::Str(text), Val::Str(separator), Val::Int(n)] => {
            (text.as_str(), separator.as_str(), usize::try_from(*n).unwrap_or(usize::MAX))
        }
        _ => return Err(no_overload(args)),
    };
    read(text, steps)?;
    if most == 0 {
        return Ok(Val::list(Vec::new()));
    }
    let mut parts = Vec::new();
    if separator.is_empty() {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            steps.charge(1)?;
            if parts.len() + 1 == most {
                parts.push(Val::shared(rest));
                break;
            }
            let (head, tail) = rest.split_at(c.len_utf8());
            parts.push(Val::shared(head));
            rest = tail;
        }
    } else {
        for part in text.splitn(most, separator) {
            steps.charge(1)?;
            parts.push(Val::shared(part));
        }
    }
    Ok(Val::list(parts))
}

pub(super) fn replace<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, old, new, most) = match args {
        [Val::Str(text), Val::Str(old), Val::Str(new)] => (text, old, new, usize::MAX),
        [Val::Str(text), Val::Str(old), Val::Str(new), Val::Int(n)] => {
            (text, old, new, usize::try_from(*n).unwrap_or(usize::MAX))
        }
        _ => return Err(no_overload(args)),
    };
    let (text, old, new) = (text.as_str(), old.as_str(), new.as_str());
    read(text, steps)?;
    let times = text.matches(old).take(most).count();
    steps.charge_bytes(text.len().saturating_add(times.saturating_mul(new.len())))?;
    Ok(Val::shared(text.replacen(old, new, most)))
}

pub(super) fn join<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (list, separator) = match args {
        [Val::List(list)] => (list, ""),
        [Val::List(list), Val::Str(separator)] => (list, separator.as_str()),
        _ => return Err(no_overload(args)),
    };
    let mut joined = String::new();
    for (i, part) in list.iter().enumerate() {
        let Val::Str(part) = part else { return Err(no_overload(&[part])) };
        steps.charge(1)?;
        steps.charge_bytes(separator.len() + part.as_str().len())?;
        if i > 0 {
            joined.push_str(separator);
        }
        joined.push_str(part.as_str());
    }
    Ok(Val::shared(joined))
}

fn out_of_range(index: i64) -> EvalError {
    EvalError::IndexOutOfRange(index.to_string())
}

/// Byte offset of character `index`; the character count itself stands for the end.
fn offset(text: &str, index: i64) -> Result<usize, EvalError> {
    let index_ = usize::try_from(index).map_err(|_| out_of_range(index))?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index_).ok_or_else(|| out_of_range(index))
}

pub(super) fn char_at<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let [Val::Str(text), Val::Int(index)] = args else { return Err(no_overload(args)) };
    read(text.as_str(), steps)?;
    let (_, rest) = text.as_str().split_at(offset(text.as_str(), *index)?);
    Ok(Val::shared(rest.chars().take(1).collect::<String>()))
}

pub(super) fn substring<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, start, end) = match args {
        [Val::Str(text), Val::Int(start)] => (text.as_str(), *start, None),
        [Val::Str(text), Val::Int(start), Val::Int(end)] => (text.as_str(), *start, Some(*end)),
        _ => return Err(no_overload(args)),
    };
    read(text, steps)?;
    // Before their range is looked at, as cel-go does (ext/strings.go).
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(EvalError::BadArgument(format!("substring from {start} to {end}")));
    }
    let from = offset(text, start)?;
    let to = end.map_or(Ok(text.len()), |end| offset(text, end))?;
    Ok(Val::shared(text.get(from..to).unwrap_or_default()))
}

pub(super) fn index_of<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, part, from) = match args {
        [Val::Str(text), Val::Str(part)] => (text.as_str(), part.as_str(), 0),
        [Val::Str(text), Val::Str(part), Val::Int(from)] => (text.as_str(), part.as_str(), *from),
        [Val::List(list), value] => {
            for (i, element) in list.iter().enumerate() {
                if element.equals(value, steps)? {
                    return Ok(position(i));
                }
            }
            return Ok(Val::Int(-1));
        }
        _ => return Err(no_overload(args)),
    };
    read(text, steps)?;
    if part.is_empty() {
        return Ok(Val::Int(from));
    }
    if from < 0 {
        return Err(out_of_range(from));
    }
    let (before, rest) = text.split_at(offset(text, from)?);
    Ok(match rest.find(part) {
        Some(at) => position(before.chars().count() + rest.split_at(at).0.chars().count()),
        None => Val::Int(-1),
    })
}

pub(super) fn last_index_of<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    let (text, part, from) = match args {
        [Val::Str(text), Val::Str(part)] => (text.as_str(), part.as_str(), None),
        [Val::Str(text), Val::Str(part), Val::Int(from)] => (text.as_str(), part.as_str(), Some(*from)),
        [Val::List(list), value] => {
            for i in (0..list.len()).rev() {
                if let Some(element) = list.get(i)
                    && element.equals(value, steps)?
                {
                    return Ok(position(i));
                }
            }
            return Ok(Val::Int(-1));
        }
        _ => return Err(no_overload(args)),
    };
    read(text, steps)?;
    match (part.is_empty(), from) {
        (true, Some(from)) => return Ok(Val::Int(from)),
        (true, None) => return Ok(position(text.chars().count())),
        (false, Some(from)) if from < 0 => return Err(out_of_range(from)),
        (false, _) => {}
    }
    // The last occurrence that begins at `from` or before it.
    let last = match from {
        Some(from) => match offset(text, from)? {
            at if at < text.len() => at,
            _ => return Ok(Val::Int(-1)),
        },
        None => text.len(),
    };
    let end = last.saturating_add(part.len()).min(text.len());
    let mut end = end;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (head, _) = text.split_at(end);
    Ok(match head.rfind(part) {
        Some(at) => position(head.split_at(at).0.chars().count()),
        None => Val::Int(-1),
    })
}

fn position<'a>(index: usize) -> Val<'a> {
    Val::Int(i64::try_from(index).unwrap_or(i64::MAX))
}

pub(super) fn size<'a>(args: &[Val<'a>], steps: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Str(text)] => {
            read(text.as_str(), steps)?;
            Ok(position(text.as_str().chars().count()))
        }
        [Val::Bytes(bytes)] => Ok(position(bytes.len())),
        [Val::List(list)] => Ok(position(list.len())),
        [Val::Map(map)] => Ok(position(map.len())),
        _ => Err(no_overload(args)),
    }
}
