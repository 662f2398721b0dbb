#!/usr/bin/env bash
# helm.sh    prints the path of Helm, building it where it is missing.
exec "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/../../benign/helm.sh"
