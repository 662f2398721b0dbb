//! Programs that write to logs: their services, and labels for counting. In: what a program calls itself. Out: names from
//! a fixed list, so that nothing that a stranger can choose becomes a label.

/// Label of every program that is not in the list.
pub const OTHER: &str = "other";

/// Programs whose lines are counted by name. A program that a test or a person writes without a header is recognised by
/// this list alone.
const KNOWN: &[&str] = &[
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

/// Every label.
pub fn labels() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().copied().chain([OTHER])
}

/// `program` when it is in the list, else [`OTHER`].
pub fn label(program: &str) -> &'static str {
    let service = service(program);
    KNOWN.binary_search(&service).ok().and_then(|index| KNOWN.get(index)).copied().unwrap_or(OTHER)
}

/// The service that a program belongs to: OpenSSH 9.8 and 10.0 split `sshd` into several programs.
pub fn service(program: &str) -> &str {
    match program {
        "sshd-session" | "sshd-auth" => "sshd",
        "/usr/sbin/cron" | "/usr/sbin/CRON" | "cron" | "CRON" | "crond" | "CROND" => "cron",
        "nginx-ingress-controller" => "nginx",
        "apache2" | "httpd" => "apache",
        _ => program.rsplit('/').next().unwrap_or(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_from_a_sorted_list() {
        assert!(KNOWN.is_sorted());
        assert_eq!(label("sshd-session"), "sshd");
        assert_eq!(label("CRON"), "cron");
        assert_eq!(label("attacker chose this"), OTHER);
        assert_eq!(label(""), OTHER);
        assert_eq!(service("/usr/bin/sudo"), "sudo");
    }
}
