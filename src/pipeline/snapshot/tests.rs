//! What is written can be read again to the same lines; what was cut, changed or made by another build is refused.

use std::sync::Arc;

use super::{OLDEST, Pipeline, PipelineConfig, SnapshotError, VERSION};
use crate::{
    api::ClusterSecurityRule,
    pipeline::rule_test,
    record::{InventoryChange, NodeFacts, Payload, PodFacts, Record, RecordId, RuleChange, RuleId, Seq},
    ruleset::compile::{RuleSource, compile},
};

/// A rule with a test that fills its state.
const RULE: &str = r#"{apiVersion: kubewitness.io/v1alpha1, kind: ClusterSecurityRule, metadata: {name: NAME}, spec: {title: t, severity: High,
    selectors: [{name: failed, source: Node, where: 'event.action == "ssh-login" && event.outcome == "failure"'}],
    groupBy: [{name: address, value: source.ip}], DETECTION
    alert: {summary: "{failed.count} from {key.address}"},
    tests: [{name: fill, input: [{at: 0s, repeat: 3, every: 1s, source: Node, host: n, log: "sshd[1]: Failed password for root from 192.0.2.1 port 1 ssh2"},
        {at: 9s, source: Node, host: n, log: "sshd[1]: Failed password for root from 192.0.2.2 port 1 ssh2"}], expect: []}]}}"#;
/// One of each kind of state.
const DETECTIONS: [(&str, &str); 4] = [
    ("match", ""),
    ("threshold", "detection: {type: Threshold, threshold: {count: 3, within: 1m}},"),
    ("absence", "detection: {type: Absence, absence: {selector: failed, within: 1h}},"),
    ("new", "detection: {type: NewValue, newValue: {value: host.name, learnFor: 1m, forgetAfter: 1h}},"),
];

fn source(name: &str, detection: &str) -> RuleSource {
    let text = RULE.replace("NAME", name).replace("DETECTION", detection);
    let rule: ClusterSecurityRule = serde_saphyr::from_str(&text).unwrap();
    RuleSource { id: RuleId::cluster(name), generation: 1, spec: rule.spec.0 }
}

fn internal(payload: Payload) -> Record {
    let received_at = "2026-01-01T00:00:00Z".parse().unwrap();
    Record { id: RecordId([0; 16]), received_at, origin: None, facts: Default::default(), payload }
}

fn filled() -> Pipeline {
    let mut pipeline = Pipeline::new(PipelineConfig::default());
    let mut records = Vec::new();
    for (name, detection) in DETECTIONS {
        let (rule, uid) = (RuleId::cluster(name), name.to_owned());
        let spec = Box::new(source(name, detection).spec);
        records.push(internal(Payload::Rule(RuleChange::Accepted { rule, uid, generation: 1, spec })));
    }
    for (uid, node) in [("u1", "n1"), ("u2", "n2")] {
        let pod = PodFacts {
            namespace: "shop".into(),
            name: "web".into(),
            uid: uid.into(),
            node: node.into(),
            addresses: vec!["10.0.0.1".into()],
            ..PodFacts::default()
        };
        records.push(internal(Payload::Inventory(InventoryChange::Pod(pod))));
        let facts = NodeFacts { name: node.into(), addresses: vec!["192.0.2.9".into()] };
        records.push(internal(Payload::Inventory(InventoryChange::Node(facts))));
    }
    records.push(internal(Payload::Inventory(InventoryChange::PodGone { uid: "u1".into() })));
    let filling = source("match", "");
    let rule = Arc::new(compile(&filling).unwrap());
    records.extend(rule_test::records(&rule, &filling.spec.tests[0]).unwrap());
    (1..).zip(&records).for_each(|(seq, record)| pipeline.push(seq, record));
    assert_eq!(pipeline.alerts().count(), 3, "two of Match, one of Threshold");
    pipeline
}

fn written(pipeline: &Pipeline, seq: Seq) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipeline.snapshot(seq).write(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<(Pipeline, Seq), SnapshotError> {
    Pipeline::restore(PipelineConfig::default(), bytes)
}

/// State is kept in hash maps, so lines of one kind come in any order.
fn sorted(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_restored_pipeline_writes_the_same_snapshot() {
    let bytes = written(&filled(), 17);
    let (restored, seq) = read(&bytes).unwrap();
    assert_eq!(seq, 17);
    let (before, after) = (sorted(&bytes), sorted(&written(&restored, 17)));
    let missing: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    let more: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
    assert_eq!(restored.rules().len(), DETECTIONS.len());
    let entries = [&restored, &filled()].map(|pipeline| pipeline.correlator().counters().entries);
    assert_eq!(entries[0], entries[1]);
}

#[test]
fn a_cut_snapshot_is_refused_wherever_it_was_cut() {
    let bytes = written(&filled(), 17);
    let line_ends = (0..bytes.len()).filter(|place| bytes[*place] == b'\n');
    for end in line_ends.flat_map(|end| [end - 1, end, end + 1]).filter(|end| *end < bytes.len()) {
        assert!(read(&bytes[..end]).is_err(), "cut after {end} of {} bytes", bytes.len());
    }
}

#[test]
fn a_snapshot_without_one_of_its_lines_is_refused() {
    let text = String::from_utf8(written(&filled(), 17)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for without in 0..lines.len() {
        let rest: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != without).map(|(_, line)| *line).collect();
        assert!(read((rest.join("\n") + "\n").as_bytes()).is_err(), "without {}", lines[without]);
    }
}

/// As the last build of version 2 wrote it, of a pipeline filled like ours.
#[test]
fn what_the_version_before_wrote_is_read_whole() {
    let before = include_str!("version-2.jsonl");
    let (restored, seq) = read(before.as_bytes()).unwrap();
    let raised = before.replacen("\"version\":2", &format!("\"version\":{VERSION}"), 1);
    assert_eq!((sorted(&written(&restored, 17)), seq), (sorted(raised.as_bytes()), 17));
}

#[test]
fn what_another_build_wrote_is_refused() {
    let text = String::from_utf8(written(&filled(), 17)).unwrap();
    let of = |version: u32| format!("\"version\":{version}");
    for other in [OLDEST - 1, VERSION + 1] {
        let text = text.replacen(&of(VERSION), &of(other), 1);
        assert!(matches!(read(text.as_bytes()), Err(SnapshotError::Version { found }) if found == other));
    }
    let broken = text.replacen("event.action ==", "event.actoin ==", 1);
    let error = read(broken.as_bytes()).err().unwrap().to_string();
    assert!(error.contains(": this build refuses it: spec.selectors[failed].where"), "{error}");
}
