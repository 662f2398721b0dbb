#!/usr/bin/env bash
# prerequisites.sh [test]    what the demo (and, with `test`, the tests) need beyond make.
#
# Missing Debian packages are installed where root or sudo without a password allows; anything else that is missing is
# named in one line, and the exit code is 1. Silent and quick when all is there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
has() { command -v "$1" >/dev/null 2>&1; }
# at_least WANTED FOUND: versions in dotted numbers.
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

packages=()
# For ring, SQLite and zstd, which bring C sources.
if ! has cc; then packages+=(gcc libc6-dev); elif ! cc -E -include stdlib.h -x c /dev/null >/dev/null 2>&1; then packages+=(libc6-dev); fi
has flock || packages+=(util-linux)
[ "${1:-}" != test ] || has python3 || packages+=(python3) # packs the image
if has apt-get && [ -z "${SSL_CERT_FILE:-}" ] && [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then packages+=(ca-certificates); fi

missing=()
rust=$(cargo --version 2>/dev/null) || rust="cargo 0"
rust=${rust#cargo } # "1.95.0 (f2d3ce0bd 2026-03-21)"
at_least 1.95 "${rust%% *}" || missing+=("Rust 1.95 or newer (https://rustup.rs)")
go=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || go=go0
at_least 1.26 "${go#go}" || missing+=("Go 1.26 or newer (https://go.dev/doc/install)")

if [ ${#packages[@]} -gt 0 ]; then
  root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  if has apt-get && { [ ${#root[@]} = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "installing ${packages[*]}" >&2
    "${root[@]}" apt-get -qq update >&2
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${packages[@]}" >&2
  else
    missing+=("the packages ${packages[*]} (Debian's names; apt-get install ${packages[*]})")
  fi
fi
if [ ${#missing[@]} -gt 0 ]; then
  line=$(printf '%s; ' "${missing[@]}")
  echo "missing: ${line%; }" >&2
  exit 1
fi
if [ "${1:-}" = test ]; then "$here/prometheus.sh" >/dev/null; fi
