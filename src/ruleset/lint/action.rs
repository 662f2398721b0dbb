//! Misspelt actions. In: comparisons of `event.action` with literals. Out: a warning for each literal that no parser of the
//! selector's source gives, and for audit events one for what can't be a verb. A test holds the table of actions to the
//! normaliser.

use super::{
    Lint, Warning,
    chain::{Scope, children},
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::{
    api::rule::Source,
    event::actions::{PARSERS, VERBS, is_of_lines},
    ruleset::expr::view::{Ast, Kind, nearest},
};

pub fn check(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>, warnings: &mut Vec<Warning>) {
    let source = selector.written.source;
    let mut expressions: Vec<&Expression> = vec![&selector.condition];
    expressions.extend(variables_of(rule, &selector.condition));
    let scope = Scope::new(&rule.variables);
    for expression in expressions {
        walk(&expression.ast, &scope, source, &mut |literal, path, action| {
            if !is_possible(action, source) {
                let message = format!("`{path}` of {} events is never {action:?}", source.as_str());
                warnings.push(Warning::at(Lint::UnknownAction, expression, literal, message, hint(action, source)));
            }
        });
    }
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

/// Calls `found` with each literal that an action or a verb is compared with.
fn walk(ast: &Ast, scope: &Scope<'_>, source: Source, found: &mut dyn FnMut(&Ast, &str, &str)) {
    if let Kind::Call { target: None, function, args } = &ast.kind
        && let ("_==_" | "_!=_" | "@in", [left, right]) = (function.as_str(), args.as_slice())
    {
        let literals: Vec<&Ast> = match &right.kind {
            Kind::List(elements) => elements.iter().map(|(element, _)| element).collect(),
            _ => vec![right],
        };
        let sides = [(left, literals), (right, vec![left])];
        for (named, literals) in sides {
            let path = scope.chain(named).filter(|chain| chain.is_field()).map_or("", |chain| chain.field.path);
            if path == "event.action" || path == "audit.verb" && source == Source::Audit {
                let texts = literals.into_iter().filter_map(|literal| Some((literal, literal.literal_text()?)));
                texts.filter(|(_, text)| !text.is_empty()).for_each(|(literal, text)| found(literal, path, text));
            }
        }
    }
    children(ast).into_iter().for_each(|child| walk(child, scope, source, found));
}

fn is_possible(action: &str, source: Source) -> bool {
    match source {
        // A client may send any HTTP method, which becomes a verb in lower case.
        Source::Audit => !action.chars().any(|c| c.is_ascii_uppercase()) && !is_of_lines(action),
        Source::Node | Source::Container | Source::Web => is_of_lines(action),
    }
}

fn hint(action: &str, source: Source) -> String {
    let known: Vec<&str> = match source {
        Source::Audit => VERBS.to_vec(),
        Source::Node | Source::Container | Source::Web => PARSERS.iter().flat_map(|p| p.actions).copied().collect(),
    };
    match nearest(&action.to_ascii_lowercase(), known.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "the reference of event fields lists the actions of each parser".to_owned(),
    }
}
