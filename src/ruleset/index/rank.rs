//! How rare it is that a test holds: a guess that is the same for everybody, so that the index of equal rules is equal. It
//! decides how fast selection is, and never what is found.

use super::condition::{Subject, Term, Test};
use crate::event::schema;

/// In 10,000 events.
pub(super) const ALWAYS: u32 = 10_000;

/// What the audit logs of clusters are full of, by field.
const COMMON: [(&str, u32, &[&str]); 6] = [
    ("audit.verb", 2000, &["get", "watch", "update", "patch", "list", "create"]),
    (
        "audit.objectRef.resource",
        1000,
        &["leases", "pods", "nodes", "configmaps", "secrets", "events", "endpointslices", "replicasets", "deployments"],
    ),
    ("audit.objectRef.subresource", 1500, &["status"]),
    ("audit.objectRef.apiGroup", 1500, &["apps", "coordination.k8s.io", "discovery.k8s.io"]),
    ("audit.objectRef.namespace", 2000, &["kube-system", "kube-node-lease", "default"]),
    ("audit.user.groups", 5000, &["system:authenticated", "system:serviceaccounts", "system:nodes"]),
];

/// Fields that hold few values, whatever the cluster, beside those that are bools or enumerations.
const FEW: [&str; 13] = [
    "audit.objectRef.apiGroup",
    "audit.objectRef.resource",
    "audit.objectRef.subresource",
    "audit.responseStatus.code",
    "audit.verb",
    "event.action",
    "event.incomplete",
    "event.provider",
    "event.type",
    "http.request.method",
    "http.response.status_code",
    "process.name",
    "service.name",
];

pub(super) fn holds_few(path: &str) -> bool {
    FEW.contains(&path)
}

/// How often all these hold, if one says nothing about another; never 0.
pub(super) fn share_of_all(terms: &[Term]) -> u32 {
    terms.iter().fold(ALWAYS, |all, term| (u64::from(all) * u64::from(share(term)) / u64::from(ALWAYS)) as u32).max(1)
}

/// How often the term holds, by what must hold of it; never 0.
pub(super) fn share(term: &Term) -> u32 {
    if term.any.is_empty() {
        return ALWAYS;
    }
    term.any.iter().map(|test| of_test(&term.subject, test)).sum::<u32>().min(ALWAYS)
}

/// Whether making the test needs more than a walk over the beginning or a hash of a short text.
pub(super) fn is_costly(term: &Term) -> bool {
    let part = |test: &Test| matches!(test, Test::Contains(_));
    matches!(term.subject, Subject::Body(..)) || term.any.iter().chain(&term.none).any(part)
}

fn of_test(subject: &Subject, test: &Test) -> u32 {
    match test {
        Test::Equal(text) if text.is_empty() => 5000,
        Test::Equal(text) => of_value(subject, text),
        Test::Prefix(text) if "system:serviceaccount:".starts_with(&**text) || text.len() < 8 => 4000,
        Test::Suffix(text) | Test::Prefix(text) if text.len() < 8 => 1000,
        Test::Prefix(_) | Test::Suffix(_) => 60,
        Test::Contains(_) => 100,
        Test::Within(network) if network.prefix_len() <= 8 => 5000,
        Test::Within(network) if network.prefix_len() <= 16 => 500,
        Test::Within(_) => 40,
        Test::Range(200, 200) | Test::Range(0, 0) => 6000,
        Test::Range(first, last) if first == last => 100,
        Test::Range(..) | Test::Code(_) => 5000,
    }
}

fn of_value(subject: &Subject, text: &str) -> u32 {
    let Some(path) = subject.path() else { return 20 };
    if let Some(field) = schema::lookup(path).filter(|field| !field.values.is_empty()) {
        return ALWAYS / field.values.len() as u32;
    }
    if let Some((_, share, common)) = COMMON.iter().find(|(of, ..)| *of == path) {
        return if common.contains(&text) { *share } else { share / 20 };
    }
    match path {
        "user.name" | "audit.user.username" | "audit.objectRef.name" | "source.ip" => 10,
        _ => 50,
    }
}

#[cfg(test)]
mod tests {
    use super::{Subject, Term, Test, share};

    #[test]
    fn a_name_is_rarer_than_a_kind_and_a_kind_rarer_than_what_is_there_all_the_time() {
        let of = |path, text: &str| share(&Term::any(Subject::Field(path), vec![Test::Equal(text.into())]));
        let namespace = of("audit.objectRef.namespace", "shop");
        let kind = of("audit.objectRef.resource", "clusterissuers");
        assert!(of("user.name", "jane") < namespace.max(kind));
        assert!(namespace.max(kind) < of("audit.objectRef.resource", "pods"));
        assert!(of("audit.objectRef.resource", "pods") < of("event.outcome", "success"));
        assert!(of("audit.objectRef.subresource", "exec") < of("audit.objectRef.resource", "pods"));
    }
}
