//! Everything that breaks in a cluster, one after the other, while people go on entering pods: nothing that was acknowledged is
//! lost, and nothing is counted twice.

use super::attack::{Scene, collector_metric, name};
use super::bed::{Bed, IMAGE, image};
use super::install::{api_server, helm, operator};
use crate::seen::each_record;
use kubewitness::record::Payload;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const CONTROLLER: &str = "kubewitness-controller-0";
/// Lines that are written while the controller is away, half a kilobyte each that hardly compresses: more than the spool takes.
const FLOOD: usize = 40_000;

/// How long the controller is away: beyond the 80 s after which an API server gives up a batch. `KUBEWITNESS_NODE_OUTAGE` is another
/// number of seconds.
fn outage() -> Duration {
    let seconds = std::env::var("KUBEWITNESS_NODE_OUTAGE").ok().map_or(600, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

fn wait_ready(bed: &Bed) {
    // What ends is still there, and ready, for a moment.
    bed.until("the controller is ready", || {
        let pods = bed.objects("pods");
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == CONTROLLER)?;
        let conditions = pod["status"]["conditions"].as_array()?;
        let ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        (ready && pod["metadata"]["deletionTimestamp"].is_null()).then_some(())
    });
}

/// How often dana entered, as the alert tells it over all its episodes.
fn counted(bed: &Bed) -> Option<u64> {
    let key = (
        "exec-into-pod".to_owned(),
        BTreeMap::from([("actor".into(), "dana".into()), ("namespace".into(), "shop".into())]),
    );
    let alerts = bed.objects("securityalerts");
    let alert = alerts.iter().find(|alert| name(alert) == key)?;
    Some(alert["status"]["episodes"].as_array()?.iter().filter_map(|episode| episode["count"].as_u64()).sum())
}

/// How often the API server let dana enter, as its own audit log tells it. While kubelet starts it can let somebody in whose
/// kubectl then ends with an error, so kubectl does not know.
fn let_in(bed: &Bed) -> u64 {
    let log = std::fs::read_to_string(bed.dir().join("var/log/kubernetes/audit/audit.log")).unwrap();
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|event| {
        event["objectRef"]["subresource"] == "exec"
            && event["user"]["username"] == "dana"
            && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 400)
    });
    entries.map(|event| event["auditID"].to_string()).collect::<BTreeSet<_>>().len() as u64
}

/// No alert is doubled and every entry is counted once.
fn settle(scene: &Scene, after: &str) {
    let bed = scene.bed;
    let entered = let_in(bed);
    assert!(entered >= scene.entered.get(), "{entered} entries in the audit log, {} of kubectl", scene.entered.get());
    let mut last = None;
    bed.until(&format!("the alert counts all {entered} entries after {after}"), || {
        let now = counted(bed);
        if now != last {
            bed.tell(&format!("  {} of {entered} entries are counted", now.unwrap_or_default()));
        }
        last = now;
        (last? >= entered).then_some(())
    });
    assert_eq!(last, Some(entered), "entries are counted twice");
    let mut names: Vec<_> = bed.objects("securityalerts").iter().map(name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "two alerts of the same rule and key");
    bed.tell(&format!("{after}: {entered} entries, each counted once; {all} alerts, none twice"));
}

pub fn controller_s_pod_is_deleted(scene: &Scene) {
    let bed = scene.bed;
    bed.kubectl(&format!("-n kubewitness delete pod {CONTROLLER} --wait=false"));
    (0..3).for_each(|_| scene.enter());
    wait_ready(bed);
    scene.enter();
    settle(scene, "the controller's pod was deleted");
}

/// Meanwhile the collector's spool fills and it is killed, and kubelet restarts.
pub fn controller_is_away_for_long(scene: &Scene) {
    let (bed, since) = (scene.bed, Instant::now());
    bed.kubectl("-n kubewitness scale statefulset kubewitness-controller --replicas=0");
    bed.kubectl(&format!("-n kubewitness wait --for=delete pod/{CONTROLLER} --timeout=60s"));
    (0..3).for_each(|_| scene.enter());
    flood(bed);
    bed.until("the spool is full", || {
        // As soon as it has no room for one more batch nothing more goes in.
        let before = collector_metric(bed, "spool_bytes")?;
        std::thread::sleep(Duration::from_secs(1));
        (collector_metric(bed, "lag_bytes")? > 0.0 && collector_metric(bed, "spool_bytes")? == before && before > 4e6)
            .then_some(())
    });
    bed.tell(&format!("the spool holds {} bytes and is full", collector_metric(bed, "spool_bytes").unwrap()));
    bed.run(&["pkill", "-KILL", "-f", "^/kubewitness collector"]);
    scene.enter_again_and_again(2);
    bed.run(&["service.sh", "restart", "kubelet"]);
    bed.until("the collector and kubelet are back", || {
        collector_metric(bed, "spool_bytes").filter(|bytes| *bytes > 4e6)?;
        bed.try_kubectl(&["-n", "shop", "get", "--raw", "/api/v1/nodes/node-1/proxy/healthz"]).ok.then_some(())
    });
    bed.tell("the collector was killed with its spool full, and kubelet restarted");
    while since.elapsed() < outage() {
        scene.enter_again_and_again(1);
        let left = outage().saturating_sub(since.elapsed());
        std::thread::sleep(left.min(Duration::from_secs(60)));
    }
    bed.kubectl("-n kubewitness scale statefulset kubewitness-controller --replicas=1");
    wait_ready(bed);
    bed.until("what lay in the spool and beyond is sent", || {
        (collector_metric(bed, "lag_bytes")? == 0.0 && collector_metric(bed, "spool_bytes")? == 0.0).then_some(())
    });
    settle(scene, &format!("the controller was away for {} s", since.elapsed().as_secs()));
}

/// Lines of a program that says a lot, numbered.
fn flood(bed: &Bed) {
    let script = format!(
        "import random, time\n\
         with open('/var/log/messages', 'a') as file:\n\
         \x20   for n in range({FLOOD}):\n\
         \x20       noise = ' '.join('%08x' % random.getrandbits(32) for _ in range(55))\n\
         \x20       file.write(time.strftime('%b %d %H:%M:%S') + f' node-1 flood: {{n}} {{noise}}\\n')\n"
    );
    bed.run(&["python3", "-c", &script]);
}

/// First the server's certificate alone, then its authority with it.
pub fn certificates_change(scene: &Scene) {
    let bed = scene.bed;
    let secret = |key: &str| {
        let path = format!("jsonpath={{.data.{}}}", key.replace('.', "\\."));
        bed.try_kubectl(&["-n", "kubewitness", "get", "secret", "kubewitness-tls", "-o", &path]).stdout
    };
    for (what, changed) in [("leaf", "tls.crt"), ("ca", "ca.crt")] {
        let before = secret(changed);
        bed.kubectl(&format!("-n kubewitness annotate secret kubewitness-tls kubewitness.io/rotate={what}"));
        bed.until("the Secret has changed", || {
            let now = secret(changed);
            (!now.is_empty() && now != before).then_some(())
        });
        scene.enter();
    }
    let restarts = bed.kubectl("-n kubewitness get pod -o jsonpath={..restartCount}");
    settle(scene, "certificate and authority were renewed");
    assert_eq!(bed.kubectl("-n kubewitness get pod -o jsonpath={..restartCount}"), restarts, "something restarted");
}

/// To another build, and back.
pub fn chart_is_upgraded_and_rolled_back(scene: &Scene) {
    let bed = scene.bed;
    let second = image("second");
    std::fs::copy(second, bed.dir().join("images/second.tar")).unwrap();
    bed.run(&["ctr", "-n", "k8s.io", "images", "import", "/out/images/second.tar"]);
    // The pod of helm test stays as it ended.
    let tags = || {
        let running =
            "-n kubewitness get pods -l app.kubernetes.io/component!=canary -o jsonpath={..spec.containers[*].image}";
        bed.kubectl(running)
    };
    helm(
        bed,
        "upgrade kubewitness /opt/charts/kubewitness -n kubewitness --reuse-values --set image.tag=second --wait --timeout 3m",
    );
    scene.enter();
    wait_ready(bed);
    let second = format!("{IMAGE}:second");
    bed.until("all pods are of the second build", || {
        tags().split_whitespace().all(|image| image == second).then_some(())
    });
    settle(scene, "the chart was upgraded");
    scene.enter();
    helm(bed, "rollback kubewitness 1 -n kubewitness --wait --timeout 3m");
    wait_ready(bed);
    scene.enter();
    // One of them may still be ending.
    bed.until("no pod is of the second build", || (!tags().contains("second")).then_some(()));
    settle(scene, "the chart was rolled back");
}

/// Audit events that API servers sent to the controller itself, by no relay.
fn received(bed: &Bed) -> Option<f64> {
    let path = format!("/api/v1/namespaces/kubewitness/pods/{CONTROLLER}:8080/proxy/metrics");
    let page = bed.try_kubectl(&["get", "--raw", &path]).stdout;
    let line = page.lines().find_map(|line| line.strip_prefix("kubewitness_ingest_events_received_total "))?;
    line.parse().ok()
}

/// Without the relay, by an address that needs no name.
pub fn api_server_sends_to(scene: &Scene, server: &str) {
    let before = received(scene.bed).unwrap();
    api_server(scene.bed, &format!("--server={server}"));
    scene.enter();
    scene
        .bed
        .until("the controller receives what the API server sends", || (received(scene.bed)? > before).then_some(()));
    settle(scene, &format!("the API server sent to {server}"));
}

/// What people made and what was recorded outlives it; nothing of it runs or listens any more.
pub fn chart_is_uninstalled_and_installed_again(scene: &Scene) {
    let bed = scene.bed;
    let kept = || {
        ["securityalerts", "clustersecurityrules", "persistentvolumeclaims"].map(|kind| {
            let names = bed.objects(kind).into_iter().map(|object| object["metadata"]["uid"].to_string());
            (kind, names.collect::<BTreeSet<_>>())
        })
    };
    let before = kept();
    assert!(before.iter().all(|(_, uids)| !uids.is_empty()), "{before:?}");
    helm(bed, "uninstall kubewitness -n kubewitness --wait --timeout 3m");
    bed.until("no pod of it is left", || {
        // The pod of helm test stays as it ended.
        let left = ["-n", "kubewitness", "get", "pods", "-l", "app.kubernetes.io/component!=canary", "-o", "name"];
        let output = bed.try_kubectl(&left);
        (output.ok && output.stdout.is_empty()).then_some(())
    });
    for address in ["127.0.0.1:9444", "127.0.0.1:9445", "127.0.0.1:30943", "10.96.0.60:9443"] {
        let url = format!("https://{address}/");
        // 7: no connection; 28: no answer. Anything else was said by somebody.
        let call = bed.run(&["bash", "-c", "curl -ks --max-time 3 -o /dev/null \"$0\"; echo $?", &url]);
        assert!(["7", "28"].contains(&call.trim()), "{address}: curl ended with {call}");
    }
    assert_eq!(kept(), before, "something went with the chart");
    operator(bed);
    wait_ready(bed);
    scene.enter();
    settle(scene, "the chart was uninstalled and installed again");
}

/// The record against the API server's own log and the node's own file, one by one.
pub fn everything_is_in_the_record_once(scene: &Scene) {
    let bed = scene.bed;
    bed.kubectl("-n kubewitness scale statefulset kubewitness-controller --replicas=0");
    bed.kubectl(&format!("-n kubewitness wait --for=delete pod/{CONTROLLER} --timeout=60s"));
    let copy = tempfile::tempdir_in(bed.dir()).unwrap();
    let status = std::process::Command::new("cp")
        .args(["-r", "--no-preserve=ownership"])
        .args([bed.dir().join("var/volumes/a/."), copy.path().to_owned()])
        .status();
    assert!(status.unwrap().success());
    let (mut events, mut lines) = (BTreeMap::<String, u32>::new(), BTreeMap::<usize, u32>::new());
    each_record(copy.path(), &mut |record| match &record.payload {
        Payload::Audit(event) => {
            let event: Value = serde_json::from_str(event.get()).unwrap();
            *events.entry(json!([event["auditID"], event["stage"]]).to_string()).or_default() += 1;
        }
        Payload::Line(line) => {
            if let Some((_, rest)) = line.text.split_once(" flood: ") {
                *lines.entry(rest.split(' ').next().unwrap().parse().unwrap()).or_default() += 1;
            }
        }
        _ => (),
    });
    assert_eq!(events.iter().find(|(_, times)| **times != 1), None, "an event is stored twice");
    assert_eq!(lines.iter().find(|(_, times)| **times != 1), None, "a line is stored twice");
    assert_eq!(lines.len(), FLOOD, "lines of the flood");
    // Up to when the controller was last told to end: what came after is on its way.
    let log = std::fs::read_to_string(bed.dir().join("var/log/kubernetes/audit/audit.log")).unwrap();
    let mut entries = 0;
    let mut missing = Vec::new();
    for line in log.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if event["objectRef"]["subresource"] == "exec" && event["user"]["username"] == "dana" {
            entries += 1;
            let name = json!([event["auditID"], event["stage"]]).to_string();
            if !events.contains_key(&name) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "{} of {entries} events of dana's are not stored: {missing:?}", missing.len());
    bed.tell(&format!("{} audit events and {} lines of the flood are stored, each once", events.len(), lines.len()));
    bed.kubectl("-n kubewitness scale statefulset kubewitness-controller --replicas=1");
    wait_ready(bed);
    settle(scene, "the end");
}
