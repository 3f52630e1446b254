#!/usr/bin/env bash
# docs/options.md is what the programs say of their options, and src/study/program_options.json, by which sweep tables and
# more options of studies are checked, what it says of those that a study starts. With --write both are made anew.
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
# Option and value of every row "| `--zero N` | what it does | default |", but for what each program has.
# shellcheck disable=SC2016 # backticks of Markdown
options_of() {
  "$bin/refrain-${1% *}" --help-markdown | sed -n "/^#* refrain-$1\$/,/^## /p" |
    sed -n 's/\\|/|/g; s/^| `--\([a-z-]*\) \{0,1\}\([^`]*\)` .*/    "\1": "\2",/p' |
    grep -v '"\(help\|version\|config\)"' | sed '$ s/,$//'
}
program_options() {
  local program between='{'
  for program in shard train generate judge report 'archive create'; do
    printf '%s\n  "%s": {\n' "$between" "$program"
    options_of "$program"
    between='  },'
  done
  printf '  }\n}\n'
}
known=$home/src/study/program_options.json
if [[ ${1:-} == --write ]]; then
  page > "$home/docs/options.md"
  program_options > "$known"
elif ! diff -u "$home/docs/options.md" <(page) || ! diff -u "$known" <(program_options); then
  echo "this is not what the programs say: tests/options_page.sh --write"
  exit 1
fi
