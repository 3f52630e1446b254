# Shared by the shell tests of this folder: runs the probe, compares its exit code and its lines on stderr.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
probe=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
  echo "FAILED: $*" >&2
  sed 's/^/    /' "$folder/stderr" >&2
  failures=$((failures + 1))
}

# run RANKS OPTION...: 0 ranks run it without a launcher. Keeps stdout, stderr and the exit code.
run() {
  local ranks=$1; shift
  local launcher=()
  [ "$ranks" -eq 0 ] || launcher=("$here/../mpirun.sh" "$ranks")
  timeout 60 "${launcher[@]}" "$probe" "$@" >"$folder/stdout" 2>"$folder/stderr"
  code=$?
  ours=$(grep -c '^refrain' "$folder/stderr")
  line=$(head -n 1 "$folder/stderr")
}

# expect CODE LINE WHAT: the code, and LINE as the first on stderr and the only one of ours ("" for none).
expect() {
  [ "$code" -eq "$1" ] || fail "$3: exit code $code, not $1"
  if [ -z "$2" ]; then
    [ "$ours" -eq 0 ] || fail "$3: there is a line of ours"
  elif [ "$line" != "$2" ] || [ "$ours" -ne 1 ]; then
    fail "$3: not the line: $2"
  fi
  if running; then fail "$3: a process is left"; fi
}

running() { pgrep -f "^$probe( |$)" >/dev/null; }

finish() {
  [ "$failures" -eq 0 ] || { echo "$failures checks failed" >&2; exit 1; }
  echo "all checks passed"
}
