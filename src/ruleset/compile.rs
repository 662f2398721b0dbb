//! `api::RuleSpec` -> `CompiledRule`. The one function that makes a compiled rule. It reports every problem that it
//! finds, each with the field it stands in, so that an author mends a rule in one go.

mod detection;

use std::{collections::BTreeSet, fmt, sync::Arc};

use jiff::SignedDuration;
use serde_json::Value;

use super::{
    Capture, CompiledRule, CompiledSelector,
    expr::{Expected, ExprError, Program, Variables},
    template::{Names, Part, Template},
};
use crate::{
    api::{
        Reason, RuleSpec, Span,
        alert::RuleKind,
        rule::{AuditLevel, DetectionType, Requirements, Selector, Severity, Source},
    },
    event::schema,
    record::{IdKey, RecordId, RuleId},
};

/// Quiet time after which an episode ends, when the rule does not say.
const DEFAULT_RESOLVE_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// More problems than this are not listed.
const MAX_PROBLEMS: usize = 16;
/// A status message's limit is 4096 bytes; what is shown of the problems stays below.
const MAX_MESSAGE: usize = 3500;

/// A rule as it was written, with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSource {
    pub id: RuleId,
    pub generation: i64,
    pub spec: RuleSpec,
}

/// One thing that is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub reason: Reason,
    /// The field, such as `spec.selectors[failed].where`.
    pub field: String,
    pub message: String,
}

/// Why a rule was refused: at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    pub problems: Vec<Problem>,
}

impl RuleError {
    pub fn one(reason: Reason, field: &str, message: String) -> RuleError {
        RuleError { problems: vec![Problem { reason, field: field.to_owned(), message }] }
    }

    /// The reason of the first problem.
    pub fn reason(&self) -> Reason {
        self.problems.first().map_or(Reason::InvalidRule, |p| p.reason)
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (shown, problem) in self.problems.iter().enumerate() {
            let line = format!("{}: {}", problem.field, problem.message);
            if shown > 0 && text.len() + line.len() > MAX_MESSAGE {
                text.push_str(&format!("\n… and {} more", self.problems.len() - shown));
                break;
            }
            if shown > 0 {
                text.push('\n');
            }
            text.push_str(&line);
        }
        f.write_str(&text)
    }
}

/// Compiles and checks a rule. Deterministic: the same source gives the same result on every machine.
pub fn compile(source: &RuleSource) -> Result<CompiledRule, RuleError> {
    let mut compiler = Compiler { problems: Vec::new(), spec: &source.spec, variables: Variables::default() };
    let rule = compiler.rule(source);
    if compiler.problems.is_empty() {
        Ok(rule)
    } else {
        compiler.problems.truncate(MAX_PROBLEMS);
        Err(RuleError { problems: compiler.problems })
    }
}

struct Compiler<'a> {
    problems: Vec<Problem>,
    spec: &'a RuleSpec,
    variables: Variables,
}

impl Compiler<'_> {
    fn problem(&mut self, reason: Reason, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { reason, field: field.into(), message: message.into() });
    }

    fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problem(Reason::InvalidRule, field, message);
    }

    fn expression_error(&mut self, field: impl Into<String>, error: &ExprError) {
        self.problem(Reason::InvalidExpression, field, error.to_string());
    }

    fn rule(&mut self, source: &RuleSource) -> CompiledRule {
        let spec = self.spec;
        self.check_bounds();
        self.check_lengths(&source.id.name);
        self.check_names();
        self.check_sources(source.id.kind);
        for (i, variable) in spec.variables.iter().enumerate() {
            if let Err(error) = self.variables.define(&variable.name, &variable.expression) {
                self.expression_error(format!("spec.variables[{}].expression", place(&variable.name, i)), &error);
            }
        }
        let mut selectors: Vec<_> =
            spec.selectors.iter().enumerate().filter_map(|(i, s)| self.selector(i, s)).collect();
        let detection = self.detection();
        let summary = self.summary(&mut selectors);
        CompiledRule {
            id: source.id.clone(),
            generation: source.generation,
            digest: digest(spec),
            sense: sense(spec),
            title: spec.title.clone(),
            severity: spec.severity,
            attack: spec.attack.clone(),
            mode: spec.mode,
            suspended: spec.suspend,
            requires: requirements(&selectors),
            selectors,
            key_names: spec.group_by.iter().map(|k| k.name.as_str().into()).collect(),
            detection,
            summary,
            resolve_after: spec.alert.resolve_after.map_or(DEFAULT_RESOLVE_AFTER, Span::as_signed),
        }
    }

    /// Bounds that the API server checks by the schema and that a file on disk has not passed.
    fn check_bounds(&mut self) {
        let spec = self.spec;
        if spec.title.is_empty() || spec.title.chars().count() > 128 {
            self.invalid("spec.title", "must have 1 to 128 characters");
        }
        if spec.selectors.is_empty() || spec.selectors.len() > 8 {
            self.invalid("spec.selectors", "must have 1 to 8 items");
        }
        if spec.group_by.len() > 8 || spec.variables.len() > 16 || spec.tests.len() > 32 {
            self.invalid("spec", "must have at most 8 groupBy, 16 variables and 32 tests");
        }
        for id in &spec.attack {
            if !is_technique(id) {
                self.invalid("spec.attack", format!("{id:?} must be an ATT&CK technique id like T1110 or T1110.001"));
            }
        }
        for test in &spec.tests {
            let events = test.input.iter().filter_map(|input| input.event.as_ref());
            if events.flat_map(|event| event.0.values()).any(|value| !is_shallow(value, MAX_EVENT_DEPTH)) {
                let message = format!("an event is nested deeper than {MAX_EVENT_DEPTH}");
                self.invalid(format!("spec.tests[{}]", test.name), message);
            }
        }
        if spec.alert.resolve_after.is_some_and(|span| span.is_zero()) {
            self.invalid("spec.alert.resolveAfter", "must be longer than 0s");
        }
    }

    fn check_lengths(&mut self, name: &str) {
        let spec = self.spec;
        if !is_object_name(name) {
            self.invalid("metadata.name", "must be lower case letters, digits, - and ., at most 253");
        }
        let long = |text: &str, most: usize| text.chars().count() > most;
        for (field, text, most) in
            [("spec.description", &spec.description, 4096), ("spec.alert.summary", &spec.alert.summary, 512)]
        {
            if long(text, most) {
                self.invalid(field, format!("must have at most {most} characters"));
            }
        }
        if spec.attack.len() > 16 || spec.false_positives.len() > 16 {
            self.invalid("spec", "must have at most 16 attack and 16 falsePositives");
        }
        if spec.false_positives.iter().any(|text| text.is_empty() || long(text, 512)) {
            self.invalid("spec.falsePositives", "each must have 1 to 512 characters");
        }
    }

    fn check_names(&mut self) {
        let spec = self.spec;
        let named: [(&str, Vec<&str>); 4] = [
            ("spec.selectors", spec.selectors.iter().map(|s| s.name.as_str()).collect()),
            ("spec.groupBy", spec.group_by.iter().map(|k| k.name.as_str()).collect()),
            ("spec.variables", spec.variables.iter().map(|v| v.name.as_str()).collect()),
            ("spec.tests", spec.tests.iter().map(|t| t.name.as_str()).collect()),
        ];
        for (list, names) in named {
            let mut seen = BTreeSet::new();
            for name in names {
                if !seen.insert(name) {
                    self.invalid(list, format!("the name {name:?} occurs twice; names must be unique"));
                }
                if list != "spec.tests" && !is_identifier(name) {
                    self.invalid(
                        list,
                        format!("the name {name:?} must be letters, digits and _, not beginning with a digit"),
                    );
                }
            }
        }
        if spec.selectors.iter().any(|s| s.name == "key") {
            self.invalid("spec.selectors", "the name \"key\" is taken by `{key.…}` of the summary");
        }
        if spec.detection.type_ == DetectionType::NewValue && spec.selectors.iter().any(|s| s.name == "new") {
            self.invalid("spec.selectors", "the name \"new\" is taken by `{new.…}` of the summary");
        }
    }

    fn check_sources(&mut self, kind: RuleKind) {
        for (i, selector) in self.spec.selectors.iter().enumerate() {
            let field = format!("spec.selectors[{}]", place(&selector.name, i));
            if kind == RuleKind::SecurityRule && selector.source == Source::Node {
                self.invalid(
                    format!("{field}.source"),
                    "a SecurityRule sees its own namespace alone and may not read Node logs; use a ClusterSecurityRule",
                );
            }
            if !selector.stages.is_empty() && selector.source != Source::Audit {
                self.invalid(format!("{field}.stages"), "only Audit events have stages");
            }
        }
    }

    fn program(&mut self, field: String, text: &str, expected: Expected) -> Option<Program> {
        match Program::compile(text, expected, &self.variables) {
            Ok(program) => Some(program),
            Err(error) => {
                self.expression_error(field, &error);
                None
            }
        }
    }

    fn selector(&mut self, index: usize, selector: &Selector) -> Option<CompiledSelector> {
        let field = format!("spec.selectors[{}].where", place(&selector.name, index));
        let condition = self.program(field, &selector.where_, Expected::Bool);
        let keys = self.keys(selector);
        let distinct = self.value(selector)?;
        Some(CompiledSelector {
            name: selector.name.as_str().into(),
            source: selector.source,
            stages: selector.stages.clone(),
            condition: condition?,
            keys: keys?,
            distinct,
            captures: Vec::new(),
        })
    }

    fn keys(&mut self, selector: &Selector) -> Option<Vec<Program>> {
        let spec = self.spec;
        let mut keys = Vec::new();
        for (i, key) in spec.group_by.iter().enumerate() {
            let field = format!("spec.groupBy[{}]", place(&key.name, i));
            for from in &key.from {
                if !spec.selectors.iter().any(|s| s.name == from.selector) {
                    self.unknown_selector(format!("{field}.from"), &from.selector);
                }
            }
            let own = key.from.iter().find(|f| f.selector == selector.name).map(|f| f.value.as_str());
            match own.or(key.value.as_deref()) {
                Some(text) => keys.extend(self.program(field, text, Expected::Text)),
                None => {
                    self.invalid(field, format!("has neither value nor a from entry for selector {:?}", selector.name))
                }
            }
        }
        (keys.len() == spec.group_by.len()).then_some(keys)
    }

    fn unknown_selector(&mut self, field: impl Into<String>, name: &str) {
        let known: Vec<_> = self.spec.selectors.iter().map(|s| s.name.as_str()).collect();
        self.invalid(field, format!("no selector is named {name:?}; there are: {}", known.join(", ")));
    }

    fn summary(&mut self, selectors: &mut [CompiledSelector]) -> Template {
        let spec = self.spec;
        let keys: Vec<_> = spec.group_by.iter().map(|k| k.name.as_str()).collect();
        let names: Vec<_> = spec.selectors.iter().map(|s| s.name.as_str()).collect();
        let new_value = spec.detection.type_ == DetectionType::NewValue;
        let names = Names { keys: &keys, selectors: &names, new_value };
        let (template, slots) = match Template::parse(&spec.alert.summary, names) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.invalid("spec.alert.summary", error.to_string());
                return Template::default();
            }
        };
        self.check_summary(&template);
        for slot in slots {
            let field = format!("spec.alert.summary {{{}}}", slot.expression);
            let Some(program) = self.program(field, &slot.expression, Expected::Text) else { continue };
            // Selectors that did not compile are left out, so indices hold only when all did; else the rule is refused anyway.
            if let Some(selector) = selectors.get_mut(slot.selector) {
                selector.captures.push(Capture { slot: slot.slot, program });
            }
        }
        template
    }
}

/// Two versions with the same sense find the same, and call it alike: they differ in words, severity or tests.
fn sense(spec: &RuleSpec) -> RecordId {
    let mut bare = spec.clone();
    bare.title = String::new();
    bare.description = String::new();
    bare.severity = Severity::Low;
    bare.attack = Vec::new();
    bare.false_positives = Vec::new();
    bare.alert.resolve_after = None;
    bare.tests = Vec::new();
    digest(&bare)
}

fn digest(spec: &RuleSpec) -> RecordId {
    let text = serde_json::to_vec(spec).expect("a spec has string keys and so serialises to JSON");
    RecordId::of(&IdKey::OFFLINE, &[b"rule", &text])
}

fn place(name: &str, index: usize) -> String {
    if name.is_empty() { index.to_string() } else { name.chars().take(63).collect() }
}

/// The log holds specs as JSON, which is read back to a depth of 128 (serde_json's limit), their own nesting included.
const MAX_EVENT_DEPTH: usize = 64;

fn is_shallow(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_shallow(item, depth - 1)),
        Value::Object(fields) => depth > 0 && fields.values().all(|item| is_shallow(item, depth - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= 63
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// RFC 1123 subdomain, as Kubernetes asks of names.
fn is_object_name(name: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let label = |label: &str| {
        edge(label.bytes().next())
            && edge(label.bytes().last())
            && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn is_technique(id: &str) -> bool {
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    id.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(rest, 4),
    })
}

fn requirements(selectors: &[CompiledSelector]) -> Requirements {
    let sources: BTreeSet<Source> = selectors.iter().map(|s| s.source).collect();
    let programs = selectors.iter().flat_map(|s| {
        s.keys.iter().chain([&s.condition]).chain(&s.distinct).chain(s.captures.iter().map(|c| &c.program))
    });
    let fields: BTreeSet<&str> = programs.flat_map(|p| p.fields().iter().copied()).collect();
    let level = fields.iter().filter_map(|path| schema::lookup(path)).map(|f| f.audit_level).max();
    Requirements {
        audit_level: sources.contains(&Source::Audit).then(|| level.unwrap_or(AuditLevel::Metadata)),
        sources: sources.into_iter().collect(),
        fields: fields.into_iter().take(64).map(str::to_owned).collect(),
    }
}

/// Compiles what can be; the caller reports the rest.
pub fn compile_all(sources: &[RuleSource]) -> (Vec<Arc<CompiledRule>>, Vec<(RuleId, RuleError)>) {
    let mut rules = Vec::new();
    let mut refused = Vec::new();
    for source in sources {
        match compile(source) {
            Ok(rule) => rules.push(Arc::new(rule)),
            Err(error) => refused.push((source.id.clone(), error)),
        }
    }
    (rules, refused)
}

#[cfg(test)]
mod tests;
