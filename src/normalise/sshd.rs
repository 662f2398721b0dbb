//! Messages of OpenSSH's server. In: a message of `sshd`, `sshd-session` or `sshd-auth`. Out: one event, its client, user
//! and outcome. A client chooses its user name, and the name may hold ` from 1.2.3.4 port 22 ssh2`: so what the daemon
//! writes behind the name is read from the right.
//!
//! One attempt is one failure: `Failed …` has the action `ssh-login`. Lines beside it have actions of their own.

use super::{
    draft::{Draft, Peer, ending_peer, leading_peer},
    escape,
};
use crate::event::{Outcome, Text};

const PROVIDER: &str = "sshd";
const AUTHENTICATION: &[&str] = &["authentication"];
const NETWORK: &[&str] = &["network"];

/// Reads one message; false when none of the known forms fits.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let (message, before_login) = match message.strip_suffix(" [preauth]") {
        Some(message) => (message, true),
        None => (message, false),
    };
    let message = ["error: ", "fatal: "].iter().find_map(|level| message.strip_prefix(level)).unwrap_or(message);
    let known = attempt(draft, message, before_login)
        || pam_failure(draft, message)
        || refusal(draft, message, before_login)
        || ending(draft, message, before_login)
        || session(draft, message, before_login)
        || probe(draft, message, before_login);
    // The words of a client that disconnects are last, so that what ends them is as well its own.
    if known && before_login && !message.starts_with("Received disconnect from ") {
        draft.note("preauth", true);
    }
    known
}

/// A user name as it was sent. What the unprivileged child logs before the login is escaped by it and by its monitor.
fn name(text: &str, before_login: bool) -> Text<'_> {
    let once = escape::vis(text);
    if before_login && text.contains('\\') { escape::vis(&once).as_str().to_owned().into() } else { once }
}

/// `invalid user NAME` or `NAME`.
fn user(text: &str) -> (&str, bool) {
    match text.strip_prefix("invalid user ").or_else(|| text.strip_prefix("illegal user ")) {
        Some(user) => (user, true),
        None => (text, false),
    }
}

/// `auth_log` in auth.c: `%s %s%s%s for %s%.100s from %.200s port %d ssh2%s%s`.
fn attempt<'a>(draft: &mut Draft<'a>, message: &'a str, before_login: bool) -> bool {
    let verdicts = [
        ("Accepted ", "ssh-login", Outcome::Success),
        ("Failed ", "ssh-login", Outcome::Failure),
        ("Postponed ", "ssh-login-step", Outcome::Unknown),
        ("Partial ", "ssh-login-step", Outcome::Unknown),
    ];
    let Some((rest, action, outcome)) = verdicts
        .iter()
        .find_map(|(verdict, action, outcome)| Some((message.strip_prefix(verdict)?, *action, *outcome)))
    else {
        return false;
    };
    let Some((method, rest)) = rest.split_once(" for ") else { return false };
    let Some((rest, peer, key)) = tail(rest) else { return false };
    let (user, invalid) = user(rest);
    draft.mark(
        PROVIDER,
        action,
        AUTHENTICATION,
        if outcome == Outcome::Success { &["start"] } else { &["info"] },
        outcome,
    );
    draft.event.user.name = name(user, before_login);
    draft.peer(peer.address, peer.port);
    draft.note("method", method);
    draft.note("key", key);
    if invalid {
        draft.note("invalid_user", true);
        draft.event.reason = "invalid user".into();
    }
    true
}

/// `NAME from ADDRESS port PORT ssh2[: KEY]`: the last place where all of this fits. Only the type and fingerprint of a
/// key follow, which hold no blank before an address.
fn tail(text: &str) -> Option<(&str, Peer<'_>, &str)> {
    // An empty name leaves two blanks, of which the second belongs to " from ".
    text.rmatch_indices(" from ").find_map(|(index, separator)| {
        let (user, rest) = text.split_at_checked(index)?;
        let (peer, rest) = leading_peer(rest.strip_prefix(separator)?)?;
        let key = rest.strip_prefix(" ssh2").or(rest.strip_prefix(" ssh1"))?;
        if key.is_empty() { Some((user, peer, key)) } else { Some((user, peer, key.strip_prefix(": ")?)) }
    })
}

/// `sshpam_query` in auth-pam.c: `PAM: %s for %s%.100s from %.100s`. Of an account that exists, sshd tells of the first three
/// failures of a connection by keyboard-interactive in no other line (`auth_log` is quiet until half of MaxAuthTries); of
/// one that does not, `Failed …` follows and is the one that counts.
fn pam_failure<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let Some(rest) = message.strip_prefix("PAM: Authentication failure for ") else { return false };
    let Some((user, peer)) = from_peer(rest) else { return false };
    let (user, invalid) = self::user(user);
    let action = if invalid { "ssh-login-step" } else { "ssh-login" };
    draft.mark(PROVIDER, action, AUTHENTICATION, &["info"], Outcome::Failure);
    draft.event.user.name = name(user, false);
    draft.peer(peer.address, peer.port);
    draft.note("method", "keyboard-interactive/pam");
    if invalid {
        draft.note("invalid_user", true);
        draft.event.reason = "invalid user".into();
    }
    true
}

/// Logins that are refused otherwise than by `Failed`.
fn refusal<'a>(draft: &mut Draft<'a>, message: &'a str, before_login: bool) -> bool {
    let (action, user, peer, reason, type_) = if let Some(rest) = message.strip_prefix("Invalid user ") {
        // auth2.c `getpwnamallow`: `Invalid user %.100s from %.100s port %d`; before 7.3 without the port.
        let Some((user, peer)) = from_peer(rest) else { return false };
        ("ssh-invalid-user", user, Some(peer), "invalid user", "info")
    } else if let Some(rest) = message.strip_prefix("maximum authentication attempts exceeded for ") {
        let Some((user, peer, _)) = tail(rest) else { return false };
        ("ssh-max-attempts", user, Some(peer), "too many authentication failures", "denied")
    } else if let Some(rest) = message.strip_prefix("ROOT LOGIN REFUSED FROM ") {
        let Some((peer, _)) = leading_peer(rest) else { return false };
        ("ssh-login-refused", "root", Some(peer), "root login refused", "denied")
    } else if let Some((user, reason)) =
        message.strip_prefix("User ").and_then(|r| r.rsplit_once(" not allowed because "))
    {
        // auth.c `allowed_user`; the host stands behind the name in all but two of its forms.
        let (user, peer) = match user.rsplit_once(" from ") {
            Some((user, address)) => (user, Some(Peer { address, port: 0 })),
            None => (user, None),
        };
        ("ssh-login-refused", user, peer, reason, "denied")
    } else if let Some(rest) = message.strip_prefix("Access denied for user ") {
        let Some((user, reason)) = rest.rsplit_once(" by ") else { return false };
        ("ssh-login-refused", user, None, reason, "denied")
    } else {
        return false;
    };
    let (user, _) = self::user(user);
    draft.mark(PROVIDER, action, AUTHENTICATION, &[type_], Outcome::Failure);
    draft.event.reason = reason.into();
    draft.event.user.name = name(user, before_login);
    if let Some(peer) = peer {
        draft.peer(peer.address, peer.port);
    }
    if action == "ssh-invalid-user" {
        draft.note("invalid_user", true);
    }
    true
}

/// `NAME from ADDRESS[ port PORT]` at the end.
fn from_peer(text: &str) -> Option<(&str, Peer<'_>)> {
    let (before, peer) = match ending_peer(text) {
        Some(found) => found,
        None => {
            let (before, address) = text.rsplit_once(' ')?;
            super::address::parse(address)?;
            (before, Peer { address, port: 0 })
        }
    };
    let user = if before == "from" { "" } else { before.strip_suffix(" from")? };
    Some((user, peer))
}

/// The end of a connection (packet.c `sshpkt_vfatal`, `ssh_remote_ipaddr` forms): `[authenticating |invalid ]user NAME ADDRESS
/// port PORT`, then for some `: REASON` with text of the other side.
fn ending<'a>(draft: &mut Draft<'a>, message: &'a str, before_login: bool) -> bool {
    const OPENINGS: [&str; 8] = [
        "Connection closed by ",
        "Connection reset by ",
        "Disconnected from ",
        "Disconnecting ",
        "Received disconnect from ",
        "Closing connection to ",
        "Timeout before authentication for ",
        "Connection timed out for ",
    ];
    let Some((opening, rest)) = OPENINGS.iter().find_map(|o| Some((*o, message.strip_prefix(o)?))) else {
        return false;
    };
    let Some((user, peer, reason)) = closed(opening, rest) else { return false };
    draft.mark(PROVIDER, "ssh-disconnect", NETWORK, &["connection", "end"], Outcome::Unknown);
    draft.peer(peer.address, peer.port);
    draft.event.reason = reason.into();
    let named = ["authenticating user ", "invalid user ", "user "].iter().find_map(|kind| user.strip_prefix(kind));
    draft.event.user.name = named.map(|user| name(user, before_login)).unwrap_or_default();
    if user.starts_with("invalid user ") {
        draft.note("invalid_user", true);
    }
    if user.starts_with("authenticating user ") || user.starts_with("invalid user ") {
        draft.note("unauthenticated", true);
    }
    true
}

fn closed<'a>(opening: &str, rest: &'a str) -> Option<(&'a str, Peer<'a>, &'a str)> {
    if opening == "Received disconnect from " {
        // `%.200s port %d:%u: %.400s`: only the reason is the client's. Before 7.3 without the port.
        if let Some((peer, after)) = leading_peer(rest) {
            return Some(("", peer, after.strip_prefix(':').unwrap_or(after)));
        }
        let (address, reason) = rest.split_once(": ")?;
        super::address::parse(address)?;
        return Some(("", Peer { address, port: 0 }, reason));
    }
    if let Some(rest) = rest.strip_prefix("connection from ") {
        // sshd.c `child_reap` since 9.8: `connection from %s to %s, pid = %ld`, addresses without ports.
        if let Some((address, _)) =
            rest.split_once(" to ").filter(|(address, _)| super::address::parse(address).is_some())
        {
            return Some(("", Peer { address, port: 0 }, ""));
        }
        return closed(opening, rest);
    }
    if let Some((user, peer)) = ending_peer(rest) {
        return Some((user, peer, ""));
    }
    if opening == "Timeout before authentication for "
        && let Some((peer, after)) = leading_peer(rest)
    {
        return Some(("", peer, after.trim_start_matches([',', ' '])));
    }
    if opening == "Disconnecting " {
        // `Disconnecting USER ADDRESS port PORT: REASON` with a reason of the daemon's own.
        let (before, reason) = rest.rsplit_once(": ")?;
        let (user, peer) = ending_peer(before)?;
        return Some((user, peer, reason));
    }
    // Before 7.3: `Connection closed by ADDRESS`.
    let (user, address) = rest.rsplit_once(' ').unwrap_or(("", rest));
    super::address::parse(address)?;
    Some((user, Peer { address, port: 0 }, ""))
}

/// Sessions and connections that are no login.
fn session<'a>(draft: &mut Draft<'a>, message: &'a str, _: bool) -> bool {
    if let Some(rest) = message.strip_prefix("Connection from ")
        && let Some((peer, after)) = leading_peer(rest)
    {
        draft.mark(PROVIDER, "ssh-connect", NETWORK, &["connection", "start"], Outcome::Unknown);
        draft.peer(peer.address, peer.port);
        if let Some((local, _)) = after.strip_prefix(" on ").and_then(leading_peer) {
            draft.note("local_address", local.address);
            draft.note("local_port", local.port);
        }
        return true;
    }
    for (opening, action, type_) in
        [("Starting session: ", "ssh-session-start", "start"), ("Close session: ", "ssh-session-end", "end")]
    {
        let Some(rest) = message.strip_prefix(opening) else { continue };
        // session.c: `Starting session: %s%s%s%s for %s from %.200s port %d id %d`, `Close session: user %s from … id %d`.
        let Some((rest, _id)) = rest.rsplit_once(" id ") else { return false };
        let Some((rest, peer)) = from_peer(rest) else { return false };
        let (what, user) = match rest.strip_prefix("user ") {
            Some(user) => ("", user),
            None => match rest.rsplit_once(" for ") {
                Some(parts) => parts,
                None => return false,
            },
        };
        draft.mark(PROVIDER, action, &["session"], &[type_], Outcome::Success);
        draft.event.user.name = escape::vis(user);
        draft.peer(peer.address, peer.port);
        let (what, tty) = what.split_once(" on ").unwrap_or((what, ""));
        draft.note("session", what);
        draft.event.process.tty = tty.into();
        return true;
    }
    if let Some(user) = message.strip_prefix("subsystem request for ").and_then(|rest| rest.split_once(" by user ")) {
        draft.mark(PROVIDER, "ssh-subsystem", &["session"], &["info"], Outcome::Success);
        draft.note("subsystem", user.0);
        draft.event.user.name = escape::vis(user.1);
        return true;
    }
    if message.starts_with("Server listening on ") || message.starts_with("Received signal ") {
        let stopped = message.starts_with("Received signal ");
        let type_ = if stopped { "end" } else { "start" };
        draft.mark(
            PROVIDER,
            if stopped { "ssh-server-stop" } else { "ssh-server-start" },
            &["process"],
            &[type_],
            Outcome::Success,
        );
        return true;
    }
    false
}

/// Clients that don't speak the protocol, or hide who they are.
fn probe<'a>(draft: &mut Draft<'a>, message: &'a str, _: bool) -> bool {
    let found = if let Some(rest) = message.strip_prefix("banner exchange: Connection from ") {
        leading_peer(rest).map(|(peer, after)| (peer, after.trim_start_matches([':', ' '])))
    } else if let Some(rest) = message.strip_prefix("ssh_dispatch_run_fatal: Connection from ") {
        leading_peer(rest).map(|(peer, after)| (peer, after.trim_start_matches([':', ' '])))
    } else if let Some(rest) = message.strip_prefix("Unable to negotiate with ") {
        leading_peer(rest).map(|(peer, after)| (peer, after.trim_start_matches([':', ' '])))
    } else if let Some(rest) = message.strip_prefix("Did not receive identification string from ") {
        let peer = leading_peer(rest).map(|(peer, _)| peer);
        let old = || super::address::parse(rest).map(|_| Peer { address: rest, port: 0 });
        peer.or_else(old).map(|peer| (peer, "no identification string"))
    } else if message.starts_with("Bad protocol version identification ") {
        ending_peer(message).map(|(_, peer)| (peer, "bad protocol version"))
    } else if message.starts_with("reverse mapping checking getaddrinfo for ") {
        // auth.c before 7.4: `… for %.700s [%s] failed[ - POSSIBLE BREAK-IN ATTEMPT!]`; whoever owns the address names it.
        let address = message.rsplit_once(" [").and_then(|(_, rest)| rest.split_once("] failed")).map(|(a, _)| a);
        address.map(|address| (Peer { address, port: 0 }, "reverse mapping failed"))
    } else if let Some(rest) = message.strip_prefix("Address ") {
        let address = rest.split_once(" maps to ").map(|(address, _)| address);
        address.map(|address| (Peer { address, port: 0 }, "reverse mapping failed"))
    } else {
        None
    };
    let Some((peer, reason)) = found else { return false };
    draft.mark(PROVIDER, "ssh-probe", NETWORK, &["connection", "error"], Outcome::Failure);
    draft.peer(peer.address, peer.port);
    draft.event.reason = reason.into();
    true
}
