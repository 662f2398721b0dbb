//! The tutorial teaches what holds: its files are written as it says, its commands are run by a shell, and print what stands
//! there. `KUBEWITNESS_BLESS=1 cargo test tutorial` writes the outputs anew: read the difference before you commit it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{run, text};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorial.md")
}

/// What a shell prints for a command, on both channels as a terminal shows them.
fn shell(dir: &Path, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_kubewitness")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let script = format!("exec 2>&1\n{command}");
    let output = Command::new("sh").args(["-c", &script]).current_dir(dir).env("PATH", path).output().unwrap();
    text(&output.stdout)
}

fn fits(found: &str, wanted: &str) -> bool {
    let line = |(have, want): (&str, &str)| match want.strip_suffix('…') {
        Some(start) => have.starts_with(start),
        None => have == want,
    };
    found.lines().count() == wanted.lines().count() && found.lines().zip(wanted.lines()).all(line)
}

/// The commands of a console block, each with its output.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("no command: {line}"),
        }
    }
    commands
}

/// The file that the text before a block says to write it to, and whether at its end.
fn file(before: &str) -> Option<(&str, bool)> {
    let sentence = before.trim_end().strip_suffix(":")?;
    let (rest, appends) = match (sentence.rsplit_once("Save this as `"), sentence.rsplit_once("Append this to `")) {
        (Some((_, rest)), _) if rest.len() < 30 => (rest, false),
        (_, Some((_, rest))) if rest.len() < 30 => (rest, true),
        _ => return None,
    };
    Some((rest.strip_suffix('`')?, appends))
}

#[test]
fn commands_of_the_tutorial_print_what_stands_there() {
    let page_text = fs::read_to_string(page()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut blessed, mut ran, mut wrong) = (String::new(), Vec::new(), Vec::new());
    let mut rest = page_text.as_str();
    while let Some((before, after)) = rest.split_once("\n```") {
        let (fence, after) = after.split_once('\n').unwrap();
        let (block, after) = after.split_once("```\n").unwrap();
        let mut written = block.to_owned();
        if fence == "console" {
            written.clear();
            for (command, wanted) in commands(block) {
                let found = shell(dir.path(), &command);
                if !fits(&found, &wanted) {
                    wrong.push(format!("{command}\nprints\n{found}and not\n{wanted}"));
                }
                let shown = if fits(&found, &wanted) { &wanted } else { &found };
                written += &format!("$ {command}\n{shown}");
                ran.push(command);
            }
        } else {
            let (name, appends) = file(before).unwrap_or_else(|| panic!("no file is named before\n{block}"));
            let path = dir.path().join(name);
            let old = if appends { fs::read_to_string(&path).unwrap() } else { String::new() };
            fs::write(path, old + block).unwrap();
        }
        blessed += &format!("{before}\n```{fence}\n{written}```\n");
        rest = after;
    }
    if std::env::var_os("KUBEWITNESS_BLESS").is_some() {
        fs::write(page(), blessed + rest).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    for verb in ["normalise", "eval", "explain", "test", "replay"] {
        assert!(ran.iter().any(|command| command.contains(&format!("kubewitness {verb}"))), "no {verb}");
    }
}

#[test]
fn example_of_the_reference_of_rule_tests_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/reference/rule-tests.md")).unwrap();
    let rule = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = super::with_rule(rule);
    let output = run(dir.path(), &["test", "--deny-warnings", "rule.yaml"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    for field in ["repeat", "every", "received", "advanceTo", "absent", "hostNetwork", "inventory"] {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{field}` |")));
        let row = row.unwrap_or_else(|| panic!("no {field}"));
        assert!(row.rsplit('|').nth(1).is_some_and(|meaning| meaning.trim().len() > 10), "{row}");
    }
}
