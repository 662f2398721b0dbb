//! Whether a selector can match at all, or matches everything. In: its condition and keys. Out: warnings, and the
//! alternatives under which it can match, for the checks that go on from there.

use super::{
    Lint, Warning,
    chain::Scope,
    facts::{Domain, Facts, Literal},
    possible::Assumption,
    rule::{Expression, ParsedRule, ParsedSelector},
};
use crate::{
    api::{alert::RuleKind, rule::Source},
    ruleset::expr::view::{Ast, Kind},
};

/// Resources of the API groups that ship with Kubernetes and belong to no namespace.
const CLUSTER_SCOPED: &[&str] = &[
    "namespaces",
    "nodes",
    "persistentvolumes",
    "clusterroles",
    "clusterrolebindings",
    "certificatesigningrequests",
    "customresourcedefinitions",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "apiservices",
    "storageclasses",
    "csidrivers",
    "csinodes",
    "volumeattachments",
    "priorityclasses",
    "runtimeclasses",
    "ingressclasses",
    "tokenreviews",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
    "clustersecurityrules",
];

/// The events that a selector can match.
pub struct Reached {
    /// Each a way to match; none when it can't.
    pub alternatives: Vec<Facts>,
    /// Of each key: what its values can be, alternative by alternative.
    pub keys: Vec<Vec<Domain>>,
}

impl Reached {
    /// True when every way to match has the property; false when there is none.
    pub fn always(&self, property: impl Fn(&Facts) -> bool) -> bool {
        !self.alternatives.is_empty() && self.alternatives.iter().all(property)
    }
}

/// Finds out for which events the selector matches.
pub fn of(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>) -> Reached {
    let scope = Scope::new(&rule.variables);
    let assumption = Assumption::new(&scope, selector.written.source == Source::Audit);
    let mut alternatives = assumption.assume(&selector.condition.ast, true, vec![Facts::default()]);
    for key in selector.keys.iter().chain(&selector.distinct) {
        alternatives = assumption.evaluates(&key.ast, alternatives);
    }
    let domain = |facts: &Facts, key: &Expression| match &key.ast.kind {
        Kind::Literal(value) => {
            let mut domain = Domain::default();
            domain.restrict(Literal::of(value).into_iter().collect());
            domain
        }
        _ => facts.domain(&assumption.quantity(&key.ast)),
    };
    let keys = selector.keys.iter().map(|key| alternatives.iter().map(|facts| domain(facts, key)).collect()).collect();
    Reached { alternatives, keys }
}

pub fn check(rule: &ParsedRule<'_>, selector: &ParsedSelector<'_>, warnings: &mut Vec<Warning>) -> Reached {
    let scope = Scope::new(&rule.variables);
    let assumption = Assumption::new(&scope, selector.written.source == Source::Audit);
    let condition = &selector.condition;
    if let Some((culprit, why)) = contradiction(&assumption, condition) {
        let hint = "it can never match: mend the conditions, or take the selector out";
        warnings.push(Warning::at(Lint::NeverMatches, condition, culprit, why, hint));
    } else if assumption.assume(&condition.ast, false, vec![Facts::default()]).is_empty() {
        let message = format!("the condition holds for every {} event", selector.written.source.as_str());
        warnings.push(Warning::at(
            Lint::AlwaysMatches,
            condition,
            &condition.ast,
            message,
            "say which events are meant",
        ));
    }
    of(rule, selector)
}

/// The first of the conditions that can't hold together with those before it, and why.
fn contradiction<'e>(assumption: &Assumption<'_, '_>, condition: &'e Expression) -> Option<(&'e Ast, String)> {
    let terms = match &condition.ast.kind {
        Kind::And(terms) => terms.as_slice(),
        _ => std::slice::from_ref(&condition.ast),
    };
    let mut facts = vec![Facts::default()];
    for term in terms {
        facts = assumption.assume(term, true, facts);
        if facts.is_empty() {
            return Some((term, assumption.why()));
        }
    }
    None
}

/// A tenant's rule sees its own namespace alone, and nothing that belongs to the whole cluster.
pub fn check_scope(
    rule: &ParsedRule<'_>,
    selector: &ParsedSelector<'_>,
    reached: &Reached,
    warnings: &mut Vec<Warning>,
) {
    if rule.id.kind != RuleKind::SecurityRule || selector.written.source != Source::Audit {
        return;
    }
    let own = Literal::Text(rule.id.namespace.to_string());
    let warning = |message: String| {
        let hint = "a SecurityRule sees objects of its own namespace alone; write a ClusterSecurityRule";
        Warning::at(Lint::OutOfScope, &selector.condition, &selector.condition.ast, message, hint)
    };
    if reached.always(|facts| !facts.domain("audit.objectRef.namespace").accepts(&own)) {
        warnings.push(warning(format!("it selects no object of the namespace {:?}", &*rule.id.namespace)));
    } else if reached.always(|facts| {
        let resources = facts.domain("audit.objectRef.resource");
        let unscoped =
            |l: &&Literal| matches!(l, Literal::Text(r) if CLUSTER_SCOPED.contains(&r.as_str()) || r.is_empty());
        resources.values().is_some_and(|values| values.iter().all(unscoped))
    }) {
        warnings.push(warning("it selects only objects that belong to the whole cluster".to_owned()));
    }
}
