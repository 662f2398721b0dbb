//! A page for each rule in `manifests/rules`, and a table of what they cover of ATT&CK. In: the rule files below the top of the
//! repository. Out: Markdown for `docs/rules`. All of it stands in the rules themselves; a page only orders it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{GenerateError, GeneratedFile, MD_HEADER, attack};
use crate::{
    api::{
        RuleSpec,
        rule::{Detection, DetectionType, Selector, Severity},
    },
    offline::rule_files,
};

const RULES: &str = "manifests/rules";
/// How the paragraph of a description begins that tells what to do.
const TRIAGE: &str = "Check first:";

/// A rule as its page sees it.
struct Rule {
    name: String,
    /// Path of its file from the top of the repository.
    file: String,
    spec: RuleSpec,
}

impl Rule {
    fn directory(&self) -> &str {
        self.file.rsplit('/').nth(1).unwrap_or_default()
    }
}

/// The pages of all rules, and `README.md` over them.
pub fn pages(root: &Path) -> Result<Vec<GeneratedFile>, GenerateError> {
    let rules = read(root)?;
    let mut files = vec![GeneratedFile { path: "docs/rules/README.md".into(), text: overview(&rules) }];
    files.extend(
        rules.iter().map(|rule| GeneratedFile { path: format!("docs/rules/{}.md", rule.name), text: page(rule) }),
    );
    Ok(files)
}

fn read(root: &Path) -> Result<Vec<Rule>, GenerateError> {
    let (files, errors) = rule_files::read(&root.join(RULES));
    if let Some(error) = errors.into_iter().next() {
        return Err(GenerateError::Rules(Box::new(error)));
    }
    let shown = |path: PathBuf| path.strip_prefix(root).unwrap_or(&path).display().to_string();
    Ok(files
        .into_iter()
        .map(|file| Rule { name: file.source.id.name.to_string(), file: shown(file.path), spec: file.source.spec })
        .collect())
}

fn page(rule: &Rule) -> String {
    let Rule { name, file, spec } = rule;
    let (what, triage) = parts(spec.description.trim());
    let mut text = format!("{MD_HEADER}# {}\n\n", spec.title);
    put(&mut text, format_args!("`{name}` · {} · {}\n", spec.severity, spec.detection.type_.as_str()));
    put(&mut text, format_args!("\n## What it finds\n\n{}\n", what));
    put(&mut text, format_args!("\n## How to triage\n\n{}\n", triage));
    text.push_str("\n## ATT&CK\n\n");
    for id in &spec.attack {
        put(&mut text, format_args!("- {}\n", attack::link(id)));
    }
    text.push_str("\n## What makes false alarms\n\n");
    for reason in &spec.false_positives {
        put(&mut text, format_args!("- {reason}\n"));
    }
    text.push_str(&exception(rule));
    text.push_str(&decision(spec));
    text.push_str("\n## What it is tested with\n\n| input | alerts |\n|---|---|\n");
    for test in &spec.tests {
        let outcome = match test.expect.len() {
            0 => "none".to_owned(),
            count => count.to_string(),
        };
        put(&mut text, format_args!("| {} | {outcome} |\n", cell(&test.name)));
    }
    put(&mut text, format_args!("\nThe rule: [{file}](../../{file})\n"));
    text
}

/// What a description says of the finding, and the rest of its paragraph from "Check first:" on.
fn parts(description: &str) -> (String, String) {
    let Some((before, rest)) = description.split_once(TRIAGE) else {
        return (description.to_owned(), String::new());
    };
    let (triage, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let what: Vec<&str> = [before.trim(), after.trim()].into_iter().filter(|part| !part.is_empty()).collect();
    (what.join("\n\n"), format!("{TRIAGE}{triage}"))
}

fn exception(rule: &Rule) -> String {
    let spec = &rule.spec;
    let term = spec
        .group_by
        .iter()
        .filter_map(|key| key.value.as_deref())
        .find(|value| !value.contains('\n') && !value.contains("variables."))
        .map_or_else(|| "user.name == \"NAME\"".to_owned(), |value| format!("{value} == \"VALUE\""));
    let selector = spec.selectors.first().map(|selector| selector.name.as_str()).unwrap_or_default();
    format!(
        "\n## How to except\n\nAdd a term to `where` of the selector `{selector}`. Name what may do so exactly; a prefix can be \
         taken by others. Where `||` stands outside of \
         brackets, put these around the whole first, or the term holds for its last part alone. Then run `kubewitness test` on the \
         file.\n\n```yaml\n      && !({term})\n```\n\nTo count without alerts, \
         set `spec.mode: DryRun`; to stop the rule, `spec.suspend: true`.\n"
    )
}

fn decision(spec: &RuleSpec) -> String {
    let mut text = "\n## How it decides\n".to_owned();
    for variable in &spec.variables {
        put(
            &mut text,
            format_args!("\n`variables.{}`\n\n```cel\n{}\n```\n", variable.name, variable.expression.trim()),
        );
    }
    for Selector { name, source, where_, .. } in &spec.selectors {
        let source = source.as_str();
        put(&mut text, format_args!("\nEvents `{name}`, of source {source}\n\n```cel\n{}\n```\n", where_.trim()));
    }
    put(&mut text, format_args!("\n{}\n", combined(&spec.detection)));
    let keys: Vec<String> = spec.group_by.iter().map(|key| format!("`{}`", key.name)).collect();
    put(&mut text, format_args!("One alert for each {}.\n", keys.join(" and ")));
    text
}

/// How the events make a finding, in one sentence.
fn combined(detection: &Detection) -> String {
    if let Some(threshold) = &detection.threshold {
        let what = match &threshold.distinct {
            Some(value) => format!("{} different values of `{}`", threshold.count, value.trim()),
            None => format!("{} events", threshold.count),
        };
        return format!("A finding takes {what} within {}.", threshold.within);
    }
    if let Some(sequence) = &detection.sequence {
        let steps: Vec<String> =
            sequence.steps.iter().map(|step| format!("{} × `{}`", step.count, step.selector)).collect();
        let order = if sequence.ordered { "in this order" } else { "in any order" };
        return format!("A finding takes {}, {order}, within {}.", steps.join(", "), sequence.within);
    }
    if let Some(absence) = &detection.absence {
        return match &absence.after {
            Some(after) => {
                format!("A finding is that `{}` stays away for {} after `{after}`.", absence.selector, absence.within)
            }
            None => format!("A finding is that `{}` stays away for {}.", absence.selector, absence.within),
        };
    }
    if let Some(new) = &detection.new_value {
        return format!(
            "A finding is a value of `{}` that the key has not shown before, after {} of learning; a value is forgotten after {}.",
            new.value.trim(),
            new.learn_for,
            new.forget_after
        );
    }
    "Each event is a finding.".to_owned()
}

fn overview(rules: &[Rule]) -> String {
    let mut text = format!(
        "{MD_HEADER}# The shipped rules\n\n{} rules, each with a page on what it finds, how to triage it, what makes false \
         alarms and how to except those.\n",
        rules.len()
    );
    for (directory, title) in
        [("audit", "On Kubernetes audit events"), ("node", "On the logs of nodes"), ("joint", "On both, joined")]
    {
        let mut chosen: Vec<&Rule> = rules.iter().filter(|rule| rule.directory() == directory).collect();
        chosen.sort_by_key(|rule| (std::cmp::Reverse(rule.spec.severity), rule.name.as_str()));
        put(
            &mut text,
            format_args!("\n## {title}: {}\n\n| rule | severity | type | finds |\n|---|---|---|---|\n", chosen.len()),
        );
        for Rule { name, spec, .. } in chosen {
            let kind = spec.detection.type_.as_str();
            put(
                &mut text,
                format_args!("| [{name}]({name}.md) | {} | {kind} | {} |\n", spec.severity, cell(&spec.title)),
            );
        }
    }
    put(&mut text, format_args!("\n{}", types(rules)));
    text.push_str(&coverage(rules));
    text
}

fn types(rules: &[Rule]) -> String {
    let count = |kind: DetectionType| rules.iter().filter(|rule| rule.spec.detection.type_ == kind).count();
    let kinds = [
        DetectionType::Match,
        DetectionType::Threshold,
        DetectionType::Sequence,
        DetectionType::Absence,
        DetectionType::NewValue,
    ];
    let by_kind: Vec<String> = kinds.iter().map(|kind| format!("{} {}", count(*kind), kind.as_str())).collect();
    let above = rules.iter().filter(|rule| rule.spec.severity > Severity::Low).count();
    format!("By detection type: {}. {above} rules are rated above Low.\n", by_kind.join(", "))
}

/// ATT&CK for containers against the rules, and the techniques of rules that are not in that matrix.
fn coverage(rules: &[Rule]) -> String {
    let mut text = "\n## Coverage of ATT&CK for containers\n\nThe matrix of version 17. A rule counts for a technique when it names \
                    it or one of its sub-techniques. What has no rule needs sources that these rules do not read: the image \
                    registry, the network, processes in containers.\n\n| tactic | technique | rules |\n|---|---|---|\n"
        .to_owned();
    for (tactic, techniques) in attack::CONTAINERS {
        for technique in *techniques {
            put(&mut text, format_args!("| {tactic} | {} | {} |\n", attack::link(technique), having(rules, technique)));
        }
    }
    let in_matrix = |id: &str| {
        attack::CONTAINERS.iter().flat_map(|(_, list)| *list).any(|technique| attack::is_within(id, technique))
    };
    let beyond: BTreeSet<&str> =
        rules.iter().flat_map(|rule| &rule.spec.attack).map(String::as_str).filter(|id| !in_matrix(id)).collect();
    text.push_str("\nBeyond that matrix, of ATT&CK for enterprise:\n\n| technique | rules |\n|---|---|\n");
    for id in beyond {
        put(&mut text, format_args!("| {} | {} |\n", attack::link(id), having(rules, id)));
    }
    text
}

fn having(rules: &[Rule], technique: &str) -> String {
    let links: Vec<String> = rules
        .iter()
        .filter(|rule| rule.spec.attack.iter().any(|id| attack::is_within(id, technique)))
        .map(|rule| format!("[{0}]({0}.md)", rule.name))
        .collect();
    if links.is_empty() { "none".to_owned() } else { links.join(", ") }
}

/// Text that stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A misspelt id would be a link to nothing.
    #[test]
    fn each_technique_that_a_rule_names_has_a_name() {
        let rules = read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let unknown: Vec<_> = rules
            .iter()
            .flat_map(|rule| rule.spec.attack.iter().map(|id| (rule.name.as_str(), id.as_str())))
            .filter(|(_, id)| attack::name(id).is_none())
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn a_page_has_every_section_with_something_in_it() {
        for file in pages(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().iter().skip(1) {
            let sections: Vec<&str> = file.text.split("\n## ").skip(1).collect();
            assert_eq!(sections.len(), 7, "{}", file.path);
            for section in sections {
                assert!(
                    section.split_once("\n\n").is_some_and(|(_, body)| body.trim().len() > 5),
                    "{}: {section}",
                    file.path
                );
            }
        }
    }

    #[test]
    fn a_directory_without_rules_is_an_error_that_names_it() {
        let empty = tempfile::tempdir().unwrap();
        let error = pages(empty.path()).unwrap_err().to_string();
        assert!(error.contains("manifests/rules"), "{error}");
    }
}
