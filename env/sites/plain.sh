# shellcheck shell=bash
# A plain Slurm cluster with GPUs: one partition, no QOS, Open MPI as a module or a package. Untried on a real
# machine.
#
#   cp env/sites/plain.sh env/site.sh      # then set account and paths
#   . env/site.sh && sbatch slurm/dpo_8b_balanced.sh
#
# Sources: [1] sbatch - Slurm documentation, slurm.schedmd.com/sbatch.html (input environment variables)
#          [2] sinfo - Slurm documentation, slurm.schedmd.com/sinfo.html
#          [3] On a Slurm cluster, docs/cluster.md of this project
# What the submitting shell exports wins over this file.

# --- Slurm: who pays, where, how long -------------------------------------------------------------------------------
# export SBATCH_ACCOUNT=project           # [1]: needed where the cluster accounts for time; `sacctmgr show associations user=$USER` lists yours
# export SBATCH_PARTITION=gpu             # [2]: `sinfo -s` lists them; without it the default one
export SBATCH_TIMELIMIT=04:00:00          # [1]: below the partition's limit (`sinfo -o "%P %l"`); the job goes on in the next one

# --- Slurm: what of a node ------------------------------------------------------------------------------------------
export SBATCH_EXCLUSIVE=exclusive         # [1]: whole nodes, with all CPUs
export SBATCH_MEM_PER_NODE=0              # [1]: all memory of them
# export SBATCH_GRES=gpu:4                # [1]: on GPU nodes, as many as a node has (`sinfo -o "%N %G"`)

# --- Software -------------------------------------------------------------------------------------------------------
# module load openmpi hdf5                # [3]: the modules that the project was built with; nothing for packages of the system
# export REFRAIN_LAUNCHER=mpirun          # [3]: where srun cannot start this MPI; without it refrain-study tries srun's MPI types

# --- What is trained, from what, to where ---------------------------------------------------------------------------
# export REFRAIN_MODEL=/scratch/models/Llama-3-8B-Instruct    # [3]: a Hugging Face folder or a checkpoint
# export REFRAIN_PAIRS="/scratch/data/refuseu/*.parquet"      # [3]
# export REFRAIN_RUNS=/scratch/runs                           # [3]
# export REFRAIN_DISK_TB=5                                    # [3]: what the members that run at once may write together
