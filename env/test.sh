#!/usr/bin/env bash
# Sets up, builds and runs the tests.
#
#   env/test.sh [GROUP...] [long]
#     unit          modules alone; neither the peers' environment nor test data is needed
#     mpi           modules over 1, 2 and 4 ranks
#     integration   the programs as a user starts them
#     slurm         a Slurm of several hosts on this machine (root)
#     peers         live comparison with transformers, tokenizers and TRL
#     cuda          compiles and links the build for GPUs (env/setup.sh --cuda), and what it says where there is no GPU
#     gpu           that build on this machine's GPUs, one and several; fails where there is none
#     long          all of the groups with their full counts, or those named beside it
#   Without a group: all of them but cuda and gpu, which are run apart from the others.
#
#   REFRAIN_TEST_DATA   the test data (default ../shared/data); what needs it skips where it is absent, or fails if CI is set
#   REFRAIN_PEERS       a virtual environment of tests/peers/requirements.txt that is there already
set -euo pipefail
# shellcheck source=env/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

all=(unit mpi integration slurm peers)
groups=()
for word in "$@"; do
  case $word in
    unit | mpi | integration | slurm | peers | cuda | gpu) groups+=("$word") ;;
    long) export REFRAIN_TEST_LONG=1 ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown group $word (there are ${all[*]}, cuda, gpu and long)" ;;
  esac
done
(( ${#groups[@]} )) || groups=("${all[@]}")
has() { [[ " ${groups[*]} " == *" $1 "* ]]; }
setup=("$home/env/setup.sh")
if has cuda || has gpu; then
  for word in "${groups[@]}"; do
    [[ $word == cuda || $word == gpu ]] || die "$word is another build than ${groups[*]/$word}: run them one after the other"
  done
  if has gpu; then
    gpus=$(nvidia-smi -L 2> /dev/null | grep -c '^GPU' || true)
    (( gpus )) || die "gpu: this machine has no GPU (nvidia-smi -L lists none), so nothing was tested"
    say "GPUs: $gpus"
  fi
  # The build folder that is one for GPUs, or one beside it.
  [[ -n ${REFRAIN_BUILD:-} ]] || built_for_cuda "$build" || export REFRAIN_BUILD=$home/build-cuda
  build=${REFRAIN_BUILD:-$build}
  setup+=(--cuda)
fi

export REFRAIN_TEST_DATA=${REFRAIN_TEST_DATA:-$home/../shared/data}
if [[ ! -d $REFRAIN_TEST_DATA ]]; then
  [[ -z ${CI:-} ]] || die "the test data are not in $REFRAIN_TEST_DATA (set REFRAIN_TEST_DATA)"
  say "test data: none in $REFRAIN_TEST_DATA, so tests that need them skip (REFRAIN_TEST_DATA names another folder)"
fi

# The peers' environment, made once for each state of its requirements.
make_peers() {
  if [[ -n ${REFRAIN_PEERS:-} ]]; then
    [[ -x $REFRAIN_PEERS/bin/python ]] || die "REFRAIN_PEERS=$REFRAIN_PEERS has no bin/python"
    say "peers: $REFRAIN_PEERS"
    return
  fi
  local peers=$deps/peers wanted=$home/tests/peers/requirements.txt
  export REFRAIN_PEERS=$peers
  if cmp -s "$wanted" "$peers/installed.txt"; then
    say "peers: $peers"
    return
  fi
  say "peers: installing into $peers (minutes, 2 GB)"
  local python
  python=$(find_python)
  run_logged "$deps/log/peers.log" "$python" -m venv --clear "$peers"
  run_logged "$deps/log/peers.log" "$peers/bin/python" -m pip install -q "$(grep '^torch==' "$wanted")"
  run_logged "$deps/log/peers.log" "$peers/bin/python" -m pip install -q -r "$wanted"
  cp "$wanted" "$peers/installed.txt"
}

"${setup[@]}"
if has integration || has slurm || has peers || has gpu; then make_peers; fi
targets=()
has unit && targets+=(unit_tests)
has mpi && targets+=(mpi_tests)
has integration && targets+=(integration_tests)
has peers && targets+=(peers_tests)
if has cuda || has gpu; then targets+=(gpu_tests); fi
if (( ${#targets[@]} )); then
  say "building the tests"
  run_logged "$deps/log/build-tests.log" cmake --build "$build" --target "${targets[@]}" -j "$(jobs_allowed)"
fi

log=$deps/log/ctest.log code=0
ctest --test-dir "$build" -L "^($(IFS='|'; echo "${groups[*]}"))$" -j "$(nproc)" --output-on-failure --no-tests=error 2>&1 |
  tee "$log" || code=$?
# CTest names what was skipped but does not count it.
awk '/^[ \t]*[0-9]+ - .*\((Skipped|Not Run)\)/ {names = names " " $3; n++} END {if (n) printf "%d skipped:%s\n", n, names}' "$log"
exit "$code"
