//! The rules that we ship: each file is one rule that reads, says what on-call needs, and proves itself both ways.

use std::{fs, path::Path};

use kubewitness::{api::ClusterSecurityRule, offline::rule_files, ruleset::lint::lint};

fn shipped() -> Vec<(String, ClusterSecurityRule)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/rules/audit");
    let mut rules = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let rule = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        rules.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), rule));
    }
    rules
}

#[test]
fn each_file_is_a_rule_of_its_name_that_explains_itself() {
    let rules = shipped();
    assert!(rules.len() >= 6, "{} rules", rules.len());
    for (file, rule) in rules {
        let spec = &rule.spec.0;
        assert_eq!(rule.metadata.name.as_deref(), Some(file.as_str()));
        assert!(!spec.attack.is_empty(), "{file}: no ATT&CK id");
        assert!(spec.description.contains("Check first:"), "{file}: the description must say what to check first");
        assert!(!spec.false_positives.is_empty(), "{file}: no false positive named");
        assert!(!spec.alert.summary.is_empty(), "{file}: no summary");
        assert!(!spec.group_by.is_empty(), "{file}: no groupBy, so that all its findings would be one alert");
    }
}

#[test]
fn each_rule_has_two_tests_that_fire_and_two_that_stay_quiet() {
    for (file, rule) in shipped() {
        let (quiet, firing): (Vec<_>, Vec<_>) = rule.spec.0.tests.iter().partition(|test| test.expect.is_empty());
        assert!(firing.len() >= 2 && quiet.len() >= 2, "{file}: {} fire, {} stay quiet", firing.len(), quiet.len());
    }
}

#[test]
fn shipped_rules_draw_no_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/rules");
    let (files, errors) = rule_files::read(&directory);
    assert!(errors.is_empty() && files.len() >= 6, "{errors:?}, {} rules", files.len());
    let warnings: Vec<String> = files
        .iter()
        .flat_map(|file| lint(&file.source).into_iter().map(|warning| format!("{}: {warning}", file.path.display())))
        .collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
}
