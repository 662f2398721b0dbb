//! A real kube-apiserver whose audit webhook points to the relay of a real collector, which sends to the real controller.
//! Every event of the audit log is in the record once, with the id that it has by the audit log, though the controller is
//! away for a while and the collector is killed.

use super::collectors::{ACCOUNT, log_source, node, pod, pod_token, prepare};
use super::seen::{audit_log, each_record, text};
use crate::support::{
    ClusterOptions, NAMESPACE, Process, WatchedCluster, free_port, kubewitness, repository, wait_until,
};
use data_encoding::HEXLOWER;
use kubewitness::record::{IdKey, Origin, Payload, Provenance, RecordId};
use kubewitness::redact::{self, Input};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);
pub(super) const TOKEN: &str = "token-of-the-relay";

/// The webhook's kubeconfig: over plain HTTP the token stands in the address.
fn webhook(port: u16) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "relay",
        "clusters": [{"name": "relay", "cluster": {
            "server": format!("http://kubewitness:{TOKEN}@127.0.0.1:{port}/audit/testbed/apiserver-1"),
        }}],
        "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "none"}}],
        "users": [{"name": "none", "user": {}}],
    })
    .to_string()
}

/// What the shipped LogSource says, so that the test reads what users do.
fn shipped_source() -> Value {
    let yaml = fs::read_to_string(repository("manifests/log-sources/apiserver-relay.yaml")).unwrap();
    let source: Value = serde_saphyr::from_str(&yaml).unwrap();
    log_source("apiserver-relay", source["spec"].clone())
}

/// A cluster whose API server sends to a collector's relay, and the controller behind that.
pub(super) struct Stage {
    pub watched: WatchedCluster,
    arguments: Vec<String>,
    pub relay: u16,
    pub admin: u16,
    pub collector: Process,
    _files: tempfile::TempDir,
}

impl Stage {
    pub fn set() -> Stage {
        let files = tempfile::tempdir().unwrap();
        let (relay, admin) = (free_port().unwrap(), free_port().unwrap());
        let kubeconfig = files.path().join("relay.kubeconfig");
        fs::write(&kubeconfig, webhook(relay)).unwrap();
        let hash = HEXLOWER.encode(&Sha256::digest(TOKEN));
        let credentials = files.path().join("relay.yaml");
        let entry = format!("credentials:\n- {{cluster: testbed, apiserver: apiserver-1, tokenSHA256: {hash}}}\n");
        fs::write(&credentials, entry).unwrap();
        // The last flag wins: all events go to the relay and none to the controller. The first try waits for the collector.
        let options = ClusterOptions {
            api_server_args: vec![
                format!("--audit-webhook-config-file={}", kubeconfig.display()),
                "--audit-webhook-initial-backoff=10s".into(),
            ],
            ..Default::default()
        };
        let mut watched = WatchedCluster::start(options).unwrap();
        prepare(&watched);
        node(&watched, "apiserver-1", json!({"node-role.kubernetes.io/control-plane": ""}));
        pod(&watched, NAMESPACE, "collector-a", ACCOUNT, Some("apiserver-1"));
        watched.apply(&shipped_source().to_string()).unwrap();
        let dir = watched.dir().to_owned();
        let root = dir.join("host");
        let state = root.join("var/lib/kubewitness-collector");
        fs::create_dir_all(&state).unwrap();
        fs::write(dir.join("token"), pod_token(&watched, "collector-a")).unwrap();
        let arguments = vec![
            "collector".to_owned(),
            "--retry-max=1".to_owned(),
            format!("--controller=https://localhost:{}", watched.ingest().0),
            format!("--controller-ca={}", dir.join("ingest-clients.crt").display()),
            format!("--token-file={}", dir.join("token").display()),
            format!("--state-dir={}", state.display()),
            format!("--host-root={}", root.display()),
            format!("--admin-listen=127.0.0.1:{admin}"),
            format!("--relay-listen=127.0.0.1:{relay}"),
            format!("--relay-credentials={}", credentials.display()),
        ];
        let collector = watched.spawn("collector", &kubewitness().unwrap(), &arguments).unwrap();
        Stage { watched, arguments, relay, admin, collector, _files: files }
    }

    fn start_collector(&mut self) {
        self.collector = self.watched.spawn("collector", &kubewitness().unwrap(), &self.arguments).unwrap();
    }

    /// What the collector takes for the node's root directory.
    pub fn host(&self) -> PathBuf {
        self.watched.dir().join("host")
    }

    /// Audit events that the relay has on its disk.
    pub fn stored(&self) -> f64 {
        self.watched.metric_of(self.admin, "kubewitness_collector_relay_events_stored_total").unwrap_or(0.0)
    }

    /// Requests that are audited, each with a name of its own.
    fn make(&self, what: &str, count: usize) {
        for n in 0..count {
            self.watched.kubectl().run(&["get", "configmap", &format!("{what}-{n}"), "-n", "default"]);
        }
    }
}

/// Events of the audit log by the id that they have. Of larger ones the webhook drops the bodies (`--audit-webhook-truncate-…`).
fn logged(cluster: &WatchedCluster) -> BTreeMap<RecordId, String> {
    let log = fs::read_to_string(cluster.audit_log()).unwrap();
    let whole = log.lines().filter(|line| line.len() < 90 << 10 && line.ends_with('}'));
    whole.map(|line| (id(line), line.to_owned())).collect()
}

fn id(text: &str) -> RecordId {
    let origin = Origin { cluster: "c".into(), reporter: "n".into(), provenance: Provenance::AuditLog };
    let outcome = redact::audit_event(Input { bytes: text.as_bytes(), oversize: false });
    redact::record(outcome, text.as_bytes(), &origin, jiff::Timestamp::UNIX_EPOCH, &IdKey::OFFLINE).id
}

/// The ids of stored events by the same key, and what is stored twice.
fn stored(store: &Path) -> (BTreeSet<RecordId>, Vec<String>) {
    let (mut ids, mut twice) = (BTreeSet::new(), Vec::new());
    each_record(store, &mut |record| {
        let Payload::Audit(event) = &record.payload else { return };
        let origin = record.origin.as_ref().unwrap();
        let from = (&*origin.cluster, &*origin.reporter, origin.provenance);
        assert_eq!(from, ("testbed", "apiserver-1", Provenance::AuditLog));
        if !ids.insert(id(event.get())) {
            twice.push(event.get().to_owned());
        }
    });
    (ids, twice)
}

#[test]
fn an_api_server_s_events_come_through_its_relay_once_whoever_is_away() {
    let mut stage = Stage::set();
    wait_until("the first events are taken", LONG, || (stage.stored() > 0.0).then_some(()))
        .unwrap_or_else(|error| panic!("{error}\n{}", stage.collector.log_tail()));
    // What the API server did before there was a relay may be lost.
    let early = logged(&stage.watched);
    stage.make("before", 5);
    // The controller is away, and the collector is killed with what it holds.
    stage.watched.end_controller("KILL").unwrap();
    let before = stage.stored();
    stage.make("away", 5);
    wait_until("events are taken without a controller", LONG, || (stage.stored() > before).then_some(())).unwrap();
    stage.collector.end("KILL").unwrap();
    stage.make("killed", 3);
    stage.start_collector();
    stage.make("again", 3);
    stage.watched.start_controller().unwrap();
    stage.make("after", 3);
    let names = ["before-4", "away-4", "killed-2", "again-2", "after-2"];
    wait_until("the events are in the audit log", LONG, || {
        let log = audit_log(&stage.watched);
        names.iter().all(|name| log.iter().any(|event| text(event, "/objectRef/name") == *name)).then_some(())
    })
    .unwrap();
    let mut wanted = logged(&stage.watched);
    wanted.retain(|id, _| !early.contains_key(id));
    // What was sent while the collector was down comes again up to 80 s later. A store is read when no controller holds it.
    let mut missing = Vec::new();
    let all = wait_until("all of them are stored", LONG * 2, || {
        wait_until("the collector has sent what it has", LONG, || {
            let is_zero = |name: &str| {
                let sample = format!("kubewitness_collector_{name}");
                stage.watched.metric_of(stage.admin, &sample).is_ok_and(|value| value == 0.0)
            };
            (is_zero("lag_bytes") && is_zero("spool_bytes")).then_some(())
        })
        .unwrap();
        stage.watched.end_controller("TERM").unwrap();
        let (stored, twice) = stored(&stage.watched.store());
        assert_eq!(twice, Vec::<String>::new());
        missing = wanted.iter().filter(|(id, _)| !stored.contains(id)).map(|(_, line)| line.clone()).collect();
        if missing.is_empty() {
            return Some(stored.len());
        }
        stage.watched.start_controller().unwrap();
        None
    });
    match all {
        Ok(all) => println!("{} events of the audit log were asked for, {all} are stored", wanted.len()),
        Err(error) => panic!(
            "{error}: {} of {} are missing, such as {:?}\n{}",
            missing.len(),
            wanted.len(),
            missing.first(),
            stage.collector.log_tail()
        ),
    }
}
