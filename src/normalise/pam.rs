//! Messages of PAM modules, which stand in the lines of the program that loaded them. In: `pam_unix(sshd:auth): …`. Out: a
//! session that began or ended, or an authentication that a module refused.
//!
//! The event's service is `pam`, with the program in `process.name` and PAM's own service in `fields.pam_service`: the
//! programs report the same attempt in their own words, and one attempt must not count twice as theirs. A module's refusal
//! need not be the end, either: the next one of the stack may accept.

use super::draft::Draft;
use crate::event::{Outcome, Text};

const AUTHENTICATION: &[&str] = &["authentication"];

/// Reads one message; false when it is no PAM module's or says nothing known.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some(known) = more(draft, message) {
        return known;
    }
    // `pam_syslog` (libpam/pam_syslog.c): `%s(%s:%s): ` of module, service and its function.
    let Some(rest) = message.strip_prefix("pam_") else { return false };
    let Some((module, rest)) = rest.split_once('(') else { return false };
    let Some((place, text)) = rest.split_once("): ") else { return false };
    let Some((service, function)) = place.rsplit_once(':') else { return false };
    if module.contains(' ') || place.contains(' ') {
        return false;
    }
    let known = match function {
        "session" => session(draft, text),
        "auth" => authentication(draft, text),
        "chauthtok" => password(draft, text),
        "account" => account(draft, text),
        _ => false,
    };
    draft.event.service = "pam".into();
    if known {
        draft.note("pam_module", format!("pam_{module}"));
        draft.note("pam_service", service);
    }
    known
}

/// `session opened for user NAME(uid=N) by NAME(uid=N)` and `session closed for user NAME` (modules/pam_unix/pam_unix_sess.c).
fn session<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    if let Some(user) = text.strip_prefix("session closed for user ") {
        draft.mark("pam", "session-closed", &["session"], &["end"], Outcome::Success);
        draft.event.user.name = user.into();
        return true;
    }
    let Some(rest) = text.strip_prefix("session opened for user ") else { return false };
    let Some((user, by)) = rest.rsplit_once(" by ") else { return false };
    let ((user, uid), (by, by_uid)) = (with_uid(user), with_uid(by));
    draft.mark("pam", "session-opened", &["session"], &["start"], Outcome::Success);
    // Who opened it is the actor when it is another than whose session it is (sudo, su): then that one is acted as.
    if by.is_empty() || by == user {
        draft.event.user.name = user.into();
        draft.event.user.id = uid.into();
    } else {
        draft.event.user.name = by.into();
        draft.event.user.id = by_uid.into();
        draft.event.user.effective_name = user.into();
    }
    draft.note("opened_by_uid", by_uid);
    true
}

fn with_uid(text: &str) -> (&str, &str) {
    let cut = text.rsplit_once("(uid=").and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
    cut.unwrap_or((text, ""))
}

/// `authentication failure; logname=… uid=… euid=… tty=… ruser=… rhost=… [ user=…]` (modules/pam_unix/support.c) and
/// `check pass; user unknown`.
fn authentication<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    if text.starts_with("check pass; user unknown") {
        draft.mark("pam", "pam-user-unknown", AUTHENTICATION, &["info"], Outcome::Unknown);
        draft.event.reason = "user unknown".into();
        return true;
    }
    let Some(rest) = text.strip_prefix("authentication failure;") else { return false };
    draft.mark("pam", "pam-authentication-failure", AUTHENTICATION, &["info"], Outcome::Failure);
    draft.event.reason = "authentication failure".into();
    who(draft, rest.trim_start());
    true
}

/// `logname=… uid=… euid=… tty=… ruser=… rhost=… [ user=…]`. What stands before `ruser` is the module's own. Over the
/// network `ruser` may be what a client sent, with all the keys in it (vsftpd), while the name of a host and that of an
/// account have no blanks: so these two are read from the right.
fn who<'a>(draft: &mut Draft<'a>, text: &'a str) {
    let (own, claimed) = text.split_once(" ruser=").unwrap_or((text, ""));
    let mut rest = own;
    let mut values = [""; 4];
    let keys = ["logname=", "uid=", "euid=", "tty="];
    for (index, key) in keys.iter().enumerate() {
        let Some(after) = rest.strip_prefix(key) else { break };
        let next = keys.get(index + 1).map(|next| format!(" {next}"));
        let (value, after) = match next.as_deref().and_then(|next| after.split_once(next)) {
            Some((value, _)) => (value, after.get(value.len() + 1..).unwrap_or_default()),
            None => (after, ""),
        };
        if let Some(slot) = values.get_mut(index) {
            *slot = value.trim_end();
        }
        rest = after;
    }
    let [logname, uid, _, tty] = values;
    let (ruser, host) = claimed.rsplit_once(" rhost=").unwrap_or((claimed, ""));
    let (rhost, user) = host.rsplit_once("  user=").filter(|(_, user)| !user.contains(' ')).unwrap_or((host, ""));
    let rhost = rhost.trim_end();
    if ruser.contains(" rhost=") || rhost.contains(' ') {
        draft.ambiguous();
    }
    draft.peer(rhost, 0);
    if draft.event.source_ip.is_empty() {
        draft.note("rhost", rhost);
    }
    draft.event.process.tty = if tty == "ssh" { "" } else { tty.strip_prefix("/dev/").unwrap_or(tty) }.into();
    // The invoker of su and sudo is `ruser`; over the network nobody is known but by the name that is asked for.
    if ruser.is_empty() || !rhost.is_empty() {
        draft.event.user.name = user.into();
    } else {
        draft.event.user.name = ruser.into();
        draft.event.user.id = uid.into();
        draft.event.user.effective_name = if user == ruser { Text::EMPTY } else { user.into() };
    }
    draft.note("logname", logname);
}

/// `PAM 2 more authentication failures; logname=…` without a module before it.
fn more<'a>(draft: &mut Draft<'a>, message: &'a str) -> Option<bool> {
    let rest = message.strip_prefix("PAM ")?;
    let (count, rest) = rest.split_once(" more authentication failure")?;
    let count: u32 = super::stamp::number(count)?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).strip_prefix("; ")?;
    // A sum of what was reported one by one.
    draft.mark("pam", "pam-authentication-failures", AUTHENTICATION, &["info"], Outcome::Unknown);
    draft.event.service = "pam".into();
    draft.note("failures", count);
    who(draft, rest);
    Some(true)
}

/// `password changed for NAME`.
fn password<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    if let Some(rest) = text.strip_prefix("authentication failure;") {
        draft.mark("pam", "pam-authentication-failure", AUTHENTICATION, &["info"], Outcome::Failure);
        who(draft, rest.trim_start());
        return true;
    }
    let Some(user) = text.strip_prefix("password changed for ") else { return false };
    draft.mark("pam", "password-changed", &["iam"], &["user", "change"], Outcome::Success);
    draft.event.user.target_name = user.into();
    true
}

/// `account NAME has expired (account expired)`, `expired password for user NAME (root enforced)`.
fn account<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let expired = text.strip_prefix("account ").and_then(|rest| rest.rsplit_once(" has expired "));
    let old = text.strip_prefix("expired password for user ").and_then(|rest| rest.rsplit_once(" ("));
    let Some((user, reason)) =
        expired.map(|(user, _)| (user, "account expired")).or(old.map(|(u, _)| (u, "password expired")))
    else {
        return false;
    };
    draft.mark(
        "pam",
        "account-refused",
        AUTHENTICATION,
        &["denied"],
        if expired.is_some() { Outcome::Failure } else { Outcome::Unknown },
    );
    draft.event.user.name = user.into();
    draft.event.reason = reason.into();
    true
}
