#!/usr/bin/env bash
# images.sh    packs the images of the node's other pods from the packages of the throw-away Debian; prints their files.
#
#   node.local/pause:1                  what holds a pod's namespaces
#   registry.example.org/shop:1         nginx and curl of Debian, and busybox for a shell; nginx listens on 8080 and logs to its output
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/node/images-<hash>. Needs what root.sh needs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$("$here/../../node/root.sh" bookworm)/root
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/node
oci=$here/../../../image/oci.py
out=$cache/images-$(cat "$here/images.sh" "$oci" "$here/../../node/root.sh" | sha256sum | cut -c1-16)
if [ ! -e "$out/shop.tar" ]; then
  work=$(mktemp -d "$cache/.new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work"/{out,pause/bin,shop/{bin,etc,usr/sbin,usr/bin,tmp,var/www,usr/lib}}
  cp "$root/bin/busybox" "$work/pause/bin/"
  ln -s busybox "$work/pause/bin/sleep"
  cp "$root/bin/busybox" "$work/shop/bin/"
  for applet in sh ls cat sleep id ps env echo head tail grep wget; do ln -s busybox "$work/shop/bin/$applet"; done
  cp "$root/usr/sbin/nginx" "$work/shop/usr/sbin/"
  cp "$root/usr/bin/curl" "$work/shop/usr/bin/"
  # Each library that they name, and the loader, under its own path.
  chroot "$root" ldd /usr/sbin/nginx /usr/bin/curl | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do
    mkdir -p "$work/shop$(dirname "$library")"
    cp -L "$root$library" "$work/shop$library"
  done
  printf 'root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\n' >"$work/shop/etc/passwd"
  printf 'root:x:0:\nwww-data:x:33:\n' >"$work/shop/etc/group"
  echo 'the shop' >"$work/shop/var/www/index.html"
  cat >"$work/shop/etc/nginx.conf" <<'N'
daemon off; user www-data;
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {}
http {
  access_log /dev/stdout combined;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen 8080; root /var/www; }
}
N
  chmod 1777 "$work/shop/tmp"
  python3 "$oci" "$work/out/pause.tar" node.local/pause:1 --layer "$work/pause" --config '{"Entrypoint": ["/bin/sleep", "1000000000"]}' >&2
  python3 "$oci" "$work/out/shop.tar" registry.example.org/shop:1 --layer "$work/shop" \
    --config '{"Cmd": ["/usr/sbin/nginx", "-c", "/etc/nginx.conf"], "Env": ["PATH=/usr/sbin:/usr/bin:/bin"]}' >&2
  rm -rf "$out"
  mv "$work/out" "$out"
fi
echo "$out/pause.tar $out/shop.tar"
