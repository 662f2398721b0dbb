//! What a name or a chain of selections stands for: a macro's variable, `variables.NAME`, a field of the schema, a type, or
//! a key of a dynamic value. Unknown ones are refused, with the nearest known one as a hint.

use super::{
    ast::{Ast, Kind},
    check::{Checker, Root, Typed, described, place},
    error::ExprError,
    hint,
    tree::{Node, Selection},
    types::Type,
    value::Val,
};
use crate::event::schema::{self, Field};

/// Names that are types, as values of `type(x)`.
const TYPES: &[(&str, &str)] = &[
    ("bool", "bool"),
    ("int", "int"),
    ("uint", "uint"),
    ("double", "double"),
    ("string", "string"),
    ("bytes", "bytes"),
    ("list", "list"),
    ("map", "map"),
    ("null_type", "null_type"),
    ("type", "type"),
    ("optional_type", "optional_type"),
    ("google.protobuf.Timestamp", "google.protobuf.Timestamp"),
    ("google.protobuf.Duration", "google.protobuf.Duration"),
    ("net.IP", "net.IP"),
    ("net.CIDR", "net.CIDR"),
];

/// The fields below a group.
fn below(path: &str) -> Vec<&'static Field> {
    let inside = |f: &&Field| f.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    schema::FIELDS.iter().filter(inside).collect()
}

/// A field of a group that stands for it: its name, or else the one with the shortest path.
fn example_below(path: &str) -> &'static str {
    let fields = below(path);
    let name = fields.iter().find(|f| f.path.len() == path.len() + 5 && f.path.ends_with(".name"));
    name.or_else(|| fields.iter().min_by_key(|f| f.path.len())).map_or("", |f| f.path)
}

/// The field of a group whose name is at most two edits away.
fn sibling(group: &str, name: &str) -> Option<&'static str> {
    let wanted: Vec<char> = name.chars().take(64).collect();
    let inside = |f: &'static Field| Some((f.path, f.path.strip_prefix(group)?.strip_prefix('.')?));
    let near = |(path, name): (&'static str, &str)| (distance(&wanted, name), path);
    let found = schema::FIELDS.iter().filter_map(inside).map(near);
    found.filter(|(edits, _)| *edits <= 2.max(wanted.len() / 3) && *edits < wanted.len()).min().map(|(_, path)| path)
}

/// What somebody meant by the path of a field that is not there.
fn meant(path: &str) -> String {
    let paths = || schema::FIELDS.iter().map(|f| f.path);
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let shortest = |fits: &dyn Fn(&str) -> bool| paths().filter(|path| fits(path)).min_by_key(|path| path.len());
    let in_group = |field: &str| {
        let name = field.strip_prefix(parent).and_then(|rest| rest.strip_prefix('.'));
        name.is_some_and(|name| {
            !name.contains('.') && last.len() > 2 && name.to_lowercase().contains(&last.to_lowercase())
        })
    };
    let found = shortest(&|field| field.ends_with(&format!(".{path}")))
        .or_else(|| shortest(&in_group).filter(|_| !parent.is_empty()))
        .or_else(|| if schema::is_prefix(parent) { sibling(parent, last) } else { nearest(path, paths()) })
        .or_else(|| shortest(&|field| last.len() > 4 && field.ends_with(&format!(".{last}"))));
    if let Some(field) = found {
        return format!("did you mean `{field}`?");
    }
    let mut group = parent;
    while !group.is_empty() && !schema::is_prefix(group) {
        group = group.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
    let inside = if group.is_empty() { String::new() } else { format!("{group}.") };
    let mut names: Vec<&str> =
        paths().filter_map(|p| p.strip_prefix(inside.as_str())).filter_map(|rest| rest.split('.').next()).collect();
    names.dedup();
    let place = if group.is_empty() { "fields begin with".to_owned() } else { format!("`{group}` has") };
    let text = if path.contains('.') { String::new() } else { format!("a text stands in quotes: {path:?}; ") };
    format!("{text}{place} {}", names.join(", "))
}

impl Checker<'_> {
    pub fn over_bindings(&self) -> bool {
        matches!(self.root, Root::Bindings(_))
    }

    /// The path that a chain spells, when it starts at the root of names and not at a macro's variable.
    fn root_path(&self, ast: &Ast) -> Option<String> {
        let path = ast.path()?;
        match path.strip_prefix('.') {
            Some(absolute) => Some(absolute.to_owned()),
            None => {
                let first = path.split('.').next().unwrap_or_default();
                self.locals.iter().all(|(name, _)| name != first).then_some(path)
            }
        }
    }

    pub fn name_or_select(&mut self, ast: &Ast) -> Result<Typed, ExprError> {
        if let Some(path) = self.root_path(ast) {
            if let Some(typed) = self.whole_name(ast, &path)? {
                return Ok(typed);
            }
        } else if let Some(typed) = self.optional_field(ast) {
            return Ok(typed);
        }
        match &ast.kind {
            Kind::Name(name) => self.local(ast, name),
            Kind::Select { operand, field, optional } => self.selection(ast, operand, field, *optional),
            _ => Err(self.error(ast.start, "not a name", "begin with a field such as `event.action`")),
        }
    }

    /// The whole path, when it names something at the root; `None` when only a part of it may.
    fn whole_name(&mut self, ast: &Ast, path: &str) -> Result<Option<Typed>, ExprError> {
        if let Root::Bindings(bindings) = self.root
            && let Some((name, bound)) = bindings.bound.get_key_value(path)
        {
            return Ok(Some(Typed { node: Node::Bound(name.clone()), type_: bound.type_.clone() }));
        }
        if let Some((_, name)) = TYPES.iter().find(|(written, _)| *written == path) {
            return Ok(Some(Typed { node: Node::Constant(Val::Type(name)), type_: Type::Kind }));
        }
        if let Root::Bindings(bindings) = self.root {
            let names =
                bindings.bound.keys().map(|name| &**name).chain(self.locals.iter().map(|(name, _)| name.as_str()));
            return if matches!(ast.kind, Kind::Name(_)) {
                Err(self.unknown(ast, "variable", path, names))
            } else {
                Ok(None)
            };
        }
        if let Some(name) = path.strip_prefix("variables.").filter(|name| !name.contains('.')) {
            return self.variable(ast, name).map(Some);
        }
        if let Some(field) = schema::lookup(path) {
            return Ok(Some(self.field(field)));
        }
        if schema::is_prefix(path) {
            let test = if path.contains('.') { format!(", or test it with has({path})") } else { String::new() };
            let hint = format!("name a field of it, such as `{}`{test}", example_below(path));
            return Err(self.error(ast.start, format!("`{path}` is a group of fields and no value"), hint));
        }
        // A selection below a field or a variable is the operand's matter; below anything else the name is unknown.
        match path.rsplit_once('.') {
            Some((parent, _)) if path.starts_with("variables.") || self.is_known(parent) => Ok(None),
            _ => Err(self.unknown_field(ast, path)),
        }
    }

    /// True when the path, or one that it goes on from, is a field.
    fn is_known(&self, path: &str) -> bool {
        schema::lookup(path).is_some() || path.rsplit_once('.').is_some_and(|(parent, _)| self.is_known(parent))
    }

    fn unknown_field(&self, ast: &Ast, path: &str) -> ExprError {
        let message = format!("no such field `{path}`");
        let local = nearest(path, self.locals.iter().map(|(name, _)| name.as_str()));
        let hint = match local {
            Some(name) => format!("did you mean `{name}`?"),
            None => hint::root(path).map_or_else(|| meant(path), str::to_owned),
        };
        self.error(ast.start, message, hint)
    }

    fn unknown<'n>(&self, ast: &Ast, what: &str, path: &str, names: impl Iterator<Item = &'n str>) -> ExprError {
        let message = format!("no such {what} `{path}`");
        match nearest(path, names) {
            Some(name) => self.error(ast.start, message, format!("did you mean `{name}`?")),
            None if schema::is_prefix(path) || schema::lookup(path).is_some() => self.error(
                ast.start,
                message,
                "it names fields of an event: give one with --event, or the variable with --bindings",
            ),
            None => self.error(ast.start, message, "texts stand in quotes; variables are the keys of --bindings"),
        }
    }

    fn variable(&mut self, ast: &Ast, name: &str) -> Result<Typed, ExprError> {
        let Some(variable) = self.variables.get(name) else {
            let message = format!("no such variable `variables.{name}`");
            return Err(match nearest(name, self.variables.keys().map(String::as_str)) {
                Some(known) => self.error(ast.start, message, format!("did you mean `variables.{known}`?")),
                None => self.error(ast.start, message, "define it in spec.variables, above what uses it"),
            });
        };
        self.count(variable.extent, ast.start)?;
        self.fields.extend(&variable.fields);
        Ok(Typed { node: Node::Variable(variable.node.clone()), type_: variable.type_.clone() })
    }

    fn field(&mut self, field: &'static Field) -> Typed {
        self.fields.insert(field.path, field);
        Typed { node: Node::Field(field), type_: Type::of_field(field.type_) }
    }

    /// A chain with `.?` in it that ends at a field: `audit.?objectRef.?name`.
    fn optional_field(&mut self, ast: &Ast) -> Option<Typed> {
        let mut optional_groups = Vec::new();
        let path = dotted(ast, &mut optional_groups)?;
        let first = path.split('.').next().unwrap_or_default();
        if optional_groups.is_empty() || self.over_bindings() || self.locals.iter().any(|(name, _)| name == first) {
            return None;
        }
        let field = schema::lookup(&path)?;
        let mut guards = Vec::new();
        for group in optional_groups {
            guards.push(if group == path { vec![field] } else { below(&group) });
        }
        self.fields.insert(field.path, field);
        Some(Typed { node: Node::OptionalField { field, guards }, type_: Type::optional(Type::of_field(field.type_)) })
    }

    fn local(&self, ast: &Ast, name: &str) -> Result<Typed, ExprError> {
        match self.locals.iter().rev().enumerate().find(|(_, (local, _))| local == name) {
            Some((depth, (_, type_))) => Ok(Typed { node: Node::Local(depth), type_: type_.clone() }),
            None => Err(self.unknown_field(ast, name)),
        }
    }

    fn selection(&mut self, ast: &Ast, operand: &Ast, field: &str, optional: bool) -> Result<Typed, ExprError> {
        let (node, operand_type) = self.child(operand)?;
        let (inner, viral) = match &operand_type {
            Type::Optional(inner) => ((**inner).clone(), true),
            other => (other.clone(), false),
        };
        let value = self.key_type(ast, operand, &inner, field)?;
        let path = ast.path().unwrap_or_else(|| field.to_owned());
        let type_ = if optional || viral { Type::optional(value) } else { value };
        let at = place(ast.start);
        let selection = Selection { operand: node, key: field.into(), optional, path: path.into(), at };
        Ok(Typed { node: Node::Select(selection), type_ })
    }

    /// The type of a value of this type at a string key.
    fn key_type(&mut self, ast: &Ast, operand: &Ast, type_: &Type, field: &str) -> Result<Type, ExprError> {
        match type_ {
            // A type that is not known becomes `dyn`, as in cel-go.
            Type::Dyn | Type::Var(_) => {
                self.unknowns.assign([(&Type::Dyn, type_)]);
                Ok(Type::Dyn)
            }
            Type::Map(_, value) => Ok((**value).clone()),
            other => {
                let message = format!("{} is {} and has no field `{field}`", described(operand), other.with_article());
                let hint = hint::no_field(operand, other, field);
                Err(self.error(ast.start, message, hint))
            }
        }
    }

    /// `has(argument)`
    pub fn has(&mut self, argument: &Ast) -> Result<Typed, ExprError> {
        let Kind::Select { operand, field, optional: false } = &argument.kind else {
            let message = "has() needs a selection such as has(a.b)";
            let hint = match argument.path() {
                Some(path) if schema::is_prefix(&path) => format!("such as has({})", example_below(&path)),
                _ => no_selection(argument),
            };
            return Err(self.error(argument.start, message, hint));
        };
        if let Some(path) = self.root_path(argument).filter(|_| !self.over_bindings()) {
            let fields = match schema::lookup(&path) {
                Some(field) => vec![field],
                None => below(&path),
            };
            if !fields.is_empty() {
                self.fields.extend(fields.iter().map(|f| (f.path, *f)));
                return Ok(Typed { node: Node::HasField(fields), type_: Type::Bool });
            }
            if !path.starts_with("variables.") && !self.is_known(&path) {
                return Err(self.unknown_field(argument, &path));
            }
        }
        let (node, operand_type) = self.child(operand)?;
        let inner = match operand_type {
            Type::Optional(inner) => (*inner).clone(),
            other => other,
        };
        self.key_type(argument, operand, &inner, field)?;
        let path = argument.path().unwrap_or_else(|| field.clone());
        let (key, at) = (field.as_str().into(), place(argument.start));
        let selection = Selection { operand: node, key, optional: false, path: path.into(), at };
        Ok(Typed { node: Node::Has(selection), type_: Type::Bool })
    }
}

/// What to write in place of has() of something else than a selection.
fn no_selection(argument: &Ast) -> String {
    let is_plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match &argument.kind {
        Kind::Index { operand, index, .. } => match (operand.path(), index.literal_text()) {
            (Some(path), Some(key)) if is_plain(key) => format!("write has({path}.{key}), or `{key:?} in {path}`"),
            (Some(path), Some(key)) => format!("write `{key:?} in {path}`"),
            _ => "whether a key is there, `\"key\" in map` tells; how long a list is, size()".to_owned(),
        },
        Kind::Literal(Val::Str(path)) => format!("write it without quotes: has({})", path.as_str()),
        _ => "whether a key is there, `\"key\" in map` tells too".to_owned(),
    }
}

/// The path that a chain spells, `.?` read as `.`, and the groups or fields that `.?` guards.
fn dotted(ast: &Ast, optional: &mut Vec<String>) -> Option<String> {
    match &ast.kind {
        Kind::Name(name) => Some(name.strip_prefix('.').unwrap_or(name).to_owned()),
        Kind::Select { operand, field, optional: marked } => {
            let path = format!("{}.{field}", dotted(operand, optional)?);
            if *marked {
                optional.push(path.clone());
            }
            Some(path)
        }
        _ => None,
    }
}

/// The known name that is at most a third of the wanted one's length away, by edits, or has the same letters in another order.
pub fn nearest<'n>(wanted: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let wanted: Vec<char> = wanted.chars().take(64).collect();
    let sorted = |mut letters: Vec<char>| {
        letters.sort_unstable();
        letters
    };
    let letters = sorted(wanted.clone());
    let is_turned = |name: &str| name.len() == wanted.len() && sorted(name.chars().collect()) == letters;
    known
        .map(|name| (distance(&wanted, name), name))
        .filter(|(edits, name)| *edits <= (wanted.len() / 3).max(1) || is_turned(name))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let edits = (diagonal + usize::from(x != y)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = edits;
            left = edits;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
