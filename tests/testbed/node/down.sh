#!/usr/bin/env bash
# down.sh DIRECTORY [keep]    ends the node that up.sh started there, and removes its cgroups and, without `keep`, DIRECTORY.
#
# The kernel ends every process of the namespaces with the first of them; mounts, interfaces and rules go with the last.
set -uo pipefail
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
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then groups=(/sys/fs/cgroup/); else groups=(/sys/fs/cgroup/*/); fi
for directory in "${groups[@]}"; do
  # The kernel takes a moment to end what is left in the namespaces.
  for _ in $(seq 100); do
    [ -d "$directory$group" ] || break
    find "$directory$group" -depth -type d -exec rmdir {} + 2>/dev/null
    sleep 0.1
  done
  [ ! -d "$directory$group" ] || echo "node: $directory$group is left, since processes in it do not end" >&2
done
if [ "${2:-}" = keep ]; then rm -rf "$out/run"; else rm -rf --one-file-system "$out"; fi
