#!/usr/bin/env bash
# Fused loops of the training core against compositions of libtorch's operators, in one run. On a quiet machine.
#   tests/benchmarks/kernels.sh
set -euo pipefail
build=${REFRAIN_BUILD:-$(dirname "${BASH_SOURCE[0]}")/../../build}
cmake --build "$build" --target bench_kernels > /dev/null
exec "$build/bin/bench_kernels"
