#!/usr/bin/env bash
# launch_test.sh PROBE: one clear line, first of all on stderr, and one exit code, however a job ends.
# shellcheck source=tests/mpi/shell_checks.sh
. "$(dirname "$0")/shell_checks.sh"

for ranks in 0 1 4; do
  run $ranks --wat error
  expect 2 "refrain-probe: unknown option --wat (did you mean --what?)" "unknown option, $ranks ranks"
  run $ranks --file /nowhere/a
  expect 2 "refrain-probe: --file names a file that does not exist [/nowhere/a] (check the path)" \
    "missing file, $ranks ranks"
  run $ranks --what error
  expect 1 "refrain-probe: the disk is full [a.h5] (free some)" "error on all, $ranks ranks"
  run $ranks --what agreed
  expect 1 "refrain-probe: the disk is full [a.h5] (free some)" "agreed error of all, $ranks ranks"
  run $ranks --what early
  expect 85 "" "stopped early, $ranks ranks"
  run $ranks
  expect 0 "" "success, $ranks ranks"
done

run 4 --file /nowhere/a --rank 2
expect 2 "refrain-probe: rank 2: --file names a file that does not exist [/nowhere/a] (check the path)" \
  "a file that one rank lacks"
run 4 --what agreed --rank 2
expect 1 "refrain-probe: rank 2: the disk is full [a.h5] (free some)" "agreed error of one rank"
run 4 --what agreed --rank 0
expect 1 "refrain-probe: the disk is full [a.h5] (free some)" "what rank 0 does for all fails"
run 4 --what error --rank 3
expect 1 "refrain-probe: rank 3: the disk is full [a.h5] (free some)" "error on one rank, the others wait"
run 4 --what error --rank 3 --steps 0
expect 1 "refrain-probe: rank 3: the disk is full [a.h5] (free some)" "error on one rank, the others done"
run 4 --what multiline --rank 1
expect 1 "refrain-probe: rank 1: a tensor has the wrong shape" "a library's error of several lines"
run 2 --what memory --rank 1
expect 1 "refrain-probe: rank 1: out of memory (use more ranks or nodes, or ask for more memory)" "no memory"
run 4 --what early --rank 2
expect 85 "" "one rank stops early"

run 4 --help
expect 0 "" "help"
[ "$(grep -c '^Usage' "$folder/stdout")" -eq 1 ] || fail "help is printed once"

run 0 --always off
expect 0 "" "without a launcher"
grep -q 'without MPI' "$folder/stdout" || fail "a job that may do without MPI starts it"
run 2 --always off
grep -q 'with MPI' "$folder/stdout" || fail "a job under mpirun runs without MPI"

# srun with a PMI that this MPI does not know: as many worlds of one as there are tasks.
export SLURM_STEP_NUM_TASKS=4
SLURM_PROCID=0 run 0
problem="the launcher started 4 processes, but MPI sees only one: each would do the whole job"
remedy="start with srun --mpi=pmix (srun --mpi=list names others), or with this MPI's own mpirun"
expect 2 "refrain-probe: $problem ($remedy)" "srun without PMI, task 0"
grep -q works "$folder/stdout" && fail "work began in a world of one"
SLURM_PROCID=3 run 0
expect 2 "" "srun without PMI, task 3"

finish
