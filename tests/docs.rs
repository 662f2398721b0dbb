//! Commands of the documents are run, not only written: each is run by a test that is named here, or the document says that none
//! does and why. Those that need no pods are run below, on a real API server with both charts and a controller.

mod bed;
mod nodes;
pub mod page;

use crate::support::{self, repository};
use page::{Block, By, PAGES, blocks, runbook_commands, runbooks};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What no test runs, by what stands in the command.
const NEEDS_MORE: [&str; 10] =
    ["kind ", "docker ", "scp ", "k3s", "rke2-server", "kops ", "talosctl ", "kubectl top ", "skopeo ", "cosign "];
/// Logs of an API server that is a static pod.
const STATIC_POD: &str = "kubectl logs -n kube-system kube-apiserver-";

/// Sources of tests, by the names of the functions in them.
fn sources(directory: &Path, found: &mut BTreeMap<String, String>) {
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
            names.for_each(|name| drop(found.insert(name.to_owned(), text.clone())));
        }
    }
}

/// What is wrong with how a block is accounted for.
fn wrong(block: &Block, tests: &BTreeMap<String, String>) -> Option<String> {
    if let Some(reason) = &block.untested {
        let has_to = NEEDS_MORE.iter().chain([&STATIC_POD]).any(|what| block.text.contains(what));
        return (!has_to || reason.len() < 10).then(|| "it says that no test runs it, and could be run".to_owned());
    }
    match block.by() {
        None => Some("no test runs it, and it does not say so".to_owned()),
        Some(By::Bed | By::Node) => None,
        Some(By::Test(name)) => match tests.get(name) {
            None => Some(format!("there is no test {name}")),
            // Else it can't know what the page says.
            Some(source) => (!source.contains(&block.page)).then(|| format!("{name} does not read {}", block.page)),
        },
        Some(By::Same(other)) => {
            let others = blocks(other);
            let known: BTreeSet<&str> = others.iter().flat_map(Block::lines).collect();
            let new = block.lines().find(|line| !known.contains(line))?;
            Some(format!("{new:?} does not stand in {other}"))
        }
        Some(By::Until(other, end)) => {
            let steps = run_until(other, end);
            let ours: Vec<&str> = block.lines().collect();
            (ours != steps)
                .then(|| format!("it is not what {other} has run before `{end}`, which is\n{}", steps.join("\n")))
        }
    }
}

/// The lines of a page that are run, in their order, up to the block that begins with `end`.
fn run_until(page: &str, end: &str) -> Vec<String> {
    let all = blocks(page);
    assert!(all.iter().any(|block| block.text.starts_with(end)), "no block of {page} begins with {end}");
    let before = all.iter().take_while(|block| !block.text.starts_with(end));
    let run = before.filter(|block| block.is_commands() && block.untested.is_none());
    run.flat_map(Block::lines).map(str::to_owned).collect()
}

/// Markdown below a directory, by paths from the root of the repository.
fn pages_below(directory: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(repository(directory)).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        // What cargo writes, and the texts from which pages are generated.
        let is_ours = !name.starts_with('.') && !["target", "src"].contains(&name.as_str());
        if entry.file_type().unwrap().is_dir() && is_ours {
            pages_below(&path, found);
        } else if name.ends_with(".md") {
            found.insert(path);
        }
    }
}

#[test]
fn no_page_with_commands_is_overlooked() {
    let mut all = BTreeSet::new();
    pages_below("", &mut all);
    let has_commands = |page: &String| blocks(page).iter().any(Block::is_commands);
    let found: BTreeSet<String> = all.into_iter().filter(has_commands).collect();
    let known: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).chain(runbooks()).collect();
    let overlooked: Vec<_> = found.difference(&known).collect();
    assert!(overlooked.is_empty(), "{overlooked:?}");
    assert!(PAGES.iter().all(|page| found.contains(*page)), "{found:?}");
}

/// Other files with both sides would not parse, or not be what is generated.
#[test]
fn no_page_holds_both_sides_of_a_merge() {
    let mut all = BTreeSet::new();
    pages_below("", &mut all);
    for page in all {
        let text = std::fs::read_to_string(repository(&page)).unwrap();
        let left = text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "));
        assert_eq!(left.map(|before| before + 1), None, "{page}: a line that a merge left");
    }
}

#[test]
fn every_command_is_accounted_for() {
    let mut tests = BTreeMap::new();
    sources(&repository("tests"), &mut tests);
    let pages = PAGES.iter().map(|page| (*page).to_owned()).chain(runbooks());
    let all: Vec<Block> = pages.flat_map(|page| blocks(&page)).filter(Block::is_commands).collect();
    assert!(all.len() > 120, "{} blocks were read", all.len());
    for block in &all {
        assert_eq!(wrong(block, &tests), None, "{}:\n{}", block.page, block.text);
    }
    let new = |page: &str, text: &str, untested: Option<&str>| {
        let (page, language) = (page.to_owned(), "sh".to_owned());
        let block = Block { page, language, text: text.to_owned(), untested: untested.map(str::to_owned) };
        wrong(&block, &tests).is_some()
    };
    assert!(new("README.md", "kubectl delete everything\n", None));
    assert!(new("README.md", "make image\nhelm install another\n", None));
    let all = run_until("docs/quickstart.md", "helm test");
    assert!(all.len() > 10, "{all:?}");
    assert!(!new("README.md", &all.join("\n"), None));
    for left_out in 0..all.len() {
        let mut others = all.clone();
        others.remove(left_out);
        assert!(new("README.md", &others.join("\n"), None), "{} can be left out", all[left_out]);
    }
    let mut exchanged = all.clone();
    exchanged.swap(0, 1);
    assert!(new("README.md", &exchanged.join("\n"), None), "in another order");
    let blind = tests.keys().map(|name| (name.clone(), String::new())).collect();
    let block = blocks("docs/tutorial.md").into_iter().find(Block::is_commands).unwrap();
    assert_ne!(wrong(&block, &blind), None, "its test reads no page");
    assert!(new("docs/operations.md", "kubectl get nodes\n", Some("it is late already")));
}

/// Commands within sentences: kubectl and helm with all that they need to be run.
fn within_sentences(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository(page)).unwrap();
    let prose = text.split("\n```").step_by(2).flat_map(|part| part.split("\n\n"));
    let spans = prose.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    let whole = |span: &&str| {
        (span.starts_with("kubectl ") || span.starts_with("helm ")) && span.split_whitespace().count() > 3
    };
    spans.filter(whole).map(|span| span.replace('\n', " ")).collect()
}

/// A pattern of a command in a sentence, which the reader fills in.
fn is_pattern(command: &str) -> bool {
    command.contains('…')
}

#[test]
fn commands_that_need_no_pod_hold_on_a_real_api_server() {
    let bed = bed::Bed::start();
    for (command, page) in runbook_commands(By::Bed) {
        bed.judge(&page, &command);
    }
    let helms: Vec<Block> = PAGES.iter().flat_map(|page| blocks(page)).collect();
    for page in PAGES.iter().map(|page| (*page).to_owned()).chain(runbooks()) {
        for command in within_sentences(&page).into_iter().filter(|command| !is_pattern(command)) {
            // What installs and upgrades is run from the blocks that hold it.
            let known = helms.iter().flat_map(Block::lines).any(|line| line.contains(&command));
            if !known {
                assert_eq!(page::of_runbook(&command), By::Bed, "{page}: {command} needs a node, so give it a block");
                bed.judge(&page, &command);
            }
        }
    }
    let readme = blocks("README.md");
    let rule = readme.iter().find(|block| block.language == "yaml").unwrap();
    bed.write("rule.yaml", &rule.text);
    for block in readme.iter().filter(|block| block.is_commands() && block.by() == Some(By::Bed)) {
        bed.run("README.md", &block.text);
    }
    bed.run("README.md", "kubectl wait --for=condition=Ready csrule/my-forbidden-burst");
    bed.run("the language's page", "cp examples/event.json .");
    for block in blocks("docs/reference/rule-language.md").iter().filter(|block| block.is_commands()) {
        bed.run(&block.page, &block.text);
    }
    nodes::connect(&bed);
}

#[test]
fn what_finds_nothing_is_an_answer_and_what_fails_is_not() {
    for (command, holds) in [
        ("true", true),
        ("false", false),
        ("echo one | grep two", true),
        ("echo one | grep two | wc -l", true),
        ("false | grep two", false),
        ("echo one | grep --no-such-flag", false),
        ("echo one | no-such-program", false),
    ] {
        let output = std::process::Command::new("bash").args(["-c", &page::judged(command)]).output().unwrap();
        assert_eq!(output.status.success(), holds, "{command}: {output:?}");
    }
}
