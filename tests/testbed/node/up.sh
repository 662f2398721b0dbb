#!/usr/bin/env bash
# up.sh DIRECTORY    boots a Kubernetes node with its control plane in namespaces of its own, and returns when it is Ready.
#
# A throw-away Debian (tests/node/root.sh) in which etcd, kube-apiserver, kube-controller-manager, kube-scheduler, CoreDNS,
# containerd, kubelet and kube-proxy run: nothing is installed on this machine, no process of it is seen from there, and no road
# leads out of it. What is to outlive a restart of a daemon (etcd, images, /var/log, logs of the daemons) lies in DIRECTORY.
#
#   up.sh DIRECTORY; ns.sh DIRECTORY kubectl get nodes; down.sh DIRECTORY
#
# IMAGES="FILE …"   OCI archives to import
# SYNC=1m           how often kubelet looks at a pod's volumes: 5s, so that a test does not wait, or what kubelets do by default
# Node node-1 has 10.200.0.1, pods 10.244.0.0/24, Services 10.96.0.0/16. Needs root and Debian. Ready in 10-20 s; the first run
# of a machine builds the programs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../node/cgroup.sh"
[ $# = 1 ] || { echo "usage: up.sh DIRECTORY" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "node: root is needed (namespaces, mounts, cgroups, containers): run this as root" >&2; exit 1; }
out=$(realpath -m "$1")
[ ! -e "$out/run" ] || { echo "node: $out is in use: run down.sh $out first" >&2; exit 1; }
bed=$("$here/../build.sh") dns=$("$here/../coredns.sh") helm=$("$here/../helm.sh")
"$here/../../node/root.sh" bookworm >/dev/null
mkdir -p "$out"/{run,log,images}
echo "${SYNC:-5s}" >"$out/run/sync"
for image in ${IMAGES:-}; do ln "$image" "$out/images/" 2>/dev/null || cp "$image" "$out/images/"; done

group=kubewitness-cluster-$$
echo "$group" >"$out/run/cgroup"
cgroup_make "$group"
NODE_CGROUP=$group NODE_MOUNTS="$bed:testbed $dns:coredns $(dirname "$helm"):helm $here/inside:cluster $(realpath "$here/../../../charts"):charts" \
  setsid "$here/../../node/enter.sh" bookworm "$out" /opt/cluster/node.sh >"$out/log/node.log" 2>&1 </dev/null &
echo $! >"$out/run/outer.pid"
for _ in $(seq 1800); do
  if [ -e "$out/run/ready" ]; then exit 0; fi
  if ! kill -0 "$(cat "$out/run/outer.pid")" 2>/dev/null; then break; fi
  sleep 0.1
done
tail -n 20 "$out/log/node.log" >&2
echo "node: it did not become ready; the lines above and $out/log say why" >&2
exit 1
