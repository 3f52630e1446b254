#!/usr/bin/env bash
# Answers a second of refrain-generate and of transformers on one machine in one run.
#   tests/benchmarks/generate.sh [--threads 2] [--prompts 256] [--repeats 3] [--batches 8 32 64] [--dtype fp32|bf16] [--vllm PYTHON]
#                                [--llamacpp PYTHON] [--work DIR]
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" generate "$@"
