# keeper.sh DIR: parent of a test cluster's processes.
# Starts DIR/run/NAME.sh for each NAME read from standard input and answers with its process id; a line `wait PID` it
# answers with the exit code once that process has ended (128 + N after signal N). When standard input closes, because
# its owner let go of it or is no more, it ends them all and removes DIR. SIGKILL at once: nothing that they would still
# write outlives DIR, and kube-apiserver takes 5 to 9 s to end by itself.
trap : PIPE # the owner may be gone before it reads the answer
dir=$1
pids=
while IFS= read -r name; do
  case $name in
  "wait "*)
    wait "${name#wait }"
    echo "$?"
    continue
    ;;
  esac
  sh "$dir/run/$name.sh" </dev/null >>"$dir/log/$name.log" 2>&1 &
  pids="$pids $!"
  echo "$!"
done
exec 2>/dev/null
[ -z "$pids" ] || kill -KILL $pids
wait
rm -rf "$dir"
