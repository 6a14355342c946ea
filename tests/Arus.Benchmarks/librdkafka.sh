#!/usr/bin/env bash
# A broker process under librdkafka's own performance tool: produce, consume, latency, idle costs, as tables. Measures; proves nothing.
# RDKAFKA_PERFORMANCE names the tool. Debian does not package it: build examples/rdkafka_performance.c of librdkafka's source
# against the installed librdkafka (librdkafka-dev). ROUNDS (3): the median of so many runs is printed.
# ONLY: some of "produce consume latency end_to_end". FLUSH: some of "os always".
set -uo pipefail
CONFIGURATION=Release
. "$(dirname "$0")/../e2e/lib.sh"
export ARUS_CLI_GATEWAY=127.0.0.1:$(gateway_port 1)
tool=${RDKAFKA_PERFORMANCE:?name librdkafka\'s rdkafka_performance in RDKAFKA_PERFORMANCE}
rounds=${ROUNDS:-3}
bootstrap=127.0.0.1:$(kafka_port 1)

topic() { arus topic create "$1" --partitions "$2" >/dev/null; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
rate() { tr '\r' '\n' <"$1" | grep -oE '[0-9]+ msgs/s' | tail -n 1 | cut -d' ' -f1; }
processor_ms() { awk '{ print ($14 + $15) * 10 }' "/proc/${server_pid[1]}/stat"; }
resident_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/${server_pid[1]}/status"; }

send() { # topic size count codec
  timeout 120 "$tool" -P -t "$1" -s "$2" -c "$3" -z "$4" -a -1 -b "$bootstrap" \
    -X linger.ms=5 -X batch.num.messages=100000 -X queue.buffering.max.messages=1000000 -X queue.buffering.max.kbytes=524288 >"$work/send.out" 2>&1
  rate "$work/send.out"
}

# The queue takes everything, since librdkafka before 2.2 pauses for a second whenever it is full; and a response is a megabyte, since
# with larger ones it spends more time on getting memory from the system than on records.
receive() { # topic partitions count
  local partition flags=()
  for ((partition = 0; partition < $2; partition++)); do flags+=(-p "$partition"); done
  timeout 120 "$tool" -C -t "$1" "${flags[@]}" -o beginning -c "$3" -b "$bootstrap" -X queued.min.messages=1000000 \
    -X queued.max.messages.kbytes=1000000 -X message.max.bytes=1000000 -X fetch.max.bytes=1000000 >"$work/receive.out" 2>&1
  rate "$work/receive.out"
}

produce() { # flush
  local size partitions codec name round before count rates
  echo "| produce, flush=$1 | partitions | codec | records/s | MB/s | broker's processor time |"
  echo "|---|---|---|---|---|---|"
  for size in 100 1024; do
    count=$((size == 100 ? 3000000 : 600000))
    for partitions in 1 12; do
      for codec in none lz4; do
        name=produce-$size-$partitions-$codec
        topic $name $partitions
        send $name $size $((count / 3)) $codec >/dev/null # warms up
        before=$(processor_ms)
        rates=$(for ((round = 0; round < rounds; round++)); do send $name $size $count $codec; done | median)
        echo "| $size B | $partitions | $codec | $rates | $((rates * size / 1000000)) | $((($(processor_ms) - before) / rounds)) ms |"
      done
    done
  done
}

# From the start: the records are there. At the head: the consumer waits on an empty topic, then takes what a producer sends meanwhile.
consume() { # flush
  local partitions start head round
  echo "| consume 100 B, flush=$1 | partitions | records/s |"
  echo "|---|---|---|"
  for partitions in 1 12; do
    topic consume-$partitions $partitions
    send consume-$partitions 100 3000000 none >/dev/null
    receive consume-$partitions $partitions 1000000 >/dev/null # warms up
    start=$(for ((round = 0; round < rounds; round++)); do receive consume-$partitions $partitions 3000000; done | median)
    head=$(for ((round = 0; round < rounds; round++)); do
      topic head-$partitions-$round $partitions
      receive head-$partitions-$round $partitions 3000000 >"$work/head" &
      send head-$partitions-$round 100 3000000 none >/dev/null
      wait $!
      cat "$work/head"
    done | median)
    echo "| from the start | $partitions | $start |"
    echo "| at the head, with the producer on the same cores | $partitions | $head |"
  done
}

percentiles() { # name file: microseconds a line; the first fifth is the warm-up
  local total
  total=$(wc -l <"$2")
  tail -n +$((total / 5)) "$2" | sort -n | awk -v name="$1" '
    function at(q) { i = int(NR * q); return v[i < 1 ? 1 : i] / 1000 }
    { v[NR] = $1 } END { printf "| %s | %.1f ms | %.1f ms | %.1f ms | %.1f ms |\n", name, at(0.5), at(0.9), at(0.99), at(1) }'
}

latency() { # flush
  local rate linger
  echo "| acknowledgement, 100 B, 12 partitions, flush=$1 | p50 | p90 | p99 | max |"
  echo "|---|---|---|---|---|"
  topic latency 12
  for linger in 1 0; do
    for rate in 1000 20000; do
      timeout 60 "$tool" -P -t latency -s 100 -c $((rate * 12)) -r $rate -a -1 -b "$bootstrap" -X linger.ms=$linger -l -A "$work/latency" >"$work/latency.out" 2>&1
      percentiles "$rate/s, linger.ms=$linger" "$work/latency"
    done
  done
}

# From the producer's call to the consumer's callback.
end_to_end() { # flush
  local rate partition flags=()
  for ((partition = 0; partition < 12; partition++)); do flags+=(-p $partition); done
  echo "| producer to consumer, 100 B, 12 partitions, linger.ms=1, flush=$1 | p50 | p90 | p99 | max |"
  echo "|---|---|---|---|---|"
  for rate in 1000 20000; do
    topic end-to-end-$rate 12
    timeout 60 "$tool" -C -t end-to-end-$rate "${flags[@]}" -o beginning -c $((rate * 12)) -l -A "$work/end-to-end" -b "$bootstrap" \
      -X fetch.wait.max.ms=500 >"$work/receive.out" 2>&1 &
    timeout 60 "$tool" -P -t end-to-end-$rate -s 100 -c $((rate * 12)) -r $rate -a -1 -l -b "$bootstrap" -X linger.ms=1 >"$work/send.out" 2>&1
    wait $!
    percentiles "$rate/s" "$work/end-to-end"
  done
}

stop_server() {
  kill_server 1 TERM
  rm -rf "$work"/log-1 "$work"/metadata
}

idle() {
  local before
  sleep 5
  before=$(resident_kib)
  echo "| idle broker | $((before / 1024)) MiB |"
  /usr/bin/python3 - "$(kafka_port 1)" "${server_pid[1]}" <<'PYTHON'
import resource, socket, struct, sys, time
port, pid = int(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
resident = lambda: next(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))
before, connections = resident(), []
for _ in range(2000):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(struct.pack(">ihhih4s", 14, 18, 0, 1, 4, b"idle"))  # ApiVersions, version 0
    size, = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    connection.recv(size, socket.MSG_WAITALL)
    connections.append(connection)
time.sleep(3)
print(f"| 2,000 idle connections | {(resident() - before) / 2000:.1f} KiB each |")
PYTHON
}

first_answer() {
  local started
  started=$(date +%s%N)
  start_server 1
  kcat -L -b "$bootstrap" >"$work/kcat.out" || echo "kcat got no answer"
  echo "| start to the first answered request, on an empty folder | $((($(date +%s%N) - started) / 1000000)) ms |"
}

echo "| idle costs | |"
echo "|---|---|"
first_answer
idle
stop_server
echo
for flush in ${FLUSH:-os always}; do
  start_server 1 --arus.flush=$flush
  for part in ${ONLY:-produce consume latency end_to_end}; do
    $part $flush
    echo
  done
  stop_server
done
