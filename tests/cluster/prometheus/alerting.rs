//! Our rules, runbooks and dashboard on a real Prometheus that scrapes a real controller and collector, and a real Alertmanager that
//! is told.

use super::super::collectors::{ACCOUNT, log_source, node, pod, pod_token, prepare};
use super::{SOON, event_list, exposition, post, promtool_says, query, seen, start_prometheus, targets};
use crate::docs::page::blocks;
use crate::prometheus_rules::dashboard_queries;
use crate::support::{
    ClusterOptions, NAMESPACE, Process, WatchedCluster, free_port, kubewitness, prometheus_binaries, repository,
    wait_until,
};
use base64::prelude::{BASE64_STANDARD, Engine};
use kubewitness::generate::alerting::{GROUPS, RUNBOOKS, Step};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Two scrapes and an evaluation on a machine that builds beside.
const SCRAPED: Duration = Duration::from_secs(90);

/// A controller with a collector, watched by Prometheus, which tells Alertmanager.
struct Watch {
    prometheus: Process,
    prometheus_port: u16,
    alertmanager: Process,
    alertmanager_port: u16,
    collector_admin: u16,
    watched: WatchedCluster,
}

impl Watch {
    fn start() -> Watch {
        let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
        let collector_admin = start_collector(&mut watched);
        let (alertmanager, alertmanager_port) = start_alertmanager(&mut watched);
        let (prometheus, prometheus_port) =
            start_prometheus(&mut watched, watching(collector_admin, alertmanager_port));
        Watch { prometheus, prometheus_port, alertmanager, alertmanager_port, collector_admin, watched }
    }

    /// The answer's `data`; `Err` is what Prometheus says of the expression.
    fn ask(&self, expression: &str) -> Result<Vec<Value>, String> {
        let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let answer = seen::get(self.prometheus_port, &format!("/api/v1/query?query={expression}"));
        let answer = answer.map_err(|error| error.to_string())?.body;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    fn waits<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        wait_until(what, SCRAPED, ask)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.prometheus.log_tail(), self.alertmanager.log_tail()))
    }

    /// Names of the alerts that fire.
    fn firing(&self) -> Vec<String> {
        let firing = self.ask("ALERTS{alertstate=\"firing\"}").unwrap();
        let mut names: Vec<String> =
            firing.iter().filter_map(|alert| alert["metric"]["alertname"].as_str().map(str::to_owned)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What Alertmanager holds of one alert.
    fn told(&self, name: &str) -> Option<Value> {
        let answer = seen::get(self.alertmanager_port, "/api/v2/alerts").ok()?.body;
        let alerts: Vec<Value> = serde_json::from_str(&answer).ok()?;
        alerts.into_iter().find(|alert| alert["labels"]["alertname"] == name)
    }
}

/// A collector that has read a line; its admin port.
fn start_collector(watched: &mut WatchedCluster) -> u16 {
    prepare(watched);
    node(watched, "node-a", json!({}));
    pod(watched, NAMESPACE, "collector-a", ACCOUNT, Some("node-a"));
    watched.apply(&log_source("app", json!({"source": "Node", "paths": ["/var/log/app.log"]})).to_string()).unwrap();
    let dir = watched.dir().join("node-a");
    fs::create_dir_all(dir.join("var/log")).unwrap();
    fs::write(dir.join("var/log/app.log"), "Jan  2 03:04:05 node-a app[1]: one line\n").unwrap();
    fs::write(dir.join("token"), pod_token(watched, "collector-a")).unwrap();
    let (ingest, admin) = (watched.ingest().0, free_port().unwrap());
    let arguments = [
        "collector".to_owned(),
        format!("--controller=https://localhost:{ingest}"),
        format!("--controller-ca={}", watched.dir().join("ingest-clients.crt").display()),
        format!("--token-file={}", dir.join("token").display()),
        format!("--state-dir={}", dir.join("state").display()),
        format!("--host-root={}", dir.display()),
        format!("--admin-listen=127.0.0.1:{admin}"),
    ];
    let collector = watched.spawn("collector", &kubewitness().unwrap(), &arguments).unwrap();
    wait_until("the line is sent", SOON, || {
        (watched.metric_of(admin, "kubewitness_collector_lines_sent_total").ok()? >= 1.0).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", collector.log_tail()));
    admin
}

fn start_alertmanager(watched: &mut WatchedCluster) -> (Process, u16) {
    let dir = watched.dir().join("alertmanager");
    fs::create_dir(&dir).unwrap();
    let config = json!({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]});
    fs::write(dir.join("alertmanager.yml"), config.to_string()).unwrap();
    let port = free_port().unwrap();
    let arguments = [
        repository("tests/testbed/alertmanager.sh").display().to_string(),
        prometheus_binaries().unwrap().display().to_string(),
        format!("--config.file={}", dir.join("alertmanager.yml").display()),
        format!("--storage.path={}", dir.join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let alertmanager = watched.spawn("alertmanager", Path::new("/usr/bin/bash"), &arguments).unwrap();
    let ready = wait_until("Alertmanager is ready", SOON, || {
        seen::get(port, "/-/ready").is_ok_and(|answer| answer.code == 200).then_some(())
    });
    ready.unwrap_or_else(|error| panic!("{error}\n{}", alertmanager.log_tail()));
    (alertmanager, port)
}

/// Our rules, a collector beside the controller, and somebody to tell.
fn watching(collector: u16, alertmanager: u16) -> Value {
    json!({
        "rule_files": [repository("manifests/prometheus/alerts.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": targets(alertmanager)}]},
        "scrape_configs": [{"job_name": "collector", "static_configs": targets(collector)}],
    })
}

#[test]
fn alerts_fire_and_reach_alertmanager_and_every_panel_has_data() {
    let watch = Watch::start();
    watch.waits("the heartbeat", || watch.told("KubewitnessHeartbeat"));

    let text = fs::read_to_string(repository("manifests/prometheus/dashboard.json")).unwrap();
    for (panel, expr) in dashboard_queries(&text) {
        let expr = expr.replace("$__rate_interval", "1m");
        watch.waits(&format!("{panel}: {expr}"), || {
            let answer = watch.ask(&expr).unwrap_or_else(|error| panic!("{panel}: {expr}: {error}"));
            (!answer.is_empty()).then_some(())
        });
    }
    for alert in GROUPS.iter().flat_map(|group| group.alerts) {
        let queries = alert.diagnose.iter().filter_map(|step| match step {
            Step::Ask(query) => Some(*query),
            Step::Run(_) => None,
        });
        for query in queries {
            let answer = watch.ask(query).unwrap_or_else(|error| panic!("{}: {query}: {error}", alert.name));
            // Not ours, and not scraped here.
            assert!(!answer.is_empty() || query.contains("apiserver_audit"), "{}: {query} has no data", alert.name);
        }
    }

    let asked = blocks("docs/operations.md").into_iter().filter(|block| block.language == "promql");
    let asked: Vec<String> =
        asked.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(asked.len() >= 2, "{asked:?}");
    for query in asked {
        watch.waits(&query, || (!watch.ask(&query).unwrap().is_empty()).then_some(()));
    }

    assert_eq!(watch.firing(), ["KubewitnessHeartbeat"], "all is well, and it says so");
    assert_eq!(post(&watch.watched, &event_list(&[json!("no event")])).code, 200);
    let told = watch.waits("the quarantine reaches Alertmanager", || watch.told("KubewitnessEventsQuarantined"));
    assert_eq!(told["labels"]["reason"], "NotAnEvent", "{told}");
    assert_eq!(told["labels"]["severity"], "warning", "{told}");
    assert_eq!(told["annotations"]["summary"], "Events could not be read: NotAnEvent", "{told}");
    let url = told["annotations"]["runbook_url"].as_str().unwrap();
    assert_eq!(url.strip_prefix(RUNBOOKS), Some("KubewitnessEventsQuarantined.md"));
    assert_eq!(watch.firing(), ["KubewitnessEventsQuarantined", "KubewitnessHeartbeat"]);

    assert_eq!(promtool_says(&exposition(&watch.watched)), "");
    let (code, collector) = watch.watched.admin_of(watch.collector_admin, "/metrics").unwrap();
    assert_eq!((code, promtool_says(&collector).as_str()), (200, ""));

    // The controller goes: the heartbeat must end.
    watch.watched.end_controller("TERM").unwrap();
    watch.waits("the heartbeat stops", || (!watch.firing().contains(&"KubewitnessHeartbeat".to_owned())).then_some(()));
}

/// Scrapes the API server as somebody who may.
fn api_server(watched: &WatchedCluster) -> Value {
    let kubeconfig = watched.client_certificate("prometheus", &["system:masters"]).unwrap();
    let kubeconfig: Value = serde_json::from_str(&fs::read_to_string(kubeconfig).unwrap()).unwrap();
    let files = ["certificate", "key"].map(|part| {
        let data = kubeconfig["users"][0]["user"][format!("client-{part}-data")].as_str().unwrap();
        let file = watched.dir().join(format!("prometheus.{part}"));
        fs::write(&file, BASE64_STANDARD.decode(data).unwrap()).unwrap();
        file
    });
    let port = watched.server().rsplit(':').next().unwrap().parse().unwrap();
    let tls = json!({"ca_file": watched.dir().join("pki/ca.crt"), "cert_file": files[0], "key_file": files[1]});
    json!({"job_name": "apiserver", "scheme": "https", "tls_config": tls, "static_configs": targets(port)})
}

#[test]
fn events_that_an_api_server_could_not_deliver_and_dropped_raise_an_alert() {
    // The fewest that it holds while the controller is away, so that it drops some at once and not after 80 s.
    let api_server_args = vec!["--audit-webhook-batch-buffer-size=1".to_owned()];
    let mut watched = WatchedCluster::start(ClusterOptions { api_server_args, ..Default::default() }).unwrap();
    let api_server = api_server(&watched);
    let config = json!({
        "rule_files": [repository("manifests/prometheus/alerts.yaml")],
        "scrape_configs": [api_server],
    });
    let (prometheus, port) = start_prometheus(&mut watched, config);
    let waits = |what: &str, expression: &str| {
        let asked = wait_until(what, SCRAPED, || query(port, expression).into_iter().find(|value| *value > 0.0));
        asked.unwrap_or_else(|error| panic!("{error}\n{}", prometheus.log_tail()));
    };
    waits("the API server is scraped", "up%7Bjob=%22apiserver%22%7D");
    watched.end_controller("KILL").unwrap();
    let mut number = 0;
    let firing = "ALERTS%7Balertname=%22KubewitnessAuditEventsLost%22,alertstate=%22firing%22%7D";
    let told = wait_until("the alert fires", SCRAPED, || {
        number += 1;
        watched.kubectl().run(&["create", "namespace", &format!("unseen-{number}")]).success().unwrap();
        query(port, firing).first().copied()
    });
    told.unwrap_or_else(|error| panic!("{error}\n{}", prometheus.log_tail()));
}

#[test]
fn nodes_show_by_when_their_collector_was_heard_and_api_servers_before_they_speak() {
    let mut watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    node(&watched, "node-b", json!({}));
    let collector = start_collector(&mut watched);
    let metric = |sample: &str| watched.metric(sample).unwrap();
    let counts =
        || ["Heard", "Silent", "Never"].map(|of| metric(&format!("kubewitness_ingest_nodes{{collector=\"{of}\"}}")));
    let seen = wait_until("both nodes are counted", SOON, || (counts() == [1.0, 0.0, 1.0]).then_some(()));
    seen.unwrap_or_else(|error| panic!("{error}: {:?}", counts()));
    let last =
        r#"kubewitness_ingest_apiserver_last_event_timestamp_seconds{apiserver="apiserver-1",cluster="testbed"}"#;
    assert!(metric(last) > 1_700_000_000.0, "{}", metric(last));
    // Both are this machine's clock; an event is stamped before it comes, and batches wait for a second.
    let offset = metric(&last.replace("last_event_timestamp", "clock_offset"));
    assert!((-60.0..0.0).contains(&offset), "{offset}");
    let (inputs, stored) = ("kubewitness_ingest_inputs_received_total", "kubewitness_store_inputs_stored_total");
    for source in ["Audit", "Node"] {
        let [inputs, stored] = [inputs, stored].map(|name| metric(&format!("{name}{{source=\"{source}\"}}")));
        assert!(inputs >= 1.0 && stored >= 1.0, "{source}: {inputs} received, {stored} stored");
    }
    assert_eq!(metric(&format!("{stored}{{source=\"Web\"}}")), 0.0);
    let text = watched.admin_of(collector, "/metrics").unwrap().1;
    let clock = text.lines().find_map(|line| line.strip_prefix("kubewitness_collector_clock_offset_seconds "));
    let clock: f64 = clock.unwrap().parse().unwrap();
    assert!(clock != 0.0 && clock.abs() < 2.0, "{clock}");
    let (bytes, limit) = (metric("kubewitness_store_bytes"), metric("kubewitness_store_limit_bytes"));
    assert_eq!(limit, 10.0 * f64::from(1 << 30));
    let (free, disk) = (metric("kubewitness_store_disk_free_bytes"), metric("kubewitness_store_disk_bytes"));
    assert!(bytes > 0.0 && free > 0.0 && free < disk, "{bytes} {free} {disk}");
}
