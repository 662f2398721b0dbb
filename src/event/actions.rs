//! The actions, categories and types that parsers of lines give events, and what they find beyond the schema: one table, which the
//! normaliser is held to, the linter knows misspelt values by, and the reference page prints. The action of an audit event is its verb.

use crate::api::rule::Source;

/// What one parser makes.
#[derive(Debug)]
pub struct Parser {
    /// `event.provider`
    pub provider: &'static str,
    pub meaning: &'static str,
    /// `event.action`
    pub actions: &'static [&'static str],
    /// Keys below `fields`.
    pub fields: &'static [&'static str],
    /// `event.category`
    pub categories: &'static [&'static str],
    /// `event.type`
    pub types: &'static [&'static str],
}

/// Events of the API server; what their actions are, `VERBS` says.
pub static AUDIT: Parser = Parser {
    provider: "kubernetes-audit",
    meaning: "the audit events of API servers",
    actions: VERBS,
    fields: &[],
    categories: &["api", "authentication", "configuration", "iam", "process"],
    types: &["access", "allowed", "change", "creation", "deletion", "denied", "start"],
};

/// Keys below `fields` that any line may have: of its syslog or container header, or since it reads in two ways.
pub const OF_ANY_LINE: &[&str] = &[
    "ambiguous",
    "ambiguous_time",
    "facility",
    "hostname",
    "message_id",
    "partial",
    "repeated",
    "severity",
    "stream",
    "structured",
    "uptime",
];

/// All parsers of lines, sorted by provider.
#[rustfmt::skip] // a table reads best as one
pub static PARSERS: &[Parser] = &[
    Parser { provider: "access-log", meaning: "access logs of nginx, Apache httpd and ingress controllers",
        actions: &["http-request"],
        fields: &["client", "forwarded_for", "malformed", "request_id", "request_length", "request_seconds", "upstream_address",
            "upstream_alternative", "upstream_bytes", "upstream_name", "upstream_seconds", "upstream_status"],
        categories: &["authentication", "web"], types: &["access", "denied"] },
    Parser { provider: "apparmor", meaning: "AppArmor, by the kernel or auditd",
        actions: &["apparmor-allowed", "apparmor-audit", "apparmor-denied", "apparmor-error", "apparmor-status"],
        fields: &["capability", "capname", "class", "denied_mask", "error", "family", "flags", "fstype", "info", "name",
            "operation", "ouid", "peer", "profile", "requested_mask", "signal", "sock_type", "srcname", "target"],
        categories: &["configuration", "file", "host", "network", "process"], types: &["access", "allowed", "change", "denied", "error"] },
    Parser { provider: "auditd", meaning: "programs that report to the Linux audit",
        actions: &["audit-authentication", "audit-command", "audit-group-added", "audit-group-deleted", "audit-login",
            "audit-session-closed", "audit-session-opened", "audit-user-added", "audit-user-changed", "audit-user-deleted",
            "promiscuous-mode"],
        fields: &["auid", "dev", "grantors", "hostname", "op", "prom", "ses"],
        categories: &["authentication", "iam", "network", "process", "session"], types: &["change", "creation", "deletion", "end", "group", "info", "start", "user"] },
    Parser { provider: "cron", meaning: "cron and crontab",
        actions: &["cron-command", "cron-command-end", "cron-error", "cron-info", "cron-output", "crontab-changed",
            "crontab-deleted", "crontab-edited", "crontab-listed", "crontab-refused", "crontab-reloaded"],
        fields: &[],
        categories: &["configuration", "process"], types: &["access", "change", "deletion", "denied", "end", "error", "info", "start"] },
    Parser { provider: "kernel", meaning: "the kernel's own messages",
        actions: &["module-taint", "oom-kill", "oom-kill-details", "promiscuous-mode", "promiscuous-mode-left", "segfault",
            "syn-flood", "trap"],
        fields: &["destination_port", "interface", "module", "task_memcg"],
        categories: &["driver", "network", "process"], types: &["change", "end", "error", "info", "start"] },
    Parser { provider: "klog", meaning: "components of Kubernetes (klog)",
        actions: &["log"], fields: &["caller", "level"],
        categories: &["process"], types: &["error", "info"] },
    Parser { provider: "logfmt", meaning: "containerd and others that write logfmt",
        actions: &["log"], fields: &["caller", "level"],
        categories: &["process"], types: &["error", "info"] },
    Parser { provider: "logind", meaning: "systemd-logind",
        actions: &["session-closed", "session-opened"], fields: &["session"],
        categories: &["session"], types: &["end", "start"] },
    Parser { provider: "netfilter", meaning: "firewall rules that log packets, such as those of UFW",
        actions: &["packet", "packet-allowed", "packet-denied"],
        fields: &["destination_ip", "destination_port", "icmp_type", "in", "out", "prefix", "protocol"],
        categories: &["network"], types: &["allowed", "connection", "denied", "info"] },
    Parser { provider: "pam", meaning: "PAM, in the name of any service",
        actions: &["account-refused", "pam-authentication-failure", "pam-authentication-failures", "pam-user-unknown",
            "password-changed", "session-closed", "session-opened"],
        fields: &["failures", "logname", "opened_by_uid", "pam_module", "pam_service", "rhost"],
        categories: &["authentication", "iam", "session"], types: &["change", "denied", "end", "info", "start", "user"] },
    Parser { provider: "seccomp", meaning: "seccomp, by the kernel or auditd",
        actions: &["seccomp", "seccomp-allow", "seccomp-errno", "seccomp-kill", "seccomp-log", "seccomp-trace", "seccomp-trap"],
        fields: &["arch", "auid", "compat", "gid", "ip", "ses", "sig", "subj", "syscall"],
        categories: &["process"], types: &["denied", "info"] },
    Parser { provider: "selinux", meaning: "SELinux, by the kernel or auditd",
        actions: &["selinux-denied", "selinux-granted"],
        fields: &["capability", "dev", "permissions", "permissive", "scontext", "tclass", "tcontext"],
        categories: &["file", "network", "process"], types: &["allowed", "denied"] },
    Parser { provider: "shadow", meaning: "useradd, usermod, userdel, groupadd, gpasswd, passwd, chage",
        actions: &["group-added", "group-administrators-set", "group-changed", "group-deleted", "group-file-changed",
            "group-member-added", "group-member-removed", "group-members-set", "password-changed", "user-added", "user-changed",
            "user-deleted", "user-locked", "user-unlocked"],
        fields: &["change", "from", "home", "members", "shell"],
        categories: &["iam"], types: &["change", "creation", "deletion", "error", "group", "user"] },
    Parser { provider: "sshd", meaning: "OpenSSH's server",
        actions: &["ssh-connect", "ssh-disconnect", "ssh-invalid-user", "ssh-login", "ssh-login-refused", "ssh-login-step",
            "ssh-max-attempts", "ssh-probe", "ssh-server-start", "ssh-server-stop", "ssh-session-end", "ssh-session-start",
            "ssh-subsystem"],
        fields: &["invalid_user", "key", "local_address", "local_port", "method", "preauth", "session", "subsystem",
            "unauthenticated"],
        categories: &["authentication", "network", "process", "session"], types: &["connection", "denied", "end", "error", "info", "start"] },
    Parser { provider: "su", meaning: "su", actions: &["su", "su-terminal"], fields: &[],
        categories: &["authentication", "session"], types: &["denied", "info", "start"] },
    Parser { provider: "sudo", meaning: "sudo",
        actions: &["sudo-authentication-failed", "sudo-command", "sudo-command-continued", "sudo-not-in-sudoers", "sudo-refused"],
        fields: &["chroot", "environment", "group"],
        categories: &["authentication", "process"], types: &["denied", "info", "start"] },
    Parser { provider: "web-error-log", meaning: "error logs of nginx and Apache httpd",
        actions: &["web-error"], fields: &["client", "level", "module", "request"],
        categories: &["web"], types: &["error", "info"] },
];

/// Verbs that API servers give requests: those of resources, then HTTP methods in lower case. A client may send another
/// method, so the list is what is usual and not all that can be.
pub const VERBS: &[&str] = &[
    "connect",
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
    "head",
    "options",
    "post",
    "put",
    "trace",
];

/// Programs that write lines, by `service.name`, sorted: those that the controller counts by name. Others may write lines, too.
pub const PROGRAMS: &[&str] = &[
    "adduser",
    "anacron",
    "apache",
    "atd",
    "audisp-syslog",
    "audit",
    "auditd",
    "chage",
    "chfn",
    "chgpasswd",
    "chpasswd",
    "chsh",
    "containerd",
    "cron",
    "crontab",
    "dbus-daemon",
    "deluser",
    "dockerd",
    "gpasswd",
    "groupadd",
    "groupdel",
    "groupmod",
    "kernel",
    "kubelet",
    "login",
    "newusers",
    "nginx",
    "passwd",
    "polkitd",
    "rsyslogd",
    "runuser",
    "sshd",
    "su",
    "sudo",
    "systemd",
    "systemd-logind",
    "useradd",
    "userdel",
    "usermod",
];

/// Services that parsers name where the line names no program.
pub const OTHER_SERVICES: &[&str] = &["ingress-nginx", "pam", "web"];

/// Programs that call themselves otherwise than their service: OpenSSH 9.8 and 10.0 split `sshd` into several programs.
pub const RENAMED: &[(&str, &str)] = &[
    ("CRON", "cron"),
    ("CROND", "cron"),
    ("apache2", "apache"),
    ("crond", "cron"),
    ("httpd", "apache"),
    ("nginx-ingress-controller", "nginx"),
    ("sshd-auth", "sshd"),
    ("sshd-session", "sshd"),
];

/// The parsers of events of this source.
pub fn parsers(source: Source) -> &'static [Parser] {
    match source {
        Source::Audit => std::slice::from_ref(&AUDIT),
        Source::Node | Source::Container | Source::Web => PARSERS,
    }
}

/// Whether some parser of lines gives this action.
pub fn is_of_lines(action: &str) -> bool {
    PARSERS.iter().any(|parser| parser.actions.contains(&action))
}

/// Whether a parser gives this action; the normaliser asserts it.
pub fn is_made(provider: &str, action: &str) -> bool {
    PARSERS.iter().any(|parser| parser.provider == provider && parser.actions.contains(&action))
}

/// Whether a parser gives these categories and types; the normaliser asserts it.
pub fn is_of(parser: &Parser, categories: &[&str], types: &[&str]) -> bool {
    categories.iter().all(|category| parser.categories.contains(category))
        && types.iter().all(|type_| parser.types.contains(type_))
}

/// Whether a parser of lines of this name gives these categories and types; the normaliser asserts it.
pub fn is_classed(provider: &str, categories: &[&str], types: &[&str]) -> bool {
    PARSERS.iter().any(|parser| parser.provider == provider && is_of(parser, categories, types))
}

/// Whether some parser sets this key below `fields`; the normaliser asserts it.
pub fn is_noted(key: &str) -> bool {
    OF_ANY_LINE.contains(&key) || PARSERS.iter().any(|parser| parser.fields.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsers_actions_and_fields_are_sorted_and_distinct() {
        assert!(PARSERS.windows(2).all(|pair| pair[0].provider < pair[1].provider));
        assert!(PROGRAMS.is_sorted() && RENAMED.is_sorted());
        assert!(RENAMED.iter().all(|(program, service)| !PROGRAMS.contains(program) && PROGRAMS.contains(service)));
        for Parser { provider, actions, fields, categories, types, .. } in PARSERS {
            assert!(actions.windows(2).all(|pair| pair[0] < pair[1]) && !actions.is_empty(), "{provider}: {actions:?}");
            for list in [fields, categories, types] {
                assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{provider}: {list:?}");
            }
            assert!(!categories.is_empty() && !types.is_empty(), "{provider}");
            let is_shared = |key: &&&str| OF_ANY_LINE.contains(*key) && **key != "hostname";
            assert_eq!(fields.iter().find(is_shared), None, "{provider}: {fields:?}");
        }
    }
}
