#!/usr/bin/env bash
# Libraries that a site lacks, built from the source archives that env/sources.txt lists with their digests.
# env/setup.sh calls it; by hand it is needed for single libraries only.
#
#   env/sources.sh fetch DIR                  download the archives into DIR, through apt's sources (Debian 12)
#   env/sources.sh lacking [PREFIX]           name the libraries that CMake does not find (in PREFIX or in the system)
#   env/sources.sh build DIR PREFIX [NAME...] build those named, or those lacking, from DIR's archives into PREFIX
#
#   REFRAIN_SOURCES_LIST    another list than env/sources.txt
set -euo pipefail
# shellcheck source=env/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

list=${REFRAIN_SOURCES_LIST:-$home/env/sources.txt}
logs=$deps/log

listed() { awk '!/^#/ && NF {print $1}' "$list"; }

# entry NAME: sets name, version, file, digest and how (an array) from the list.
entry() {
  local line
  line=$(awk -v name="$1" '$1 == name' "$list")
  [[ -n $line ]] || die "$list does not list $1 (it lists $(listed | xargs))"
  read -r name version file digest line <<< "$line"
  read -ra how <<< "$line"
}

# verify FILE WANTED: its SHA-256.
verify() {
  local is
  is=$(sha256sum < "$1" | cut -d ' ' -f 1)
  [[ $is == "$2" ]] || die "$1 is not the archive that $list lists: SHA-256 $is, not $2 (fetch it again)"
}

# --- fetch -----------------------------------------------------------------------------------------------------------

# The system's package sources, as sources of source packages.
apt_sources() {
  mkdir -p "$1/parts" "$1/lists/partial"
  local found
  for found in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    if [[ -f $found ]]; then sed -n 's/^deb /deb-src /p' "$found" > "$1/parts/$(basename "$found" .list).list"; fi
  done
  for found in /etc/apt/sources.list.d/*.sources; do
    if [[ -f $found ]]; then sed 's/^Types:.*/Types: deb-src/' "$found" > "$1/parts/$(basename "$found")"; fi
  done
  apt=(apt-get -q -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$1/parts" -o "Dir::State::Lists=$1/lists"
       -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root)
}

fetch() {
  local folder=$1 names wanted name version file digest how
  mkdir -p "$folder"
  folder=$(cd "$folder" && pwd)
  if ! command -v apt-get > /dev/null; then
    say "sources: no apt here; put the archives that $list lists into $folder"
    return 0
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  apt_sources "$work"
  run_logged "$folder/apt.log" "${apt[@]}" update
  mkdir "$work/archives"
  cd "$work/archives"
  mapfile -t names < <(listed)
  for wanted in "${names[@]}"; do
    entry "$wanted"
    if [[ ! -f $folder/$file ]]; then
      run_logged "$folder/apt.log" "${apt[@]}" source --download-only --tar-only "$name"
      [[ -f $file ]] || die "apt's source of $name is $(echo "$name"_*), and $list lists $file (fetch on Debian 12, or put that file into $folder)"
      verify "$file" "$digest"
      mv "$file" "$folder/"
    fi
    verify "$folder/$file" "$digest"
  done
  rm -f "$folder/apt.log"
  say "sources: ${#names[@]} archives in $folder"
}

# --- build -----------------------------------------------------------------------------------------------------------

lacking() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  run_logged "$logs/lacking.log" cmake -S "$home/env/cmake/lacking" -B "$work" -DCMAKE_PREFIX_PATH="${1:-}"
  cat "$work/lacking.txt"
}

# In the folder of the build, where some of HDF5's checks leave their results.
build_by_cmake() {
  local from=$1; shift
  mkdir "$source/refrain-build" && cd "$source/refrain-build" &&
    cmake -S "$source/$from" -B . -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_PREFIX_PATH="$prefix" \
      -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON "$@" &&
    cmake --build . -j "$(jobs_allowed)" && cmake --install .
}

# Without Boost's own b2, whose parser Debian's archive leaves out.
build_by_boost() {
  local library include objects=$source/refrain-build
  for include in "$source"/libs/{*,numeric/*}/include; do
    if [[ -d $include ]]; then mkdir -p "$prefix/include" && cp -r "$include/." "$prefix/include/" || return; fi
  done
  mkdir -p "$prefix/lib"
  for library in "$@"; do
    mkdir -p "$objects/$library"
    # shellcheck disable=SC2016 # the inner shell's
    printf '%s\0' "$source/libs/$library"/src/*.cpp | xargs -0 -n 1 -P "$(jobs_allowed)" sh -c \
      '"${CXX:-c++}" -O2 -fPIC -w -I "$0" -c "$2" -o "$1/$(basename "$2").o"' "$prefix/include" "$objects/$library" &&
      ar rcs "$prefix/lib/libboost_$library.a" "$objects/$library"/*.o || return
  done
}

build() {
  local folder=$1 wanted name version file digest how
  mkdir -p "$2"
  prefix=$(cd "$2" && pwd); shift 2
  local names=("$@")
  if (( $# == 0 )); then
    wanted=$(lacking "$prefix")
    [[ -n $wanted ]] || { say "sources: no library is lacking"; return; }
    mapfile -t names <<< "$wanted"
  fi
  for wanted in "${names[@]}"; do
    entry "$wanted"
    [[ -f $folder/$file ]] || die "$name is lacking, and $folder has no $file (env/setup.sh --fetch gets it where there is internet; a module or package of $name does as well)"
    verify "$folder/$file" "$digest"
  done
  for wanted in "${names[@]}"; do
    entry "$wanted"
    say "sources: building $name $version into $prefix"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    tar -C "$work" -xf "$folder/$file"
    source=$(echo "$work"/*)
    case ${how[0]:-} in
      cmake | boost) (run_logged "$logs/$name.log" "build_by_${how[0]}" "${how[@]:1}") ;;
      *) die "$list does not say how $name is built: cmake or boost" ;;
    esac
    rm -rf "$work"
  done
}

case ${1:-} in
  fetch) (( $# == 2 )) || die "fetch wants a folder (see env/sources.sh --help)"; fetch "$2" ;;
  lacking) lacking "${2:-}" ;;
  build) (( $# >= 3 )) || die "build wants the archives' folder and a prefix (see env/sources.sh --help)"; shift; build "$@" ;;
  -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" ;;
  *) die "unknown argument ${1:-} (see env/sources.sh --help)" ;;
esac
