//! `kubewitness replay` on several threads, its summary, and inputs that end early.

use std::{fs, path::Path};

use serde_json::Value;

use super::{RULE, event, run, text, with_rule};

/// What is printed, on both channels.
fn printed(dir: &Path, threads: &str, input: &str) -> (String, String) {
    let arguments = ["replay", "--rules", "rules", "--output", "jsonl", "--threads", threads, "-"];
    let output = run(dir, &arguments, input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

const FAILED: &str = r#"
apiVersion: kubewitness.io/v1alpha1
kind: ClusterSecurityRule
metadata: {name: failed}
spec:
  title: Logins failed
  severity: Low
  selectors:
  - {name: failed, source: Node, where: event.outcome == "failure"}
  groupBy: [{name: address, value: source.ip}]
  detection: {type: Threshold, threshold: {selector: failed, count: 3, within: 1m}}
"#;

/// Some batches of everything that one record may owe to another: repeated events, stamps without a year, broken places.
fn mixed() -> String {
    let mut random = fastrand::Rng::with_seed(11);
    let mut lines: Vec<String> = Vec::new();
    for number in 0..6_000_usize {
        let second = number / 10;
        let clock = format!("{:02}:{:02}:{:02}", 10 + second / 3600, second / 60 % 60, second % 60);
        let line = match random.u32(..20) {
            // Without a receipt: their year is that of the record before, which is the first envelope's.
            0..4 => format!(
                r#"{{"source":"Node","host":"node-{}","file":"/var/log/auth.log","log":"Mar  1 {clock} node sshd[7]: Failed password for root from 203.0.113.{} port {number} ssh2"}}"#,
                random.u32(..3),
                random.u32(1..9)
            ),
            4 => "no JSON".to_owned(),
            5 if number > 100 => lines[random.usize(..number)].clone(),
            _ => {
                let verb = if random.u32(..9) == 0 { "delete" } else { "get" };
                event(&number.to_string(), verb)
                    .replace("2026-03-01T10:00:00", &format!("2019-03-01T{clock}"))
                    .replace("alice", &format!("user-{}", random.u32(..5)))
                    .replace(r#""level":"#, &format!(r#""userAgent":"{}","level":"#, "x".repeat(random.usize(..400))))
            }
        };
        lines.push(line);
    }
    let first = r#"{"source":"Node","host":"node-1","file":"/var/log/auth.log","received":"2019-03-01T09:59:00Z","log":"Mar  1 09:59:00 node sshd[7]: Connection closed by 203.0.113.1 port 1 [preauth]"}"#;
    format!("{first}\n{}\n", lines.join("\n"))
}

#[test]
fn any_number_of_threads_gives_the_same_alerts() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    fs::write(dir.path().join("rules/deletions.yaml"), RULE).unwrap();
    fs::write(dir.path().join("rules/failed.yaml"), FAILED).unwrap();
    let input = mixed();
    assert!(input.len() > 6 * 256 * 1024, "{} bytes are too few batches", input.len());
    let (alerts, said) = printed(dir.path(), "1", &input);
    let parsed: Vec<Value> = alerts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |rule: &str| parsed.iter().filter(|alert| alert["rule"] == rule).count();
    assert_eq!((of("deletions"), of("failed")), (5, 8), "{alerts}");
    assert!(parsed.iter().all(|alert| alert["firstSeen"].as_str().unwrap().starts_with("2019-03-01T")), "{alerts}");
    assert!(said.contains("left out: line "), "{said}");
    for threads in ["2", "3", "8"] {
        assert_eq!(printed(dir.path(), threads, &input), (alerts.clone(), said.clone()), "{threads} threads");
    }
}

#[test]
fn lines_of_a_log_file_get_their_year_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    fs::write(dir.path().join("rules/failed.yaml"), FAILED).unwrap();
    // Each is dated by the one before, over a turn of the year that is long past.
    let mut log =
        "2016-12-30T23:00:00.000000+00:00 node sshd[1]: Connection closed by 203.0.113.1 port 1 [preauth]\n".to_owned();
    for minute in 0..5_000 {
        let (month, day) =
            if minute < 2_880 { ("Dec", 31 - (1 - minute / 1_440)) } else { ("Jan", minute / 1_440 - 1) };
        let clock = format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
        for second in 0..3 {
            let line = format!(
                "{month} {day:>2} {clock}:{second:02} node sshd[1]: Failed password for root from 203.0.113.{} port 1 ssh2\n",
                minute / 1_000
            );
            log.push_str(&line);
        }
    }
    fs::write(dir.path().join("auth.log"), &log).unwrap();
    let on = |threads: &str| {
        let arguments = [
            "replay",
            "--rules",
            "rules",
            "--output",
            "jsonl",
            "--threads",
            threads,
            "--lines",
            "node",
            "--",
            "auth.log",
        ];
        let output = run(dir.path(), &arguments, "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let one = on("1");
    assert_eq!(one.lines().count(), 5, "{one}");
    assert!(
        one.contains(r#""firstSeen":"2016-12-30T00:00:00Z""#) && one.contains(r#""lastSeen":"2017-01-02T"#),
        "{one}"
    );
    for threads in ["2", "3", "8"] {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}

#[test]
fn summary_says_what_became_of_the_input() {
    let dir = with_rule(RULE);
    let summary = |input: &str| -> Value {
        let arguments = ["replay", "--rules", "rule.yaml", "--output", "jsonl", "--summary", "summary.json", "-"];
        let output = run(dir.path(), &arguments, input);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(!text(&output.stderr).contains('\r'), "no progress without a terminal");
        let mut summary: Value =
            serde_json::from_str(&fs::read_to_string(dir.path().join("summary.json")).unwrap()).unwrap();
        let seconds = summary.as_object_mut().unwrap().remove("seconds").unwrap();
        assert!(seconds.as_f64().unwrap() >= 0.0);
        summary
    };
    let nothing = serde_json::json!({"events": 0, "matched": 0, "rejected": 0, "keyless": 0, "alerts": 0, "rules": 1});
    assert_eq!(summary(""), nothing);
    let input = [event("1", "delete"), event("2", "get"), "x".into(), event("1", "delete"), event("3", "delete")];
    let found = serde_json::json!({"events": 3, "matched": 2, "rejected": 1, "keyless": 0, "alerts": 1, "rules": 1});
    assert_eq!(summary(&input.join("\n")), found);
}

#[test]
fn what_joins_nothing_for_want_of_an_inventory_is_said() {
    let dir = with_rule(&RULE.replace("value: user.name", "value: source.node.name"));
    let inventory = "nodes:\n- {name: node-1, addresses: [203.0.113.7]}\n";
    fs::write(dir.path().join("inventory.yaml"), inventory).unwrap();
    let input = [event("1", "delete"), event("2", "get"), event("3", "delete")].join("\n");
    let input = input.replace(r#""responseStatus""#, r#""sourceIPs":["203.0.113.7"],"responseStatus""#);
    let replay = |more: &[&str]| {
        let plain = ["replay", "--rules", "rule.yaml", "--summary", "summary.json"];
        let output = run(dir.path(), &[&plain, more, &["-"]].concat(), &input);
        let summary = fs::read_to_string(dir.path().join("summary.json")).unwrap();
        (text(&output.stderr), serde_json::from_str::<Value>(&summary).unwrap()["keyless"].as_u64().unwrap())
    };
    let (said, keyless) = replay(&[]);
    assert!(said.contains("2 event(s)") && said.contains("--inventory FILE"), "{said}");
    let (with, joined) = replay(&["--inventory", "inventory.yaml"]);
    assert!(!with.contains("--inventory"), "{with}");
    assert_eq!((keyless, joined), (2, 0));
}

#[test]
fn what_can_t_be_read_ends_all_threads() {
    let dir = with_rule(RULE);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, mixed().as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    packed.truncate(packed.len() / 2);
    fs::write(dir.path().join("cut.gz"), packed).unwrap();
    for threads in ["1", "3"] {
        let output = run(dir.path(), &["replay", "--threads", threads, "--rules", "rule.yaml", "--", "cut.gz"], "");
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("reading cut.gz"), "{}", text(&output.stderr));
    }
    let none = run(dir.path(), &["replay", "--threads", "0", "--rules", "rule.yaml", "-"], "");
    assert_eq!(none.status.code(), Some(2));
}
