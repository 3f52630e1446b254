# shellcheck shell=bash
# What setup.sh, test.sh and quickstart.sh share. Sourced after `set -euo pipefail`.

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this file
deps=${REFRAIN_DEPS:-$home/.deps}
# shellcheck disable=SC2034
build=${REFRAIN_BUILD:-$home/build}

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Lets a signal end the script by one line, wherever its output goes just then: for those that go on where they were.
stop_by_signal() {
  exec {own_output}>&1
  trap stopped INT TERM
}
stopped() { say "stopped; the same command goes on" >&"$own_output"; exit 130; }

# Whether a build folder is one for GPUs.
built_for_cuda() { [[ $(cat "$1/setup-arguments" 2> /dev/null) == *-DREFRAIN_CUDA=ON* ]]; }

# 75 -> "1 min 15 s"
duration() { (( $1 < 60 )) && echo "$1 s" || echo "$(($1 / 60)) min $(($1 % 60)) s"; }

# run_logged LOG COMMAND...: silent, but for the log's last lines when the command fails.
run_logged() {
  local log=$1; shift
  mkdir -p "$(dirname "$log")"
  "$@" > "$log" 2>&1 || { tail -n 25 "$log" >&2; die "failed: $* (the whole log: $log)"; }
}

# listed_packages FILE...: the names in env/packages*.txt.
listed_packages() { sed 's/#.*//' "$@" | tr -s ' \n' '\n' | grep .; }

# missing_packages FILE...: those of them that dpkg does not have.
missing_packages() {
  local name
  for name in $(listed_packages "$@"); do
    dpkg-query -W -f='${db:Status-Status}\n' "$name" 2> /dev/null | grep -qx installed || echo "$name"
  done
}

# A Python that can make a virtual environment: REFRAIN_PYTHON, the first of PATH, or the system's own.
find_python() {
  local python
  for python in ${REFRAIN_PYTHON:+"$REFRAIN_PYTHON"} python3 /usr/bin/python3; do
    "$python" -c 'import ensurepip, venv, sys; assert sys.version_info >= (3, 9)' 2> /dev/null && { command -v "$python"; return; }
  done
  die "no Python 3.9 or later with venv was found (install python3-venv, or set REFRAIN_PYTHON)"
}

# How many files may be compiled at once: a core each, and 2 GiB each, as one that includes libtorch takes.
jobs_allowed() {
  local by_cores by_memory limit
  by_cores=$(nproc)
  by_memory=$(awk '/^MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
  limit=$(cat /sys/fs/cgroup/memory.max 2> /dev/null || echo max)
  if [[ $limit =~ ^[0-9]+$ ]] && (( limit >> 31 < by_memory )); then by_memory=$((limit >> 31)); fi
  if (( by_memory < 1 )); then by_memory=1; fi
  echo $((by_cores < by_memory ? by_cores : by_memory))
}

# Where this shell may start ranks as it is: more of them than cores, and as root.
allow_local_mpirun() {
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 \
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
  if (( EUID == 0 )); then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
}
