#!/usr/bin/env bash
# Installs what the build needs, finds or installs libtorch, configures, and builds the programs into build/bin.
# A second call only checks.
#
#   env/setup.sh [--cuda] [--fetch DIR | --offline DIR] [--jobs N]
#     --cuda          for GPUs: libtorch with CUDA and NCCL (5.5 GB), and nvcc where the machine has none. A build folder
#                     made so stays so, also without --cuda
#     --fetch DIR     where there is internet: download what --offline needs into DIR, and build nothing
#     --offline DIR   install from DIR, without internet
#     --jobs N        compile so many files at once (default: as cores and memory allow)
#
#   REFRAIN_SOURCES      a folder with the archives of env/sources.txt (--fetch makes DIR/sources): what CMake does not find
#                        of these libraries is built from it. Also taken from --offline's DIR, where there is no dpkg
#   REFRAIN_LIBTORCH     a torch folder or libtorch distribution that is there already (with include/ and lib/)
#   REFRAIN_PYARROW      a pyarrow folder, for Parquet
#   REFRAIN_PYTHON       the Python that makes the virtual environment for these two, where none is given
#   REFRAIN_TORCH_INDEX  where pip finds the CUDA build of torch that the driver fits (with --cuda; default: pip's own)
#   REFRAIN_BUILD        the build folder (default build/)
#   REFRAIN_CMAKE_ARGS   more arguments for CMake, separated by white space, e.g. "-DREFRAIN_PARQUET=OFF"
set -euo pipefail
# shellcheck source=env/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
stop_by_signal

wheels=(torch==2.13.0 pyarrow==26.0.1)
fetch='' offline='' jobs='' cuda=''
if built_for_cuda "$build"; then cuda=1; fi
while (( $# )); do
  case $1 in
    --cuda) cuda=1; shift ;;
    --fetch | --offline | --jobs)
      (( $# > 1 )) || die "$1 needs a value (see env/setup.sh --help)"
      case $1 in --fetch) fetch=$2 ;; --offline) offline=$2 ;; --jobs) jobs=$2 ;; esac
      shift 2 ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown argument $1 (see env/setup.sh --help)" ;;
  esac
done
[[ -z $fetch || -z $offline ]] || die "--fetch and --offline exclude each other (fetch first, where there is internet)"
[[ -z $jobs || $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs wants a number from 1, got $jobs"
if [[ -n $offline ]]; then
  [[ -d $offline/wheels ]] || die "$offline holds no wheels/ (make it with env/setup.sh --fetch $offline on a machine with internet)"
  offline=$(cd "$offline" && pwd)
fi
[[ -z ${REFRAIN_SOURCES:-} || -d $REFRAIN_SOURCES ]] || die "REFRAIN_SOURCES=$REFRAIN_SOURCES is no folder (env/setup.sh --fetch DIR makes DIR/sources)"
SECONDS=0
venv=$deps/python
if [[ -n $cuda ]]; then
  wheels[0]=torch==2.14.1
  venv=$deps/python-cuda
fi

# --- Debian packages -------------------------------------------------------------------------------------------------

# Everything that a bare Debian lacks, as a local package source, so that apt resolves it on the other side.
fetch_packages() {
  command -v apt-get > /dev/null || { say "no apt here: only wheels are fetched"; return 0; }
  local out=$fetch/debs log=$fetch/apt.log
  mkdir -p "$out/partial"
  : > "$fetch/status"
  # shellcheck disable=SC2046
  run_logged "$log" apt-get install -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
    -o Dir::State::status="$fetch/status" -o Dir::Cache::archives="$out/" -o APT::Sandbox::User=root \
    $(listed_packages "$home/env/packages.txt")
  rm -rf "$fetch/status" "$out/partial" "$out/lock"
  local deb
  for deb in "$out"/*.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$(basename "$deb")" "$(stat -c %s "$deb")" "$(sha256sum < "$deb" | cut -d' ' -f1)"
  done > "$out/Packages"
  say "packages: $(find "$out" -name '*.deb' | wc -l) fetched"
}

# install_packages NAME...: by root, from the configured sources or from DIR/debs.
install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  local from=()
  if [[ -n $offline ]]; then
    [[ -f $offline/debs/Packages ]] || die "these packages are missing and $offline holds none: $*"
    mkdir -p "$deps/apt/lists/partial"
    echo "deb [trusted=yes] file:${offline// /%20}/debs ./" > "$deps/apt/sources.list"
    from=(-o Dir::Etc::SourceList="$deps/apt/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$deps/apt/lists"
          -o APT::Sandbox::User=root)
  fi
  run_logged "$deps/log/apt-update.log" apt-get "${from[@]}" update -q
  run_logged "$deps/log/apt-install.log" apt-get "${from[@]}" install -y -q --no-install-recommends "$@"
}

check_packages() {
  if ! command -v dpkg-query > /dev/null; then
    say "packages: no dpkg here; CMake looks for what modules and CMAKE_PREFIX_PATH bring"
    return
  fi
  local missing
  mapfile -t missing < <(missing_packages "$home/env/packages.txt")
  if (( ${#missing[@]} == 0 )); then
    say "packages: all there"
  elif (( EUID == 0 )); then
    say "packages: installing ${missing[*]}"
    install_packages "${missing[@]}"
  else
    say "packages: missing ${missing[*]} (as root: apt-get install ${missing[*]}; or load modules that bring them)"
    command -v cmake > /dev/null || die "without cmake nothing can be built"
  fi
}

# --- libraries from source archives ----------------------------------------------------------------------------------

# Those that the site lacks; they are found again by every later call.
build_libraries() {
  local archives=${REFRAIN_SOURCES:-}
  if [[ -z $archives && -n $offline ]] && ! command -v dpkg-query > /dev/null; then archives=$offline/sources; fi
  if [[ -n $archives ]]; then
    REFRAIN_DEPS=$deps "$home/env/sources.sh" build "$archives" "$deps/libraries"
  fi
}

# --- libtorch and Arrow ----------------------------------------------------------------------------------------------

is_libtorch() { [[ -f $1/include/ATen/ATen.h && -f $1/lib/libtorch_cpu.so ]]; }

# Whether all that the library stands on is found: wheels for CUDA need others beside them.
is_complete() {
  local needs library=libtorch_cpu
  if [[ -n $cuda && -f $1/lib/libtorch_cuda.so ]]; then library=libtorch_cuda; fi
  needs=$(ldd "$1/lib/$library.so" 2>&1) || return 1
  [[ $needs != *'not found'* ]]
}

# The folder of an installed wheel, or nothing. pip writes INSTALLER when all of a wheel's files are there.
venv_package() {
  local packages=("$venv"/lib/python*/site-packages)
  local whole=("${packages[0]}/$1"-*.dist-info/INSTALLER)
  if [[ -d ${packages[0]}/$1 && -f ${whole[0]} ]]; then echo "${packages[0]}/$1"; fi
}

pip_install() { run_logged "$deps/log/pip.log" "$venv/bin/python" -m pip install -q "${pip_from[@]}" "$@"; }

make_venv() {
  [[ -x $venv/bin/pip ]] && return
  mkdir -p "$deps"
  local python
  python=$(find_python)
  run_logged "$deps/log/venv.log" "$python" -m venv --clear "$venv"
}

# The wheels that make up nvcc of a version of CUDA.
nvcc_wheels() { printf '%s\n' "nvidia-cuda-nvcc==$1.*" "nvidia-cuda-cccl==$1.*" "nvidia-cuda-crt==$1.*" "nvidia-nvvm==$1.*"; }

# Where pip looks for torch.
torch_index() {
  torch_from=()
  if [[ -n $cuda && -n ${REFRAIN_TORCH_INDEX:-} && -z $offline ]]; then torch_from=(--index-url "$REFRAIN_TORCH_INDEX"); fi
}

fetch_wheels() {
  make_venv
  local get=("$venv/bin/python" -m pip download -q -d "$fetch/wheels")
  torch_index
  run_logged "$fetch/pip.log" "${get[@]}" --no-deps "${torch_from[@]}" "${wheels[0]}"
  run_logged "$fetch/pip.log" "${get[@]}" --no-deps "${wheels[1]}"
  local needs_more
  needs_more=$("$venv/bin/python" - "$fetch/wheels" << 'PY'
import glob, sys, zipfile
for wheel in glob.glob(sys.argv[1] + "/torch-*.whl"):
    names = zipfile.ZipFile(wheel)
    text = names.read(next(n for n in names.namelist() if n.endswith(".dist-info/METADATA"))).decode()
    print(any(line.startswith(("Requires-Dist: nvidia", "Requires-Dist: cuda")) for line in text.splitlines()))
PY
)
  if [[ $needs_more == *True* ]]; then
    run_logged "$fetch/pip.log" "${get[@]}" "${torch_from[@]}" "${wheels[0]}"
  fi
  # Where there is no nvcc of the site's: that of the runtime which the wheel above was built with.
  if [[ -n $cuda && -z ${REFRAIN_TORCH_INDEX:-} ]]; then
    # shellcheck disable=SC2046
    run_logged "$fetch/pip.log" "${get[@]}" --no-deps $(nvcc_wheels 13.0)
  fi
  say "wheels: $(find "$fetch/wheels" -name '*.whl' | wc -l) fetched"
}

find_wheels() {
  pip_from=()
  if [[ -n $offline ]]; then pip_from=(--no-index --find-links "$offline/wheels"); fi
  torch_index
  libtorch=${REFRAIN_LIBTORCH:-}
  if [[ -n $libtorch ]]; then
    is_libtorch "$libtorch" || die "REFRAIN_LIBTORCH=$libtorch has no include/ATen/ATen.h and lib/libtorch_cpu.so (name the torch folder of a wheel, or an unpacked libtorch)"
    say "libtorch: $libtorch, as REFRAIN_LIBTORCH says"
  else
    libtorch=$(venv_package torch)
    if [[ -z $libtorch ]]; then
      say "libtorch: installing ${wheels[0]} into $venv"
      make_venv
      pip_install --ignore-installed --no-deps "${torch_from[@]}" "${wheels[0]}"
      libtorch=$(venv_package torch)
    fi
    is_complete "$libtorch" || pip_install "${torch_from[@]}" "${wheels[0]}"
    say "libtorch: $libtorch"
  fi
  is_complete "$libtorch" || die "$libtorch/lib/libtorch_cpu.so needs libraries that are not found: $(ldd "$libtorch/lib/libtorch_cpu.so" | awk '/not found/ {print $1}' | tr '\n' ' ')"

  pyarrow=${REFRAIN_PYARROW:-$(venv_package pyarrow)}
  if [[ -z $pyarrow ]]; then
    make_venv
    pip_install --ignore-installed --no-deps "${wheels[1]}"
    pyarrow=$(venv_package pyarrow)
  fi
  say "Arrow for Parquet: $pyarrow"
}

# --- CUDA ------------------------------------------------------------------------------------------------------------

# The version of CUDA that libtorch was built with ("13.0"), and the newest that this machine's driver runs, or nothing.
wheel_cuda() { if [[ -f $libtorch/version.py ]]; then sed -n "s/^cuda: .*= '\(.*\)'/\1/p" "$libtorch/version.py"; fi; }
driver_cuda() { { nvidia-smi 2> /dev/null || true; } | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p' | head -n 1; }

# Where nvcc is: named, in PATH, in the usual folder, in the virtual environment.
find_nvcc() {
  local nvcc
  for nvcc in "${CUDACXX:-}" "$(command -v nvcc || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" \
    "$venv"/lib/python*/site-packages/nvidia/cu13/bin/nvcc "$venv"/lib/python*/site-packages/nvidia/cuda_nvcc/bin/nvcc; do
    if [[ -x $nvcc ]]; then echo "$nvcc"; return; fi
  done
}

check_cuda() {
  [[ -f $libtorch/lib/libtorch_cuda.so ]] ||
    die "$libtorch is a CPU build of libtorch (take REFRAIN_LIBTORCH away, or name one with CUDA)"
  local runtime driver
  runtime=$(wheel_cuda) driver=$(driver_cuda)
  [[ -n $runtime ]] || die "$libtorch/version.py does not say which CUDA it was built with: name the torch folder of a wheel"
  if [[ -z $driver ]]; then
    say "CUDA: runtime $runtime; no driver here, so nothing can say whether it fits that of the GPU nodes (see docs/gpu.md)"
  elif (( ${driver%%.*} < ${runtime%%.*} )); then
    die "the driver here runs CUDA up to $driver, and $libtorch was built with $runtime: remove $venv, then set REFRAIN_TORCH_INDEX to the index of a wheel for CUDA $driver, which pytorch.org names, and call env/setup.sh --cuda again"
  else
    say "CUDA: runtime $runtime, the driver runs up to $driver"
  fi
  nvcc=$(find_nvcc)
  if [[ -z $nvcc ]]; then
    [[ ${runtime%%.*} == 13 ]] || die "no nvcc: load a CUDA toolkit of version ${runtime%%.*} (module load cuda), or set CUDACXX"
    say "nvcc: installing it into $venv"
    # shellcheck disable=SC2046 # names without blanks
    pip_install $(nvcc_wheels "$runtime")
    nvcc=$(find_nvcc)
    [[ -n $nvcc ]] || die "the wheels of nvcc hold none: load a CUDA toolkit of version ${runtime%%.*}, or set CUDACXX"
    # The wheels have the libraries in lib, where CMake's trial programs do not look for them.
    ln -sfn lib "$(dirname "$nvcc")/../lib64"
  fi
  say "nvcc: $nvcc"
}

# --- configure and build ---------------------------------------------------------------------------------------------

configure() {
  local more=()
  if [[ -n ${REFRAIN_CMAKE_ARGS:-} ]]; then read -ra more <<< "$REFRAIN_CMAKE_ARGS"; fi
  local arguments=(-DREFRAIN_LIBTORCH="$libtorch" -DREFRAIN_PYARROW="$pyarrow" "${more[@]}")
  if [[ -n $cuda ]]; then arguments+=(-DREFRAIN_CUDA=ON -DCMAKE_CUDA_COMPILER="$nvcc"); fi
  if [[ -d $deps/libraries ]]; then arguments+=(-DCMAKE_PREFIX_PATH="$deps/libraries"); fi
  if command -v ccache > /dev/null; then arguments+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache); fi
  if [[ -f $build/build.ninja ]] && [[ $(cat "$build/setup-arguments" 2> /dev/null) == "${arguments[*]}" ]]; then
    say "configured: $build"
    return
  fi
  say "configuring $build"
  run_logged "$deps/log/configure.log" cmake -S "$home" -B "$build" -G Ninja "${arguments[@]}"
  printf '%s' "${arguments[*]}" > "$build/setup-arguments"
}

# Builds in a session of its own, whose processes' memory can be added up.
build_programs() {
  local log=$deps/log/build.log peak=0 now
  jobs=${jobs:-$(jobs_allowed)}
  mkdir -p "$deps/log"
  [[ -x $build/bin/refrain-train ]] || say "building, which takes minutes (its log: $log)"
  setsid cmake --build "$build" --target programs -j "$jobs" > "$log" 2>&1 &
  local builder=$!
  trap 'pkill -s "$builder"; stopped' INT TERM
  while kill -0 "$builder" 2> /dev/null; do
    # ps finds nothing before the session has begun and after it has ended.
    now=$({ ps -o rss= -s "$builder" || true; } | awk '{sum += $1} END {print int(sum / 1024)}')
    if (( now > peak )); then peak=$now; fi
    sleep 0.5
  done
  wait "$builder" || {
    grep -aE 'error|FAILED' "$log" | head -n 12 >&2 || tail -n 12 "$log" >&2
    die "the build failed (the whole log: $log)"
  }
  trap stopped INT TERM
  if grep -qE 'Building|Linking' "$log"; then
    say "built: $build/bin, with $jobs at once; peak memory of the build $peak MiB"
  else
    say "built: nothing to do"
  fi
}

if [[ -n $fetch ]]; then
  mkdir -p "$fetch"
  fetch=$(cd "$fetch" && pwd)
  fetch_packages
  fetch_wheels
  REFRAIN_DEPS=$deps "$home/env/sources.sh" fetch "$fetch/sources" ||
    say "sources: not all are there; they are needed only where libraries lack and there are no packages"
  say "Done in $(duration $SECONDS). Where there is no internet: env/setup.sh ${cuda:+--cuda }--offline $fetch"
  exit 0
fi
check_packages
build_libraries
find_wheels
if [[ -n $cuda ]]; then check_cuda; fi
configure
build_programs
say "Done in $(duration $SECONDS)."
