//! Forms that the recordings lack, by the daemons' sources, and those whose place in a recording shows little.

use super::tests::{check, mk_line, mk_record};
use crate::{api::rule::Source, event::MAX_TIMES};

#[test]
fn a_client_that_never_logs_in_is_known_by_its_address() {
    check(
        Source::Node,
        &[
            (
                // OpenSSH 10 (trixie/sshd-before-login).
                "sshd[123]: Timeout before authentication for connection from 203.0.113.110 to 192.0.2.11, pid = 730",
                "event.action=ssh-disconnect | event.category=network | event.outcome=unknown | event.provider=sshd | \
                 event.type=connection,end | process.name=sshd | process.pid=123 | service.name=sshd | source.ip=203.0.113.110",
            ),
            (
                "sshd[123]: Timeout before authentication for connection from 2001:db8::57 to 2001:db8:1::11, pid = 730",
                "event.action=ssh-disconnect | event.category=network | event.outcome=unknown | event.provider=sshd | \
                 event.type=connection,end | process.name=sshd | process.pid=123 | service.name=sshd | source.ip=2001:db8::57",
            ),
            (
                // Before 9.8.
                "sshd[123]: Timeout before authentication for 203.0.113.110 port 4711",
                "event.action=ssh-disconnect | event.category=network | event.outcome=unknown | event.provider=sshd | \
                 event.type=connection,end | process.name=sshd | process.pid=123 | service.name=sshd | \
                 source.ip=203.0.113.110 | source.port=4711",
            ),
        ],
    );
}

#[test]
fn shadows_su_tells_of_the_terminal_beside_the_change() {
    check(
        Source::Node,
        &[
            (
                "su[12]: Successful su for root by bob",
                "event.action=su | event.category=authentication,session | event.outcome=success | event.provider=su | \
                 event.type=start | process.name=su | process.pid=12 | service.name=su | user.effective.name=root | user.name=bob",
            ),
            (
                "su[12]: + /dev/pts/0 bob:root",
                "event.action=su-terminal | event.category=session | event.outcome=success | event.provider=su | \
                 event.type=info | process.name=su | process.pid=12 | process.tty=pts/0 | service.name=su | \
                 user.effective.name=root | user.name=bob",
            ),
            (
                "su[12]: - ??? bob:root:x y",
                "event.action=su-terminal | event.category=session | event.outcome=failure | event.provider=su | \
                 event.type=info | process.name=su | process.pid=12 | service.name=su | user.effective.name=root:x y | user.name=bob",
            ),
            ("su[12]: + pts/0 bob root", "event.outcome=unknown | process.name=su | process.pid=12 | service.name=su"),
        ],
    );
}

#[test]
fn a_line_of_a_new_user_that_can_be_cut_in_two_ways_says_so() {
    for (line, is_flagged) in [
        ("new user: name=eve, UID=1002, GID=1002, home=/h, shell=/bin/sh", false),
        ("new user: name=eve, UID=1002, GID=1002, home=/h, shell=/bin/sh, from=/dev/pts/0", false),
        ("new user: name=eve, UID=1002, GID=1002, home=/h, shell=/bin/x, shell=/bin/sh, from=none", true),
        ("new user: name=x, UID=0, GID=0, home=/root, UID=1002, GID=1002, home=/h, shell=/bin/sh, from=none", true),
    ] {
        let record = mk_record(mk_line(Source::Node, &format!("useradd[7]: {line}")));
        let event = crate::normalise::event(&record).unwrap();
        assert_eq!((&*event.action, event.incomplete.contains(&"Ambiguous")), ("user-added", is_flagged), "{line}");
    }
}

#[test]
fn a_folded_line_counts_as_often_as_it_came() {
    for (line, times, repeated) in [
        ("sshd[9]: Failed password for root from 203.0.113.9 port 4711 ssh2", 1, 0),
        ("sshd[9]: message repeated 5 times: [ Failed password for root from 203.0.113.9 port 4711 ssh2]", 5, 5),
        ("sshd[9]: message repeated 0 times: [ Failed password for root from 203.0.113.9 port 4711 ssh2]", 1, 0),
        (
            "sshd[9]: message repeated 4000000000 times: [ Failed password for root from 203.0.113.9 port 4711 ssh2]",
            MAX_TIMES,
            4_000_000_000_u64,
        ),
    ] {
        let record = mk_record(mk_line(Source::Node, line));
        let event = crate::normalise::event(&record).unwrap();
        let said = event.fields.as_ref().and_then(|fields| fields["repeated"].as_u64()).unwrap_or(0);
        assert_eq!((&*event.action, event.times, said), ("ssh-login", times, repeated), "{line}");
        assert_eq!(&*event.source_ip, "203.0.113.9", "{line}");
    }
}
