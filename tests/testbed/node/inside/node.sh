#!/usr/bin/env bash
# node.sh    boots the cluster; runs on the node, as started by up.sh. Touches /out/run/ready when the node is Ready.
#
# Files lie where kubeadm puts them: /etc/kubernetes/pki, /etc/kubernetes/*.conf. Flags in /etc/kubernetes/apiserver.flags, one a line,
# are added to kube-apiserver's when it starts.
set -euo pipefail
. /opt/cluster/pki.sh
node=node-1 ip=10.200.0.1
export PATH=/opt/testbed:$PATH

# until SECONDS WHAT COMMAND…
until_done() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "node: gave up waiting for $what" >&2; exit 1; }
    sleep 0.1
  done
}
# service NAME: what stands on standard input is its script; starts it.
service() { mkdir -p /etc/services.d; cat >"/etc/services.d/$1"; /opt/cluster/service.sh start "$1"; }

machine() {
  mount --make-rshared / # among ourselves; kubelet and runc ask for it
  local directory setting file
  for directory in log lib/etcd lib/containerd lib/kubelet; do
    mkdir -p "/out/var/$directory" "/var/$directory"
    mount --bind "/out/var/$directory" "/var/$directory"
  done
  # kubelet would write these for the whole machine: it gets files of its own instead.
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=/run/sysctl.${setting//[\/=]/.}
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
  done
  ip link set lo up
  ip link add node0 type bridge
  ip addr add $ip/24 dev node0
  ip link set node0 up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || true
  ip route add 10.96.0.0/16 dev node0  # ClusterIPs need some route before NAT rewrites them
  ip route add unreachable default     # anything else fails at once
  echo "nameserver $ip" >/etc/resolv.conf
  # Somebody's laptop: `ip netns exec laptop COMMAND` calls from 10.200.0.50.
  ip netns add laptop
  ip link add laptop0 master node0 type veth peer name eth0 netns laptop
  ip link set laptop0 up
  ip -n laptop addr add 10.200.0.50/24 dev eth0
  ip -n laptop link set eth0 up
  ip -n laptop link set lo up
  ip -n laptop route add default via $ip
}

control_plane() {
  authority
  local name
  certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$ip,IP:10.96.0.1"
  certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  certificate admin /O=system:masters/CN=kubernetes-admin
  certificate coredns /O=system:masters/CN=system:coredns
  for name in controller-manager scheduler proxy; do certificate $name "/CN=system:kube-$name"; done
  certificate kubelet "/O=system:nodes/CN=system:node:$node"
  for name in admin controller-manager scheduler proxy kubelet coredns; do (umask 077; kubeconfig $name >/etc/kubernetes/$name.conf); done
  mkdir -p /var/log/kubernetes/audit
  touch /etc/kubernetes/apiserver.flags
  service etcd <<'S'
exec /opt/testbed/etcd --data-dir=/var/lib/etcd --unsafe-no-fsync --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
  --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=default=http://127.0.0.1:2380
S
  service kube-apiserver <<'S'
pki=/etc/kubernetes/pki
mapfile -t more </etc/kubernetes/apiserver.flags
exec /opt/testbed/kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address=10.200.0.1 --secure-port=6443 \
  --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --client-ca-file=$pki/ca.crt --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key \
  --kubelet-client-certificate=$pki/apiserver-kubelet-client.crt --kubelet-client-key=$pki/apiserver-kubelet-client.key \
  --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file=$pki/sa.pub --service-account-signing-key-file=$pki/sa.key "${more[@]}"
S
  until_done 120 "kube-apiserver" kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz
  service kube-controller-manager <<'S'
conf=/etc/kubernetes/controller-manager.conf pki=/etc/kubernetes/pki
exec /opt/testbed/kube-controller-manager --kubeconfig=$conf --authentication-kubeconfig=$conf --authorization-kubeconfig=$conf --bind-address=127.0.0.1 \
  --leader-elect=false --use-service-account-credentials=true --service-account-private-key-file=$pki/sa.key --root-ca-file=$pki/ca.crt \
  --cluster-signing-cert-file=$pki/ca.crt --cluster-signing-key-file=$pki/ca.key --allocate-node-cidrs=true --cluster-cidr=10.244.0.0/16 \
  --service-cluster-ip-range=10.96.0.0/16 --flex-volume-plugin-dir=/run/flex --kube-api-qps=500 --kube-api-burst=1000
S
  service kube-scheduler <<'S'
conf=/etc/kubernetes/scheduler.conf
exec /opt/testbed/kube-scheduler --kubeconfig=$conf --authentication-kubeconfig=$conf --authorization-kubeconfig=$conf --bind-address=127.0.0.1 --leader-elect=false
S
}

# As a process of the node, not as pods: no image, no Service, ready before the first pod.
dns() {
  cat >/etc/Corefile <<C
.:53 {
  bind $ip
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig /etc/kubernetes/coredns.conf me
    pods verified
  }
  cache 5
}
C
  service coredns <<<'exec /opt/coredns/coredns -conf /etc/Corefile'
}

runtime() {
  mkdir -p /etc/cni/net.d /etc/containerd
  cat >/etc/cni/net.d/10-node.conflist <<'J'
{"cniVersion": "0.4.0", "name": "node", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  cat >/etc/containerd/config.toml <<'T'
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "node.local/pause:1"
  # The machine may lack CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
T
  service containerd <<<'exec containerd'
  until_done 60 containerd ctr version
  local image
  for image in /out/images/*.tar; do [ ! -e "$image" ] || ctr -n k8s.io images import "$image"; done
}

kubelet() {
  cat >/etc/kubernetes/kubelet.yaml <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDomain: cluster.local
clusterDNS: ["$ip"]
resolvConf: /etc/resolv.conf
healthzBindAddress: 127.0.0.1
volumePluginDir: /run/flex
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
# How soon a mounted Secret or ConfigMap that changed is seen.
syncFrequency: $(cat /out/run/sync)
configMapAndSecretChangeDetectionStrategy: Watch
nodeStatusUpdateFrequency: 5s
serverTLSBootstrap: false
Y
  service kubelet <<S
exec /opt/testbed/kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.conf --cert-dir=/var/lib/kubelet/pki --hostname-override=$node --node-ip=$ip
S
  cat >/etc/kubernetes/kube-proxy.yaml <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: $node
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: /etc/kubernetes/proxy.conf}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
iptables: {minSyncPeriod: 0s}
Y
  service kube-proxy <<<'exec /opt/testbed/kube-proxy --config=/etc/kubernetes/kube-proxy.yaml'
}

ready() {
  export KUBECONFIG=/etc/kubernetes/admin.conf
  until_done 90 "the node" kubectl wait --for=condition=Ready --timeout=1s node/$node
  # As kubeadm labels it; a node may not give itself this label.
  kubectl label node $node node-role.kubernetes.io/control-plane=
  # Where a claim without a class lands: directories of the node.
  mkdir -p /out/var/volumes/a /var/volumes
  mount --bind /out/var/volumes /var/volumes
  kubectl apply -f /opt/cluster/storage.yaml
  until_done 60 "the default service account" kubectl -n default get serviceaccount default
}

machine; control_plane; dns; runtime; kubelet; ready
echo "node: ready after $SECONDS s"
touch /out/run/ready
exec sleep infinity
