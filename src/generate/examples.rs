//! Examples of the rule language and what they come to, on the event that the page prints. In: expressions. Out: what
//! `kubewitness eval` prints for them.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{log_source::LineFormat, rule::Source},
    normalise::Normaliser,
    record::{IdKey, Line, Origin, Provenance, Record, RedactionFacts},
    redact,
    ruleset::expr::{Expected, Program, Steps, Variables},
};

/// The event that the examples read, as an API server writes it.
pub const EVENT: &str = include_str!("../../examples/event.json");

/// An expression, and the value that its author expects: JSON, or `error`.
pub struct Example(pub &'static str, pub &'static str);

/// 2026-03-01T22:15:05Z: when the examples are received.
const RECEIVED: SignedDuration = SignedDuration::from_secs(1_772_403_305);

/// The record of `EVENT`.
pub fn record() -> Record {
    let outcome = redact::audit_event(redact::Input { bytes: EVENT.as_bytes(), oversize: false });
    let origin = Origin { cluster: "eval".into(), reporter: "eval".into(), provenance: Provenance::AuditLog };
    redact::record(outcome, EVENT.as_bytes(), &origin, Timestamp::UNIX_EPOCH + RECEIVED, &IdKey::OFFLINE)
}

/// The record of a line that was read from `file` on node-1.
pub fn line(source: Source, file: &str, text: &str) -> Record {
    let origin = Origin { cluster: "eval".into(), reporter: "node-1".into(), provenance: Provenance::File };
    let line = Line { source, file: file.into(), format: LineFormat::Auto, zone: None, text: "".into() };
    let place = redact::LinePlace { line, position: None, at: 0, facts: RedactionFacts::default() };
    redact::line_record(text.as_bytes(), place, &origin, Timestamp::UNIX_EPOCH + RECEIVED, &IdKey::OFFLINE)
}

/// What `kubewitness eval --event` prints for the expression.
pub fn answer(expression: &str, record: &Record) -> String {
    let program = match Program::compile(expression, Expected::Any, &Variables::default()) {
        Ok(program) => program,
        Err(error) => return format!("error: {}", error.on_one_line()),
    };
    let normaliser = Normaliser { dates_lines_by_receipt: true, ..Normaliser::default() };
    let Some(event) = normaliser.event(record) else { return "error: the record holds no event".to_owned() };
    match program.eval(&event, &mut Steps::default()) {
        Ok(value) => value.to_json().to_string(),
        Err(error) => format!("error: {}", program.failure(&event, &error).on_one_line()),
    }
}

/// An example of the reference, which yields true, as what a reader learns from: `a == b && c` becomes `a` and `c`.
pub fn taken_apart(example: &str, compares: bool) -> Vec<String> {
    if split(example, " || ").len() > 1 || split(example, " ? ").len() > 1 {
        return vec![example.to_owned()];
    }
    let left = |part: &String| match split(part, " == ").as_slice() {
        [left, _] if !compares => left.clone(),
        _ => part.clone(),
    };
    split(example, " && ").iter().map(left).collect()
}

/// The parts between separators that stand outside of quotes and brackets.
fn split(text: &str, separator: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quote, mut escaped, mut start) = (Vec::new(), 0_u32, None, false, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _)
                if depth == 0 && at >= start && text.get(at..).is_some_and(|rest| rest.starts_with(separator)) =>
            {
                parts.push(text.get(start..at).unwrap_or_default().to_owned());
                start = at + separator.len();
            }
            (None, _) => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default().to_owned());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_reads_as_one() {
        assert_eq!(answer("audit.verb", &record()), "\"create\"");
        assert_eq!(answer("event.incomplete", &record()), "[]");
    }

    #[test]
    fn examples_are_taken_apart_outside_of_quotes_and_brackets() {
        for (example, parts) in [
            ("'a' + 'b' == 'ab' && f(x && y)", vec!["'a' + 'b'", "f(x && y)"]),
            ("' && '.size() == 4", vec!["' && '.size()"]),
            (r"'\' && ' == 'x'", vec![r"'\' && '"]),
            ("1 / 0 == 1 || c", vec!["1 / 0 == 1 || c"]),
            ("[1 == 1]", vec!["[1 == 1]"]),
        ] {
            assert_eq!(taken_apart(example, false), parts, "{example}");
        }
        assert_eq!(taken_apart("1 == 1 && 2 == 2", true), ["1 == 1", "2 == 2"]);
    }
}
