//! Generated expressions mean the same here and in the reference implementation: the same value, or the same kind of error.
//!
//! `KUBEWITNESS_SEED=N` begins with case N, which is what a failure names; `make soak` sets it, and for how long to go on.

use kubewitness::{event::Event, record::Record};

use super::{
    deviations,
    generate::{
        dice::Dice,
        generate,
        types::{Signature, signatures},
    },
    oracle::{self, Answer},
    values::sorted,
    worlds::{Kind, Outcome, World, any_record, events, paths},
};
use crate::soak;

/// Cases of a run in CI.
const CASES: u64 = 3000;
/// Cases over the same event or bindings.
const IN_A_WORLD: u64 = 250;
/// A case over this size is left out: ours has a bound of 4096 bytes, and nobody reads such a failure.
const LONGEST: usize = 2000;

struct Case<'w> {
    seed: u64,
    world: &'w World<'w>,
    expression: String,
    parts: Vec<String>,
}

fn of_oracle(answer: &Answer) -> Outcome {
    match &answer.value {
        Some(value) => Outcome::Value(sorted(value)),
        None if answer.compile.is_empty() => Outcome::Failed(Kind::of_theirs(&answer.error), answer.error.clone()),
        None => Outcome::Refused(answer.compile.replace('\n', " ")),
    }
}

/// Both answers to each. `None` over our budget.
pub fn answers(asked: &[(&World<'_>, &str)]) -> Vec<Option<(Outcome, Outcome)>> {
    let mut worlds: Vec<&World<'_>> = vec![];
    for (world, _) in asked {
        if !worlds.iter().any(|known| known.name == world.name) {
            worlds.push(world);
        }
    }
    let mut requests: Vec<_> = worlds.iter().map(|world| world.declaration()).collect();
    requests.extend(asked.iter().map(|(world, expression)| world.request(expression)));
    let theirs = oracle::ask(&requests);
    let both = |((world, expression), theirs): (&(&World<'_>, &str), &Answer)| {
        Some((world.evaluate(expression)?, of_oracle(theirs)))
    };
    asked.iter().zip(&theirs).map(both).collect()
}

fn cases<'w>(worlds: &'w [World<'w>], first: u64, functions: &[Signature]) -> Vec<Case<'w>> {
    let made = |seed: u64| {
        let world = &worlds[usize::try_from(seed / IN_A_WORLD - first / IN_A_WORLD).unwrap()];
        let made = generate(seed, functions, &world.variables);
        Case { seed, world, expression: made.expression, parts: made.parts }
    };
    (first..first + CASES).map(made).filter(|case| case.expression.len() <= LONGEST).collect()
}

/// The failures for a reader: of each case the shortest part that differs, both answers, the variables it names, and how to
/// see it again. A case is left out when that part differs as listed.
fn report(cases: &[&Case<'_>]) -> Vec<String> {
    let sorted = |case: &&Case<'_>| {
        let mut parts = case.parts.clone();
        parts.sort_by_key(String::len);
        parts.dedup();
        parts
    };
    let parts: Vec<Vec<String>> = cases.iter().map(sorted).collect();
    let asked: Vec<(&World<'_>, &str)> = cases
        .iter()
        .zip(&parts)
        .flat_map(|(case, parts)| parts.iter().map(|part| (case.world, part.as_str())))
        .collect();
    let mut answers = answers(&asked).into_iter();
    let mut failures = vec![];
    for (case, parts) in cases.iter().zip(&parts) {
        let both: Vec<_> = answers.by_ref().take(parts.len()).collect();
        let differs = |(part, both)| match both {
            Some((ours, theirs)) if !Outcome::agrees(&ours, &theirs) => Some((part, ours, theirs)),
            _ => None,
        };
        let (part, ours, theirs) = parts.iter().zip(both).find_map(differs).expect("the whole is a part");
        if !deviations::listed(part, &ours, &theirs) {
            failures.push(told(case, part, &ours, &theirs));
        }
    }
    failures
}

fn told(case: &Case<'_>, part: &str, ours: &Outcome, theirs: &Outcome) -> String {
    let named = |(name, _): &(&String, &serde_json::Value)| part.contains(name.as_str());
    let bound = case.world.bound.as_object().unwrap().iter().filter(named).map(|(n, v)| format!("\n    {n} = {v}"));
    let whole = if part == case.expression { String::new() } else { format!("\n    within {}", case.expression) };
    let (seed, bound) = (case.seed, bound.collect::<String>());
    format!("KUBEWITNESS_SEED={seed}: {part}\n    ours:   {ours:?}\n    oracle: {theirs:?}{whole}{bound}")
}

/// Compares `CASES` cases from a seed on; gives the differences and how many cases ended in a value, an error, a refusal.
fn compare(first: u64, functions: &[Signature]) -> (Vec<String>, [usize; 3]) {
    // A case's seed alone decides on its world, so it is the same in whatever run.
    let numbers: Vec<u64> = (first / IN_A_WORLD..=(first + CASES) / IN_A_WORLD).collect();
    let records: Vec<Record> = numbers.iter().map(|&n| any_record(&mut Dice::new(n))).collect();
    let events: Vec<Event<'_>> = events(&records);
    let world = |(&n, event)| {
        if n % 2 == 1 {
            return World::of_bindings(format!("world {n}"), &mut Dice::new(n));
        }
        let mut world = World::of_event(format!("world {n}"), event);
        world.variables.extend(paths());
        world
    };
    let worlds: Vec<World<'_>> = numbers.iter().zip(&events).map(world).collect();
    let cases = cases(&worlds, first, functions);
    let asked: Vec<(&World<'_>, &str)> = cases.iter().map(|case| (case.world, case.expression.as_str())).collect();
    let (mut wrong, mut kinds) = (vec![], [0; 3]);
    for (case, both) in cases.iter().zip(answers(&asked)) {
        let Some((ours, theirs)) = both else { continue };
        kinds[match ours {
            Outcome::Value(_) => 0,
            Outcome::Failed(..) => 1,
            Outcome::Refused(_) => 2,
        }] += 1;
        if !ours.agrees(&theirs) {
            wrong.push(case);
        }
    }
    (report(&wrong), kinds)
}

#[test]
fn generated_expressions_mean_the_same_as_in_the_reference_implementation() {
    let functions = signatures();
    for seed in soak::rounds(CASES) {
        let (wrong, kinds) = compare(seed, &functions);
        assert!(wrong.is_empty(), "{} of {kinds:?} cases differ:\n{}", wrong.len(), wrong.join("\n"));
        let [values, errors, refusals] = kinds;
        println!("from seed {seed}: {values} values, {errors} errors, {refusals} refusals, all alike");
        assert!(values > 1000 && errors > 100 && refusals > 100, "too few of a kind: {kinds:?}");
    }
}

/// Found by seeds: what once differed.
const ONCE: &[&str] = &[
    "-duration('1s')",
    "-dyn(duration('1s'))",
    "timestamp('2026-01-02T03:04:60Z')",
    "timestamp('2026-01-02T3:04:05Z')",
    "timestamp(9223372036854775807)",
    "duration(null)",
    "timestamp(0) - duration('-9223372036.854775808s')",
    "string(duration('1709251198.123456789s'))",
    "double('1e400')",
    "[].existsOne(x, true)",
    "[1].existsOne(i, x, true)",
    "[].max() + b'a'",
    "false ? -[].max() : duration('1s')",
    "true ? [].sort() : [true]",
    "optional.none().value().sum() - 1u",
    "math.sign(optional.none().orValue({})[1]) + 1.5",
    "math.ceil(1.5) - math.least(optional.unwrap([]))",
    "[].sortBy(x, x) + [1.5]",
    "[[], [1]].map(x, x.size())",
    "[[], ['a']].map(x, x.min())",
    "[].map(x, x.a)",
    "[0.0 / 0.0, 1.5].isSorted()",
    "[1, 'a'].min()",
    "['a', 1].max()",
    "dyn([1, optional.none()]).min()",
    "optional.ofNonZeroValue(optional.none())",
    "url('http://u@v@w/')",
    "url('http://a!b$&+,;=:c%20d@w/')",
    "url('http://[fe80::1%25en0]/')",
    "url('http://ex%C3%A9.com/')",
    "'aa'.findAll('(?P<n>a)(?P<n>a)')",
    "{1: 2}.a",
    "[ip('::1'), null][0] == null",
    "optional.none().optFlatMap(x, 1)",
    "dyn([1])[?0].orValue('a') + 1",
    "timestamp('2026-01-02T03:04:05.5+02:30').getMinutes()",
    "timestamp('2026-01-02T03:04:05-00:60')",
    "timestamp('2026-01-02T03:04:05.25+24:60')",
    "timestamp('2026-01-02T03:04:05+24:61')",
    "timestamp('2026-01-02T03:04:05+25:00')",
    "timestamp('2026-01-02T03:04:05+01:00Z')",
    "timestamp('2026-01-02T03:04:05.1234567899Z')",
    "timestamp('2026-01-02T03:04:05.000000000000000001+01:00')",
    "timestamp('2026-01-02T03:04:05.1234567891x')",
    "timestamp('2026-01-02T03:04:05.Z')",
    "timestamp('2026-01-02T03:04:05+01:00+01:00')",
    "timestamp('2026-01-02T03:04:05-0100')",
    "timestamp('2026-01-02T03:04:05-+1:00')",
    "timestamp('2026-01-02T03:04-01:00')",
    "timestamp('2026-01-02T03:04:05')",
    "timestamp('2026-01-02T03:04:05,5Z')",
    "timestamp('0001-01-01T00:00:00+01:00')",
    "timestamp('0001-01-01T00:00:00-01:00')",
    "dyn([2, 1]).sortBy(x, x).max() + b'a'",
    "dyn([2, 1]).sortBy(x, 1).max() + b'a'",
    "dyn([2, 1]).sortBy(x, x)",
    "dyn([]).sortBy(x, [].max()) + 1",
];

#[test]
fn what_once_differed_means_the_same() {
    let world = World::of_bindings("once".into(), &mut Dice::new(1));
    let asked: Vec<(&World<'_>, &str)> = ONCE.iter().map(|expression| (&world, *expression)).collect();
    let differs = |(expression, both): (&&str, Option<(Outcome, Outcome)>)| {
        let (ours, theirs) = both.expect("within the budget");
        (!ours.agrees(&theirs)).then(|| format!("{expression}\n    ours:   {ours:?}\n    oracle: {theirs:?}"))
    };
    let wrong: Vec<String> = ONCE.iter().zip(answers(&asked)).filter_map(differs).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tagged_values_read_back() {
    use kubewitness::ruleset::expr::Val;

    use super::values::{tag, untag};
    let value = Val::list(vec![Val::Int(1), Val::Uint(2), Val::Double(f64::NAN), Val::Null, Val::shared("x")]);
    assert_eq!(tag(&untag(&tag(&value))), tag(&value));
}
