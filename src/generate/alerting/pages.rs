//! A runbook page for each alert, and a table of all of them.

use std::fmt::Write as _;

use super::{Alert, GROUPS, Step};

/// `(name of the file, text)`, without a header.
pub fn pages() -> Vec<(String, String)> {
    let alerts = || GROUPS.iter().flat_map(|group| group.alerts);
    let mut pages: Vec<_> = alerts().map(|alert| (format!("{}.md", alert.name), page(alert))).collect();
    let mut table = String::from(
        "# Runbooks\n\nOne page for each alert of [alerts.yaml](../../manifests/prometheus/alerts.yaml). `critical`: events or alerts \
         are lost, or will be soon. `warning`: within a working day. Commands are for an install by the chart; `POD` and other \
         names in capitals are to be filled in from the alert's labels. Tests run every command, and ask a real Prometheus every \
         expression, but for those that say otherwise.\n\n| alert | severity | what it says |\n|---|---|---|\n",
    );
    for Alert { name, urgency, meaning, .. } in alerts() {
        let first = meaning.split_inclusive(". ").next().unwrap_or(meaning).trim_end();
        writeln!(table, "| [{name}]({name}.md) | {} | {first} |", urgency.as_str())
            .expect("writing to a String does not fail");
    }
    pages.push(("README.md".to_owned(), table));
    pages
}

/// What stands below a command that no test can run, or that is no use to everybody.
fn remark(command: &str) -> &'static str {
    match command {
        _ if command.starts_with("kubectl top ") => "No test runs this: it needs metrics-server.\n\n",
        _ if command.contains(" --previous") => "That one fails while no container of the pod has ended.\n\n",
        _ if command.contains("kube-apiserver-NODE") => {
            "No test runs this: the API server of the tests runs in no pod.\n\n"
        }
        _ => "",
    }
}

fn page(alert: &Alert) -> String {
    let Alert { name, expr, hold, urgency, meaning, impact, diagnose, mend, .. } = alert;
    let mut text = format!(
        "# {name}\n\nSeverity `{}`, after {hold} of\n\n```promql\n{expr}\n```\n\n## What it means\n\n{meaning}\n\n## Impact\n\n{impact}\n\n\
         ## Diagnose\n\n",
        urgency.as_str()
    );
    for step in *diagnose {
        match step {
            Step::Run(command) => write!(text, "```sh\n{command}\n```\n\n{}", remark(command)),
            Step::Ask(query) => write!(text, "```promql\n{query}\n```\n\n"),
        }
        .expect("writing to a String does not fail");
    }
    write!(text, "## Mend\n\n{mend}\n").expect("writing to a String does not fail");
    text
}
