#!/usr/bin/env bash
# The layers of the modules: each may include itself and what is listed for it. Also: libtorch only where it belongs and
# never in what nvcc compiles, NCCL and CUDA only in files named for them (which other builds leave out), fastText only in
# the file that holds its model, at most one folder level under include/refrain, no source file over 400 lines.
# The check first proves itself on copies of the tree with a fault planted.
set -euo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

declare -A below=(
  [base]=''
  [comm]='base'
  [h5]='base'
  [checkpoint]='base comm h5'
  [text]='base comm h5'
  [endpoint]='base'
  [page]='base'
  [model]='base comm h5 checkpoint'
  [inference]='base comm h5 checkpoint endpoint model'
  [train]='base comm h5 checkpoint model'
  [judge]='base comm h5 checkpoint text endpoint model inference'
  [convert]='base comm h5 checkpoint text'
  [shard]='base comm h5 checkpoint text'
  [generate]='base comm h5 checkpoint text endpoint model inference'
  [study]='base page'
  [report]='base h5 page'
  [archive]='base h5'
)
with_torch=' model train inference generate judge '
device_files='^(src/comm/nccl_|src/model/cuda_)[^/]*$'

# check ROOT: prints what is wrong; status 1 if anything is.
check() {
  local root=$1 wrong=0 module file where included
  complain() { echo "$*"; wrong=1; }
  for file in "$root"/include/refrain/*/ "$root"/src/*/; do
    module=$(basename "$file")
    [[ -v below[$module] ]] || complain "$file: a module that tests/layering.sh does not know (list what it may include)"
  done
  while IFS=: read -r file where included; do
    module=${file#"$root"/}; module=${module#include/refrain/}; module=${module#src/}; module=${module%%/*}
    [[ -v below[$module] ]] || continue
    [[ " $module ${below[$module]} " == *" $included "* ]] ||
      complain "$file:$where: $module includes $included, which does not stand below it"
  done < <(grep -rnoE '^[ \t]*#[ \t]*include[ \t]*[<"]refrain/[a-z0-9_]+/' "$root"/include "$root"/src --include='*.[ch]pp' --include='*.cu*' |
           sed -E 's|^(.*):([0-9]+):.*refrain/([a-z0-9_]+)/$|\1:\2:\3|')
  while IFS=: read -r file where included; do
    module=${file#"$root"/}; module=${module#include/refrain/}; module=${module#src/}; module=${module%%/*}
    case $included in
      ATen* | torch* | c10/[!c]*) [[ $with_torch == *" $module "* && $file != *.cu* ]] || complain "$file:$where: libtorch in $module" ;;
      c10/cuda* | nccl* | cuda*) [[ ${file#"$root"/} =~ $device_files ]] || complain "$file:$where: CUDA or NCCL in $file" ;;
      fasttext*) [[ ${file#"$root"/} == src/judge/language_identifier.cpp ]] || complain "$file:$where: fastText in $file" ;;
    esac
  done < <(grep -rnoE '^[ \t]*#[ \t]*include[ \t]*[<"](ATen|torch|c10|nccl|cuda|fasttext/)[^>"]*' "$root"/include "$root"/src |
           sed -E 's|^(.*):([0-9]+):[^<"]*[<"](.*)$|\1:\2:\3|')
  while read -r file; do
    complain "$file: an include by a path upwards"
  done < <(grep -rnE '^[ \t]*#[ \t]*include[ \t]*"[^"]*\.\./' "$root"/include "$root"/src)
  while read -r file; do complain "$file: more than one folder level under include/refrain"; done \
    < <(find "$root/include/refrain" -mindepth 3 -type f)
  while read -r file; do
    (( $(wc -l < "$file") <= 400 )) || complain "$file: $(wc -l < "$file") lines (400 at most)"
  done < <(cd "$root" && find include src jobs tests env slurm .ci -type f \
             \( -name '*.cpp' -o -name '*.hpp' -o -name '*.cu*' -o -name '*.py' -o -name '*.sh' -o -name '*.cmake' \) -printf "$root/%p\n" 2> /dev/null)
  return "$wrong"
}

copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
# caught NAME FILE TEXT: the check must name FILE once TEXT is appended to it.
caught() {
  local copy=$copies/tree
  rm -rf "$copy"; mkdir "$copy"; cp -r "$home/include" "$home/src" "$copy"
  mkdir -p "$(dirname "$copy/$2")"; printf '%b\n' "$3" >> "$copy/$2"
  if check "$copy" > "$copies/said" || ! grep -qF "$2" "$copies/said"; then
    echo "the check does not see $1 planted in $2"; exit 1
  fi
}
caught 'an upward include' include/refrain/base/error.hpp '#include <refrain/comm/communicator.hpp>'
caught 'a job module that includes another' src/shard/planted.cpp '#include <refrain/convert/options.hpp>'
caught 'libtorch' src/checkpoint/planted.cpp '#include <ATen/ATen.h>'
caught 'libtorch for nvcc' src/model/cuda_planted.cu '#include <ATen/ATen.h>'
caught 'CUDA in a file of every build' src/model/planted.cpp '#include <c10/cuda/CUDAStream.h>'
caught 'NCCL in a header of comm' include/refrain/comm/planted.hpp '#include <nccl.h>'
caught 'fastText in a header' include/refrain/judge/planted.hpp '#include <fasttext/fasttext.h>'
caught 'a path upwards' src/comm/planted.cpp '#include "../base/lock_file.hpp"'
caught 'a folder level' include/refrain/model/deep/planted.hpp '#pragma once'
caught 'a long file' src/base/planted.cpp "$(printf '\\n%.0s' {1..401})"

check "$home" || exit 1
echo "layers: $(find "$home/include" "$home/src" -name '*.[ch]pp' -o -name '*.cu*' | wc -l) files in order"
