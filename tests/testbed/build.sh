#!/usr/bin/env bash
# build.sh    builds the test bed's Kubernetes and etcd from the Go module proxy; prints the directory of the binaries.
#
# KUBERNETES=1.37    another release than 1.34: each has its modules in kube/, the default in go.mod, the others in RELEASE.mod
#
# Built once and kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/testbed/<hash>, where <hash> covers every file that
# decides the result (the modules and their sums, main.go, this script). Progress goes to stderr, the directory to stdout.
# Cold: 5-15 minutes on two cores (downloads 0.7 GB, compiles 2,500 packages). Two callers share one build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/testbed
say() { echo "testbed: $*" >&2; }
release=${KUBERNETES:-1.34}
case $release in 1.34) modules=go.mod ;; *) modules=$release.mod ;; esac
if [ ! -e "$here/kube/$modules" ]; then
  say "KUBERNETES=$release is not one of the releases that can be built: 1.34 $(cd "$here/kube" && ls [0-9]*.mod | sed 's/.mod$//' | tr '\n' ' ')"
  exit 1
fi
hash=$(cat "$here"/{build.sh,kube/"$modules",kube/"${modules%.mod}".sum,kube/main.go,etcd/go.mod,etcd/go.sum,etcd/main.go} | sha256sum | cut -c1-16)
out=$cache/$hash

if [ -e "$out/complete" ]; then echo "$out"; exit 0; fi
command -v go >/dev/null || { say "Go 1.26 or newer is needed to build the test bed and is not on PATH: see https://go.dev/doc/install"; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "another build is running in $cache; waiting for it"; flock 9; }
if [ -e "$out/complete" ]; then echo "$out"; exit 0; fi

export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT

# build NAME DIR MODULES LDFLAGS: one line when it starts, then one every 10 s that says how far it is.
build() {
  local name=$1 dir=$2 modules=$3 ldflags=$4 start=$SECONDS pid total
  cd "$here/$dir"
  say "$name: downloading modules"
  go mod download -modfile="$modules" >&2
  total=$(go list -modfile="$modules" -deps . | wc -l)
  say "$name: compiling $total packages"
  go build -v -modfile="$modules" -ldflags "$ldflags" -o "$work/$name" . 2>"$work/$name.log" &
  pid=$!
  while kill -0 $pid 2>/dev/null; do
    sleep 1
    if [ $(((SECONDS - start) % 10)) = 0 ]; then
      say "$name: $(grep -c . "$work/$name.log" || true) of at most $total packages compiled, $((SECONDS - start)) s"
    fi
  done
  wait $pid || { tail -20 "$work/$name.log" >&2; say "$name: the build failed; the lines above say why"; exit 1; }
  rm -f "$work/$name.log"
  say "$name: done in $((SECONDS - start)) s"
}

version=$(sed -nE 's#^\s*k8s.io/kubernetes (v[0-9.]+)$#\1#p' "$here/kube/$modules" | head -1)
minor=${version#v1.}; minor=${minor%%.*}
stamp=k8s.io/component-base/version
build kube kube "$modules" "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor -X k8s.io/client-go/pkg/version.gitVersion=$version"
build etcd etcd go.mod "-s -w"
for command in kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet; do ln -s kube "$work/$command"; done
date -u +%FT%TZ >"$work/complete"
chmod 755 "$work"
rm -rf "$out"
mv "$work" "$out"
trap - EXIT
echo "$out"
