//! What the demo promises to find, held against the rules that we ship and against its own recorded run
//! (tests/scenarios/first-light). The demo itself is run by `make demo`.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

#[path = "../examples/demo/expected.rs"]
mod expected;

use expected::{PROBED, Row, differences, expected};

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_demo_has_attacks_for_many_audit_rules_and_for_two_joint_ones() {
    let shipped = |directory: &str| -> BTreeSet<String> {
        fs::read_dir(repository("manifests/rules").join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let attacked: BTreeSet<String> = expected().into_iter().map(|row| row.rule).collect();
    assert!(attacked.intersection(&shipped("audit")).count() >= 10);
    assert_eq!(attacked.intersection(&shipped("joint")).count(), 2);
    assert!(attacked.intersection(&shipped("node")).count() >= 5);
    assert_eq!(BTreeSet::from(PROBED).len(), PROBED.len(), "a kind that is asked for twice is one request");
}

/// A line of `replay --output jsonl`.
fn of_replay(line: &str) -> Row {
    let alert: Value = serde_json::from_str(line).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Row {
        rule: text(&alert["rule"]),
        severity: text(&alert["severity"]),
        key: alert["key"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        count: alert["count"].as_u64().unwrap(),
    }
}

#[test]
fn replay_of_the_recorded_demo_raises_the_alerts_that_the_demo_expects() {
    let alerts = fs::read_to_string(repository("tests/scenarios/first-light/alerts.jsonl")).unwrap();
    let mut found: Vec<Row> = alerts.lines().map(of_replay).collect();
    // Replay has all rules from the start; in the demo the controller got its own token before they were applied.
    found.retain(|row| row.key.get("account").is_none_or(|account| account != "kubewitness/controller"));
    assert_eq!(differences(&expected(), &found), Vec::<String>::new());
}

#[test]
fn recorded_demo_holds_no_credential() {
    let log = fs::read_to_string(repository("tests/scenarios/first-light/input.jsonl")).unwrap();
    assert!(log.lines().count() > 500);
    // A token, PEM, and the values of setup.yaml's secrets.
    for secret in ["eyJ", "-----BEGIN", "Bearer ", "not-a-real"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn missing_different_repeated_and_surplus_alerts_are_named() {
    let object = |rule: &str, actor: &str, count: u64| {
        Row::of_object(&json!({
            "spec": {"ruleRef": {"kind": "ClusterSecurityRule", "name": rule}, "key": [{"name": "actor", "value": actor}]},
            "status": {"severity": "High", "count": count},
        }))
    };
    let want = [object("a", "eve", 1), object("b", "eve", 2)];
    for (case, found, lines) in [
        ("equal, in another order", vec![want[1].clone(), want[0].clone()], vec![]),
        ("missing", vec![want[0].clone()], vec!["missing: b of actor=eve (severity High, count 2)"]),
        (
            "another count",
            vec![want[0].clone(), object("b", "eve", 3)],
            vec!["different: b of actor=eve: severity High, count 3 instead of severity High, count 2"],
        ),
        (
            "from the ordinary traffic",
            vec![want[0].clone(), want[1].clone(), object("a", "dana", 1)],
            vec!["not expected: a of actor=dana (severity High, count 1)"],
        ),
        (
            "twice",
            vec![want[0].clone(), want[1].clone(), want[1].clone()],
            vec!["not expected: b of actor=eve (severity High, count 2)"],
        ),
    ] {
        assert_eq!(differences(&want, &found), lines, "{case}");
    }
}

/// Cargo builds examples for `cargo test`, beside the binary.
fn demo() -> Command {
    let demo = Path::new(env!("CARGO_BIN_EXE_kubewitness")).with_file_name("examples").join("demo");
    assert!(demo.exists(), "{} is not built: cargo build --example demo", demo.display());
    Command::new(demo)
}

/// What is printed after the first command that begins so, up to an empty line or the end of the block.
fn printed<'t>(text: &'t str, command: &str) -> Vec<&'t str> {
    let (_, after) = text.split_once(command).unwrap_or_else(|| panic!("`{command}` is not in: {text}"));
    after.lines().skip(1).take_while(|line| !line.is_empty() && *line != "```").collect()
}

/// A table of kubectl's as cells, which at least two blanks divide, without those that tell of time.
fn cells(table: &[&str]) -> Vec<Vec<String>> {
    let cells =
        |line: &&str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    let mut rows: Vec<Vec<String>> = table.iter().map(cells).collect();
    rows.iter_mut().for_each(|row| row.truncate(7));
    rows
}

#[test]
fn demo_finds_what_it_promises_and_prints_what_the_readme_shows() {
    let output = demo().output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let table = "$ kubectl get securityalerts -A";
    assert_eq!(cells(&printed(&readme, table)), cells(&printed(&shown, table)), "{shown}");
    // One alert's story: the same command, the summary, and of the evidence all but the stamps.
    let readme = readme.replace("\\\n    ", "");
    let command = readme.lines().find(|line| line.starts_with("$ kubectl get securityalert ")).unwrap();
    let (story, all) = (printed(&readme, command), printed(&shown, command));
    assert!(story.len() > 3 && story[0] == all[0], "{all:?}");
    let told = |line: &&str| line.split_once("  ").map_or_else(|| (*line).to_owned(), |(_, rest)| rest.to_owned());
    let all: Vec<String> = all.iter().map(told).collect();
    for line in story.iter().filter(|line| **line != "…").map(told) {
        assert!(all.contains(&line), "README.md: {line}: {all:?}");
    }
}

#[test]
fn demo_ends_with_a_signal_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = demo().env("TMPDIR", temporary.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The cluster runs by then, and the controller.
    lines.find(|line| line.as_ref().unwrap().contains("apply manifests/rules")).unwrap().unwrap();
    let sent = Command::new("sh").args(["-c", "kill -INT \"$0\"", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    lines.for_each(|line| drop(line.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}
