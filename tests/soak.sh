#!/usr/bin/env bash
# soak.sh    random tests on and on, with fresh seeds: the rule language against the reference implementation and hostile
#            sources, the index of conditions against evaluating every rule, one stream in many orders,
#            correlation against its definition.
#
# KUBEWITNESS_SOAK_SECONDS  how long each random test goes on (3600)
# KUBEWITNESS_SEED          the first seed (from the clock); a failure prints the one that shows it again
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export KUBEWITNESS_SOAK_SECONDS=${KUBEWITNESS_SOAK_SECONDS:-3600} KUBEWITNESS_SEED=${KUBEWITNESS_SEED:-$(date +%s)000}
cargo=(${CARGO:-cargo} test --release ${LOCKED:---locked})
say() { echo "soak: $*" >&2; }

say "$KUBEWITNESS_SOAK_SECONDS seconds from KUBEWITNESS_SEED=$KUBEWITNESS_SEED: language, selection, interleaving"
"${cargo[@]}" --test it -- --nocapture language::generated language::hostile selection:: interleaving::

say "$KUBEWITNESS_SOAK_SECONDS seconds: correlation"
"${cargo[@]}" --lib --no-run
log=$(mktemp)
trap 'rm -f "$log"' EXIT
end=$((SECONDS + KUBEWITNESS_SOAK_SECONDS))
rounds=0
while ((SECONDS < end)); do
  PROPTEST_RNG_SEED=$KUBEWITNESS_SEED "${cargo[@]}" --quiet --lib -- correlate::tests:: >"$log" 2>&1 || {
    cat "$log"
    say "failed; PROPTEST_RNG_SEED=$KUBEWITNESS_SEED cargo test --lib -- correlate::tests:: shows it again"
    exit 1
  }
  KUBEWITNESS_SEED=$((KUBEWITNESS_SEED + 1)) rounds=$((rounds + 1))
done
say "correlation held in $rounds rounds"
