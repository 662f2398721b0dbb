//! The page of ways around (docs/evasion.md) quotes tests, and each is there: of the rules, and of the attacks on a real API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::shipped;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The text of all attacks on a real API server.
fn attacks() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let files = fs::read_dir(directory).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    files.fold(read("tests/attacks.rs"), |all, text| all + &text)
}

/// Whether there is a technique, or a test, of this name; or one that begins so, where an ellipsis ends it.
fn is_live(attacks: &str, quote: &str) -> bool {
    match quote.strip_suffix(" …") {
        Some(begin) => attacks.contains(&format!("name: \"{begin}")),
        None => attacks.contains(&format!("name: \"{quote}\",")) || attacks.contains(&format!("fn {quote}()")),
    }
}

/// What the page calls live is a test: behind each such word stand names of tests, one after another.
#[test]
fn what_is_called_live_among_the_ways_around_is_a_test() {
    let (attacks, page) = (attacks(), read("docs/evasion.md"));
    let (_, tables) = page.split_once("## What holds for every rule").unwrap();
    let words: Vec<_> = tables.split("live ").skip(1).collect();
    let said = tables.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| *word == "live").count();
    assert!(words.len() > 20, "{} times", words.len());
    assert_eq!(words.len(), said, "`live` is followed by the name of its test");
    for text in words {
        let mut rest = text;
        let mut names = 0;
        while let Some((name, behind)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            assert!(is_live(&attacks, name), "docs/evasion.md: no live test: {name}");
            names += 1;
            rest = behind.strip_prefix(", ").unwrap_or(behind);
        }
        let line: String = text.chars().take(60).collect();
        assert!(names > 0, "docs/evasion.md: called live, and names no test: {line}");
    }
}

/// The page of ways around names each rule in one row of its table, and quotes no test that isn't there: of the row's
/// rules, of a rule that closes the way instead, or of the attacks on a real API server.
#[test]
fn each_audit_rule_has_its_row_among_the_ways_around() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let audit: BTreeMap<_, _> = shipped()
        .into_iter()
        .filter(|(file, _)| top.join(format!("manifests/rules/audit/{file}.yaml")).exists())
        .map(|(file, rule)| (file, rule.spec.0.tests.iter().map(|test| test.name.clone()).collect::<BTreeSet<_>>()))
        .collect();
    let attacks = attacks();
    let page = read("docs/evasion.md");
    let (_, groups) = page.split_once("## By group").unwrap();
    let (mut named, mut wrong) = (BTreeSet::new(), Vec::new());
    for row in groups.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rules |")) {
        // A pipe of a command is written with a backslash.
        let row = row.replace("\\|", " ");
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, rules, _, closed, open, _] = cells[..] else { panic!("not four cells: {row}") };
        assert!(!open.is_empty(), "says nothing of what stays open: {row}");
        let rules: Vec<_> = rules.split(", ").collect();
        named.extend(rules.iter().map(|rule| (*rule).to_owned()));
        let helpers = closed.split(|c: char| c != '-' && !c.is_ascii_lowercase());
        let tests: Vec<_> = rules.iter().copied().chain(helpers).filter_map(|rule| audit.get(rule)).flatten().collect();
        // Each second part stands between quotes; one that ends in an ellipsis is the beginning of a name.
        let quotes: Vec<_> = closed.split('"').skip(1).step_by(2).collect();
        let is_there = |quote: &&str| match quote.strip_suffix(" …") {
            Some(begin) => tests.iter().any(|test| test.starts_with(begin)) || is_live(&attacks, quote),
            None => tests.iter().any(|test| test == quote) || is_live(&attacks, quote),
        };
        wrong.extend(quotes.iter().filter(|quote| !is_there(quote)).map(|quote| format!("no such test: {quote}")));
        if quotes.is_empty() {
            wrong.push(format!("names no test: {row}"));
        }
    }
    let shipped: BTreeSet<_> = audit.into_keys().collect();
    wrong.extend(
        named.symmetric_difference(&shipped).map(|rule| format!("a rule without row, or a row without rule: {rule}")),
    );
    assert!(wrong.is_empty(), "docs/evasion.md: {wrong:#?}");
}
