#!/usr/bin/env bash
# Time and memory of refrain-report over 15 checkpoints x 12 languages x 1,400 verdicts (252,000), by three judges each.
#   tests/benchmarks/report.sh [--checkpoints 15] [--prompts 1400] [--repeats 3] [--work DIR]
# Fails above ten seconds or 500 MiB.
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" report "$@"
