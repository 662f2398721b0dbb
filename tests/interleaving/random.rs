//! Random rules of all five types over random events of both sides of a cluster: received in any order, in any batches,
//! twice, from sources whose clocks differ, after a crash, from a snapshot and from before it, they raise what
//! `definition` says of the sorted history. Rules and events are seeded; a failure names the seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use kubewitness::{
    record::{RecordId, RuleId},
    ruleset::{
        CompiledDetection, CompiledRule,
        compile::{RuleSource, compile},
    },
};
use serde_json::{Value, json};

use super::{
    Alerts, Restarts,
    definition::{self, Seen},
    same_in_every_order, start,
    stories::Input,
};
use crate::soak;

/// Worlds of a round in CI, and of a long one.
const WORLDS: [u64; 2] = [6, 32];
/// Rules of a world, which all see the same events.
const RULES: usize = 8;
/// Most events of a world, and the seconds that they lie within.
const EVENTS: usize = 40;
const SPAN: i64 = 12 * 60;

const USERS: [&str; 2] = ["root", "bob"];
const ADDRESSES: [&str; 2] = ["203.0.113.9", "198.51.100.7"];
const NODES: [&str; 2] = ["node-1", "node-2"];

/// What may happen: source, how a rule asks for it, and the verb or the line's words.
const WORDS: [(&str, &str, &str); 7] = [
    ("Audit", r#"audit.verb == "get""#, "get"),
    ("Audit", r#"audit.verb == "list" && audit.objectRef.resource.startsWith("secr")"#, "list"),
    ("Audit", r#"event.action.endsWith("ate")"#, "create"),
    ("Audit", r#"audit.verb in ["delete", "deletecollection"]"#, "delete"),
    ("Node", r#"event.action == "ssh-login" && event.outcome == "failure""#, "Failed password"),
    ("Node", r#"event.action == "ssh-login" && event.outcome == "success""#, "Accepted password"),
    ("Node", r#"event.action == "ssh-invalid-user""#, "Invalid user"),
];

#[derive(Debug, Clone)]
struct Happening {
    word: usize,
    user: &'static str,
    address: &'static str,
    node: &'static str,
    /// As its source stamps it.
    at: Timestamp,
    coarse: bool,
    port: u16,
    /// As rsyslog folds equal lines.
    times: u32,
}

impl Happening {
    fn random(random: &mut Rng) -> Happening {
        let word = random.usize(..WORDS.len());
        // Half seconds, so that stamps tie.
        let at = start() + SignedDuration::from_millis(random.i64(0..=SPAN * 2) * 500);
        let coarse = WORDS[word].0 == "Node" && random.bool();
        let mut any = |of: [&'static str; 2]| of[random.usize(..2)];
        let (user, address, node) = (any(USERS), any(ADDRESSES), any(NODES));
        let at = if coarse { Timestamp::from_second(at.as_second()).unwrap() } else { at };
        let port = random.u16(1024..);
        let times = if WORDS[word].0 == "Node" && port % 4 == 0 { 2 + u32::from(port / 4 % 2) } else { 1 };
        Happening { word, user, address, node, at, coarse, port, times }
    }

    fn input(&self) -> Input {
        let Happening { user, address, node, at, port, .. } = self;
        let (source, _, words) = WORDS[self.word];
        if source == "Audit" {
            let event = json!({
                "auditID": format!("{port}-{at}-{user}-{address}-{words}"), "level": "Metadata", "stage": "ResponseComplete",
                "user": {"username": user}, "sourceIPs": [address], "requestReceivedTimestamp": at, "stageTimestamp": at,
                "verb": words, "requestURI": "/api/v1/namespaces/shop/secrets", "responseStatus": {"code": 200},
                "objectRef": {"resource": "secrets", "namespace": "shop", "apiVersion": "v1"},
            });
            return Input::event(*at, event);
        }
        let stamp = if self.coarse { "%b %e %H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f+00:00" };
        let (words, end) = match words {
            "Invalid user" => (format!("{words} {user}"), ""),
            _ => (format!("{words} for {user}"), " ssh2"),
        };
        let message = match self.times {
            1 => format!("{words} from {address} port {port}{end}"),
            times => format!("message repeated {times} times: [ {words} from {address} port {port}{end}]"),
        };
        let text = format!("{} {node} sshd[7]: {message}", at.strftime(stamp));
        Input::line(*at, node, "/var/log/auth.log", text)
    }

    fn value(&self, expression: &str) -> String {
        match expression {
            "user.name" | "audit.user.username" => self.user.to_owned(),
            "source.ip" => self.address.to_owned(),
            "event.action" => match WORDS[self.word] {
                ("Audit", _, verb) => verb.to_owned(),
                (.., "Invalid user") => "ssh-invalid-user".to_owned(),
                _ => "ssh-login".to_owned(),
            },
            r#"user.name == "root" ? "" : source.ip"# if self.user == "root" => String::new(),
            r#"user.name == "root" ? "" : source.ip"# => self.address.to_owned(),
            other => panic!("no value of {other}"),
        }
    }
}

#[derive(Debug)]
struct Selector {
    source: &'static str,
    words: BTreeSet<usize>,
    /// A user that takes no part.
    without: Option<&'static str>,
}

impl Selector {
    fn takes(&self, event: &Happening) -> bool {
        self.words.contains(&event.word) && self.without != Some(event.user)
    }

    fn condition(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| format!("({})", WORDS[*word].1)).collect();
        let words = words.join(" || ");
        match self.without {
            Some(user) => format!("({words}) && user.name != {user:?}"),
            None => words,
        }
    }
}

/// A rule as it is written, and as it is meant.
struct Law {
    compiled: Arc<CompiledRule>,
    selectors: Vec<Selector>,
    /// One expression for each selector, of each part of the key.
    keys: Vec<Vec<&'static str>>,
    value: Option<&'static str>,
}

const VALUES: [&str; 4] = ["user.name", "source.ip", "event.action", r#"user.name == "root" ? "" : source.ip"#];

impl Law {
    fn random(number: usize, random: &mut Rng) -> Law {
        let selectors = selectors(random);
        let keys = keys(&selectors, random);
        let value = VALUES[random.usize(..VALUES.len())];
        let detection = detection(selectors.len(), value, random);
        let minutes = random.u8(1..10);
        let spec = json!({
            "title": "t", "severity": "Medium",
            "selectors": (0..).zip(&selectors).map(|(n, selector): (usize, _)| json!({
                "name": format!("s{n}"), "source": selector.source, "where": selector.condition(),
            })).collect::<Vec<_>>(),
            "groupBy": (0..).zip(&keys).map(|(n, of): (usize, &Vec<&str>)| match of.iter().all(|key| key == &of[0]) {
                true => json!({"name": format!("k{n}"), "value": of[0]}),
                false => json!({"name": format!("k{n}"), "from": (0..).zip(of).map(|(n, key): (usize, _)| json!({
                    "selector": format!("s{n}"), "value": key,
                })).collect::<Vec<_>>()}),
            }).collect::<Vec<_>>(),
            "detection": detection,
            "alert": {"resolveAfter": format!("{minutes}m")},
        });
        let id = RuleId::cluster(&format!("random-{number}"));
        let source = RuleSource { id, generation: 1, spec: serde_json::from_value(spec.clone()).unwrap() };
        let compiled = compile(&source).unwrap_or_else(|error| panic!("{spec}: {error}"));
        let asks = ["threshold", "newValue"].iter().any(|of| {
            let of = &detection[of];
            of["distinct"].is_string() || of["value"].is_string()
        });
        Law { compiled: Arc::new(compiled), selectors, keys, value: asks.then_some(value) }
    }

    /// What the rule sees of the events, by key.
    fn histories(&self, events: &[(RecordId, Happening)]) -> BTreeMap<Vec<String>, Vec<Seen>> {
        let counted = match self.compiled.detection {
            CompiledDetection::Threshold { selector, distinct: true, .. } => Some(selector),
            _ => None,
        };
        let mut histories: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
        for (id, event) in events {
            let mut by_key: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
            for (n, _) in self.selectors.iter().enumerate().filter(|(_, selector)| selector.takes(event)) {
                let key = self.keys.iter().map(|of| event.value(of[n])).collect();
                by_key.entry(key).or_default().push(n);
            }
            let value = self.value.map(|of| event.value(of));
            for (key, mut selectors) in by_key {
                // An empty value takes no part, and an empty key joins nothing.
                let is_empty = value.as_deref() == Some("");
                selectors.retain(|n| !is_empty || counted.is_some_and(|counted| counted != *n));
                if key.iter().any(String::is_empty) || selectors.is_empty() {
                    continue;
                }
                let value = value.clone().unwrap_or_default();
                let seen = Seen { at: event.at, id: *id, nth: 0, coarse: event.coarse, selectors, value };
                histories.entry(key).or_default().extend(seen.repeated(event.times));
            }
        }
        histories
    }

    /// Where the engine takes the first event that fits, and the definition tries all: one event may fit two steps.
    fn is_exact(&self, events: &[(RecordId, Happening)]) -> bool {
        let CompiledDetection::Sequence { steps, ordered: true, .. } = &self.compiled.detection else { return true };
        let once: BTreeSet<usize> = steps.iter().map(|step| step.selector).collect();
        let overlap = |event: &Happening| self.selectors.iter().filter(|selector| selector.takes(event)).count() > 1;
        let (any_overlaps, any_coarse) =
            (events.iter().any(|(_, event)| overlap(event)), events.iter().any(|(_, event)| event.coarse));
        !any_overlaps && (once.len() == steps.len() || !any_coarse)
    }
}

fn selectors(random: &mut Rng) -> Vec<Selector> {
    let overlap = random.u8(0..4) == 0;
    let mut left: BTreeSet<usize> = (0..WORDS.len()).collect();
    let mut selectors = Vec::new();
    for _ in 0..random.usize(1..=3) {
        let source = if random.bool() { "Audit" } else { "Node" };
        let mut words: Vec<usize> = left.iter().copied().filter(|word| WORDS[*word].0 == source).collect();
        random.shuffle(&mut words);
        words.truncate(random.usize(1..=2));
        if words.is_empty() {
            continue;
        }
        if !overlap {
            left.retain(|word| !words.contains(word));
        }
        let without = (random.u8(0..5) == 0).then(|| USERS[random.usize(..2)]);
        selectors.push(Selector { source, words: words.into_iter().collect(), without });
    }
    selectors
}

/// By nobody, one or two values; where the sources differ, from another field of each.
fn keys(selectors: &[Selector], random: &mut Rng) -> Vec<Vec<&'static str>> {
    let same = |expression: &'static str| vec![expression; selectors.len()];
    let own = selectors.iter().map(|s| if s.source == "Audit" { "audit.user.username" } else { "user.name" }).collect();
    match random.u8(0..8) {
        0 => Vec::new(),
        1..=3 => vec![own],
        4 => vec![same("source.ip")],
        5 => vec![same(VALUES[3])],
        _ => vec![same("user.name"), same("source.ip")],
    }
}

fn detection(selectors: usize, value: &str, random: &mut Rng) -> Value {
    let mut span = |most: i64| format!("{}s", [1, 60, 150, 300][random.usize(..4)] + random.i64(0..most));
    let (within, learn, forget) = (span(200), span(200), span(400));
    let mut any = || format!("s{}", random.usize(..selectors));
    let (first, second) = (any(), any());
    match random.u8(0..12) {
        0 => json!({"type": "Match"}),
        1..=2 => {
            json!({"type": "Threshold", "threshold": {"selector": first, "count": random.u8(1..5), "within": within}})
        }
        3 => json!({"type": "Threshold", "threshold": {
            "selector": first, "count": random.u8(1..4), "distinct": value, "within": within}}),
        4..=7 => {
            let step = |_| json!({"selector": format!("s{}", random.usize(..selectors)), "count": random.u8(1..3)});
            let steps: Vec<Value> = (0..[2, 2, 3][within.len() % 3]).map(step).collect();
            json!({"type": "Sequence", "sequence": {"within": within, "ordered": learn.len() % 2 == 0, "steps": steps}})
        }
        8..=9 if first != second => {
            json!({"type": "Absence", "absence": {"selector": first, "after": second, "within": within}})
        }
        8..=9 => json!({"type": "Absence", "absence": {"selector": first, "within": within}}),
        _ => json!({"type": "NewValue", "newValue": {"value": value, "learnFor": learn, "forgetAfter": forget}}),
    }
}

/// Key by key, how often a rule fires and on what.
type Verdict = BTreeMap<(String, Vec<String>), (u64, BTreeSet<String>)>;

fn defined(laws: &[&Law], events: &[(RecordId, Happening)]) -> Verdict {
    let mut verdict = Verdict::new();
    for law in laws {
        for (key, history) in law.histories(events) {
            let found = definition::found(&law.compiled.detection, &history);
            let contributing = found.values().flatten().map(RecordId::to_string).collect();
            if !found.is_empty() {
                verdict.insert((law.compiled.id.name.to_string(), key), (found.len() as u64, contributing));
            }
        }
    }
    verdict
}

fn raised(laws: &[&Law], alerts: &Alerts) -> Verdict {
    let names: BTreeSet<&str> = laws.iter().map(|law| &*law.compiled.id.name).collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |alert: &Value| {
        let rule = text(&alert["spec"]["ruleRef"]["name"]);
        let key = alert["spec"]["key"].as_array().into_iter().flatten().map(|part| text(&part["value"])).collect();
        let contributing = alert["contributing"].as_array().unwrap().iter().map(text).collect();
        ((rule, key), (alert["count"].as_u64().unwrap(), contributing))
    };
    alerts.values().map(of).filter(|((rule, _), _)| names.contains(&**rule)).collect()
}

fn told(law: &Law) -> String {
    serde_json::to_string(&*law.compiled.spec).unwrap()
}

/// Makes a world and holds its alerts in every order against each other and against the definition.
fn hold(seed: u64) -> Result<BTreeMap<&'static str, usize>, String> {
    let mut random = Rng::with_seed(seed);
    let mut events: Vec<Happening> = (0..random.usize(0..=EVENTS)).map(|_| Happening::random(&mut random)).collect();
    events.sort_by_key(|event| event.at);
    let laws: Vec<Law> = (0..RULES).map(|number| Law::random(number, &mut random)).collect();
    let rules: Vec<_> = laws.iter().map(|law| Arc::clone(&law.compiled)).collect();
    let inputs: Vec<Input> = events.iter().map(Happening::input).collect();
    let all_rules = || laws.iter().map(|law| format!("{}\n", told(law))).collect::<String>();
    let alerts = same_in_every_order(&rules, &inputs, &mut random, Restarts::InEachOrder)
        .map_err(|wrong| format!("KUBEWITNESS_SEED={seed}, {wrong}\nby\n{}", all_rules()))?;
    let id = |(place, input): (usize, &Input)| input.record(place as u64, inputs[place].at).id;
    let events: Vec<(RecordId, Happening)> = inputs.iter().enumerate().map(id).zip(events).collect();
    let exact: Vec<&Law> = laws.iter().filter(|law| law.is_exact(&events)).collect();
    let (defined, raised) = (defined(&exact, &events), raised(&exact, &alerts));
    let mut kinds = BTreeMap::new();
    for law in &laws {
        let (name, alerts) = (law.compiled.spec.detection.type_.as_str(), alerts.values());
        let own = alerts.filter(|alert| alert["spec"]["ruleRef"]["name"] == *law.compiled.id.name).count();
        *kinds.entry(name).or_default() += own;
    }
    for at in defined.keys().chain(raised.keys()) {
        if defined.get(at) != raised.get(at) {
            let law = exact.iter().find(|law| *law.compiled.id.name == *at.0).unwrap();
            let history: String =
                law.histories(&events).get(&at.1).into_iter().flatten().map(|e| format!("{e:?}\n")).collect();
            return Err(format!(
                "KUBEWITNESS_SEED={seed}, {at:?}: the definition has\n{:?}\nand the engine\n{:?}\nby {}\nof\n{history}",
                defined.get(at),
                raised.get(at),
                told(law)
            ));
        }
    }
    Ok(kinds)
}

#[test]
fn random_rules_raise_what_their_definition_says_in_any_order() {
    let worlds = WORLDS[usize::from(soak::is_long())];
    for first in soak::rounds(worlds) {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for seed in first..first.saturating_add(worlds) {
            let found = hold(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
            found.into_iter().for_each(|(kind, count)| *kinds.entry(kind).or_default() += count);
        }
        println!("alerts of {worlds} worlds of random rules from KUBEWITNESS_SEED={first}: {kinds:?}");
        assert!(
            !soak::is_counted(first) || kinds.len() == 5 && kinds.values().all(|count| *count > 0),
            "KUBEWITNESS_SEED={first}: {kinds:?}"
        );
    }
}
