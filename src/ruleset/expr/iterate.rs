//! Evaluates macros over lists and maps. `all` and `exists` absorb errors as `&&` and `||` do; the others pass them on.

use std::cmp::Ordering;

use super::{
    error::EvalError,
    eval::{Answer, Evaluation},
    operators::{self, no_overload},
    tree::{Comprehension, Macro, Node},
    value::{List, Map, Val},
};

/// What a macro runs over.
enum Range<'a> {
    List(List<'a>),
    Entries(Vec<(Val<'a>, Val<'a>)>),
}

impl<'a> Range<'a> {
    fn len(&self) -> usize {
        match self {
            Range::List(list) => list.len(),
            Range::Entries(entries) => entries.len(),
        }
    }

    /// The values of one variable (element or key) or of two (index and element, key and value) at a position.
    fn at(&self, position: usize) -> Option<(Val<'a>, Val<'a>)> {
        match self {
            Range::List(list) => Some((Val::Int(i64::try_from(position).ok()?), list.get(position)?)),
            Range::Entries(entries) => entries.get(position).cloned(),
        }
    }
}

impl<'a, const TRACED: bool> Evaluation<'a, '_, TRACED> {
    pub fn comprehension(&mut self, macro_: &'a Comprehension) -> Answer<'a> {
        let range = match self.node(&macro_.range)? {
            Val::List(list) => Range::List(list),
            Val::Map(map) => {
                self.steps.charge(map.len() as u64)?;
                Range::Entries(map.entries())
            }
            other => return Err(no_overload(&[other])),
        };
        match macro_.kind {
            Macro::All => self.quantify(macro_, &range, false),
            Macro::Exists => self.quantify(macro_, &range, true),
            Macro::ExistsOne => self.exists_one(macro_, &range),
            Macro::Filter => self.filter(macro_, &range),
            Macro::List => self.list_of(macro_, &range),
            Macro::Map => self.map_of(macro_, &range),
            Macro::Entries => self.merged(macro_, &range),
            Macro::SortBy => self.sorted_by(macro_, &range),
        }
    }

    /// Evaluates `node` with the macro's variables at a position.
    fn at(&mut self, macro_: &Comprehension, range: &Range<'a>, position: usize, node: &'a Node) -> Answer<'a> {
        let Some((first, second)) = range.at(position) else { return Err(EvalError::IndexOutOfRange(String::new())) };
        let outer = self.locals.len();
        match (macro_.pair, range) {
            (true, _) => self.locals.extend([Ok(first), Ok(second)]),
            (false, Range::List(_)) => self.locals.push(Ok(second)),
            (false, Range::Entries(_)) => self.locals.push(Ok(first)),
        }
        let answer = self.node(node);
        self.locals.truncate(outer);
        answer
    }

    fn test(
        &mut self,
        macro_: &Comprehension,
        range: &Range<'a>,
        at: usize,
        condition: &'a Node,
    ) -> Result<bool, EvalError> {
        match self.at(macro_, range, at, condition)? {
            Val::Bool(b) => Ok(b),
            other => Err(no_overload(&[other])),
        }
    }

    /// Whether the macro's filter, if it has one, lets the position through.
    fn wanted(&mut self, macro_: &'a Comprehension, range: &Range<'a>, at: usize) -> Result<bool, EvalError> {
        match &macro_.filter {
            Some(filter) => self.test(macro_, range, at, filter),
            None => Ok(true),
        }
    }

    /// `exists` (`absorbing` true) and `all` (false), as a long `||` and `&&`.
    fn quantify(&mut self, macro_: &'a Comprehension, range: &Range<'a>, absorbing: bool) -> Answer<'a> {
        let mut last_error = None;
        for at in 0..range.len() {
            match self.test(macro_, range, at, &macro_.body) {
                Ok(b) if b == absorbing => return Ok(Val::Bool(absorbing)),
                Ok(_) => {}
                Err(EvalError::OverBudget) => return Err(EvalError::OverBudget),
                Err(error) => {
                    last_error.get_or_insert(error);
                }
            }
        }
        last_error.map_or(Ok(Val::Bool(!absorbing)), Err)
    }

    fn exists_one(&mut self, macro_: &'a Comprehension, range: &Range<'a>) -> Answer<'a> {
        let mut found = 0;
        for at in 0..range.len() {
            found += usize::from(self.test(macro_, range, at, &macro_.body)?);
        }
        Ok(Val::Bool(found == 1))
    }

    fn filter(&mut self, macro_: &'a Comprehension, range: &Range<'a>) -> Answer<'a> {
        let mut kept = Vec::new();
        for at in 0..range.len() {
            if self.test(macro_, range, at, &macro_.body)?
                && let Some((first, second)) = range.at(at)
            {
                kept.push(if matches!(range, Range::List(_)) { second } else { first });
            }
        }
        Ok(Val::list(kept))
    }

    fn list_of(&mut self, macro_: &'a Comprehension, range: &Range<'a>) -> Answer<'a> {
        let mut made = Vec::new();
        for at in 0..range.len() {
            if self.wanted(macro_, range, at)? {
                made.push(self.at(macro_, range, at, &macro_.body)?);
            }
        }
        Ok(Val::list(made))
    }

    fn map_of(&mut self, macro_: &'a Comprehension, range: &Range<'a>) -> Answer<'a> {
        let mut made = Vec::new();
        for at in 0..range.len() {
            if self.wanted(macro_, range, at)?
                && let Some((key, _)) = range.at(at)
            {
                made.push((key, self.at(macro_, range, at, &macro_.body)?));
            }
        }
        Ok(Val::Map(Map::Shared(made.into())))
    }

    /// One map of the maps that the body yields. A key that occurs twice is an error.
    fn merged(&mut self, macro_: &'a Comprehension, range: &Range<'a>) -> Answer<'a> {
        let mut made: Vec<(Val<'a>, Val<'a>)> = Vec::new();
        for at in 0..range.len() {
            if !self.wanted(macro_, range, at)? {
                continue;
            }
            let entries = match self.at(macro_, range, at, &macro_.body)? {
                Val::Map(map) => map.entries(),
                other => return Err(no_overload(&[other])),
            };
            for (key, value) in entries {
                for (earlier, _) in &made {
                    if earlier.equals(&key, self.steps)? {
                        return Err(EvalError::BadArgument(format!("map key {key} occurs twice")));
                    }
                }
                self.steps.charge(1)?;
                made.push((key, value));
            }
        }
        Ok(Val::Map(Map::Shared(made.into())))
    }

    fn sorted_by(&mut self, macro_: &'a Comprehension, range: &Range<'a>) -> Answer<'a> {
        let Range::List(list) = range else { return Err(EvalError::NoSuchOverload("map.sortBy()".into())) };
        let mut keys = Vec::new();
        for at in 0..range.len() {
            keys.push(self.at(macro_, range, at, &macro_.body)?);
        }
        sort(list, &keys, self.steps)
    }
}

/// The elements in the order of their keys, which must all be of one comparable type.
pub(super) fn sort<'a>(list: &List<'a>, keys: &[Val<'a>], steps: &mut super::budget::Steps) -> Answer<'a> {
    if let Some(first) = keys.first() {
        let comparable = matches!(
            first,
            Val::Bool(_)
                | Val::Int(_)
                | Val::Uint(_)
                | Val::Double(_)
                | Val::Str(_)
                | Val::Bytes(_)
                | Val::Timestamp(_)
                | Val::Duration(_)
        );
        if !comparable {
            return Err(EvalError::BadArgument("list elements must be comparable".into()));
        }
        if keys.iter().any(|key| key.type_name() != first.type_name()) {
            return Err(EvalError::BadArgument("list elements must have the same type".into()));
        }
    }
    let mut keyed: Vec<(&Val<'a>, Val<'a>)> = keys.iter().zip(list.iter()).collect();
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        if failed.is_some() {
            return Ordering::Equal;
        }
        match operators::compare(a, b, steps) {
            Ok(order) => order,
            Err(EvalError::OverBudget) => {
                failed = Some(EvalError::OverBudget);
                Ordering::Equal
            }
            // NaN stays where it is.
            Err(_) => Ordering::Equal,
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(Val::list(keyed.into_iter().map(|(_, value)| value).collect())),
    }
}
