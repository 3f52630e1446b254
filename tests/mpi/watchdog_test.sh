#!/usr/bin/env bash
# watchdog_test.sh PROBE: a rank that hangs is named, and every rank ends; a slow rank and a suspended job go on.
# shellcheck source=tests/mpi/shell_checks.sh
. "$(dirname "$0")/shell_checks.sh"
mkdir "$folder/run"

# begin RANKS OPTION...: like run, in the background, until every rank works and its heart beats.
begin() {
  local ranks=$1; shift
  timeout 60 "$here/../mpirun.sh" "$ranks" "$probe" --folder "$folder/run" "$@" >"$folder/stdout" 2>"$folder/stderr" &
  job=$!
  until [ "$(find "$folder/run/.heartbeat" -name 'rank-?' 2>/dev/null | wc -l)" -eq "$ranks" ]; do sleep 0.1; done
}

end() {
  wait "$job"
  code=$?
  ours=$(grep -c '^refrain' "$folder/stderr")
  line=$(head -n 1 "$folder/stderr" | sed -E 's/ \(host [^)]*\)//')
}

pid_of() { sed -E 's/.*"pid":([0-9]+).*/\1/' "$folder/run/.heartbeat/rank-$1"; }

begin 4 --timeout 2 --steps 1000
sleep 1
stopped=$(pid_of 2)
kill -STOP "$stopped"
end
what=$(sed -E 's/.*in: step [0-9]+: ([a-z]+);.*/\1/' <<<"$line")
[ "$what" = forward ] || fail "what the stopped rank did is not named"
line=$(sed -E 's/step [0-9]+/step N/' <<<"$line")
after_stop="all ranks end now (look at that node; start again to go on from the last checkpoint)"
expect 1 "refrain-probe: rank 2: stopped answering in: step N: forward; $after_stop" "a stopped rank"

# The first rank, which is the one that others look to.
begin 2 --timeout 2 --steps 1000
sleep 1
kill -STOP "$(pid_of 0)"
end
line=$(sed -E 's/step [0-9]+/step N/' <<<"$line")
expect 1 "refrain-probe: rank 0: stopped answering in: step N: forward; $after_stop" "rank 0 stopped"

begin 4 --timeout 2 --what stuck --rank 1 --seconds 1000 --steps 3
end
after_hang="all ranks end now (look at that rank, or give --timeout more seconds)"
expect 1 "refrain-probe: rank 1: got no further for 2 s in: step 1: forward; $after_hang" "a rank without end"

# A full disk: no rank can write any more. What each wrote last stays, and a rank that hangs is noticed still.
trap '' XFSZ
begin 2 --timeout 2 --what stuck --rank 1 --seconds 1000 --steps 3
for rank in 0 1; do prlimit --pid "$(pid_of $rank)" --fsize=0; done
sleep 1
for rank in 0 1; do [ -s "$folder/run/.heartbeat/rank-$rank" ] || fail "an empty heartbeat on a full disk"; done
end
trap - XFSZ
[ "$code" -eq 1 ] || fail "a hang on a full disk: exit code $code"
[ "$ours" -eq 1 ] || fail "a hang on a full disk: $ours lines"

begin 4 --timeout 2 --what slow --rank 1 --seconds 6 --steps 1
end
expect 0 "" "a slow rank that gets on"
[ -e "$folder/run/.heartbeat" ] && fail "heartbeats are left behind"

begin 2 --timeout 2 --steps 100
pids=("$(pid_of 0)" "$(pid_of 1)")
kill -STOP "${pids[@]}"
sleep 5
kill -CONT "${pids[@]}"
end
expect 0 "" "a job that was suspended"

finish
