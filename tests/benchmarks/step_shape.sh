#!/usr/bin/env bash
# A training step of Llama 3's real widths on GPUs: as many layers as fit (or --layers N), whole vocabulary. Prints
# pairs and tokens a second, MFU against the card's data sheet and against its own matrix products, and peak memory.
#   tests/benchmarks/step_shape.sh [--shape 70b|8b] [--layers N] [--ranks N] [--tensor-parallel N] [--steps 8]
#     [--micro-batch-tokens 8192] [--recompute none|selective|block] [--zero 0|1|2|3] [--peak-tflops 989] [--work DIR]
# Needs a build with CUDA (env/setup.sh --cuda); 10 to 30 minutes, most of them for writing the random model.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nvidia-smi -L > /dev/null 2>&1 || { echo "step_shape: this machine has no GPU (nvidia-smi -L lists none)" >&2; exit 1; }
exec python3 "$here/step_shape.py" "$@"
