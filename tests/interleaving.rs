//! Alerts are a function of what happened, not of who told first: random streams of both sides of a cluster, received in
//! many orders, with repeats and crashes, raise the same alerts to the last word. The shipped rules and some of our own
//! here; random rules in `random`.
//!
//! `KUBEWITNESS_SEED=N` begins with stream N, which is what a failure names; `make soak` sets it, and for how long to go on.

mod definition;
mod orders;
mod random;
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

/// Streams of a round in CI, and of a long one.
const STREAMS: [u64; 2] = [3, 8];
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

fn config(within_lateness: bool) -> PipelineConfig {
    let mut config = PipelineConfig::offline();
    if within_lateness {
        config.limits = Limits::default();
    }
    config.book = BookConfig { keep_all_contributions: true, ..config.book };
    config
}

fn pipeline(rules: &[Arc<CompiledRule>], within_lateness: bool) -> Pipeline {
    let mut pipeline = Pipeline::new(config(within_lateness));
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

fn alerts(pipeline: &Pipeline, log: &[Record], now: Timestamp) -> Alerts {
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
fn end(inputs: &[Input]) -> Timestamp {
    inputs.last().map_or(start(), |input| input.at) + SignedDuration::from_hours(1)
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

/// The log with the ticks that stand between its records.
fn with_ticks(log: &[Record], end: Timestamp) -> Vec<(Seq, Record)> {
    let mut all = Vec::new();
    let mut clock = log.first().map_or(end, |record| record.received_at);
    for (seq, record) in (1..).zip(log) {
        all.extend(ticks(clock, record.received_at).map(|tick| (0, tick)));
        all.push((seq, record.clone()));
        clock = record.received_at;
    }
    all.extend(ticks(clock, end).map(|tick| (0, tick)));
    all
}

fn push(pipeline: &mut Pipeline, records: &[(Seq, Record)]) {
    records.iter().for_each(|(seq, record)| pipeline.push(*seq, record));
}

/// As `replay` reads: many events are seen before the first of them is taken in.
fn push_in_batches(pipeline: &mut Pipeline, records: &[(Seq, Record)], random: &mut Rng) {
    let mut rest = records;
    while let Some((seq, record)) = rest.first() {
        if matches!(record.payload, Payload::Tick) {
            pipeline.push(*seq, record);
            rest = &rest[1..];
            continue;
        }
        let events = rest.iter().take_while(|(_, record)| !matches!(record.payload, Payload::Tick)).count();
        let (batch, after) = rest.split_at(random.usize(1..=events));
        let seen: Vec<_> = batch.iter().map(|(seq, record)| pipeline.see(*seq, record)).collect();
        seen.into_iter().for_each(|seen| pipeline.take_in(seen));
        rest = after;
    }
}

fn read(pipeline: &mut Pipeline, log: &[Record], end: Timestamp) {
    push(pipeline, &with_ticks(log, end));
    finish(pipeline, end);
}

fn finish(pipeline: &mut Pipeline, end: Timestamp) {
    pipeline.end(Some(end));
    let state = pipeline.correlator().counters();
    assert_eq!((state.late, state.evicted, state.evicted_from_full_key), (0, 0, 0), "the state was too small");
    assert!(pipeline.failures().is_empty(), "rules without a value: {:?}", pipeline.failures());
    assert_eq!((pipeline.counters().unreadable, pipeline.counters().rules_refused), (0, 0));
}

/// The same pipeline, from what it wrote down.
fn restored(pipeline: &Pipeline, seq: Seq, within_lateness: bool) -> (Pipeline, Seq) {
    let mut written = Vec::new();
    pipeline.snapshot(seq).write(&mut written).unwrap();
    Pipeline::restore(config(within_lateness), written.as_slice()).unwrap_or_else(|error| panic!("{error}"))
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

/// In which orders the process also ends and begins again: that is most of the work.
#[derive(Clone, Copy)]
enum Restarts {
    InEachOrder,
    InSomeOrders,
}

/// Reads inputs in every order, over again after a crash, and on from a snapshot; gives their alerts.
fn same_in_every_order(
    rules: &[Arc<CompiledRule>],
    inputs: &[Input],
    random: &mut Rng,
    restarts: Restarts,
) -> Result<Alerts, String> {
    let end = end(inputs);
    let mut expected: Option<Alerts> = None;
    for order in orders(inputs, random) {
        let log = log(inputs, &order);
        let mut pipeline = pipeline(rules, order.within_lateness);
        read(&mut pipeline, &log, end);
        let found = alerts(&pipeline, &log, end);
        let expected = expected.get_or_insert_with(|| found.clone());
        let restarts = match restarts {
            Restarts::InEachOrder => true,
            Restarts::InSomeOrders => random.u8(0..4) == 0,
        };
        let mut all = vec![(String::new(), found)];
        if restarts {
            all.push((" after a crash".to_owned(), after_a_crash(rules, &log, &order, end, random)));
            all.push(from_a_snapshot(rules, &log, &order, end, random));
        }
        for (what, found) in all {
            if let Some(difference) = difference(expected, &found) {
                let all: String = inputs.iter().map(|input| format!("{}\n", input.shown())).collect();
                return Err(format!("{}{what}:\n{difference}\nof\n{all}", order.name));
            }
        }
    }
    Ok(expected.unwrap_or_default())
}

/// The process ends anywhere; the next one reads the log from its start, and what came after, in batches.
fn after_a_crash(
    rules: &[Arc<CompiledRule>],
    log: &[Record],
    order: &Order,
    end: Timestamp,
    random: &mut Rng,
) -> Alerts {
    push(&mut pipeline(rules, order.within_lateness), &with_ticks(&log[..random.usize(..=log.len())], end));
    let mut next = pipeline(rules, order.within_lateness);
    push_in_batches(&mut next, &with_ticks(log, end), random);
    finish(&mut next, end);
    alerts(&next, log, end)
}

/// Its state was written down somewhere: the next one goes on from there, or, where nothing is ever late, from any place
/// before it.
fn from_a_snapshot(
    rules: &[Arc<CompiledRule>],
    log: &[Record],
    order: &Order,
    end: Timestamp,
    random: &mut Rng,
) -> (String, Alerts) {
    let all = with_ticks(log, end);
    let known = random.usize(..=all.len());
    let from = if order.within_lateness || random.bool() { known } else { random.usize(..=known) };
    let mut first = pipeline(rules, order.within_lateness);
    push(&mut first, &all[..known]);
    let (mut second, seq) = restored(&first, known as Seq, order.within_lateness);
    assert_eq!(seq, known as Seq);
    push_in_batches(&mut second, &all[from..], random);
    finish(&mut second, end);
    (format!(" from a snapshot after {known} records, read on from record {from}"), alerts(&second, log, end))
}

/// What compares alerts sees each single input that they are made of.
#[test]
fn one_input_less_yields_other_alerts() {
    let (rules, mut random) = (rules(), Rng::with_seed(1));
    let inputs = stream(&mut random, start(), SignedDuration::from_hours(2), STORIES);
    let log = log(&inputs, &orders(&inputs, &mut random)[0]);
    let end = end(&inputs);
    let of = |log: &[Record]| {
        let mut pipeline = pipeline(&rules, true);
        read(&mut pipeline, log, end);
        alerts(&pipeline, log, end)
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
    let streams = STREAMS[usize::from(soak::is_long())];
    for first in soak::rounds(streams) {
        let mut raised: BTreeMap<String, usize> = BTreeMap::new();
        for seed in first..first.saturating_add(streams) {
            let mut random = Rng::with_seed(seed);
            let inputs = stream(&mut random, start(), SignedDuration::from_hours(2), STORIES);
            let found = same_in_every_order(&rules, &inputs, &mut random, Restarts::InSomeOrders)
                .unwrap_or_else(|wrong| panic!("KUBEWITNESS_SEED={seed}, {wrong}"));
            for alert in found.values() {
                *raised.entry(alert["spec"]["ruleRef"]["name"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        println!("alerts of {streams} streams from KUBEWITNESS_SEED={first}: {raised:?}");
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
            let is_enough = count >= least || !soak::is_counted(first);
            assert!(is_enough, "KUBEWITNESS_SEED={first}: {rule} raised {count} alerts of {raised:?}");
        }
    }
}
