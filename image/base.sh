#!/usr/bin/env bash
# base.sh DIRECTORY PACKAGES    lays out the image's root file system: libc, CA certificates, the user. No shell, no package manager.
#
# From the Debian packages of this machine's own release (libc6 and libgcc-s1, which the binary is linked with, and
# ca-certificates), which are downloaded into PACKAGES, unpacked and not installed; those that lie there already are used. What
# else they bring (locale tools, the linker's cache, documentation but for the licences) is left out. Needs no root.
# Each package leaves its paragraph of metadata in /var/lib/dpkg/status.d, where scanners look.
set -euo pipefail
[ $# = 2 ] || { echo "usage: base.sh DIRECTORY PACKAGES" >&2; exit 2; }
out=$1 packages=$2
names=(ca-certificates libc6 libgcc-s1)
for tool in apt-get dpkg-deb; do
  command -v $tool >/dev/null || { echo "image: $tool is needed and is not on PATH: run this on Debian, or build the Dockerfile" >&2; exit 1; }
done

download() {
  local work=$1
  mkdir -p "$work"/{lists,archives}/partial
  # Package lists of our own: the machine's may be absent or old, and only root may renew them.
  apt=(apt-get -q -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o APT::Sandbox::User="$(id -un)")
  cd "$work"
  "${apt[@]}" update
  "${apt[@]}" download "${names[@]}"
  # The licence of libgcc-s1 is in the package of gcc's own files.
  "${apt[@]}" download "$(dpkg-deb --field libgcc-s1_*.deb Depends | grep -o 'gcc-[0-9]*-base')"
}
mkdir -p "$packages"
exec 9>"$packages/.lock"
flock 9
for name in "${names[@]}"; do
  compgen -G "$packages/${name}_*.deb" >/dev/null && continue
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "image: downloading ${names[*]}" >&2
  if ! (set -e; download "$work") >"$work/log" 2>&1; then
    tail -5 "$work/log" >&2
    echo "image: the Debian packages cannot be downloaded; the lines above say why" >&2
    exit 1
  fi
  mv "$work"/*.deb "$packages"
  break
done

exec 9>&-

umask 022
rm -rf "$out"
mkdir -p "$out"/{etc/ssl/certs,tmp,var/lib/dpkg/status.d,usr/share/doc}
whole=$(mktemp -d)
trap 'rm -rf "$whole" "${work:-}"' EXIT
for package in "$packages"/*.deb; do
  name=$(dpkg-deb --field "$package" Package)
  dpkg-deb --extract "$package" "$whole"
  dpkg-deb --field "$package" >"$out/var/lib/dpkg/status.d/$name"
done
for name in "$out"/var/lib/dpkg/status.d/*; do
  name=${name##*/}
  mkdir "$out/usr/share/doc/$name"
  cp "$whole/usr/share/doc/$name/copyright" "$out/usr/share/doc/$name/"
done
# The loader by its own path, and the libraries that Rust links with or that libc loads to resolve names.
(cd "$whole" && find . \( -name 'ld-linux-*' -o -name 'libc.so.6' -o -name 'libm.so.6' -o -name 'libgcc_s.so.1' -o -name 'libresolv.so.2' \
  -o -name 'libnss_dns.so.2' -o -name 'libnss_files.so.2' -o -name 'libpthread.so.0' -o -name 'libdl.so.2' -o -name 'librt.so.1' \) \
  -exec cp --archive --parents {} "$out" \;)
# What update-ca-certificates would write.
(cd "$whole/usr/share/ca-certificates" && find . -name '*.crt' | LC_ALL=C sort | xargs cat) >"$out/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/:/nonexistent\n' >"$out/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$out/etc/group"
printf 'hosts: files dns\n' >"$out/etc/nsswitch.conf"
cp /etc/os-release "$out/etc/os-release"
# From trixie on, packages bring usr/lib alone; base-files has the links.
for name in lib lib64; do [ -e "$out/$name" ] || [ ! -d "$out/usr/$name" ] || ln -s "usr/$name" "$out/$name"; done
chmod -R u=rwX,go=rX "$out"
chmod 1777 "$out/tmp"
