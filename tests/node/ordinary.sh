#!/usr/bin/env bash
# ordinary.sh [HOURS [SPEED]]    records ordinary life of a node into recordings/ordinary (24 hours at 240 times the speed).
#
# Needs root and Debian, as record.sh does; runs for HOURS / SPEED, by default six minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$here/enter.sh" bookworm "$out" ordinary.py "${1:-24}" "${2:-240}"
rm -rf "$here/recordings/ordinary"
cp -r --no-preserve=mode,ownership "$out/ordinary" "$here/recordings/ordinary"
