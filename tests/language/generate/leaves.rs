//! The ends of expressions: variables, literals, patterns.

use super::{
    Generator,
    pools::{
        ADDRESSES, ATOMS, CLASSES, DOUBLES, DURATIONS, INTS, NETWORKS, NUMBERS, REPEATS, TEXTS, TIMES, UINTS, URLS,
    },
    types::{Type, any},
};

impl Generator<'_> {
    pub(super) fn leaf(&mut self, type_: &Type, depth: usize) -> String {
        let fitting: Vec<String> = self
            .locals
            .iter()
            .chain(self.variables)
            .filter(|(_, t)| t == type_ || *type_ == Type::Dyn)
            .map(|(name, _)| name.clone())
            .collect();
        if !fitting.is_empty() && self.dice.percent(40) {
            return self.dice.pick(&fitting);
        }
        let inner_depth = depth.saturating_sub(1);
        match type_ {
            Type::Dyn => {
                let of = any(&mut self.dice, 1);
                format!("dyn({})", self.leaf(&of, inner_depth))
            }
            Type::List(element) => {
                let many = self.dice.below(4);
                let elements: Vec<String> = (0..many).map(|_| self.expression(element, inner_depth)).collect();
                format!("[{}]", elements.join(", "))
            }
            Type::Map(key, value) => {
                let many = self.dice.below(3);
                let entries: Vec<String> = (0..many)
                    .map(|_| format!("{}: {}", self.leaf(key, 0), self.expression(value, inner_depth)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Type::Optional(inner) => match self.dice.percent(30) {
                true => "optional.none()".to_owned(),
                false => format!("optional.of({})", self.expression(inner, inner_depth)),
            },
            Type::Named(name) => self.literal(&name.clone()),
        }
    }

    pub(super) fn literal(&mut self, name: &str) -> String {
        match name {
            "bool" => self.dice.pick(&["true", "false"]).to_string(),
            "int" => self.dice.pick(INTS).to_string(),
            "uint" => self.dice.pick(UINTS).to_string(),
            "double" => self.dice.pick(DOUBLES).to_string(),
            "string" => {
                let pool = self.dice.pick(&[TEXTS, TEXTS, TEXTS, NUMBERS, ADDRESSES, URLS]);
                quoted(self.dice.pick(pool))
            }
            "bytes" => self.dice.pick(&["b''", "b'a'", "b'abc'", r"b'\xff\x00'", "b'ñ'"]).to_string(),
            "timestamp" => format!("timestamp({})", quoted(self.dice.pick(&TIMES[..6]))),
            "duration" => format!("duration({})", quoted(self.dice.pick(&DURATIONS[..7]))),
            "ip" => format!("ip({})", quoted(self.dice.pick(&ADDRESSES[..6]))),
            "cidr" => format!("cidr({})", quoted(self.dice.pick(&NETWORKS[..4]))),
            "url" => format!("url({})", quoted(self.dice.pick(&URLS[..6]))),
            "type" => self
                .dice
                .pick(&["int", "string", "list", "map", "type", "bool", "google.protobuf.Timestamp"])
                .to_string(),
            _ => "null".to_owned(),
        }
    }

    /// A pattern in RE2's syntax, now and then one that it refuses.
    pub(super) fn pattern(&mut self, depth: usize) -> String {
        let many = 1 + self.dice.below(3);
        let mut pattern = String::new();
        for _ in 0..many {
            let atom = match self.dice.below(12) {
                0 if depth > 0 => format!("({})", self.pattern(depth - 1)),
                1 if depth > 0 => format!("(?:{}|{})", self.pattern(depth - 1), self.pattern(depth - 1)),
                2 | 3 => self.dice.pick(CLASSES).to_string(),
                _ => self.dice.pick(ATOMS).to_string(),
            };
            pattern.push_str(&atom);
            if self.dice.percent(30) {
                pattern.push_str(self.dice.pick(REPEATS));
            }
        }
        pattern
    }
}

pub fn quoted(text: &str) -> String {
    let mut literal = String::from("'");
    for c in text.chars() {
        match c {
            '\\' | '\'' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}
