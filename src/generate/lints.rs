//! The linter's warnings as the reference page teaches them: for each a fragment of a rule that draws it, what is said then,
//! and a fragment that does not.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{
    record::RuleId,
    ruleset::{
        compile::RuleSource,
        lint::{Lint, lint},
    },
};

/// Fragments in YAML: `where`, `source` and `stages` are the selector's, `kind` is the rule's, all else is the spec's.
struct Lesson {
    lint: Lint,
    bad: &'static str,
    good: &'static str,
}

const fn lesson(lint: Lint, bad: &'static str, good: &'static str) -> Lesson {
    Lesson { lint, bad, good }
}

#[rustfmt::skip] // a table reads best as one
static LESSONS: &[Lesson] = &[
    lesson(Lint::NeverMatches, "where: audit.verb == \"get\" && audit.verb == \"list\"", "where: audit.verb == \"get\" || audit.verb == \"list\""),
    lesson(Lint::NotLogged,
        "where: audit.objectRef.resource == \"secrets\" && has(audit.requestObject.data)",
        "where: audit.objectRef.resource == \"secrets\" && audit.verb == \"create\""),
    lesson(Lint::StageNotLogged, "where: audit.verb == \"get\"\nstages: [RequestReceived]", "where: audit.verb == \"get\""),
    lesson(Lint::OutOfScope,
        "kind: SecurityRule  # in the namespace shop\nwhere: audit.objectRef.resource == \"nodes\"",
        "kind: SecurityRule  # in the namespace shop\nwhere: audit.objectRef.resource == \"pods\""),
    lesson(Lint::Redacted,
        "where: audit.requestObject.spec.containers.exists(c, c.env.exists(e, e.value == \"root\"))",
        "where: audit.requestObject.spec.containers.exists(c, c.env.exists(e, e.name == \"PASSWORD\"))"),
    lesson(Lint::FieldNeverSet,
        "source: Node\nwhere: audit.verb == \"delete\" || event.action == \"ssh-login\"\ngroupBy: [{name: node, value: host.name}]",
        "source: Node\nwhere: event.action == \"ssh-login\"\ngroupBy: [{name: node, value: host.name}]"),
    lesson(Lint::EmptyKey,
        "source: Node\nwhere: event.action == \"ssh-login\"\ngroupBy: [{name: user, value: audit.user.username}]",
        "source: Node\nwhere: event.action == \"ssh-login\"\ngroupBy: [{name: user, value: user.name}]"),
    lesson(Lint::UnknownAction,
        "source: Node\nwhere: event.action == \"ssh-logon\"\ngroupBy: [{name: node, value: host.name}]",
        "source: Node\nwhere: event.action == \"ssh-login\"\ngroupBy: [{name: node, value: host.name}]"),
    lesson(Lint::UnknownValue, "where: audit.objectRef.resource == \"Pods/exec\"",
        "where: audit.objectRef.resource == \"pods\" && audit.objectRef.subresource == \"exec\""),
    lesson(Lint::AlwaysFails,
        "where: audit.verb == \"get\" && audit.responseStatus.code / 0 == 4",
        "where: audit.verb == \"get\" && audit.responseStatus.code / 100 == 4"),
    lesson(Lint::KeysNeverMeet,
        "selectors:\n- {name: read, source: Audit, where: audit.verb == \"get\"}\n- {name: removed, source: Audit, where: audit.verb == \"delete\"}\n\
         groupBy: [{name: verb, value: audit.verb}]\n\
         detection: {type: Sequence, sequence: {within: 5m, steps: [{selector: read}, {selector: removed}]}}",
        "selectors:\n- {name: read, source: Audit, where: audit.verb == \"get\"}\n- {name: removed, source: Audit, where: audit.verb == \"delete\"}\n\
         groupBy: [{name: user, value: user.name}]\n\
         detection: {type: Sequence, sequence: {within: 5m, steps: [{selector: read}, {selector: removed}]}}"),
    lesson(Lint::FixedValue,
        "detection: {type: Threshold, threshold: {count: 3, distinct: user.name, within: 10m}}",
        "detection: {type: Threshold, threshold: {count: 3, distinct: source.ip, within: 10m}}"),
    lesson(Lint::NegatedDynamic,
        "where: audit.requestObject.spec.type != \"ClusterIP\"",
        "where: audit.?requestObject.?spec.?type.orValue(\"\") != \"ClusterIP\""),
    lesson(Lint::AlwaysMatches, "where: event.kind == \"event\"", "where: event.outcome == \"failure\""),
    lesson(Lint::WindowOutlivesRecord,
        "detection: {type: Threshold, threshold: {count: 5, within: 30d}}",
        "detection: {type: Threshold, threshold: {count: 5, within: 1d}}"),
    lesson(Lint::ForgetsWhileLearning,
        "detection: {type: NewValue, newValue: {value: source.ip, learnFor: 2d, forgetAfter: 1h}}",
        "detection: {type: NewValue, newValue: {value: source.ip, learnFor: 1h, forgetAfter: 2d}}"),
    lesson(Lint::RepeatedStep,
        "selectors:\n- {name: failed, source: Audit, where: event.outcome == \"failure\"}\n- {name: passed, source: Audit, where: event.outcome == \"success\"}\n\
         detection: {type: Sequence, sequence: {within: 5m, steps: [{selector: failed}, {selector: failed}, {selector: passed}]}}",
        "selectors:\n- {name: failed, source: Audit, where: event.outcome == \"failure\"}\n- {name: passed, source: Audit, where: event.outcome == \"success\"}\n\
         detection: {type: Sequence, sequence: {within: 5m, steps: [{selector: failed, count: 2}, {selector: passed}]}}"),
    lesson(Lint::NoGroupBy, "groupBy: []", "groupBy: [{name: user, value: user.name}]"),
    lesson(Lint::UnusedSelector,
        "selectors:\n- {name: failed, source: Audit, where: event.outcome == \"failure\"}\n- {name: passed, source: Audit, where: event.outcome == \"success\"}\n\
         detection: {type: Threshold, threshold: {selector: failed, count: 5, within: 5m}}",
        "selectors:\n- {name: failed, source: Audit, where: event.outcome == \"failure\"}\n\
         detection: {type: Threshold, threshold: {selector: failed, count: 5, within: 5m}}"),
    lesson(Lint::UnusedVariable,
        "variables: [{name: who, expression: user.name}]\nwhere: user.name == \"eve\"",
        "variables: [{name: who, expression: user.name}]\nwhere: variables.who == \"eve\""),
    lesson(Lint::PlainPattern, "where: user.name.matches(\"^system:node:\")", "where: user.name.startsWith(\"system:node:\")"),
    lesson(Lint::UnanchoredPattern, "where: audit.verb.matches(\"get|list\")", "where: audit.verb in [\"get\", \"list\"]"),
];

/// An unsuspicious rule with the fragment put in.
fn rule(fragment: &str) -> Result<RuleSource, String> {
    let fragment: Map<String, Value> = serde_saphyr::from_str(fragment).map_err(|error| error.to_string())?;
    let mut spec = json!({
        "title": "t",
        "severity": "Low",
        "selectors": [{"name": "seen", "source": "Audit", "where": "audit.verb == \"delete\""}],
        "groupBy": [{"name": "user", "value": "user.name"}],
    });
    let mut id = RuleId::cluster("r");
    for (key, value) in fragment {
        match key.as_str() {
            "kind" => id = RuleId::namespaced("shop", "r"),
            "where" | "source" | "stages" => spec["selectors"][0][key] = value,
            _ => spec[key] = value,
        }
    }
    let spec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    Ok(RuleSource { id, generation: 1, spec })
}

/// The section on warnings.
pub fn section() -> String {
    let mut text = "\n## Warnings\n\nA rule that compiles may still not do what its author meant. `kubewitness test` prints warnings, with \
                    `--deny-warnings` they fail it, and the controller puts them into `status.warnings` of the rule. They never keep a \
                    rule from working. The fragments below stand in a rule on Audit events with one selector and one key.\n"
        .to_owned();
    for Lesson { lint: id, bad, good } in LESSONS {
        let said: Vec<String> =
            rule(bad).map(|r| lint(&r).iter().map(ToString::to_string).collect()).unwrap_or_default();
        write!(
            text,
            "\n### {id}\n\n{}\n\n```yaml\n# warns\n{bad}\n```\n\n```text\n{}\n```\n\n```yaml\n# does not\n{good}\n```\n",
            id.meaning(),
            said.join("\n")
        )
        .expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::compile::compile;

    #[test]
    fn every_warning_has_a_lesson_that_holds() {
        assert_eq!(LESSONS.iter().map(|lesson| lesson.lint).collect::<Vec<_>>(), Lint::ALL);
        for Lesson { lint: id, bad, good } in LESSONS {
            for (fragment, wanted) in [(bad, vec![*id]), (good, vec![])] {
                let rule = rule(fragment).unwrap();
                compile(&rule).unwrap_or_else(|error| panic!("{fragment}: {error}"));
                assert_eq!(lint(&rule).iter().map(|w| w.lint).collect::<Vec<_>>(), wanted, "{fragment}");
            }
        }
    }
}
