//! Checks macros: those over lists and maps, `cel.bind`, and what of a call's literal arguments can be judged before
//! any event comes.

use super::{
    ast::{Ast, Kind},
    budget::Steps,
    check::{Checker, Typed, described, place},
    convert,
    error::ExprError,
    format::{self, Clause, Piece},
    net, time,
    tree::{Comprehension, Macro, Node},
    types::Type,
    value::Val,
};
use crate::event::schema;

const CLAUSES: &str = "%s takes anything, %d numbers, %f and %e with a precision too, %x and %X, %o, %b";

/// Whether a member call with so many arguments is a macro.
pub(super) fn is_macro(function: &str, arguments: usize) -> bool {
    match function {
        "all" | "exists" | "exists_one" | "map" => matches!(arguments, 2 | 3),
        "existsOne" => arguments == 3,
        "filter" | "sortBy" => arguments == 2,
        "transformList" | "transformMap" | "transformMapEntry" => matches!(arguments, 3 | 4),
        _ => false,
    }
}

/// A macro's arguments in their roles.
struct Roles<'s> {
    kind: Macro,
    names: Vec<&'s Ast>,
    filter: Option<&'s Ast>,
    body: &'s Ast,
}

fn roles<'s>(function: &str, args: &'s [Ast]) -> Option<Roles<'s>> {
    let kind = match function {
        "all" => Macro::All,
        "exists" => Macro::Exists,
        "exists_one" | "existsOne" => Macro::ExistsOne,
        "filter" => Macro::Filter,
        "map" | "transformList" => Macro::List,
        "transformMap" => Macro::Map,
        "transformMapEntry" => Macro::Entries,
        "sortBy" => Macro::SortBy,
        _ => return None,
    };
    let (body, before) = args.split_last()?;
    let (names, filter) = match (function, before) {
        ("map", [name, filter]) => (vec![name], Some(filter)),
        (_, [first, second, filter]) => (vec![first, second], Some(filter)),
        (_, names) => (names.iter().collect(), None),
    };
    Some(Roles { kind, names, filter, body })
}

impl Checker<'_> {
    pub fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|(local, _)| local == name)
    }

    fn variable_name<'n>(&self, name: &'n Ast) -> Result<&'n str, ExprError> {
        let Kind::Name(variable) = &name.kind else {
            return Err(self.error(name.start, "a macro's variable must be a simple name", "such as `x`"));
        };
        if variable.starts_with('.') || variable == "__result__" {
            let message = format!("`{variable}` can't name a macro's variable");
            return Err(self.error(name.start, message, "choose another, such as `x`"));
        }
        let taken = schema::is_prefix(variable) || schema::lookup(variable).is_some() || variable == "variables";
        if taken && !self.over_bindings() {
            let message = format!("`{variable}` already names fields of the event");
            return Err(self.error(name.start, message, "choose another name for the variable"));
        }
        Ok(variable)
    }

    /// Checks `body` with variables in scope.
    pub fn with_locals<'n, T>(
        &mut self,
        names: impl IntoIterator<Item = (&'n Ast, Type)>,
        body: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        let outer = self.locals.len();
        let mut checked = Ok(());
        for (name, type_) in names {
            checked = checked.and_then(|()| self.variable_name(name)).map(|variable| {
                self.locals.push((variable.to_owned(), type_));
            });
        }
        let result = checked.and_then(|()| body(self));
        self.locals.truncate(outer);
        result
    }

    /// `range.function(x, …)` or `range.function(k, v, …)`
    pub fn macro_(&mut self, ast: &Ast, range: &Ast, function: &str, args: &[Ast]) -> Result<Typed, ExprError> {
        let Some(Roles { kind, names, filter, body }) = roles(function, args) else {
            let message = format!("no such macro `{function}`");
            return Err(self.error(range.start, message, "the reference page of the rule language lists all"));
        };
        let (range_node, range_type) = self.child(range)?;
        let (key, value) = match &range_type {
            Type::List(element) => (Type::Int, (**element).clone()),
            Type::Map(key, value) if kind != Macro::SortBy => ((**key).clone(), (**value).clone()),
            // A type that is not known becomes `dyn`, as in cel-go.
            Type::Dyn | Type::Var(_) => {
                self.unknowns.assign([(&Type::Dyn, &range_type)]);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let needed = if kind == Macro::SortBy { "a list" } else { "a list or a map" };
                let message = format!("{} is {}; {function}() needs {needed}", described(range), other.with_article());
                let hint = match other {
                    Type::String => "split() a text into a list, or search it with contains() or matches()",
                    Type::Optional(_) => "take what it holds with orValue([])",
                    _ => "compare it with `==` or `in`",
                };
                return Err(self.error(range.start, message, hint));
            }
        };
        let element = if matches!(range_type, Type::Map(..)) { key.clone() } else { value.clone() };
        let named: Vec<(&Ast, Type)> = match names.as_slice() {
            [first, second] => {
                if self.variable_name(first)? == self.variable_name(second)? {
                    let message = "the two variables have the same name";
                    return Err(self.error(second.start, message, "give each its own, such as `i, x`"));
                }
                vec![(first, key.clone()), (second, value)]
            }
            single => single.iter().map(|name| (*name, element.clone())).collect(),
        };
        let pair = named.len() == 2;
        let at = named.first().map_or(range.start, |(name, _)| name.start);
        let (filter, body_node, body_type) = self.with_locals(named, |checker| {
            checker.loops += 1;
            let checked =
                checker.count(Default::default(), at).and_then(|()| checker.parts(function, kind, filter, body));
            checker.loops -= 1;
            checked
        })?;
        let type_ = match kind {
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::Bool,
            // What cel-go sorts is a list of its own by keys of one type, and anything by keys of any.
            Macro::SortBy if range_type.is_open() => match self.unknowns.resolved(&body_type) {
                Type::Dyn => Type::Dyn,
                _ => Type::list(self.unknowns.fresh()),
            },
            Macro::Filter | Macro::SortBy => Type::list(element),
            Macro::List => Type::list(body_type),
            Macro::Map => Type::map(key, body_type),
            Macro::Entries => body_type,
        };
        let filter = filter.map(Box::new);
        let (body, at) = (Box::new(body_node), place(ast.operator.saturating_sub(function.len())));
        let node = Node::Macro(Comprehension { kind, range: range_node, pair, filter, body, at });
        Ok(Typed { node, type_ })
    }

    /// Filter and body of a macro, within its scope.
    fn parts(
        &mut self,
        function: &str,
        kind: Macro,
        filter: Option<&Ast>,
        body: &Ast,
    ) -> Result<(Option<Node>, Node, Type), ExprError> {
        let place = format!("{function}()");
        let filter = filter.map(|filter| self.condition(filter, &place)).transpose()?;
        if matches!(kind, Macro::All | Macro::Exists | Macro::ExistsOne | Macro::Filter) {
            return Ok((filter, self.condition(body, &place)?, Type::Bool));
        }
        let Typed { node, mut type_ } = self.check(body)?;
        if kind == Macro::Entries {
            let map = Type::map(self.unknowns.fresh(), self.unknowns.fresh());
            if !self.unknowns.assign([(&type_, &map)]) {
                let message = format!("{place} needs a map here, not {}", type_.with_article());
                return Err(self.error(body.start, message, "write {key: value}"));
            }
            type_ = map;
        }
        if kind == Macro::SortBy && matches!(type_, Type::Var(_)) {
            // The first of the orders that cel-go tries.
            self.unknowns.assign([(&type_, &Type::Int)]);
        }
        let sortable = matches!(
            type_,
            Type::Int
                | Type::Uint
                | Type::Double
                | Type::Bool
                | Type::Duration
                | Type::Timestamp
                | Type::String
                | Type::Bytes
                | Type::Dyn
                | Type::Var(_)
        );
        if kind == Macro::SortBy && !sortable {
            let message = format!("{place} needs a key that has an order, not {}", type_.with_article());
            return Err(self.error(body.start, message, "sort by a number, a text, a bool or a time of it"));
        }
        Ok((filter, node, type_))
    }

    /// `cel.bind(name, value, body)`
    pub fn bind(&mut self, name: &Ast, value: &Ast, body: &Ast) -> Result<Typed, ExprError> {
        let (value, value_type) = self.child(value)?;
        let Typed { node, type_ } = self.with_locals([(name, value_type)], |checker| checker.check(body))?;
        Ok(Typed { node: Node::Bind { value, body: Box::new(node) }, type_ })
    }

    /// `math.greatest` and `math.least` refuse literals that are no numbers.
    pub fn numbers(&self, name: &str, args: &[Ast]) -> Result<(), ExprError> {
        let number = |arg: &Ast| match &arg.kind {
            Kind::Literal(value) => matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_)),
            Kind::List(_) | Kind::Map(_) | Kind::Struct(_) => false,
            _ => true,
        };
        let odd = match args {
            [Ast { kind: Kind::List(elements), start, .. }] => match elements.iter().find(|(e, _)| !number(e)) {
                Some((element, _)) => Some(element.start),
                None => elements.is_empty().then_some(*start),
            },
            all => all.iter().find(|arg| !number(arg)).map(|arg| arg.start),
        };
        match odd {
            Some(at) => {
                Err(self.error(at, format!("{name}() takes numbers"), "such as 1, 2u or 0.5, or a list of them"))
            }
            None => Ok(()),
        }
    }

    /// Literal arguments that can't be read are refused now and not at each event.
    pub fn literals(&mut self, name: &str, target: Option<&Ast>, args: &[Ast]) -> Result<(), ExprError> {
        if name == "format" {
            return self.format_call(target, args);
        }
        let [arg @ Ast { kind: Kind::Literal(value), .. }] = args else { return Ok(()) };
        let given = std::slice::from_ref(value);
        let text = || arg.literal_text().unwrap_or_default();
        let (failed, hint) = match (name, target.is_some()) {
            ("timestamp", false) => {
                let hint = if time::is_beyond(text()) {
                    "leave the comparison out: no event is as late"
                } else {
                    "such as \"2026-01-02T03:04:05Z\""
                };
                (convert::timestamp(given, &mut Steps::default()).err(), hint)
            }
            ("duration", false) => (convert::duration(given, &mut Steps::default()).err(), "such as \"1h30m\""),
            ("ip", false) | ("containsIP", true) => {
                (net::parse_ip(text()).err(), "write an address such as \"10.0.0.1\"")
            }
            ("cidr", false) | ("containsCIDR", true) => {
                (net::parse_cidr(text()).err(), "write a network such as \"10.0.0.0/8\"")
            }
            (name, true) if name.starts_with("get") && matches!(value, Val::Str(_)) => {
                (time::zone(text()).err(), "write a name such as \"Europe/Berlin\", or an offset such as \"+02:00\"")
            }
            _ => return Ok(()),
        };
        match failed {
            Some(error) => Err(self.error(arg.start, error.to_string(), hint)),
            None => Ok(()),
        }
    }

    /// A literal format text with a literal list: as many values as clauses, each of a type that its clause takes.
    fn format_call(&mut self, target: Option<&Ast>, args: &[Ast]) -> Result<(), ExprError> {
        let (Some(target), [Ast { kind: Kind::List(values), start: list, .. }]) = (target, args) else { return Ok(()) };
        let Some(text) = target.literal_text() else { return Ok(()) };
        let mut asked = Vec::new();
        let read = format::clauses(text, |piece| {
            if let Piece::Clause(_, clause) = piece {
                asked.push(clause);
            }
            Ok(())
        });
        if let Err(error) = read {
            return Err(self.error(target.start, error.to_string(), CLAUSES));
        }
        if asked.len() != values.len() {
            let message = format!("format() asks for {} values and is given {}", asked.len(), values.len());
            return Err(self.error(*list, message, "give one value for each clause; `%%` is a percent sign"));
        }
        // The list was the last that was checked, just now.
        for (clause, ((value, _), type_)) in asked.iter().zip(values.iter().zip(std::mem::take(&mut self.elements))) {
            let type_ = self.unknowns.resolved(&type_);
            if !takes(*clause, &type_) {
                let message = format!("{} does not take {}", clause.shown(), type_.with_article());
                return Err(self.error(value.start, message, CLAUSES));
            }
        }
        Ok(())
    }
}

fn takes(clause: Clause, type_: &Type) -> bool {
    if type_.is_open() {
        return true;
    }
    match clause {
        Clause::Text => !matches!(type_, Type::Optional(_) | Type::Ip | Type::Cidr | Type::Url),
        Clause::Decimal | Clause::Fixed(_) | Clause::Scientific(_) => {
            matches!(type_, Type::Int | Type::Uint | Type::Double)
        }
        Clause::Binary => matches!(type_, Type::Int | Type::Uint | Type::Bool),
        Clause::Hex { .. } => matches!(type_, Type::Int | Type::Uint | Type::String | Type::Bytes),
        Clause::Octal => matches!(type_, Type::Int | Type::Uint),
    }
}
