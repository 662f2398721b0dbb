//! The report as JUnit XML, as CI systems read it (https://github.com/testmoapp/junitxml): a suite a rule, a case a test. A rule that
//! is refused and a file that can't be read are errors of a case of their own; so are its warnings a failure, where they are denied.

use std::io::{self, Write};

use super::report::{Report, RuleReport};

/// `deny`: a rule with warnings fails.
pub fn write(report: &Report, deny: bool, out: &mut impl Write) -> io::Result<()> {
    let totals = report.totals();
    let errors = totals.refused + report.unreadable.len();
    let warned = report.rules.iter().filter(|rule| deny && !rule.warnings.is_empty()).count();
    let (tests, failures) = (totals.passed + totals.failed + errors + warned, totals.failed + warned);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="kubewitness" tests="{tests}" failures="{failures}" errors="{errors}">"#)?;
    for (index, error) in report.unreadable.iter().enumerate() {
        writeln!(out, r#"  <testsuite name="unreadable file {}" tests="1" failures="0" errors="1">"#, index + 1)?;
        case(out, "files", "can be read", Some(("error", error)))?;
        writeln!(out, "  </testsuite>")?;
    }
    report.rules.iter().try_for_each(|rule| suite(rule, deny, out))?;
    writeln!(out, "</testsuites>")
}

fn suite(rule: &RuleReport, deny: bool, out: &mut impl Write) -> io::Result<()> {
    let warnings = rule.warnings.join("\n");
    let denied = usize::from(deny && !warnings.is_empty());
    let failures = rule.tests.iter().filter(|test| test.difference.is_some()).count() + denied;
    let errors = usize::from(rule.refused.is_some());
    writeln!(
        out,
        r#"  <testsuite name="{}" file="{}" tests="{}" failures="{failures}" errors="{errors}">"#,
        escaped(&rule.rule),
        escaped(&rule.file),
        rule.tests.len() + errors + denied,
    )?;
    if let Some(refused) = &rule.refused {
        case(out, &rule.rule, "compiles", Some(("error", &format!("{}\n{}", refused.reason, refused.message))))?;
    }
    for test in &rule.tests {
        case(out, &rule.rule, &test.name, test.difference.as_deref().map(|difference| ("failure", difference)))?;
    }
    if denied > 0 {
        case(out, &rule.rule, "has no warnings", Some(("failure", &warnings)))?;
    }
    let gaps: Vec<&str> =
        rule.parts.iter().filter(|part| part.tests.is_empty()).map(|part| part.name.as_str()).collect();
    let gaps = gaps.iter().map(|name| format!("no test exercises {name}"));
    let remarks: Vec<String> = gaps.chain(rule.warnings.iter().cloned()).collect();
    if !remarks.is_empty() {
        writeln!(out, "    <system-out>{}</system-out>", escaped(&remarks.join("\n")))?;
    }
    writeln!(out, "  </testsuite>")
}

/// `problem` is the element that tells of it, and its text; its first line is the message.
fn case(out: &mut impl Write, class: &str, name: &str, problem: Option<(&str, &str)>) -> io::Result<()> {
    write!(out, r#"    <testcase classname="{}" name="{}""#, escaped(class), escaped(name))?;
    match problem {
        None => writeln!(out, "/>"),
        Some((element, text)) => {
            let first = escaped(text.lines().next().unwrap_or_default());
            writeln!(out, r#"><{element} message="{first}">{}</{element}></testcase>"#, escaped(text))
        }
    }
}

/// Text for an element or an attribute. Characters that XML 1.0 can't hold become U+FFFD.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(c),
        }
    }
    safe
}
