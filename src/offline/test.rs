//! `kubewitness test`: compiles rules and runs the tests that they carry.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use super::rule_files::{self, RuleFile};
use crate::{
    pipeline::rule_test,
    ruleset::{compile::compile, lint::lint},
};

/// Compiles every rule in FILE or below DIR and runs its `spec.tests`.
///
/// It warns of what a rule may do and its author hardly meant: a selector that can't match, a negation over a key that may be
/// missing, a field that is never set. The rule language's reference lists the warnings.
///
/// Exit code 0: all compile and pass; 1: a rule is refused or a test fails; 2: a file can't be read.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Files, or directories with *.yaml and *.yml files.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Name each test, not only those that fail.
    #[arg(short, long)]
    pub verbose: bool,
    /// Exit with 1 when there is a warning, too.
    #[arg(long)]
    pub deny_warnings: bool,
}

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    refused: usize,
    untested: usize,
    warnings: usize,
}

pub fn main(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let mut totals = Totals::default();
    let mut unreadable = 0;
    for path in &args.paths {
        let (rules, errors) = rule_files::read(path);
        for error in &errors {
            println!("FAIL  {error}");
        }
        unreadable += errors.len();
        for rule in &rules {
            run(rule, args.verbose, &mut totals);
        }
    }
    if totals.untested > 0 {
        println!(
            "{} rule(s) carry no test: add spec.tests with a case that alerts and one that stays quiet",
            totals.untested
        );
    }
    if totals.refused > 0 {
        println!("{} rule(s) refused", totals.refused);
    }
    let warned = if totals.warnings > 0 { format!(", {} warning(s)", totals.warnings) } else { String::new() };
    println!("{} passed, {} failed{warned}", totals.passed, totals.failed + totals.refused + unreadable);
    let denied = if args.deny_warnings { totals.warnings } else { 0 };
    Ok(match (unreadable, totals.failed + totals.refused + denied) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(1),
        _ => ExitCode::from(2),
    })
}

fn run(file: &RuleFile, verbose: bool, totals: &mut Totals) {
    let place = format!("{}: {}", file.path.display(), file.source.id);
    let rule = match compile(&file.source) {
        Ok(rule) => Arc::new(rule),
        Err(error) => {
            totals.refused += 1;
            println!("FAIL  {place}: {}\n{}", error.reason().as_str(), indent(&error.to_string()));
            return;
        }
    };
    let tests = &file.source.spec.tests;
    totals.untested += usize::from(tests.is_empty());
    let mut failed = 0;
    for test in tests {
        match rule_test::run(&rule, test) {
            Ok(()) if verbose => println!("ok    {place}: {}", test.name),
            Ok(()) => {}
            Err(difference) => {
                failed += 1;
                println!("FAIL  {place}: {}\n{}", test.name, indent(&difference.to_string()));
            }
        }
    }
    totals.failed += failed;
    totals.passed += tests.len() - failed;
    if !verbose && failed == 0 {
        println!("ok    {place} ({} {})", tests.len(), if tests.len() == 1 { "test" } else { "tests" });
    }
    for warning in lint(&file.source) {
        totals.warnings += 1;
        println!("warn  {place}:\n{}", indent(&warning.to_string()));
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}
