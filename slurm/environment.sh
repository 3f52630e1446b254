# shellcheck shell=bash
# Sourced by the scripts of this folder: the site's settings, then the way to the project's programs.
# REFRAIN_HOME is the folder that holds slurm/: the source tree, or share/refrain of an installation.

# A job that meets Slurm's warning here has too little time to get further: the SIGTERM at its end will stop it.
trap '' USR1
REFRAIN_HOME=$(cd "$REFRAIN_HOME" && pwd)

# What the submitting shell set wins over the site file.
submitted=
for name in "${!REFRAIN_@}"; do submitted+="$(declare -p "$name")"$'\n'; done
if [[ -r $REFRAIN_HOME/env/site.sh ]]; then
  # shellcheck source=/dev/null
  source "$REFRAIN_HOME/env/site.sh"
fi
eval "$submitted"
for name in "${!REFRAIN_@}"; do export "${name?}"; done

for folder in "$REFRAIN_HOME/build/bin" "$REFRAIN_HOME/bin" "$REFRAIN_HOME/../../bin"; do
  if [[ -x $folder/refrain-study ]]; then PATH=$folder:$PATH; break; fi
done
if ! command -v refrain-study > /dev/null; then
  echo "${SLURM_JOB_NAME:-slurm}: refrain-study is not built (run env/setup.sh in $REFRAIN_HOME)" >&2
  exit 1
fi
