#!/usr/bin/env bash
# Speed of the checkpoint layer (digests, fsync, reading back) against dd with fsync, on one file system in one run.
#   tests/benchmarks/checkpoint_io.sh [DIR] [RANKS]       DIR needs 5 GiB and is where checkpoints would go
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${REFRAIN_BIN:-$here/../../build/bin}
work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/checkpoint-io.XXXXXX")
ranks=${2:-1}
trap 'rm -rf "$work"' EXIT

cat > "$work/config.json" <<'CONFIG'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 32000,
 "hidden_size": 1536, "intermediate_size": 4096, "num_hidden_layers": 12, "num_attention_heads": 12,
 "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
 "initializer_range": 0.02, "tie_word_embeddings": false, "dtype": "float32"}
CONFIG

# seconds COMMAND...: wall time of a command, its output kept out of the table
seconds() {
  local begin end
  begin=$(date +%s.%N)
  "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  end=$(date +%s.%N)
  awk -v a="$begin" -v b="$end" 'BEGIN {print b - a}'
}
row() { awk -v name="$1" -v mib="$mib" -v s="$2" -v dd="$3" 'BEGIN {printf "%-42s %8.2f s %8.0f MiB/s   %5.2f x dd\n", name, s, mib / s, dd / s}'; }
launch() { if (( ranks > 1 )); then "$here/../mpirun.sh" "$ranks" "$@"; else "$@"; fi; }

"$bin/refrain-convert" init --model-config "$work/config.json" --seed 1 --out "$work/first" > /dev/null 2>&1
launch "$bin/refrain-convert" export --checkpoint "$work/first" --out "$work/hf" > /dev/null 2>&1
rm -rf "$work/first"
mib=$(du -m --apparent-size -s "$work/hf" | cut -f1)

dd_write=$(seconds dd if=/dev/zero of="$work/zeros" bs=16M count=$((mib / 16)) conv=fsync)
dd_read=$(seconds dd if="$work/zeros" of=/dev/null bs=16M)
rm "$work/zeros"
echo "$mib MiB of weights, $ranks rank(s)"
row "dd, write and fsync" "$dd_write" "$dd_write"
row "dd, read (cached)" "$dd_read" "$dd_read"
row "import (read, digest, write, read back)" "$(seconds launch "$bin/refrain-convert" import --model "$work/hf" --out "$work/ckpt")" "$dd_write"
row "verify (read, digest)" "$(seconds launch "$bin/refrain-convert" verify "$work/ckpt")" "$dd_read"
row "export (read, digest, write)" "$(seconds launch "$bin/refrain-convert" export --checkpoint "$work/ckpt" --out "$work/hf2")" "$dd_write"
