# shellcheck shell=bash
# Leonardo Booster (CINECA): nodes of four A100 of 64 GB and 32 cores. Written from the site's documentation, some of it
# as others quote it; untried on the machine.
#
#   cp env/sites/leonardo.sh env/site.sh      # then set account and paths
#   . env/site.sh && sbatch slurm/dpo_8b_balanced.sh
#
# Sources: [1] Leonardo - CINECA HPC Documentation, docs.hpc.cineca.it/hpc/leonardo.html
#          [2] Scheduler and job submission - CINECA HPC Documentation, docs.hpc.cineca.it/hpc/hpc_scheduler.html
#          [3] Data storage and filesystems - CINECA HPC Documentation, docs.hpc.cineca.it/hpc/hpc_data_storage.html
#          [4] Environment and customization - CINECA HPC Documentation, docs.hpc.cineca.it/hpc/hpc_environment.html
# What the submitting shell exports wins over this file.

# --- Slurm: who pays, where, how long -------------------------------------------------------------------------------
# export SBATCH_ACCOUNT=EUHPC_X00_000     # [2]: `saldo -b` lists yours
export SBATCH_PARTITION=boost_usr_prod    # [1]: the partition of the Booster's GPU nodes
export SBATCH_QOS=normal                  # [1]: up to 64 nodes and 24 hours; boost_qos_dbg 30 minutes, boost_qos_lprod 4 days on 8 nodes, boost_qos_bprod from 65 nodes
export SBATCH_TIMELIMIT=24:00:00          # [1]: the limit of that QOS

# --- Slurm: what of a node ------------------------------------------------------------------------------------------
export SBATCH_GRES=gpu:4                  # [1]: four GPUs a node
export SBATCH_CPUS_PER_GPU=8              # [1]: 32 cores a node
export SBATCH_MEM_PER_NODE=0              # [1]: nodes are shared, and memory is given as asked for; 0 is all of it

# --- Software -------------------------------------------------------------------------------------------------------
module load gcc openmpi hdf5              # [4]: names in profile/base; take the versions that the build was configured with (modmap -m NAME)

# --- What is trained, from what, to where ---------------------------------------------------------------------------
# export REFRAIN_MODEL=$WORK/models/Llama-3-8B-Instruct    # [3]: $WORK is permanent, 1 TB a project; compute nodes have no internet
# export REFRAIN_PAIRS="$WORK/data/refuseu/*.parquet"      # [3]
# export REFRAIN_RUNS=$SCRATCH/refrain                     # [3]: $SCRATCH has room for 70B (1.8 TB a member); files untouched for 40 days are deleted
# export REFRAIN_DISK_TB=5                                 # [3]: what you want to have there at once
