#!/usr/bin/env bash
# without_gpu.sh BIN: the programs of a build for GPUs on a machine without one (GPUs that are there are hidden): they
# start, say in one line what is missing, and train on the CPU, where they are the CPU's build with another libtorch.
set -euo pipefail
bin=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CUDA_VISIBLE_DEVICES=''

cat > "$folder/config.json" << 'JSON'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 64, "hidden_size": 32,
 "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
 "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
 "initializer_range": 0.2, "tie_word_embeddings": false, "torch_dtype": "float32"}
JSON
for i in 3 4 5 6 7 8 9 10; do
  echo "{\"prompt_ids\": [$i, 5, 6], \"chosen_ids\": [7, $i], \"rejected_ids\": [8, 9, $i]}"
done > "$folder/pairs.jsonl"
mkdir "$folder/known" && cp "$folder/config.json" "$folder/known"
"$bin/refrain-convert" init --model-config "$folder/config.json" --seed 1 --out "$folder/model"
"$bin/refrain-shard" --pairs "$folder/pairs.jsonl" --tokenizer "$folder/known" --configuration all --out "$folder/pairs.h5"
train=("$bin/refrain-train" --pairs "$folder/pairs.h5" --init "$folder/model" --global-batch-pairs 4 --max-steps 2
       --learning-rate 1e-3)

# refuses LINE COMMAND...: exit code 2 and that one line of ours.
refuses() {
  local line=$1 code=0; shift
  "$@" > "$folder/said" 2>&1 || code=$?
  if (( code != 2 )) || ! grep -qE -e "^refrain-(train|generate): $line" "$folder/said"; then
    echo "exit code $code, wanted 2 and: $line"; cat "$folder/said"; exit 1
  fi
}
refuses '--device cuda: this process sees no GPU' "${train[@]}" --run-dir "$folder/none" --device cuda
refuses '--device cuda: this process sees no GPU' \
  "$here/../mpirun.sh" 2 "${train[@]}" --run-dir "$folder/none" --device cuda
refuses '--dtype fp32 on a GPU' "${train[@]}" --run-dir "$folder/none" --device cuda --dtype fp32
echo '{"prompt_ids": [3, 5, 6]}' > "$folder/prompts.jsonl"
"$bin/refrain-shard" --prompts "$folder/prompts.jsonl" --tokenizer "$folder/known" --configuration all --out "$folder/prompts.h5"
generate=("$bin/refrain-generate" --checkpoint "$folder/model" --prompts "$folder/prompts.h5" --out "$folder/none")
refuses '--device cuda: this process sees no GPU' "${generate[@]}" --device cuda
[[ ! -e $folder/none ]] || { echo "a refused run left its folder"; exit 1; }

"${train[@]}" --run-dir "$folder/run" > /dev/null
"$bin/refrain-convert" verify "$folder/run/final"
grep -q '"device": *"cpu"' "$folder/run/run.json" || { echo "the run does not say that it ran on the CPU"; exit 1; }
