//! The rules that we ship: each file is one rule that reads, says what on-call needs, and proves itself both ways.

mod refusals;
mod ways_around;

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use kubewitness::{
    api::{ClusterSecurityRule, Span, rule::DetectionType, rule_test::RuleTest},
    offline::rule_files,
    pipeline::rule_test::run,
    record::RuleId,
    ruleset::{
        compile::{RuleSource, compile},
        lint::lint,
    },
};

fn shipped() -> Vec<(String, ClusterSecurityRule)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/rules");
    let mut rules = Vec::new();
    for (directory, least) in [("audit", 50), ("node", 8), ("joint", 4)] {
        let before = rules.len();
        for entry in fs::read_dir(top.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let rule = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            rules.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), rule));
        }
        assert!(rules.len() - before >= least, "{directory}: {} rules", rules.len() - before);
    }
    rules
}

#[test]
fn each_file_is_a_rule_of_its_name_that_explains_itself() {
    for (file, rule) in shipped() {
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

/// What may join the two sides of a cluster is what the lines and events themselves show: such a rule names both.
#[test]
fn each_joint_rule_has_steps_of_two_sources_and_tells_of_both() {
    let joint: Vec<_> = shipped().into_iter().filter(|(_, rule)| sources(rule).len() > 1).collect();
    assert!(joint.len() >= 4, "{} joint rules", joint.len());
    for (file, rule) in joint {
        let spec = &rule.spec.0;
        let named: BTreeSet<_> = spec
            .selectors
            .iter()
            .filter(|selector| spec.alert.summary.contains(&format!("{{{}.", selector.name)))
            .map(|selector| selector.source.as_str())
            .collect();
        assert_eq!(named, sources(&rule), "{file}: its summary must tell of each side");
        assert!(spec.tests.iter().any(|test| test.inventory.is_some()), "{file}: no test with an inventory");
        let late = |test: &RuleTest| !test.expect.is_empty() && test.input.iter().any(|input| input.received.is_some());
        assert!(spec.tests.iter().any(late), "{file}: no test in which one side comes late");
    }
}

/// Seconds that a controller waits for what is late.
const LATENESS: i64 = 300;

/// Sources are as late as a controller waits for them, and a test's alerts are the same for each order of receipt. Left out are the
/// types that are decided once, when nothing can come in time any more: for those that is no promise.
#[test]
fn each_rule_says_the_same_whatever_is_received_first() {
    let mut random = fastrand::Rng::with_seed(4);
    for (file, rule) in shipped() {
        if matches!(rule.spec.0.detection.type_, DetectionType::Absence | DetectionType::NewValue) {
            continue;
        }
        let source = RuleSource { id: RuleId::cluster(&file), generation: 1, spec: rule.spec.0 };
        let compiled = Arc::new(compile(&source).unwrap());
        for test in &source.spec.tests {
            for round in 0..8 {
                let mut test = test.clone();
                for input in &mut test.input {
                    // Behind the last one's own time, since an event of the future would be clamped.
                    let span = (input.every.as_signed() * i32::try_from(input.repeat).unwrap()).as_secs();
                    let written = u64::try_from(input.at.as_signed().as_secs() + span).unwrap();
                    let late = (span < LATENESS).then(|| random.u64(..=u64::try_from(LATENESS - span).unwrap()));
                    input.received = late.map(|late| Span::from_secs(written + late));
                }
                let found = run(&compiled, &test);
                assert!(found.is_ok(), "{file}, {}, order {round}: {}", test.name, found.unwrap_err());
            }
        }
    }
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Array, Object};
    match value {
        Object(members) => {
            members.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// An API server takes nulls out of what it keeps: the tests of a rule, which run in the controller too, must not depend on them.
#[test]
fn each_rule_proves_itself_without_the_nulls_that_a_cluster_takes_out() {
    for (file, rule) in shipped() {
        let source = RuleSource { id: RuleId::cluster(&file), generation: 1, spec: rule.spec.0 };
        let compiled = Arc::new(compile(&source).unwrap());
        for test in &source.spec.tests {
            let kept = without_nulls(serde_json::to_value(test).unwrap());
            let found = run(&compiled, &serde_json::from_value(kept).unwrap());
            assert!(found.is_ok(), "{file}, {}: {}", test.name, found.unwrap_err());
        }
    }
}

fn sources(rule: &ClusterSecurityRule) -> BTreeSet<&'static str> {
    rule.spec.0.selectors.iter().map(|selector| selector.source.as_str()).collect()
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
