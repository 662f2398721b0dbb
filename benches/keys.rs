//! Memory of a Threshold rule with a million live keys, in a process of its own: what `correlate` keeps for two matches of
//! each key, neither complete nor old. And what a snapshot of it keeps evaluation waiting.

use std::{
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use kubewitness::{
    api::{
        RuleSpec,
        alert::{Entity, EntityKind},
        rule::Source,
    },
    correlate::{Correlator, Limits},
    detect::{Evidence, Match},
    event::Precision,
    record::{RecordId, RuleId},
    ruleset::compile::{RuleSource, compile},
};
use serde_json::json;

use crate::measure::resident_mib;

/// Of the child: how many keys.
pub const CHILD: &str = "KUBEWITNESS_BENCH_KEYS";

/// What the words of a million matches may take of the bar of 160 MiB; the rest is state that counts.
const MAX_TEXT_BYTES: u64 = 24 << 20;

/// What the child finds.
pub struct Found {
    /// What `keys` live keys take.
    pub mib: f64,
    /// How long taking a snapshot of them takes.
    pub snapshot_pause_ms: f64,
    /// The slowest of the events that come while it is held, and the chunks that they change are copied.
    pub snapshot_worst_step_ms: f64,
    /// How long another thread makes lines of it.
    pub snapshot_write_ms: f64,
}

/// Of so many keys, as a child of this process finds.
pub fn measured(keys: usize) -> Found {
    let this = std::env::current_exe().expect("a running program has a path");
    let output = Command::new(this).env(CHILD, keys.to_string()).output().expect("this program can be run again");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [mib, snapshot_pause_ms, snapshot_worst_step_ms, snapshot_write_ms] = numbers[..] else {
        panic!("the child printed {text:?}: {}", String::from_utf8_lossy(&output.stderr))
    };
    Found { mib, snapshot_pause_ms, snapshot_worst_step_ms, snapshot_write_ms }
}

/// Prints by how many MiB the process grew, and what a snapshot then takes.
pub fn child(keys: usize) {
    let spec = json!({
        "title": "refused", "severity": "Low",
        "selectors": [{"name": "denied", "source": "Audit", "where": "audit.responseStatus.code == 403"}],
        "groupBy": [{"name": "identity", "value": "user.name"}],
        "detection": {"type": "Threshold", "threshold": {"selector": "denied", "count": 10, "within": "60s"}},
        "alert": {"summary": "{key.identity} was refused {audit.verb} {audit.requestURI}"},
    });
    let spec: RuleSpec = serde_json::from_value(spec).expect("a rule");
    let rule =
        compile(&RuleSource { id: RuleId::cluster("burst"), generation: 1, spec }).expect("a rule that compiles");
    let rule = Arc::new(rule);
    let limits = Limits {
        lateness: Some(SignedDuration::from_mins(5)),
        max_entries: 4 * keys.max(1),
        max_entries_per_key: 1000,
        max_text_bytes: MAX_TEXT_BYTES,
    };
    let mut correlator = Correlator::new(limits);
    let before = resident_mib();
    for seq in 0..2 * keys as u64 {
        let number = seq % keys as u64;
        let findings = correlator.step(vec![refused(&rule, number, seq)]);
        assert!(findings.is_empty(), "two of ten are no burst");
    }
    let counters = correlator.counters();
    assert_eq!((counters.keys, counters.entries), (keys as u64, 2 * keys as u64), "all keys live");
    let mib = resident_mib() - before;
    let pause = Instant::now();
    let kept = correlator.keep();
    let pause = pause.elapsed();
    let mut worst = Duration::ZERO;
    for seq in 2 * keys as u64..2 * keys as u64 + (keys as u64).min(100_000) {
        // All over the state, as in life.
        let event = refused(&rule, seq.wrapping_mul(7_919) % keys as u64, seq);
        let step = Instant::now();
        black_box(correlator.step(vec![event]));
        worst = worst.max(step.elapsed());
    }
    let write = Instant::now();
    for part in kept.parts(|_| 0) {
        black_box(serde_json::to_vec(&part).expect("a part is JSON"));
    }
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{mib} {} {} {}", ms(pause), ms(worst), ms(write.elapsed()));
}

/// A match as `detect` makes them of a refused request.
fn refused(rule: &Arc<kubewitness::ruleset::CompiledRule>, number: u64, seq: u64) -> Match {
    let user = format!("system:serviceaccount:team-{}:app-{number}", number % 4000);
    let entity = |kind, namespace: String, name: String| Entity { kind, namespace, name };
    let evidence = Evidence {
        id: RecordId::of(&kubewitness::record::IdKey::OFFLINE, &[&seq.to_le_bytes()]),
        seq,
        times: 1,
        // All within the window: a million keys within a second.
        at: Timestamp::from_microsecond(1_767_225_600_000_000 + seq as i64 / 4)
            .expect("a bench is shorter than centuries"),
        precision: Precision::Micros,
        source: Source::Audit,
        host: "cp-1".into(),
        message: format!("{user} list secrets in team-{}: 403", number % 4000),
        entities: vec![
            entity(EntityKind::ServiceAccount, format!("team-{}", number % 4000), format!("app-{number}")),
            entity(EntityKind::Address, String::new(), format!("10.{}.{}.7", number % 256, number / 256 % 256)),
            entity(EntityKind::Resource, format!("team-{}", number % 4000), "secrets".into()),
        ],
        captures: vec![(1, "list".into()), (3, format!("/api/v1/namespaces/team-{}/secrets", number % 4000))],
    };
    Match {
        rule: Arc::clone(rule),
        selector: 0,
        key: Arc::from([Arc::from(user)]),
        distinct: None,
        evidence: Arc::new(evidence),
    }
}
