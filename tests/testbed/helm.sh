#!/usr/bin/env bash
# helm.sh    builds Helm, pinned by helm/go.mod, once; prints the path of the binary. Cold: 2-4 minutes on two cores.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/once.sh"
prints=/helm
once helm "$here"/{helm.sh,helm/go.mod,helm/go.sum}
cd "$here/helm"
package=$(sed -nE 's/^tool //p' go.mod)
version=$(sed -nE 's#^\s*helm.sh/helm/v3 (v[0-9.]+).*$#\1#p' go.mod)
# What Helm takes a cluster's version for when it asks none, as its own releases are stamped: the one of its client.
minor=$(sed -nE 's#^\s*k8s.io/client-go v0\.([0-9]+)\..*$#\1#p' go.mod)
stamp="-X helm.sh/helm/v3/internal/version.version=$version"
for package_of_version in pkg/chartutil pkg/lint/rules; do
  stamp+=" -X helm.sh/helm/v3/$package_of_version.k8sVersionMajor=1 -X helm.sh/helm/v3/$package_of_version.k8sVersionMinor=$minor"
done
say "building $version"
go build -ldflags "-s -w $stamp" -o "$work/helm" "$package" >&2
keep
