#!/usr/bin/env bash
# Packs the built programs with all libraries that they need into one tar, which runs where it is unpacked: no root, no
# packages, no modules. What it takes from the system there is glibc alone.
#
#   env/bundle.sh [--out FILE] [--without-mpi]
#     --out FILE      the tar (default refrain-VERSION-ARCHITECTURE.tar.gz); its ending chooses the compression
#     --without-mpi   leaves Open MPI out: where it is unpacked, mpi/ is made a link to the site's
#
#   REFRAIN_BUILD     the build folder (default build/), one for CPUs
#
# bin/ holds links to libexec/start, which checks glibc and starts the program of the same name in libexec/. Those find
# lib/ and mpi/lib/ beside them by their RPATH, which wins over LD_LIBRARY_PATH, whatever modules are loaded.
set -euo pipefail
# shellcheck source=env/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

out='' with_mpi=1
while (( $# )); do
  case $1 in
    --out) (( $# > 1 )) || die "--out needs a value (see env/bundle.sh --help)"; out=$2; shift 2 ;;
    --without-mpi) with_mpi=; shift ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown argument $1 (see env/bundle.sh --help)" ;;
  esac
done
# The libraries of glibc, which fit its loader alone.
of_the_system='^(linux-vdso|ld-linux[^/]*|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|nsl|nss_[a-z]+))\.so'
# What Open MPI needs for networks other than TCP. It fits the site's drivers: there the site's own Open MPI is taken.
fabrics='lib(ucp|uct|fabric|psm2|psm_infinipath|ibverbs|rdmacm)\.so'

[[ -x $build/bin/refrain-train ]] || die "$build/bin has no refrain-train (build first: env/setup.sh; REFRAIN_BUILD names another folder)"
if built_for_cuda "$build"; then
  die "$build is a build for GPUs, whose libraries load others by name: build on the site instead (docs/sites.md)"
fi
for tool in patchelf readelf; do
  command -v "$tool" > /dev/null || die "$tool is not installed (as root: apt-get install patchelf binutils)"
done
libmpi=$(ldd "$build/bin/refrain-train" | awk '$1 ~ /^libmpi/ {print $3}')
if [[ -n $with_mpi ]] && ! { [[ $libmpi == */libmpi.so.40 ]] && ompi_info --version 2> /dev/null | grep -q '^Open MPI v4\.'; }; then
  die "the programs are linked with ${libmpi:-no MPI}, and only Open MPI 4 is bundled (--without-mpi leaves it out)"
fi
version=$("$build/bin/refrain-train" --version | awk 'NR == 1 {print $2}')
name=refrain-$version-$(uname -m)
out=$(realpath -m "${out:-$name.tar.gz}")
[[ -d $(dirname "$out") ]] || die "--out: there is no folder $(dirname "$out")"
work=$(mktemp -d)
part=$(dirname "$out")/.part-$(basename "$out")   # tar reads the compression off its ending
trap 'rm -rf "$work" "$part"' EXIT
root=$work/$name

# --- the files -------------------------------------------------------------------------------------------------------

# learn FILE...: where the loader finds each library that they need, into `found`.
declare -A found=()
learn() {
  local library path
  while read -r library path; do
    [[ $path == /* ]] || die "$library, which the programs need, is not found (load the modules of the build)"
    found[$library]=$path
  done < <(ldd "$@" 2> /dev/null | awk '$2 == "=>" {print $1, ($3 == "not" ? "-" : $3)}' | sort -u | grep -vE "$of_the_system")
}

# copy_needed FOLDER SKIP FILE...: into FOLDER what the files need, and what that needs, but names that match SKIP and
# what a folder of the bundle has already.
copy_needed() {
  local folder=$1 skip=$2 file library; shift 2
  mkdir -p "$folder"
  local queue=("$@")
  while (( ${#queue[@]} )); do
    file=${queue[0]}; queue=("${queue[@]:1}")
    for library in $(patchelf --print-needed "$file"); do
      [[ $library =~ $of_the_system || $library =~ $skip || -e $root/lib/$library || -e $folder/$library ]] && continue
      cp -L "${found[$library]}" "$folder/$library"
      queue+=("$folder/$library")
    done
  done
}

# give_rpath RPATH FILE...: DT_RPATH, which LD_LIBRARY_PATH does not override.
give_rpath() {
  local rpath=$1 file; shift
  for file in "$@"; do
    chmod u+w "$file"
    patchelf --force-rpath --set-rpath "$rpath" "$file"
  done
}

cmake --install "$build" --prefix "$root" --strip > "$work/install.log" || { tail -n 5 "$work/install.log" >&2; die "cmake --install $build failed"; }
mv "$root/bin" "$root/libexec"
mkdir "$root/bin"
mapfile -t programs < <(find "$root/libexec" -name 'refrain-*' -printf '%f\n')
learn "${programs[@]/#/$build/bin/}"
copy_needed "$root/lib" '^libmpi' "$root"/libexec/*
give_rpath "\$ORIGIN/../lib:\$ORIGIN/../mpi/lib" "$root"/libexec/*
give_rpath "\$ORIGIN" "$root"/lib/*.so*

# Open MPI with what it loads by name: its components, PMIx's, its texts and settings.
bundle_mpi() {
  local path mpi=$root/mpi component
  path=$(ompi_info --path all --parsable)
  place() { sed -n "s/^path:$1://p" <<< "$path" | head -n 1; }
  mkdir -p "$mpi"/{bin,lib/openmpi3,share}
  cp -rL "$(place pkgdatadir)" "$mpi/share/openmpi"
  cp -rL "$(place sysconfdir)" "$mpi/etc"
  cp -L "$libmpi" "$mpi/lib/"
  cp -L "$(command -v orterun)" "$root/libexec/mpirun"
  cp -L "$(command -v orted)" "$root/libexec/orted"
  for component in "$(place pkglibdir)"/mca_*.so; do
    ldd "$component" | grep -qE "$fabrics" || cp -L "$component" "$mpi/lib/openmpi3/"
  done
  local parts=("$root"/libexec/{mpirun,orted} "$mpi"/lib/openmpi3/*.so) pmix
  learn "$libmpi" "${parts[@]}"
  pmix=$(dirname "$(realpath "${found[libpmix.so.2]}")")/pmix
  if [[ -d $pmix ]]; then
    mkdir -p "$mpi/lib/pmix"
    cp -L "$pmix"/*.so "$mpi/lib/pmix/"
    learn "$mpi"/lib/pmix/*.so
    parts+=("$mpi"/lib/pmix/*.so)
  fi
  copy_needed "$mpi/lib" '^$' "$libmpi" "${parts[@]}"
  give_rpath "\$ORIGIN/../lib:\$ORIGIN/../mpi/lib" "$root"/libexec/{mpirun,orted}
  give_rpath "\$ORIGIN:\$ORIGIN/../../lib" "$mpi"/lib/*.so*
  give_rpath "\$ORIGIN/..:\$ORIGIN/../../../lib" "$mpi"/lib/openmpi3/*.so "$mpi"/lib/pmix/*.so
  ln -s ../../libexec/start "$mpi/bin/mpirun"
  ln -s ../../libexec/start "$mpi/bin/orted"
}
if [[ -n $with_mpi ]]; then bundle_mpi; fi
for program in "$root"/libexec/refrain-* "$root/libexec/mpirun"; do
  ln -s ../libexec/start "$root/bin/$(basename "$program")"
done

# --- what it needs ---------------------------------------------------------------------------------------------------

mapfile -t files < <(find "$root/libexec" "$root/lib" "$root/mpi" -type f 2> /dev/null | sort)
for file in "${files[@]}"; do
  symbols=$(readelf -VW "$file" 2> /dev/null | grep -oE 'GLIBC_2\.[0-9]+' | sort -Vu | tail -n 1) || continue
  printf '%s %s\n' "${symbols#GLIBC_}" "${file#"$root/"}"
  # Everything comes from the bundle or from glibc; without MPI that is seen where mpi/ has been linked.
  [[ -n $with_mpi ]] || continue
  stray=$(env -u LD_LIBRARY_PATH ldd "$file" 2> /dev/null | awk '$2 == "=>" {print $1, $3}' | grep -vE "$of_the_system" |
          grep -vF " $root/") || true
  [[ -z $stray ]] || die "${file#"$root/"} would take this from the system: $stray"
done > "$work/glibc"
read -r glibc neediest < <(sort -V "$work/glibc" | tail -n 1)
sed "s/@GLIBC@/$glibc/" "$home/env/bundle/start" > "$root/libexec/start"
chmod 755 "$root/libexec/start"

tar -C "$work" --owner=0 --group=0 --mode=u+w,go+rX -caf "$part" "$name" 2> /dev/null || die "cannot write $out (is there space, and does the ending name a compression that tar knows?)"
mv "$part" "$out"
say "glibc: $glibc or later, for ${neediest}"
say "MPI: $([[ -n $with_mpi ]] && ompi_info --version | head -n 1 || echo "the site's: make mpi/ a link to it")"
say "size: $(du -sm "$root" | cut -f 1) MiB, packed $(du -m "$out" | cut -f 1) MiB"
say "bundle: $out"
