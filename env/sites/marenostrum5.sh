# shellcheck shell=bash
# MareNostrum 5 ACC (BSC): nodes of four H100 of 64 GB and 80 cores. Written from the site's documentation, some of it
# as others quote it; untried on the machine.
#
#   cp env/sites/marenostrum5.sh env/site.sh      # then set account and paths
#   . env/site.sh && sbatch slurm/dpo_8b_balanced.sh
#
# Sources: [1] Slurm - MareNostrum 5 User Guide, www.bsc.es/supportkc/docs/MareNostrum5/slurm
#          [2] System overview - MareNostrum 5 User Guide, www.bsc.es/supportkc/docs/MareNostrum5/overview
#          [3] MareNostrum 5 User Guide, www.bsc.es/supportkc/docs/MareNostrum5/intro
# What the submitting shell exports wins over this file.

# --- Slurm: who pays, where, how long -------------------------------------------------------------------------------
# export SBATCH_ACCOUNT=ehpc000           # [1]: account and QOS are mandatory; `bsc_project list` names yours
export SBATCH_PARTITION=acc               # [1]: the partition of the GPU nodes
export SBATCH_QOS=acc_ehpc                # [1]: EuroHPC's queue, up to 100 nodes and 72 hours; acc_debug 2 hours on 8 nodes; `bsc_queues` lists yours
export SBATCH_TIMELIMIT=72:00:00          # [1]: the limit of that queue

# --- Slurm: what of a node ------------------------------------------------------------------------------------------
export SBATCH_GRES=gpu:4                  # [2]: four GPUs a node
export SBATCH_CPUS_PER_GPU=20             # [1]: 20 CPUs a GPU are to be asked for
export SBATCH_EXCLUSIVE=exclusive         # [1]: --exclusive, whole nodes with their memory

# --- Software -------------------------------------------------------------------------------------------------------
module purge                              # [3]: compilers and MPI of Intel are loaded from the start
module load gcc openmpi hdf5              # [3]: `module avail` on a login node; take the versions that the build was configured with

# --- What is trained, from what, to where ---------------------------------------------------------------------------
# export REFRAIN_MODEL=/gpfs/projects/ehpc000/models/Llama-3-8B-Instruct    # [3]: /gpfs/projects is permanent
# export REFRAIN_PAIRS="/gpfs/projects/ehpc000/data/refuseu/*.parquet"      # [3]
# export REFRAIN_RUNS=/gpfs/scratch/ehpc000/refrain                         # [3]: /gpfs/scratch is large, and is cleaned
# export REFRAIN_DISK_TB=5                                                  # [3]: `bsc_quota` says how much there is
