#!/usr/bin/env bash
# A real Slurm of several hosts on this machine, for the tests and for trying scripts out.
#
#   virtual_cluster.sh start DIR [--nodes 2] [--cpus 4] [--memory-mib 4000] [--gpus 0] [--unkind] [--set KEY=VALUE]... [--owner PID]
#   virtual_cluster.sh exec DIR COMMAND...      on the login host, where sbatch, squeue, scontrol answer
#   virtual_cluster.sh node DIR N COMMAND...    on node N
#   virtual_cluster.sh off DIR N                node N loses its power
#   virtual_cluster.sh on DIR N                 and has it again
#   virtual_cluster.sh stop DIR
#
# A host is one process tree in namespaces of its own (network, mounts, host name, processes, shared memory) under an
# init that is killed to switch the host off. Nothing outlives those processes: no named namespace, no interface, no
# file but DIR, and the machine's own munge and Slurm are not touched. CPUs and GPUs are counted, not real.
#
# --unkind  what sites have and a default set-up hides: no requeue unless asked for, no default MPI type, memory
#           counted, so that two jobs share no node unless they say how much they need
# --set     any line of slurm.conf
# --owner   the cluster stops by itself when this process ends
# Exit code 77: this machine cannot do it, and the line says what is missing.
set -euo pipefail

network=10.88.0
die() { echo "virtual_cluster.sh: $1" >&2; exit "${2:-1}"; }
usage() { sed -n '4,9s/^# *//p' "$0" >&2; exit 2; }

action=${1:-}; dir=${2:-}
[[ -n $action && -n $dir ]] || usage
shift 2
[[ $dir == /* && $dir != *[[:space:]]* ]] || die "DIR is an absolute path without spaces (slurm.conf cannot hold them)" 2

require() {
  (( EUID == 0 )) || die "needs root for namespaces" 77
  local program
  for program in slurmctld slurmd sbatch munged mungekey ip unshare nsenter; do
    command -v $program > /dev/null || die "$program is not installed (apt-get install slurmctld slurmd slurm-client munge iproute2)" 77
  done
  unshare --net --mount --uts --ipc --pid --fork true 2> /dev/null || die "namespaces are not allowed here" 77
}

# The init of a host, as this machine numbers it.
init_of() { cat "$dir/hosts.d/$1" 2> /dev/null || true; }

# A recorded number may belong to somebody else after a crash: only ours carries DIR in its command line.
is_ours() { [[ -n $1 ]] && tr '\0' ' ' < "/proc/$1/cmdline" 2> /dev/null | grep -qF "refrain-host $dir "; }

# on HOST COMMAND...
on() {
  local init; init=$(init_of "$1"); shift
  is_ours "$init" || die "no cluster runs in $dir"
  SLURM_CONF=$dir/slurm.conf nsenter --target "$init" --net --mount --uts --ipc --pid --wd="$PWD" -- "$@"
}

# switch_on HOST: an init that only collects the dead.
switch_on() {
  # shellcheck disable=SC2016  # the inner shell expands
  setsid unshare --net --mount --uts --ipc --pid --fork --mount-proc --kill-child \
    bash -c 'mount --make-rprivate / && mount -t tmpfs tmpfs /dev/shm && mount --bind "$1/hosts" /etc/hosts && hostname "$2" &&
             ip link set lo up && touch "$1/hosts.d/$2.ready" && while :; do sleep 3600; done' \
    refrain-host "$dir" "$1" < /dev/null > "$dir/log/$1.host.log" 2>&1 &
  local outer=$! init=
  for _ in {1..200}; do
    init=$(cat "/proc/$outer/task/$outer/children" 2> /dev/null || true); init=${init%% *}
    [[ -n $init && -e $dir/hosts.d/$1.ready ]] && break
    kill -0 "$outer" 2> /dev/null || die "host $1 did not start: $(tail -n 1 "$dir/log/$1.host.log")"
    sleep 0.05
  done
  rm -f "$dir/hosts.d/$1.ready"
  echo "$init" > "$dir/hosts.d/$1"
}

# switch_on_node N: a host with its place in the network and its slurmd.
switch_on_node() {
  local name=n$1
  switch_on "$name"
  ip link add "v$name" netns "$(init_of login)" type veth peer name eth0 netns "$(init_of "$name")"
  on login ip link set "v$name" master br0 up
  on "$name" ip address add "$network.$(($1 + 1))/24" dev eth0
  on "$name" ip link set eth0 up
  on "$name" slurmd -N "$name"
}

# switch_off HOST: all that runs there is gone at once, and so is its end of the network.
switch_off() {
  local init; init=$(init_of "$1")
  is_ours "$init" || die "host $1 is not on in $dir"
  kill -KILL "$init"
  rm "$dir/hosts.d/$1"
}

write_configuration() {
  {
    echo "ClusterName=virtual
SlurmctldHost=login($network.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=10
MpiDefault=pmix
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
JobRequeue=1
KillWait=10
ReturnToService=2
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/%n.pid
SlurmdSpoolDir=$dir/spool/%n
TmpFS=$dir/tmp/%n
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/%n.log
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true"
    if (( unkind )); then printf '%s\n' JobRequeue=0 MpiDefault=none SelectTypeParameters=CR_CPU_Memory; fi
    printf '%s\n' "${settings[@]}"
  } | tac | awk -F= 'NF && !seen[$1]++' | tac > "$dir/slurm.conf"  # the last of a key counts
  local gres=''
  if (( gpus > 0 )); then
    echo "GresTypes=gpu" >> "$dir/slurm.conf"
    gres=" Gres=gpu:$gpus"
    for ((i = 0; i < gpus; i++)); do : > "$dir/gpu$i"; done
    echo "Name=gpu File=$dir/gpu[0-$((gpus - 1))]" > "$dir/gres.conf"
  fi
  for ((i = 1; i <= nodes; i++)); do
    echo "NodeName=n$i NodeAddr=$network.$((i + 1)) CPUs=$cpus RealMemory=$memory$gres" >> "$dir/slurm.conf"
  done
  echo "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO" >> "$dir/slurm.conf"
}

start() {
  local nodes=2 cpus=4 memory=4000 gpus=0 unkind=0 owner='' settings=('') i
  while (( $# )); do
    case $1 in
      --unkind) unkind=1; shift; continue ;;
      --nodes | --cpus | --memory-mib | --gpus | --set | --owner) (( $# > 1 )) || die "$1 needs a value" 2 ;;
      *) die "unknown option $1" 2 ;;
    esac
    case $1 in
      --nodes) nodes=$2 ;; --cpus) cpus=$2 ;; --memory-mib) memory=$2 ;; --gpus) gpus=$2 ;; --owner) owner=$2 ;; --set) settings+=("$2") ;;
    esac
    shift 2
  done
  require
  stop
  mkdir -p "$dir"/{state,log,munge,hosts.d}
  chmod 755 "$dir"
  printf '127.0.0.1 localhost\n%s.1 login\n' "$network" > "$dir/hosts"
  for ((i = 1; i <= nodes; i++)); do
    mkdir -p "$dir"/{spool,tmp}/n$i
    echo "$network.$((i + 1)) n$i" >> "$dir/hosts"
  done
  write_configuration

  switch_on login
  mungekey --create --keyfile "$dir/munge/key" 2> /dev/null
  on login munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed" 2>> "$dir/log/munged.err"
  on login ip link add br0 type bridge
  on login ip address add "$network.1/24" dev br0
  on login ip link set br0 up
  on login slurmctld
  for ((i = 1; i <= nodes; i++)); do switch_on_node $i; done
  if [[ -n $owner ]]; then
    # shellcheck disable=SC2016
    setsid bash -c 'while kill -0 "$1" 2> /dev/null; do sleep 2; done; exec "$2" stop "$3"' \
      refrain-owner "$owner" "$(realpath "$0")" "$dir" < /dev/null > /dev/null 2>&1 &
  fi
  for _ in {1..120}; do
    if [[ $(on login sinfo -h -N -o %T 2> /dev/null | sort -u) == idle ]]; then on login sinfo -N; return; fi
    sleep 0.25
  done
  die "the nodes did not come up; see $dir/log"
}

stop() {
  local file init
  for file in "$dir"/hosts.d/*; do
    [[ -s $file ]] || continue
    init=$(< "$file")
    if is_ours "$init"; then kill -KILL "$init"; fi
  done
  rm -rf "$dir"
}

case $action in
  start) start "$@" ;;
  exec) (( $# )) || usage; on login "$@" ;;
  node) (( $# > 1 )) || usage; node=$1; shift; on "n$node" "$@" ;;
  off) (( $# == 1 )) || usage; switch_off "n$1" ;;
  on) (( $# == 1 )) || usage; switch_on_node "$1" ;;
  stop) stop ;;
  *) usage ;;
esac
