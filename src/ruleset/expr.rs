//! One CEL expression over an event: parsed, type-checked against the schema, compiled, and evaluated with a budget.
//!
//! ```text
//! source --parse--> Ast --check--> Node (typed, names resolved) --eval(event, steps)--> Value
//! ```
//! Semantics are CEL's (cel-spec, with cel-go as reference); what is not supported is a compile error with its place, never a
//! silent non-match. Evaluation reads nothing but the event and always costs the same.

mod ast;
mod bindings;
mod bounds;
mod budget;
mod calls;
mod check;
mod constant;
mod convert;
mod deviations;
mod error;
mod eval;
mod excerpt;
mod format;
mod functions;
mod hint;
mod iterate;
mod lists;
mod macros;
mod math;
mod names;
mod net;
mod operators;
mod parse;
mod pattern;
mod print;
mod re2;
mod reference;
mod table;
mod text;
mod time;
pub mod trace;
pub(super) mod tree;
mod types;
mod typo;
mod unify;
mod url;
mod value;
pub(in crate::ruleset) mod view;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

pub use bindings::Bindings;
pub use bounds::{Bound, bounds};
pub use budget::{STEP_LIMIT, Steps};
pub use deviations::{Deviation, Shown, deviations};
pub use error::{EvalError, ExprError};
pub use names::nearest;
pub use reference::{Entry, reference};
pub use url::Url;
pub use value::{List, Map, Text, Val, Value};

use crate::event::Event;
use check::{Checker, Root, Typed, Variable};
use eval::{Evaluation, Input};
use tree::Node;
use types::Type;

/// What an expression must yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Bool,
    Any,
    /// Anything that prints: string, int, uint, double, bool, timestamp, duration, dyn.
    Text,
}

/// Named sub-expressions, referred to as `variables.NAME`. A later one may use earlier ones.
#[derive(Clone, Default)]
pub struct Variables {
    defined: BTreeMap<String, Variable>,
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.defined.keys()).finish()
    }
}

impl Variables {
    /// Compiles `source` and gives it a name.
    pub fn define(&mut self, name: &str, source: &str) -> Result<(), ExprError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(word) || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let message = format!("{name:?} can't name a variable; use letters, digits and _");
            return Err(ExprError::at(source, 0, message, "such as `is_admin`"));
        }
        if self.defined.contains_key(name) {
            let message = format!("variable `{name}` is defined twice");
            return Err(ExprError::at(source, 0, message, "give this one another name"));
        }
        let ast = parse::parse(source)?;
        let mut checker = Checker::new(source, Root::Event, &self.defined);
        let Typed { node, type_ } = checker.check(&ast)?;
        let type_ = type_.settled();
        let (extent, fields) = (checker.extent, checker.fields);
        self.defined.insert(name.to_owned(), Variable { node: Arc::new(node), type_, extent, fields });
        Ok(())
    }
}

/// A compiled expression. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    compiled: Arc<Compiled>,
}

struct Compiled {
    source: String,
    node: Node,
    type_: Type,
    fields: BTreeSet<&'static str>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.compiled.source).finish()
    }
}

impl Program {
    /// Compiles `source`, which must yield what is expected.
    pub fn compile(source: &str, expected: Expected, variables: &Variables) -> Result<Program, ExprError> {
        let program = Program::compile_at(source, Root::Event, variables)?;
        check_expected(source, expected, &program.compiled.type_)?;
        Ok(program)
    }

    /// Compiles `source` over variables instead of an event.
    pub fn compile_over(source: &str, bindings: &Bindings) -> Result<Program, ExprError> {
        Program::compile_at(source, Root::Bindings(bindings), &Variables::default())
    }

    fn compile_at(source: &str, root: Root<'_>, variables: &Variables) -> Result<Program, ExprError> {
        let ast = parse::parse(source)?;
        let mut checker = Checker::new(source, root, &variables.defined);
        let Typed { node, type_ } = checker.check(&ast)?;
        let type_ = type_.settled();
        let fields = checker.fields.into_keys().collect();
        Ok(Program { compiled: Arc::new(Compiled { source: source.to_owned(), node, type_, fields }) })
    }

    fn run<'a>(&'a self, input: Input<'a>, steps: &mut Steps) -> Result<Val<'a>, EvalError> {
        Evaluation::<false>::new(input, Vec::new(), steps).node(&self.compiled.node)
    }

    /// The value over the variables that it was compiled for.
    pub fn eval_over(&self, bindings: &Bindings, steps: &mut Steps) -> Result<Value, EvalError> {
        self.run(Input::Bindings(bindings), steps)?.into_owned(steps)
    }

    /// Where and why an evaluation over variables failed.
    pub fn failure_over(&self, bindings: &Bindings, error: &EvalError) -> ExprError {
        self.failed(Input::Bindings(bindings), error)
    }

    /// Where and why an evaluation failed: the part that gave the error. It is evaluated again to find that out.
    pub fn failure(&self, event: &Event<'_>, error: &EvalError) -> ExprError {
        self.failed(Input::Event(event), error)
    }

    fn failed(&self, input: Input<'_>, error: &EvalError) -> ExprError {
        let mut steps = Steps::default();
        let mut evaluation = Evaluation::<true>::new(input, Vec::new(), &mut steps);
        // What it answers is known.
        drop(evaluation.node(&self.compiled.node));
        error.placed(&self.compiled.source, evaluation.faults.place_of(error).unwrap_or(0))
    }

    /// The static type of its value, as `list(string)` or `dyn`.
    pub fn type_name(&self) -> String {
        self.compiled.type_.to_string()
    }

    /// The value for one event.
    pub fn eval(&self, event: &Event<'_>, steps: &mut Steps) -> Result<Value, EvalError> {
        self.run(Input::Event(event), steps)?.into_owned(steps)
    }

    /// Whether the event satisfies it, for `Expected::Bool`.
    pub fn holds(&self, event: &Event<'_>, steps: &mut Steps) -> Result<bool, EvalError> {
        match self.run(Input::Event(event), steps)? {
            Val::Bool(b) => Ok(b),
            other => Err(EvalError::NoSuchOverload(format!("a condition that is {}", other.type_name()))),
        }
    }

    /// The value as `string()` prints it, for `Expected::Text`. Null, lists and maps are errors.
    pub fn text(&self, event: &Event<'_>, steps: &mut Steps) -> Result<String, EvalError> {
        let value = self.run(Input::Event(event), steps)?;
        if let Val::Str(text) = &value {
            steps.charge_bytes(text.as_str().len())?;
        }
        print::text(&value).ok_or_else(|| EvalError::NoSuchOverload(format!("string({})", value.type_name())))
    }

    /// Paths of the schema fields that it reads, through variables too.
    pub fn fields(&self) -> &BTreeSet<&'static str> {
        &self.compiled.fields
    }

    pub fn source(&self) -> &str {
        &self.compiled.source
    }

    /// The typed tree, for what reasons about conditions without evaluating them.
    pub(in crate::ruleset) fn tree(&self) -> &Node {
        &self.compiled.node
    }
}

fn check_expected(source: &str, expected: Expected, type_: &Type) -> Result<(), ExprError> {
    let (fits, wanted) = match expected {
        Expected::Any => return Ok(()),
        Expected::Bool => (matches!(type_, Type::Bool | Type::Dyn), "a bool"),
        Expected::Text => {
            let prints = matches!(
                type_,
                Type::String
                    | Type::Int
                    | Type::Uint
                    | Type::Double
                    | Type::Bool
                    | Type::Timestamp
                    | Type::Duration
                    | Type::Ip
                    | Type::Dyn
            );
            (prints, "a string, or a value that string() takes")
        }
    };
    if fits {
        return Ok(());
    }
    let hint = match expected {
        Expected::Bool => "compare it with something, as in `user.name == \"x\"`",
        Expected::Text | Expected::Any => "take an element or a key of it, or join() a list",
    };
    Err(ExprError::at(source, 0, format!("the expression is {}; it must be {wanted}", type_.with_article()), hint))
}
