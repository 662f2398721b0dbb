#!/usr/bin/env bash
# live.sh DIRECTORY [SUITE] [no-kernel]    a node whose daemons log into DIRECTORY, driven by lines on standard input.
#
# When all daemons listen it prints `ready`. Then each line read is one act, and each is answered by one line, `ok {…}` with
# the act's truth as JSON or `error: …`, after the log files hold what it wrote. End of input or `stop` ends the node.
#
#   ssh-fail USER ADDRESS [N]             N wrong passwords, each in a connection of its own (1)
#   ssh-ok USER ADDRESS [password]        a login by key (or password) that runs `true` on a terminal; key: ann bob carol dave deploy erin root
#   ssh-key-fail USER ADDRESS [N]         N keys that nobody knows, each in a connection of its own (1)
#   ssh-none USER ADDRESS                 a scanner that asks which methods there are and leaves
#   sudo-ok USER COMMAND…                 sudo with the right password (ann may do all; carol: id)
#   sudo-fail USER COMMAND…               three wrong passwords
#   sudo-not-in-sudoers USER [COMMAND…]   sudo by a user without any right, with the right password (bob, erin)
#   su-ok USER TARGET    su-fail USER TARGET
#   useradd NAME    userdel NAME    group-add USER GROUP    group-del USER GROUP
#   http PATH ADDRESS [AGENT…]            one GET to nginx
#   seccomp NAME                          a program called NAME is killed by its seccomp filter
#   segfault NAME                         a program called NAME runs into a segment violation
#   log TAG TEXT…                         a line by syslog(3), facility user
#   rotate FILE rename|copytruncate       what logrotate does to one of the files, as FILE.1
#   stop
#
# Files: auth.log, syslog and kern.log, each in RFC 3164 and as .rfc3339 and .rfc5424; nginx-access.log and nginx-access.json.
# `no-kernel` leaves the kernel's log to another reader: two nodes on one machine would share out its lines.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: live.sh DIRECTORY [bookworm|trixie] [no-kernel]" >&2; exit 2; }
exec "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/enter.sh" "${2:-bookworm}" "$1" live.py "${3:-}"
