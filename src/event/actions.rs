//! The actions that parsers of lines give events, and what they find beyond the schema: one table, which the normaliser is
//! held to, the linter knows misspelt actions by, and the reference page prints. The action of an audit event is its verb.

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
}

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
            "upstream_alternative", "upstream_bytes", "upstream_name", "upstream_seconds", "upstream_status"] },
    Parser { provider: "apparmor", meaning: "AppArmor, by the kernel or auditd",
        actions: &["apparmor-allowed", "apparmor-audit", "apparmor-denied", "apparmor-error", "apparmor-status"],
        fields: &["capability", "capname", "class", "denied_mask", "error", "family", "flags", "fstype", "info", "name",
            "operation", "ouid", "peer", "profile", "requested_mask", "signal", "sock_type", "srcname", "target"] },
    Parser { provider: "auditd", meaning: "programs that report to the Linux audit",
        actions: &["audit-authentication", "audit-command", "audit-group-added", "audit-group-deleted", "audit-login",
            "audit-session-closed", "audit-session-opened", "audit-user-added", "audit-user-changed", "audit-user-deleted",
            "promiscuous-mode"],
        fields: &["auid", "dev", "grantors", "hostname", "op", "prom", "ses"] },
    Parser { provider: "cron", meaning: "cron and crontab",
        actions: &["cron-command", "cron-command-end", "cron-error", "cron-info", "cron-output", "crontab-changed",
            "crontab-deleted", "crontab-edited", "crontab-listed", "crontab-refused", "crontab-reloaded"],
        fields: &[] },
    Parser { provider: "kernel", meaning: "the kernel's own messages",
        actions: &["module-taint", "oom-kill", "oom-kill-details", "promiscuous-mode", "promiscuous-mode-left", "segfault",
            "syn-flood", "trap"],
        fields: &["destination_port", "interface", "module", "task_memcg"] },
    Parser { provider: "klog", meaning: "components of Kubernetes (klog)",
        actions: &["log"], fields: &["caller", "level"] },
    Parser { provider: "logfmt", meaning: "containerd and others that write logfmt",
        actions: &["log"], fields: &["caller", "level"] },
    Parser { provider: "logind", meaning: "systemd-logind",
        actions: &["session-closed", "session-opened"], fields: &["session"] },
    Parser { provider: "netfilter", meaning: "firewall rules that log packets, such as those of UFW",
        actions: &["packet", "packet-allowed", "packet-denied"],
        fields: &["destination_ip", "destination_port", "icmp_type", "in", "out", "prefix", "protocol"] },
    Parser { provider: "pam", meaning: "PAM, in the name of any service",
        actions: &["account-refused", "pam-authentication-failure", "pam-authentication-failures", "pam-user-unknown",
            "password-changed", "session-closed", "session-opened"],
        fields: &["failures", "logname", "opened_by_uid", "pam_module", "pam_service", "rhost"] },
    Parser { provider: "seccomp", meaning: "seccomp, by the kernel or auditd",
        actions: &["seccomp", "seccomp-allow", "seccomp-errno", "seccomp-kill", "seccomp-log", "seccomp-trace", "seccomp-trap"],
        fields: &["arch", "auid", "compat", "gid", "ip", "ses", "sig", "subj", "syscall"] },
    Parser { provider: "selinux", meaning: "SELinux, by the kernel or auditd",
        actions: &["selinux-denied", "selinux-granted"],
        fields: &["capability", "dev", "permissions", "permissive", "scontext", "tclass", "tcontext"] },
    Parser { provider: "shadow", meaning: "useradd, usermod, userdel, groupadd, gpasswd, passwd, chage",
        actions: &["group-added", "group-administrators-set", "group-changed", "group-deleted", "group-file-changed",
            "group-member-added", "group-member-removed", "group-members-set", "password-changed", "user-added", "user-changed",
            "user-deleted", "user-locked", "user-unlocked"],
        fields: &["change", "from", "home", "members", "shell"] },
    Parser { provider: "sshd", meaning: "OpenSSH's server",
        actions: &["ssh-connect", "ssh-disconnect", "ssh-invalid-user", "ssh-login", "ssh-login-refused", "ssh-login-step",
            "ssh-max-attempts", "ssh-probe", "ssh-server-start", "ssh-server-stop", "ssh-session-end", "ssh-session-start",
            "ssh-subsystem"],
        fields: &["invalid_user", "key", "local_address", "local_port", "method", "preauth", "session", "subsystem",
            "unauthenticated"] },
    Parser { provider: "su", meaning: "su", actions: &["su", "su-terminal"], fields: &[] },
    Parser { provider: "sudo", meaning: "sudo",
        actions: &["sudo-authentication-failed", "sudo-command", "sudo-command-continued", "sudo-not-in-sudoers", "sudo-refused"],
        fields: &["chroot", "environment", "group"] },
    Parser { provider: "web-error-log", meaning: "error logs of nginx and Apache httpd",
        actions: &["web-error"], fields: &["client", "level", "module", "request"] },
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

/// Whether some parser of lines gives this action.
pub fn is_of_lines(action: &str) -> bool {
    PARSERS.iter().any(|parser| parser.actions.contains(&action))
}

/// Whether a parser gives this action; the normaliser asserts it.
pub fn is_made(provider: &str, action: &str) -> bool {
    PARSERS.iter().any(|parser| parser.provider == provider && parser.actions.contains(&action))
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
        for Parser { provider, actions, fields, .. } in PARSERS {
            assert!(actions.windows(2).all(|pair| pair[0] < pair[1]) && !actions.is_empty(), "{provider}: {actions:?}");
            assert!(fields.windows(2).all(|pair| pair[0] < pair[1]), "{provider}: {fields:?}");
            let is_shared = |key: &&&str| OF_ANY_LINE.contains(*key) && **key != "hostname";
            assert_eq!(fields.iter().find(is_shared), None, "{provider}: {fields:?}");
        }
    }
}
