#!/usr/bin/env bash
# ordinary.sh [HOURS [SPEED [DIRECTORY]]]    records ordinary life of a node into recordings/ordinary, or into DIRECTORY
# (24 hours at 120 times the speed).
#
# Needs root and Debian, as record.sh does, and Go for the test bed's Kubernetes; runs for HOURS / SPEED, by default
# twelve minutes. The node's processes live in a cgroup of their own, which goes when they do.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(id -u)" = 0 ] || { echo "node: root is needed (namespaces, mounts, cgroups, real daemons): run this as root" >&2; exit 1; }
into=${3:-$here/recordings/ordinary}
mounts="$("$here/../testbed/build.sh"):testbed"
out=$(mktemp -d)
group=kubewitness-node-$$
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then groups=(/sys/fs/cgroup/); else groups=(/sys/fs/cgroup/*/); fi

end() {
  rm -rf "$out"
  sleep 1 # the kernel takes a moment to end what is left in the namespaces
  for directory in "${groups[@]}"; do
    [ ! -d "$directory$group" ] || find "$directory$group" -depth -type d -exec rmdir {} \;
  done
}
trap end EXIT
for directory in "${groups[@]}"; do
  mkdir "$directory$group"
  # A cpuset (v1) begins empty, and takes no process before it has something.
  for file in cpuset.cpus cpuset.mems; do
    [ ! -e "$directory$group/$file" ] || cat "$directory$file" >"$directory$group/$file"
  done
done
NODE_CGROUP=$group NODE_MOUNTS=$mounts "$here/enter.sh" bookworm "$out" ordinary.py "${1:-24}" "${2:-120}"
rm -rf "$into"
cp -r --no-preserve=mode,ownership "$out/ordinary" "$into"
