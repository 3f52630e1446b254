# shellcheck shell=bash
# Sourced by the scripts of this folder: the site's settings, then the way to the project's programs.
# REFRAIN_HOME is the folder that holds slurm/: the source tree, or share/refrain of an installation.

# A job that meets Slurm's warning here has too little time to get further: the SIGTERM at its end will stop it.
trap '' USR1
REFRAIN_HOME=$(cd "$REFRAIN_HOME" && pwd)

fail() {
  echo "${SLURM_JOB_NAME:-slurm}: $1" >&2
  exit 1
}

# What the submitting shell set wins over the site file.
submitted=
for name in "${!REFRAIN_@}"; do submitted+="$(declare -p "$name")"$'\n'; done
site=$REFRAIN_HOME/env/site.sh
if [[ -r $site ]]; then
  bash -n "$site" || fail "env/site.sh cannot be read, a line above says where [$site] (correct it)"
  trap '(( $? != 127 )) || fail "a command of env/site.sh is not found, a line above names it [$site] (correct it)"' ERR
  # shellcheck source=/dev/null
  source "$site"
  trap - ERR
fi
eval "$submitted"
for name in "${!REFRAIN_@}"; do export "${name?}"; done

for folder in "$REFRAIN_HOME/build/bin" "$REFRAIN_HOME/bin" "$REFRAIN_HOME/../../bin"; do
  if [[ -x $folder/refrain-study ]]; then PATH=$folder:$PATH; break; fi
done
command -v refrain-study > /dev/null || fail "refrain-study is not built (run env/setup.sh in $REFRAIN_HOME)"
