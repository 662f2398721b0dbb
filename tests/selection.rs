//! The index of conditions against evaluating every rule: the same matches, in the same order, whatever rules and events.

mod bodies;
#[path = "../benches/corpus.rs"]
pub mod corpus;
mod grammar;
#[path = "../benches/rules.rs"]
mod rules;

use std::path::Path;

use kubewitness::{
    detect::{Detected, detect, every_rule},
    enrich::{Inventory, enrich},
    normalise,
    offline::rule_files,
    record::{IdKey, InventoryChange, NodeFacts, Origin, Payload, Provenance, Record, RecordId},
    redact,
    ruleset::{
        CompiledRule, Ruleset,
        compile::{RuleSource, compile, compile_all},
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

use crate::soak;

fn origin() -> Origin {
    Origin { cluster: "prod".into(), reporter: "cp-1".into(), provenance: Provenance::AuditWebhook }
}

fn record(event: &str) -> Record {
    let input = redact::Input { bytes: event.as_bytes(), oversize: false };
    let received = "2026-01-01T00:00:00Z".parse().unwrap();
    let record = redact::record(redact::audit_event(input), event.as_bytes(), &origin(), received, &IdKey::OFFLINE);
    assert!(matches!(record.payload, Payload::Audit(_)), "{event}: {record:?}");
    record
}

fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let node = NodeFacts { name: "n1".into(), addresses: vec!["10.0.0.1".into()] };
    inventory.apply(&InventoryChange::Node(node), "2025-01-01T00:00:00Z".parse().unwrap());
    inventory
}

/// What a match is: its rule, its selector, its key, and its event.
fn told(detected: &Detected) -> Vec<(String, usize, Vec<String>, RecordId)> {
    let key = |m: &kubewitness::detect::Match| m.key.iter().map(|part| part.to_string()).collect();
    detected.matches.iter().map(|m| (m.rule.id.to_string(), m.selector, key(m), m.evidence.id)).collect()
}

/// Compares both ways over all events; gives how many matches there were, and how many evaluations failed.
fn compared(
    ruleset: &Ruleset,
    records: &[Record],
    inventory: &Inventory,
) -> Result<(usize, usize, usize), TestCaseError> {
    let mut found = (0, 0, 0);
    for (record, seq) in records.iter().zip(1..) {
        let mut event = normalise::event(record).expect("an audit record");
        enrich(&mut event, inventory);
        let (indexed, naive) = (detect(ruleset, &event, seq), every_rule(ruleset, &event, seq));
        prop_assert_eq!(told(&indexed), told(&naive), "{:?}", record.payload);
        // What is not evaluated can't fail.
        prop_assert!(indexed.failed.len() <= naive.failed.len());
        found = (found.0 + naive.matches.len(), found.1 + indexed.failed.len(), found.2 + naive.failed.len());
    }
    Ok(found)
}

fn ruleset(sources: &[RuleSource]) -> Ruleset {
    let (rules, refused) = compile_all(sources);
    assert!(refused.is_empty(), "{:?}", refused.first());
    Ruleset::new(rules)
}

/// As many rules that never match as it takes until the index tells kinds of requests apart, instead of asking one by one.
fn bystanders(first: usize) -> Vec<RuleSource> {
    (first..first + 64).map(|n| rule(n, format!(r#"user.name == "nobody-{n}""#))).collect()
}

fn any_rules_over_any_events(runner: &mut TestRunner) {
    let inventory = inventory();
    let others = compile_all(&bystanders(0)).0;
    let strategy = (prop::collection::vec(grammar::rule(), 1..10), prop::collection::vec(grammar::event(), 1..10));
    let outcome = runner.run(&strategy, |(rules, events)| {
        let sources: Vec<RuleSource> = rules.iter().enumerate().map(|(n, rule)| rule.source(n)).collect();
        // Some of what the grammar makes is refused, such as a comparison that can never hold.
        let rules: Vec<_> = sources.iter().filter_map(|source| compile(source).ok()).map(std::sync::Arc::new).collect();
        let records: Vec<Record> = events.iter().map(|event| record(&event.to_string())).collect();
        compared(&Ruleset::new(rules.clone()), &records, &inventory)?;
        let among_many = Ruleset::new(rules.into_iter().chain(others.iter().cloned()).collect());
        compared(&among_many, &records, &inventory)?;
        // What the index remembers of the kinds of these events must not change what it finds.
        compared(&among_many, &records, &inventory).map(|_| ())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn most_generated_rules_compile_and_some_match() {
    let mut runner = TestRunner::deterministic();
    let (mut compiled, mut all, mut matched) = (0, 0, 0);
    for _ in 0..60 {
        let mut new = |strategy: BoxedStrategy<grammar::Rule>| strategy.new_tree(&mut runner).unwrap().current();
        let source = new(grammar::rule().boxed()).source(0);
        all += 1;
        let Ok(rule) = compile(&source) else { continue };
        compiled += 1;
        let ruleset = Ruleset::new(vec![std::sync::Arc::new(rule)]);
        let events: Vec<Record> = (0..10)
            .map(|_| record(&grammar::event().boxed().new_tree(&mut runner).unwrap().current().to_string()))
            .collect();
        matched += compared(&ruleset, &events, &inventory()).unwrap().0;
    }
    assert!(compiled * 10 > all * 8, "{compiled} of {all} compile");
    assert!(matched > 20, "{matched} matches");
}

fn shipped() -> Vec<RuleSource> {
    let (files, errors) = rule_files::read(Path::new("manifests/rules/audit"));
    assert!(errors.is_empty(), "{errors:?}");
    files.into_iter().map(|file| file.source).collect()
}

#[test]
fn hundreds_of_rules_over_traffic_find_the_same() {
    let ruleset = ruleset(&rules::rules(shipped(), 300));
    let records: Vec<Record> = corpus::Corpus::new(3).events(150).iter().map(|event| record(event)).collect();
    compared(&ruleset, &records, &inventory()).unwrap();
}

#[test]
fn the_index_leaves_few_selectors_to_evaluate() {
    let ruleset = ruleset(&rules::rules(shipped(), 400));
    let events: Vec<Record> = corpus::Corpus::new(4).events(500).iter().map(|event| record(event)).collect();
    let candidates = |record: &Record| {
        let event = normalise::event(record).unwrap();
        ruleset.index().candidates(&event, None).len()
    };
    let evaluated: usize = events.iter().map(candidates).sum();
    // Of four hundred rules fewer than two are looked at for an event, although many look into the bodies of all workloads.
    assert!(evaluated < 2 * events.len(), "{evaluated} evaluations for {} events", events.len());
}

#[test]
fn a_text_in_a_body_finds_its_rule_among_many() {
    let ruleset = ruleset(&rules::rules(Vec::new(), 300));
    // Rules 1, 17, 33 ... ask for roles of these names.
    let binding = |n: usize, body: &str| {
        record(
            &serde_json::json!({"level": "RequestResponse", "stage": "ResponseComplete", "verb": "create", "user": {"username": "jane"},
                "requestURI": "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", "responseStatus": {"code": 201},
                "objectRef": {"apiGroup": "rbac.authorization.k8s.io", "resource": "rolebindings", "namespace": "shop", "name": "b"},
                body: {"kind": "RoleBinding", "roleRef": {"kind": "ClusterRole", "name": format!("role-{n}")}}})
            .to_string(),
        )
    };
    for (n, matches) in [(1, 1), (17, 1), (33, 1), (34, 0)] {
        for body in ["requestObject", "responseObject"] {
            let record = binding(n, body);
            assert_eq!(
                compared(&ruleset, std::slice::from_ref(&record), &inventory()).unwrap().0,
                matches,
                "role-{n} in {body}"
            );
            let candidates = ruleset.index().candidates(&normalise::event(&record).unwrap(), None);
            assert_eq!(candidates.len(), matches, "role-{n} in {body}: {candidates:?}");
        }
    }
}

fn rule(number: usize, condition: String) -> RuleSource {
    let spec = serde_json::json!({"title": "t", "severity": "Low", "groupBy": [{"name": "who", "value": "user.name"}],
        "selectors": [{"name": "seen", "source": "Audit", "where": condition}]});
    RuleSource {
        id: kubewitness::record::RuleId::cluster(&format!("r{number}")),
        generation: 1,
        spec: serde_json::from_value(spec).unwrap(),
    }
}

fn request() -> Record {
    record(
        r#"{"level": "Metadata", "stage": "ResponseComplete", "verb": "get", "user": {"username": "jane"}, "requestURI": "/",
            "responseStatus": {"code": 200}, "objectRef": {"resource": "pods", "namespace": "shop", "name": "b"}}"#,
    )
}

#[test]
fn more_kinds_of_requests_than_the_index_remembers_find_their_rules() {
    let conditions = (0..8).flat_map(|n| {
        [
            format!(r#"audit.verb == "v{n}""#),
            format!(r#"audit.objectRef.resource == "r{n}""#),
            format!(r#"audit.objectRef.subresource == "s{n}" && audit.verb != "v0""#),
            format!("audit.responseStatus.code == {}", 400 + n),
        ]
    });
    let mut sources: Vec<_> = conditions.enumerate().map(|(n, condition)| rule(n, condition)).collect();
    sources.extend(bystanders(sources.len()));
    let ruleset = ruleset(&sources);
    let record = request();
    let mut event = normalise::event(&record).unwrap();
    let empty = ruleset.index().memory();
    let mut kinds = 0;
    for (verb, resource, subresource) in (0..9 * 9 * 9).map(|n| (n % 9, n / 9 % 9, n / 81)) {
        for code in 399..409 {
            let audit = event.audit.as_deref_mut().unwrap();
            audit.verb = format!("v{verb}").into();
            let object = audit.object_ref.as_mut().unwrap();
            (object.resource, object.subresource) = (format!("r{resource}").into(), format!("s{subresource}").into());
            audit.response_status.as_mut().unwrap().code = code;
            assert_eq!(told(&detect(&ruleset, &event, 1)), told(&every_rule(&ruleset, &event, 1)), "{:?}", event.audit);
            kinds += 1;
        }
    }
    // Each would take more than a hundred bytes.
    assert!(kinds > 7000 && ruleset.index().memory() - empty < 1 << 20, "{}", ruleset.index().memory() - empty);
}

#[test]
fn a_value_that_has_no_place_in_the_keys_of_kinds_finds_its_rule() {
    let sources: Vec<RuleSource> =
        (0..700).map(|n| rule(n, format!(r#"audit.objectRef.resource == "r{n}" && audit.verb != "v{n}""#))).collect();
    let ruleset = ruleset(&sources);
    let record = request();
    let mut event = normalise::event(&record).unwrap();
    for n in [0, 255, 256, 511, 512, 699, 700] {
        let audit = event.audit.as_deref_mut().unwrap();
        audit.object_ref.as_mut().unwrap().resource = format!("r{n}").into();
        let found = ruleset.index().candidates(&event, None);
        assert_eq!(found.len(), usize::from(n < 700), "r{n}");
        assert_eq!(told(&detect(&ruleset, &event, 1)), told(&every_rule(&ruleset, &event, 1)), "r{n}");
    }
}

#[test]
fn rules_that_nobody_asked_cost_no_index_but_the_last() {
    let rules: Vec<std::sync::Arc<CompiledRule>> = compile_all(&rules::rules(Vec::new(), 40)).0.into_iter().collect();
    // What `accept` does for each of many rules; only an event makes the index.
    let rulesets: Vec<Ruleset> =
        (0..rules.len()).map(|n| Ruleset::new(rules.iter().take(n).cloned().collect())).collect();
    assert!(rulesets.iter().all(|ruleset| !ruleset.is_indexed()));
    let last = rulesets.last().unwrap();
    assert!(last.index().memory() > 0 && last.is_indexed());
}

#[test]
fn the_index_finds_what_every_rule_finds() {
    for seed in soak::rounds(1) {
        println!("rules and events of KUBEWITNESS_SEED={seed}");
        let config =
            Config { cases: 96, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
        any_rules_over_any_events(&mut TestRunner::new(config));
    }
}
