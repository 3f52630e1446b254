#!/usr/bin/env bash
# Guard requests a second of refrain-judge and of transformers on one machine in one run.
#   tests/benchmarks/judge.sh [--threads 2] [--answers 512] [--repeats 3] [--batches 4 16 32] [--dtype fp32|bf16] [--all-places] [--work DIR]
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" judge "$@"
