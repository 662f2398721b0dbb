//! Fields that are compared with literals. In: a selector's condition and the variables that it names. Out: each pair, at its place.

use super::{
    chain::{Scope, children},
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::{
    event::schema::Field,
    ruleset::expr::{
        Value,
        view::{Ast, Kind, binding},
    },
};

/// A literal that a field, or each element of a list, is held against by `==`, `!=` or `in`.
pub struct Compared<'r> {
    pub expression: &'r Expression,
    pub place: &'r Ast,
    pub field: &'static Field,
    pub literal: &'r Value,
}

/// All of a selector.
pub fn all<'r>(rule: &'r ParsedRule<'_>, selector: &'r ParsedSelector<'_>) -> Vec<Compared<'r>> {
    let mut expressions: Vec<&Expression> = vec![&selector.condition];
    expressions.extend(variables_of(rule, &selector.condition));
    let mut scope = Scope::new(&rule.variables);
    let mut found = Vec::new();
    expressions.into_iter().for_each(|expression| walk(expression, &expression.ast, &mut scope, &mut found));
    found
}

/// The variables that an expression names, and those that these name.
fn variables_of<'r>(rule: &'r ParsedRule<'_>, expression: &'r Expression) -> Vec<&'r Expression> {
    let scope = Scope::new(&rule.variables);
    let (mut found, mut open): (Vec<&Expression>, Vec<&Ast>) = (Vec::new(), vec![&expression.ast]);
    while let Some(ast) = open.pop() {
        if let Some(variable) = scope.variable(ast)
            && !found.iter().any(|known| known.field == variable.field)
        {
            found.push(variable);
            open.push(&variable.ast);
        }
        open.extend(children(ast));
    }
    found
}

fn walk<'r>(expression: &'r Expression, ast: &'r Ast, scope: &mut Scope<'_>, found: &mut Vec<Compared<'r>>) {
    if let Kind::Call { target: None, function, args } = &ast.kind
        && let ("_==_" | "_!=_" | "@in", [left, right]) = (function.as_str(), args.as_slice())
    {
        let literals: Vec<&Ast> = match &right.kind {
            Kind::List(elements) => elements.iter().map(|(element, _)| element).collect(),
            _ => vec![right],
        };
        for (named, places) in [(left, literals), (right, vec![left])] {
            let Some(chain) = scope.chain(named).filter(|chain| chain.is_field() || chain.is_element()) else {
                continue;
            };
            for place in places {
                if let Kind::Literal(literal) = &place.kind {
                    found.push(Compared { expression, place, field: chain.field, literal });
                }
            }
        }
    }
    if let Some(binding) = binding(ast) {
        walk(expression, binding.range, scope, found);
        scope.bound(&binding, |scope| binding.inside.iter().for_each(|part| walk(expression, part, scope, found)));
        return;
    }
    children(ast).into_iter().for_each(|child| walk(expression, child, scope, found));
}
