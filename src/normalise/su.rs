//! Messages of su. In: a message of util-linux's or shadow's `su`. Out: who became whom, or tried. The invoker is the
//! name of a uid and the target an account that exists, so no stranger's text comes in.

use super::draft::Draft;
use crate::event::Outcome;

/// Reads one message; false when none of the known forms fits. One change of user is one event of the action `su`; shadow's
/// line of the terminal, which comes beside it, has an action of its own.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let Some((outcome, target, invoker, tty)) = util_linux(message).or_else(|| shadow(message)) else {
        let Some((outcome, target, invoker, tty)) = terminal(message) else { return false };
        draft.mark("su", "su-terminal", &["session"], &["info"], outcome);
        return who(draft, target, invoker, tty);
    };
    let type_ = if outcome == Outcome::Success { "start" } else { "denied" };
    draft.mark("su", "su", &["authentication", "session"], &[type_], outcome);
    who(draft, target, invoker, tty)
}

fn who<'a>(draft: &mut Draft<'a>, target: &'a str, invoker: &'a str, tty: &'a str) -> bool {
    draft.event.user.name = invoker.into();
    draft.event.user.effective_name = target.into();
    draft.event.process.tty = tty.into();
    true
}

type Change<'a> = (Outcome, &'a str, &'a str, &'a str);

/// `log_syslog` in login-utils/su-common.c: `%s(to %s) %s on %s`, with `FAILED SU ` before it.
fn util_linux(message: &str) -> Option<Change<'_>> {
    let (outcome, rest) = match message.strip_prefix("FAILED SU ") {
        Some(rest) => (Outcome::Failure, rest),
        None => (Outcome::Success, message),
    };
    let (target, rest) = rest.strip_prefix("(to ")?.rsplit_once(") ")?;
    let (invoker, tty) = rest.rsplit_once(" on ").unwrap_or((rest, ""));
    Some((outcome, target, invoker, if tty == "none" { "" } else { tty }))
}

/// `Successful su for %s by %s` and `FAILED su for %s by %s` of shadow's src/su.c.
fn shadow(message: &str) -> Option<Change<'_>> {
    let (outcome, rest) = match message.strip_prefix("Successful su for ") {
        Some(rest) => (Outcome::Success, rest),
        None => (Outcome::Failure, message.strip_prefix("FAILED su for ")?),
    };
    let (target, invoker) = rest.rsplit_once(" by ")?;
    Some((outcome, target, invoker, ""))
}

/// `+ %s %s:%s` and `- %s %s:%s` of shadow's src/su.c before 4.9: the terminal, who ran it and whom it was for; `???` for what it
/// does not know. The invoker's name holds no colon.
fn terminal(message: &str) -> Option<Change<'_>> {
    let (outcome, rest) = match message.split_at_checked(2)? {
        ("+ ", rest) => (Outcome::Success, rest),
        ("- ", rest) => (Outcome::Failure, rest),
        _ => return None,
    };
    let (tty, names) = rest.split_once(' ')?;
    let (invoker, target) = names.split_once(':')?;
    let known = |text| if text == "???" { "" } else { text };
    (!invoker.contains(' '))
        .then(|| (outcome, known(target), known(invoker), known(tty.strip_prefix("/dev/").unwrap_or(tty))))
}
