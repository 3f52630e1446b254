#!/usr/bin/env bash
# MB/s of this project's tokenizer and of `tokenizers`, one thread each, line by line over the UDHR text, in one run.
#   tests/benchmarks/tokenizer.sh [--tokenizer FOLDER]... [--text FILE]... [--repeats 15]
export TOKENIZERS_PARALLELISM=false RAYON_NUM_THREADS=1
exec "$(dirname "${BASH_SOURCE[0]}")/in_peers.sh" tokenizer "$@"
