//! Golden scenarios: `tests/scenarios/NAME/{rules.yaml, inventory.yaml, input.jsonl, alerts.jsonl}`. The input runs through the binary's
//! `replay` and must raise exactly these alerts, and the same in any order. `KUBEWITNESS_BLESS=1 cargo test scenarios::`
//! writes `alerts.jsonl` anew: read the difference before you commit it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn scenarios() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut found: Vec<_> =
        fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    found.sort();
    assert!(found.len() >= 4, "the scenarios are not where they should be");
    found
}

/// `rules.yaml`, or the files that `rules.txt` names from the top of the repository.
fn rules(scenario: &Path) -> Vec<PathBuf> {
    let named = scenario.join("rules.txt");
    if !named.exists() {
        return vec![scenario.join("rules.yaml")];
    }
    let text = fs::read_to_string(named).unwrap();
    text.lines().map(|line| Path::new(env!("CARGO_MANIFEST_DIR")).join(line)).collect()
}

fn inventory(scenario: &Path) -> Vec<PathBuf> {
    let file = scenario.join("inventory.yaml");
    if file.exists() { vec!["--inventory".into(), file] } else { Vec::new() }
}

fn replay(scenario: &Path, input: &str) -> String {
    replay_on("2", scenario, input)
}

fn replay_on(threads: &str, scenario: &Path, input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubewitness"))
        .args(["replay", "--threads", threads, "--output", "jsonl", "--rules"])
        .args(rules(scenario))
        .args(inventory(scenario))
        .arg("--")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", scenario.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn scenarios_raise_exactly_their_alerts() {
    let bless = std::env::var_os("KUBEWITNESS_BLESS").is_some();
    let mut different = Vec::new();
    for scenario in scenarios() {
        let input = fs::read_to_string(scenario.join("input.jsonl")).unwrap();
        let found = replay(&scenario, &input);
        let golden = scenario.join("alerts.jsonl");
        if bless {
            fs::write(&golden, &found).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != found {
            different.push(format!("{}:\n{found}", scenario.display()));
        }
    }
    assert!(different.is_empty(), "other alerts than expected in:\n{}", different.join("\n"));
}

#[test]
fn scenarios_raise_the_same_alerts_on_any_number_of_threads() {
    for scenario in scenarios() {
        let input = fs::read_to_string(scenario.join("input.jsonl")).unwrap();
        let golden = fs::read_to_string(scenario.join("alerts.jsonl")).unwrap_or_default();
        for threads in ["1", "3", "8"] {
            assert_eq!(golden, replay_on(threads, &scenario, &input), "{} on {threads}", scenario.display());
        }
    }
}

/// Without the line numbers, which an order decides.
fn alerts_without_lines(output: &str) -> Vec<serde_json::Value> {
    let parse = |line: &str| {
        let mut alert: serde_json::Value = serde_json::from_str(line).unwrap();
        let count = alert["records"].as_array().unwrap().len();
        alert["records"] = count.into();
        alert
    };
    output.lines().map(parse).collect()
}

#[test]
fn scenarios_raise_the_same_alerts_in_reverse_and_with_every_event_twice() {
    for scenario in scenarios() {
        let input = fs::read_to_string(scenario.join("input.jsonl")).unwrap();
        let straight = alerts_without_lines(&replay(&scenario, &input));
        let mut lines: Vec<&str> = input.lines().collect();
        lines.reverse();
        let reversed = format!("{}\n", lines.join("\n"));
        assert_eq!(straight, alerts_without_lines(&replay(&scenario, &reversed)), "{} reversed", scenario.display());
        let twice: String = input.lines().flat_map(|line| [line, "\n", line, "\n"]).collect();
        assert_eq!(straight, alerts_without_lines(&replay(&scenario, &twice)), "{} doubled", scenario.display());
    }
}
