#!/usr/bin/env bash
# Every shell script passes shellcheck; skipped (77) where it is not installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v shellcheck > /dev/null; then
  echo "skipped: shellcheck is not installed"
  [[ -z ${CI:-} ]] && exit 77
  exit 1
fi
mapfile -t scripts < <(find .ci env slurm tests -type f -exec sh -c 'head -c 64 "$1" | head -n 1 | grep -qaE "^#!.*\b(ba)?sh\b|^# shellcheck shell"' _ {} \; -print)
(( ${#scripts[@]} )) || { echo "no script was found"; exit 1; }
shellcheck -x "${scripts[@]}"
echo "shellcheck: ${#scripts[@]} scripts"
