#!/usr/bin/env bash
# A Slurm of one node in a folder, without accounting, until it is told to stop: one_node.sh FOLDER CPUS PORT
# Needs Debian's packages slurmctld, slurmd, slurm-client and munge, and root. Prints "ready" once jobs can be submitted
# with SLURM_CONF=FOLDER/slurm.conf.
set -euo pipefail
folder=$1 cpus=$2 port=$3
export SLURM_CONF=$folder/slurm.conf
mkdir -p "$folder"/{state,spool,log}
chmod 755 "$folder"
node=$(hostname -s)

cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=20
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF

dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
chmod 600 "$folder/munge.key"
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
munged --foreground --force --num-threads 2 --key-file "$folder/munge.key" --socket "$folder/munge.socket" \
  --pid-file "$folder/munge.pid" --log-file "$folder/log/munge" --seed-file "$folder/munge.seed" &
until [ -S "$folder/munge.socket" ]; do sleep 0.1; done
slurmctld -D -c 2>> "$folder/log/slurmctld" &
slurmd -D -N "$node" 2>> "$folder/log/slurmd" &
until sinfo --noheader --states=idle 2>/dev/null | grep -q idle; do sleep 0.2; done
echo ready
wait
