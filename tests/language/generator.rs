//! Expressions of every type over given variables, well-typed most of the time, from a seed: the same seed gives the same
//! expression. The functions come from the language's own table, so a new one is generated without a change here.

use kubewitness::ruleset::expr::reference;

/// splitmix64 (Steele, Lea, Flood 2014): small, seedable, good enough to choose with.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Dyn,
    /// A type by its name, or a type parameter (`A`).
    Named(String),
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Optional(Box<Type>),
}

const SCALARS: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"];
const OTHERS: &[&str] = &["ip", "cidr", "url", "type", "null"];

pub fn named(name: &str) -> Type {
    Type::Named(name.to_owned())
}

fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

impl Type {
    pub fn parse(text: &str) -> Type {
        let inner = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
        if let Some(element) = inner("list") {
            return Type::List(Box::new(Type::parse(element)));
        }
        if let Some(value) = inner("optional") {
            return Type::Optional(Box::new(Type::parse(value)));
        }
        if let Some(both) = inner("map").map(split) {
            return Type::Map(Box::new(Type::parse(both[0])), Box::new(Type::parse(both[1])));
        }
        if text == "dyn" { Type::Dyn } else { named(text) }
    }

    /// Whether a value of the signature's type `self` can be of type `wanted`, for one binding of its parameters.
    fn gives(&self, wanted: &Type, bound: &mut Vec<(String, Type)>) -> bool {
        match (self, wanted) {
            (Type::Named(parameter), _) if parameter.len() == 1 => {
                bound.push((parameter.clone(), wanted.clone()));
                true
            }
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => a.gives(b, bound),
            (Type::Map(a, b), Type::Map(c, d)) => a.gives(c, bound) && b.gives(d, bound),
            (a, b) => a == b,
        }
    }

    fn bind(&self, bound: &mut Vec<(String, Type)>, dice: &mut Dice) -> Type {
        match self {
            Type::Named(parameter) if parameter.len() == 1 => {
                if let Some((_, type_)) = bound.iter().find(|(name, _)| name == parameter) {
                    return type_.clone();
                }
                let type_ = if parameter == "A" { any(dice, 1) } else { named("int") };
                bound.push((parameter.clone(), type_.clone()));
                type_
            }
            Type::List(a) => Type::List(Box::new(a.bind(bound, dice))),
            Type::Optional(a) => Type::Optional(Box::new(a.bind(bound, dice))),
            Type::Map(a, b) => Type::Map(Box::new(key_type(a.bind(bound, dice))), Box::new(b.bind(bound, dice))),
            other => other.clone(),
        }
    }
}

fn key_type(type_: Type) -> Type {
    match &type_ {
        Type::Named(name) if matches!(name.as_str(), "bool" | "int" | "uint" | "string") => type_,
        _ => named("string"),
    }
}

/// A type to generate for.
pub fn any(dice: &mut Dice, depth: usize) -> Type {
    match dice.below(if depth == 0 { 9 } else { 14 }) {
        0..=6 => named(dice.pick(SCALARS)),
        7 => named("string"),
        8 => named(dice.pick(OTHERS)),
        9 | 10 => Type::List(Box::new(any(dice, depth - 1))),
        11 => Type::Map(Box::new(named(dice.pick(&["string", "int", "bool"]))), Box::new(any(dice, depth - 1))),
        12 => Type::Optional(Box::new(any(dice, depth - 1))),
        _ => Type::Dyn,
    }
}

/// A function's form.
#[derive(Clone, Debug)]
pub struct Signature {
    name: String,
    receiver: Option<Type>,
    parameters: Vec<Type>,
    result: Type,
}

/// All functions of the language's table that are called by name.
pub fn signatures() -> Vec<Signature> {
    const MACROS: &[&str] = &[
        "has",
        "all",
        "exists",
        "exists_one",
        "filter",
        "map",
        "transformList",
        "transformMap",
        "transformMapEntry",
        "sortBy",
        "cel.bind",
        "optMap",
        "optFlatMap",
        "or",
        "orValue",
    ];
    let mut all = vec![];
    for entry in reference() {
        let called = entry.name.starts_with(|c: char| c.is_ascii_alphabetic()) && entry.name != "in";
        for text in entry.signatures.iter().filter(|_| called && !MACROS.contains(&entry.name)) {
            let (call, result) = text.rsplit_once(" -> ").unwrap();
            let (before, parameters) = call.split_once(&format!("{}(", entry.name)).unwrap();
            let receiver = before.strip_suffix('.').map(Type::parse);
            let parameters = split(parameters.strip_suffix(')').unwrap()).into_iter().map(Type::parse).collect();
            all.push(Signature { name: entry.name.to_owned(), receiver, parameters, result: Type::parse(result) });
        }
    }
    all
}

pub struct Generator<'g> {
    pub dice: Dice,
    pub functions: &'g [Signature],
    /// Variables with their types.
    pub variables: &'g [(String, Type)],
    locals: Vec<(String, Type)>,
    loops: usize,
}

impl<'g> Generator<'g> {
    pub fn new(seed: u64, functions: &'g [Signature], variables: &'g [(String, Type)]) -> Generator<'g> {
        Generator { dice: Dice::new(seed), functions, variables, locals: vec![], loops: 0 }
    }

    /// An expression of a type.
    pub fn expression(&mut self, type_: &Type, depth: usize) -> String {
        let odd;
        let type_ = if self.dice.percent(2) {
            odd = any(&mut self.dice, 1);
            &odd
        } else {
            type_
        };
        if depth == 0 || self.dice.percent(15) {
            return self.leaf(type_, depth);
        }
        match self.dice.below(20) {
            0 => format!("dyn({})", self.expression(type_, depth - 1)),
            1 => {
                let condition = self.expression(&named("bool"), depth - 1);
                format!("({condition} ? {} : {})", self.expression(type_, depth - 1), self.expression(type_, depth - 1))
            }
            2 => self.indexed(type_, depth - 1),
            3 => self.from_optional(type_, depth - 1),
            4 => self.bind(type_, depth - 1),
            5..=8 => self.operator(type_, depth - 1),
            9..=11 => self.comprehension(type_, depth - 1),
            _ => self.call(type_, depth - 1),
        }
    }

    fn call(&mut self, type_: &Type, depth: usize) -> String {
        let fits = |s: &&Signature| s.result.gives(type_, &mut vec![]);
        let fitting: Vec<&Signature> = self.functions.iter().filter(fits).collect();
        if fitting.is_empty() {
            return self.leaf(type_, depth);
        }
        let signature = (*self.dice.pick(&fitting)).clone();
        let mut bound = vec![];
        signature.result.gives(type_, &mut bound);
        let receiver = signature.receiver.as_ref().map(|r| {
            let type_ = r.bind(&mut bound, &mut self.dice);
            self.argument(&signature.name, 0, &type_, depth)
        });
        let arguments: Vec<String> = signature
            .parameters
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let type_ = p.bind(&mut bound, &mut self.dice);
                self.argument(&signature.name, i + usize::from(receiver.is_some()), &type_, depth)
            })
            .collect();
        let arguments = arguments.join(", ");
        match receiver {
            Some(receiver) => format!("{receiver}.{}({arguments})", signature.name),
            None => format!("{}({arguments})", signature.name),
        }
    }

    /// An argument, for text most often one that the function can read.
    fn argument(&mut self, function: &str, position: usize, type_: &Type, depth: usize) -> String {
        let text = *type_ == named("string");
        let pool: &[&str] = match (function, position) {
            ("matches" | "find" | "findAll", 1) if text && self.dice.percent(80) => {
                let pattern = self.pattern(2);
                let literal = quoted(&pattern);
                return if self.dice.percent(20) { format!("dyn({literal})") } else { literal };
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
        if function == "lists.range" || function == "flatten" && position == 1 {
            return self.dice.pick(&["0", "1", "3", "-1"]).to_string();
        }
        self.expression(type_, depth)
    }

    fn operator(&mut self, type_: &Type, depth: usize) -> String {
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

    fn indexed(&mut self, type_: &Type, depth: usize) -> String {
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

    fn from_optional(&mut self, type_: &Type, depth: usize) -> String {
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

    fn local(&mut self, type_: &Type) -> String {
        let name = format!("v{}", self.locals.len());
        self.locals.push((name.clone(), type_.clone()));
        name
    }

    fn bind(&mut self, type_: &Type, depth: usize) -> String {
        let of = any(&mut self.dice, 1);
        let value = self.expression(&of, depth);
        let name = self.local(&of);
        let body = self.expression(type_, depth);
        self.locals.pop();
        format!("cel.bind({name}, {value}, {body})")
    }

    /// A macro whose value is of the type. Ranges over maps have one entry, since Go's maps have no order.
    fn comprehension(&mut self, type_: &Type, depth: usize) -> String {
        if self.loops >= 3 {
            return self.leaf(type_, depth);
        }
        let element = any(&mut self.dice, 1);
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
                format!(
                    "{range}.{}({names}, {condition})",
                    self.dice.pick(&["all", "exists", "exists_one", "existsOne"])
                )
            }
            Type::List(inner) => {
                let body = self.expression(inner, depth);
                match (pair, self.dice.below(3)) {
                    (true, 0) => format!("{range}.transformList({names}, {condition}, {body})"),
                    (true, _) => format!("{range}.transformList({names}, {body})"),
                    (false, 0) if !over_map && element == **inner => format!("{range}.filter({names}, {condition})"),
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

    fn leaf(&mut self, type_: &Type, depth: usize) -> String {
        let fitting: Vec<String> = self
            .locals
            .iter()
            .chain(self.variables)
            .filter(|(_, t)| t == type_ || *type_ == Type::Dyn)
            .map(|(name, _)| name.clone())
            .collect();
        if !fitting.is_empty() && self.dice.percent(40) {
            return self.dice.pick(&fitting).clone();
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

    fn literal(&mut self, name: &str) -> String {
        match name {
            "bool" => self.dice.pick(&["true", "false"]).to_string(),
            "int" => self.dice.pick(INTS).to_string(),
            "uint" => self.dice.pick(UINTS).to_string(),
            "double" => self.dice.pick(DOUBLES).to_string(),
            "string" => {
                let pool = *self.dice.pick(&[TEXTS, TEXTS, TEXTS, NUMBERS, ADDRESSES, URLS]);
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
    fn pattern(&mut self, depth: usize) -> String {
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

fn quoted(text: &str) -> String {
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

const INTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "63",
    "64",
    "400",
    "1000000",
    "9223372036854775807",
    "-9223372036854775808",
    "0x1f",
];
const UINTS: &[&str] = &["0u", "1u", "2u", "7u", "63u", "18446744073709551615u", "9223372036854775808u"];
const DOUBLES: &[&str] = &[
    "0.0",
    "1.0",
    "1.5",
    "-1.5",
    "0.1",
    "2.5",
    "-2.5",
    "1e6",
    "123456789.125",
    "1e-7",
    "1e21",
    "1e308",
    "9223372036854775807.0",
    "4.9e-324",
    "(0.0 / 0.0)",
    "(1.0 / 0.0)",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "abc",
    "ABC",
    "a,b,c",
    "ñandú",
    "日本語",
    "a1b22",
    " a b\t",
    "hello hello",
    "system:serviceaccount:ns:x",
    "%s",
    "a\nb",
    "\\",
    "'",
    "\"",
    "😀x",
    "key",
    "aaa",
    "k8s-1.34",
    "ÀÉ",
    "ſK",
];
const NUMBERS: &[&str] = &[
    "0",
    "42",
    "-7",
    "+3",
    "1.5",
    "1e3",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "true",
    "True",
    "TRUE",
    "t",
    "f",
    "0x1f",
    " 1",
    "NaN",
    "inf",
    "-Infinity",
    "1_000",
    "",
    ".5",
    "5.",
    "007",
    "tRUE",
    "1e400",
    "0x1p-2",
    "infinity",
];
const TIMES: &[&str] = &[
    "2026-01-02T03:04:05Z",
    "1970-01-01T00:00:00Z",
    "2024-02-29T23:59:59.123456789Z",
    "2026-07-01T00:00:00+02:00",
    "0001-01-01T00:00:00Z",
    "9999-12-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-02",
    "2026-01-02t03:04:05z",
    "2026-01-02T24:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T03:04:05",
    "2026-01-02T03:04:05.1+0100",
    "2026-01-02 03:04:05Z",
    "2026-01-02T3:04:05Z",
    "2026-01-02T03:04:05,5Z",
    "x",
    "",
];
const DURATIONS: &[&str] = &[
    "1h",
    "-1.5s",
    "1h30m",
    "0",
    "100ms",
    "1us",
    "24h",
    "1.000000001s",
    "1d",
    "",
    "1",
    "h",
    "1h-1m",
    "290h10m",
    "2562047h47m",
    "9223372036s",
    "9223372037s",
    "-9223372036.854775808s",
    ".5s",
    "1.s",
    "1µs",
    "+5m",
    "0.1ns",
    "1e3s",
];
const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "127.0.0.1",
    "::1",
    "fe80::1",
    "203.0.113.9",
    "2001:db8::1",
    "::ffff:1.2.3.4",
    "1.2.3",
    "01.2.3.4",
    "::01",
    "fe80::1%eth0",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "0.0.0.0",
    "::",
    "169.254.1.1",
    "1.2.3.4 ",
    "2001:DB8::1",
    "ff12::1",
];
const NETWORKS: &[&str] = &[
    "10.0.0.0/8",
    "10.1.2.3/16",
    "::/0",
    "2001:db8::/32",
    "0.0.0.0/0",
    "10.0.0.0/33",
    "10.0.0.0",
    "10.0.0.0/08",
    "::ffff:1.2.3.4/96",
    "1.2.3.4/32",
    "fe80::1%eth0/64",
    "/8",
    "10.0.0.0/",
    "10.0.0.0/-1",
];
const URLS: &[&str] = &[
    "https://user:pass@example.com:80/path?k1=a&k2=b&k2=c#frag",
    "/absolute/path?x=1",
    "https://[::1]:443/",
    "http://example.com",
    "https://example.com/path%20with?k=%41+b",
    "mailto:a@b.c",
    "../relative",
    "",
    "https://a:b:c/",
    "http://[::1",
    "//host/path",
    "/%zz",
    "https://example.com/path with spaces/",
    "https://exa mple.com/",
    "HTTP://EXAMPLE.com:/x",
    "*",
    "http://a/?",
    "http://a/?a;b=1&c=2&=3",
    "ftp://x:y@z:21/a;b",
    "http:///x",
    "///x",
    "http://a%41.com/",
    "/a?b?c",
    "http://ex%C3%A9.com/é",
    "http://[fe80::1%25en0]/",
    "/a#b",
    "http://u@v@w/",
    "/a\tb",
    ":x",
    "1http://x",
];
const FORMATS: &[&str] = &[
    "%s",
    "%d",
    "%s and %s",
    "%.2f",
    "%e",
    "%.0e",
    "%x",
    "%X",
    "%o",
    "%b",
    "%%",
    "%d %s %x",
    "%",
    "%q",
    "%.f",
    "no clause",
    "%.3d",
];
const ZONES: &[&str] = &[
    "UTC",
    "+02:00",
    "-08:30",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Sydney",
    "02:00",
    "Mars/Phobos",
    "",
    "+2:0",
    "-00:30",
    "US/Central",
    "x:y",
];
const ATOMS: &[&str] = &[
    "a",
    "b",
    "c",
    ".",
    "1",
    "é",
    "日",
    "^",
    "$",
    r"\d",
    r"\w",
    r"\s",
    r"\b",
    r"\B",
    r"\D",
    r"\W",
    r"\S",
    " ",
    ",",
    "-",
    r"\.",
    r"\-",
    r"\n",
    "(?i)A",
    "(?i:BC)",
    "(?s:.)",
    r"\x61",
    r"\x{e9}",
    r"\Q.*\E",
    "{",
    "}",
    "]",
    r"\pL",
    r"\p{Lu}",
    r"\p{Greek}",
    r"\A",
    r"\z",
    "a|b",
    "",
    "*",
    "(",
    ")",
    r"\1",
    r"\Z",
    "(?x)",
    "(?=a)",
    r"\_",
    "&&",
    r"\101",
    "(?P<n>a)",
    r"\a",
    "#",
];
const CLASSES: &[&str] = &[
    "[abc]",
    "[^a]",
    "[a-z]",
    "[a&&b]",
    "[+--]",
    "[a~~b]",
    "[[a]]",
    "[]a]",
    "[^]]",
    "[[:alpha:]]",
    "[[:^digit:]]",
    r"[\d-]",
    r"[^\w]",
    r"[\D]",
    "[a-]",
    "[-a]",
    "[b-a]",
    "[[:foo:]]",
    "[a",
    r"[\]]",
    r"[\x61-\x63]",
    "[é-ü]",
    "(?i:[k])",
    "(?i:[^k])",
    r"[\pL1]",
    r"[^\PL]",
    "[,.]",
    r"[a-\d]",
];
const REPEATS: &[&str] =
    &["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0}", "{,2}", "{2,}", "{1001}", "**", "{2", "{2,1}"];
