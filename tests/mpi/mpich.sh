#!/usr/bin/env bash
# mpich.sh SOURCE BUILD: builds the MPI tests that need no libtorch with MPICH in BUILD and runs them (with those that
# do, where REFRAIN_TEST_LONG=1). Skips where there is no MPICH (Debian: apt-get install mpich libmpich-dev; it stands
# beside Open MPI). REFRAIN_MPICH names another installation's bin folder.
set -euo pipefail
source=$1 build=$2
bin=${REFRAIN_MPICH:+$REFRAIN_MPICH/}
compiler='' launcher=''
for suffix in .mpich ""; do
  candidate=$(command -v "${bin}mpicxx$suffix") || continue
  if "$candidate" -show 2>/dev/null | grep -qi mpich; then
    compiler=$candidate
    launcher=$(command -v "${bin}mpirun$suffix")
    break
  fi
done
if [[ -z $compiler ]]; then
  echo "skipped: no MPICH here (on Debian: apt-get install mpich libmpich-dev)"
  exit 77
fi

torch=OFF
[[ ${REFRAIN_TEST_LONG:-} != 1 ]] || torch=ON
cache=()
! command -v ccache >/dev/null || cache=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
{
  cmake -S "$source" -B "$build" -G Ninja -DREFRAIN_TORCH=$torch -DREFRAIN_LIBTORCH="${REFRAIN_LIBTORCH:-}" \
    -DMPI_CXX_COMPILER="$compiler" -DMPIEXEC_EXECUTABLE="$launcher" "${cache[@]}"
  cmake --build "$build" --target mpi_tests
} >"$build.log" 2>&1 || { tail -n 40 "$build.log"; exit 1; }

library=$("$build/bin/refrain-probe" --version | sed -n 's/^ *MPI //p')
case $library in
  *MPICH*) echo "with $library" ;;
  *) echo "this is not MPICH but $library"; exit 1 ;;
esac
cd "$build"
exec env REFRAIN_TEST_MPIRUN="$launcher" ctest -L '^mpi$' -E '^mpi/mpich$' --output-on-failure
