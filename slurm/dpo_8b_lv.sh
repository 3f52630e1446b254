#!/bin/bash
#SBATCH --job-name=dpo_8b_lv
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --array=0-1
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
command=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p' | head -n 1)
export REFRAIN_HOME="${REFRAIN_HOME:-$(dirname "$command")/..}"
# shellcheck source=/dev/null
source "$REFRAIN_HOME/slurm/environment.sh" || {
  echo "$SLURM_JOB_NAME: no slurm/environment.sh in REFRAIN_HOME [$REFRAIN_HOME] (submit scripts where they stand, or export it)" >&2
  exit 1
}
exec refrain-study member dpo_8b_lv
