//! Operators and calls whose value is of a wanted type.

use super::{
    Generator,
    leaves::quoted,
    pools::{ADDRESSES, DURATIONS, FORMATS, NETWORKS, NUMBERS, TIMES, URLS, ZONES},
    types::{SCALARS, Signature, Type, any, named},
};

impl Generator<'_> {
    pub(super) fn call(&mut self, type_: &Type, depth: usize) -> String {
        let fits = |s: &&Signature| s.result.gives(type_, &mut vec![]);
        let fitting: Vec<&Signature> = self.functions.iter().filter(fits).collect();
        if fitting.is_empty() {
            return self.leaf(type_, depth);
        }
        let signature = self.dice.pick(&fitting).clone();
        if signature.name == "format" && self.dice.percent(80) {
            return self.format(depth);
        }
        let mut bound = vec![];
        signature.result.gives(type_, &mut bound);
        let receiver = signature.receiver.as_ref().map(|r| {
            let type_ = r.bind(&mut bound, &mut self.dice);
            self.argument(&signature.name, false, 0, &type_, depth)
        });
        let arguments: Vec<String> = signature
            .parameters
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let type_ = p.bind(&mut bound, &mut self.dice);
                {
                    let position = i + usize::from(receiver.is_some());
                    self.argument(&signature.name, receiver.is_none(), position, &type_, depth)
                }
            })
            .collect();
        let arguments = arguments.join(", ");
        match receiver {
            Some(receiver) => format!("{receiver}.{}({arguments})", signature.name),
            None => format!("{}({arguments})", signature.name),
        }
    }

    /// A text with clauses, and values that they take.
    fn format(&mut self, depth: usize) -> String {
        const CLAUSES: &[(&str, &str)] = &[
            ("%s", "string"),
            ("%s", "dyn"),
            ("%d", "int"),
            ("%d", "double"),
            ("%.2f", "double"),
            ("%f", "int"),
            ("%e", "double"),
            ("%.0e", "double"),
            ("%x", "int"),
            ("%x", "string"),
            ("%X", "bytes"),
            ("%o", "uint"),
            ("%b", "bool"),
            ("%b", "int"),
        ];
        let (mut text, mut values) = (String::new(), vec![]);
        for _ in 0..1 + self.dice.below(3) {
            let (clause, type_) = self.dice.pick(CLAUSES);
            text.push_str(self.dice.pick(&["", " ", "%%", "é"]));
            text.push_str(clause);
            values.push(self.expression(&Type::parse(type_), depth));
        }
        format!("'{text}'.format([{}])", values.join(", "))
    }

    /// An argument, for text most often one that the function can read.
    pub(super) fn argument(
        &mut self,
        function: &str,
        global: bool,
        position: usize,
        type_: &Type,
        depth: usize,
    ) -> String {
        let text = *type_ == named("string");
        let pool: &[&str] = match (function, position) {
            ("matches" | "find" | "findAll", 1) if text && self.dice.percent(80) => {
                let pattern = self.pattern(2);
                let literal = quoted(&pattern);
                // Of a global `matches`, cel-go takes the first argument for the pattern: a listed deviation.
                return if global || self.dice.percent(20) { format!("dyn({literal})") } else { literal };
            }
            ("timestamp", 0) => TIMES,
            ("duration", 0) => DURATIONS,
            ("ip" | "isIP" | "ip.isCanonical" | "containsIP", _) => ADDRESSES,
            ("cidr" | "isCIDR" | "containsCIDR", _) => NETWORKS,
            ("url" | "isURL", 0) => URLS,
            ("format", 0) => FORMATS,
            ("int" | "uint" | "double" | "bool", 0) => NUMBERS,
            ("base64.decode", 0) => &["aGVsbG8=", "aGVsbG8", "", "a", "aGVs\nbG8=", "%%%", "aGVsbG9="],
            (name, 1) if name.starts_with("get") => ZONES,
            _ => &[],
        };
        if text && !pool.is_empty() && self.dice.percent(85) {
            let literal = quoted(self.dice.pick(pool));
            return if self.dice.percent(15) { format!("dyn({literal})") } else { literal };
        }
        if global && function == "matches" && position == 1 {
            return format!("dyn({})", self.expression(type_, depth));
        }
        if function == "lists.range" || function == "flatten" && position == 1 {
            return self.dice.pick(&["0", "1", "3", "-1"]).to_string();
        }
        self.expression(type_, depth)
    }

    pub(super) fn operator(&mut self, type_: &Type, depth: usize) -> String {
        let name = match type_ {
            Type::Named(name) => name.clone(),
            Type::List(_) => {
                return format!("({} + {})", self.expression(type_, depth), self.expression(type_, depth));
            }
            _ => return self.call(type_, depth),
        };
        let of = |g: &mut Self, name: &str| g.expression(&named(name), depth);
        match name.as_str() {
            "bool" => match self.dice.below(10) {
                0 => format!("!{}", of(self, "bool")),
                1 => format!("({} && {})", of(self, "bool"), of(self, "bool")),
                2 => format!("({} || {})", of(self, "bool"), of(self, "bool")),
                3 | 4 => {
                    let compared = any(&mut self.dice, 2);
                    let sign = self.dice.pick(&["==", "!="]);
                    format!("({} {sign} {})", self.expression(&compared, depth), self.expression(&compared, depth))
                }
                5..=7 => {
                    let scalar = named(self.dice.pick(SCALARS));
                    let other = match self.dice.percent(25) {
                        true => named(self.dice.pick(&["int", "uint", "double"])),
                        false => scalar.clone(),
                    };
                    let sign = self.dice.pick(&["<", "<=", ">", ">="]);
                    format!("({} {sign} {})", self.expression(&scalar, depth), self.expression(&other, depth))
                }
                8 => {
                    let element = any(&mut self.dice, 0);
                    let list = self.expression(&Type::List(Box::new(element.clone())), depth);
                    format!("({} in {list})", self.expression(&element, depth))
                }
                _ => {
                    let key = named(self.dice.pick(&["string", "int"]));
                    let map = Type::Map(Box::new(key.clone()), Box::new(any(&mut self.dice, 0)));
                    format!("({} in {})", self.expression(&key, depth), self.expression(&map, depth))
                }
            },
            "int" | "uint" => {
                let sign = self.dice.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {sign} {})", of(self, &name), of(self, &name))
            }
            "double" => {
                let sign = self.dice.pick(&["+", "-", "*", "/"]);
                format!("({} {sign} {})", of(self, "double"), of(self, "double"))
            }
            "string" | "bytes" => format!("({} + {})", of(self, &name), of(self, &name)),
            "timestamp" => {
                format!("({} {} {})", of(self, "timestamp"), self.dice.pick(&["+", "-"]), of(self, "duration"))
            }
            "duration" => match self.dice.below(3) {
                0 => format!("({} - {})", of(self, "timestamp"), of(self, "timestamp")),
                1 => format!("-{}", of(self, "duration")),
                _ => format!("({} {} {})", of(self, "duration"), self.dice.pick(&["+", "-"]), of(self, "duration")),
            },
            "type" => {
                let of = any(&mut self.dice, 1);
                format!("type({})", self.expression(&of, depth))
            }
            _ => self.call(type_, depth),
        }
    }

    pub(super) fn indexed(&mut self, type_: &Type, depth: usize) -> String {
        let (container, index) = if self.dice.percent(50) {
            (
                Type::List(Box::new(type_.clone())),
                self.dice.pick(&["0", "1", "5", "-1", "dyn(0u)", "dyn(1.0)"]).to_string(),
            )
        } else {
            let key = named(self.dice.pick(&["string", "int", "bool"]));
            (Type::Map(Box::new(key.clone()), Box::new(type_.clone())), self.leaf(&key, 0))
        };
        let container = self.expression(&container, depth);
        match type_ {
            Type::Optional(inner) if self.dice.percent(70) => {
                let container = match self.dice.percent(50) {
                    true => self.expression(&Type::List(inner.clone()), depth),
                    false => {
                        format!("dyn({})", self.expression(&Type::Map(Box::new(named("string")), inner.clone()), depth))
                    }
                };
                match self.dice.percent(50) {
                    true => format!("{container}[?{index}]"),
                    false => format!("dyn({container}).?a"),
                }
            }
            _ => format!("{container}[{index}]"),
        }
    }
}
