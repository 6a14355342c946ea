#!/usr/bin/env bash
# Third parties' Kafka clients against Arus. usage: run.sh [HOST:PORT]
# Without an address a server of this checkout is started on free ports, with its data in a temporary directory.
# COMPAT_CLIENTS="kcat kafkajs" runs only these; COMPAT_SERVER_LOG=FILE keeps the server's log. The last line sums up.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
clients=${COMPAT_CLIENTS:-kcat confluent-kafka kafka-python kafkajs platformatic sarama}
bootstrap=${1:-}
data=$(mktemp -d)
server=

stop_server() {
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null
    for _ in $(seq 300); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$server" 2>/dev/null
    wait "$server" 2>/dev/null
  fi
  rm -rf "$data"
}
trap stop_server EXIT
trap 'exit 130' INT TERM

# So many ports that nobody listens on, at once so that they differ.
free_ports() {
  /usr/bin/python3 -c '
import socket, sys
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(x.getsockname()[1] for x in s))' "$1"
}

start_server() {
  local kafka http silo gateway project
  for project in src/Arus.Server src/Arus.Cli; do
    dotnet build $project -v q -nologo >"$data/build" 2>&1 || { tail -n 20 "$data/build"; return 1; }
  done
  read -r kafka http silo gateway < <(free_ports 4) || return 1
  bootstrap=127.0.0.1:$kafka
  dotnet "$(ls -t src/Arus.Server/bin/*/net*/Arus.Server.dll | head -n 1)" \
    --listeners="PLAINTEXT://$bootstrap" --arus.http.endpoint="127.0.0.1:$http" --log.dir="$data/log" \
    --orleans.silo.port="$silo" --orleans.gateway.port="$gateway" --arus.flush=os --group.initial.rebalance.delay.ms=500 \
    >"$data/server" 2>&1 &
  server=$!
  export ARUS_CLI_GATEWAY=127.0.0.1:$gateway
  for _ in $(seq 300); do
    kill -0 "$server" 2>/dev/null || break
    curl -fsS "http://127.0.0.1:$http/health/ready" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "the server does not start:"
  tail -n 20 "$data/server"
  return 1
}

passed=0
failed=0
# The native client has an address of its own, which only a server of ours, or the caller, can tell.
if [ -z "${COMPAT_CLIENTS:-}" ] && { [ -z "$bootstrap" ] || [ -n "${ARUS_CLI_GATEWAY:-}" ]; }; then
  clients="$clients mixed"
fi
if [ -z "$bootstrap" ] && ! start_server; then
  echo "0 passed, 1 failed"
  exit 1
fi

# Most of a client's time is waiting, so three run at once; their output comes in order.
printf '%s\n' $clients | xargs -P 3 -I '{}' sh -c '"tests/compat/$1.sh" "$2" >"$3/$1" 2>&1' sh '{}' "$bootstrap" "$data"
for client in $clients; do
  echo "== $client"
  cat "$data/$client"
  last=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$data/$client" | tail -n 1)
  read -r p _ f _ <<<"${last:-0 passed, 1 failed}"
  passed=$((passed + p))
  failed=$((failed + f))
done

# The same requests to Apache Kafka, where it is at hand; that has a server of its own, and the machine to itself.
if [ -z "${COMPAT_CLIENTS:-}" ] && [ -n "$server" ]; then
  echo "== kafka-diff"
  tests/compat/kafka-diff.sh >"$data/kafka-diff" 2>&1
  tail -n 30 "$data/kafka-diff"
  read -r p _ f _ <<<"$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$data/kafka-diff" | tail -n 1)"
  passed=$((passed + ${p:-0}))
  failed=$((failed + ${f:-1}))
fi

if [ -n "$server" ]; then
  if ! kill -0 "$server" 2>/dev/null; then
    echo "not ok the server is still there"
    failed=$((failed + 1))
  fi
  if [ "$failed" -gt 0 ]; then
    echo "== the server's log (end)"
    grep -v ' info: ' "$data/server" | tail -n 40
  fi
  [ -z "${COMPAT_SERVER_LOG:-}" ] || cp "$data/server" "$COMPAT_SERVER_LOG"
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
