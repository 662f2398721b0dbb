//! Lines of the kernel. In: a message of its ring buffer, with or without the seconds since boot (`[   12.345678] `). Out:
//! what it denied, killed, dropped or loaded. A process may name itself as it likes (15 bytes of `comm`): the daemon's own
//! words are sought behind the name.

use super::{
    audit_line,
    draft::{Draft, canonical},
    pairs::{pairs, value},
    stamp,
};
use crate::event::Outcome;

const PROVIDER: &str = "kernel";

/// The seconds since boot and what follows them.
pub fn uptime(text: &str) -> Option<(&str, &str)> {
    let (seconds, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (whole, micros) = seconds.trim_start().split_once('.')?;
    stamp::number::<u64>(whole)?;
    stamp::number::<u64>(micros)?;
    Some((seconds.trim_start(), rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Reads one message; false when none of the known forms fits.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if message.starts_with("audit: ") || message.starts_with("type=") {
        return audit_line::read(draft, message);
    }
    fault(draft, message)
        || memory(draft, message)
        || packet(draft, message)
        || interface(draft, message)
        || module(draft, message)
}

/// `cat[55]: segfault at 0 ip … sp … error 4 in cat[…]` (`show_signal_msg`, arch/x86/mm/fault.c) and `traps: x[1] general
/// protection fault ip:…` (arch/x86/kernel/traps.c).
fn fault<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let segfault = message.split_once("]: segfault at ").map(|(head, _)| (head, "segfault"));
    let trap = || {
        let rest = message.strip_prefix("traps: ")?;
        let (head, what) = rest.split_once("] ")?;
        let what = what.split_once(" ip:").map_or(what, |(what, _)| what);
        Some((head, what.strip_prefix("trap ").unwrap_or(what)))
    };
    let Some((head, reason)) = segfault.or_else(trap) else { return false };
    let Some((name, pid)) = head.rsplit_once('[') else { return false };
    let Some(pid) = stamp::number(pid) else { return false };
    draft.mark(
        PROVIDER,
        if reason == "segfault" { "segfault" } else { "trap" },
        &["process"],
        &["error"],
        Outcome::Failure,
    );
    draft.event.reason = reason.into();
    draft.event.process.name = name.into();
    draft.event.process.pid = pid;
    true
}

/// `Out of memory: Killed process 1 (x) total-vm:…`, `Memory cgroup out of memory: Killed process …` and
/// `oom-kill:constraint=…,task=x,pid=1,uid=0` (mm/oom_kill.c).
fn memory<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some((reason, rest)) = message.split_once(": Killed process ")
        && matches!(
            reason,
            "Out of memory" | "Memory cgroup out of memory" | "Out of memory (oom_kill_allocating_task)"
        )
    {
        let Some((pid, rest)) = rest.split_once(" (") else { return false };
        let name = rest.split_once(") total-vm:").map_or(rest, |(name, _)| name);
        draft.mark(PROVIDER, "oom-kill", &["process"], &["end"], Outcome::Failure);
        draft.event.reason = reason.into();
        draft.event.process.name = name.into();
        draft.event.process.pid = stamp::number(pid).unwrap_or(0);
        return true;
    }
    let Some(rest) = message.strip_prefix("oom-kill:") else { return false };
    // The task's name stands before its pid and may hold a comma.
    let Some((head, tail)) = rest.rsplit_once(",pid=") else { return false };
    let (pid, uid) = tail.split_once(",uid=").unwrap_or((tail, ""));
    draft.mark(PROVIDER, "oom-kill-details", &["process"], &["info"], Outcome::Unknown);
    draft.event.process.name = head.split_once(",task=").map_or("", |(_, name)| name).into();
    draft.event.process.pid = stamp::number(pid).unwrap_or(0);
    draft.event.user.id = uid.into();
    let group =
        head.split_once(",task_memcg=").and_then(|(_, rest)| rest.split_once(",task=")).map_or("", |(group, _)| group);
    draft.note("task_memcg", group);
    true
}

/// `[UFW BLOCK] IN=eth0 OUT= MAC=… SRC=… DST=… LEN=… PROTO=TCP SPT=… DPT=…` (`nf_log_ipv4`, net/netfilter/nf_log_syslog.c).
/// The prefix is of whoever wrote the firewall's rules.
fn packet<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some((_, rest)) = message.split_once("Possible SYN flooding on port ") {
        let port = rest.split_once(". ").map_or(rest, |(port, _)| port);
        draft.mark(PROVIDER, "syn-flood", &["network"], &["info"], Outcome::Unknown);
        draft.note("destination_port", port.rsplit(':').next().unwrap_or(port));
        return true;
    }
    let Some(at) = message.find("IN=") else { return false };
    let Some((prefix, rest)) = message.split_at_checked(at) else { return false };
    let found = pairs(rest, false);
    if value(&found, "SRC").is_empty() || value(&found, "PROTO").is_empty() || !rest.contains(" OUT=") {
        return false;
    }
    let prefix = prefix.trim().trim_matches(['[', ']', ':']);
    let word = |word: &str| prefix.to_ascii_uppercase().contains(word);
    let (action, type_, outcome) = if ["BLOCK", "DROP", "REJECT", "DENY", "DENIED"].iter().any(|w| word(w)) {
        ("packet-denied", "denied", Outcome::Failure)
    } else if ["ALLOW", "ACCEPT"].iter().any(|w| word(w)) {
        ("packet-allowed", "allowed", Outcome::Success)
    } else {
        ("packet", "info", Outcome::Unknown)
    };
    draft.mark("netfilter", action, &["network"], &["connection", type_], outcome);
    draft.event.source_ip = canonical(value(&found, "SRC"));
    draft.event.source_port = stamp::number(value(&found, "SPT")).unwrap_or(0);
    draft.note("prefix", prefix);
    draft.note("destination_ip", canonical(value(&found, "DST")).as_str());
    for (key, name) in
        [("DPT", "destination_port"), ("PROTO", "protocol"), ("IN", "in"), ("OUT", "out"), ("TYPE", "icmp_type")]
    {
        draft.note(name, value(&found, key));
    }
    true
}

/// `device eth0 entered promiscuous mode`, `eth0: entered promiscuous mode` (`__dev_set_promiscuity`, net/core/dev.c).
fn interface<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let entered = message.strip_suffix(" entered promiscuous mode").map(|rest| (rest, true));
    let Some((rest, entered)) =
        entered.or_else(|| message.strip_suffix(" left promiscuous mode").map(|rest| (rest, false)))
    else {
        return false;
    };
    let rest = rest.trim_end_matches(':');
    let device = rest.rsplit(' ').next().unwrap_or(rest);
    draft.mark(
        PROVIDER,
        if entered { "promiscuous-mode" } else { "promiscuous-mode-left" },
        &["network"],
        &["change"],
        Outcome::Success,
    );
    draft.note("interface", device);
    true
}

/// `x: loading out-of-tree module taints kernel.`, `x: module verification failed: …`, `x: module license 'y' taints
/// kernel.` (kernel/module/main.c and signing.c).
fn module<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let Some((name, what)) = message.split_once(": ") else { return false };
    let is_taint = what.starts_with("loading out-of-tree module taints kernel")
        || what.starts_with("module verification failed")
        || (what.starts_with("module license ") && what.contains(" taints kernel"))
        || what.starts_with("loading test module taints kernel");
    if !is_taint || name.contains(' ') {
        return false;
    }
    draft.mark(PROVIDER, "module-taint", &["driver"], &["start"], Outcome::Success);
    draft.event.reason = what.trim_end_matches('.').into();
    draft.note("module", name);
    true
}
