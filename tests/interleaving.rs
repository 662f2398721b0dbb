//! Alerts are a function of what happened, not of who told first: random streams of both sides of a cluster, received in
//! many orders, with repeats and crashes, raise the same alerts to the last word. The shipped rules and some of our own.
//!
//! `KUBEWITNESS_SEED=N` begins with stream N, which is what a failure names; `make soak` sets it, and for how long to go on.

mod orders;
mod stories;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    sync::Arc,
};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use kubewitness::{
    alert::BookConfig,
    api::ClusterSecurityRule,
    correlate::{Limits, TICK},
    pipeline::{Pipeline, PipelineConfig},
    record::{Payload, Record, RecordId, RedactionFacts, RuleId, Seq},
    ruleset::{
        CompiledRule,
        compile::{RuleSource, compile},
    },
};
use orders::{Order, orders};
use serde_json::{Value, json};
use stories::{Input, inventory, stream};

use crate::{soak, support::repository};

/// Streams of a round.
const STREAMS: u64 = 8;
const STORIES: usize = 24;

/// Steps of both sides in any order, counts of distinct values, repeats of a step, what stays away and what is new: what the
/// shipped joint rules leave out.
const OWN_RULES: [&str; 5] = [
    r#"{metadata: {name: own-unordered}, spec: {title: t, severity: Medium, selectors: [
        {name: login, source: Node, where: 'event.action == "ssh-login" && event.outcome == "success"'},
        {name: secrets, source: Audit, where: 'audit.objectRef.resource == "secrets" && source.node.name != ""'},
        {name: trouble, source: Node, where: 'event.action in ["apparmor-denied", "seccomp-kill", "user-added"]'}],
      groupBy: [{name: node, from: [{selector: login, value: host.name}, {selector: secrets, value: source.node.name}, {selector: trouble, value: host.name}]}],
      detection: {type: Sequence, sequence: {within: 15m, ordered: false, steps: [{selector: login}, {selector: secrets, count: 2}, {selector: trouble}]}},
      alert: {summary: '{login.count} {login.user.name} {secrets.count} {secrets.user.name} {trouble.event.action} on {key.node}', resolveAfter: 5m}}}"#,
    r#"{metadata: {name: own-distinct}, spec: {title: t, severity: Medium, selectors: [
        {name: call, source: Audit, where: 'source.node.name != ""'}],
      groupBy: [{name: node, value: source.node.name}],
      detection: {type: Threshold, threshold: {count: 3, distinct: user.name, within: 10m}},
      alert: {summary: '{call.count} calls from {key.node}, at last by {call.user.name}', resolveAfter: 2m}}}"#,
    r#"{metadata: {name: own-absence}, spec: {title: t, severity: Medium, selectors: [
        {name: login, source: Node, where: 'event.action == "ssh-login" && event.outcome == "success"'},
        {name: call, source: Audit, where: 'source.node.name != ""'}],
      groupBy: [{name: node, from: [{selector: login, value: host.name}, {selector: call, value: source.node.name}]}],
      detection: {type: Absence, absence: {selector: call, after: login, within: 6m}},
      alert: {summary: '{login.count} logins to {key.node} without a call, at last {login.user.name}', resolveAfter: 5m}}}"#,
    r#"{metadata: {name: own-silence}, spec: {title: t, severity: Medium, selectors: [
        {name: call, source: Audit, where: 'true'}],
      groupBy: [{name: user, value: user.name}],
      detection: {type: Absence, absence: {selector: call, within: 20m}},
      alert: {summary: '{key.user} was last seen at {call.event.created}', resolveAfter: 5m}}}"#,
    r#"{metadata: {name: own-new}, spec: {title: t, severity: Medium, selectors: [
        {name: login, source: Node, where: 'event.action == "ssh-login" && source.ip != ""'},
        {name: call, source: Audit, where: 'source.ip != ""'}],
      groupBy: [{name: user, value: user.name}],
      detection: {type: NewValue, newValue: {value: source.ip, learnFor: 10m, forgetAfter: 40m}},
      alert: {summary: '{key.user} from {new.value}, {new.known} known since {new.since}', resolveAfter: 5m}}}"#,
];

fn rules() -> Vec<Arc<CompiledRule>> {
    let mut texts: Vec<String> = OWN_RULES.map(str::to_owned).into();
    for directory in ["node", "joint"] {
        let files = fs::read_dir(repository("manifests/rules").join(directory)).unwrap();
        texts.extend(files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    let compiled = |text: &String| {
        let mut value: Value = serde_saphyr::from_str(text).unwrap();
        value["apiVersion"] = "kubewitness.io/v1alpha1".into();
        value["kind"] = "ClusterSecurityRule".into();
        let rule: ClusterSecurityRule = serde_json::from_value(value).unwrap();
        let id = RuleId::cluster(rule.metadata.name.as_deref().unwrap());
        let name = id.name.clone();
        let source = RuleSource { id, generation: 1, spec: rule.spec.0 };
        Arc::new(compile(&source).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let rules: Vec<_> = texts.iter().map(compiled).collect();
    assert!(rules.len() >= 17, "{} rules", rules.len());
    rules
}

fn start() -> Timestamp {
    "2026-11-25T02:00:00Z".parse().unwrap()
}

fn pipeline(rules: &[Arc<CompiledRule>], within_lateness: bool) -> Pipeline {
    let mut config = PipelineConfig::offline();
    if within_lateness {
        config.limits = Limits::default();
    }
    config.book = BookConfig { keep_all_contributions: true, ..config.book };
    let mut pipeline = Pipeline::new(config);
    rules.iter().for_each(|rule| pipeline.accept(Arc::clone(rule)));
    for record in inventory(start() - SignedDuration::from_hours(1)) {
        pipeline.push(0, &record);
    }
    pipeline
}

/// The log that an order makes.
fn log(inputs: &[Input], order: &Order) -> Vec<Record> {
    let mut known = HashSet::new();
    let records = order.log.iter().map(|(place, received)| inputs[*place].record(*place as u64, *received));
    records.filter(|record| known.insert(record.id) || !order.store_drops).collect()
}

/// All that alerts say, by their names. Log positions differ by order, so the records at them stand for them.
type Alerts = BTreeMap<String, Value>;

fn alerts(pipeline: &Pipeline, log: &[Record]) -> Alerts {
    let now = end();
    let record = |seq: &Seq| log[usize::try_from(*seq).unwrap() - 1].id.to_string();
    let whole = |alert: &kubewitness::alert::Alert| {
        let contributing: BTreeSet<String> = alert.contributions().iter().map(record).collect();
        json!({
            "spec": alert.spec(), "status": alert.status(now, None), "severity": alert.severity().to_string(),
            "count": alert.total_count(), "first": alert.total_first_seen(), "last": alert.total_last_seen(),
            "forgotten": alert.forgotten_episodes(), "contributing": contributing,
        })
    };
    pipeline.alerts().map(|alert| (alert.id.to_string(), whole(alert))).collect()
}

/// When all are read: long after the last deadline.
fn end() -> Timestamp {
    start() + SignedDuration::from_hours(4)
}

/// What the controller records while nothing else is, from `from` on.
fn ticks(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Record> {
    let times = (1..).map(move |n| from + TICK * n).take_while(move |at| *at < to);
    times.map(|received_at| Record {
        id: RecordId([0; 16]),
        received_at,
        origin: None,
        facts: RedactionFacts::default(),
        payload: Payload::Tick,
    })
}

fn read(pipeline: &mut Pipeline, log: &[Record]) {
    let mut clock = log.first().map_or(end(), |record| record.received_at);
    for (seq, record) in (1..).zip(log) {
        ticks(clock, record.received_at).for_each(|tick| pipeline.push(0, &tick));
        pipeline.push(seq, record);
        clock = record.received_at;
    }
    ticks(clock, end()).for_each(|tick| pipeline.push(0, &tick));
    pipeline.end(Some(end()));
    let state = pipeline.correlator().counters();
    assert_eq!((state.late, state.evicted, state.evicted_from_full_key), (0, 0, 0), "the state was too small");
    assert!(pipeline.failures().is_empty(), "rules without a value: {:?}", pipeline.failures());
    assert_eq!((pipeline.counters().unreadable, pipeline.counters().rules_refused), (0, 0));
}

/// What differs, alert by alert and field by field.
fn difference(expected: &Alerts, found: &Alerts) -> Option<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut wrong = Vec::new();
    for name in names {
        match (expected.get(name), found.get(name)) {
            (Some(expected), None) => wrong.push(format!("missing: {name} {}", expected["status"]["summary"])),
            (None, Some(found)) => wrong.push(format!("more: {name} {}", found["status"]["summary"])),
            (Some(Value::Object(expected)), Some(Value::Object(found))) => {
                let fields = expected.iter().filter(|(field, value)| found[*field] != **value);
                wrong.extend(fields.map(|(field, value)| format!("{name} {field}: {value}\n  is {}", found[field])));
            }
            _ => unreachable!(),
        }
    }
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

/// Reads a stream in every order, and over again after a crash; gives its alerts.
fn same_in_every_order(rules: &[Arc<CompiledRule>], seed: u64) -> Result<Alerts, String> {
    let mut random = Rng::with_seed(seed);
    let inputs = stream(&mut random, start(), SignedDuration::from_hours(2), STORIES);
    let mut expected: Option<Alerts> = None;
    for order in orders(&inputs, &mut random) {
        let log = log(&inputs, &order);
        let mut pipeline = pipeline(rules, order.within_lateness);
        read(&mut pipeline, &log);
        let found = alerts(&pipeline, &log);
        let expected = expected.get_or_insert_with(|| found.clone());
        let told = |what: &str, difference: String| {
            let all: String = inputs.iter().map(|input| format!("{}\n", input.shown())).collect();
            Err(format!("KUBEWITNESS_SEED={seed}, {}{what}:\n{difference}\nof\n{all}", order.name))
        };
        if let Some(difference) = difference(expected, &found) {
            return told("", difference);
        }
        // The process ends anywhere; the next one reads the log from its start, and what came after.
        let mut crashed = self::pipeline(rules, order.within_lateness);
        read(&mut crashed, &log[..random.usize(..=log.len())]);
        crashed = self::pipeline(rules, order.within_lateness);
        read(&mut crashed, &log);
        if let Some(difference) = difference(expected, &alerts(&crashed, &log)) {
            return told(" after a crash", difference);
        }
    }
    Ok(expected.unwrap_or_default())
}

/// What compares alerts sees each single input that they are made of.
#[test]
fn one_input_less_yields_other_alerts() {
    let (rules, mut random) = (rules(), Rng::with_seed(1));
    let inputs = stream(&mut random, start(), SignedDuration::from_hours(2), STORIES);
    let log = log(&inputs, &orders(&inputs, &mut random)[0]);
    let of = |log: &[Record]| {
        let mut pipeline = pipeline(&rules, true);
        read(&mut pipeline, log);
        alerts(&pipeline, log)
    };
    let all = of(&log);
    let mut contributing = all.values().flat_map(|alert| alert["contributing"].as_array().unwrap());
    for _ in 0..8 {
        let lost = contributing.nth(random.usize(..8)).unwrap().as_str().unwrap();
        let rest: Vec<Record> = log.iter().filter(|record| record.id.to_string() != lost).cloned().collect();
        assert_eq!(rest.len() + 1, log.len());
        assert!(difference(&all, &of(&rest)).is_some(), "{lost} was not missed");
    }
}

#[test]
fn any_interleaving_yields_the_same_alerts() {
    let rules = rules();
    for first in soak::rounds(STREAMS) {
        let mut raised: BTreeMap<String, usize> = BTreeMap::new();
        for seed in first..first.saturating_add(STREAMS) {
            let found = same_in_every_order(&rules, seed).unwrap_or_else(|wrong| panic!("{wrong}"));
            for alert in found.values() {
                *raised.entry(alert["spec"]["ruleRef"]["name"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        println!("alerts of {STREAMS} streams from KUBEWITNESS_SEED={first}: {raised:?}");
        // Streams in which nothing happens would be the same in any order too.
        for (rule, least) in [
            ("brute-force-then-cluster-secrets", 3),
            ("exec-then-node-trouble", 4),
            ("node-credentials-used-after-ssh-login", 4),
            ("web-exploit-then-api-access", 2),
            ("ssh-brute-force", 3),
            ("own-unordered", 1),
            ("own-distinct", 1),
            ("own-absence", 3),
            ("own-silence", 3),
            ("own-new", 3),
        ] {
            let count = raised.get(rule).copied().unwrap_or(0);
            assert!(count >= least, "KUBEWITNESS_SEED={first}: {rule} raised {count} alerts of {raised:?}");
        }
    }
}
