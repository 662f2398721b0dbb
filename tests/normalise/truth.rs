//! What the events of a recording tell against what was done: each login over SSH by the connection that its address and port
//! name; sudo and su in the order in which they were typed. In each format of each scene, of both suites.

use std::collections::BTreeSet;

use super::scenes::{Act, Scene, Seen, scenes};

/// The name as sshd writes it of what was sent: Debian's takes what follows a slash for an SELinux role
/// (debian/patches/selinux-role.patch), and the log has at most 100 bytes (`%.100s` in auth.c `auth_log`).
fn written(sent: &str) -> &str {
    let name = sent.split_once('/').map_or(sent, |(name, _role)| name);
    name.get(..100).unwrap_or(name)
}

/// Events of `ssh-login` that tell another story than the truth.
fn wrong_logins(scene: &Scene, events: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    let logins: Vec<&Seen> = events.iter().filter(|seen| seen.get("event.action") == "ssh-login").collect();
    let mut known = BTreeSet::new();
    for act in scene.acts.iter().filter(|act| act.text("act") == "ssh-login") {
        let (address, port) = (act.text("address"), act.number("port"));
        known.insert((address.to_owned(), port.clone()));
        let of_act: Vec<_> =
            logins.iter().filter(|s| s.get("source.ip") == address && s.get("source.port") == port).collect();
        let accepted = of_act.iter().filter(|seen| seen.get("event.outcome") == "success").count();
        if accepted != usize::from(act.text("outcome") == "success") {
            wrong.push(format!("{accepted} successes of {}", act.value));
        }
        for seen in of_act {
            if seen.get("user.name") != written(act.text("user")) {
                wrong.push(format!("user {:?} of {}", seen.get("user.name"), act.value));
            }
        }
    }
    for seen in logins {
        let (address, port) = (seen.get("source.ip"), seen.get("source.port"));
        // `error: PAM: Authentication failure for NAME from ADDRESS` has no port.
        let is_known = |(known, of): &(String, String)| known == address && (port.is_empty() || of == port);
        if !known.iter().any(is_known) {
            wrong.push(format!("nobody did this: {:?}", seen.fields));
        }
    }
    wrong
}

/// What `wrong` finds in each scene and format; fails with all of it.
pub fn assert_told(wrong: impl Fn(&Scene, &str, &[Seen]) -> Vec<String>) {
    let mut all = Vec::new();
    for scene in scenes() {
        for variant in scene.variants() {
            let found = wrong(&scene, &variant.name, &scene.events(&variant));
            all.extend(found.into_iter().map(|what| format!("{} {}: {what}", scene.name, variant.name)));
        }
    }
    assert!(all.is_empty(), "{} wrong:\n{}", all.len(), all.join("\n"));
}

/// Fields of `seen` that differ from those expected.
pub fn differences(seen: &Seen, expected: &[(&str, &str)]) -> Vec<String> {
    let differs = |(path, value): &&(&str, &str)| seen.get(path) != *value;
    expected.iter().filter(differs).map(|(path, value)| format!("{path} {:?}, not {value:?}", seen.get(path))).collect()
}

/// Events and acts one by one; each list names what the other lacks.
pub fn in_order<'a, A: std::fmt::Debug>(
    acts: &[A],
    events: impl Iterator<Item = &'a Seen>,
    compare: impl Fn(&A, &Seen) -> Vec<String>,
) -> Vec<String> {
    let events: Vec<&Seen> = events.collect();
    let mut wrong: Vec<String> = Vec::new();
    for (act, seen) in acts.iter().zip(&events) {
        wrong.extend(compare(act, seen).into_iter().map(|what| format!("{what}, in {:?} of {act:?}", seen.text)));
    }
    wrong.extend(acts.iter().skip(events.len()).map(|act| format!("no event tells of {act:?}")));
    wrong.extend(events.iter().skip(acts.len()).map(|seen| format!("nobody did this: {:?}", seen.fields)));
    wrong
}

/// A command by sudo that leaves a line, as the line must tell it.
#[derive(Debug, Default)]
struct Sudo {
    user: String,
    target: String,
    directory: String,
    /// `None` where the shell made of the text what the truth does not have: then the program alone.
    command: Option<String>,
    executable: String,
    action: &'static str,
    /// The directory says all that follows it, so the line reads in two ways.
    hostile_directory: bool,
}

/// None for what sudo writes no line of: what it allows without running anything, what it would have to ask for, and a command that
/// is not there.
fn sudo(act: &Act) -> Option<Sudo> {
    let (arguments, command, reason) = (act.text("arguments"), act.text("command"), act.text("reason"));
    let by_admin = |command: &str| Sudo {
        user: "ann".to_owned(),
        target: "root".to_owned(),
        directory: "/home/ann".to_owned(),
        command: Some(command.to_owned()),
        executable: command.split(' ').next().unwrap_or_default().to_owned(),
        action: "sudo-command",
        ..Sudo::default()
    };
    match act.text("act") {
        "account" if act.text("through") == "sudo" => {
            let directory =
                if command.starts_with("passwd") || command.starts_with("gpasswd") { "bin" } else { "sbin" };
            return Some(by_admin(&format!("/usr/{directory}/{command}")));
        }
        "su" if act.text("note").contains("through sudo") => return Some(by_admin("/usr/bin/su -c id")),
        "sudo" => {}
        _ => return None,
    }
    let success = act.text("outcome") == "success";
    if arguments.starts_with("-n ")
        || reason == "command not found"
        || (success && matches!(command, "list" | "validate"))
    {
        return None;
    }
    let action = match reason {
        _ if success => "sudo-command",
        _ if command == "list" => "sudo-refused",
        _ if reason.contains("not in sudoers") => "sudo-not-in-sudoers",
        "3 wrong passwords" => "sudo-authentication-failed",
        _ => "sudo-refused",
    };
    // A login shell begins in its user's home, and the line has it so.
    let login = arguments.starts_with("-i");
    let first = command.split(' ').next().unwrap_or_default();
    Some(Sudo {
        user: act.text("user").to_owned(),
        target: act.text("target").to_owned(),
        directory: if login { "/root" } else { act.text("cwd").trim_matches('\'') }.to_owned(),
        // Of a target that does not exist sudo knows no path.
        command: match reason {
            "unknown user" => Some(String::new()),
            _ => Some(command.replace("/bin/bash -c", if login { "/bin/bash --login -c" } else { "/bin/bash -c" }))
                .filter(|command| !command.is_empty()),
        },
        executable: match (reason, first) {
            ("unknown user", _) | (_, "list") => String::new(),
            (_, "") => format!("/usr/bin/{}", arguments.split(' ').next().unwrap_or_default()),
            _ => first.to_owned(),
        },
        action,
        hostile_directory: act.text("cwd").contains(" ; "),
    })
}

fn compare_sudo(act: &Sudo, seen: &Seen) -> Vec<String> {
    let outcome = if act.action == "sudo-command" { "success" } else { "failure" };
    let mut wrong =
        differences(seen, &[("user.name", &*act.user), ("event.action", act.action), ("event.outcome", outcome)]);
    if act.hostile_directory {
        wrong.extend(differences(seen, &[("fields.ambiguous", "true")]));
        return wrong;
    }
    wrong.extend(differences(
        seen,
        &[
            ("user.effective.name", &*act.target),
            ("process.working_directory", &*act.directory),
            ("process.executable", &*act.executable),
        ],
    ));
    if let Some(command) = &act.command {
        wrong.extend(differences(seen, &[("process.command_line", &**command)]));
    }
    wrong
}

#[test]
fn logins_over_ssh_are_told_as_they_were_in_each_format() {
    assert_told(|scene, _, events| wrong_logins(scene, events));
}

#[test]
fn commands_by_sudo_are_told_as_they_were_in_each_format() {
    assert_told(|scene, _, events| {
        let acts: Vec<Sudo> = scene.acts.iter().filter_map(sudo).collect();
        let is_line =
            |seen: &&Seen| seen.get("event.provider") == "sudo" && seen.get("event.action") != "sudo-command-continued";
        in_order(&acts, events.iter().filter(is_line), compare_sudo)
    });
}

#[test]
fn changes_of_user_by_su_are_told_as_they_were_in_each_format() {
    assert_told(|scene, _, events| {
        // Of an account that does not exist su says nothing.
        let is_told = |act: &&Act| act.text("act") == "su" && act.text("reason") != "no such user";
        let acts: Vec<&Act> = scene.acts.iter().filter(is_told).collect();
        let is_line = |seen: &&Seen| seen.get("event.provider") == "su";
        in_order(&acts, events.iter().filter(is_line), |act, seen| {
            let user = if act.text("note").contains("through sudo") { "root" } else { act.text("user") };
            let expected = [
                ("user.name", user),
                ("user.effective.name", act.text("target")),
                ("event.outcome", act.text("outcome")),
                ("event.action", "su"),
            ];
            let mut wrong = differences(seen, &expected);
            if !seen.get("process.tty").starts_with("pts/") {
                wrong.push("no terminal".to_owned());
            }
            wrong
        })
    });
}
