//! Generated expressions mean the same here and in the reference implementation: the same value, or the same kind of error.
//!
//! `KUBEWITNESS_ORACLE_SEED=N` runs case N alone, which a failure names; `KUBEWITNESS_SOAK_SECONDS=S` (`make soak`) goes on for S
//! seconds from a seed of the clock.

use std::{
    env, fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use kubewitness::{
    event::{Event, schema::FIELDS},
    normalise,
    record::{IdKey, Origin, Provenance, Record},
    redact,
    ruleset::expr::{Bindings, EvalError, Expected, Program, Steps, Val, Variables},
};
use serde_json::json;

use super::{
    generator::{self, Generator, Signature, Type},
    oracle::{self, Answer, Request},
    values::{sorted, tag, untag},
};

/// Cases of a run in CI, and from where they are counted.
const CASES: u64 = 3000;
const FIRST: u64 = 1;

/// What became of an expression.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused(String),
    Failed(String),
    Value(serde_json::Value),
}

impl Outcome {
    fn agrees(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Value(a), Outcome::Value(b)) => a == b,
            (Outcome::Refused(_), Outcome::Refused(_)) | (Outcome::Failed(_), Outcome::Failed(_)) => true,
            _ => false,
        }
    }
}

fn of_oracle(answer: &Answer) -> Outcome {
    match &answer.value {
        Some(value) => Outcome::Value(sorted(value)),
        None if answer.compile.is_empty() => Outcome::Failed(answer.error.clone()),
        None => Outcome::Refused(answer.compile.replace('\n', " ")),
    }
}

/// Over what the expressions are evaluated.
struct World<'e> {
    name: &'static str,
    event: Option<&'e Event<'e>>,
    bindings: Bindings,
    variables: Vec<(String, Type)>,
    declared: serde_json::Value,
    bound: serde_json::Value,
}

fn record() -> Record {
    let raw = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/web/pods?dryRun=All", "verb": "create",
        "user": {"username": "jane", "uid": "u-1", "groups": ["dev", "system:authenticated"], "extra": {"k": ["v1", "v2"]}},
        "sourceIPs": ["10.0.0.7", "203.0.113.9"], "userAgent": "kubectl/v1.34 (linux/amd64)",
        "objectRef": {"resource": "pods", "namespace": "web", "name": "p", "apiVersion": "v1"},
        "responseStatus": {"code": 403, "reason": "Forbidden", "message": "no"},
        "requestReceivedTimestamp": "2026-03-01T23:30:05.250000Z", "stageTimestamp": "2026-03-01T23:30:05.350000Z",
        "annotations": {"authorization.k8s.io/decision": "forbid"},
        "requestObject": {"kind": "Pod", "a": 1, "key": "abc", "spec": {"hostNetwork": true, "nodeName": null, "priority": 5,
            "weight": 1.5, "containers": [{"name": "a", "image": "nginx"}, {"name": "b", "image": "busybox:1"}]}}
    });
    let bytes = raw.to_string();
    let outcome = redact::audit_event(redact::Input { bytes: bytes.as_bytes(), oversize: false });
    let origin = Origin { cluster: "c".into(), reporter: "r".into(), provenance: Provenance::AuditLog };
    redact::record(
        outcome,
        bytes.as_bytes(),
        &origin,
        "2026-03-01T23:30:06Z".parse::<Timestamp>().unwrap(),
        &IdKey::OFFLINE,
    )
}

/// The fields of an event with their types. Enumerations are left out: a literal that such a field can't hold is refused
/// here, which the reference implementation, not knowing of them, can't.
fn event_world<'e>(event: &'e Event<'e>) -> World<'e> {
    let (mut variables, mut declared, mut bound) = (vec![], serde_json::Map::new(), serde_json::Map::new());
    for field in FIELDS.iter().filter(|f| f.values.is_empty()) {
        let program = Program::compile(field.path, Expected::Any, &Variables::default()).unwrap();
        declared.insert(field.path.into(), field.type_.as_str().into());
        if let Ok(value) = program.eval(event, &mut Steps::default()) {
            bound.insert(field.path.into(), tag(&value));
            variables.push((field.path.to_owned(), Type::parse(field.type_.as_str())));
        }
    }
    let (declared, bound) = (declared.into(), bound.into());
    World { name: "event", event: Some(event), bindings: Bindings::default(), variables, declared, bound }
}

fn bindings_world() -> World<'static> {
    let json = json!({
        "x": 1, "y": 2.5, "s": "abc", "t": true, "n": null, "l": [1, "a", null, [2]], "m": {"a": 1, "key": {"a": "b"}}, "big": 9007199254740993_i64,
        "texts": ["b", "a"], "empty": {}, "none": []
    });
    let members = json.as_object().unwrap();
    let bindings = Bindings::from_json(members);
    let (mut variables, mut declared, mut bound) = (vec![], serde_json::Map::new(), serde_json::Map::new());
    for name in members.keys() {
        let program = Program::compile_over(name, &bindings).unwrap();
        bound.insert(name.clone(), tag(&program.eval_over(&bindings, &mut Steps::default()).unwrap()));
        declared.insert(name.clone(), "dyn".into());
        variables.push((name.clone(), Type::Dyn));
    }
    World { name: "bindings", event: None, bindings, variables, declared: declared.into(), bound: bound.into() }
}

impl World<'_> {
    /// `None` when the evaluation went over its budget, which the reference implementation has not.
    fn evaluate(&self, expression: &str) -> Option<Outcome> {
        let program = match self.event {
            Some(_) => Program::compile(expression, Expected::Any, &Variables::default()),
            None => Program::compile_over(expression, &self.bindings),
        };
        let program = match program {
            Ok(program) => program,
            Err(error) => return Some(Outcome::Refused(error.to_string().replace('\n', " "))),
        };
        let steps = &mut Steps::default();
        let value = match self.event {
            Some(event) => program.eval(event, steps),
            None => program.eval_over(&self.bindings, steps),
        };
        match value {
            Ok(value) => Some(Outcome::Value(sorted(&tag(&value)))),
            Err(EvalError::OverBudget) => None,
            Err(error) => Some(Outcome::Failed(error.to_string())),
        }
    }

    fn request<'r>(&'r self, expression: Option<&'r str>) -> Request<'r> {
        match expression {
            None => Request {
                env: self.name,
                declare: Some(self.declared.clone()),
                expression,
                bindings: Some(&self.bound),
            },
            Some(_) => Request { env: self.name, declare: None, expression, bindings: None },
        }
    }
}

fn generate(seed: u64, functions: &[Signature], world: &World<'_>) -> String {
    let mut generator = Generator::new(seed, functions, &world.variables);
    let type_ = generator::any(&mut generator.dice, 2);
    let depth = 1 + generator.dice.below(4);
    generator.expression(&type_, depth)
}

/// Where the two are known to differ, and why: by the expression and both outcomes.
fn known(expression: &str, ours: &Outcome, theirs: &Outcome) -> bool {
    let _ = (expression, ours, theirs);
    false
}

/// Compares a range of cases; gives the differences and how many cases ended in a value, an error, a refusal.
fn compare(worlds: &[World<'_>], seeds: &[u64]) -> (Vec<String>, [usize; 3]) {
    let functions = generator::signatures();
    let cases: Vec<(u64, &World<'_>, String)> = seeds
        .iter()
        .map(|&seed| {
            let world = &worlds[(seed % worlds.len() as u64) as usize];
            (seed, world, generate(seed, &functions, world))
        })
        .filter(|(_, _, expression)| expression.len() <= 2000)
        .collect();
    let mut requests: Vec<Request<'_>> = worlds.iter().map(|world| world.request(None)).collect();
    requests.extend(cases.iter().map(|(_, world, expression)| world.request(Some(expression))));
    let answers = oracle::ask(&requests);
    let (mut wrong, mut kinds) = (vec![], [0; 3]);
    for ((seed, world, expression), answer) in cases.iter().zip(&answers) {
        let Some(ours) = world.evaluate(expression) else { continue };
        let theirs = of_oracle(answer);
        kinds[match ours {
            Outcome::Value(_) => 0,
            Outcome::Failed(_) => 1,
            Outcome::Refused(_) => 2,
        }] += 1;
        if !ours.agrees(&theirs) && !known(expression, &ours, &theirs) {
            wrong.push(format!("case {seed}: {expression}\n    ours:   {ours:?}\n    oracle: {theirs:?}"));
        }
    }
    (wrong, kinds)
}

#[test]
fn generated_expressions_mean_the_same_as_in_the_reference_implementation() {
    let record = record();
    let event = normalise::event(&record).unwrap();
    let worlds = [event_world(&event), bindings_world()];
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("KUBEWITNESS_ORACLE_SEED") {
        let (wrong, _) = compare(&worlds, &[seed]);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        return;
    }
    let mut first = FIRST;
    let mut soak = None;
    if let Some(seconds) = number("KUBEWITNESS_SOAK_SECONDS") {
        first = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() * 1_000_000;
        soak = Some(Instant::now() + Duration::from_secs(seconds));
    }
    let (mut all, mut total) = (vec![], [0; 3]);
    loop {
        let seeds: Vec<u64> = (first..first + CASES).collect();
        let (wrong, kinds) = compare(&worlds, &seeds);
        all.extend(wrong);
        total.iter_mut().zip(kinds).for_each(|(sum, more)| *sum += more);
        first += CASES;
        if soak.is_none_or(|end| Instant::now() >= end) || all.len() > 100 {
            break;
        }
    }
    println!("{} values, {} errors, {} refusals", total[0], total[1], total[2]);
    if let Ok(path) = env::var("KUBEWITNESS_ORACLE_REPORT") {
        fs::write(path, all.join("\n")).unwrap();
    }
    assert!(
        all.is_empty(),
        "{} cases differ:\n{}",
        all.len(),
        all.iter().take(30).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(total[0] > 1000 && total[1] > 100 && total[2] > 100, "too few of a kind: {total:?}");
}

#[test]
fn tagged_values_read_back() {
    let value = Val::list(vec![Val::Int(1), Val::Uint(2), Val::Double(f64::NAN), Val::Null, Val::shared("x")]);
    assert_eq!(tag(&untag(&tag(&value))), tag(&value));
}
