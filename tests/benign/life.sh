# Sourced by record.sh: what administrators, a developer, a pipeline and Helm do in a healthy cluster. Each line is a session's
# command as people type it; what the cluster answers is printed, and a refusal is part of life.
say() { echo "life: $*" >&2; }
quietly() { "$@" >>"$dir/life.log" 2>&1 || true; }
k() { quietly as jane "$@"; }
d() { quietly as dana -n shop "$@"; }
h() { quietly helm_as jane "$@"; }

say "an administrator sets up namespaces for a team"
k create namespace shop
k label namespace shop pod-security.kubernetes.io/enforce=baseline team=shop
k create namespace tools
k -n shop create rolebinding developers --clusterrole=edit --group=developers
k -n shop create quota limits --hard=pods=100,services=30
k -n shop create serviceaccount deployer
k -n shop create rolebinding deployer --clusterrole=edit --serviceaccount=shop:deployer
token=$(as jane -n shop create token deployer --duration=1h)
cat >"$dir/deployer.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$server", certificate-authority: $dir/pki/ca.crt}}]
users: [{name: u, user: {token: $token}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: shop}}]
current-context: x
EOF

say "an administrator looks around"
look() {
  for what in nodes pods services deployments events ingresses pvc namespaces configmaps jobs; do k get "$what" -A; done
  for what in "get all -n shop" "get nodes -o wide" "describe nodes" "get pods -n kube-system" "top nodes" "version" "cluster-info" \
    "api-resources" "api-versions" "explain deployment.spec" "auth whoami" "auth can-i create pods" "auth can-i --list" \
    "get --raw /healthz" "get --raw /metrics" "get clusterroles" "get clusterrolebindings -o wide" "get roles -A" \
    "get sa -n shop" "get componentstatuses" "get crd" "get storageclass" "get leases -A" "config view"; do
    # shellcheck disable=SC2086 # words of a command
    k $what
  done
}
look

say "Helm installs, upgrades and removes"
charts=$dir/charts
mkdir -p "$charts"
(cd "$charts" && "$helm" create web >/dev/null)
cp -r "$here"/charts/* "$charts/"
h install web "$charts/web" -n shop --set image.repository=registry.k8s.io/e2e-test-images/agnhost,replicaCount=2 --wait --timeout 60s
h install tools "$charts/operator" -n tools --wait --timeout 60s
as jane -n tools create token tools-operator --duration=1h >"$dir/operator.token.new" && mv "$dir/operator.token.new" "$dir/operator.token"
h install db "$charts/database" -n shop --wait --timeout 60s
h list -A
h status web -n shop
h upgrade web "$charts/web" -n shop --reuse-values --set replicaCount=3 --wait --timeout 60s
h history web -n shop
h get values web -n shop
h rollback web 1 -n shop --wait --timeout 60s
h upgrade --install tools "$charts/operator" -n tools --set replicas=2 --wait --timeout 60s
h test web -n shop --timeout 30s

say "a developer at work"
d get pods
d get pods -w --request-timeout=3s
d describe pod -l app.kubernetes.io/name=web
d logs -l app.kubernetes.io/name=web --tail=5
d get deployment web -o yaml
d scale deployment web --replicas=1
d rollout restart deployment web
d rollout status deployment web --timeout=30s
d rollout undo deployment web
d set image deployment/web web=registry.k8s.io/e2e-test-images/agnhost:2.53
d create configmap settings --from-literal=a=b
d create secret generic api --from-literal=key=value
d get secret api -o yaml
d get secrets
d create job once --image=registry.k8s.io/e2e-test-images/agnhost:2.53 -- /agnhost help
d create cronjob nightly --image=registry.k8s.io/e2e-test-images/agnhost:2.53 --schedule='0 3 * * *' -- /agnhost help
d expose deployment web --name=web-again --port=80
d autoscale deployment web --min=1 --max=3 --cpu-percent=80
d annotate deployment web note=hello --overwrite
d label pods -l app.kubernetes.io/name=web color=blue --overwrite
d get nodes
d get pods -A
d delete pod -l app.kubernetes.io/name=web --wait=false
d patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":2}]'
d patch deployment web -p '{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}'
d delete job once
d get events --sort-by=.lastTimestamp

say "a pipeline deploys"
manifest() {
  cat <<EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, labels: {version: "$1"}}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart, version: "$1"}}
    spec:
      containers:
      - {name: cart, image: "registry.k8s.io/e2e-test-images/agnhost:2.5$1", envFrom: [{configMapRef: {name: cart}}, {secretRef: {name: cart}}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cart}
data: {version: "$1"}
---
apiVersion: v1
kind: Secret
metadata: {name: cart}
stringData: {password: "word-$1"}
EOF
}
for version in 1 2 3 4 5 6 7 8 9; do
  manifest "$version" >"$dir/cart.yaml"
  quietly as deployer diff -f "$dir/cart.yaml"
  quietly as deployer apply -f "$dir/cart.yaml"
  quietly as deployer rollout status deployment cart --timeout=40s
  quietly as deployer get pods -l app=cart
done
quietly as deployer apply --server-side --force-conflicts -f "$dir/cart.yaml"
quietly helm_as deployer upgrade --install cart-extra "$charts/web" -n shop --wait --timeout 60s

say "maintenance"
k cordon node-2
k drain node-2 --ignore-daemonsets --delete-emptydir-data --timeout=30s
k uncordon node-2
k create namespace scratch
k -n scratch create deployment x --image=registry.k8s.io/pause:3.10
k -n scratch create configmap y --from-literal=a=b
k -n scratch rollout status deployment x --timeout=30s
k delete namespace scratch --timeout=60s
k apply --server-side -f "$dir/cart.yaml" -n shop
k -n shop get deployment -o yaml
k -n shop auth can-i get pods --as=dana
k get --raw /api/v1/nodes
look

say "and removes what is no longer needed"
h uninstall web -n shop
rm -f "$dir/operator.token"
h uninstall tools -n tools
h list -A
for round in 1 2 3 4 5 6; do look; sleep 20; say "quiet minutes, $round"; done
