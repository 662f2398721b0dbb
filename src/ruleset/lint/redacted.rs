//! Comparisons with what redaction has removed. In: the conditions of a selector. Out: a warning for each value that always
//! reads `[redacted]`. The table below is the certain part of what `redact` removes; a test holds it against that.

use super::{
    Lint, Warning,
    chain::{Scope, Use, children},
    facts::Literal,
    reach::Reached,
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::ruleset::expr::view::{Ast, Kind, binding};

/// Keys of a body whose values are removed, whatever holds them.
const HIDDEN: &[&str] = &["password", "stringData", "kubectl.kubernetes.io/last-applied-configuration"];
/// Keys whose values are removed in Secrets and ConfigMaps.
const CONTENTS: &[&str] = &["data", "binaryData"];

pub fn check(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>, reached: &Reached, warnings: &mut Vec<Warning>) {
    let holds_contents = reached.always(|facts| {
        let resources = facts.domain("audit.objectRef.resource");
        let one = |l: &&Literal| matches!(l, Literal::Text(r) if r == "secrets" || r == "configmaps");
        resources.values().is_some_and(|values| values.iter().all(one))
    });
    let mut expressions: Vec<&Expression> = vec![&selector.condition];
    expressions.extend(rule.variables.values());
    for expression in expressions {
        let mut scope = Scope::new(&rule.variables);
        walk(&expression.ast, &mut scope, &mut |path, ast| {
            if let Some(name) = hidden(path, holds_contents) {
                let message = format!(
                    "redaction removes what is below `{name}` before any rule sees it: `{path}` reads \"[redacted]\""
                );
                let hint = "it can only work on what is removed; decide by names, `event.redacted` or \
                            `kubernetes.secret_like_values`";
                warnings.push(Warning::at(Lint::Redacted, expression, ast, message, hint));
            }
        });
    }
}

/// The key in a path to a body below which everything is removed.
fn hidden(path: &str, holds_contents: bool) -> Option<&str> {
    let below = path.strip_prefix("audit.requestObject").or_else(|| path.strip_prefix("audit.responseObject"))?;
    if below.contains("env[].value") && below.ends_with(".value") {
        return Some("env[].value");
    }
    let named = |keys: &'static [&'static str]| {
        keys.iter().copied().find(|key| {
            let (middle, end) = (format!(".{key}."), format!(".{key}"));
            let whole = !CONTENTS.contains(key) && *key != "stringData" && below.ends_with(&end);
            below.contains(&middle) || whole
        })
    };
    named(HIDDEN).or_else(|| named(CONTENTS).filter(|_| holds_contents))
}

/// Calls `found` with each chain that is compared with a text.
fn walk(ast: &Ast, scope: &mut Scope<'_>, found: &mut dyn FnMut(&str, &Ast)) {
    if let Kind::Call { target, function, args } = &ast.kind {
        let compared = match (target.as_deref(), function.as_str(), args.as_slice()) {
            (None, "_==_" | "_!=_", [a, b]) if is_text(b) => Some(a),
            (None, "_==_" | "_!=_", [a, b]) if is_text(a) => Some(b),
            (None, "@in", [a, list]) if matches!(&list.kind, Kind::List(l) if l.iter().all(|(e, _)| is_text(e))) => {
                Some(a)
            }
            (Some(text), "contains" | "startsWith" | "endsWith" | "matches" | "find", [argument])
                if is_text(argument) =>
            {
                Some(text)
            }
            _ => None,
        };
        if let Some(compared) = compared {
            scope.visit(compared, &mut |chain, _, how| {
                if how == Use::Read {
                    found(&chain.path(), compared);
                }
            });
        }
    }
    if let Some(binding) = binding(ast) {
        walk(binding.range, scope, found);
        scope.bound(&binding, |scope| binding.inside.iter().for_each(|part| walk(part, scope, found)));
        return;
    }
    children(ast).into_iter().for_each(|child| walk(child, scope, found));
}

/// A text that says something of the value; empty ones are compared to see whether there is any.
fn is_text(ast: &Ast) -> bool {
    ast.literal_text().is_some_and(|text| !text.is_empty() && text != "[redacted]")
}
