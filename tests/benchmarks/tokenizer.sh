#!/usr/bin/env bash
# MB/s of this project's tokenizer and of `tokenizers`, one thread each, line by line over the UDHR text, in one run.
#   tests/benchmarks/tokenizer.sh [--tokenizer FOLDER]... [--text FILE]... [--repeats 15]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${REFRAIN_PEERS:-$here/../../.deps/peers}
if [[ ! -x $peers/bin/python ]]; then
  echo "no peers' environment in $peers: run env/test.sh peers once, or set REFRAIN_PEERS" >&2
  exit 2
fi
export TOKENIZERS_PARALLELISM=false RAYON_NUM_THREADS=1
exec "$peers/bin/python" "$here/tokenizer.py" "$@"
