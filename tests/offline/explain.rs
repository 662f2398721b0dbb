//! `kubewitness explain`: whole outputs, as a person sees them, beside the rules and events that they are of. `UPDATE_EXPECTED=1`
//! rewrites them: look at the difference before it is committed.

use std::{fs, path::PathBuf};

use super::{run, text};

const EVENT: &str = "../../../examples/event.json";
const SSH: &str = "../../../manifests/rules/node/ssh-brute-force.yaml";

/// Name of the expected output, exit code, arguments.
const CASES: [(&str, i32, &[&str]); 19] = [
    ("matching", 0, &["--rules", "matching.yaml", "--event", EVENT]),
    ("matching-verbose", 0, &["--rules", "matching.yaml", "--event", EVENT, "-v"]),
    (
        "matching-colours",
        0,
        &["--rules", "matching.yaml", "failing.yaml", "erring.yaml", "--event", EVENT, "--color", "always"],
    ),
    ("matching-json", 0, &["--rules", "matching.yaml", "--event", EVENT, "--output", "json"]),
    ("failing", 0, &["--rules", "failing.yaml", "--event", EVENT]),
    ("erring", 0, &["--rules", "erring.yaml", "--event", EVENT]),
    ("threshold", 0, &["--rules", "threshold.yaml", "--event", EVENT]),
    ("sequence", 0, &["--rules", "sequence.yaml", "--event", EVENT]),
    ("other-source", 0, &["--rules", "other-source.yaml", "--event", EVENT]),
    ("several", 0, &["--rules", ".", "--event", EVENT]),
    ("one-by-name", 0, &["--rules", ".", "--event", EVENT, "--rule", "privileged-pod"]),
    ("unknown-name", 2, &["--rules", "matching.yaml", "--event", EVENT, "--rule", "privileged"]),
    ("refused", 2, &["--rules", "refused.yaml", "--event", EVENT]),
    ("no-rule", 2, &["--rules", "no-rule.yaml", "--event", EVENT]),
    ("broken-event", 2, &["--rules", "matching.yaml", "--event", "broken.json"]),
    ("line", 0, &["--rules", SSH, "--lines", "node", "--host", "node-1", "--event", "auth.log"]),
    ("repeated", 0, &["--rules", SSH, "--lines", "node", "--host", "node-1", "--event", "repeated.log"]),
    ("envelope", 0, &["--rules", SSH, "--event", "envelope.json", "-v"]),
    ("no-event", 2, &["--rules", "matching.yaml", "--event", "other.json"]),
];

#[test]
fn explanations_read_as_expected() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/offline/explain");
    let mut wrong = Vec::new();
    for (name, code, arguments) in CASES {
        let arguments: Vec<&str> = ["explain"].iter().chain(arguments).copied().collect();
        let output = run(&dir, &arguments, "");
        let said = text(&output.stderr);
        let said = if said.is_empty() { said } else { format!("--- standard error\n{said}") };
        let found = text(&output.stdout) + &said;
        let path = dir.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected || output.status.code() != Some(code) {
            wrong.push(format!("{name}: {:?}\n{found}\nis not\n{expected}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn explain_takes_lines_lists_and_standard_input_alike() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/offline/explain");
    let event: serde_json::Value = serde_json::from_str(&fs::read_to_string(dir.join(EVENT)).unwrap()).unwrap();
    let list = serde_json::json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event]});
    let one = text(&run(&dir, &["explain", "--rules", "matching.yaml", "--event", EVENT], "").stdout);
    for (form, input, times) in [
        ("a line", format!("{event}\n"), 1),
        ("a list", list.to_string(), 1),
        ("a list over several lines", serde_json::to_string_pretty(&list).unwrap(), 1),
        ("two lines", format!("{event}\n{event}\n"), 2),
    ] {
        let output = run(&dir, &["explain", "--rules", "matching.yaml", "--event", "-"], &input);
        assert_eq!(text(&output.stdout), vec![one.as_str(); times].join("\n"), "{form}: {}", text(&output.stderr));
    }
}
