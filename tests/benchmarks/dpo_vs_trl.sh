#!/usr/bin/env bash
# Pairs a second and peak memory of refrain-train and of TRL on one machine in one run.
#   tests/benchmarks/dpo_vs_trl.sh [--threads 2] [--pairs 64] [--repeats 3] [--micro-batch-tokens 2048]
#     [--micro-batches 1 2 4 8 16] [--work DIR]
# About 20 minutes on two cores; TRL is timed at each of its micro-batches first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${REFRAIN_PEERS:-$here/../../.deps/peers}
[[ -x $peers/bin/python ]] || { echo "no peers' environment in $peers: run env/test.sh peers once, or set REFRAIN_PEERS" >&2; exit 2; }
exec "$peers/bin/python" "$here/dpo_vs_trl.py" "$@"
