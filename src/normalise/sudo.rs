//! Messages of sudo. In: what it logs of one command. Out: who ran it, as whom, where and what, or why not.
//!
//! `USER : [REASON ; ][TTY=… ; ][CHROOT=… ; ]PWD=… ; USER=… ; [GROUP=… ; ][TSID=… ; ][ENV=… ; ]COMMAND=…`
//! (`new_logline`, lib/eventlog/eventlog.c). The invoker and the terminal are sudo's own words and stand first; directory,
//! environment and command are the invoker's, who may write ` ; USER=root ; COMMAND=/bin/sh` into them. So the first place
//! that can be the end of the directory is taken for it, and a line that reads in two ways is flagged, whether or not the
//! second is within the quotes that current versions put around arguments: the directory may hold a quote, too.

use super::draft::Draft;
use crate::event::Outcome;

const PROVIDER: &str = "sudo";
const SEPARATOR: &str = " ; ";
const USER: &str = " ; USER=";
const COMMAND: &str = " ; COMMAND=";

/// What stands behind the directory.
struct Target<'a> {
    user: &'a str,
    group: &'a str,
    environment: &'a str,
    command: &'a str,
}

/// Reads one message; false when it is no report of a command.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let Some((invoker, rest)) = message.trim_start().split_once(" : ") else { return false };
    if invoker.is_empty() || invoker.contains(' ') {
        return false;
    }
    if let Some(command) = rest.strip_prefix("(command continued) ") {
        draft.mark(PROVIDER, "sudo-command-continued", &["process"], &["info"], Outcome::Unknown);
        draft.event.user.name = invoker.into();
        draft.event.process.command_line = command.into();
        return true;
    }
    let is_field =
        |text: &str| ["TTY=", "CHROOT=", "PWD=", "USER=", "COMMAND="].iter().any(|key| text.starts_with(key));
    let (reason, rest) = if is_field(rest) { ("", rest) } else { rest.split_once(SEPARATOR).unwrap_or((rest, "")) };
    if reason.is_empty() && rest.is_empty() {
        return false;
    }
    let (tty, rest) = value(rest, "TTY=");
    let (chroot, rest) = value(rest, "CHROOT=");
    let (directory, target, ambiguous) = target(rest);
    let allowed = reason.is_empty();
    let (types, outcome) = if allowed { (["start"], Outcome::Success) } else { (["denied"], Outcome::Failure) };
    draft.mark(
        PROVIDER,
        action(reason),
        if is_password(reason) { &["authentication", "process"] } else { &["process"] },
        &types,
        outcome,
    );
    draft.event.reason = reason.into();
    draft.event.user.name = invoker.into();
    draft.event.process.tty = if tty == "unknown" { "" } else { tty }.into();
    draft.event.process.working_directory = directory.into();
    draft.note("chroot", chroot);
    if let Some(target) = target {
        draft.event.user.effective_name = target.user.into();
        draft.event.process.command_line = target.command.into();
        draft.event.process.executable = executable(target.command).into();
        draft.note("group", target.group);
        draft.note("environment", target.environment);
    }
    // Who asks for another root directory names it, and the line has that as it is.
    if ambiguous || (!chroot.is_empty() && directory.contains(" ; PWD=")) {
        draft.ambiguous();
    }
    true
}

/// Wrong passwords are counted by sudo itself: one line for all tries of a command.
fn is_password(reason: &str) -> bool {
    reason.contains("incorrect password attempt")
        || reason == "a password is required"
        || reason.contains("authentication")
}

fn action(reason: &str) -> &'static str {
    match reason {
        "" => "sudo-command",
        _ if is_password(reason) => "sudo-authentication-failed",
        "user NOT in sudoers" => "sudo-not-in-sudoers",
        _ => "sudo-refused",
    }
}

/// The value of `key` when `text` begins with it, and what follows its separator.
fn value<'a>(text: &'a str, key: &str) -> (&'a str, &'a str) {
    match text.strip_prefix(key) {
        Some(rest) => rest.split_once(SEPARATOR).unwrap_or((rest, "")),
        None => ("", text),
    }
}

/// `PWD=… ; USER=… ; … COMMAND=…`: directory, what follows it, and whether it could be cut elsewhere.
fn target(text: &str) -> (&str, Option<Target<'_>>, bool) {
    let (directory, begins) = match text.strip_prefix("PWD=") {
        Some(rest) => (rest, None),
        None => ("", text.strip_prefix("USER=")),
    };
    if let Some(rest) = begins {
        return ("", behind(rest), false);
    }
    let mut cuts = directory.match_indices(USER).filter_map(|(index, separator)| {
        let (before, rest) = directory.split_at_checked(index)?;
        Some((before, behind(rest.strip_prefix(separator)?)?))
    });
    let Some((before, target)) = cuts.next() else {
        let (directory, _) = directory.split_once(SEPARATOR).unwrap_or((directory, ""));
        return (directory, None, false);
    };
    // Also places that can't be the end: a command that was not found has no path, so the daemon's own may be among them.
    let several = directory.matches(USER).count() > 1;
    let in_environment = !target.environment.is_empty() && target.command.contains(COMMAND);
    (before, Some(target), several || in_environment)
}

/// `USER ; [GROUP=… ; ][TSID=… ; ][ENV=… ; ]COMMAND=…`; none when this can't be what sudo wrote.
fn behind(text: &str) -> Option<Target<'_>> {
    let (user, rest) = text.split_once(SEPARATOR)?;
    if user.is_empty() || user.contains(' ') {
        return None;
    }
    let (group, rest) = value(rest, "GROUP=");
    let (_, rest) = value(rest, "TSID=");
    let (environment, rest) = match rest.strip_prefix("ENV=") {
        Some(rest) => rest.split_once(COMMAND).unwrap_or((rest, "")),
        None => ("", rest.strip_prefix("COMMAND=").or_else(|| rest.is_empty().then_some(""))?),
    };
    let is_command = rest.is_empty()
        || rest.starts_with('/')
        || ["list", "sudoedit", "validate", "list "].iter().any(|word| rest == *word || rest.starts_with("sudoedit "));
    is_command.then_some(Target { user, group, environment, command: rest })
}

fn executable(command: &str) -> &str {
    let (first, _) = command.split_once(' ').unwrap_or((command, ""));
    if first.starts_with('/') { first } else { "" }
}
