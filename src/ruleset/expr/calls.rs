//! Calls: operators, functions and macros.

use super::{
    ast::{Ast, Kind},
    check::{Checker, Extent, Typed, described, place},
    error::ExprError,
    functions, hint, macros, names,
    pattern::Pattern,
    tree::{Node, Search},
    types::Type,
};
use crate::event::schema::{self, Field, FieldType};

impl Checker<'_> {
    pub fn call(&mut self, ast: &Ast, target: Option<&Ast>, function: &str, args: &[Ast]) -> Result<Typed, ExprError> {
        match (target, function, args) {
            (None, "has", [argument]) => return self.has(argument),
            (None, "_?_:_", [condition, then, otherwise]) => return self.conditional(ast, condition, then, otherwise),
            (None, "_==_" | "_!=_", [left, right]) => return self.equality(ast, function, left, right),
            (None, "@in", [left, right]) => return self.membership(ast, left, right),
            (Some(range), _, args) if macros::is_macro(function, args.len()) => {
                return self.macro_(ast, range, function, args);
            }
            (Some(Ast { kind: Kind::Name(space), .. }), "bind", [name, value, body])
                if space == "cel" && !self.is_local(space) =>
            {
                return self.bind(name, value, body);
            }
            (Some(optional), "optMap" | "optFlatMap", [name, body]) => {
                return self.optional_map(optional, function == "optMap", name, body);
            }
            (Some(optional), "orValue" | "or", [other]) => return self.or_else(optional, function == "orValue", other),
            _ => {}
        }
        if let (None, "_/_", [left, right]) = (target, function, args) {
            self.is_no_key(ast, left, right)?;
        }
        // `sets.contains(a, b)` is a function with a dotted name, unless `sets` is a variable.
        if let Some(Kind::Name(space)) = target.map(|t| &t.kind) {
            let dotted = format!("{space}.{function}");
            if functions::exists(&dotted, false) && !self.is_local(space) {
                return self.function(ast, None, &dotted, args);
            }
        }
        let function = if target.is_none() { function.strip_prefix('.').unwrap_or(function) } else { function };
        if !functions::exists(function, target.is_some()) {
            return Err(self.unknown_function(ast, target, function, args.len()));
        }
        self.function(ast, target, function, args)
    }

    /// Refuses `labels.app.kubernetes.io/name`, which divides.
    fn is_no_key(&self, ast: &Ast, left: &Ast, right: &Ast) -> Result<(), ExprError> {
        let (Some(path), Kind::Name(name)) = (left.path(), &right.kind) else { return Ok(()) };
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('.'));
        let of_keys = |f: &&Field| !matches!(f.type_, FieldType::Int | FieldType::Bool | FieldType::Timestamp);
        let Some(field) = schema::FIELDS.iter().filter(of_keys).find(|f| below(f.path)) else { return Ok(()) };
        if self.is_local(name) || self.over_bindings() {
            return Ok(());
        }
        let message = format!("`/` divides, and there is no `{name}` to divide by");
        let hint = format!("a key with `/` in it stands in square brackets: {}[\"a.b/{name}\"]", field.path);
        Err(self.error(ast.operator, message, hint))
    }

    fn unknown_function(&self, ast: &Ast, target: Option<&Ast>, function: &str, count: usize) -> ExprError {
        let member = target.is_some();
        let at = if member { ast.operator.saturating_sub(function.len()) } else { ast.start };
        let dotted = match target.map(|t| &t.kind) {
            Some(Kind::Name(space)) => format!("{space}.{function}"),
            _ => String::new(),
        };
        if let Some(function) = functions::MACROS.iter().find(|name| **name == function || **name == dotted) {
            let message = format!("`{function}` does not take {count} arguments here");
            return self.error(at, message, hint::macro_usage(function));
        }
        let function = match target.map(|t| &t.kind) {
            Some(Kind::Name(space)) if functions::names().any(|n| n.starts_with(&format!("{space}."))) => {
                format!("{space}.{function}")
            }
            _ => function.to_owned(),
        };
        let message = format!("no such function `{function}`");
        if let Some(meant) = hint::meant(&function) {
            return self.error(at, message, meant);
        }
        if functions::exists(&function, !member) {
            return self.error(at, message, format!("call it as {}", functions::listing(&function, !member)));
        }
        match names::nearest(&function, functions::names()) {
            Some(name) => self.error(at, message, format!("did you mean `{name}`?")),
            None => self.error(at, message, "the reference page of the rule language lists all functions"),
        }
    }

    fn function(&mut self, ast: &Ast, target: Option<&Ast>, name: &str, args: &[Ast]) -> Result<Typed, ExprError> {
        let (mut nodes, mut types) = (Vec::new(), Vec::new());
        for arg in target.into_iter().chain(args) {
            let Typed { node, type_ } = self.check(arg)?;
            nodes.push(node);
            types.push(type_);
        }
        if name == "math.greatest" || name == "math.least" {
            self.numbers(name, args)?;
            if types.len() > 2 {
                let joined = types.into_iter().fold(None, |joined, t| Some(self.unknowns.join(joined, t)));
                types = vec![Type::list(joined.unwrap_or(Type::Dyn))];
            }
        }
        let Some(resolved) = functions::resolve(name, target.is_some(), &types, &mut self.unknowns) else {
            return Err(match (args, types.as_slice()) {
                ([left, right], [a, b]) if ORDERS.contains(&name) && a != b => {
                    self.never_ordered(ast, (left, a), (right, b))
                }
                _ => self.no_overload(ast, target.is_some(), name, &types),
            });
        };
        self.literals(name, target, args)?;
        let pattern = target.into_iter().chain(args).nth(1);
        if let Some((search, (pattern, place))) = search(name).zip(pattern.and_then(Ast::literal_text).zip(pattern)) {
            return self.pattern(search, pattern, place.start, nodes, resolved.result);
        }
        let at = place(called_at(ast, target.is_some(), name));
        let node = Node::Call { name: resolved.name, implementation: resolved.implementation, args: nodes, at };
        Ok(Typed { node, type_: resolved.result })
    }

    fn bad_pattern(&self, at: usize, why: &str) -> ExprError {
        let hint = match why {
            _ if why.contains("bytes") => "shorten it; a repetition such as {500} counts as often as it says",
            _ => "patterns are RE2's; write them as r\"…\", where a backslash is one",
        };
        self.error(at, format!("bad regex: {why}"), hint)
    }

    /// A regex function whose pattern is a literal, as its second argument.
    fn pattern(
        &mut self,
        search: Search,
        pattern: &str,
        at: usize,
        nodes: Vec<Node>,
        type_: Type,
    ) -> Result<Typed, ExprError> {
        self.count(Extent { patterns: 1, ..Extent::default() }, at)?;
        let pattern = Pattern::new(pattern, search, &mut self.effort).map_err(|why| self.bad_pattern(at, &why))?;
        let mut nodes = nodes.into_iter();
        let (Some(text), Some(_), most) = (nodes.next(), nodes.next(), nodes.next()) else {
            return Err(self.bad_pattern(at, "there is no text to search"));
        };
        let node = Node::Pattern { search, text: Box::new(text), pattern, most: most.map(Box::new), at: place(at) };
        Ok(Typed { node, type_ })
    }

    fn no_overload(&self, ast: &Ast, member: bool, name: &str, types: &[Type]) -> ExprError {
        let shown: Vec<String> = types.iter().map(Type::to_string).collect();
        let symbol = functions::symbol(name);
        let message = match (symbol == name, shown.as_slice(), member) {
            (false, [only], _) => format!("`{symbol}` does not take {only}"),
            (false, both, _) => format!("`{symbol}` does not take {}", both.join(" and ")),
            (true, [receiver, rest @ ..], true) => {
                format!("`{name}` does not take {receiver}.{name}({})", rest.join(", "))
            }
            (true, all, _) => format!("`{name}` does not take ({})", all.join(", ")),
        };
        let hint = hint::arguments(ast, member, name, types);
        self.error(called_at(ast, member, name), message, hint)
    }

    /// Two types that have no order with each other.
    fn never_ordered(&self, ast: &Ast, left: (&Ast, &Type), right: (&Ast, &Type)) -> ExprError {
        self.never_compared(ast, left, right, |named, other| format!("{named}, which has no order with {other}"))
    }

    /// Says what is wrong with two sides. Speaks of the one that is named: the other is most often the literal that is wrong.
    fn never_compared(
        &self,
        ast: &Ast,
        left: (&Ast, &Type),
        right: (&Ast, &Type),
        say: impl Fn(&str, &str) -> String,
    ) -> ExprError {
        let (named, other) =
            if left.0.path().is_some() || right.0.path().is_none() { (left, right) } else { (right, left) };
        let is = format!("{} is {}", described(named.0), named.1.with_article());
        let message = say(&is, &other.1.with_article());
        let at = if named.0.path().is_some() { named.0.start } else { ast.operator };
        let numeric = |t: &Type| matches!(t, Type::Int | Type::Uint | Type::Double);
        if numeric(named.1) && numeric(other.1) && named.1 != other.1 {
            return self.error(at, message, format!("convert one with {}()", named.1));
        }
        self.error(at, message, hint::compared(named, other))
    }

    fn conditional(&mut self, ast: &Ast, condition: &Ast, then: &Ast, otherwise: &Ast) -> Result<Typed, ExprError> {
        let condition = Box::new(self.condition(condition, "?:")?);
        let (then, then_type) = self.child(then)?;
        let (otherwise, otherwise_type) = self.child(otherwise)?;
        let types = [Type::Bool, then_type, otherwise_type];
        let Some(type_) = functions::form("?:", &types, &mut self.unknowns) else {
            let [_, then, otherwise] = types.map(|t| self.unknowns.resolved(&t).with_article());
            let message = format!("the sides of `?:` are {then} and {otherwise}");
            return Err(self.error(ast.operator, message, "convert one, or both with dyn()"));
        };
        Ok(Typed { node: Node::If { condition, then, otherwise }, type_ })
    }

    fn equality(&mut self, ast: &Ast, function: &str, left: &Ast, right: &Ast) -> Result<Typed, ExprError> {
        let (a, b) = (self.check(left)?, self.check(right)?);
        let types = [a.type_.clone(), b.type_.clone()];
        let Some(resolved) = functions::resolve(function, false, &types, &mut self.unknowns) else {
            return Err(self.never_equal(ast, (left, &a.type_), (right, &b.type_)));
        };
        self.known_values(&a.node, right)?;
        self.known_values(&b.node, left)?;
        let args = vec![a.node, b.node];
        let at = place(ast.operator);
        let node = Node::Call { name: resolved.name, implementation: resolved.implementation, args, at };
        Ok(Typed { node, type_: Type::Bool })
    }

    fn never_equal(&self, ast: &Ast, left: (&Ast, &Type), right: (&Ast, &Type)) -> ExprError {
        self.never_compared(ast, left, right, |named, other| {
            format!("{named}; compared with {other} it can never match")
        })
    }

    /// Refuses a literal that an enumerated field can't hold.
    fn known_values(&self, node: &Node, literal: &Ast) -> Result<(), ExprError> {
        let Node::Field(Field { path, values, .. }) = node else { return Ok(()) };
        let Some(text) = literal.literal_text() else { return Ok(()) };
        if values.is_empty() || values.contains(&text) {
            return Ok(());
        }
        let shown: String = text.chars().take(40).collect();
        let hint = format!("it is one of {}", values.join(", "));
        Err(self.error(literal.start, format!("`{path}` is never {shown:?}"), hint))
    }

    fn membership(&mut self, ast: &Ast, left: &Ast, right: &Ast) -> Result<Typed, ExprError> {
        let (a, b) = (self.check(left)?, self.check(right)?);
        let types = [a.type_.clone(), b.type_.clone()];
        let Some(resolved) = functions::resolve("@in", false, &types, &mut self.unknowns) else {
            if !matches!(b.type_, Type::List(_) | Type::Map(..)) {
                return Err(self.no_overload(ast, false, "@in", &types));
            }
            let message = format!(
                "{} is {}; in {} it can never match",
                described(left),
                a.type_.with_article(),
                b.type_.with_article()
            );
            return Err(self.error(
                left.start,
                message,
                format!("list values that are {}", hint::literal_of(&a.type_)),
            ));
        };
        if let Kind::List(elements) = &right.kind {
            for (element, _) in elements {
                self.known_values(&a.node, element)?;
            }
        }
        let args = vec![a.node, b.node];
        let at = place(ast.operator);
        let node = Node::Call { name: resolved.name, implementation: resolved.implementation, args, at };
        Ok(Typed { node, type_: Type::Bool })
    }

    /// A child that must be an optional, with its type and the type inside it.
    fn optional(&mut self, ast: &Ast) -> Result<(Box<Node>, Type, Type), ExprError> {
        let (node, type_) = self.child(ast)?;
        match functions::form("value", std::slice::from_ref(&type_), &mut self.unknowns) {
            Some(inner) => Ok((node, type_, inner)),
            None => {
                let message = format!("{} is {} and no optional", described(ast), type_.with_article());
                Err(self.error(ast.start, message, "an optional comes from .? or [?] or optional.of()"))
            }
        }
    }

    fn optional_map(&mut self, optional: &Ast, wrap: bool, name: &Ast, body: &Ast) -> Result<Typed, ExprError> {
        let (optional, _, inner) = self.optional(optional)?;
        let Typed { node, type_ } = self.with_locals([(name, inner)], |checker| checker.check(body))?;
        // As cel-go writes it: `target.hasValue() ? body : optional.none()`.
        let made = if wrap { Type::optional(type_) } else { type_ };
        let none = Type::optional(self.unknowns.fresh());
        let Some(type_) = functions::form("?:", &[Type::Bool, made.clone(), none], &mut self.unknowns) else {
            let message = format!("optFlatMap() needs an optional, not {}", made.with_article());
            return Err(self.error(body.start, message, "use optMap() for a value that is none"));
        };
        Ok(Typed { node: Node::OptionalMap { optional, body: Box::new(node), wrap }, type_ })
    }

    fn or_else(&mut self, optional: &Ast, unwrap: bool, other: &Ast) -> Result<Typed, ExprError> {
        let (optional, optional_type, inner) = self.optional(optional)?;
        let (other_node, other_type) = self.child(other)?;
        let name = if unwrap { "orValue" } else { "or" };
        let Some(type_) = functions::form(name, &[optional_type, other_type.clone()], &mut self.unknowns) else {
            let wanted = if unwrap { inner } else { Type::optional(inner) };
            let message = format!("{name}() needs {} here, not {}", wanted.with_article(), other_type.with_article());
            return Err(self.error(other.start, message, format!("write {}", hint::literal_of(&wanted))));
        };
        Ok(Typed { node: Node::OrElse { optional, other: other_node, unwrap }, type_ })
    }
}

const ORDERS: &[&str] = &["_<_", "_<=_", "_>_", "_>=_"];
/// Where a call points: at the name of a function, or at an operator.
fn called_at(ast: &Ast, member: bool, name: &str) -> usize {
    match (functions::symbol(name) == name, member) {
        (true, true) => ast.operator.saturating_sub(name.len()),
        (true, false) => ast.start,
        (false, _) => ast.operator,
    }
}

/// The functions whose literal patterns are compiled once.
fn search(function: &str) -> Option<Search> {
    match function {
        "matches" => Some(Search::Matches),
        "find" => Some(Search::Find),
        "findAll" => Some(Search::FindAll),
        _ => None,
    }
}
