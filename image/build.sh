#!/usr/bin/env bash
# build.sh BINARY OUT.tar NAME:TAG    packs the binary as an OCI image, without a registry or a container engine.
#
# The same image as the Dockerfile's: base.sh's root file system is one layer, /kubewitness the other. Prints NAME:TAG and the
# digest. The same binary and Debian packages (kept beside OUT.tar in debs/) give the same digest. Needs no root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# = 3 ] || { echo "usage: build.sh BINARY OUT.tar NAME:TAG" >&2; exit 2; }
binary=$1 out=$2 name=$3
for tool in python3 strip; do
  command -v $tool >/dev/null || { echo "image: $tool is needed and is not on PATH: install it with your package manager (Debian: apt-get install python3 binutils)" >&2; exit 1; }
done
mkdir -p "$(dirname "$out")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/base.sh" "$work/base" "$(dirname "$out")/debs"
mkdir "$work/binary"
# Names of functions stay, so that a backtrace can be read.
strip --strip-debug -o "$work/binary/kubewitness" "$binary"
chmod 755 "$work/binary/kubewitness"
revision=$(git -C "$here" rev-parse HEAD 2>/dev/null || true)
config=$(cat <<J
{"Entrypoint": ["/kubewitness"], "User": "65532:65532", "WorkingDir": "/",
 "Env": ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
 "Labels": {"org.opencontainers.image.title": "kubewitness", "org.opencontainers.image.version": "${name##*:}",
  "org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.source": "https://kubewitness.io",
  "org.opencontainers.image.revision": "${KUBEWITNESS_REVISION-$revision}"}}
J
)
echo "$name $(python3 "$here/oci.py" "$out" "$name" --layer "$work/base" --layer "$work/binary" --config "$config")"
