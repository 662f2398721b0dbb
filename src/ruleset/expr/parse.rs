//! Source text -> our syntax tree. The grammar is the `cel` crate's parser, which is recursive and unbounded; so caps
//! on size, bracket nesting and tokens come first, it runs on a thread with a large stack, and its panic is an error.
//! The only place below the edges that starts a thread; it is joined at once.

use std::{sync::Arc, thread};

use cel::{
    Env, IdedExpr, ParseErrors,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators},
};

use super::{
    ast::{Ast, Kind},
    error::ExprError,
    typo,
    value::{Text, Value},
};

/// Longest source in bytes.
pub(super) const SOURCE: usize = 4096;
/// Deepest nesting of brackets in the source, and of nodes in the tree.
pub(super) const BRACKETS: usize = 32;
pub(super) const DEPTH: usize = 64;
const TOKENS: usize = 2000;
/// Most nodes of a tree, variables counted wherever they are used.
pub(super) const NODES: usize = 2000;
/// Enough for the tokens above in the least favourable order, measured with a debug build.
const STACK: usize = 64 << 20;

const EXAMPLES: &str = "the reference page of the rule language has examples";
const FLAT: &str = "name parts of it in `variables`; write lists with `in` and terms with && or || side by side";
const UNENDED: &str = r#"end it with the quote that begins it; write a regular expression as r"…""#;

/// Parses `source` within the caps.
pub(in crate::ruleset) fn parse(source: &str) -> Result<Ast, ExprError> {
    cap_source(source)?;
    let text = source.to_owned();
    thread::Builder::new()
        .name("expression".into())
        .stack_size(STACK)
        .spawn(move || grammar(&text))
        .map_err(|error| {
            ExprError::at(source, 0, format!("no thread to parse it on: {error}"), "allow the process one more thread")
        })?
        .join()
        .unwrap_or_else(|_| {
            Err(ExprError::at(source, 0, "the parser does not cope with it", "write it another way, and report it"))
        })
}

fn grammar(source: &str) -> Result<Ast, ExprError> {
    // An environment without macros: they stay calls, so that the checker can speak of them.
    let parser = Env::default().parser().enable_optional_syntax(true).enable_ident_escape_syntax(true);
    let (tree, places) = parser
        .max_recursion_depth(2 * DEPTH as u16)
        .error_recovery_limit(1)
        .parse_with_source_info(source)
        .map_err(|errors| syntax_error(source, &errors))?;
    Convert { source, places: &places, nodes: 0 }.node(&tree, 0)
}

fn syntax_error(source: &str, errors: &ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else { return ExprError::at(source, 0, "syntax error", EXAMPLES) };
    let words = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    if let Some(at) = source.find("[*]") {
        let hint = "of all elements ask list.exists(x, condition), or make them another list by list.map(x, value)";
        return ExprError::at(source, at + 1, "syntax error: `*` is no index", hint);
    }
    let (line, column) = first.pos;
    let at = byte_of(source, line.unsigned_abs(), column.unsigned_abs());
    let (message, hint) = typo::explain(source, at, words);
    ExprError::at(source, at, format!("syntax error: {message}"), hint)
}

/// The byte of a line and a column in characters, both from 1.
fn byte_of(source: &str, line: usize, column: usize) -> usize {
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let text = source.get(before..).unwrap_or_default().split_inclusive('\n').next().unwrap_or_default();
    before + text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at)
}

/// Refuses what the parser need not see: a scan that knows strings, comments and brackets.
fn cap_source(source: &str) -> Result<(), ExprError> {
    if source.len() > SOURCE {
        let message = format!("longer than {SOURCE} bytes");
        return Err(ExprError::at(source, 0, message, "name parts of it in `variables`, or split the rule"));
    }
    if source.trim().is_empty() {
        return Err(ExprError::at(source, 0, "empty expression", EXAMPLES));
    }
    let (mut nesting, mut tokens, mut word) = (0usize, 0usize, String::new());
    let mut rest = source.char_indices();
    while let Some((at, c)) = rest.next() {
        let in_word = c.is_alphanumeric() || c == '_';
        if !in_word && !c.is_whitespace() || in_word && word.is_empty() {
            tokens += 1;
        }
        match c {
            '(' | '[' | '{' => nesting += 1,
            ')' | ']' | '}' => nesting = nesting.saturating_sub(1),
            '/' if rest.as_str().starts_with('/') => while rest.next().is_some_and(|(_, c)| c != '\n') {},
            '"' | '\'' => {
                let raw = matches!(word.as_str(), "r" | "R" | "rb" | "rB" | "Rb" | "RB" | "br" | "bR" | "Br" | "BR");
                let length = string_length(rest.as_str(), c, raw)
                    .ok_or_else(|| ExprError::at(source, at, "string without an end", UNENDED))?;
                while rest.offset() < at + c.len_utf8() + length && rest.next().is_some() {}
            }
            _ => {}
        }
        if in_word {
            word.push(c);
        } else {
            word.clear();
        }
        if nesting > BRACKETS {
            let message = format!("brackets nested more than {BRACKETS} deep");
            return Err(ExprError::at(source, at, message, FLAT));
        }
        if tokens > TOKENS {
            let message = format!("more than {TOKENS} tokens");
            return Err(ExprError::at(source, at, message, "name parts of it in `variables`, or split the rule"));
        }
    }
    Ok(())
}

/// Bytes from after the first quote to after the last of a string; `None` when it does not end.
pub(super) fn string_length(text: &str, quote: char, raw: bool) -> Option<usize> {
    let triple: String = [quote; 3].iter().collect();
    let (end, opened) = match text.strip_prefix(triple.get(1..)?) {
        Some(_) => (triple.as_str(), 2),
        None => (triple.get(2..)?, 0),
    };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(opened) {
        if escaped {
            escaped = false;
        } else if c == '\\' && !raw {
            escaped = true;
        } else if text.get(at..).is_some_and(|rest| rest.starts_with(end)) {
            return Some(at + end.len());
        } else if c == '\n' && opened == 0 {
            return None;
        }
    }
    None
}

/// From the crate's tree to ours.
struct Convert<'s> {
    source: &'s str,
    places: &'s SourceInfo,
    nodes: usize,
}

impl Convert<'_> {
    fn node(&mut self, expr: &IdedExpr, depth: usize) -> Result<Ast, ExprError> {
        let operator = self.places.offset_for(expr.id).map_or(0, |(start, _)| start as usize);
        self.nodes += 1;
        if depth > DEPTH {
            return Err(self.error(operator, format!("nested more than {DEPTH} deep"), FLAT));
        }
        if self.nodes > NODES {
            return Err(self.error(operator, format!("more than {NODES} parts"), FLAT));
        }
        let mut start = operator;
        let kind = match &expr.expr {
            Expr::Literal(literal) => Kind::Literal(value(literal)),
            Expr::Ident(name) => Kind::Name(name.clone()),
            Expr::Select(select) => {
                let operand = self.boxed(&select.operand, depth)?;
                start = operand.start;
                Kind::Select { operand, field: select.field.clone(), optional: false }
            }
            Expr::Call(call) => self.call(call, operator, &mut start, depth)?,
            Expr::List(list) => {
                let mut elements = Vec::new();
                for (i, element) in list.elements.iter().enumerate() {
                    elements.push((self.node(element, depth + 1)?, list.optional_indices.contains(&i)));
                }
                Kind::List(elements)
            }
            Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(self.error(operator, "no map entry".into(), "write {\"key\": value}"));
                    };
                    let key = self.node(&entry.key, depth + 1)?;
                    entries.push((key, self.node(&entry.value, depth + 1)?, entry.optional));
                }
                Kind::Map(entries)
            }
            Expr::Struct(message) => {
                start = self.name_before(operator, &message.type_name);
                Kind::Struct(message.type_name.clone())
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                return Err(self.error(operator, "syntax error".into(), EXAMPLES));
            }
        };
        Ok(Ast { start, operator, kind })
    }

    fn boxed(&mut self, expr: &IdedExpr, depth: usize) -> Result<Box<Ast>, ExprError> {
        Ok(Box::new(self.node(expr, depth + 1)?))
    }

    fn call(&mut self, call: &CallExpr, operator: usize, start: &mut usize, depth: usize) -> Result<Kind, ExprError> {
        let function = call.func_name.as_str();
        if function == operators::LOGICAL_AND || function == operators::LOGICAL_OR {
            let mut terms = Vec::new();
            self.terms(call, &mut terms, depth)?;
            *start = terms.first().map_or(operator, |t| t.start);
            let and = function == operators::LOGICAL_AND;
            return Ok(if and { Kind::And(terms) } else { Kind::Or(terms) });
        }
        let target = call.target.as_deref().map(|target| self.boxed(target, depth)).transpose()?;
        let mut args = Vec::new();
        for arg in &call.args {
            args.push(self.node(arg, depth + 1)?);
        }
        let infix = function.starts_with('_');
        match (&target, args.first()) {
            (Some(target), _) => *start = target.start,
            (None, Some(first)) if infix || function == operators::IN => *start = first.start,
            (None, _) if function.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                *start = self.name_before(operator, function)
            }
            (None, _) => {}
        }
        Ok(self.shape(function, target, args))
    }

    fn shape(&self, function: &str, target: Option<Box<Ast>>, args: Vec<Ast>) -> Kind {
        let optional = function == operators::OPT_INDEX || function == operators::OPT_SELECT;
        let selects = function == operators::OPT_SELECT;
        let indexes = function == operators::INDEX || function == operators::OPT_INDEX;
        if target.is_none() && (selects || indexes) && args.len() == 2 {
            let mut args = args.into_iter();
            if let (Some(operand), Some(index)) = (args.next(), args.next()) {
                let operand = Box::new(operand);
                return match index.literal_text().filter(|_| selects).map(str::to_owned) {
                    Some(field) => Kind::Select { operand, field, optional },
                    None => Kind::Index { operand, index: Box::new(index), optional },
                };
            }
            return Kind::List(Vec::new());
        }
        Kind::Call { target, function: function.to_owned(), args }
    }

    /// The operands of a tree of one logical operator, which the parser balances, from left to right.
    fn terms(&mut self, call: &CallExpr, terms: &mut Vec<Ast>, depth: usize) -> Result<(), ExprError> {
        for arg in &call.args {
            match &arg.expr {
                Expr::Call(inner) if inner.func_name == call.func_name => self.terms(inner, terms, depth)?,
                _ => terms.push(self.node(arg, depth + 1)?),
            }
        }
        Ok(())
    }

    /// A global call's place is its parenthesis; its name stands before.
    fn name_before(&self, parenthesis: usize, function: &str) -> usize {
        let before = self.source.get(..parenthesis).unwrap_or_default().trim_end();
        before.len().saturating_sub(function.len())
    }

    fn error(&self, at: usize, message: String, hint: &str) -> ExprError {
        ExprError::at(self.source, at, message, hint)
    }
}

fn value(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Boolean(b) => Value::Bool(*b.inner()),
        LiteralValue::Bytes(b) => Value::Bytes(Arc::from(b.inner())),
        LiteralValue::Double(d) => Value::Double(*d.inner()),
        LiteralValue::Int(i) => Value::Int(*i.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(s) => Value::Str(Text::from(s.inner())),
        LiteralValue::UInt(u) => Value::Uint(*u.inner()),
    }
}
