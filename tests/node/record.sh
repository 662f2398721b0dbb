#!/usr/bin/env bash
# record.sh [SUITE] [GROUP…]    plays every scene against the real daemons and rewrites recordings/.
#
# Needs root and Debian (the rest is fetched through apt and unpacked beside, never installed); 6-8 minutes when the roots
# are built. Without arguments: bookworm with all groups, then trixie with those whose lines differ there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(id -u)" = 0 ] || { echo "node: root is needed (namespaces, mounts, real daemons): run this as root" >&2; exit 1; }

# What the scenes must never touch: accounts of this host, and the lists of what is installed and configured on it.
of_host() { sha256sum /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/hosts /etc/hostname /etc/ssh/* /etc/pam.d/* /var/lib/dpkg/status 2>/dev/null; hostname; }

play() {
  local suite=$1 group out
  shift
  for group in "$@"; do
    out=$(mktemp -d)
    "$here/enter.sh" "$suite" "$out" play.py "$suite" "$group"
    mkdir -p "$here/recordings/$suite"
    rm -rf "$here/recordings/$suite/$group"-*
    cp -r --no-preserve=mode,ownership "$out/$suite"/* "$here/recordings/$suite/"
    rm -rf "$out"
  done
}

before=$(of_host)
if [ $# -gt 0 ]; then
  suite=$1
  shift
  play "$suite" "${@:-sshd}"
else
  play bookworm sshd sudo accounts cron web kernel year
  play trixie sshd sudo accounts
fi
[ "$(of_host)" = "$before" ] || { echo "node: the recording changed this host" >&2; exit 1; }
