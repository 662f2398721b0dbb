//! Metrics as an operator of Prometheus meets them: scraped, accepted by promtool, bounded, there before they count.

mod alerting;

use super::seen::{self, event, event_list, post, post_to};
use crate::support::{AUDIT_PATH, ClusterOptions, Process, WatchedCluster, free_port, prometheus_binaries, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// Series of one metric that an operator need not think about.
const MAX_SERIES: usize = 20;

/// A sample's name and its labels, in order.
type Series = (String, BTreeMap<String, String>);

/// Reads the text format. Our label values need no escapes, so one is a failure.
fn samples(exposition: &str) -> BTreeMap<Series, f64> {
    let mut samples = BTreeMap::new();
    for line in exposition.lines().filter(|line| !line.starts_with('#')) {
        assert!(!line.contains('\\'), "an escape: {line}");
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.strip_suffix('}').and_then(|s| s.split_once('{')).unwrap_or((series, ""));
        let pair = |pair: &str| {
            let (label, value) = pair.split_once('=').unwrap();
            (label.to_owned(), value.trim_matches('"').to_owned())
        };
        let labels = labels.split(',').filter(|pair| !pair.is_empty()).map(pair).collect();
        let before = samples.insert((name.to_owned(), labels), value.parse().unwrap());
        assert_eq!(before, None, "twice: {line}");
    }
    samples
}

/// The metric that a sample belongs to: a histogram has three kinds of them.
fn metric_of<'a>(sample: &'a str, types: &BTreeMap<&str, &str>) -> &'a str {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| sample.strip_suffix(suffix));
    base.filter(|base| types.get(base) == Some(&"histogram")).unwrap_or(sample)
}

/// `# HELP NAME rest` or `# TYPE NAME rest` as a map.
fn comments<'a>(exposition: &'a str, keyword: &str) -> BTreeMap<&'a str, &'a str> {
    let prefix = format!("# {keyword} ");
    exposition.lines().filter_map(|line| line.strip_prefix(prefix.as_str())?.split_once(' ')).collect()
}

fn exposition(watched: &WatchedCluster) -> String {
    let (code, text) = watched.admin("/metrics").unwrap();
    assert_eq!(code, 200);
    text
}

/// What `promtool check metrics` says; it accepts in silence.
fn promtool_says(exposition: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), exposition).unwrap();
    let promtool = prometheus_binaries().unwrap().join("promtool");
    let output = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::from(std::fs::File::open(file.path()).unwrap()))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

/// What a job scrapes, or who is told of alerts: a port of this machine.
fn targets(port: u16) -> Value {
    json!([{"targets": [format!("127.0.0.1:{port}")]}])
}

/// A Prometheus that looks each second and ends with the cluster; its port. It scrapes the controller and what `config` adds.
fn start_prometheus(watched: &mut WatchedCluster, mut config: Value) -> (Process, u16) {
    let dir = watched.dir().join("prometheus");
    std::fs::create_dir(&dir).unwrap();
    config["global"] = json!({"scrape_interval": "1s", "evaluation_interval": "1s"});
    let controller = json!({"job_name": "controller", "static_configs": targets(watched.admin_port())});
    config["scrape_configs"].as_array_mut().unwrap().push(controller);
    std::fs::write(dir.join("prometheus.yml"), config.to_string()).unwrap();
    let port = free_port().unwrap();
    let arguments = [
        format!("--config.file={}", dir.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", dir.join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let program = prometheus_binaries().unwrap().join("prometheus");
    (watched.spawn("prometheus", &program, &arguments).unwrap(), port)
}

/// The values of an instant query; empty until Prometheus has an answer.
fn query(port: u16, expression: &str) -> Vec<f64> {
    let Ok(answer) = seen::get(port, &format!("/api/v1/query?query={expression}")) else { return Vec::new() };
    let Ok(answer) = serde_json::from_str::<Value>(&answer.body) else { return Vec::new() };
    let results = answer.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
    results.iter().filter_map(|result| result.pointer("/value/1")?.as_str()?.parse().ok()).collect()
}

#[test]
fn prometheus_scrapes_the_controller_and_promtool_accepts_what_it_gets() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    assert_eq!(promtool_says(&exposition(&watched)), "", "before anything happened");
    let (prometheus, port) = start_prometheus(&mut watched, json!({"scrape_configs": []}));
    let answers = |what: &str, expression: &str, good: &dyn Fn(f64) -> bool| {
        let asked = wait_until(what, SOON, || query(port, expression).first().copied().filter(|value| good(*value)));
        asked.unwrap_or_else(|error| panic!("{error}; Prometheus said:\n{}", prometheus.log_tail()))
    };
    answers("the controller is up", "up", &|value| value == 1.0);
    let received = "kubewitness_ingest_events_received_total";
    let before = answers("events of the API server's own start", received, &|value| value > 0.0);
    for name in ["shop", "billing"] {
        watched.kubectl().run(&["create", "namespace", name]).success().unwrap();
    }
    answers("the counter of events goes up", received, &|value| value > before);
    answers("records by rate", "rate(kubewitness_store_records_stored_total[30s])", &|value| value > 0.0);
    let quantile = "histogram_quantile(0.99,rate(kubewitness_store_commit_seconds_bucket[30s]))";
    answers("a quantile of commits", quantile, &|value| value > 0.0 && value < 10.0);
    answers("requests by their code", "kubewitness_ingest_requests_total%7Bcode=%22200%22%7D", &|value| value > 0.0);
    assert_eq!(promtool_says(&exposition(&watched)), "", "after traffic");
    // promtool does complain when there is something to complain of.
    assert!(promtool_says("# TYPE kubewitness_things counter\nkubewitness_things 1\n").contains("kubewitness_things"));
}

/// Users, namespaces, addresses, user agents, names and messages of `traffic`: none of them may become a label.
const STRANGERS: [&str; 14] = [
    "alice",
    "mallory",
    "shop",
    "billing",
    "web-7f9c",
    "198.51.100.",
    "2001:db8::",
    "sqlmap/1.7",
    "curl/8.5.0",
    "Scanner",
    "pods-touched",
    "rule-that-does-not-compile",
    "no such field",
    "{key.actor} touched",
];

fn rule(name: &str, where_: &str) -> String {
    let rule = json!({
        "apiVersion": "kubewitness.io/v1alpha1", "kind": "ClusterSecurityRule", "metadata": {"name": name},
        "spec": {
            "title": name, "severity": "High",
            "selectors": [{"name": "touched", "source": "Audit", "where": where_}],
            "groupBy": [{"name": "actor", "value": "user.name"}, {"name": "address", "value": "source.ip"}],
            "alert": {"summary": "{key.actor} touched {audit.objectRef.name} from {key.address}"},
        },
    });
    rule.to_string()
}

/// All that can name a stranger: users, namespaces, addresses, agents, names, rules, what is refused and what is broken.
fn traffic(watched: &WatchedCluster) {
    watched.apply(&rule("pods-touched", "audit.objectRef.resource == \"pods\"")).unwrap();
    watched.apply(&rule("rule-that-does-not-compile", "audit.noSuchField == \"x\"")).unwrap();
    assert_eq!(watched.judged("clustersecurityrule", "", "pods-touched").unwrap()["status"], "True");
    assert_eq!(watched.judged("clustersecurityrule", "", "rule-that-does-not-compile").unwrap()["status"], "False");
    let admin = watched.kubectl();
    for namespace in ["shop", "billing"] {
        admin.run(&["create", "namespace", namespace]).success().unwrap();
        for user in ["alice", "mallory"] {
            let user = admin.with_kubeconfig(&watched.client_certificate(user, &["team"]).unwrap());
            assert!(!user.run(&["get", "pods", "-n", namespace]).ok, "no rights");
        }
    }
    let stranger = |n: usize| {
        let agent = ["sqlmap/1.7", "curl/8.5.0", "Scanner\u{7f}\"}\\"][n % 3];
        let address = if n.is_multiple_of(2) { format!("198.51.100.{n}") } else { format!("2001:db8::{n}") };
        let more = json!({
            "user": {"username": format!("alice-{n}")}, "userAgent": format!("{agent} {n}"), "sourceIPs": [address],
            "verb": format!("verb{n}"), "annotations": {format!("note-{n}"): "no such field"},
            "objectRef": {"resource": "pods", "namespace": "shop", "name": format!("web-7f9c{n}"), "apiVersion": "v1"},
            "responseStatus": {"code": 400 + n, "reason": format!("Reason{n}"), "message": format!("no such field {n}")},
        });
        event(&format!("stranger-{n}"), more)
    };
    let events: Vec<Value> = (0..40).map(stranger).collect();
    for _ in 0..2 {
        assert_eq!(post(watched, &event_list(&events)).code, 200, "the second time they are duplicates");
    }
    assert_eq!(post(watched, &event_list(&[json!({"mallory": 1}), json!("mallory")])).code, 200, "quarantined");
    let large = json!({"requestObject": {"text": "mallory ".repeat(200_000)}});
    assert_eq!(post(watched, &event_list(&[event("large", large)])).code, 200);
    for (path, token, body, code) in [
        (AUDIT_PATH, Some("mallory"), "{}", 401),
        (AUDIT_PATH, None, "{}", 401),
        ("/audit/mallory/cp-1", Some(watched.ingest().2), "{}", 403),
        ("/mallory", Some(watched.ingest().2), "{}", 404),
        (AUDIT_PATH, Some(watched.ingest().2), "mallory", 400),
    ] {
        let answer = post_to(watched, path, token, body.as_bytes()).unwrap();
        assert_eq!(answer.code, code, "{path}: {answer:?}");
    }
    wait_until("an alert for every address", SOON, || {
        (watched.alerts_of("pods-touched").ok()?.len() >= 40).then_some(())
    })
    .unwrap();
}

#[test]
fn labels_are_a_fixed_set_whoever_sends_whatever() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let fresh = kubewitness::controller::register_metrics().unwrap();
    // The one credential of the test bed.
    fresh.ingest.expect_apiserver("testbed", "apiserver-1");
    let fresh = fresh.registry.gather();
    let fresh = samples(&prometheus::TextEncoder::new().encode_to_string(&fresh).unwrap());
    let before = samples(&exposition(&watched));
    traffic(&watched);
    let text = exposition(&watched);
    let after = samples(&text);
    assert!(after.values().filter(|value| **value > 0.0).count() > 20, "the traffic is counted:\n{text}");

    let series = |samples: &BTreeMap<Series, f64>| samples.keys().cloned().collect::<BTreeSet<Series>>();
    let added = |from: &_, to: &_| series(to).difference(&series(from)).cloned().collect::<Vec<_>>();
    assert_eq!(added(&fresh, &after), [], "series that traffic made");
    assert_eq!(added(&after, &fresh), [], "series that went away");
    assert_eq!(added(&before, &after), [], "series that were not there before they counted");

    let types = comments(&text, "TYPE");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, labels) in after.keys().filter(|(name, _)| !name.ends_with("_bucket")) {
        *counts.entry(metric_of(name, &types)).or_default() += 1;
        for (label, value) in labels {
            let word = value.chars().all(|c| c.is_ascii_alphanumeric());
            // Programs come from a list of ours, and are named as they name themselves.
            let named = label == "cluster" || label == "apiserver"; // by the credentials
            assert!(
                word || named || label == "version" || label == "program",
                "{name}: {label}={value:?} is no word of ours"
            );
            for stranger in STRANGERS {
                assert!(!value.contains(stranger), "{name}: {label}={value:?} comes from outside");
            }
        }
    }
    for (metric, count) in counts {
        // One for each program that we know.
        let most = if metric == "kubewitness_pipeline_lines_unrecognised_total" { 48 } else { MAX_SERIES };
        assert!(count <= most, "{metric} has {count} series");
    }
}

#[test]
fn every_metric_has_help_a_type_and_a_place_in_the_reference() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let text = exposition(&watched);
    let (help, types) = (comments(&text, "HELP"), comments(&text, "TYPE"));
    let samples = samples(&text);
    let reference = include_str!("../../docs/reference/metrics.md");
    let mut documented = BTreeMap::new();
    for row in reference.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        // Those of the collector, a process of its own, are held by tests of it.
        if cells[0].starts_with("kubewitness_collector_") {
            continue;
        }
        let labels: BTreeSet<&str> = cells[2].split(", ").map(str::trim).filter(|label| !label.is_empty()).collect();
        documented.insert(cells[0].trim_end_matches('`'), (cells[1], labels, cells[3]));
    }
    assert_eq!(documented.keys().collect::<Vec<_>>(), types.keys().collect::<Vec<_>>());
    for (metric, (kind, labels, meaning)) in documented {
        assert_eq!(types.get(metric), Some(&kind), "{metric}");
        assert_eq!(help.get(metric), Some(&meaning), "{metric}");
        assert!(meaning.len() > 10, "{metric}: {meaning}");
        let of_metric = samples.keys().filter(|(name, _)| metric_of(name, &types) == metric);
        let found: BTreeSet<&str> = of_metric
            .flat_map(|(_, labels)| labels.keys())
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect();
        assert_eq!(found, labels, "{metric}");
    }
    for ((name, labels), value) in samples.iter().filter(|((name, _), _)| name.ends_with("errors_total")) {
        assert_eq!(*value, 0.0, "{name} {labels:?} counts errors that did not happen");
    }
}
