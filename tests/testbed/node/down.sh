#!/usr/bin/env bash
# down.sh DIRECTORY [keep]    ends the node that up.sh started there, and removes its cgroups and, without `keep`, DIRECTORY.
#
# The kernel ends every process of the namespaces with the first of them; mounts, interfaces and rules go with the last.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../node/cgroup.sh"
[ $# -ge 1 ] || { echo "usage: down.sh DIRECTORY [keep]" >&2; exit 2; }
out=$(realpath -m "$1")
[ -e "$out/run/cgroup" ] || { echo "node: nothing to end in $out" >&2; exit 0; }
outer=$(cat "$out/run/outer.pid" 2>/dev/null || true)
# Is it still the process that was started, and not another one of that number?
if [ -n "$outer" ] && tr '\0' ' ' <"/proc/$outer/cmdline" 2>/dev/null | grep -q unshare; then
  kill -KILL "$outer"
  for _ in $(seq 200); do [ -d "/proc/$outer" ] || break; sleep 0.05; done
fi
group=$(cat "$out/run/cgroup")
cgroup_remove "$group"
if [ "${2:-}" = keep ]; then rm -rf "$out/run"; else rm -rf --one-file-system "$out"; fi
