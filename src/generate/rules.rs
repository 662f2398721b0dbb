//! The reference page of a rule's fields. In: the schema of `spec`. Out: Markdown, a table for each object in it.

use kube::CustomResourceExt;
use serde_json::Value;

use super::rule_tests::{DURATIONS, section};
use crate::api::ClusterSecurityRule;

const EXAMPLE: &str = include_str!("rules.yaml");

/// The whole page, without the header of generated files.
pub fn page() -> String {
    let mut text = format!(
        "# Rules\n\nA `ClusterSecurityRule` sees all events, and its alerts live in the controller's namespace. A `SecurityRule` has \
         the same fields, lives in a namespace, sees the audit events of that namespace and the Container and Web logs of its pods, \
         and its alerts live there. [The tutorial](../tutorial.md) writes one; [the language](rule-language.md) is what stands in \
         expressions, [event fields](event-fields.md) what they read, [tests](rule-tests.md) what `spec.tests` holds. `kubectl \
         explain clustersecurityrule.spec` says the same as the tables below. {DURATIONS} An event counts once; a line that says \
         `message repeated 5 times` [counts five times](rule-language.md#lines-that-were-repeated).\n\n```yaml\n{EXAMPLE}```\n\n\
         ## The summary\n\n`alert.summary` is a sentence with slots, which are filled from the newest event of each selector:\n\n\
         | slot | stands for |\n|---|---|\n\
         | `{{key.NAME}}` | the value of that `groupBy` key |\n\
         | `{{SELECTOR.field.path}}` | a field, or any expression, of the newest event that the selector took; with one selector its name may be left out |\n\
         | `{{SELECTOR.count}}` | how often events of the selector took part |\n\
         | `{{new.value}}`, `{{new.known}}`, `{{new.since}}` | of a NewValue rule: the new value, how many were known, since when the key was learned |\n\
         | `{{{{`, `}}}}` | a brace |\n\n\
         A value in it is cut at 256 bytes. Without a summary an alert shows the title and the key.\n",
    );
    let mut resource = serde_json::to_value(ClusterSecurityRule::crd()).unwrap_or_default();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    if let Some(spec) = resource.pointer_mut(spec) {
        if let Some(tests) = spec.pointer_mut("/properties/tests/items/properties") {
            *tests = Value::Null; // they have a page of their own
        }
        section("spec", spec, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pipeline::rule_test::validate,
        record::RuleId,
        ruleset::{compile::RuleSource, lint::lint},
    };

    #[test]
    fn the_example_passes_its_tests_without_a_warning() {
        let rule: ClusterSecurityRule = serde_saphyr::from_str(EXAMPLE).unwrap();
        let source = RuleSource { id: RuleId::cluster("login-then-secrets"), generation: 1, spec: rule.spec.0 };
        validate(&source).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(lint(&source), []);
    }

    #[test]
    fn the_page_has_every_field_with_its_bounds() {
        let page = page();
        for row in [
            "| `selectors` | list, 1 to 8 of object, required |",
            "| `count` | number, 1 to 10000, required |",
            "| `ordered` | true or false, default true |",
            "| `severity` | Informational, Low, Medium, High, Critical, required |",
            "duration, such as `90s`, `1h30m` or `7d`, required",
            "## spec.groupBy[].from[]",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
        assert!(!page.contains("## spec.tests"), "{page}");
    }
}
