#!/bin/bash
#SBATCH --job-name=adjudicate
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --requeue
#SBATCH --signal=B:USR1@300
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
command=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p' | head -n 1)
export REFRAIN_HOME="${REFRAIN_HOME:-$(dirname "$command")/..}"
# shellcheck source=/dev/null
source "$REFRAIN_HOME/slurm/environment.sh" || {
  echo "$SLURM_JOB_NAME: no slurm/environment.sh in REFRAIN_HOME [$REFRAIN_HOME] (submit scripts where they stand, or export it)" >&2
  exit 1
}
exec refrain-study adjudicate
