//! Negations over keys that may be missing. A missing key is an error and so no match, where `!` and `!=` suggest one. In:
//! the condition of a selector. Out: a warning for each such key that nothing beside it guards with `has()`, `.?` or the like.

use std::collections::BTreeSet;

use super::{
    Lint, Warning,
    chain::{Chain, Scope, children},
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::ruleset::expr::{
    Value,
    view::{Ast, Kind, binding},
};

pub fn check<'a>(rule: &'a ParsedRule<'_>, selector: &'a ParsedSelector<'_>, warnings: &mut Vec<Warning>) {
    let mut search = Search { warnings, reported: BTreeSet::new(), binds: Vec::new() };
    let condition = &selector.condition;
    search.walk(condition, &condition.ast, false, &BTreeSet::new(), &mut Scope::new(&rule.variables));
}

struct Search<'w, 'a> {
    warnings: &'w mut Vec<Warning>,
    /// Variables of the macros around: what `cel.bind` gave them, `None` for those that run over something.
    binds: Vec<(&'a str, Option<&'a Ast>)>,
    /// By field and place, since a variable is walked wherever it is used.
    reported: BTreeSet<(String, usize)>,
}

impl<'a> Search<'_, 'a> {
    /// `guarded` are the paths that are there whenever this part decides.
    fn walk(
        &mut self,
        at: &'a Expression,
        ast: &'a Ast,
        negated: bool,
        guarded: &BTreeSet<String>,
        scope: &mut Scope<'a>,
    ) {
        if let Kind::Name(name) = &ast.kind
            && let Some(place) = self.binds.iter().rposition(|(bound, _)| bound == name)
            && let Some((_, Some(value))) = self.binds.get(place).copied()
        {
            // The value sees the names around the binding alone.
            let inner = self.binds.split_off(place);
            self.walk(at, value, negated, guarded, scope);
            return self.binds.extend(inner);
        }
        if let Some(variable) = scope.variable(ast)
            && scope.chain(ast).is_none()
        {
            return self.walk(variable, &variable.ast, negated, guarded, &mut scope.outside());
        }
        match &ast.kind {
            Kind::And(terms) | Kind::Or(terms) => {
                let holds = matches!(ast.kind, Kind::And(_));
                for (index, term) in terms.iter().enumerate() {
                    let mut guarded = guarded.clone();
                    for (_, other) in terms.iter().enumerate().filter(|(other, _)| *other != index) {
                        guards(other, holds, scope, &mut guarded);
                    }
                    self.walk(at, term, negated, &guarded, scope);
                }
            }
            Kind::Call { target: None, function, args } => match (function.as_str(), args.as_slice()) {
                ("!_", [operand]) => self.walk(at, operand, true, guarded, scope),
                ("_==_" | "_!=_", [a, b]) if flag(a).or(flag(b)).is_some() => {
                    let (tested, flag) = if let Some(flag) = flag(b) { (a, flag) } else { (b, flag(a) == Some(true)) };
                    let negates = flag != (function == "_==_");
                    self.walk(at, tested, negated || negates, guarded, scope);
                }
                ("_?_:_", [condition, then, otherwise]) => {
                    // `c ? false : …` holds where the condition does not.
                    let turns = flag(then) == Some(false) || flag(otherwise) == Some(true);
                    self.walk(at, condition, negated != turns, guarded, scope);
                    for (branch, holds) in [(then, true), (otherwise, false)] {
                        let mut guarded = guarded.clone();
                        guards(condition, holds, scope, &mut guarded);
                        self.walk(at, branch, negated, &guarded, scope);
                    }
                }
                (name, _) => self.leaf(at, ast, negated || name == "_!=_", guarded, scope),
            },
            _ => self.leaf(at, ast, negated, guarded, scope),
        }
    }

    fn leaf(
        &mut self,
        at: &'a Expression,
        ast: &'a Ast,
        negated: bool,
        guarded: &BTreeSet<String>,
        scope: &mut Scope<'a>,
    ) {
        if negated {
            reads(ast, scope, &mut |chain, place| {
                let missing = chain.hard_path().filter(|path| !covers(guarded, path));
                if let Some(path) = missing.filter(|_| self.reported.insert((at.field.clone(), place.start))) {
                    self.warnings.push(warning(at, place, chain, &path));
                }
            });
        }
        self.bodies(at, ast, negated, guarded, scope);
    }

    /// Goes on in the bodies of macros.
    fn bodies(
        &mut self,
        at: &'a Expression,
        ast: &'a Ast,
        negated: bool,
        guarded: &BTreeSet<String>,
        scope: &mut Scope<'a>,
    ) {
        if let Some(binding) = binding(ast) {
            self.bodies(at, binding.range, false, guarded, scope);
            // What a quantifier's body decides, the quantifier does; a bound value's body is the value.
            let quantifier =
                |function: &str| matches!(function, "all" | "exists" | "exists_one" | "existsOne" | "bind");
            let value = binding.is_lazy.then_some(binding.range);
            let decides = negated && matches!(&ast.kind, Kind::Call { function, .. } if quantifier(function));
            let outer = self.binds.len();
            self.binds.extend(binding.names.iter().map(|(name, _)| (*name, value)));
            scope.bound(&binding, |scope| {
                binding.inside.iter().for_each(|body| self.walk(at, body, decides, guarded, scope));
            });
            self.binds.truncate(outer);
            return;
        }
        match &ast.kind {
            Kind::And(_) | Kind::Or(_) => self.walk(at, ast, false, guarded, scope),
            _ => children(ast).into_iter().for_each(|child| self.bodies(at, child, negated, guarded, scope)),
        }
    }
}

/// The literal that it is.
fn flag(ast: &Ast) -> Option<bool> {
    match &ast.kind {
        Kind::Literal(Value::Bool(b)) => Some(*b),
        _ => None,
    }
}

fn warning(at: &Expression, place: &Ast, chain: &Chain, path: &str) -> Warning {
    let message = format!("`{path}` may be missing: then this negation is an error, and so no match");
    let hint = if chain.of_element {
        "test it with has() beside, or read it with `.?` and orValue()".to_owned()
    } else {
        format!("read it as `{}.orValue(…)`, or test it with has() beside", chain.asked())
    };
    Warning::at(Lint::NegatedDynamic, at, place, message, hint)
}

/// The chains that an expression reads outside of the bodies of macros. `has()` reads what holds its key.
fn reads(ast: &Ast, scope: &Scope<'_>, found: &mut dyn FnMut(&Chain, &Ast)) {
    if let Some(chain) = scope.chain(ast) {
        return found(&chain, ast);
    }
    if let Some(binding) = binding(ast) {
        return reads(binding.range, scope, found);
    }
    match &ast.kind {
        Kind::And(_) | Kind::Or(_) => {}
        Kind::Call { target: None, function, args } if function == "has" => {
            for (parent, arg) in args.iter().filter_map(|arg| Some((scope.chain(arg)?.parent()?, arg))) {
                found(&parent, arg);
            }
        }
        // The other value is read only when it is needed.
        Kind::Call { target: Some(target), function, args: _ } if matches!(function.as_str(), "orValue" | "or") => {
            reads(target, scope, found);
        }
        _ => children(ast).into_iter().for_each(|child| reads(child, scope, found)),
    }
}

/// True when a guarded path goes at least as far.
fn covers(guarded: &BTreeSet<String>, path: &str) -> bool {
    guarded.iter().any(|g| g.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
}

/// Adds the paths that are there when the condition is `holds`: those that it tests, and those that it read to decide.
fn guards(ast: &Ast, holds: bool, scope: &Scope<'_>, paths: &mut BTreeSet<String>) {
    if let Some(variable) = scope.variable(ast)
        && scope.chain(ast).is_none()
    {
        return guards(&variable.ast, holds, &scope.outside(), paths);
    }
    let Kind::Call { target, function, args } = &ast.kind else {
        match &ast.kind {
            Kind::And(terms) if holds => terms.iter().for_each(|term| guards(term, true, scope, paths)),
            Kind::Or(terms) if !holds => terms.iter().for_each(|term| guards(term, false, scope, paths)),
            _ => {}
        }
        return;
    };
    match (target.as_deref(), function.as_str(), args.as_slice()) {
        (None, "!_", [operand]) => return guards(operand, !holds, scope, paths),
        (None, "_==_" | "_!=_", [tested, literal]) if flag(literal).is_some() => {
            let same = (flag(literal) == Some(true)) == (function == "_==_");
            return guards(tested, holds == same, scope, paths);
        }
        (None, "_?_:_", _) => return,
        (None, "has", [arg]) if holds => paths.extend(scope.chain(arg).map(|chain| chain.path())),
        (Some(optional), "hasValue", []) if holds => paths.extend(scope.chain(optional).map(|chain| chain.path())),
        (None, "@in", [key, map]) if holds => {
            let key = key.literal_text();
            paths.extend(key.zip(scope.chain(map)).map(|(key, map)| format!("{}.{key}", map.path())));
        }
        _ => {}
    }
    reads(ast, scope, &mut |chain, _| paths.extend(chain.hard_path()));
}
