//! A Rust file as the checks see it. In: its text. Out: every path that it names (macros and nested `use` braces
//! included), its functions, the modules that it declares. Works on tokens, so comments and strings never count.

use std::iter::Peekable;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// `a::b::c` as written, or one leaf of a `use` tree. A lone identifier is a path of one segment.
#[derive(Debug, PartialEq)]
pub struct NamedPath {
    pub segments: Vec<String>,
    /// Absolute path of the module that names it.
    pub module: Vec<String>,
    pub line: usize,
    /// Below a `#[cfg(test)]`.
    pub in_test: bool,
}

#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub first_line: usize,
    pub last_line: usize,
    pub in_test: bool,
}

/// `mod name;`
#[derive(Debug)]
pub struct Declaration {
    /// Absolute path of the declared module.
    pub module: Vec<String>,
    pub line: usize,
    pub in_test: bool,
}

#[derive(Debug, Default)]
pub struct Source {
    pub paths: Vec<NamedPath>,
    pub functions: Vec<Function>,
    pub declarations: Vec<Declaration>,
}

impl NamedPath {
    /// The path from the crate's root; `None` when it names something outside of this crate or a single identifier.
    pub fn absolute(&self) -> Option<Vec<String>> {
        let mut rest = self.segments.as_slice();
        let mut base = match rest.first()?.as_str() {
            "crate" | "kubewitness" if rest.len() > 1 => Vec::new(),
            "self" | "super" if rest.len() > 1 => self.module.clone(),
            _ => return None,
        };
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "super" => drop(base.pop()),
                "crate" | "kubewitness" | "self" => {}
                _ => break,
            }
            rest = tail;
        }
        base.extend_from_slice(rest);
        Some(base)
    }
}

impl Source {
    /// Reads `text`, the file of `module`. `in_test`: the file itself is declared below a `#[cfg(test)]`.
    pub fn read(text: &str, module: &[String], in_test: bool) -> Source {
        let tokens: TokenStream = text.parse().expect("the compiler has read the same text");
        let mut source = Source::default();
        Walk { source: &mut source, module: module.to_vec(), in_test }.stream(tokens);
        source
    }
}

struct Walk<'a> {
    source: &'a mut Source,
    module: Vec<String>,
    in_test: bool,
}

impl Walk<'_> {
    fn stream(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let outer = self.in_test;
        // Index after which the item below a #[cfg(test)] has ended.
        let mut test_until = None;
        let mut i = 0;
        while i < tokens.len() {
            if test_until.is_some_and(|end| i > end) {
                test_until = None;
                self.in_test = outer;
            }
            if is_cfg_test(&tokens, i) {
                self.in_test = true;
                test_until = Some(item_end(&tokens, i));
            } else if is_punct(tokens.get(i), '#') && is_punct(tokens.get(i + 1), '!') && is_cfg_test(&tokens, i + 1) {
                self.in_test = true;
                test_until = Some(tokens.len());
            }
            i += self.token(&tokens, i);
        }
        self.in_test = outer;
    }

    /// Handles what begins at `tokens[i]`; returns how many tokens that were.
    fn token(&mut self, tokens: &[TokenTree], i: usize) -> usize {
        match (&tokens[i], tokens.get(i + 1), tokens.get(i + 2)) {
            (TokenTree::Group(group), _, _) => {
                self.stream(group.stream());
                1
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), Some(next)) if word == "mod" => {
                self.module.push(name.to_string());
                match next {
                    TokenTree::Group(body) => self.stream(body.stream()),
                    _ => self.source.declarations.push(Declaration {
                        module: self.module.clone(),
                        line: line(&tokens[i]),
                        in_test: self.in_test,
                    }),
                }
                self.module.pop();
                3
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), _) if word == "fn" => {
                self.function(&tokens[i], &name.to_string(), tokens.get(i + 2..).unwrap_or_default());
                2
            }
            (TokenTree::Ident(_), _, _) => self.path(tokens, i, &[]),
            _ => 1,
        }
    }

    fn function(&mut self, keyword: &TokenTree, name: &str, rest: &[TokenTree]) {
        let body = rest.iter().take_while(|t| !is_punct(Some(t), ';')).find_map(as_brace);
        if let Some(body) = body {
            self.source.functions.push(Function {
                name: name.to_owned(),
                first_line: line(keyword),
                last_line: body.span_close().end().line,
                in_test: self.in_test,
            });
        }
    }

    /// Reads a path whose first identifier is `tokens[i]`, below `prefix`; returns how many tokens it takes.
    fn path(&mut self, tokens: &[TokenTree], i: usize, prefix: &[String]) -> usize {
        let mut segments = prefix.to_vec();
        let mut at = i;
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(word)) => segments.push(word.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' && at > i => segments.push("*".into()),
                Some(tree) if at > i && as_brace(tree).is_some() => {
                    self.tree(as_brace(tree).expect("just seen"), &segments);
                    return at + 1 - i;
                }
                _ => break,
            }
            at += 1;
            if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
                break;
            }
            at += 2;
        }
        // `use crate::a::{self}` names `crate::a`.
        if segments.len() > 1 && segments.last().is_some_and(|s| s == "self") {
            segments.pop();
        }
        // `use crate as x`, `use super as x` would hide what is imported: shown as a path that no rank allows.
        let renamed = matches!(tokens.get(at), Some(TokenTree::Ident(word)) if word == "as");
        if renamed && segments.iter().all(|s| s == "crate" || s == "super") {
            segments.push("as".into());
        }
        let named = NamedPath {
            segments,
            module: self.module.clone(),
            line: tokens.get(i).map_or(0, line),
            in_test: self.in_test,
        };
        self.source.paths.push(named);
        (at - i).max(1)
    }

    /// `prefix::{a, b::{c, d}, *}`
    fn tree(&mut self, group: &Group, prefix: &[String]) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at] {
                TokenTree::Ident(_) => self.path(&tokens, at, prefix),
                TokenTree::Punct(star) if star.as_char() == '*' => {
                    let segments = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                    let (module, line) = (self.module.clone(), line(&tokens[at]));
                    self.source.paths.push(NamedPath { segments, module, line, in_test: self.in_test });
                    1
                }
                _ => 1,
            };
            // A rename after the path: not a path of its own.
            if matches!(tokens.get(at), Some(TokenTree::Ident(word)) if word == "as") {
                at += 2;
            }
        }
    }
}

fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

fn is_punct(tree: Option<&TokenTree>, c: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(p)) if p.as_char() == c)
}

fn as_brace(tree: &TokenTree) -> Option<&Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}

/// `#[cfg(test)]` begins at `tokens[i]` (or at the `!` of `#![cfg(test)]`).
fn is_cfg_test(tokens: &[TokenTree], i: usize) -> bool {
    let introduced = is_punct(tokens.get(i), '#') || is_punct(tokens.get(i), '!');
    let attribute = match tokens.get(i + 1) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => group.stream().to_string(),
        _ => return false,
    };
    introduced && attribute.split_whitespace().collect::<String>() == "cfg(test)"
}

/// Index of the last token of the item whose first attribute begins at `tokens[i]`.
fn item_end(tokens: &[TokenTree], i: usize) -> usize {
    let mut rest = tokens.iter().enumerate().skip(i).peekable();
    skip_attributes_and_visibility(&mut rest);
    let keyword = rest.peek().map(|(_, tree)| tree.to_string()).unwrap_or_default();
    let by_semicolon = matches!(keyword.as_str(), "use" | "static" | "type" | "const" | "let");
    let is_item = ["mod", "fn", "struct", "enum", "impl", "trait", "unsafe", "async", "extern", "union", "macro_rules"];
    let by_comma = !by_semicolon && !is_item.contains(&keyword.as_str());
    rest.find(|(_, tree)| {
        is_punct(Some(tree), ';')
            || (!by_semicolon && as_brace(tree).is_some())
            || (by_comma && is_punct(Some(tree), ','))
    })
    .map_or(tokens.len(), |(end, _)| end)
}

fn skip_attributes_and_visibility<'a>(rest: &mut Peekable<impl Iterator<Item = (usize, &'a TokenTree)>>) {
    while let Some((_, tree)) = rest.peek() {
        let skip = match tree {
            TokenTree::Punct(p) => p.as_char() == '#',
            TokenTree::Group(group) => group.delimiter() != Delimiter::Brace,
            TokenTree::Ident(word) => *word == "pub",
            TokenTree::Literal(_) => false,
        };
        if !skip {
            return;
        }
        rest.next();
    }
}
