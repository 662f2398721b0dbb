#!/usr/bin/env bash
# root.sh SUITE    builds a small Debian (bookworm or trixie) that holds the daemons we record; prints its directory.
#
# Built once and kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/node/<suite>-<hash>, where <hash> covers this script. It
# needs root and a Debian host, whose own apt says where the packages come from; debootstrap itself is unpacked, not
# installed, and every mount happens in a private mount namespace, so the host stays as it was. Cold: 1-3 minutes.
set -euo pipefail
say() { echo "node: $*" >&2; }
suite=${1:-bookworm}
case $suite in bookworm | trixie) ;; *) say "unknown suite $suite: bookworm or trixie is wanted"; exit 2 ;; esac
[ "$(id -u)" = 0 ] || { say "root is needed (namespaces, mounts, chroot): run this as root"; exit 1; }

# What the scenes drive and a cluster's node has, then what drives them (python3, paramiko, ssh, curl), then what `ordinary.sh` installs by apt.
packages=(openssh-server openssh-client openssh-sftp-server sudo passwd login rsyslog cron nginx-light apache2 adduser procps
  containernetworking-plugins iptables conntrack socat openssl iproute2 kmod nftables curl sshpass python3 python3-paramiko libfaketime faketime apt-utils containerd runc busybox-static)
cached=(memcached tcpdump uuid-runtime tree figlet less jq bc)

cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/node
hash=$(sha256sum <"${BASH_SOURCE[0]}" | cut -c1-16)
out=$cache/$suite-$hash
if [ -e "$out/complete" ]; then echo "$out"; exit 0; fi
for tool in apt-get dpkg-deb wget unshare; do
  command -v $tool >/dev/null || { say "$tool is needed and is not on PATH: run this on Debian"; exit 1; }
done
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "another build is running in $cache; waiting for it"; flock 9; }
if [ -e "$out/complete" ]; then echo "$out"; exit 0; fi

mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
  awk '$2 == "Debian" && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | grep -v security | head -1)
[ -n "$mirror" ] || { say "apt has no Debian mirror: run apt-get update once"; exit 1; }
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"

say "$suite: unpacking debootstrap"
(cd "$work" && apt-get -qq download debootstrap 2>/dev/null) || { say "debootstrap cannot be downloaded: run apt-get update once"; exit 1; }
dpkg-deb -x "$work"/debootstrap_*.deb "$work/tool"
say "$suite: building the root (1-3 minutes)"
log=$work/build.log
build() {
  set -euo pipefail
  export DEBOOTSTRAP_DIR=$work/tool/usr/share/debootstrap DEBIAN_FRONTEND=noninteractive LC_ALL=C
  sh "$work/tool/usr/sbin/debootstrap" --variant=minbase --merged-usr "$suite" "$work/root" "$mirror"
  printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d" # no daemon starts while packages are installed
  chmod 755 "$work/root/usr/sbin/policy-rc.d"
  cp /etc/resolv.conf "$work/root/etc/resolv.conf"
  mount -t proc proc "$work/root/proc"
  chroot "$work/root" apt-get -q update
  chroot "$work/root" apt-get -q install -y --no-install-recommends ${packages[*]}
  mkdir -p "$work/root/var/cache/node"
  chroot "$work/root" bash -c "cd /var/cache/node && apt-get -q install -y --no-install-recommends --download-only -o Dir::Cache::archives=/var/cache/node ${cached[*]}"
  chroot "$work/root" apt-get clean
  rm -rf "$work"/root/var/lib/apt/lists/* "$work"/root/etc/ssh/ssh_host_* "$work"/root/var/log/* "$work/root/etc/resolv.conf" "$work/root/etc/apt/sources.list"
  umount "$work/root/proc"
}
export -f build
export work suite mirror
packages="${packages[*]}" cached="${cached[*]}" unshare --mount --pid --fork --uts --kill-child bash -c build >"$log" 2>&1 ||
  { tail -20 "$log" >&2; say "$suite: the build failed; the lines above say why"; exit 1; }
rm -rf "$work/tool" "$work"/debootstrap_*.deb
date -u +%FT%TZ >"$work/complete"
rm -rf --one-file-system "$out"
mv "$work" "$out"
trap - EXIT
echo "$out"
