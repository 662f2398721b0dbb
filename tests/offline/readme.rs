//! What the README says about writing a rule holds: its commands are run, and print what stands there.

use std::{fs, path::Path};

use super::{run, text};

/// The commands of the section, each with the output that is shown below it; `…` stands for the rest of a line.
fn shown() -> Vec<(String, String)> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = readme.split("\n## Write a rule\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let console = section.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in console.flat_map(str::lines) {
        match (line.strip_prefix("$ kubewitness "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("no command: {line}"),
        }
    }
    commands
}

/// Words as a shell splits them, with single quotes alone.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in command.split('\'').enumerate() {
        for (n, piece) in part.split(' ').enumerate() {
            if index % 2 == 1 && n > 0 {
                words.last_mut().unwrap().push(' ');
            } else if index % 2 == 0 && n > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn commands_of_the_readme_print_what_stands_there() {
    let commands = shown();
    for verb in ["test", "eval", "explain", "replay"] {
        assert!(commands.iter().any(|(command, _)| command.starts_with(verb)), "no {verb}");
    }
    for (command, wanted) in commands {
        let words = words(&command);
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run(Path::new(env!("CARGO_MANIFEST_DIR")), &arguments, "");
        let found = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", text(&output.stderr));
        let fits = |(have, want): (&str, &str)| match want.strip_suffix('…') {
            Some(start) => have.starts_with(start),
            None => have == want,
        };
        let same = found.lines().count() == wanted.lines().count() && found.lines().zip(wanted.lines()).all(fits);
        assert!(same, "{command} prints\n{found}and not\n{wanted}");
    }
}
