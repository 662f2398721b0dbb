//! `kubewitness replay` as a user runs it: the release binary over a file of audit events, as an API server writes its log.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
};

use kubewitness::ruleset::compile::RuleSource;
use serde_json::{Value, json};

use crate::{Scale, measure::Report};

const EVENT: &str = r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#;

/// Events a second by number of rules and threads, the best of some rounds.
pub fn run(report: &mut Report, scale: &Scale, sources: &[RuleSource], raw: &[String]) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay");
    std::fs::create_dir_all(&dir).expect("cargo's folder for such files can be written to");
    let log = dir.join("audit.log");
    let bytes = write_log(&log, raw, scale.replayed).expect("the log fits on the disk");
    report.set("replay_bytes_per_event", bytes as f64 / scale.replayed as f64);
    for count in [scale.rules[0], scale.rules[1]] {
        let rules = dir.join(format!("{count}.yaml"));
        let documents: Vec<String> =
            sources.iter().take(count).map(|source| format!("--- {}\n", document(source))).collect();
        std::fs::write(&rules, documents.concat()).expect("the rules fit on the disk");
        for threads in [1, 2] {
            let best = (0..scale.replays).map(|_| seconds(&dir, &rules, &log, threads)).fold(f64::INFINITY, f64::min);
            let name = format!("replay_{count}_rules_{threads}_threads_events_per_second");
            report.set(name, scale.replayed as f64 / best);
        }
    }
    std::fs::remove_dir_all(&dir).expect("what was written can be removed");
}

/// So many events, with stamps and ids of their own; gives the bytes.
fn write_log(path: &Path, raw: &[String], events: usize) -> std::io::Result<usize> {
    let mut log = BufWriter::new(File::create(path)?);
    let mut bytes = 0;
    for number in 0..events {
        let text = raw.get(number % raw.len()).map_or("", String::as_str);
        let (_, fields) = text.split_at(1);
        let (head, tail) = fields.split_once("\"auditID\":\"").unwrap_or((fields, ""));
        // A repeated event would be dropped as a duplicate.
        let (_, tail) = tail.split_at(8);
        let line = format!("{{{EVENT}{head}\"auditID\":\"{number:08x}{tail}\n");
        bytes += line.len();
        log.write_all(line.as_bytes())?;
    }
    log.flush()?;
    Ok(bytes)
}

fn document(source: &RuleSource) -> Value {
    json!({
        "apiVersion": "kubewitness.io/v1alpha1",
        "kind": source.id.kind.as_str(),
        "metadata": {"name": &*source.id.name, "namespace": &*source.id.namespace},
        "spec": source.spec,
    })
}

/// Of reading the log, without compiling rules: as `--summary` has it.
fn seconds(dir: &Path, rules: &Path, log: &Path, threads: usize) -> f64 {
    let summary = dir.join("summary.json");
    let output = Command::new(env!("CARGO_BIN_EXE_kubewitness"))
        .args(["replay", "--output", "jsonl", "--threads", &threads.to_string(), "--summary"])
        .arg(&summary)
        .arg("--rules")
        .arg(rules)
        .arg("--")
        .arg(log)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(summary).expect("replay writes its summary");
    let summary: Value = serde_json::from_str(&text).expect("the summary is JSON");
    assert_eq!(summary["rejected"], 0, "{text}");
    summary["seconds"].as_f64().unwrap_or(f64::NAN)
}
