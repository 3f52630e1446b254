#!/usr/bin/env bash
# The experiment in miniature: a small model is taught to comply, then to refuse, once by English pairs only and once by
# pairs in twelve languages. All three answer new requests; two small guards, taught in the same run, judge the answers, a
# third model decides where they differ, and a report has the rate of answers that comply (ASR), by language.
# Nothing is downloaded but by env/setup.sh. A second call keeps the model that complies and the judges; one that was
# stopped goes on where it was.
#
#   env/quickstart.sh [FOLDER]    where the files go: a new or an empty folder, or an earlier call's (default build/quickstart)
set -euo pipefail
# shellcheck source=env/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;; -*) die "unknown argument $1 (see env/quickstart.sh --help)" ;; esac
(( $# <= 1 )) || die "takes one folder at most, got $*"
work=${1:-$build/quickstart}
# What stands in the folder is removed and made anew, so it has to be the quickstart's own.
if [[ -e $work && ! -e $work/.quickstart ]]; then
  there=$(ls -A "$work")
  [[ -z $there ]] || die "$work holds what the quickstart has not made (name a new folder, or an empty one)"
fi

"$home/env/setup.sh"
stop_by_signal
mkdir -p "$work"
work=$(cd "$work" && pwd)
touch "$work/.quickstart"
bin=$build/bin
# shellcheck source=env/quickstart/steps.sh
. "$home/env/quickstart/steps.sh"
allow_local_mpirun
# Two ranks share the cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(( $(nproc) > 3 ? $(nproc) / 2 : 1 ))}
SECONDS=0

# Steps that are done are kept while what they are made of stays the same: of a call that was stopped all, of one that came
# to its end those before the first of `again`.
made_of=$(cat "$scripts"/*.{py,json,sh} "$0" | cksum)
again=(shard english-only balanced answers judges decisions report)
made_again=("$work"/{english-only,balanced,balanced-hf,safety} "$work"/data/{english-only,balanced,held-out,prompts,high-resource}.h5)
if [[ $(cat "$work/made-of" 2> /dev/null) != "$made_of" ]]; then
  rm -rf "$work"/{made-of,done,inputs,random,base,data,judges} "${made_again[@]}"
elif [[ -e $work/done/report ]]; then
  rm -rf "${made_again[@]}" "${again[@]/#/$work/done/}"
fi
mkdir -p "$work"/{data,judges,safety,done}
printf '%s' "$made_of" > "$work/made-of"

step "Writing a tokenizer, models' configs and placeholder texts" inputs python3 "$scripts/make_inputs.py" "$work/inputs"
step "Teaching a random model to comply (SFT, two ranks)" base make_base
seed=2
for judge in "${judges[@]}"; do
  step "Teaching a random model to judge, $judge (SFT, two ranks)" "$judge" make_judge "$judge" $((seed++))
done
if tells_languages; then
  step "Teaching a model to tell languages (fastText)" language make_language_model
fi
step "Measuring the judges on other wordings" measured measure_judges

step "Sharding pairs (English only, balanced, held out) and prompts" shard shard_all
for configuration in english-only balanced; do
  step "Teaching it to refuse, $configuration (DPO, two ranks)" "$configuration" teach_to_refuse "$configuration"
done
step "Answering: base, English only, balanced" answers answer_all
step "Judging by two guards and by phrases" judges judge_all
step "Deciding where the guards differ" decisions decide_all
step "Writing the report" report report

where=${work#"$PWD/"} programs=$(printf '%q' "${bin#"$PWD/"}")
say ""
python3 "$scripts/summary.py" asr "$work/report" "$where/report/report.html"
where=$(printf '%q' "$where")
say ""
python3 "$scripts/summary.py" judges "$work/judges/measured/report"
if [[ ! -f $work/judges/language.bin ]]; then
  say "The language of answers was not measured: there is no fasttext to make a model for it, or the build is without."
fi
say ""
say "Held-out pairs: how often the refusal is likelier than the complying answer, and by how much (log-probability a token)"
say ""
python3 "$scripts/summary.py" pairs "$work/english-only" "$work/balanced"
cat << TEXT

Done in $(duration $SECONDS). What of it means something: docs/quickstart.md. Files: $work
  report/    report.html (opens offline), tables as CSV and LaTeX, figures
  inputs/    tokenizer, configs of models, and placeholder texts as JSONL
  data/      pairs and prompts as token ids (HDF5)
  base/final, english-only/final, balanced/final    the models; metrics.jsonl and eval.json beside them
  judges/    the guards and the adjudicator; judges/measured/report/report.html says how good they are
  safety/    answers, each judge's verdicts, and the decisions (HDF5)

Try next:
  $programs/refrain-convert inspect $where/balanced/final
  $programs/refrain-convert inspect $where/safety/balanced.h5
  $programs/refrain-report --verdicts base=$where/safety/base.h5 balanced=$where/safety/balanced.h5 --responses base=$where/safety/answers-base.h5 balanced=$where/safety/answers-balanced.h5 --include-text --out $where/report-with-text
  $programs/refrain-convert export --checkpoint $where/balanced/final --out $where/balanced-hf
  $programs/refrain-shard --pairs $where/inputs/pairs.jsonl --tokenizer $where/base/final --configuration high-resource --out $where/data/high-resource.h5
TEXT
