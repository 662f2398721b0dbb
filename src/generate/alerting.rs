//! Prometheus alerts on our own failures: one table, from which the rule file and a runbook page for each alert are made.
//! In: the table. Out: files. What an attacker does is no matter of these: that is what SecurityAlerts are for.

mod cluster;
mod collectors;
mod door;
mod pages;
mod pipeline;
mod sources;
mod store;

use std::fmt::Write as _;

pub use pages::pages;

/// Who is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Events or alerts are lost, or will be soon: at once.
    Critical,
    /// Something is worse than it should be: within a working day.
    Warning,
    /// Nobody: it fires while all is well.
    None,
}

impl Urgency {
    pub fn as_str(self) -> &'static str {
        match self {
            Urgency::Critical => "critical",
            Urgency::Warning => "warning",
            Urgency::None => "none",
        }
    }
}

/// One way to look closer.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A command for a shell with kubectl; what is to be filled in stands in capitals.
    Run(&'static str),
    /// An expression for Prometheus.
    Ask(&'static str),
}

/// One alert with its runbook.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// CamelCase; also the name of its page.
    pub name: &'static str,
    /// PromQL.
    pub expr: &'static str,
    /// How long it must hold, as Prometheus writes durations.
    pub hold: &'static str,
    pub urgency: Urgency,
    /// One line; may use labels of the expression as `{{ $labels.… }}`.
    pub summary: &'static str,
    pub meaning: &'static str,
    pub impact: &'static str,
    pub diagnose: &'static [Step],
    pub mend: &'static str,
}

/// A part of the table: its name in the rule file, and its alerts.
pub struct Group {
    pub name: &'static str,
    pub alerts: &'static [Alert],
}

/// All alerts, in the order of the flow.
pub const GROUPS: &[Group] = &[
    Group { name: "kubewitness-sources", alerts: sources::ALERTS },
    Group { name: "kubewitness-collectors", alerts: collectors::ALERTS },
    Group { name: "kubewitness-ingest", alerts: door::ALERTS },
    Group { name: "kubewitness-store", alerts: store::ALERTS },
    Group { name: "kubewitness-pipeline", alerts: pipeline::ALERTS },
    Group { name: "kubewitness-cluster", alerts: cluster::ALERTS },
];

/// A metric that others export, with its labels and where it comes from.
pub struct Foreign {
    pub metric: &'static str,
    pub labels: &'static [&'static str],
    pub of: &'static str,
}

/// All that expressions use beside our own metrics.
pub const FOREIGN: &[Foreign] =
    &[Foreign { metric: "apiserver_audit_error_total", labels: &["plugin"], of: "kube-apiserver" }];

/// Where the pages are shown to people: the repository's home shows Markdown.
pub const RUNBOOKS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks/");

/// The rule file, as Prometheus reads it and as `spec` of a PrometheusRule.
pub fn rule_file() -> String {
    let mut text = String::from("groups:\n");
    for Group { name, alerts } in GROUPS {
        writeln!(text, "- name: {name}\n  rules:").expect("writing to a String does not fail");
        alerts.iter().for_each(|alert| rule(&mut text, alert));
    }
    text
}

fn rule(text: &mut String, alert: &Alert) {
    let Alert { name, expr, hold, urgency, summary, meaning, impact, .. } = alert;
    let urgency = urgency.as_str();
    let (expr, summary, description) = (quoted(expr), quoted(summary), quoted(&format!("{meaning} {impact}")));
    write!(
        text,
        "  - alert: {name}\n    expr: {expr}\n    for: {hold}\n    labels: {{severity: {urgency}}}\n    annotations:\n      \
         summary: {summary}\n      description: {description}\n      \
         runbook_url: {RUNBOOKS}{name}.md\n",
    )
    .expect("writing to a String does not fail");
}

/// As a single-quoted scalar of YAML.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
