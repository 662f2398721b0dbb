//! Event + ruleset -> matches. Stateless: the same event and ruleset give the same matches anywhere.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        alert::{Entity, EntityKind, RuleKind},
        rule::Source,
    },
    event::{Event, Precision},
    normalise::text::one_line,
    record::{RecordId, Seq},
    ruleset::{
        CompiledRule, CompiledSelector, Ruleset,
        expr::{EvalError, STEP_LIMIT, Steps},
    },
};

/// Values of a rule's `groupBy`, in its order; none is empty.
pub type Key = Arc<[Arc<str>]>;

/// Longest key or distinct value, in bytes; longer ones are cut and end in a hash of the whole.
const MAX_VALUE: usize = 1024;
const MAX_CAPTURE: usize = 256;
const MAX_ENTITIES: usize = 8;

/// An event satisfied a rule's selector. Small and self-contained, so that it can be routed to the one holder of its key's
/// state: nothing here points back into the event.
#[derive(Debug, Clone)]
pub struct Match {
    pub rule: Arc<CompiledRule>,
    /// Index into the rule's selectors.
    pub selector: usize,
    pub key: Key,
    /// For a Threshold over distinct values, or a NewValue: this event's value, never empty.
    pub distinct: Option<Arc<str>>,
    pub evidence: Arc<Evidence>,
}

/// What an alert may show of one event: bounded and redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    pub id: RecordId,
    pub seq: Seq,
    /// How often it happened: 1, or how many equal lines were folded into this one, at most [`crate::event::MAX_TIMES`].
    pub times: u32,
    /// Event time.
    pub at: Timestamp,
    pub precision: Precision,
    pub source: Source,
    /// The node that reported it, at most 253 bytes.
    pub host: String,
    /// One line, at most 512 bytes.
    pub message: String,
    /// Who and what took part; at most 8.
    pub entities: Vec<Entity>,
    /// Values for the summary's slots that this selector fills: (slot, value), values at most 256 bytes.
    pub captures: Vec<(usize, String)>,
}

/// Why an expression gave no value for an event. Also a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The expression ended in an error, such as a missing key: it does not match.
    Error,
    /// It needed more than its budget of steps.
    OverBudget,
}

impl Failure {
    pub const ALL: [Failure; 2] = [Failure::Error, Failure::OverBudget];

    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Error => "Error",
            Failure::OverBudget => "OverBudget",
        }
    }
}

/// A selector and a key of a rule, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyless {
    pub selector: usize,
    pub key: usize,
}

/// What a selector makes of an event.
enum Selected {
    Not,
    /// It takes it, and the key with this number is empty.
    Keyless(usize),
    Match(Match),
}

/// What one event gave: matches in the order of the rules, and the evaluations that failed.
#[derive(Debug, Default)]
pub struct Detected {
    pub matches: Vec<Match>,
    pub failed: Vec<(Arc<CompiledRule>, EvalError)>,
    /// Selectors that took the event, and whose key with this number is empty: it joins nothing.
    pub keyless: Vec<(Arc<CompiledRule>, Keyless)>,
    /// Selectors whose whole condition was evaluated.
    pub evaluations: u64,
    /// What the evaluations have cost.
    pub steps: u64,
    /// Those that cost more than `CHEAP` steps.
    pub costly: Vec<(Arc<CompiledRule>, u64)>,
}

/// Steps of a selector's evaluation that nobody counts: some 5 us.
const CHEAP: u64 = 250;

/// Evaluates the rules that can match the event: those that see it and whose necessary conditions hold. An expression that
/// is not evaluated can't fail, so `Detected::failed` holds the failures of the rest alone.
pub fn detect(ruleset: &Ruleset, event: &Event<'_>, seq: Seq) -> Detected {
    let mut detected = Detected::default();
    for (rule, selector) in ruleset.index().candidates(event, tenant(event)) {
        if let Some(rule) = ruleset.rules().get(rule as usize) {
            detected.evaluate(rule, selector as usize, event, seq);
        }
    }
    detected
}

/// The same without the index: what `detect` is tested and measured against. It finds the same matches, and may count more
/// failures.
pub fn every_rule(ruleset: &Ruleset, event: &Event<'_>, seq: Seq) -> Detected {
    let mut detected = Detected::default();
    for rule in ruleset.rules() {
        (0..rule.selectors.len()).for_each(|selector| detected.evaluate(rule, selector, event, seq));
    }
    detected
}

impl Detected {
    fn evaluate(&mut self, rule: &Arc<CompiledRule>, index: usize, event: &Event<'_>, seq: Seq) {
        let Some(selector) = rule.selectors.get(index) else { return };
        if rule.suspended
            || selector.source != event.source
            || !in_scope(rule, event)
            || !stage_selected(selector, event)
        {
            return;
        }
        let mut steps = 0;
        let selected = select(rule, index, selector, (event, seq), &mut steps);
        self.evaluations += 1;
        self.steps += steps;
        if steps > CHEAP {
            self.costly.push((Arc::clone(rule), steps));
        }
        match selected {
            Ok(Selected::Match(found)) => self.matches.push(found),
            Ok(Selected::Keyless(key)) => self.keyless.push((Arc::clone(rule), Keyless { selector: index, key })),
            Ok(Selected::Not) => {}
            Err(error) => self.failed.push((Arc::clone(rule), error)),
        }
    }
}

/// True when the rule may see the event at all: a tenant's rule sees its own namespace.
pub fn in_scope(rule: &CompiledRule, event: &Event<'_>) -> bool {
    match rule.id.kind {
        RuleKind::ClusterSecurityRule => true,
        RuleKind::SecurityRule => tenant(event) == Some(&*rule.id.namespace),
    }
}

/// The namespace whose tenants' rules see the event: that of the audit event's object, or of the pod that wrote the line. No
/// cluster-scoped object: the API server gives a Namespace object its own name as namespace, so those are left out by name.
fn tenant<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event.source {
        Source::Audit => {}
        // Only the output of a container names one; a line of a file on the node is joined with its client at most.
        Source::Web | Source::Container if !event.kubernetes.container.is_empty() && !event.kubernetes.ambiguous => {
            return Some(event.kubernetes.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        }
        Source::Web | Source::Container | Source::Node => return None,
    }
    let object = event.audit.as_ref()?.object_ref.as_ref()?;
    let is_namespace_object = object.resource == "namespaces" && object.api_group.is_empty();
    (!object.namespace.is_empty() && !is_namespace_object).then(|| object.namespace.as_str())
}

/// True when the selector looks at the stage of the event.
pub fn stage_selected(selector: &CompiledSelector, event: &Event<'_>) -> bool {
    let Some(audit) = &event.audit else { return true };
    if selector.stages.is_empty() { audit.is_defining_stage() } else { selector.stages.contains(&audit.stage) }
}

impl Failure {
    pub fn of(error: &EvalError) -> Failure {
        match error {
            EvalError::OverBudget => Failure::OverBudget,
            _ => Failure::Error,
        }
    }
}

/// The budget is each expression's own: a long key does not take from the condition. What it used is added to `spent`.
fn metered<T>(spent: &mut u64, evaluate: impl FnOnce(&mut Steps) -> T) -> T {
    let mut steps = Steps::new(STEP_LIMIT);
    let value = evaluate(&mut steps);
    *spent += steps.used();
    value
}

fn select(
    rule: &Arc<CompiledRule>,
    index: usize,
    selector: &CompiledSelector,
    (event, seq): (&Event<'_>, Seq),
    spent: &mut u64,
) -> Result<Selected, EvalError> {
    if !metered(spent, |steps| selector.condition.holds(event, steps))? {
        return Ok(Selected::Not);
    }
    let mut key = Vec::with_capacity(selector.keys.len());
    for (number, program) in selector.keys.iter().enumerate() {
        let value = metered(spent, |steps| program.text(event, steps))?;
        if value.is_empty() {
            return Ok(Selected::Keyless(number)); // an empty value joins nothing
        }
        key.push(bounded(value));
    }
    let distinct = match &selector.distinct {
        Some(program) => {
            let value = metered(spent, |steps| program.text(event, steps))?;
            if value.is_empty() {
                return Ok(Selected::Not);
            }
            Some(bounded(value))
        }
        None => None,
    };
    let captures = selector.captures.iter().map(|capture| {
        // A summary must not cost an alert: what has no value shows as unknown.
        let value = metered(spent, |steps| capture.program.text(event, steps)).unwrap_or_else(|_| "unknown".to_owned());
        (capture.slot, one_line(&value, MAX_CAPTURE))
    });
    let evidence = Evidence {
        id: event.id,
        seq,
        times: event.times,
        at: event.created,
        precision: event.precision,
        source: event.source,
        host: one_line(&event.origin.reporter, 253),
        message: one_line(event.message(), 512),
        captures: captures.collect(),
        entities: entities(event),
    };
    let found =
        Match { rule: Arc::clone(rule), selector: index, key: key.into(), distinct, evidence: Arc::new(evidence) };
    Ok(Selected::Match(found))
}

/// Cuts a long value but keeps different values different.
fn bounded(value: String) -> Arc<str> {
    if value.len() <= MAX_VALUE {
        return value.into();
    }
    let digest = RecordId::of(&crate::record::IdKey::OFFLINE, &[value.as_bytes()]).to_string();
    let mut end = MAX_VALUE - digest.len() - 1;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let (head, _) = value.split_at(end);
    format!("{head}~{digest}").into()
}

fn entities(event: &Event<'_>) -> Vec<Entity> {
    let mut entities = Vec::new();
    let mut add = |kind, namespace: &str, name: &str| {
        if !name.is_empty() && entities.len() < MAX_ENTITIES {
            entities.push(Entity { kind, namespace: one_line(namespace, 63), name: one_line(name, 256) });
        }
    };
    let actor = &event.kubernetes;
    if actor.service_account.is_empty() {
        add(EntityKind::User, "", &event.user.name);
    } else {
        add(EntityKind::ServiceAccount, &actor.service_account_namespace, &actor.service_account);
    }
    add(EntityKind::User, "", &event.user.effective_name);
    add(EntityKind::User, "", &event.user.target_name);
    add(EntityKind::Address, "", &event.source_ip);
    add(EntityKind::Pod, &actor.namespace, &actor.pod_name);
    if !actor.workload_name.is_empty() {
        add(EntityKind::Workload, &actor.namespace, &format!("{}/{}", actor.workload_kind, actor.workload_name));
    }
    if let Some(object) = event.audit.as_ref().and_then(|a| a.object_ref.as_ref()) {
        let name = if object.name.is_empty() {
            object.resource.to_string()
        } else {
            format!("{}/{}", object.resource, object.name)
        };
        add(EntityKind::Resource, &object.namespace, &name);
    }
    add(EntityKind::Node, "", &actor.node);
    if event.target.node != actor.node {
        add(EntityKind::Node, "", &event.target.node);
    }
    entities
}
