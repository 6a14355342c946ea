#!/usr/bin/env bash
# The same raw requests to Apache Kafka and to a server of this checkout; every answer that differs is listed in DIFFERENCES.md, or this
# fails. usage: kafka-diff.sh. It needs Java 17, and the folders `kafka` and `diff` below KAFKA_DIFF_TOOLS (`../shared` beside the
# checkout, if unset); where they are not at hand nothing is compared, and the last line says 0 passed, 0 failed.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
tools=${KAFKA_DIFF_TOOLS:-$PWD/../shared}
if [ ! -x "$tools/kafka/kafka" ] || [ ! -e "$tools/diff/diff.py" ] || ! command -v java >/dev/null; then
  echo "skip Apache Kafka is not at hand (KAFKA_DIFF_TOOLS)"
  echo "0 passed, 0 failed"
  exit 0
fi

work=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || kill -TERM "$server" 2>/dev/null
  "$tools/kafka/kafka" stop "$work/kafka"
  [ -z "$server" ] || wait "$server" 2>/dev/null
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

fail() { echo "not ok $1"; [ -z "${2:-}" ] || tail -n 20 "$2"; echo "0 passed, 1 failed"; exit 1; }

# Kafka takes its port and the next one.
read -r port http silo gateway kafka < <(/usr/bin/python3 -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
while True:
    a = socket.create_server(("127.0.0.1", 0))
    try: b = socket.create_server(("127.0.0.1", a.getsockname()[1] + 1))
    except (OSError, OverflowError): continue
    break
print(*(x.getsockname()[1] for x in s), a.getsockname()[1])')
"$tools/kafka/kafka" start "$work/kafka" "$kafka" num.partitions=4 controller.quorum.append.linger.ms=0 >"$work/kafka-start" 2>&1 ||
  fail "Apache Kafka starts" "$work/kafka-start"

dotnet build src/Arus.Server -v q -nologo >"$work/build" 2>&1 || fail "the server builds" "$work/build"
# What `kafka start` writes into Kafka's properties file, so that both tell the same values with the same sources.
same=(--num.partitions=4 --node.id=1 --process.roles=broker,controller --controller.listener.names=CONTROLLER
  --controller.quorum.append.linger.ms=0 --controller.quorum.voters="1@127.0.0.1:$((kafka + 1))" --default.replication.factor=1
  --offsets.topic.replication.factor=1 --transaction.state.log.replication.factor=1 --transaction.state.log.min.isr=1
  --share.coordinator.state.topic.replication.factor=1 --share.coordinator.state.topic.min.isr=1)
dotnet "$(ls -t src/Arus.Server/bin/*/net*/Arus.Server.dll | head -n 1)" \
  --listeners="PLAINTEXT://127.0.0.1:$port" --advertised.listeners="PLAINTEXT://127.0.0.1:$port" \
  --arus.http.endpoint="127.0.0.1:$http" --log.dir="$work/log" \
  --orleans.silo.port="$silo" --orleans.gateway.port="$gateway" "${same[@]}" >"$work/server" 2>&1 &
server=$!
for _ in $(seq 300); do
  kill -0 "$server" 2>/dev/null || fail "the server starts" "$work/server"
  curl -fsS "http://127.0.0.1:$http/health/ready" >/dev/null 2>&1 && break
  sleep 0.1
done

(cd "$tools/diff" && PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 diff.py "127.0.0.1:$kafka" "127.0.0.1:$port" "$@") \
  >"${KAFKA_DIFF_OUTPUT:-$work/output}" 2>"$work/errors"
tail -n 9 "${KAFKA_DIFF_OUTPUT:-$work/output}"
/usr/bin/python3 tests/compat/differences.py "${KAFKA_DIFF_OUTPUT:-$work/output}"
