//! `kubewitness test`: compiles rules and runs the tests that they carry.

mod junit;
mod report;

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;

use self::report::{Covered, Refused, Report, RuleReport, TestReport};
use super::{
    input::ended,
    rule_files::{self, RuleFile},
};
use crate::{
    api::Reason,
    pipeline::{rule_test, trial},
    record::RuleId,
    ruleset::{compile::compile, lint::lint},
};

/// Compiles every rule in FILE or below DIR and runs its `spec.tests`.
///
/// It shows what no test exercises: a selector that takes no event, a step of a Sequence that too few events come of.
///
/// It warns of what a rule may do and its author hardly meant: a selector that can't match, a negation over a key that may be
/// missing, a field that is never set. The rule language's reference lists the warnings.
///
/// Exit code 0: all compile and pass; 1: a rule is refused or a test fails; 2: a file can't be read, or holds what the API
/// server would refuse.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Files, or directories with *.yaml and *.yml files.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Name each test, not only those that fail, and which tests exercise what.
    #[arg(short, long)]
    pub verbose: bool,
    /// Exit with 1 when there is a warning, too.
    #[arg(long)]
    pub deny_warnings: bool,
    /// text: for people; json: one object; junit: XML for CI, a suite a rule.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Text,
    Json,
    Junit,
}

pub fn main(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut report = Report::default();
    let mut names: HashMap<RuleId, PathBuf> = HashMap::new();
    let mut read: HashSet<PathBuf> = HashSet::new();
    for path in &args.paths {
        let (mut rules, errors) = rule_files::read(path);
        report.unreadable.extend(errors.iter().map(ToString::to_string));
        // A file that two paths lead to holds no rule twice.
        let real = |file: &RuleFile| fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
        rules.retain(|file| !read.contains(&real(file)));
        read.extend(rules.iter().map(real));
        for file in &rules {
            let other = names.insert(file.source.id.clone(), file.path.clone());
            report.rules.push(other.map_or_else(|| run(file), |other| twin(file, &other)));
        }
    }
    let written = match args.output {
        Output::Text => report.write_text(args.verbose, &mut out),
        Output::Json => serde_json::to_writer(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out)),
        Output::Junit => junit::write(&report, args.deny_warnings, &mut out),
    };
    ended(written.and_then(|()| out.flush())).context("writing the report")?;
    let totals = report.totals();
    let denied = if args.deny_warnings { totals.warnings } else { 0 };
    Ok(match (report.unreadable.len(), totals.failed + totals.refused + denied) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(1),
        _ => ExitCode::from(2),
    })
}

/// A rule whose name another has: in a cluster one would take the other's place.
fn twin(file: &RuleFile, other: &Path) -> RuleReport {
    let mut report = RuleReport::new(file.path.display().to_string(), file.source.id.to_string());
    let message = format!("a rule of this name is in {} too, and names must be unique: rename one", other.display());
    report.refused = Some(Refused { reason: Reason::InvalidRule.as_str(), message });
    report
}

fn run(file: &RuleFile) -> RuleReport {
    let mut report = RuleReport::new(file.path.display().to_string(), file.source.id.to_string());
    let rule = match compile(&file.source) {
        Ok(rule) => Arc::new(rule),
        Err(error) => {
            report.refused = Some(Refused { reason: error.reason().as_str(), message: error.to_string() });
            return report;
        }
    };
    let parts = trial::parts(&rule);
    report.parts = parts.iter().map(Covered::of).collect();
    let mut cost = trial::Cost::default();
    for test in &file.source.spec.tests {
        let (outcome, exercised) = rule_test::run_within(&rule, test, &mut cost);
        for (part, covered) in parts.iter().zip(&mut report.parts) {
            if exercised.includes(part) {
                covered.tests.push(test.name.clone());
            }
        }
        let difference = outcome.err().map(|difference| difference.to_string());
        report.tests.push(TestReport { name: test.name.clone(), difference });
    }
    report.warnings = lint(&file.source).iter().map(ToString::to_string).collect();
    report
}
