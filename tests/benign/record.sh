#!/usr/bin/env bash
# record.sh [OUT]    records the audit log of a healthy cluster at work; writes OUT (recordings/audit.jsonl.gz beside this).
#
# A real kube-apiserver with the shipped audit policy, etcd and kube-controller-manager of the test bed, kubectl and Helm.
# The scheduler and the kubelets are node.py, which sends what they send, under their identities. Nothing in it is an attack:
# tests/benign.rs asserts that the shipped rules stay quiet over it. Takes about 5 minutes, and Helm's first build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/recordings/audit.jsonl.gz}
bin=$("$here/../testbed/build.sh")
helm=$("$here/../testbed/helm.sh")
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY # what follows stays on this machine
dir=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap finish EXIT
mkdir -p "$dir/pki" "$dir/audit" "$(dirname "$out")"

free_ports() { python3 -c 'import socket
held = [socket.socket() for _ in range(4)]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))'; }
read -r api etcd peer kcm <<<"$(free_ports)"
server=https://127.0.0.1:$api

# client NAME GROUP FILE: a certificate of the cluster's authority.
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
openssl_quiet() { openssl "$@" 2>/dev/null; }
key "$dir/pki/ca.key"
openssl_quiet req -x509 -new -key "$dir/pki/ca.key" -subj /CN=recording-ca -days 2 -out "$dir/pki/ca.crt"
sign() { openssl_quiet x509 -req -CA "$dir/pki/ca.crt" -CAkey "$dir/pki/ca.key" -CAcreateserial -days 1 -in "$1.csr" -out "$1.crt" "${@:2}"; }
key "$dir/pki/apiserver.key"
openssl_quiet req -new -key "$dir/pki/apiserver.key" -subj /CN=kube-apiserver -out "$dir/pki/apiserver.csr"
printf 'subjectAltName=DNS:localhost,DNS:kubernetes,IP:127.0.0.1,IP:10.96.0.1\n' >"$dir/pki/san"
sign "$dir/pki/apiserver" -extfile "$dir/pki/san"
key "$dir/pki/token.key"
openssl_quiet ec -in "$dir/pki/token.key" -pubout -out "$dir/pki/token.pub"
client() {
  key "$dir/$1.key"
  openssl_quiet req -new -key "$dir/$1.key" -subj "${3:+/O=$3}/CN=$2" -out "$dir/$1.csr"
  sign "$dir/$1"
  cat >"$dir/$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$server", certificate-authority: $dir/pki/ca.crt}}]
users: [{name: u, user: {client-certificate: $dir/$1.crt, client-key: $dir/$1.key}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
EOF
}
client jane jane system:masters
client dana dana developers
client controller-manager system:kube-controller-manager
client scheduler system:kube-scheduler
for node in node-1 node-2; do client "$node" "system:node:$node" system:nodes; done

run() { local name=$1; shift; "$bin/$name" "$@" >"$dir/$name.log" 2>&1 & pids+=($!); }
start() { local name=$1; shift; "$@" >"$dir/$name.log" 2>&1 & pids+=($!); }
start etcd "$bin/etcd" --name=r --data-dir="$dir/etcd" --unsafe-no-fsync --listen-client-urls="http://127.0.0.1:$etcd" \
  --advertise-client-urls="http://127.0.0.1:$etcd" --listen-peer-urls="http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls="http://127.0.0.1:$peer" --initial-cluster="r=http://127.0.0.1:$peer"
run kube-apiserver --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
  --secure-port="$api" --endpoint-reconciler-type=none --service-cluster-ip-range=10.96.0.0/16 \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --cert-dir="$dir/pki" \
  --client-ca-file="$dir/pki/ca.crt" --tls-cert-file="$dir/pki/apiserver.crt" --tls-private-key-file="$dir/pki/apiserver.key" \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/pki/token.pub" \
  --service-account-signing-key-file="$dir/pki/token.key" \
  --audit-policy-file="$here/../../manifests/audit/policy.yaml" --audit-log-path="$dir/audit/audit.log"
health() { curl -s -o "$dir/health" -w '%{http_code}' --cacert "$dir/pki/ca.crt" "$server$1"; }
for _ in $(seq 120); do [ "$(health /readyz || true)" = 200 ] && break; sleep 1; done
run kube-controller-manager --kubeconfig="$dir/controller-manager.kubeconfig" --bind-address=127.0.0.1 --secure-port="$kcm" \
  --authentication-kubeconfig="$dir/controller-manager.kubeconfig" --authorization-kubeconfig="$dir/controller-manager.kubeconfig" \
  --use-service-account-credentials=true --service-account-private-key-file="$dir/pki/token.key" \
  --root-ca-file="$dir/pki/ca.crt" --cluster-signing-cert-file="$dir/pki/ca.crt" --cluster-signing-key-file="$dir/pki/ca.key" \
  --controllers='*,bootstrapsigner,tokencleaner' --flex-volume-plugin-dir="$dir/flex"
start node python3 "$here/node.py" "$server" "$dir"
# A load balancer's checks, without credentials.
start probes bash -c "while sleep 2; do for p in livez readyz healthz version; do curl -s -o /dev/null --cacert '$dir/pki/ca.crt' '$server/'\$p; done; curl -sk -o /dev/null '$server/'; done"

export KUBERC=off HELM_CACHE_HOME=$dir/helm HELM_CONFIG_HOME=$dir/helm HELM_DATA_HOME=$dir/helm
as() { local user=$1; shift; "$bin/kubectl" --kubeconfig "$dir/$user.kubeconfig" --cache-dir "$dir/cache-$user" "$@"; }
helm_as() { local user=$1; shift; "$helm" --kubeconfig "$dir/$user.kubeconfig" "$@"; }
for _ in $(seq 60); do as jane -n default get serviceaccount default >/dev/null 2>&1 && break; sleep 1; done
# shellcheck source=life.sh
source "$here/life.sh"
sleep 5
finish_log=$dir/audit/audit.log
kill "${pids[@]}" 2>/dev/null || true
wait 2>/dev/null || true
gzip -9nc "$finish_log" >"$out.new"
mv "$out.new" "$out"
echo "$(wc -l <"$finish_log") events in $out ($(stat -c %s "$out") bytes)"
