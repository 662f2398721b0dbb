//! Runs the tests that a rule carries through the whole pipeline: redaction, normalising, joining, detection, alerts.
//! The controller runs them before a rule goes live, `kubewitness test` runs them from files; both call `run_within`.

mod absent;
mod failed;
mod hint;
mod late;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

pub use self::failed::Failed;
use self::{absent::SetFields, late::Lags};
use super::{
    Counters, Pipeline, PipelineConfig, Seen, keyless,
    trial::{Cost, Exercised, MAX_INPUTS},
};
use crate::{
    alert::Alert,
    api::{
        Reason, RuleSpec,
        log_source::LineFormat,
        rule::{RuleMode, Source},
        rule_test::{ExpectedAlert, RuleTest, TestInput, TestInventory},
    },
    correlate::Limits,
    normalise::Normaliser,
    record::{
        IdKey, Incomplete, InventoryChange, Line, NodeFacts, Origin, PodFacts, Provenance, Record, RedactionFacts,
    },
    redact,
    ruleset::{
        CompiledRule,
        compile::{RuleError, RuleSource, compile},
    },
};

/// Compiles a rule and runs its tests: the one check before it goes live. What all tests of the rule cost is capped.
pub fn validate(source: &RuleSource) -> Result<Arc<CompiledRule>, RuleError> {
    let rule = Arc::new(compile(source)?);
    let mut cost = Cost::default();
    for test in &source.spec.tests {
        if let Err(difference) = run_within(&rule, test, &mut cost).0 {
            let field = format!("spec.tests[{}]", test.name);
            return Err(RuleError::one(Reason::TestsFailed, &field, difference.to_string()));
        }
    }
    Ok(rule)
}

/// The moment that offset 0s of a test stands for: 2026-01-01T00:00:00Z.
fn start() -> Timestamp {
    Timestamp::constant(1_767_225_600, 0)
}

/// Runs one test of `rule` in a pipeline of its own.
pub fn run(rule: &Arc<CompiledRule>, test: &RuleTest) -> Result<(), Failed> {
    run_within(rule, test, &mut Cost::default()).0
}

/// As `run`, after tests of the same rule that have cost `cost`; with what of the rule it exercised.
pub fn run_within(rule: &Arc<CompiledRule>, test: &RuleTest, cost: &mut Cost) -> (Result<(), Failed>, Exercised) {
    let mut exercised = Exercised::default();
    (attempt(rule, test, cost, &mut exercised), exercised)
}

/// The rule as its tests see it: evaluating and alerting. They say what it finds, and not whether it is asked to: else nobody
/// could suspend a rule that has tests.
fn at_work(rule: &Arc<CompiledRule>) -> Arc<CompiledRule> {
    if !rule.suspended && rule.mode == RuleMode::Alert {
        return Arc::clone(rule);
    }
    let spec = RuleSpec { suspend: false, mode: RuleMode::Alert, ..(*rule.spec).clone() };
    let source = RuleSource { id: rule.id.clone(), generation: rule.generation, spec };
    compile(&source).map_or_else(|_| Arc::clone(rule), Arc::new)
}

fn attempt(
    rule: &Arc<CompiledRule>,
    test: &RuleTest,
    cost: &mut Cost,
    exercised: &mut Exercised,
) -> Result<(), Failed> {
    cost.admit(test)?;
    let rule = &at_work(rule);
    let normaliser = || Normaliser { dates_lines_by_receipt: true, ..Normaliser::default() };
    let offline = PipelineConfig::offline();
    let limits = Limits { lateness: late::lateness(rule), ..offline.limits };
    let mut pipeline = Pipeline::new(PipelineConfig { normaliser: normaliser(), limits, ..offline });
    pipeline.accept(Arc::clone(rule));
    if let Some(inventory) = &test.inventory {
        for change in inventory_changes(inventory) {
            pipeline.inventory.apply(&change, start() - SignedDuration::from_hours(1));
        }
    }
    let (receipts, records): (Vec<Timestamp>, Vec<Record>) = received(rule, test)?.into_iter().unzip();
    let last = records.last().map(|record| record.received_at);
    let until = test.advance_to.map(|span| start() + span.as_signed());
    if until.is_some() && until < last {
        return Err(Failed::EndsEarly);
    }
    let mut lags = Lags::default();
    for (seq, (record, receipt)) in (1..).zip(records.iter().zip(receipts)) {
        let seen = Seen { received_at: receipt, ..pipeline.see(seq, record) };
        cost.charge(&seen)?;
        lags.check(rule, &seen)?;
        exercised.note(&seen);
        pipeline.take_in(seen);
    }
    pipeline.end(until);
    let found: Vec<&Alert> = pipeline.alerts().collect();
    let set = absent::set_fields(&test.expect, &found, &pipeline, &records)?;
    compare(&test.expect, &found, pipeline.counters(), &set).map_err(|difference| {
        match pipeline.failures().get(&rule.id) {
            Some((count, first)) => {
                Failed::Unevaluated { difference: Box::new(difference), count: *count, first: first.clone() }
            }
            None if rule.detection.waits() && found.len() < test.expect.len() => {
                Failed::Waits { difference: Box::new(difference), until: test.advance_to.is_some() }
            }
            None if pipeline.correlator().counters().late > 0 => {
                let late = pipeline.correlator().counters().late;
                let lateness = late::lateness(rule).unwrap_or_default();
                Failed::Dropped { difference: Box::new(difference), late, lateness }
            }
            None => match keyless::find(rule, &records, &normaliser(), &pipeline.inventory) {
                Some(keyless) => Failed::Keyless { difference: Box::new(difference), keyless },
                None => difference,
            },
        }
    })
}

/// What a test, or an inventory file, says of the cluster. A pod without a uid is known by namespace and name.
pub fn inventory_changes(inventory: &TestInventory) -> Vec<InventoryChange> {
    let nodes = inventory
        .nodes
        .iter()
        .map(|node| InventoryChange::Node(NodeFacts { name: node.name.clone(), addresses: node.addresses.clone() }));
    let pods = inventory.pods.iter().map(|pod| {
        let (kind, name) = pod.workload.split_once('/').unwrap_or(("", ""));
        let uid = if pod.uid.is_empty() { format!("{}/{}", pod.namespace, pod.name) } else { pod.uid.clone() };
        InventoryChange::Pod(PodFacts {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid,
            node: pod.node.clone(),
            addresses: pod.addresses.clone(),
            host_network: pod.host_network,
            service_account: pod.service_account.clone(),
            workload_kind: kind.to_owned(),
            workload_name: name.to_owned(),
            labels: pod.labels.clone(),
        })
    });
    nodes.chain(pods).collect()
}

/// The inputs as records, in the order of receipt.
pub fn records(rule: &CompiledRule, test: &RuleTest) -> Result<Vec<Record>, Failed> {
    Ok(received(rule, test)?.into_iter().map(|(_, record)| record).collect())
}

/// The same with the time of receipt, which a line's record does not tell: it dates the line by the input's own time.
fn received(rule: &CompiledRule, test: &RuleTest) -> Result<Vec<(Timestamp, Record)>, Failed> {
    let mut records = Vec::new();
    for (index, input) in test.input.iter().enumerate() {
        for round in 0..input.repeat.max(1) {
            let offset = input.at.as_signed() + input.every.as_signed() * i32::try_from(round).unwrap_or(i32::MAX);
            let at = start() + offset;
            let received = input.received.map_or(at, |span| start() + span.as_signed());
            records.push((received, record(rule, input, (index, round), at, received)?));
        }
    }
    records.sort_by_key(|(received, _)| *received);
    Ok(records)
}

fn record(
    rule: &CompiledRule,
    input: &TestInput,
    (index, round): (usize, u32),
    at: Timestamp,
    received: Timestamp,
) -> Result<Record, Failed> {
    let refuse = |problem: String| Failed::Input { index, problem };
    let event = match (&input.event, &input.log) {
        (Some(event), None) if input.source == Source::Audit => event,
        (None, Some(log)) if input.source != Source::Audit => {
            let seq = (index as u64) * MAX_INPUTS as u64 + u64::from(round);
            return Ok(line(input, log, at, seq));
        }
        (Some(_), Some(_)) => return Err(refuse("has both `event` and `log`: an input is one of them".to_owned())),
        (None, None) => return Err(refuse("has neither `event` (source Audit) nor `log`".to_owned())),
        (Some(_), None) => {
            let problem = format!("`event` is an audit event, so `source` is Audit and not {}", input.source.as_str());
            return Err(refuse(problem));
        }
        (None, Some(_)) => return Err(refuse("`log` is a line, so `source` is Node, Web or Container".to_owned())),
    };
    if let Some(unknown) = redact::unknown_field(&event.0) {
        let hint = hint::of(&unknown);
        return Err(refuse(format!("an audit event has no field {unknown}{hint}")));
    }
    let event = complete(event.0.clone(), &format!("test-{index}-{round}"), at, &rule.id.namespace);
    let bytes = serde_json::to_vec(&event).map_err(|error| refuse(error.to_string()))?;
    let origin = Origin { cluster: "test".into(), reporter: "test".into(), provenance: Provenance::AuditWebhook };
    let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
    if let Err(redact::Rejected(quarantined)) = &outcome {
        return Err(refuse(format!("is no audit event: {}", quarantined.error)));
    }
    let record = redact::record(outcome, &bytes, &origin, received, &IdKey::OFFLINE);
    if record.facts.incomplete.contains(&Incomplete::MistypedField) {
        return Err(refuse("a field of the event has another type than in an audit event".to_owned()));
    }
    Ok(record)
}

/// A line, as a collector would send it. A stamp in it is not looked at: the event's time is the input's, so that a test
/// can be written around recorded lines.
fn line(input: &TestInput, log: &str, at: Timestamp, seq: u64) -> Record {
    let (file, provenance) = match input.source {
        Source::Web => ("/var/log/nginx/access.log", Provenance::File),
        Source::Container => ("/var/log/pods/unknown", Provenance::Container),
        Source::Node | Source::Audit => ("/var/log/syslog", Provenance::File),
    };
    let file = if input.file.is_empty() { file } else { &input.file };
    let reporter = if input.host.is_empty() { "test" } else { &input.host };
    let origin = Origin { cluster: "test".into(), reporter: reporter.into(), provenance };
    let line = Line { source: input.source, file: file.into(), format: LineFormat::Auto, zone: None, text: "".into() };
    let place = redact::LinePlace { line, position: None, at: seq, facts: RedactionFacts::default() };
    redact::line_record(log.as_bytes(), place, &origin, at, &IdKey::OFFLINE)
}

/// Fills in what a partial audit event leaves out. A tenant's rule sees its own namespace alone, so an `objectRef` without
/// a namespace gets the rule's.
fn complete(mut event: Map<String, Value>, id: &str, at: Timestamp, namespace: &str) -> Map<String, Value> {
    let level = if event.contains_key("responseObject") {
        "RequestResponse"
    } else if event.contains_key("requestObject") {
        "Request"
    } else {
        "Metadata"
    };
    let verb = event.get("verb").and_then(Value::as_str).unwrap_or("get");
    let defaults = [
        ("auditID", json!(id)),
        ("level", json!(level)),
        ("stage", json!(default_stage(&event))),
        ("verb", json!(verb)),
        ("requestReceivedTimestamp", json!(at)),
        ("stageTimestamp", json!(at)),
        ("sourceIPs", json!(["192.0.2.1"])),
        ("responseStatus", json!({"code": if verb == "create" { 201 } else { 200 }})),
    ];
    for (name, value) in defaults {
        event.entry(name).or_insert(value);
    }
    if let Some(Value::Object(object)) = event.get_mut("objectRef")
        && !namespace.is_empty()
    {
        object.entry("namespace").or_insert(json!(namespace));
    }
    event
}

/// The stage by which rules see such a request, so that a test's author need not know of stages.
fn default_stage(event: &Map<String, Value>) -> &'static str {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_owned();
    let code = event.get("responseStatus").and_then(|s| s.get("code")).and_then(Value::as_i64).unwrap_or(200);
    let subresource = text(event.get("objectRef").and_then(|o| o.get("subresource")));
    let follows = subresource == "log" && text(event.get("requestURI")).contains("follow=true");
    let long_running = text(event.get("verb")) == "watch"
        || matches!(subresource.as_str(), "exec" | "attach" | "portforward" | "proxy")
        || follows;
    if code == 401 || (long_running && code < 400) { "ResponseStarted" } else { "ResponseComplete" }
}

fn compare(expected: &[ExpectedAlert], found: &[&Alert], counters: &Counters, set: &SetFields) -> Result<(), Failed> {
    let shown = |alerts: &[&Alert]| alerts.iter().map(|alert| show(alert, set)).collect();
    let (mut left, mut missing) = (found.to_vec(), Vec::new());
    // The most demanding expectations choose first, so that a vague one doesn't take their alert.
    let mut order: Vec<_> = expected.iter().collect();
    order.sort_by_key(|e| std::cmp::Reverse(demands(e)));
    for wanted in order {
        match left.iter().position(|alert| equals(wanted, alert) && set.allow(wanted, alert)) {
            Some(index) => drop(left.swap_remove(index)),
            None => missing.push(show_expected(wanted)),
        }
    }
    if expected.len() != found.len() {
        let (expected, found, surplus) = (expected.len(), found.len(), shown(&left));
        let (matched, events) = (counters.matched, counters.events);
        return Err(Failed::Count { expected, found, missing, surplus, matched, events });
    }
    match missing.into_iter().next() {
        Some(expected) => Err(Failed::Missing { expected, found: shown(found) }),
        None => Ok(()),
    }
}

fn demands(expected: &ExpectedAlert) -> usize {
    expected.key.len()
        + usize::from(expected.severity.is_some())
        + usize::from(expected.count.is_some())
        + usize::from(expected.summary.is_some())
        + expected.absent.len()
}

fn key_value<'a>(alert: &'a Alert, name: &str) -> Option<&'a str> {
    let index = alert.rule.key_names.iter().position(|n| **n == *name)?;
    alert.key.get(index).map(|value| &**value)
}

fn equals(wanted: &ExpectedAlert, alert: &Alert) -> bool {
    wanted.severity.is_none_or(|severity| severity == alert.severity())
        && wanted.count.is_none_or(|count| count == alert.total_count())
        && wanted.summary.as_ref().is_none_or(|summary| *summary == alert.summary())
        && wanted.key.iter().all(|(name, value)| key_value(alert, name) == Some(value.as_str()))
}

fn show(alert: &Alert, set: &SetFields) -> String {
    let key: Vec<_> =
        alert.rule.key_names.iter().zip(alert.key.iter()).map(|(name, value)| format!("{name}: {value}")).collect();
    format!(
        "{{severity: {}, key: {{{}}}, count: {}, summary: {:?}{}}}",
        alert.severity(),
        key.join(", "),
        alert.total_count(),
        alert.summary(),
        set.shown(alert)
    )
}

fn show_expected(expected: &ExpectedAlert) -> String {
    let mut parts = Vec::new();
    parts.extend(expected.severity.map(|severity| format!("severity: {severity}")));
    if !expected.key.is_empty() {
        let key: Vec<_> = expected.key.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        parts.push(format!("key: {{{}}}", key.join(", ")));
    }
    parts.extend(expected.count.map(|count| format!("count: {count}")));
    parts.extend(expected.summary.as_ref().map(|summary| format!("summary: {summary:?}")));
    if !expected.absent.is_empty() {
        parts.push(format!("absent: [{}]", expected.absent.join(", ")));
    }
    format!("{{{}}}", parts.join(", "))
}
