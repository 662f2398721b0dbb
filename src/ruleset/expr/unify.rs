//! Types that are not known yet: what an empty list, map or optional would hold. They become what they first meet, as in
//! cel-go's checker (checker/types.go of github.com/google/cel-go), so that both refuse the same expressions.

use super::types::Type;

/// Most steps over the parts of types in one expression: types that share parts could be far larger than their source.
const STEPS: usize = 100_000;

/// What the unknown types of one expression have become. `Type::Var` is an index into it.
#[derive(Default)]
pub(super) struct Unknowns {
    known: Vec<Option<Type>>,
    /// Which were found since the last choice between overloads began, with what they were before.
    changed: Vec<(usize, Option<Type>)>,
    steps: usize,
}

impl Unknowns {
    pub fn fresh(&mut self) -> Type {
        self.known.push(None);
        Type::Var(self.known.len() - 1)
    }

    /// True when the types of an expression are too large to go on; then `assign` answers false.
    pub fn exhausted(&self) -> bool {
        self.steps > STEPS
    }

    /// Whether all values can be used where the others are wanted; what is unknown is settled by that, or by nothing.
    pub fn assign<'t>(&mut self, pairs: impl IntoIterator<Item = (&'t Type, &'t Type)>) -> bool {
        self.changed.clear();
        let fits = pairs.into_iter().all(|(value, wanted)| self.assignable(value, wanted));
        if !fits {
            while let Some((unknown, before)) = self.changed.pop() {
                self.set(unknown, before);
            }
        }
        fits
    }

    fn set(&mut self, unknown: usize, type_: Option<Type>) {
        if let Some(slot) = self.known.get_mut(unknown) {
            *slot = type_;
        }
    }

    fn learn(&mut self, unknown: usize, type_: Type) {
        let before = self.known.get(unknown).cloned().flatten();
        self.changed.push((unknown, before));
        self.set(unknown, Some(type_));
    }

    fn find(&self, unknown: usize) -> Option<Type> {
        self.known.get(unknown).cloned().flatten()
    }

    fn assignable(&mut self, value: &Type, wanted: &Type) -> bool {
        self.steps += 1;
        if self.exhausted() {
            return false;
        }
        if let Type::Var(unknown) = wanted {
            match self.substitutes(value, *unknown) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if let Type::Var(unknown) = value {
            return self.substitutes(wanted, *unknown).0;
        }
        match (value, wanted) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Null, Type::Null) => true,
            (Type::Null, other) | (other, Type::Null) => nullable(other),
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.assignable(a, b),
            (Type::Map(ak, av), Type::Map(bk, bv)) => self.assignable(ak, bk) && self.assignable(av, bv),
            (a, b) => a == b,
        }
    }

    /// Whether the type can stand for the unknown one, and whether that one was known before.
    fn substitutes(&mut self, type_: &Type, unknown: usize) -> (bool, bool) {
        if *type_ == Type::Var(unknown) {
            return (true, true);
        }
        if let Some(known) = self.find(unknown) {
            if *type_ == known {
                return (true, true);
            }
            if !self.assignable(type_, &known) {
                return (false, true);
            }
            let general = if less_specific(type_, &known) { type_.clone() } else { known };
            if self.is_free_of(unknown, &general) {
                self.learn(unknown, general);
            }
            return (true, true);
        }
        let free = self.is_free_of(unknown, type_);
        if free {
            self.learn(unknown, type_.clone());
        }
        (free, false)
    }

    /// Whether the unknown type does not occur within the type.
    fn is_free_of(&mut self, unknown: usize, type_: &Type) -> bool {
        self.steps += 1;
        if self.exhausted() {
            return false;
        }
        match type_ {
            Type::Var(other) if *other == unknown => false,
            Type::Var(other) => match self.find(*other) {
                Some(known) => self.is_free_of(unknown, &known),
                None => true,
            },
            Type::List(a) | Type::Optional(a) => self.is_free_of(unknown, a),
            Type::Map(key, value) => self.is_free_of(unknown, key) && self.is_free_of(unknown, value),
            _ => true,
        }
    }

    /// The type with all that is known by now in it.
    pub fn resolved(&mut self, type_: &Type) -> Type {
        self.steps += 1;
        if self.exhausted() {
            return Type::Dyn;
        }
        match type_ {
            Type::Var(unknown) => match self.find(*unknown) {
                Some(known) => self.resolved(&known),
                None => type_.clone(),
            },
            Type::List(a) => Type::list(self.resolved(a)),
            Type::Optional(a) => Type::optional(self.resolved(a)),
            Type::Map(key, value) => Type::map(self.resolved(key), self.resolved(value)),
            other => other.clone(),
        }
    }

    /// The type of elements of both types: `dyn` when they differ.
    pub fn join(&mut self, earlier: Option<Type>, type_: Type) -> Type {
        match earlier {
            None => type_,
            Some(earlier) if !self.assign([(&earlier, &type_)]) => Type::Dyn,
            // The specification's cases want the type that may be null.
            Some(earlier) if type_ == Type::Null => earlier,
            Some(earlier) if less_specific(&earlier, &type_) => earlier,
            Some(_) => type_,
        }
    }

    /// A signature's type with fresh unknown types for its parameters.
    pub fn instance(&mut self, type_: &Type, parameters: &mut [Option<Type>; 2]) -> Type {
        match type_ {
            Type::Param(i) => match parameters.get_mut(*i) {
                Some(slot) => slot.get_or_insert_with(|| self.fresh()).clone(),
                None => Type::Dyn,
            },
            Type::List(a) => Type::list(self.instance(a, parameters)),
            Type::Optional(a) => Type::optional(self.instance(a, parameters)),
            Type::Map(k, v) => Type::map(self.instance(k, parameters), self.instance(v, parameters)),
            other => other.clone(),
        }
    }
}

/// Types of values that may be null.
fn nullable(type_: &Type) -> bool {
    matches!(
        type_,
        Type::Timestamp | Type::Duration | Type::Optional(_) | Type::Ip | Type::Cidr | Type::Url | Type::Null
    )
}

/// Whether the first says as much as the second or less.
fn less_specific(first: &Type, second: &Type) -> bool {
    match (first, second) {
        (Type::Dyn | Type::Var(_), _) => true,
        (_, Type::Dyn | Type::Var(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => less_specific(a, b),
        (Type::Map(ak, av), Type::Map(bk, bv)) => less_specific(ak, bk) && less_specific(av, bv),
        (a, b) => a == b,
    }
}
