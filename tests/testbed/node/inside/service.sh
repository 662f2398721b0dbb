#!/usr/bin/env bash
# service.sh start|stop|restart|kill NAME    the node's daemons, each /etc/services.d/NAME: a script that ends in exec.
#
# Output goes to /out/log/NAME.log. `stop` asks and waits, `kill` does not ask. What is there at the end of `start` is a process.
set -euo pipefail
verb=$1 name=$2 pids=/run/services
mkdir -p $pids
alive() { [ -e "$pids/$name" ] && kill -0 "$(cat "$pids/$name")" 2>/dev/null; }
end() {
  alive || return 0
  kill "-$1" "$(cat "$pids/$name")"
  for _ in $(seq 600); do alive || return 0; sleep 0.05; done
  kill -KILL "$(cat "$pids/$name")"
}
start() {
  setsid bash "/etc/services.d/$name" >>"/out/log/$name.log" 2>&1 </dev/null &
  echo $! >"$pids/$name"
}
case $verb in
  start) alive || start ;;
  stop) end TERM ;;
  kill) end KILL ;;
  restart) end TERM; start ;;
  *) echo "usage: service.sh start|stop|restart|kill NAME" >&2; exit 2 ;;
esac
