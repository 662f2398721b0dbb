#!/usr/bin/env bash
# alertmanager.sh DIRECTORY [FLAG…]    runs the prometheus-alertmanager of that directory.
#
# Debian's looks for its templates below /usr/share, where those of an unpacked package are not: to that process alone they are
# shown there, in a mount namespace of its own, which needs no root.
set -euo pipefail
bin=$1
shift
if [ -e /usr/share/prometheus/alertmanager/default.tmpl ]; then exec "$bin/prometheus-alertmanager" "$@"; fi
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --map-root-user --mount bash -c \
  'mount -t overlay overlay -o lowerdir="$0":/usr/share /usr/share && exec "$@"' "${bin%/bin}/share" "$bin/prometheus-alertmanager" "$@"
