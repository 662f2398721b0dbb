//! What the demo and the tests need beyond make: found, or named.

use crate::support::prometheus_binaries;
use std::os::unix::fs::symlink;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testbed/prerequisites.sh");

#[test]
fn prerequisites_are_silent_where_all_is_there() {
    let output = Command::new(SCRIPT).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn missing_prerequisites_are_named_in_one_line() {
    let path = tempfile::tempdir().unwrap();
    for program in ["bash", "dirname", "head", "id", "sort"] {
        symlink(format!("/usr/bin/{program}"), path.path().join(program)).unwrap();
    }
    let output = Command::new("/usr/bin/bash").arg(SCRIPT).env_clear().env("PATH", path.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    for name in ["Rust", "Go 1.26", "gcc"] {
        assert!(said.contains(name), "{name} is not in: {said}");
    }
}

#[test]
fn promtool_is_there_without_an_installation() {
    let promtool = prometheus_binaries().unwrap().join("promtool");
    let output = Command::new(promtool).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("promtool, version "), "{output:?}");
}
