#!/usr/bin/env bash
# dockerfile.sh IMAGE.tar    builds the Dockerfile with buildah and compares what it makes with IMAGE.tar, which `make image` packed.
#
# Needs buildah and root, and no daemon. Where the image with Rust can't be pulled, one like it is made of Debian's packages and the Rust
# that is installed here, under the same name. Everything is kept below target/dockerfile, 6 GB, and removed in the end. Ten to twenty
# minutes. Compared are the configuration, the files, their modes and contents; of the binary only that it says its version, since
# it was compiled in another directory.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# = 1 ] || { echo "usage: dockerfile.sh IMAGE.tar" >&2; exit 2; }
say() { echo "dockerfile: $*" >&2; }
command -v buildah >/dev/null || { say "buildah is needed and is not on PATH: install it with your package manager (Debian: apt-get install buildah)"; exit 1; }
[ "$(id -u)" = 0 ] || { say "root is needed to build without a daemon: run this as root"; exit 1; }
ours=$(realpath "$1")
cd "$here/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
revision=$(git rev-parse HEAD 2>/dev/null || true)
base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' Dockerfile)

work=target/dockerfile
mkdir -p "$work"
work=$(realpath "$work")
build=(buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs)
clean() { "${build[@]}" rm --all >/dev/null 2>&1 || true; rm -rf --one-file-system "$work"; }
trap clean EXIT

stand_in() {
  command -v mmdebstrap >/dev/null || { say "and to make one like it mmdebstrap is needed and is not on PATH (Debian: apt-get install mmdebstrap)"; exit 1; }
  local root=$work/root suite=${base##*-} tool container
  mmdebstrap --quiet --variant=minbase --include=gcc,libc6-dev,binutils,ca-certificates "$suite" "$root" \
    "deb http://deb.debian.org/debian $suite main" "deb http://deb.debian.org/debian $suite-updates main" \
    "deb http://deb.debian.org/debian-security $suite-security main"
  mkdir -p "$root"/usr/local/{cargo/bin,rustup}
  cp -a "$(rustc --print sysroot)" "$root/usr/local/rustup/toolchain"
  for tool in cargo rustc; do ln -s "/usr/local/rustup/toolchain/bin/$tool" "$root/usr/local/cargo/bin/$tool"; done
  container=$("${build[@]}" from scratch)
  "${build[@]}" copy --quiet "$container" "$root" / >/dev/null
  "${build[@]}" config --env CARGO_HOME=/usr/local/cargo \
    --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  "${build[@]}" commit --quiet --rm "$container" "$base" >/dev/null
  rm -rf --one-file-system "$root"
}
if ! "${build[@]}" pull --quiet "$base" >"$work/pull.log" 2>&1; then
  say "$base can't be pulled ($(tail -n 1 "$work/pull.log" | cut -c1-120)); making one like it of $(rustc --version)"
  stand_in
fi

say "building the Dockerfile"
# The certificates of this machine: a proxy may have one of its own.
"${build[@]}" bud --pull-never --isolation chroot -v /etc/ssl/certs:/etc/ssl/certs:ro --build-arg "VERSION=$version" \
  --build-arg "REVISION=$revision" -t kubewitness "$PWD" >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; say "the build failed; the lines above say why"; exit 1; }
"${build[@]}" push --quiet kubewitness "oci-archive:$work/theirs.tar" >/dev/null
for side in ours theirs; do
  archive=$work/theirs.tar; [ "$side" = theirs ] || archive=$ours
  python3 "$here/oci_list.py" "$archive" >"$work/$side.txt"
done
diff -u "$work/ours.txt" "$work/theirs.txt" || { say "the Dockerfile makes another image than make image: < is of make image, > of the Dockerfile"; exit 1; }
container=$("${build[@]}" from kubewitness)
said=$("${build[@]}" run --isolation chroot "$container" /kubewitness --version)
[ "$said" = "kubewitness $version" ] || { say "the image's binary says: $said"; exit 1; }
say "the Dockerfile makes the image that make image packs: $(grep -c '^/' "$work/theirs.txt") files and directories, user and entry point"
