//! Parts that fail whatever the event is: `1 / 0`, `int("abc")`, `[1][1]`. In: a syntax tree. Out: what is wrong with this part of
//! it. They are no errors of the compiler, since `&&` and `||` may absorb them, and CEL wants them to: the linter warns of
//! them. A literal that can't be read, such as `cidr("10.0.0/8")`, is refused when it is checked.

use std::collections::BTreeMap;

use super::{
    ast::{Ast, Kind},
    bindings::Bindings,
    budget::Steps,
    check::{Checker, Root},
    error::EvalError,
    eval::{Evaluation, Input},
    value::Val,
};

/// What is known of a part without any event.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ruleset) enum Fault {
    /// It has a value: there is nothing to look for in it.
    None,
    /// It fails for every event: why, and what to do.
    Always(String, &'static str),
    /// It depends on the event; its parts may not.
    Unknown,
}

/// Judges one part; not its parts by themselves.
pub(in crate::ruleset) fn fault(source: &str, ast: &Ast) -> Fault {
    let nothing = Bindings::default();
    let variables = BTreeMap::new();
    if let Ok(typed) = Checker::new(source, Root::Bindings(&nothing), &variables).check(ast) {
        let mut steps = Steps::default();
        let input = Input::Bindings(&nothing);
        return match Evaluation::<false>::new(input, Vec::new(), &mut steps).node(&typed.node) {
            Err(EvalError::OverBudget) | Ok(_) => Fault::None,
            // Its own part at fault says it better.
            Err(_) if has_failing_part(source, ast) => Fault::Unknown,
            Err(error) => Fault::Always(error.message(), "write a value that can be read, or take it out"),
        };
    }
    let Kind::Call { target, function, args } = &ast.kind else { return Fault::Unknown };
    let literal = args.last().and_then(|arg| match &arg.kind {
        Kind::Literal(value) => Some(value),
        _ => None,
    });
    let always = |error: EvalError, hint| Fault::Always(error.message(), hint);
    match (target.is_some(), function.as_str(), literal) {
        (false, "_/_" | "_%_", Some(Val::Int(0) | Val::Uint(0))) => {
            always(EvalError::DivisionByZero, "divide by another number")
        }
        _ => Fault::Unknown,
    }
}

/// True when a part of the constant fails by itself, so that the message belongs there.
fn has_failing_part(source: &str, ast: &Ast) -> bool {
    let fails = |part: &Ast| matches!(fault(source, part), Fault::Always(..));
    match &ast.kind {
        Kind::Call { target, args, .. } => target.iter().map(|t| &**t).chain(args).any(fails),
        Kind::Select { operand, .. } => fails(operand),
        Kind::Index { operand, index, .. } => fails(operand) || fails(index),
        Kind::And(terms) | Kind::Or(terms) => terms.iter().any(fails),
        Kind::List(elements) => elements.iter().any(|(element, _)| fails(element)),
        Kind::Map(entries) => entries.iter().any(|(key, value, _)| fails(key) || fails(value)),
        Kind::Literal(_) | Kind::Name(_) | Kind::Struct(_) => false,
    }
}
