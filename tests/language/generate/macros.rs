//! Macros whose value is of a wanted type, and the variables that they bring.

use super::{
    Generator,
    types::{SCALARS, Type, any, named},
};

impl Generator<'_> {
    pub(super) fn out_of_optional(&mut self, type_: &Type, depth: usize) -> String {
        let optional = self.expression(&Type::Optional(Box::new(type_.clone())), depth);
        match type_ {
            Type::Optional(inner) => match self.dice.below(3) {
                0 => format!("{optional}.or({optional})"),
                1 => {
                    let name = self.local(&any(&mut self.dice.clone(), 0));
                    let from =
                        self.expression(&Type::Optional(Box::new(self.locals[self.locals.len() - 1].1.clone())), depth);
                    let body = self.expression(inner, depth);
                    self.locals.pop();
                    format!("{from}.optMap({name}, {body})")
                }
                _ => {
                    let name = self.local(&named("int"));
                    let body = self.expression(type_, depth);
                    self.locals.pop();
                    format!(
                        "{}.optFlatMap({name}, {body})",
                        self.expression(&Type::Optional(Box::new(named("int"))), depth)
                    )
                }
            },
            _ => match self.dice.percent(30) {
                true => format!("{optional}.value()"),
                false => format!("{optional}.orValue({})", self.expression(type_, depth)),
            },
        }
    }

    pub(super) fn local(&mut self, type_: &Type) -> String {
        let name = format!("v{}", self.locals.len());
        self.locals.push((name.clone(), type_.clone()));
        name
    }

    pub(super) fn bind(&mut self, type_: &Type, depth: usize) -> String {
        let of = any(&mut self.dice, 1);
        let value = self.expression(&of, depth);
        let name = self.local(&of);
        let body = self.expression(type_, depth);
        self.locals.pop();
        format!("cel.bind({name}, {value}, {body})")
    }

    /// A macro whose value is of the type. Ranges over maps have one entry, since Go's maps have no order.
    pub(super) fn comprehension(&mut self, type_: &Type, depth: usize) -> String {
        if self.loops >= 3 {
            return self.leaf(type_, depth);
        }
        let element = match type_ {
            Type::List(inner) if self.dice.percent(40) => (**inner).clone(),
            _ => any(&mut self.dice, 1),
        };
        let over_map = self.dice.percent(30);
        let (range, first, second) = if over_map {
            let key = named("string");
            let value = self.expression(&element, depth);
            (format!("{{{}: {value}}}", self.leaf(&key, 0)), key, element.clone())
        } else {
            let range = self.expression(&Type::List(Box::new(element.clone())), depth);
            (range, named("int"), element.clone())
        };
        let outer = self.locals.len();
        let pair = self.dice.percent(40);
        let names = if pair {
            format!("{}, {}", self.local(&first), self.local(&second))
        } else {
            self.local(if over_map { &first } else { &second })
        };
        self.loops += 1;
        let condition = self.expression(&named("bool"), depth);
        let made = match type_ {
            Type::Named(name) if name == "bool" => {
                let pairs = ["all", "exists", "exists_one", "existsOne"];
                let function = self.dice.pick(if pair { &pairs } else { &pairs[..3] });
                format!("{range}.{function}({names}, {condition})")
            }
            Type::List(inner) => {
                let body = self.expression(inner, depth);
                match (pair, self.dice.below(3)) {
                    (true, 0) => format!("{range}.transformList({names}, {condition}, {body})"),
                    (true, _) => format!("{range}.transformList({names}, {body})"),
                    (false, 0) if !over_map && element == **inner => format!("{range}.filter({names}, {condition})"),
                    (false, 1) if !over_map && element == **inner => {
                        let key = named(self.dice.pick(SCALARS));
                        format!("{range}.sortBy({names}, {})", self.expression(&key, depth))
                    }
                    (false, 1) => format!("{range}.map({names}, {condition}, {body})"),
                    (false, _) => format!("{range}.map({names}, {body})"),
                }
            }
            Type::Map(key, value) if pair => {
                let body = self.expression(value, depth);
                match self.dice.percent(50) && **key == first {
                    true => format!("{range}.transformMap({names}, {body})"),
                    false => format!("{range}.transformMapEntry({names}, {{{}: {body}}})", self.leaf(key, 0)),
                }
            }
            _ => String::new(),
        };
        self.loops -= 1;
        self.locals.truncate(outer);
        if made.is_empty() { self.leaf(type_, depth) } else { made }
    }
}
