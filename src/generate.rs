//! Prints the files that are made from code: CRDs, ClusterRoles, references. `make generate` writes them, a test compares.

mod attack;
mod chapters;
mod detections;
mod examples;
mod fields;
mod lints;
mod rule_language;
mod rule_pages;
mod rule_tests;
mod rules;

use std::{fmt::Write as _, path::Path};

use clap::CommandFactory;
use kube::CustomResourceExt;

use crate::{
    api::{ClusterSecurityRule, LogSource, SecurityAlert, SecurityRule},
    cluster::rbac,
    offline::rule_files::RuleFileError,
};

/// A file of the repository that is made from code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Path from the top of the repository.
    pub path: String,
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error("{path} does not serialise: {source}")]
    Yaml { path: &'static str, source: serde_saphyr::SerializeError },
    #[error("the shipped rules do not read: {0}")]
    Rules(Box<RuleFileError>),
    #[error("the metrics do not register: {0}")]
    Metrics(#[from] prometheus::Error),
}

const YAML_HEADER: &str = "# Made by `make generate` from the code. Do not edit.\n";

fn yaml<T: serde::Serialize>(path: &'static str, object: &T) -> Result<GeneratedFile, GenerateError> {
    // Through a JSON value, so that maps are sorted and the text does not depend on a struct's field order.
    let value = serde_json::to_value(object).expect("Kubernetes objects have string keys and so serialise to JSON");
    let text = serde_saphyr::to_string(&value).map_err(|source| GenerateError::Yaml { path, source })?;
    Ok(GeneratedFile { path: path.to_owned(), text: format!("{YAML_HEADER}{text}") })
}

/// Every generated file. `root` is the top of the repository, whose rules have a page each.
pub fn files(root: &Path) -> Result<Vec<GeneratedFile>, GenerateError> {
    let mut files = vec![
        yaml("crds/kubewitness.io_clustersecurityrules.yaml", &ClusterSecurityRule::crd())?,
        yaml("crds/kubewitness.io_securityrules.yaml", &SecurityRule::crd())?,
        yaml("crds/kubewitness.io_securityalerts.yaml", &SecurityAlert::crd())?,
        yaml("crds/kubewitness.io_logsources.yaml", &LogSource::crd())?,
        yaml("manifests/rbac/controller-clusterrole.yaml", &rbac::controller())?,
        yaml("manifests/rbac/view-clusterrole.yaml", &rbac::view())?,
        yaml("manifests/rbac/triage-clusterrole.yaml", &rbac::triage())?,
        yaml("manifests/rbac/rule-author-clusterrole.yaml", &rbac::rule_author())?,
        GeneratedFile { path: "docs/reference/event-fields.md".into(), text: format!("{MD_HEADER}{}", fields::page()) },
        GeneratedFile {
            path: "docs/reference/rule-language.md".into(),
            text: format!("{MD_HEADER}{}", rule_language::page()),
        },
        GeneratedFile {
            path: "docs/reference/rule-tests.md".into(),
            text: format!("{MD_HEADER}{}", rule_tests::page()),
        },
        GeneratedFile { path: "docs/reference/rules.md".into(), text: format!("{MD_HEADER}{}", rules::page()) },
        GeneratedFile { path: "docs/reference/metrics.md".into(), text: metrics()? },
        GeneratedFile { path: "docs/reference/flags.md".into(), text: flags() },
    ];
    files.extend(rule_pages::pages(root)?);
    Ok(files)
}

const MD_HEADER: &str = "<!-- Made by `make generate` from the code. Do not edit. -->\n";

fn metrics() -> Result<String, GenerateError> {
    let controller = crate::controller::register_metrics()?.registry;
    let (collector, _) = crate::collector::register_metrics()?;
    let mut families = controller.gather();
    families.extend(collector.gather());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    families.dedup_by(|a, b| a.name() == b.name());
    let mut text = format!(
        "{MD_HEADER}# Metrics\n\nServed as Prometheus text at `/metrics` of the admin port; those of `kubewitness \
         collector` begin with `kubewitness_collector_`. Every label has a fixed set of \
         values: never a user, pod, address or message.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
    );
    for family in families {
        let mut labels: Vec<_> =
            family.get_metric().iter().flat_map(|m| m.get_label()).map(|l| l.name().to_owned()).collect();
        labels.sort();
        labels.dedup();
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        writeln!(text, "| `{}` | {kind} | {} | {} |", family.name(), labels.join(", "), family.help())
            .expect("writing to a String does not fail");
    }
    Ok(text)
}

fn flags() -> String {
    let mut text = format!(
        "{MD_HEADER}# Flags\n\nWhere the help names an environment variable, it sets the flag too; the flag wins.\n"
    );
    let mut command = crate::cli::Cli::command().term_width(100);
    command.build();
    for sub in command.get_subcommands_mut() {
        if sub.get_name() == "help" {
            continue;
        }
        let help = sub.render_long_help().to_string();
        let trimmed: Vec<_> = help.lines().map(str::trim_end).collect();
        write!(text, "\n## kubewitness {}\n\n```text\n{}\n```\n", sub.get_name(), trimmed.join("\n").trim())
            .expect("writing to a String does not fail");
    }
    text
}
