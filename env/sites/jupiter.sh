# shellcheck shell=bash
# JUPITER Booster (JSC): nodes of four GH200, 96 GB and 72 Arm cores each. Written from the site's documentation, some
# of it as others quote it; untried on the machine, and the build is untried on Arm.
#
#   cp env/sites/jupiter.sh env/site.sh      # then set account and paths
#   . env/site.sh && sbatch slurm/dpo_8b_balanced.sh
#
# Sources: [1] Batch system - JUPITER user documentation, apps.fz-juelich.de/jsc/hps/jupiter/batchsystem.html
#          [2] GPU computing - JUPITER user documentation, apps.fz-juelich.de/jsc/hps/jupiter/gpu-computing.html
#          [3] Compiling - JUPITER user documentation, apps.fz-juelich.de/jsc/hps/jupiter/compile.html
#          [4] Environment - JUPITER user documentation, apps.fz-juelich.de/jsc/hps/jupiter/environment.html
# What the submitting shell exports wins over this file.

# --- Slurm: who pays, where, how long -------------------------------------------------------------------------------
# export SBATCH_ACCOUNT=project           # [1]: the budget of your project
export SBATCH_PARTITION=booster           # [1]: the only one so far; there are no QOS to choose
export SBATCH_TIMELIMIT=12:00:00          # [1]: the limit of that partition

# --- Slurm: what of a node ------------------------------------------------------------------------------------------
# Nodes are exclusive, with their CPUs and memory [1].
export SBATCH_GRES=gpu:4                  # [2]: four GPUs a node, which is also what an empty request is given

# --- Software -------------------------------------------------------------------------------------------------------
# There is no mpiexec: ranks are started by srun [1], whose MPI types pmix and pspmix refrain-study tries by itself.
module load GCC OpenMPI HDF5              # [3]: names in Stages; take the versions that the build was configured with

# --- What is trained, from what, to where ---------------------------------------------------------------------------
# export REFRAIN_MODEL=/e/project1/PROJECT/models/Llama-3-8B-Instruct    # [4]: $PROJECT is permanent; compute nodes have no internet
# export REFRAIN_PAIRS="/e/project1/PROJECT/data/refuseu/*.parquet"      # [4]
# export REFRAIN_RUNS=/e/scratch/PROJECT/refrain                         # [4]: $SCRATCH is large, and is cleaned
# export REFRAIN_DISK_TB=5                                               # [4]: `jutil project dataquota -p PROJECT` says how much there is
