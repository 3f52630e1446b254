#!/usr/bin/env bash
# Speed and memory of refrain-train as pairs, layers and sequence length grow. On a quiet machine.
#   tests/benchmarks/growth.sh [--write] [--work DIR]     --write: into docs/performance.md and docs/growth.svg
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" growth "$@"
