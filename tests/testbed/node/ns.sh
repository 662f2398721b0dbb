#!/usr/bin/env bash
# ns.sh DIRECTORY COMMAND…    runs a command on the node that up.sh started there, as its root and with an administrator's kubeconfig.
#
# Nothing of this machine's environment but TERM goes in. DIRECTORY is /out there.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: ns.sh DIRECTORY COMMAND…" >&2; exit 2; }
out=$1
shift
outer=$(cat "$out/run/outer.pid")
first=$(cat "/proc/$outer/task/$outer/children") || { echo "node: no node runs in $out" >&2; exit 1; }
for directory in /sys/fs/cgroup/"$(cat "$out/run/cgroup")" /sys/fs/cgroup/*/"$(cat "$out/run/cgroup")"; do
  [ ! -e "$directory/cgroup.procs" ] || echo $$ >"$directory/cgroup.procs"
done
exec nsenter --target "${first%% *}" --mount --net --pid --uts --ipc --cgroup -- \
  env -i PATH=/opt/testbed:/opt/helm:/opt/cluster:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TZ=UTC \
  TERM="${TERM:-dumb}" KUBECONFIG=/etc/kubernetes/admin.conf PYTHONDONTWRITEBYTECODE=1 NODE_LOGS=/var/log "$@"
