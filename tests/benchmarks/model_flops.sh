#!/usr/bin/env bash
# Model FLOP/s of refrain-train over those of plain matrix products of the same shapes, in one run. On a quiet machine.
#   tests/benchmarks/model_flops.sh [--rounds 5] [--work DIR]
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" model_flops "$@"
