#!/usr/bin/env bash
# mpirun.sh RANKS COMMAND...: runs a test on this machine alone, more ranks than cores allowed, by Open MPI or MPICH.
set -euo pipefail
ranks=$1; shift
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
launcher=${REFRAIN_TEST_MPIRUN:-mpirun}
if "$launcher" --version 2>&1 | grep -q 'Open MPI\|OpenRTE'; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
fi
exec "$launcher" -n "$ranks" "$@"
