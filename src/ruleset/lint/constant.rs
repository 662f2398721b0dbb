//! Parts that fail for every event. In: all expressions of a rule. Out: a warning for each such part, at its place.

use super::{
    Lint, Warning,
    chain::children,
    rule::{Expression, ParsedRule},
};
use crate::ruleset::expr::view::{Ast, Fault, fault};

pub fn check(rule: &ParsedRule<'_>, warnings: &mut Vec<Warning>) {
    let of_selectors = rule
        .selectors
        .iter()
        .flat_map(|s| [&s.condition].into_iter().chain(&s.keys).chain(&s.distinct).chain(&s.captures));
    for expression in of_selectors.chain(rule.variables.values()) {
        walk(expression, &expression.ast, warnings);
    }
}

fn walk(expression: &Expression, ast: &Ast, warnings: &mut Vec<Warning>) {
    match fault(&expression.text, ast) {
        Fault::None => {}
        Fault::Always(why, hint) => {
            // What contains a part that fails may fail by it: the part is the place to mend.
            let before = warnings.len();
            children(ast).into_iter().for_each(|child| walk(expression, child, warnings));
            if warnings.len() == before {
                let message = format!("this fails for every event: {why}");
                warnings.push(Warning::at(Lint::AlwaysFails, expression, ast, message, hint));
            }
        }
        Fault::Unknown => children(ast).into_iter().for_each(|child| walk(expression, child, warnings)),
    }
}
