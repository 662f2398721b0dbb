# once.sh    sourced by what builds a program from the Go module proxy and keeps it: helm.sh, coredns.sh, cert-manager.sh, oracle/build.sh.
#
# In ${XDG_CACHE_HOME:-~/.cache}/kubewitness/NAME/<hash>, where <hash> covers the files that decide the result. Two callers share one
# build. Progress goes to stderr; stdout is for what the script prints: the directory, or $prints in it.

# once NAME FILE...: prints what is there already and ends; else Go builds for Linux without C, and $work is the directory to fill.
once() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/$1
  program=$1
  shift
  out=$cache/$(cat "${BASH_SOURCE[0]}" "$@" | sha256sum | cut -c1-16)
  is_built
  command -v go >/dev/null || { say "Go 1.26 or newer is needed to build it and is not on PATH: see https://go.dev/doc/install"; exit 1; }
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock -n 9 || { say "another build is running in $cache; waiting for it"; flock 9; }
  is_built
  export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
  work=$(mktemp -d "$cache/.new.XXXXXX")
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
}

say() { echo "$program: $*" >&2; }

is_built() { if [ -e "$out/complete" ]; then echo "$out${prints:-}"; exit 0; fi; }

# keep: $work is complete, and kept.
keep() {
  date -u +%FT%TZ >"$work/complete"
  chmod -R u+w "$work"
  chmod 755 "$work"
  rm -rf "$out"
  mv "$work" "$out"
  trap - EXIT
  say "done in $SECONDS s"
  echo "$out${prints:-}"
}
