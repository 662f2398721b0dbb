//! Raw bytes to alerts on one core, as a whole and stage by stage.

use std::{hint::black_box, sync::Arc, time::Duration};

use jiff::Timestamp;
use kubewitness::{
    correlate::{Correlator, Limits},
    detect::{Detected, detect},
    enrich::{Inventory, enrich},
    event::{AuditEvent, Event},
    normalise::Normaliser,
    pipeline::{Pipeline, PipelineConfig},
    record::{IdKey, Origin, Payload, Provenance, Record},
    redact::{self, Input},
    ruleset::{CompiledRule, Ruleset},
};

use crate::{
    Scale,
    measure::{Report, rounds, timed},
};

/// Events that go through one stage before the next: they stay in the caches.
const BATCH: usize = 32;

fn origin() -> Origin {
    Origin { cluster: "prod".into(), reporter: "cp-1".into(), provenance: Provenance::AuditWebhook }
}

/// When the event of this place is received: the corpus has one each few milliseconds from the start of 2026.
pub fn received(place: usize) -> Timestamp {
    Timestamp::from_millisecond(1_767_225_600_000 + 3 * place as i64).expect("a bench is shorter than centuries")
}

fn input(raw: &str) -> Input<'_> {
    Input { bytes: raw.as_bytes(), oversize: false }
}

pub fn record(raw: &str, place: usize) -> Record {
    redact::record(redact::audit_event(input(raw)), raw.as_bytes(), &origin(), received(place), &IdKey::OFFLINE)
}

pub fn run(report: &mut Report, scale: &Scale, rules: &[Arc<CompiledRule>], raw: &[String]) {
    let bytes: usize = raw.iter().map(String::len).sum();
    report.set("bytes_per_event", bytes as f64 / raw.len() as f64);
    stages(report, scale, rules, raw);
    let whole = rounds(scale.rounds, || {
        let mut pipeline = Pipeline::new(PipelineConfig::default());
        rules.iter().for_each(|rule| pipeline.accept(Arc::clone(rule)));
        pipeline.push(0, &record(raw.first().map_or("", String::as_str), 0)); // makes the index
        let run = || {
            for (place, raw) in raw.iter().enumerate() {
                pipeline.push(place as u64, &record(raw, place));
            }
        };
        let took = timed(run).0;
        black_box(pipeline.counters().events);
        (took, raw.len())
    });
    report.time("pipeline_ns_per_event", whole);
    // As the bar counts: without the keyed hash that the record's id is, which the row below includes.
    report.set("pipeline_events_per_second_core", 1e9 / (whole.best - report.get("stage_id_ns")));
    report.set("pipeline_with_id_events_per_second_core", 1e9 / whole.best);
    report.set("pipeline_mib_per_second_core", bytes as f64 / raw.len() as f64 / whole.best * 1e9 / (1 << 20) as f64);
}

/// What each stage took in one round.
#[derive(Default)]
struct Took {
    redact: Duration,
    id: Duration,
    decode: Duration,
    normalise: Duration,
    enrich: Duration,
    detect: Duration,
    correlate: Duration,
}

fn stages(report: &mut Report, scale: &Scale, rules: &[Arc<CompiledRule>], raw: &[String]) {
    let ruleset = Ruleset::new(rules.to_vec());
    ruleset.index();
    let all: Vec<Took> = (0..scale.rounds).map(|_| round(&ruleset, raw)).collect();
    type Of = fn(&Took) -> Duration;
    let parts: [(&str, Of); 7] = [
        ("stage_redact_ns", |t| t.redact),
        ("stage_id_ns", |t| t.id),
        ("stage_decode_ns", |t| t.decode),
        ("stage_decode_and_normalise_ns", |t| t.normalise),
        ("stage_enrich_ns", |t| t.enrich),
        ("stage_detect_ns", |t| t.detect),
        ("stage_correlate_ns", |t| t.correlate),
    ];
    for (name, part) in parts {
        let mut taken = all.iter().map(part);
        report.time(name, rounds(all.len(), || (taken.next().unwrap_or_default(), raw.len())));
    }
    // Of the best rounds: a difference within one round is as good as its noise.
    let both = report.get("stage_decode_and_normalise_ns");
    report.set("stage_normalise_ns", both - report.get("stage_decode_ns"));
}

fn round(ruleset: &Ruleset, raw: &[String]) -> Took {
    let mut took = Took::default();
    let (origin, inventory, normaliser) = (origin(), Inventory::default(), Normaliser::default());
    let mut correlator = Correlator::new(Limits::default());
    for (number, batch) in raw.chunks(BATCH).enumerate() {
        let (time, redacted) = timed(|| batch.iter().map(|raw| redact::audit_event(input(raw))).collect::<Vec<_>>());
        took.redact += time;
        let identified = || {
            let each = redacted.into_iter().zip(batch).enumerate();
            each.map(|(n, (outcome, raw))| {
                redact::record(outcome, raw.as_bytes(), &origin, received(number * BATCH + n), &IdKey::OFFLINE)
            })
            .collect::<Vec<Record>>()
        };
        let (time, records) = timed(identified);
        took.id += time;
        took.decode += timed(|| records.iter().for_each(decode)).0;
        let (time, mut events) =
            timed(|| records.iter().filter_map(|r| normaliser.event(r)).collect::<Vec<Event<'_>>>());
        took.normalise += time;
        took.enrich += timed(|| events.iter_mut().for_each(|event| enrich(event, &inventory))).0;
        let (time, detected) =
            timed(|| events.iter().map(|event| detect(ruleset, event, 1)).collect::<Vec<Detected>>());
        took.detect += time;
        let correlated = || {
            for (detected, record) in detected.into_iter().zip(&records) {
                if !detected.matches.is_empty() {
                    black_box(correlator.step(detected.matches));
                }
                correlator.expire(record.received_at);
            }
        };
        took.correlate += timed(correlated).0;
    }
    took
}

fn decode(record: &Record) {
    if let Payload::Audit(raw) = &record.payload {
        black_box(AuditEvent::read(raw.get()).is_ok());
    }
}
