#!/usr/bin/env bash
# docs/options.md is what the programs say of their options, and src/study/train_options.json, by which sweep tables are
# checked, what it says of refrain-train's. With --write both are made anew.
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${REFRAIN_BIN:-$home/build/bin}
page() {
  printf '# Options\n\nMade by the programs themselves: run tests/options_page.sh with --write.\n'
  local job
  for job in convert shard train generate judge report study; do
    printf '\n'
    "$bin/refrain-$job" --help-markdown | sed 's/^#/##/'
  done
}
# Option and value of every row "| `--zero N` | what it does | default |", but for what each program has.
# shellcheck disable=SC2016 # backticks of Markdown
train_options() {
  printf '{\n'
  "$bin/refrain-train" --help-markdown | sed -n 's/\\|/|/g; s/^| `--\([a-z-]*\) \{0,1\}\([^`]*\)` .*/  "\1": "\2",/p' |
    grep -v '"\(help\|version\|config\)"' | sed '$ s/,$//'
  printf '}\n'
}
if [[ ${1:-} == --write ]]; then
  page > "$home/docs/options.md"
  train_options > "$home/src/study/train_options.json"
elif ! diff -u "$home/docs/options.md" <(page) || ! diff -u "$home/src/study/train_options.json" <(train_options); then
  echo "this is not what the programs say: tests/options_page.sh --write"
  exit 1
fi
