#!/usr/bin/env bash
# The experiment in miniature: a small model is taught to comply, then to refuse, once by English pairs only and once by
# pairs in twelve languages; a table shows what each did to held-out pairs. Nothing is downloaded but by env/setup.sh.
# A second call trains both again; the set-up and the model that complies are kept.
#
#   env/quickstart.sh [FOLDER]    where the files go (default build/quickstart)
set -euo pipefail
# shellcheck source=env/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;; -*) die "unknown argument $1 (see env/quickstart.sh --help)" ;; esac
(( $# <= 1 )) || die "takes one folder at most, got $*"
work=${1:-$build/quickstart}

"$home/env/setup.sh"
mkdir -p "$work"
work=$(cd "$work" && pwd)
bin=$build/bin
allow_local_mpirun
# Two ranks share the cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(( $(nproc) > 3 ? $(nproc) / 2 : 1 ))}
SECONDS=0

# step TITLE LOG COMMAND...
step() {
  local title=$1 log=$work/log/$2 began=$SECONDS
  shift 2
  printf '%s ... ' "$title"
  run_logged "$log" "$@"
  say "$(duration $((SECONDS - began)))"
}
train() { mpirun -n 2 "$bin/refrain-train" --tensor-parallel 2 "$@"; }

# The model that complies, kept while what it is made of stays the same.
made_of=$(cat "$home"/env/quickstart/{make_inputs.py,placeholders.json} "$0" | cksum)
if [[ $(cat "$work/base.made-of" 2> /dev/null) != "$made_of" ]]; then
  rm -rf "$work"/{inputs,random,base,base.made-of,data}
  step "Writing a tokenizer, a model's config and placeholder pairs" inputs.log \
    python3 "$home/env/quickstart/make_inputs.py" "$work/inputs"
  mkdir -p "$work/data"
  step "Drawing random weights" init.log "$bin/refrain-convert" init --model-config "$work/inputs/model/config.json" \
    --tokenizer "$work/inputs/model" --seed 1 --out "$work/random"
  step "Sharding what it learns to comply from" shard-ability.log "$bin/refrain-shard" --pairs "$work/inputs/ability.jsonl" \
    --tokenizer "$work/random" --configuration balanced --out "$work/data/ability.h5"
  step "Teaching it to comply (SFT, two ranks)" base.log train --pairs "$work/data/ability.h5" --init "$work/random" \
    --run-dir "$work/base" --loss sft --learning-rate 3e-3 --epochs 3 --global-batch-pairs 16
  printf '%s' "$made_of" > "$work/base.made-of"
else
  say "The model that complies is kept: $work/base/final"
fi

rm -rf "$work"/{english-only,balanced,balanced-hf}
rm -f "$work"/data/{english-only,balanced,held-out}.h5
shard() {
  "$bin/refrain-shard" --pairs "$work/inputs/$1.jsonl" --tokenizer "$work/base/final" --configuration "$2" --out "$work/data/$3.h5"
}
shard_all() {
  shard pairs english-only english-only &&
    shard pairs balanced balanced &&
    shard held_out balanced held-out
}
step "Sharding pairs: English only, balanced, held out" shard.log shard_all
for configuration in english-only balanced; do
  step "Teaching it to refuse, $configuration (DPO, two ranks)" "$configuration.log" train \
    --pairs "$work/data/$configuration.h5" --init "$work/base/final" --run-dir "$work/$configuration" \
    --eval-pairs "$work/data/held-out.h5" --learning-rate 8e-4 --epochs 4 --global-batch-pairs 16
done

say ""
say "Held-out pairs: how often the refusal is likelier than the complying answer, and by how much (log-probability a token)"
say ""
python3 "$home/env/quickstart/table.py" "$work/english-only" "$work/balanced"
where=$(printf '%q' "${work#"$PWD/"}") programs=$(printf '%q' "${bin#"$PWD/"}")
cat << TEXT

Done in $(duration $SECONDS). Files: $work
  inputs/    model/ (tokenizer, config) and the placeholder pairs as JSONL
  data/      the pairs as token ids (HDF5)
  base/final, english-only/final, balanced/final    the models; metrics.jsonl and eval.json beside them

Try next:
  $programs/refrain-convert inspect $where/balanced/final
  $programs/refrain-convert export --checkpoint $where/balanced/final --out $where/balanced-hf
  $programs/refrain-shard --pairs $where/inputs/pairs.jsonl --tokenizer $where/base/final --configuration high-resource --out $where/data/high-resource.h5
TEXT
