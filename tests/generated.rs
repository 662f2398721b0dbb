//! Every generated file equals what `kubewitness generate` prints, and no file beside them is left over.

use std::{collections::BTreeSet, fs, path::Path};

use kubewitness::generate::{GeneratedFile, files};

/// Directories in which every file is generated.
const GENERATED: [&str; 12] = [
    "crds",
    "manifests/rbac",
    "docs/reference",
    "docs/rules",
    "docs/runbooks",
    "manifests/prometheus",
    "charts/kubewitness/files/crds",
    "charts/kubewitness/files/rbac",
    "charts/kubewitness-rules/files/audit",
    "charts/kubewitness-rules/files/node",
    "charts/kubewitness-rules/files/joint",
    "charts/kubewitness-rules/files/log-sources",
];
/// Generated files among others.
const SINGLE: [&str; 4] = [
    "charts/kubewitness/README.md",
    "charts/kubewitness-rules/README.md",
    "charts/kubewitness/files/alerts.yaml",
    "charts/kubewitness/files/dashboard.json",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `None` when equal, else the first line that differs.
fn difference(path: &str, expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (mut generated, mut on_disk) = (expected.lines(), found.lines());
    for number in 1.. {
        let (want, have) = (generated.next(), on_disk.next());
        if want != have {
            let show = |line: Option<&str>| line.map_or("the end of the file".to_owned(), |l| format!("{l:?}"));
            return Some(format!("{path}:{number}: has {} where `make generate` writes {}", show(have), show(want)));
        }
        if want.is_none() {
            break;
        }
    }
    Some(format!("{path}: differs in its line ends"))
}

#[test]
fn every_generated_file_is_up_to_date() {
    let mut wrong = Vec::new();
    for GeneratedFile { path, text } in files(root()).unwrap() {
        match fs::read_to_string(root().join(&path)) {
            Ok(found) => wrong.extend(difference(&path, &text, &found)),
            Err(error) => wrong.push(format!("{path}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}\nrun `make generate` and commit the result", wrong.join("\n"));
}

#[test]
fn no_file_stands_among_the_generated_ones() {
    let known: BTreeSet<String> = files(root()).unwrap().iter().map(|file| file.path.clone()).collect();
    for directory in GENERATED.iter().filter(|directory| root().join(directory).is_dir()) {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                continue;
            }
            let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
            assert!(known.contains(&path), "{path} is not written by `make generate`: move it or delete it");
        }
    }
    for path in &known {
        let inside = GENERATED.iter().any(|d| path.starts_with(&format!("{d}/"))) || SINGLE.contains(&path.as_str());
        assert!(inside, "{path} is outside of {GENERATED:?} and {SINGLE:?}");
    }
}

#[test]
fn a_difference_names_its_line() {
    for (case, expected, found, message) in [
        ("equal", "a\nb\n", "a\nb\n", None),
        ("changed", "a\nb\n", "a\nc\n", Some("x.yaml:2: has \"c\" where `make generate` writes \"b\"")),
        ("shorter", "a\nb\n", "a\n", Some("x.yaml:2: has the end of the file where `make generate` writes \"b\"")),
        ("longer", "a\n", "a\nb\n", Some("x.yaml:2: has \"b\" where `make generate` writes the end of the file")),
        ("line end", "a\n", "a", Some("x.yaml: differs in its line ends")),
    ] {
        assert_eq!(difference("x.yaml", expected, found).as_deref(), message, "{case}");
    }
}
