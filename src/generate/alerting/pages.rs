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
         names in capitals are to be filled in from the alert's labels.\n\n| alert | severity | what it says |\n|---|---|---|\n",
    );
    for Alert { name, urgency, meaning, .. } in alerts() {
        let first = meaning.split_inclusive(". ").next().unwrap_or(meaning).trim_end();
        writeln!(table, "| [{name}]({name}.md) | {} | {first} |", urgency.as_str())
            .expect("writing to a String does not fail");
    }
    pages.push(("README.md".to_owned(), table));
    pages
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
            Step::Run(command) => write!(text, "```sh\n{command}\n```\n\n"),
            Step::Ask(query) => write!(text, "```promql\n{query}\n```\n\n"),
        }
        .expect("writing to a String does not fail");
    }
    write!(text, "## Mend\n\n{mend}\n").expect("writing to a String does not fail");
    text
}
