# shellcheck shell=bash
# The quickstart's steps: each makes files in $work from files in $work. Sourced by quickstart.sh, which sets $work and $bin.
# shellcheck disable=SC2154 # home, work and bin are set by the script that sources this
# `step` calls them where `set -e` does not hold, hence each && and || return.

scripts=$home/env/quickstart
judges=(guard-one guard-two adjudicator)
classes=(harmful refusal helpful)
models=(base english-only balanced)

# step TITLE NAME COMMAND...: only where no earlier call has come to its end. Half of one is no hindrance: the jobs go on.
step() {
  local title=$1 name=$2 began=$SECONDS
  shift 2
  printf '%s ... ' "$title"
  if [[ -e $work/done/$name ]]; then say "kept"; return; fi
  run_logged "$work/log/$name.log" "$@"
  touch "$work/done/$name"
  say "$(duration $((SECONDS - began)))"
}

two_ranks() { mpirun -n 2 "$bin/refrain-$1" "${@:2}"; }

# draw NAME SEED OUT: random weights for inputs/NAME.config.json, where OUT is not there yet.
draw() {
  [[ ! -e $3 ]] || return 0
  "$bin/refrain-convert" init --model-config "$work/inputs/$1.config.json" --tokenizer "$work/inputs/tokenizer" \
    --seed "$2" --out "$3"
}

# shard NAME CONFIGURATION OUT: pairs of inputs/NAME.jsonl.
shard() {
  "$bin/refrain-shard" --pairs "$work/inputs/$1.jsonl" --tokenizer "$work/inputs/tokenizer" --configuration "$2" \
    --out "$work/data/$3.h5"
}

shard_prompts() {
  "$bin/refrain-shard" --prompts "$work/inputs/$1.jsonl" --tokenizer "$work/inputs/tokenizer" --out "$work/data/$1.h5"
}

# h5_files FOLDER BEGINNING NAME...: sets `files` to FOLDER/BEGINNING-NAME.h5 of each name.
h5_files() {
  files=("${@:3}")
  files=("${files[@]/%/.h5}")
  files=("${files[@]/#/$1/$2-}")
}

# ask JUDGE FOLDER NAME...: what it says about FOLDER/answers-NAME.h5, into FOLDER/JUDGE-NAME.h5.
ask() {
  local files answers
  h5_files "$2" answers "${@:3}"
  answers=("${files[@]}")
  h5_files "$2" "$1" "${@:3}"
  two_ranks judge --judge "$scripts/$1.json" --checkpoint "$work/judges/$1/final" --responses "${answers[@]}" --out "${files[@]}"
}

# --- what is kept: a model that complies, and the judges ---------------------------------------------------------------

make_base() {
  draw model 1 "$work/random" &&
    shard ability balanced ability &&
    two_ranks train --pairs "$work/data/ability.h5" --init "$work/random" --run-dir "$work/base" --tensor-parallel 2 \
      --loss sft --learning-rate 3e-3 --epochs 6 --global-batch-pairs 16
}

# make_judge NAME SEED
make_judge() {
  draw "$1" "$2" "$work/judges/$1-random" &&
    shard "$1" all "$1" &&
    two_ranks train --pairs "$work/data/$1.h5" --init "$work/judges/$1-random" --run-dir "$work/judges/$1" --tensor-parallel 1 \
      --loss sft --learning-rate 2e-3 --epochs 3 --global-batch-pairs 16
}

# Whether a model of languages can be made, by Debian's fasttext, and used: the build may be without it.
tells_languages() { command -v fasttext > /dev/null && [[ $(ldd "$bin/refrain-judge") == *libfasttext* ]]; }

# From the placeholders themselves; one thread, so the same bytes.
make_language_model() {
  fasttext supervised -input "$work/inputs/languages.txt" -output "$work/judges/language" -thread 1 \
    -dim 16 -minn 2 -maxn 4 -bucket 20000 -epoch 25 -lr 0.5
}

# Conversations whose class is known become a file of answers, as those of any model that is asked by Batch files do.
answers_of_class() {
  local folder=$work/judges/measured
  local answers=("$bin/refrain-generate" --model by-construction --prompts "$work/data/labelled-$1.h5"
    --out "$folder/answers-$1.h5")
  shard_prompts "labelled-$1" &&
    "${answers[@]}" --batch-out "$folder/requests-$1.jsonl" &&
    python3 "$scripts/answer_batch.py" "$folder/requests-$1.jsonl" "$work/inputs/labelled-$1.jsonl" > "$folder/results-$1.jsonl" &&
    "${answers[@]}" --batch-in "$folder/results-$1.jsonl"
}

# Every judge on every class; in the report of it classes stand in the place of checkpoints.
measure_judges() {
  local folder=$work/judges/measured judge class files named=()
  mkdir -p "$folder"
  for class in "${classes[@]}"; do
    answers_of_class "$class" || return
    for judge in "${judges[@]}"; do ask "$judge" "$folder" "$class" || return; done
    files=("${judges[@]/#/$folder/}")
    "$bin/refrain-judge" --judge merge --guards guard-one guard-two --adjudicator adjudicator \
      --verdicts "${files[@]/%/-$class.h5}" --out "$folder/$class.h5" || return
    named+=("$class=$folder/$class.h5")
  done
  "$bin/refrain-report" --verdicts "${named[@]}" --out "$folder/report"
}

# --- what every call makes ---------------------------------------------------------------------------------------------

shard_all() {
  shard pairs english-only english-only &&
    shard pairs balanced balanced &&
    shard held_out balanced held-out &&
    shard_prompts prompts
}

# teach_to_refuse CONFIGURATION: by DPO, with the refusals' token loss beside it: without, so small a model forgets how to speak.
teach_to_refuse() {
  two_ranks train --pairs "$work/data/$1.h5" --init "$work/base/final" --run-dir "$work/$1" --tensor-parallel 2 \
    --eval-pairs "$work/data/held-out.h5" --sft-weight 1 --learning-rate 5e-4 --epochs 4 --global-batch-pairs 16
}

answer_all() {
  local model
  for model in "${models[@]}"; do
    two_ranks generate --checkpoint "$work/$model/final" --prompts "$work/data/prompts.h5" --out "$work/safety/answers-$model.h5" \
      --max-new-tokens 64 || return
  done
}

# The guards, and judges that ask no model. The language of answers needs a model of languages (make_language_model).
judge_all() {
  local folder=$work/safety files answers
  h5_files "$folder" answers "${models[@]}"
  answers=("${files[@]}")
  ask guard-one "$folder" "${models[@]}" && ask guard-two "$folder" "${models[@]}" || return
  h5_files "$folder" refusal-pattern "${models[@]}"
  "$bin/refrain-judge" --judge refusal-pattern --responses "${answers[@]}" --out "${files[@]}" || return
  [[ -f $work/judges/language.bin ]] || return 0
  h5_files "$folder" language "${models[@]}"
  "$bin/refrain-judge" --judge language --language-model "$work/judges/language.bin" --responses "${answers[@]}" --out "${files[@]}"
}

# Where the guards differ the adjudicator is asked; its file has all verdicts and the decision.
decide_all() {
  local folder=$work/safety model judge verdicts
  for model in "${models[@]}"; do
    verdicts=()
    for judge in guard-one guard-two refusal-pattern language; do
      [[ ! -f $folder/$judge-$model.h5 ]] || verdicts+=("$folder/$judge-$model.h5")
    done
    two_ranks judge --judge "$scripts/adjudicator.json" --checkpoint "$work/judges/adjudicator/final" --verdicts "${verdicts[@]}" \
      --responses "$folder/answers-$model.h5" --out "$folder/$model.h5" || return
  done
}

report() {
  local model named=()
  for model in "${models[@]}"; do named+=("$model=$work/safety/$model.h5"); done
  "$bin/refrain-report" --verdicts "${named[@]}" --runs "$work/english-only" "$work/balanced" --out "$work/report"
}
