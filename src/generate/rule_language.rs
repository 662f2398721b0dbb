//! The reference page of the rule language. In: the tables of the language, its examples, the linter. Out: Markdown, with
//! values and messages that the evaluator and the compiler give while it is made.

use std::fmt::Write as _;

use super::{
    chapters::CHAPTERS,
    detections,
    examples::{EVENT, Example, answer, record, taken_apart},
    lints,
};
use crate::{
    record::Record,
    ruleset::expr::{Expected, Program, Variables, bounds, deviations, reference},
};

const RECIPES: &str = include_str!("recipes.yaml");

const NEVER_FAILS: &str = "writing to a String does not fail";

/// Mistakes whose messages the page shows.
const MISTAKES: [&str; 3] = [
    "user.nme == \"eve\"",
    "audit.objectRef.resource == \"pods\"\n&& audit.responseStatus.code == \"403\"",
    "user.name.beginsWith(\"system:\")",
];

const INTRODUCTION: &str = "# The rule language

The expressions of a rule are [CEL](https://cel.dev), as in Kubernetes' admission policies, over the fields of one event:

| place in a rule | must yield |
|---|---|
| `spec.selectors[].where` | a bool: whether the selector takes the event |
| `spec.groupBy[].value`, `.from[].value` | text, a number, a bool or a time: a part of the key; empty joins nothing |
| `spec.detection.threshold.distinct` | the same: of what different values are counted |
| `spec.detection.newValue.value` | the same: of what new values are found |
| `spec.variables[].expression` | anything; other expressions read it as `variables.NAME` |
| `spec.alert.summary`, in `{SELECTOR.EXPRESSION}` | text, a number, a bool or a time, of the selector's latest event |

Try an expression without any rule or cluster:

```sh
kubewitness eval --expression '[1, 2, 3].filter(x, x > 1)'                 # over nothing
kubewitness eval --expression 'n * 2' --bindings '{\"n\": 21}'               # over variables
kubewitness eval --expression 'user.name' --event event.json               # over an audit event
kubewitness explain --rules rule.yaml --event event.json                   # why a rule matches, or does not
```

Every example on this page reads `expression   → value`, with the value as `eval` prints it: JSON, or `error: …`. Examples on
fields read this event:
";

/// The whole page, without the header of generated files.
pub fn page() -> String {
    let record = record();
    let mut text = format!("{INTRODUCTION}\n```json\n{}\n```\n", EVENT.trim());
    for chapter in CHAPTERS {
        write!(text, "\n## {}\n\n{}\n", chapter.title, chapter.text).expect(NEVER_FAILS);
        text.push_str(&block(chapter.examples.iter().map(|Example(expression, value)| {
            let value = if *value == "error" { answer(expression, &record) } else { (*value).to_owned() };
            ((*expression).to_owned(), value)
        })));
    }
    text.push_str(&functions(&record));
    text.push_str(&limits());
    text.push_str(&messages());
    text.push_str(&lints::section());
    text.push_str(detections::SECTION);
    text.push_str(&recipes());
    text.push_str(&differences());
    text
}

/// Expressions with what they come to, in a column of its own.
fn block(examples: impl Iterator<Item = (String, String)>) -> String {
    let examples: Vec<(String, String)> = examples.collect();
    let width = examples.iter().map(|(e, _)| e.chars().count()).filter(|n| *n < 80).max().unwrap_or(0);
    let lines: String = examples.iter().map(|(e, value)| format!("{e:<width$}   → {value}\n")).collect();
    format!("\n```cel\n{lines}```\n")
}

fn functions(record: &Record) -> String {
    let mut text = "\n## Operators, functions and macros\n\n`A`, `B` and `C` stand for any type. What takes a `string` takes a `dyn` too, \
                    and is an error when that holds something else.\n"
        .to_owned();
    let entries = reference();
    let mut groups: Vec<&str> = Vec::new();
    for entry in &entries {
        if !groups.contains(&entry.group) {
            groups.push(entry.group);
        }
    }
    for group in groups {
        write!(text, "\n### {group}\n").expect(NEVER_FAILS);
        for entry in entries.iter().filter(|entry| entry.group == group) {
            let signatures: Vec<String> = entry.signatures.iter().map(|s| format!("`{s}`")).collect();
            let name = if entry.name == "?_:_" { "? :" } else { entry.name };
            write!(text, "\n**`{name}`** {}<br>{}\n", entry.meaning, signatures.join(" · ")).expect(NEVER_FAILS);
            let parts = taken_apart(entry.example, group == "Comparing");
            text.push_str(&block(parts.into_iter().map(|part| (part.clone(), answer(&part, record)))));
        }
    }
    text
}

fn limits() -> String {
    let mut text = "\n## Limits\n\nA rule's cost is known before it runs, and is the same on any machine. What is over a limit is refused; an \
                    evaluation over its steps ends in an error that nothing absorbs.\n\n| at most | |\n|---|---|\n"
        .to_owned();
    for bound in bounds() {
        writeln!(text, "| {} | {} |", bound.most, bound.what).expect(NEVER_FAILS);
    }
    text.push_str("\nRegular expressions have the syntax of RE2 and run in time linear in the text.\n");
    text
}

fn messages() -> String {
    let mut text = "\n## What a mistake looks like\n\nLine, column, what is wrong, what to write instead, and the place. `kubewitness test` \
                    says it, and so does the condition `Ready` of the rule.\n"
        .to_owned();
    for mistake in MISTAKES {
        let said = match Program::compile(mistake, Expected::Bool, &Variables::default()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        write!(text, "\n```text\n{said}\n```\n").expect(NEVER_FAILS);
    }
    text
}

/// Each recipe opens with two comments: its heading, and what to know.
fn recipes() -> String {
    let mut text =
        "\n## Recipes\n\nWhole rules, each with its tests: copy one into a file and run `kubewitness test` on it.\n"
            .to_owned();
    for recipe in RECIPES.split("---\n") {
        let mut comments = recipe.lines().filter_map(|line| line.strip_prefix("# "));
        let (title, prose) = (comments.next().unwrap_or_default(), comments.next().unwrap_or_default());
        let rule: Vec<&str> = recipe.lines().filter(|line| !line.starts_with('#')).collect();
        write!(text, "\n### {title}\n\n{prose}\n\n```yaml\n{}\n```\n", rule.join("\n").trim()).expect(NEVER_FAILS);
    }
    text
}

fn differences() -> String {
    let mut text = "\n## Where it differs from other CELs\n\nThe reference is cel-go with the libraries of Kubernetes' API server; generated \
                    expressions are held against it in our tests, and so is each example here: `refused` is what does not compile, \
                    `error` what has no value.\n"
        .to_owned();
    for deviation in deviations() {
        write!(text, "\n**{}** {}\n", deviation.what, deviation.reason).expect(NEVER_FAILS);
        if deviation.shown.is_empty() {
            continue;
        }
        text.push_str("\n| expression | here | cel-go |\n|---|---|---|\n");
        for shown in deviation.shown {
            let cell = |text: &str| text.replace('|', "\\|");
            let (expression, ours, theirs) = (cell(shown.expression), cell(shown.ours), cell(shown.theirs));
            writeln!(text, "| `{expression}` | `{ours}` | `{theirs}` |").expect(NEVER_FAILS);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_come_to_what_their_author_expects() {
        let record = record();
        let mut wrong = Vec::new();
        for Example(expression, value) in CHAPTERS.iter().flat_map(|chapter| chapter.examples) {
            let found = answer(expression, &record);
            let fits = if *value == "error" { found.starts_with("error: ") } else { found == *value };
            if !fits {
                wrong.push(format!("{expression}: {found}, not {value}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_mistake_is_refused_with_place_and_remedy() {
        for mistake in MISTAKES {
            let error = Program::compile(mistake, Expected::Bool, &Variables::default()).unwrap_err();
            assert!(error.excerpt.ends_with('^'), "{error}");
        }
        assert!(Program::compile(MISTAKES[0], Expected::Bool, &Variables::default()).unwrap_err().hint.is_some());
    }

    #[test]
    fn every_recipe_has_a_title_and_a_sentence() {
        for recipe in RECIPES.split("---\n") {
            assert_eq!(recipe.lines().take(3).map(|l| l.starts_with("# ")).collect::<Vec<_>>(), [true, true, false]);
        }
    }
}
