#!/usr/bin/env bash
# docs/options.md is what the programs say of their options. With --write it is made anew.
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${REFRAIN_BIN:-$home/build/bin}
page() {
  printf '# Options\n\nMade by the programs themselves: run tests/options_page.sh with --write.\n'
  local job
  for job in convert shard train generate judge report archive study; do
    printf '\n'
    "$bin/refrain-$job" --help-markdown | sed 's/^#/##/'
  done
}
if [[ ${1:-} == --write ]]; then
  page > "$home/docs/options.md"
else
  diff -u "$home/docs/options.md" <(page) || { echo "docs/options.md is not what the programs say: tests/options_page.sh --write"; exit 1; }
fi
