//! The alerts, runbooks and dashboard that Prometheus and Grafana are given: they name metrics that exist, promtool accepts them,
//! and each alert fires when it should and not otherwise.

mod cases;

use crate::support::{prometheus_binaries, repository};
use cases::CASES;
use kubewitness::generate::alerting::{Alert, FOREIGN, GROUPS, Step};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

fn alerts() -> impl Iterator<Item = &'static Alert> {
    GROUPS.iter().flat_map(|group| group.alerts)
}

/// Type and labels of each metric, as the reference has them, which a test compares with what a controller exports.
fn reference() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = include_str!("../docs/reference/metrics.md");
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let labels = cells.get(2)?.split(", ").map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        Some((cells[0].trim_end_matches('`').to_owned(), (cells[1].to_owned(), labels.collect())))
    };
    let mut metrics: BTreeMap<_, (_, BTreeSet<String>)> = text.lines().filter_map(row).collect();
    for foreign in FOREIGN {
        let labels = foreign.labels.iter().map(|label| (*label).to_owned()).collect();
        metrics.insert(foreign.metric.to_owned(), ("counter".into(), labels));
    }
    metrics
}

/// What is wrong with the metrics that an expression names: unknown ones, labels that they don't have, rates of gauges.
fn wrong_in(expr: &str, metrics: &BTreeMap<String, (String, BTreeSet<String>)>) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut seen = BTreeSet::new();
    for (at, _) in expr.match_indices("kubewitness_").chain(expr.match_indices("apiserver_audit")) {
        let (before, here) = expr.split_at(at);
        if before.ends_with(is_name) {
            continue;
        }
        let name: String = here.chars().take_while(|c| is_name(*c)).collect();
        let rest = here.split_at(name.len()).1;
        let (metric, parts) = match metrics.get(&name) {
            Some(metric) => (metric, false),
            None => {
                let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
                match base.and_then(|base| metrics.get(base)).filter(|(kind, _)| kind == "histogram") {
                    Some(metric) => (metric, true),
                    None => {
                        wrong.push(format!("no metric {name}"));
                        continue;
                    }
                }
            }
        };
        seen.extend(metric.1.iter().cloned());
        if (before.ends_with("rate(") || before.ends_with("increase(")) != rest_has_range(rest) {
            wrong.push(format!("{name}: a range without a function, or the other way round"));
        }
        if rest_has_range(rest) && metric.0 != "counter" && !parts {
            wrong.push(format!("{name}: a rate of a {}", metric.0));
        }
        for matcher in rest.strip_prefix('{').and_then(|r| r.split_once('}')).map_or("", |(m, _)| m).split(',') {
            let label: String = matcher.chars().take_while(|c| is_name(*c)).collect();
            if !label.is_empty() && !metric.1.contains(&label) {
                wrong.push(format!("{name} has no label {label}"));
            }
        }
    }
    for (at, by) in expr.match_indices(" by (") {
        let labels = expr.split_at(at + by.len()).1.split(')').next().unwrap_or_default();
        for label in labels.split(',').map(str::trim).filter(|label| !["le", "instance"].contains(label)) {
            if !seen.contains(label) {
                wrong.push(format!("grouped by {label}, which no metric of it has"));
            }
        }
    }
    wrong
}

fn rest_has_range(rest: &str) -> bool {
    let rest = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(rest, |(_, rest)| rest);
    rest.starts_with('[')
}

#[test]
fn expressions_name_metrics_that_exist_with_their_labels() {
    let metrics = reference();
    for alert in alerts() {
        assert_eq!(wrong_in(alert.expr, &metrics), [""; 0], "{}", alert.name);
        for step in alert.diagnose {
            if let Step::Ask(query) = step {
                assert_eq!(wrong_in(query, &metrics), [""; 0], "{}: {query}", alert.name);
            }
        }
        for (at, field) in alert.summary.match_indices("$labels.") {
            let label: String =
                alert.summary.split_at(at + field.len()).1.chars().take_while(|c| c.is_alphanumeric()).collect();
            let mut of_ours = metrics.iter().filter(|(name, _)| alert.expr.contains(name.as_str()));
            assert!(
                label == "instance" || of_ours.any(|(_, (_, labels))| labels.contains(&label)),
                "{}: {label}",
                alert.name
            );
        }
    }
    for (expr, complaint) in [
        ("kubewitness_store_byte > 0", "no metric kubewitness_store_byte"),
        ("rate(kubewitness_store_bytes[5m])", "kubewitness_store_bytes: a rate of a gauge"),
        ("kubewitness_cluster_rules{redy=\"false\"}", "kubewitness_cluster_rules has no label redy"),
        ("rate(kubewitness_store_commit_seconds_buckets[5m])", "no metric kubewitness_store_commit_seconds_buckets"),
        ("sum by (kind) (kubewitness_cluster_rules)", "grouped by kind, which no metric of it has"),
    ] {
        assert_eq!(wrong_in(expr, &metrics), [complaint], "{expr}");
    }
}

#[test]
fn every_alert_has_a_name_a_page_and_words() {
    let mut names = BTreeSet::new();
    for Alert { name, summary, meaning, impact, mend, diagnose, .. } in alerts() {
        assert!(names.insert(*name), "{name} twice");
        assert!(name.starts_with("Kubewitness") && name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
        let page = fs::read_to_string(repository(&format!("docs/runbooks/{name}.md"))).unwrap();
        assert!(page.contains(meaning) && page.contains(mend), "{name}");
        assert!(!diagnose.is_empty() && summary.len() > 10 && impact.len() > 5, "{name}");
        for text in [summary, meaning, impact, mend] {
            assert!(!text.contains("  "), "{name}: two spaces in {text:?}");
        }
        for (at, link) in mend.match_indices("](") {
            let target = mend.split_at(at + link.len()).1.split(')').next().unwrap();
            assert!(repository(&format!("docs/runbooks/{target}")).is_file(), "{name} links to {target}");
        }
    }
}

#[test]
fn every_runbook_url_leads_to_a_page_of_the_repository() {
    // What Prometheus is given, by hand and by the chart.
    for path in ["manifests/prometheus/alerts.yaml", "charts/kubewitness/files/alerts.yaml"] {
        let text = fs::read_to_string(repository(path)).unwrap();
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        let mut count = 0;
        for rule in rules {
            let url = rule["annotations"]["runbook_url"].as_str().unwrap();
            let page = url.strip_prefix(concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/"));
            let page = page.unwrap_or_else(|| panic!("{url} is not where the repository is"));
            let wanted = format!("docs/runbooks/{}.md", rule["alert"].as_str().unwrap());
            assert!(page == wanted && repository(page).is_file(), "{url}");
            count += 1;
        }
        assert_eq!(count, alerts().count(), "{path}");
    }
}

#[test]
fn every_metric_is_on_the_dashboard_and_every_query_names_metrics_that_exist() {
    let metrics = reference();
    let text = fs::read_to_string(repository("manifests/prometheus/dashboard.json")).unwrap();
    let exprs = dashboard_queries(&text);
    for (panel, expr) in &exprs {
        assert_eq!(wrong_in(expr, &metrics), [""; 0], "{panel}: {expr}");
    }
    for metric in metrics.keys().filter(|metric| metric.starts_with("kubewitness_")) {
        assert!(exprs.iter().any(|(_, expr)| expr.contains(metric.as_str())), "{metric} is on no panel");
    }
}

/// Title of the panel, and expression.
pub fn dashboard_queries(json: &str) -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(json).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} asks nothing", panel["title"]);
        for target in targets {
            queries.push((panel["title"].as_str().unwrap().into(), target["expr"].as_str().unwrap().into()));
        }
    }
    queries
}

fn promtool(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(prometheus_binaries().unwrap().join("promtool")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
fn promtool_accepts_the_rules() {
    let file = repository("manifests/prometheus/alerts.yaml");
    let (good, said) = promtool(&["check", "rules", &file.display().to_string()]);
    assert!(good && said.contains(&format!("{} rules found", alerts().count())), "{said}");
}

/// A test for `promtool test rules`: whether the alert fires after two hours of these series.
fn rule_test(alert: &str, series: &[(&str, &str)], fires: bool) -> Value {
    let series: Vec<Value> =
        series.iter().map(|(series, values)| json!({"series": series, "values": values})).collect();
    let expr = format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}) or vector(0)");
    let expected = json!([{"labels": "{}", "value": u8::from(fires)}]);
    json!({
        "name": format!("{alert} {}", if fires { "fires" } else { "stays quiet" }), "interval": "1m", "input_series": series,
        "promql_expr_test": [{"expr": expr, "eval_time": "2h", "exp_samples": expected}],
    })
}

fn run(tests: &[Value]) -> (bool, String) {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let rules = repository("manifests/prometheus/alerts.yaml");
    let all = json!({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests});
    fs::write(file.path(), all.to_string()).unwrap();
    promtool(&["test", "rules", &file.path().display().to_string()])
}

#[test]
fn each_alert_fires_when_it_should_and_not_otherwise() {
    let known: Vec<&str> = alerts().map(|alert| alert.name).collect();
    let tried: Vec<&str> = CASES.iter().map(|(alert, ..)| *alert).collect();
    assert_eq!(tried, known, "a case for each alert, in the same order");
    let both =
        CASES.iter().flat_map(|(alert, fires, quiet)| [rule_test(alert, fires, true), rule_test(alert, quiet, false)]);
    let (good, said) = run(&both.collect::<Vec<_>>());
    assert!(good, "{said}");
    let (alert, fires, _) = CASES[0];
    let (good, said) = run(&[rule_test(alert, fires, false)]);
    assert!(!good && said.contains("FAILED"), "a wrong expectation must fail: {said}");
}
