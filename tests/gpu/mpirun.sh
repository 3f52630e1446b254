#!/usr/bin/env bash
# mpirun.sh RANKS COMMAND...: as tests/mpirun.sh, a GPU a rank; 77, with a line that says why, where GPUs are too few.
set -euo pipefail
gpus=$(nvidia-smi -L 2> /dev/null | grep -c '^GPU' || true)
if (( gpus < $1 )); then
  echo "$1 ranks want $1 GPUs, and this machine has $gpus"
  exit 77
fi
exec "$(dirname "${BASH_SOURCE[0]}")/../mpirun.sh" "$@"
