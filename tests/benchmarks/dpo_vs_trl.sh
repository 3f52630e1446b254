#!/usr/bin/env bash
# Pairs a second and peak memory of refrain-train and of TRL on one machine in one run.
#   tests/benchmarks/dpo_vs_trl.sh [--threads 2] [--pairs 64] [--repeats 3] [--micro-batch-tokens 1024]
#     [--micro-batches 1 2 4 8 16] [--dtypes fp32 bf16] [--work DIR]
# TRL is timed at each of its micro-batches first. About half an hour on two cores in fp32; bf16 is slow where the CPU has no
# instructions for it.
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" dpo_vs_trl "$@"
