//! Messages of su. In: a message of util-linux's or shadow's `su`. Out: who became whom, or tried. The invoker is the
//! name of a uid and the target an account that exists, so no stranger's text comes in.

use super::draft::Draft;
use crate::event::Outcome;

/// Reads one message; false when none of the known forms fits.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let Some((outcome, target, invoker, tty)) = util_linux(message).or_else(|| shadow(message)) else { return false };
    let type_ = if outcome == Outcome::Success { "start" } else { "denied" };
    draft.mark("su", "su", &["authentication", "session"], &[type_], outcome);
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
