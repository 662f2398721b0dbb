//! What `normalise` and `replay` read: audit events, envelopes and plain lines, in one stream, joined by an inventory file.

use std::{path::Path, process::Command};

use serde_json::Value;

fn top(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

fn run(arguments: &[&str]) -> (String, String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubewitness")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

fn documents(arguments: &[&str]) -> Vec<Value> {
    let (stdout, stderr, ok) = run(arguments);
    assert!(ok, "{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_line_of_a_mixed_stream_is_one_document() {
    for inventory in ["tests/records/inventory.yaml", "tests/records/kubectl.json"] {
        let found = documents(&[
            "normalise",
            "--output",
            "jsonl",
            "--host",
            "cp",
            "--inventory",
            &top(inventory),
            &top("tests/records/mixed.jsonl"),
        ]);
        let numbers: Vec<_> = found.iter().map(|d| (d["record"].as_u64().unwrap(), d["parsed"] == true)).collect();
        assert_eq!(numbers, [(1, true), (2, false), (3, true), (4, true), (5, false), (6, true)]);
        let expected = [
            (0, "/user/name", "root"),
            (0, "/source/ip", "203.0.113.9"),
            (0, "/event/outcome", "failure"),
            (0, "/host/name", "node-1"),
            (0, "/event/ingested", "2026-03-04T05:06:07Z"),
            (0, "/@timestamp", "2026-03-04T05:06:06Z"),
            (
                1,
                "/error/message",
                "an envelope that can't be read: a field has another type or value than it may (column 17)",
            ),
            (2, "/source/node/name", "node-1"),
            (2, "/host/name", "api-1"),
            (2, "/audit/verb", "get"),
            (3, "/host/name", "cp"),
            (5, "/kubernetes/workload/name", "web"),
            (5, "/kubernetes/service_account/name", "web"),
            (5, "/url/query", "x=../../etc/passwd"),
        ];
        for (index, pointer, value) in expected {
            let document = found.get(index).unwrap();
            assert_eq!(document.pointer(pointer).unwrap(), value, "{pointer} of {document}");
        }
    }
}

#[test]
fn a_log_file_is_read_as_it_is() {
    let log = top("tests/node/recordings/bookworm/sshd-brute-force/auth.log");
    let lines = std::fs::read_to_string(&log).unwrap().lines().count();
    let found = documents(&["normalise", "--lines", "Node", "--host", "node-1", &log]);
    assert_eq!(found.len(), lines);
    assert!(found.iter().all(|d| d["host"]["name"] == "node-1" && d["log"]["file"]["path"] == log.as_str()));
    let logins = found.iter().filter(|d| d["event"]["action"] == "ssh-login").count();
    assert!(logins > 20, "{logins} logins");
    let rules = top("manifests/rules/node/ssh-login-after-failures.yaml");
    let (alerts, _, ok) =
        run(&["replay", "--output", "jsonl", "--lines", "node", "--host", "node-1", "--rules", &rules, "--", &log]);
    assert!(ok && alerts.contains(r#""node":"node-1""#), "{alerts}");
}

#[test]
fn a_bad_inventory_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    for (text, problem) in [
        ("nodes: [{name: a, adresses: []}]", "unknown field `adresses`"),
        ("{}", "names no node and no pod"),
        (r#"{"kind": "List", "items": [{"kind": "Service"}]}"#, "item 1: a Service is neither"),
        ("a: [", "inventory.yaml"),
    ] {
        let path = directory.path().join("inventory.yaml");
        std::fs::write(&path, text).unwrap();
        let (_, stderr, ok) =
            run(&["normalise", "--inventory", path.to_str().unwrap(), &top("tests/records/mixed.jsonl")]);
        assert!(!ok && stderr.contains(problem), "{text}: {stderr}");
    }
}

#[test]
fn lines_that_no_format_recognises_are_events_and_counted_by_program() {
    use kubewitness::{
        pipeline::{Pipeline, PipelineConfig},
        record::{IdKey, Line, Origin, Provenance, RedactionFacts},
        redact::{LinePlace, line_record},
    };
    let origin = Origin { cluster: "c".into(), reporter: "n".into(), provenance: Provenance::File };
    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    for (seq, text) in (1..).zip([
        "sshd[1]: something new",
        "mine[2]: a",
        "theirs[3]: b",
        "sshd[1]: Accepted password for a from 192.0.2.1 port 5 ssh2",
    ]) {
        let line = Line {
            source: kubewitness::api::rule::Source::Node,
            file: "/x".into(),
            format: Default::default(),
            zone: None,
            text: "".into(),
        };
        let place = LinePlace { line, position: None, at: seq, facts: RedactionFacts::default() };
        pipeline
            .push(seq, &line_record(text.as_bytes(), place, &origin, kubewitness::telemetry::now(), &IdKey::OFFLINE));
    }
    assert_eq!(pipeline.counters().events, 4);
    assert_eq!(pipeline.counters().unrecognised, [("other", 2), ("sshd", 1)].into());
}

#[test]
fn lines_of_another_source_than_was_said_are_told_of() {
    let log = top("tests/node/recordings/bookworm/web-nginx/nginx-access.log");
    let (_, stderr, ok) = run(&["normalise", "--lines", "node", &log]);
    assert!(ok && stderr.contains("look like those of --lines web, and were read as --lines node"), "{stderr}");
    let (_, stderr, ok) = run(&["normalise", "--lines", "web", &log]);
    assert!(ok && !stderr.contains("look like"), "{stderr}");
    let log = top("tests/node/recordings/bookworm/sudo-refused/auth.log");
    let (_, stderr, ok) = run(&["replay", "--rules", &top("manifests/rules/node"), "--lines", "web", &log]);
    assert!(ok && stderr.contains("look like those of --lines node, and were read as --lines web"), "{stderr}");
    let (_, stderr, ok) =
        run(&["replay", "--rules", &top("manifests/rules/node"), "--lines", "node", &top("README.md")]);
    assert!(ok && stderr.contains("no format knew"), "{stderr}");
}

#[test]
fn a_log_file_without_lines_is_told_how_to_be_read() {
    let log = top("tests/node/recordings/bookworm/sudo-refused/auth.log");
    let (_, stderr, ok) = run(&["eval", "--event", &log, "--expression", "user.name"]);
    assert!(!ok && stderr.contains("give --lines node or --lines web"), "{stderr}");
    let rules = top("manifests/rules/node");
    let (_, stderr, ok) = run(&["explain", "--rules", &rules, "--event", &log]);
    assert!(!ok && stderr.contains("give --lines node or --lines web"), "{stderr}");
}
