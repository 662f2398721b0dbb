//! Programs that write to logs: their services, and labels for counting. In: what a program calls itself. Out: names from
//! a fixed list, so that nothing that a stranger can choose becomes a label.

use crate::event::actions::{PROGRAMS, RENAMED};

/// Label of every program that is not in the list.
pub const OTHER: &str = "other";

/// Every label.
pub fn labels() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().copied().chain([OTHER])
}

/// `program` when it is in the list, else [`OTHER`].
pub fn label(program: &str) -> &'static str {
    let service = service(program);
    PROGRAMS.binary_search(&service).ok().and_then(|index| PROGRAMS.get(index)).copied().unwrap_or(OTHER)
}

/// The service that a program belongs to.
pub fn service(program: &str) -> &str {
    let name = program.rsplit('/').next().unwrap_or(program);
    RENAMED.iter().find(|(renamed, _)| *renamed == name).map_or(name, |(_, service)| *service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_from_a_sorted_list() {
        assert!(PROGRAMS.is_sorted());
        assert_eq!(label("sshd-session"), "sshd");
        assert_eq!(label("CRON"), "cron");
        assert_eq!(label("attacker chose this"), OTHER);
        assert_eq!(label(""), OTHER);
        assert_eq!(service("/usr/bin/sudo"), "sudo");
    }
}
