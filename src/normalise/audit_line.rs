//! Records of the kernel's audit, from the kernel's own log (`audit: type=1400 audit(…): …`), from auditd's file
//! (`type=AVC msg=audit(…): …`) and from the journal (`audit[1]: AVC …`). In: the record's text. Out: what AppArmor,
//! SELinux or seccomp denied, and what programs reported of accounts and logins. Text of processes is in quotes that it
//! can't end, or in hexadecimal digits (`audit_log_n_untrustedstring`, kernel/audit.c).

use super::{
    draft::{Draft, canonical},
    escape,
    pairs::{Pair, pair, pairs, value},
    stamp,
};
use crate::event::{Outcome, Text};

/// Reads a record, wherever it stands; false when it is none or of a kind that is not read.
pub fn read<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let text = text.strip_prefix("audit: ").unwrap_or(text);
    let Some((kind, stamp, body)) = opened(text) else { return false };
    let body = body.trim_start();
    let known = match kind {
        // 1400 is AVC (include/uapi/linux/audit.h), which AppArmor and SELinux share; 1107 is USER_AVC.
        "1400" | "AVC" | "1107" | "USER_AVC" if body.contains("apparmor=") => apparmor(draft, body),
        "1400" | "AVC" => selinux(draft, body),
        "1326" | "SECCOMP" => seccomp(draft, body),
        _ => reported(draft, kind, body),
    };
    if known && let Some(stamp) = stamp {
        draft.stamp = draft.stamp.or(Some(stamp));
    }
    known
}

/// Kind, stamp and body of a record.
fn opened(text: &str) -> Option<(&str, Option<stamp::Stamp>, &str)> {
    let Some(rest) = text.strip_prefix("type=") else {
        // The journal: `AVC apparmor="DENIED" …`, the stamp being the line's own.
        let (kind, body) = text.split_once(' ')?;
        return matches!(kind, "AVC" | "SECCOMP" | "USER_AVC").then_some((kind, None, body));
    };
    let (kind, rest) = rest.split_once(' ')?;
    let rest = rest.strip_prefix("msg=").unwrap_or(rest).strip_prefix("audit(")?;
    let (stamp, body) = rest.split_once(')')?;
    Some((kind, Some(stamp::audit(stamp)?.0), body.strip_prefix(':')?))
}

/// Keys whose values the kernel writes as hexadecimal digits when they need it; those of others may be digits by chance.
const UNTRUSTED: &[&str] = &[
    "acct",
    "cmd",
    "comm",
    "cwd",
    "data",
    "dir",
    "exe",
    "info",
    "label",
    "name",
    "namespace",
    "path",
    "peer",
    "proctitle",
    "profile",
    "srcname",
    "target",
];

/// A value that a process may have chosen.
fn untrusted<'a>(found: Option<Pair<'a>>) -> Text<'a> {
    match found {
        Some(Pair { value: "(null)", quoted: false, .. }) | None => Text::EMPTY,
        Some(Pair { value, quoted: true, .. }) => value.into(),
        Some(Pair { key, value, .. }) if UNTRUSTED.contains(&key) => {
            escape::audit_hex(value).map_or(value.into(), Text::from)
        }
        Some(Pair { value, .. }) => value.into(),
    }
}

fn process<'a>(draft: &mut Draft<'a>, found: &[Pair<'a>]) {
    draft.event.process.name = untrusted(pair(found, "comm"));
    draft.event.process.executable = untrusted(pair(found, "exe"));
    draft.event.process.pid = stamp::number(value(found, "pid")).unwrap_or(0);
}

fn note_all(draft: &mut Draft<'_>, found: &[Pair<'_>], keys: &[&str]) {
    for key in keys {
        draft.note(key, untrusted(pair(found, key)).as_str());
    }
}

/// `apparmor="DENIED" operation="open" profile="…" name="…" pid=1 comm="cat" requested_mask="r" denied_mask="r" fsuid=0
/// ouid=0` (`audit_pre` and the callbacks of security/apparmor/).
fn apparmor<'a>(draft: &mut Draft<'a>, body: &'a str) -> bool {
    let found = pairs(body, false);
    let operation = value(&found, "operation");
    let (action, type_, outcome) = match value(&found, "apparmor") {
        "DENIED" | "REFUSED" | "KILLED" => ("apparmor-denied", "denied", Outcome::Failure),
        "ALLOWED" => ("apparmor-allowed", "allowed", Outcome::Success),
        "AUDIT" => ("apparmor-audit", "access", Outcome::Success),
        "STATUS" => ("apparmor-status", "change", Outcome::Success),
        "ERROR" => ("apparmor-error", "error", Outcome::Failure),
        _ => return false,
    };
    let category = match operation {
        "exec" | "ptrace" | "signal" | "capable" | "setrlimit" | "setprocattr" | "change_profile" | "change_hat" => {
            "process"
        }
        "mount" | "umount" | "pivotroot" | "remount" => "host",
        "create" | "bind" | "listen" | "accept" | "connect" | "sendmsg" | "recvmsg" | "getsockname" | "getpeername"
        | "getsockopt" | "setsockopt" | "sock_shutdown" | "post_create" => "network",
        _ if operation.starts_with("profile_") => "configuration",
        _ => "file",
    };
    draft.mark("apparmor", action, &[category], &[type_], outcome);
    process(draft, &found);
    draft.event.user.id = value(&found, "fsuid").into();
    draft.event.reason = operation.into();
    // Of a change of profiles, `name` is the profile.
    if category != "configuration" {
        draft.event.file_path = untrusted(pair(&found, "name"));
    }
    note_all(
        draft,
        &found,
        &[
            "operation",
            "profile",
            "requested_mask",
            "denied_mask",
            "class",
            "capability",
            "capname",
            "target",
            "peer",
            "signal",
            "family",
            "sock_type",
            "info",
            "error",
            "fstype",
            "srcname",
            "flags",
            "ouid",
        ],
    );
    if category == "configuration" {
        note_all(draft, &found, &["name"]);
    }
    true
}

/// `avc:  denied  { read } for  pid=1 comm="cat" name="shadow" … scontext=… tcontext=… tclass=file permissive=0`
/// (`avc_audit_pre_callback`, security/selinux/avc.c).
fn selinux<'a>(draft: &mut Draft<'a>, body: &'a str) -> bool {
    let Some(rest) = body.strip_prefix("avc:") else { return false };
    let rest = rest.trim_start();
    let (denied, rest) = match rest.strip_prefix("denied") {
        Some(rest) => (true, rest),
        None => match rest.strip_prefix("granted") {
            Some(rest) => (false, rest),
            None => return false,
        },
    };
    let Some((permissions, rest)) = rest.trim_start().strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return false;
    };
    let found = pairs(rest.trim_start().strip_prefix("for").unwrap_or(rest), false);
    let class = value(&found, "tclass");
    let category = match class {
        "process" | "process2" | "capability" | "capability2" | "cap_userns" | "bpf" => "process",
        _ if class.ends_with("_socket") || matches!(class, "node" | "netif" | "packet" | "peer") => "network",
        _ => "file",
    };
    let (action, outcome) =
        if denied { ("selinux-denied", Outcome::Failure) } else { ("selinux-granted", Outcome::Success) };
    draft.mark("selinux", action, &[category], &[if denied { "denied" } else { "allowed" }], outcome);
    process(draft, &found);
    let path = untrusted(pair(&found, "path"));
    draft.event.file_path = if path.is_empty() { untrusted(pair(&found, "name")) } else { path };
    draft.event.reason = permissions.trim().into();
    draft.note("permissions", permissions.trim());
    note_all(draft, &found, &["scontext", "tcontext", "tclass", "permissive", "capability", "dev"]);
    true
}

/// `auid=… uid=… gid=… ses=… pid=… comm="…" exe="…" sig=31 arch=c000003e syscall=59 compat=0 ip=0x… code=0x80000000`
/// (`audit_seccomp`, kernel/auditsc.c). The actions are of include/uapi/linux/seccomp.h.
fn seccomp<'a>(draft: &mut Draft<'a>, body: &'a str) -> bool {
    let found = pairs(body, false);
    if value(&found, "syscall").is_empty() {
        return false;
    }
    let code = value(&found, "code").strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let (action, outcome) = match code.map(|code| code & 0xffff_0000) {
        Some(0x8000_0000 | 0) => ("seccomp-kill", Outcome::Failure),
        Some(0x0003_0000) => ("seccomp-trap", Outcome::Failure),
        Some(0x0005_0000) => ("seccomp-errno", Outcome::Failure),
        Some(0x7ff0_0000) => ("seccomp-trace", Outcome::Unknown),
        Some(0x7ffc_0000) => ("seccomp-log", Outcome::Success),
        Some(0x7fff_0000) => ("seccomp-allow", Outcome::Success),
        _ => ("seccomp", Outcome::Unknown),
    };
    let type_ = if outcome == Outcome::Failure { "denied" } else { "info" };
    draft.mark("seccomp", action, &["process"], &[type_], outcome);
    process(draft, &found);
    draft.event.user.id = value(&found, "uid").into();
    draft.event.code = value(&found, "code").into();
    note_all(draft, &found, &["syscall", "arch", "sig", "compat", "ip", "auid", "gid", "ses", "subj"]);
    true
}

/// What programs with the right to write to the audit report: `pid=… uid=… auid=… ses=… msg='op=… acct="…" exe="…" hostname=…
/// addr=… terminal=… res=success'` (`audit_log_acct_message`, lib/audit_logging.c of audit-userspace).
fn reported<'a>(draft: &mut Draft<'a>, kind: &str, body: &'a str) -> bool {
    let (action, category, types): (_, _, &[_]) = match kind {
        "USER_LOGIN" => ("audit-login", "authentication", &["start"]),
        "USER_AUTH" => ("audit-authentication", "authentication", &["info"]),
        "USER_START" => ("audit-session-opened", "session", &["start"]),
        "USER_END" => ("audit-session-closed", "session", &["end"]),
        "USER_CMD" => ("audit-command", "process", &["start"]),
        "ADD_USER" => ("audit-user-added", "iam", &["user", "creation"]),
        "DEL_USER" => ("audit-user-deleted", "iam", &["user", "deletion"]),
        "ADD_GROUP" => ("audit-group-added", "iam", &["group", "creation"]),
        "DEL_GROUP" => ("audit-group-deleted", "iam", &["group", "deletion"]),
        "USER_MGMT" | "USER_CHAUTHTOK" => ("audit-user-changed", "iam", &["user", "change"]),
        "ANOM_PROMISCUOUS" => ("promiscuous-mode", "network", &["change"]),
        _ => return false,
    };
    let (head, inner) = body.split_once("msg='").unwrap_or((body, ""));
    let (outer, found) = (pairs(head, false), pairs(inner.trim_end().trim_end_matches('\''), false));
    let outcome = match value(&found, "res") {
        "success" | "1" => Outcome::Success,
        "failed" | "0" => Outcome::Failure,
        _ => Outcome::Unknown,
    };
    draft.mark("auditd", action, &[category], types, outcome);
    let account = untrusted(pair(&found, "acct"));
    if category == "iam" {
        let id = value(&found, "id");
        draft.event.user.target_name = account;
        draft.event.user.target_id = id.into();
        draft.event.user.id = value(&outer, "auid").into();
    } else {
        draft.event.user.name = account;
        draft.event.user.id = value(&outer, "uid").into();
    }
    draft.event.process.pid = stamp::number(value(&outer, "pid")).unwrap_or(0);
    draft.event.process.executable = untrusted(pair(&found, "exe"));
    draft.event.process.command_line = untrusted(pair(&found, "cmd"));
    draft.event.process.tty = value(&found, "terminal").into();
    draft.event.source_ip = canonical(value(&found, "addr"));
    note_all(draft, &found, &["op", "hostname", "grantors"]);
    note_all(draft, &outer, &["auid", "ses", "dev", "prom"]);
    true
}
