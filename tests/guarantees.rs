//! docs/guarantees.md names a test for each line of what holds: each of them exists, and each line has one.

use crate::support::repository;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of the functions below `#[test]` and its kin in all sources below `dir`.
pub fn tests_below(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tests_in(&fs::read_to_string(&path).unwrap(), names);
        }
    }
}

fn tests_in(text: &str, names: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let name =
            line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        match name {
            Some(name) if is_test => drop(names.insert(name.to_owned())),
            _ => {}
        }
        is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test") || (is_test && name.is_none());
    }
}

/// Words between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_guarantee_has_a_test_that_exists() {
    let mut tests = BTreeSet::new();
    for dir in ["src", "tests"] {
        tests_below(&repository(dir), &mut tests);
    }
    let page = include_str!("../docs/guarantees.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what holds"));
    let mut lines = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [promise, proof] = cells.as_slice() else { panic!("not two cells: {row}") };
        let named = quoted(proof);
        assert!(!named.is_empty(), "nothing shows that {promise}");
        for name in named {
            assert!(tests.contains(name), "no test {name}, which is to show that {promise}");
        }
        lines += 1;
    }
    assert!(lines > 30, "{lines} lines were read");
    assert!(tests.contains("every_guarantee_has_a_test_that_exists") && !tests.contains("quoted"));
}
