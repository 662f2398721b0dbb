//! What `kubewitness test` found: as text, and as the value of which JSON is made.

use std::io::{self, Write};

use serde::Serialize;

use crate::pipeline::trial::Part;

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub rules: Vec<RuleReport>,
    /// Files that could not be read: why.
    pub unreadable: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct RuleReport {
    pub file: String,
    pub rule: String,
    /// Why it does not compile, if so; then nothing else is known.
    pub refused: Option<Refused>,
    pub tests: Vec<TestReport>,
    pub warnings: Vec<String>,
    /// Selectors and steps, each with the tests that exercise it.
    pub parts: Vec<Covered>,
}

#[derive(Debug, Serialize)]
pub struct Refused {
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug, Serialize)]
pub struct TestReport {
    pub name: String,
    /// The first one; the test passed without any.
    pub difference: Option<String>,
}

/// A selector or step.
#[derive(Debug, Serialize)]
pub struct Covered {
    pub name: String,
    /// Names of the tests that exercise it.
    pub tests: Vec<String>,
    #[serde(skip)]
    is_step: bool,
}

impl Covered {
    /// Of a part that no test exercises yet.
    pub fn of(part: &Part) -> Covered {
        Covered { name: part.name.clone(), tests: Vec::new(), is_step: part.is_step }
    }
}

#[derive(Debug, Default)]
pub struct Totals {
    pub passed: usize,
    pub failed: usize,
    pub refused: usize,
    pub untested: usize,
    pub warnings: usize,
    /// (exercised, all)
    pub selectors: (usize, usize),
    pub steps: (usize, usize),
}

impl RuleReport {
    pub fn new(file: String, rule: String) -> RuleReport {
        RuleReport { file, rule, refused: None, tests: Vec::new(), warnings: Vec::new(), parts: Vec::new() }
    }

    /// Where it stands and what it is called.
    pub fn place(&self) -> String {
        format!("{}: {}", self.file, self.rule)
    }

    fn failed(&self) -> usize {
        self.tests.iter().filter(|test| test.difference.is_some()).count()
    }

    fn write_text(&self, verbose: bool, out: &mut impl Write) -> io::Result<()> {
        let place = self.place();
        if let Some(refused) = &self.refused {
            return writeln!(out, "FAIL  {place}: {}\n{}", refused.reason, indent(&refused.message));
        }
        for test in &self.tests {
            match &test.difference {
                Some(difference) => writeln!(out, "FAIL  {place}: {}\n{}", test.name, indent(difference))?,
                None if verbose => writeln!(out, "ok    {place}: {}", test.name)?,
                None => {}
            }
        }
        if !verbose && self.failed() == 0 {
            let count = self.tests.len();
            writeln!(out, "ok    {place} ({count} {})", if count == 1 { "test" } else { "tests" })?;
        }
        for part in &self.parts {
            match part.tests.as_slice() {
                [] => writeln!(out, "      no test exercises {}", part.name)?,
                tests if verbose => writeln!(out, "      {} is exercised by: {}", part.name, tests.join("; "))?,
                _ => {}
            }
        }
        self.warnings.iter().try_for_each(|warning| writeln!(out, "warn  {place}:\n{}", indent(warning)))
    }
}

impl Report {
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for rule in &self.rules {
            totals.refused += usize::from(rule.refused.is_some());
            totals.untested += usize::from(rule.refused.is_none() && rule.tests.is_empty());
            totals.failed += rule.failed();
            totals.passed += rule.tests.len() - rule.failed();
            totals.warnings += rule.warnings.len();
            for part in &rule.parts {
                let (exercised, all) = if part.is_step { &mut totals.steps } else { &mut totals.selectors };
                *exercised += usize::from(!part.tests.is_empty());
                *all += 1;
            }
        }
        totals
    }

    pub fn write_text(&self, verbose: bool, out: &mut impl Write) -> io::Result<()> {
        self.unreadable.iter().try_for_each(|error| writeln!(out, "FAIL  {error}"))?;
        self.rules.iter().try_for_each(|rule| rule.write_text(verbose, out))?;
        let totals = self.totals();
        if totals.untested > 0 {
            let advice = "add spec.tests with a case that alerts and one that stays quiet";
            writeln!(out, "{} rule(s) carry no test: {advice}", totals.untested)?;
        }
        if totals.refused > 0 {
            writeln!(out, "{} rule(s) refused", totals.refused)?;
        }
        let (selectors, steps) = (totals.selectors, totals.steps);
        if selectors.1 > 0 {
            let of_steps = if steps.1 > 0 { format!(" and {} of {} step(s)", steps.0, steps.1) } else { String::new() };
            writeln!(out, "tests exercise {} of {} selector(s){of_steps}", selectors.0, selectors.1)?;
        }
        let warned = if totals.warnings > 0 { format!(", {} warning(s)", totals.warnings) } else { String::new() };
        let failed = totals.failed + totals.refused + self.unreadable.len();
        writeln!(out, "{} passed, {failed} failed{warned}", totals.passed)
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}
