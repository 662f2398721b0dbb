//! The worst that a source can cost: each of the hostile corpus is compiled, and evaluated over an event with a large body.
//! What counts is the slowest of them, each at its best round, and how much that is over what a plain expression takes.

#[path = "../tests/language/hostile/corpus.rs"]
mod corpus;

use std::hint::black_box;

use kubewitness::{
    enrich::{Inventory, enrich},
    event::Event,
    normalise,
    record::Record,
    ruleset::expr::{Expected, Program, Steps, Variables},
};

use crate::{
    Scale,
    measure::{Report, rounds, timed},
};

/// The most that a source may take, in milliseconds.
pub const BAR: f64 = 50.0;
/// What people write.
const PLAIN: &str =
    "audit.verb == 'create' && audit.objectRef.resource in ['pods', 'deployments'] && !user.name.startsWith('system:')";

pub fn run(report: &mut Report, scale: &Scale, records: &[Record]) {
    let inventory = Inventory::default();
    // The event with the most text: what a source can make most of.
    let Some(mut event) = records.iter().filter_map(normalise::event).max_by_key(|event| event.message().len()) else {
        return;
    };
    enrich(&mut event, &inventory);
    let sources: Vec<String> = corpus::worst().into_iter().step_by(scale.hostile_step).collect();
    let mut each: Vec<(f64, &str)> =
        sources.iter().map(|source| (cost(source, &event, scale.hostile_rounds), source.as_str())).collect();
    each.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
    for (took, source) in
        each.iter().take(std::env::var("KUBEWITNESS_HOSTILE_SHOWN").ok().and_then(|n| n.parse().ok()).unwrap_or(0))
    {
        println!("{took:>12.2} ms  {:?}", source.chars().take(120).collect::<String>());
    }
    let plain = cost(PLAIN, &event, scale.rounds);
    let worst = each.first().map_or(0.0, |(took, _)| *took);
    report.set("compile_hostile_worst_ms", worst);
    report.set("compile_plain_ms", plain);
    report.ratio("compile_hostile_worst_over_plain", "compile_hostile_worst_ms", "compile_plain_ms");
}

/// Milliseconds to compile a source and to evaluate it if it compiles.
fn cost(source: &str, event: &Event<'_>, times: usize) -> f64 {
    let once = || {
        let compiled = Program::compile(source, Expected::Any, &Variables::default());
        if let Ok(program) = &compiled {
            drop(black_box(program.eval(event, &mut Steps::default())));
        }
        drop(black_box(compiled));
    };
    rounds(times, || (timed(once).0, 1)).best / 1e6
}
