//! `kubewitness test` and `kubewitness replay` as a person runs them: exit codes, messages, forms of input.

mod eval;
mod explain;
mod mistakes;
mod page;
mod readme;
mod replay;
mod report;
mod tutorial;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

const RULE: &str = r#"
apiVersion: kubewitness.io/v1alpha1
kind: ClusterSecurityRule
metadata: {name: deletions}
spec:
  title: Something deleted
  severity: Low
  selectors:
  - {name: deleted, source: Audit, where: audit.verb == "delete"}
  groupBy: [{name: user, value: user.name}]
  tests:
  - name: a delete is seen
    input: [{event: {verb: delete, user: {username: alice}}}]
    expect: [{severity: Low, key: {user: alice}, count: 1}]
"#;

fn event(id: &str, verb: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","verb":"{verb}","user":{{"username":"alice"}},"responseStatus":{{"code":200}},"stageTimestamp":"2026-03-01T10:00:00.000000Z"}}"#
    )
}

fn run(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubewitness"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its rules ends without reading.
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(written.is_ok() || !output.status.success());
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn with_rule(rule: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rule.yaml"), rule).unwrap();
    dir
}

#[test]
fn test_exits_with_what_it_found_and_names_the_place() {
    let failing = RULE.replace("count: 1", "count: 2");
    let cases = [
        ("passes", RULE.to_owned(), 0, "1 passed, 0 failed"),
        ("another count", failing, 1, "found:    {severity: Low, key: {user: alice}, count: 1"),
        ("unknown field", RULE.replace("audit.verb", "audit.vreb"), 1, "did you mean `audit.verb`?"),
        ("no such spec field", RULE.replace("title:", "titel:"), 2, "titel"),
        ("broken YAML", RULE.replace("selectors:", "selectors: ["), 2, "rule.yaml"),
        ("other version", RULE.replace("v1alpha1", "v1"), 2, "apiVersion must be kubewitness.io/v1alpha1"),
        ("no rule in it", "kind: ConfigMap\n".to_owned(), 2, "holds no ClusterSecurityRule"),
        (
            "a log line of Audit",
            RULE.replace("event: {verb: delete, user: {username: alice}}", "log: x"),
            1,
            "`log` is a line, so `source` is Node, Web or Container",
        ),
    ];
    let early =
        RULE.replace("{event: {verb", "{at: 1m, event: {verb").replace("expect:", "advanceTo: 59s\n    expect:");
    let early = ("time ends before an input", early, 1, "`advanceTo` lies before the last input");
    for (name, rule, code, wanted) in cases.into_iter().chain([early]) {
        let dir = with_rule(&rule);
        let output = run(dir.path(), &["test", "rule.yaml"], "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{name}: {shown}{}", text(&output.stderr));
        assert!(shown.contains(wanted), "{name}: {shown}");
    }
}

#[test]
fn warnings_are_shown_with_place_and_remedy_and_fail_only_when_asked_to() {
    let dir = with_rule(&RULE.replace(
        r#"audit.verb == "delete""#,
        r#"'audit.verb == "delete" && audit.verb != "get" || audit.requestObject.a != 1'"#,
    ));
    for (arguments, code) in [(&["test", "rule.yaml"][..], 0), (&["test", "--deny-warnings", "rule.yaml"][..], 1)] {
        let output = run(dir.path(), arguments, "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        let wanted = [
            "warn  rule.yaml: deletions:\n      NegatedDynamic: spec.selectors[deleted].where:1:50: `audit.requestObject.a` may be",
            "read it as `audit.?requestObject.?a.orValue(…)`",
            "      audit.verb == \"delete\" && audit.verb != \"get\" || audit.requestObject.a != 1\n",
            "1 passed, 0 failed, 1 warning(s)",
        ];
        for wanted in wanted {
            assert!(shown.contains(wanted), "{wanted}\n{shown}");
        }
    }
}

#[test]
fn one_bad_file_hides_no_other() {
    let dir = with_rule(RULE);
    fs::write(dir.path().join("bad.yaml"), "a: [").unwrap();
    fs::write(dir.path().join("other.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n").unwrap();
    let output = run(dir.path(), &["test", "-v", "."], "");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(shown.contains("ok    ./rule.yaml: deletions: a delete is seen"), "{shown}");
    assert!(shown.contains("bad.yaml"), "{shown}");
}

#[test]
fn replay_takes_lines_lists_and_pretty_lists_alike() {
    let dir = with_rule(RULE);
    let (one, two, other) = (event("1", "delete"), event("2", "delete"), event("3", "get"));
    let list = format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{one},{other},{two}]}}"#);
    let pretty: serde_json::Value = serde_json::from_str(&list).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    let line_of = |needle: &str| pretty.lines().position(|line| line.contains(needle)).unwrap() as u64 + 1;
    let cases = [
        ("lines", format!("{one}\n{other}\n{two}\n"), vec![1, 3]),
        ("no newline at the end", format!("{one}\n{two}"), vec![1, 2]),
        ("a list on one line", format!("{list}\n"), vec![1]),
        ("lists and lines", format!("{list}\n{}\n", event("4", "delete")), vec![1, 2]),
        ("an array", format!("[{one},\n{other},{two}]\n{}", event("4", "delete")), vec![1, 2, 3]),
        ("a byte order mark and blank lines", format!("\u{feff}{one}\n\n{two}\n\n"), vec![1, 3]),
    ];
    for (name, input, records) in cases {
        let output = run(dir.path(), &["replay", "--rules", "rule.yaml", "--output", "jsonl", "-"], &input);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        let alert: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(alert["records"], serde_json::json!(records), "{name}");
    }
    let output = run(dir.path(), &["replay", "--rules", "rule.yaml", "--output", "jsonl"], &pretty);
    let alert: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(alert["count"], 2);
    let begins = |id: &str| {
        let at = line_of(&format!("\"auditID\": \"{id}\"")) as usize;
        pretty.lines().take(at).collect::<Vec<_>>().iter().rposition(|line| line.trim() == "{").unwrap() as u64 + 1
    };
    assert_eq!(alert["records"], serde_json::json!([begins("1"), begins("2")]));
}

#[test]
fn replay_prints_an_alert_with_all_that_was_promised() {
    let dir = with_rule(RULE);
    fs::write(dir.path().join("audit.log"), event("1", "delete")).unwrap();
    let output = run(dir.path(), &["replay", "--rules", "rule.yaml", "--output", "jsonl", "audit.log"], "");
    assert_eq!(
        text(&output.stdout),
        concat!(
            r#"{"rule":"deletions","namespace":"","severity":"Low","attack":[],"key":{"user":"alice"},"count":1,"#,
            r#""firstSeen":"2026-03-01T10:00:00Z","lastSeen":"2026-03-01T10:00:00Z","#,
            r#""summary":"Something deleted: alice","records":[1]}"#,
            "\n"
        )
    );
    let as_it_reads = run(dir.path(), &["replay", "--output", "jsonl", "--rules", "rule.yaml", "audit.log"], "");
    assert_eq!(as_it_reads.stdout, output.stdout);
    let table = text(&run(dir.path(), &["replay", "--rules", "rule.yaml", "--", "audit.log"], "").stdout);
    assert!(table.starts_with("SEVERITY") && table.contains("Something deleted: alice"), "{table}");
}

#[test]
fn replay_reads_packed_logs_and_says_what_could_not_be_evaluated() {
    let dir = with_rule(
        &RULE.replace(r#"audit.verb == "delete""#, r#"audit.verb == "delete" || audit.requestObject.a == 1"#),
    );
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(format!("{}\n{}\n", event("1", "delete"), event("2", "get")).as_bytes()).unwrap();
    fs::write(dir.path().join("audit.log.gz"), packed.finish().unwrap()).unwrap();
    let output = run(dir.path(), &["replay", "--rules", "rule.yaml", "--output", "jsonl", "audit.log.gz"], "");
    let alert: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &alert["count"]), (Some(0), &serde_json::json!(1)));
    let said = text(&output.stderr);
    assert!(
        said.contains("rule deletions: 1 evaluation(s) ended without a value") && said.contains("requestObject"),
        "{said}"
    );
}

#[test]
fn replay_leaves_out_what_is_no_event_and_says_so() {
    let dir = with_rule(RULE);
    let input = format!("{}\nnot json\n{{\"a\":1}}\n{}\n", event("1", "delete"), event("2", "delete"));
    let output = run(dir.path(), &["replay", "--rules", "rule.yaml", "--output", "jsonl", "-"], &input);
    assert_eq!(output.status.code(), Some(0));
    let alert: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(alert["records"], serde_json::json!([1, 4]));
    let said = text(&output.stderr);
    assert!(said.contains("line 2") && said.contains("line 3") && said.contains("2 left out"), "{said}");
}

#[test]
fn replay_of_nothing_and_replay_with_bad_rules() {
    let dir = with_rule(RULE);
    let nothing = run(dir.path(), &["replay", "--rules", "rule.yaml", "--output", "jsonl", "-"], "");
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(0), 0), "{}", text(&nothing.stderr));
    fs::write(dir.path().join("rule.yaml"), RULE.replace("audit.verb", "audit.vreb")).unwrap();
    let refused = run(dir.path(), &["replay", "--rules", "rule.yaml", "-"], "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("did you mean `audit.verb`?"), "{}", text(&refused.stderr));
    fs::write(dir.path().join("rule.yaml"), RULE).unwrap();
    let unreadable = run(dir.path(), &["replay", "--rules", "rule.yaml", "-"], "no audit log\n");
    assert_eq!(unreadable.status.code(), Some(2));
    let missing = run(dir.path(), &["replay", "--rules", "rule.yaml", "nope.log"], "");
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn shipped_rules_pass_their_tests() {
    let output = run(Path::new(env!("CARGO_MANIFEST_DIR")), &["test", "manifests/rules"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn rule_in_the_readme_passes_its_test() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rule = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let output = run(with_rule(rule).path(), &["test", "-v", "rule.yaml"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn a_test_that_finds_too_little_names_the_key_that_is_empty() {
    let dir = with_rule(&RULE.replace("{verb: delete, user: {username: alice}}", "{verb: delete}"));
    let output = run(dir.path(), &["test", "rule.yaml"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("selector deleted takes 1 event(s) whose key \"user\" is empty"), "{said}");
}
