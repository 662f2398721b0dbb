//! Parts that fail whatever the event is: `cidr("10.0.0/8")`, `1 / 0`, a time zone that does not exist. In: a syntax tree. Out:
//! what is wrong with this part of it. They are no errors of the compiler, since `&&` and `||` may absorb them, and a
//! rule that Kubernetes' compiler takes is taken here: the linter warns of them.

use std::collections::BTreeMap;

use super::{
    ast::{Ast, Kind},
    bindings::Bindings,
    budget::Steps,
    check::{Checker, Root},
    error::EvalError,
    eval::{Evaluation, Input},
    net, time,
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
        (true, name, Some(Val::Str(zone))) if name.starts_with("get") && args.len() == 1 => {
            match time::zone(zone.as_str()) {
                Err(error) => always(error, "write a name such as \"Europe/Berlin\", or an offset such as \"+02:00\""),
                Ok(_) => Fault::Unknown,
            }
        }
        (true, "containsIP", Some(Val::Str(address))) => match net::parse_ip(address.as_str()) {
            Err(error) => always(error, "write an address such as \"10.0.0.1\""),
            Ok(_) => Fault::Unknown,
        },
        (true, "containsCIDR", Some(Val::Str(network))) => match net::parse_cidr(network.as_str()) {
            Err(error) => always(error, "write a network such as \"10.0.0.0/8\""),
            Ok(_) => Fault::Unknown,
        },
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
