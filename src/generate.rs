//! Prints the files that are made from code: CRDs, roles, references. `make generate` writes them, a test compares.

pub mod alerting;
mod attack;
mod chapters;
mod chart;
mod chart_readme;
mod dashboard;
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
use prometheus::proto::MetricFamily;

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
    #[error("{path} can't be read: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}:{line}: {message}")]
    Values { path: String, line: usize, message: String },
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
        yaml("manifests/rbac/controller-role.yaml", &rbac::controller_namespace())?,
        yaml("manifests/rbac/controller-collectors-role.yaml", &rbac::collectors_namespace())?,
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
    files.extend(chart::files(root, &files)?);
    files.extend(watching()?);
    Ok(files)
}

/// What people watch us by, for a Prometheus of their own and for the chart.
fn watching() -> Result<Vec<GeneratedFile>, GenerateError> {
    let alerts = format!("{YAML_HEADER}{}", alerting::rule_file());
    let dashboard = dashboard::dashboard(&metric_families()?);
    let mut files = Vec::new();
    for directory in ["manifests/prometheus", "charts/kubewitness/files"] {
        files.push(GeneratedFile { path: format!("{directory}/alerts.yaml"), text: alerts.clone() });
        files.push(GeneratedFile { path: format!("{directory}/dashboard.json"), text: dashboard.clone() });
    }
    let pages = alerting::pages().into_iter();
    files.extend(pages.map(|(name, text)| GeneratedFile {
        path: format!("docs/runbooks/{name}"),
        text: format!("{MD_HEADER}{text}"),
    }));
    Ok(files)
}

const MD_HEADER: &str = "<!-- Made by `make generate` from the code. Do not edit. -->\n";

/// Every metric of controller and collector once, sorted by name, with all labels that it can have.
fn metric_families() -> Result<Vec<MetricFamily>, GenerateError> {
    let controller = crate::controller::register_metrics()?;
    controller.ingest.expect_apiserver("CLUSTER", "APISERVER");
    let (collector, _) = crate::collector::register_metrics()?;
    let mut families = controller.registry.gather();
    families.extend(collector.gather());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    families.dedup_by(|a, b| a.name() == b.name());
    Ok(families)
}

fn metrics() -> Result<String, GenerateError> {
    let families = metric_families()?;
    let mut text = format!(
        "{MD_HEADER}# Metrics\n\nServed as Prometheus text at `/metrics` of the admin port; those of `kubewitness \
         collector` begin with `kubewitness_collector_`. Every label has a fixed set of \
         values, but for `cluster` and `apiserver`, which are those of the credentials: never a user, pod, address or message.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
    );
    for family in families {
        let labels = dashboard::labels(&family);
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
