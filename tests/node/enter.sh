#!/usr/bin/env bash
# enter.sh SUITE OUT PROGRAM [ARGUMENT…]    runs inside/PROGRAM (or, with a slash in it, a program of the node) on a
# throw-away node whose /out is the directory OUT.
#
# The node is private mount, pid, uts, ipc and net namespaces over an overlay of the root that root.sh built: nothing that
# runs there writes to this host but into OUT. Only the kernel's log is shared, as it is for every container of a node.
#
# NODE_MOUNTS="DIRECTORY:NAME …"   shows these directories, read-only, as /opt/NAME
# NODE_CGROUP=NAME                 makes the node's processes live in the cgroup NAME of each hierarchy, which they see as the root
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 3 ] || { echo "usage: enter.sh SUITE OUT PROGRAM [ARGUMENT…]" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "node: root is needed (namespaces, mounts, real daemons): run this as root" >&2; exit 1; }
suite=$1 out=$2 program=$3
shift 3
[[ $program == /* ]] || [ -f "$here/inside/$program" ] || { echo "node: inside/$program does not exist" >&2; exit 2; }
root=$("$here/root.sh" "$suite")/root
mkdir -p "$out"
out=$(cd "$out" && pwd)
mounts=${NODE_MOUNTS:-} cgroup=${NODE_CGROUP:-}

# The cgroup's files as the node sees them: one hierarchy (v2), or one for each controller (v1).
cgroups() {
  local name names
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mount -t cgroup2 cgroup2 sys/fs/cgroup; return; fi
  names=$(ls /sys/fs/cgroup)
  mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
  for name in $names; do
    mkdir "sys/fs/cgroup/$name"
    case $name in
      unified) mount -t cgroup2 cgroup2 "sys/fs/cgroup/$name" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "sys/fs/cgroup/$name" ;;
      *) mount -t cgroup -o "$name" cgroup "sys/fs/cgroup/$name" ;;
    esac
  done
}

inside() {
  set -euo pipefail
  mount --make-rprivate /
  hostname node-1
  # The upper layer is memory: it goes when the last process of the namespace does.
  mount -t tmpfs -o size=1g,mode=755 node /mnt
  mkdir /mnt/{upper,work,root}
  mount -t overlay node -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
  cd /mnt/root
  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys
  if [ -n "$cgroup" ]; then cgroups; else mount --rbind /sys/fs/cgroup sys/fs/cgroup 2>/dev/null || true; fi
  mount -t tmpfs -o mode=755 dev dev
  local name
  for name in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0' 'kmsg 1 11'; do
    # shellcheck disable=SC2086 # three words
    set -- $name; mknod -m 666 "dev/$1" c "$2" "$3"
  done
  mkdir dev/pts dev/shm out scripts
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd; ln -s /proc/self/fd/0 dev/stdin; ln -s /proc/self/fd/1 dev/stdout; ln -s /proc/self/fd/2 dev/stderr
  mount -t tmpfs -o mode=1777 shm dev/shm
  mount -t tmpfs -o mode=755 run run
  mount -t tmpfs -o mode=1777 tmp tmp
  mount --bind "$out" out
  mount --bind -o ro "$here/inside" scripts
  local pair
  for pair in $mounts; do mkdir -p "opt/${pair#*:}"; mount --bind -o ro "${pair%:*}" "opt/${pair#*:}"; done
  echo node-1 >etc/hostname
  printf '127.0.0.1 localhost\n::1 localhost\n192.0.2.11 node-1\n' >etc/hosts
  echo 'LANG=C.UTF-8' >etc/default/locale
}
export -f inside cgroups
export root out here mounts cgroup
if [ -n "$cgroup" ]; then
  for directory in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
    [ ! -e "$directory/cgroup.procs" ] || echo $$ >"$directory/cgroup.procs"
  done
fi
case $program in /*) start=$program ;; *) start="/usr/bin/python3 /scripts/$program" ;; esac
# The root is exchanged (pivot_root) rather than entered (chroot), since what joins the namespace of a container on the node lands
# at the namespace's own root, which a chroot leaves to this machine.
# The shell stays, since the first process of the namespace has to take in the orphans.
# Only what the node needs of this machine's environment goes in: no proxy, path, token or user of it.
exec unshare --mount --pid --fork --kill-child --uts --ipc --net ${cgroup:+--cgroup} bash -c '
  inside
  pivot_root . .
  umount -l .
  cd /
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1 \
    $0 "$@"
  exit $?' "$start" "$@"
