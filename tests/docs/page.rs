//! Pages for people, read by the machine: their blocks of commands, and who runs them.
//! In: Markdown. Out: blocks, each with what says who runs it. Shared by `it` and by `make test-node`.

use super::support::repository;
use std::fs;

/// What a document says below a block that nobody can run here, with the reason.
const UNTESTED: &str = "No test runs this: ";

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Path of the page from the root of the repository.
    pub page: String,
    pub language: String,
    pub text: String,
    /// Why no test runs it, as the page says below the block.
    pub untested: Option<String>,
}

/// Who runs a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `tests/docs.rs`, on a real API server with the charts installed, but without a kubelet.
    Bed,
    /// `tests/node_live/docs.rs`, on a real node: `make test-node`.
    Node,
    /// A test of its own, by its name in `cargo test`.
    Test(&'static str),
    /// Nobody separately: each line stands in this other page, which has it run.
    Same(&'static str),
    /// Nobody separately: it is all that this other page has run up to the block that begins so, in the same order.
    Until(&'static str, &'static str),
}

/// Pages whose every command is accounted for, beside the runbooks.
pub const PAGES: [&str; 9] = [
    "README.md",
    "charts/kubewitness/README.md",
    "charts/kubewitness-rules/README.md",
    "docs/connect.md",
    "docs/operations.md",
    "docs/quickstart.md",
    "docs/reference/rule-language.md",
    "docs/release.md",
    "docs/tutorial.md",
];

/// Page, what a line of the block begins with, and who runs the block. Of runbooks see [`of_runbook`].
const ACCOUNTS: &[(&str, &str, By)] = &[
    ("README.md", "make demo  ", By::Node),
    (
        "README.md",
        "$ kubectl get securityalert",
        By::Test("demo_finds_what_it_promises_and_prints_what_the_readme_shows"),
    ),
    ("README.md", "$ kubewitness ", By::Test("commands_of_the_readme_print_what_stands_there")),
    ("README.md", "make build && export PATH", By::Node),
    ("README.md", "kubectl apply -f rule.yaml", By::Bed),
    ("README.md", "for n in ", By::Node),
    ("README.md", "kubectl patch securityalert", By::Node),
    ("README.md", "make image", By::Until("docs/quickstart.md", "helm test")),
    ("docs/tutorial.md", "$ ", By::Test("commands_of_the_tutorial_print_what_stands_there")),
    ("docs/quickstart.md", "make image", By::Test("make_packs_the_image_and_its_sbom_as_the_release_page_says")),
    ("docs/quickstart.md", "", By::Node),
    ("docs/connect.md", "mkdir -m 700 -p $NODE", By::Same("docs/quickstart.md")),
    ("docs/connect.md", "helm test", By::Node),
    ("docs/connect.md", "", By::Bed),
    ("docs/operations.md", "", By::Node),
    ("docs/reference/rule-language.md", "kubewitness ", By::Bed),
    ("docs/release.md", "make image sbom", By::Test("make_packs_the_image_and_its_sbom_as_the_release_page_says")),
    ("charts/kubewitness/README.md", "", By::Node),
    ("charts/kubewitness-rules/README.md", "", By::Same("docs/quickstart.md")),
];

/// Needs pods that run, or a node.
fn needs_node(command: &str) -> bool {
    let starts = ["kubectl logs ", "kubectl describe pod ", "kubectl describe node ", "kubectl exec "];
    starts.iter().any(|start| command.starts_with(start)) || command.contains("/proxy/")
}

/// Who runs a command of a runbook.
pub fn of_runbook(command: &str) -> By {
    if needs_node(command) { By::Node } else { By::Bed }
}

impl Block {
    /// Who runs it; `None` when nobody does, though the page does not say so.
    pub fn by(&self) -> Option<By> {
        if self.page.starts_with("docs/runbooks/") {
            return Some(of_runbook(&self.text));
        }
        let begins = |start: &str| self.text.lines().any(|line| line.starts_with(start));
        ACCOUNTS.iter().find(|(page, start, _)| *page == self.page && begins(start)).map(|(.., by)| *by)
    }

    pub fn is_commands(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "bash" | "console")
            || self.text.lines().any(|line| line.starts_with("$ "))
    }

    /// Lines with neither blanks nor comments at their ends.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(|line| line.split("  #").next().unwrap_or(line).trim()).filter(|line| !line.is_empty())
    }
}

/// The blocks of a page, in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(repository(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut blocks = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, after) = after.split_once('\n').unwrap();
        let (body, after) = match after.strip_prefix("```") {
            Some(after) => ("", after),
            None => after.split_once("\n```").unwrap_or_else(|| panic!("{page}: a block without an end")),
        };
        let said = after.trim_start().strip_prefix(UNTESTED).and_then(|rest| rest.split("\n\n").next());
        blocks.push(Block {
            page: page.to_owned(),
            language: language.to_owned(),
            text: format!("{body}\n"),
            untested: said.map(str::to_owned),
        });
        rest = after;
    }
    blocks
}

/// All runbooks, by their paths from the root of the repository.
pub fn runbooks() -> Vec<String> {
    let files = fs::read_dir(repository("docs/runbooks")).unwrap();
    let mut pages: Vec<_> = files
        .map(|file| format!("docs/runbooks/{}", file.unwrap().file_name().to_str().unwrap()))
        .filter(|page| !page.ends_with("/README.md"))
        .collect();
    pages.sort();
    pages
}

/// The commands of all runbooks that this one is to run, each once, with the page that it is of.
pub fn runbook_commands(by: By) -> Vec<(String, String)> {
    let blocks = runbooks().into_iter().flat_map(|page| blocks(&page));
    let ours = blocks.filter(|block| block.is_commands() && block.untested.is_none() && block.by() == Some(by));
    let mut commands: Vec<_> = ours.map(|block| (block.text.trim().to_owned(), block.page)).collect();
    commands.sort();
    commands.dedup_by(|one, other| one.0 == other.0);
    commands
}

/// A command for bash that fails when a part of the pipeline does: but a search that finds nothing is an answer.
pub fn judged(command: &str) -> String {
    let parts = "for i in \"${!s[@]}\"; do [ \"${s[$i]}\" = 0 ] || { [ \"${s[$i]}\" = 1 ] && [ \"${p[$i]:0:5}\" = 'grep ' ]; } || exit 1; done";
    let stages: Vec<String> = command.split(" | ").map(|stage| format!("'{}'", stage.replace('\'', "'\\''"))).collect();
    format!("set +e -u\n{command}\ns=(\"${{PIPESTATUS[@]}}\")\np=({})\n{parts}\n", stages.join(" "))
}
