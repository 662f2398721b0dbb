#!/usr/bin/env bash
# person.sh NAME [GROUP…]    prints a kubeconfig for a person, by a client certificate of the cluster's authority.
set -euo pipefail
. /opt/cluster/pki.sh
name=$1
shift
subject=/CN=$name
for group in "$@"; do subject="/O=$group$subject"; done
certificate "person-$name" "$subject"
kubeconfig "person-$name"
