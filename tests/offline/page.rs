//! The reference page of the rule language teaches what holds: each example is evaluated by the binary, each recipe passes
//! its tests.

use std::{fs, path::Path};

use kubewitness::offline::eval::{self, EvalArgs};

use super::{run, text};

fn page() -> String {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/rule-language.md")).unwrap();
    assert!(page.len() > 20_000, "{} bytes", page.len());
    page
}

/// The fenced blocks of one language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("\n```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("\n```\n").next().unwrap()).collect()
}

#[test]
fn every_example_of_the_page_comes_to_what_stands_there() {
    let page = page();
    let dir = tempfile::tempdir().unwrap();
    let event = blocks(&page, "json");
    assert_eq!(event.len(), 1);
    fs::write(dir.path().join("event.json"), event[0]).unwrap();
    let path = dir.path().join("event.json");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for line in blocks(&page, "cel").iter().flat_map(|block| block.lines()) {
        let (expression, value) = line.rsplit_once("   → ").unwrap_or_else(|| panic!("no value: {line}"));
        let expression = expression.trim_end().to_owned();
        let (event, how) = (Some(path.clone()), Default::default());
        let args = EvalArgs { expression: expression.clone(), event, how, bindings: None };
        let found = match eval::answer(&args).unwrap() {
            Ok(value) => value.to_json().to_string(),
            Err(none) => none.to_string(),
        };
        if found != value {
            wrong.push(format!("{expression}: the page has {value}, and it is {found}"));
        }
        // A process takes its time, so only some go all the way.
        if seen % 40 == 0 {
            let output = run(dir.path(), &["eval", "--event", "event.json", "--expression", &expression], "");
            assert_eq!(text(&output.stdout), format!("{value}\n"), "{expression}");
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 200, "{seen} examples");
}

#[test]
fn every_recipe_of_the_page_passes_its_tests_without_a_warning() {
    let page = page();
    let dir = tempfile::tempdir().unwrap();
    let recipes: Vec<&str> =
        blocks(&page, "yaml").into_iter().filter(|block| block.starts_with("apiVersion:")).collect();
    assert_eq!(recipes.len(), 13);
    for (index, recipe) in recipes.iter().enumerate() {
        assert!(recipe.contains("  tests:\n"), "{recipe}");
        fs::write(dir.path().join(format!("{index}.yaml")), recipe).unwrap();
    }
    let output = run(dir.path(), &["test", "--deny-warnings", "."], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}
