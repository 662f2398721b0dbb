# Sourced: a cgroup of one name in every hierarchy, for a node's processes. Works with one hierarchy (v2) and with many (v1).
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then hierarchies=(/sys/fs/cgroup/); else hierarchies=(/sys/fs/cgroup/*/); fi

# cgroup_make NAME
cgroup_make() {
  local directory file
  for directory in "${hierarchies[@]}"; do
    mkdir "$directory$1"
    # A cpuset (v1) begins empty, and takes no process before it has something.
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$directory$1/$file" ] || cat "$directory$file" >"$directory$1/$file"
    done
  done
}

# cgroup_remove NAME    waits up to 10 s for each, since the kernel takes a moment to end what is left in the namespaces.
cgroup_remove() {
  local directory
  for directory in "${hierarchies[@]}"; do
    for _ in $(seq 100); do
      [ -d "$directory$1" ] || break
      find "$directory$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
      sleep 0.1
    done
    [ ! -d "$directory$1" ] || echo "node: $directory$1 is left, since processes in it do not end" >&2
  done
}
