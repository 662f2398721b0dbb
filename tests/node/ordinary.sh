#!/usr/bin/env bash
# ordinary.sh [HOURS [SPEED [DIRECTORY]]]    records ordinary life of a node into recordings/ordinary, or into DIRECTORY
# (24 hours at 120 times the speed).
#
# Needs root and Debian, as record.sh does, and Go for the test bed's Kubernetes; runs for HOURS / SPEED, by default
# twelve minutes. The node's processes live in a cgroup of their own, which goes when they do.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cgroup.sh"
[ "$(id -u)" = 0 ] || { echo "node: root is needed (namespaces, mounts, cgroups, real daemons): run this as root" >&2; exit 1; }
into=${3:-$here/recordings/ordinary}
mounts="$("$here/../testbed/build.sh"):testbed"
out=$(mktemp -d)
group=kubewitness-node-$$
end() {
  rm -rf "$out"
  cgroup_remove "$group"
}
trap end EXIT
cgroup_make "$group"
NODE_CGROUP=$group NODE_MOUNTS=$mounts "$here/enter.sh" bookworm "$out" ordinary.py "${1:-24}" "${2:-120}"
rm -rf "$into"
cp -r --no-preserve=mode,ownership "$out/ordinary" "$into"
