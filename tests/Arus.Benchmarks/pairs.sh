#!/usr/bin/env bash
# Consumption by the native client and by librdkafka from one broker, one after the other, ROUNDS (5) times for each record size, so that
# what else the machine does meets both. Prints each pair with the processor time of both clients, then the medians. Measures; proves nothing.
# RDKAFKA_PERFORMANCE names librdkafka's tool, as in librdkafka.sh.
set -uo pipefail
CONFIGURATION=Release
. "$(dirname "$0")/../e2e/lib.sh"
export ARUS_CLI_GATEWAY=127.0.0.1:$(gateway_port 1)
tool=${RDKAFKA_PERFORMANCE:?name librdkafka\'s rdkafka_performance in RDKAFKA_PERFORMANCE}
rounds=${ROUNDS:-5}
TIMEFORMAT='%U %S'

field() { grep -oE "\"$1\":[0-9.eE+-]+" <<<"$2" | cut -d: -f2; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
seconds() { awk '{ print $1 + $2 }' "$1"; }

native() { # topic count
  { time arus bench consume "$1" --records "$2" --warmup $(($2 / 5)) --json >"$work/native.out" 2>/dev/null; } 2>"$work/native.time"
  field recordsPerSecond "$(cat "$work/native.out")"
}

librdkafka() { # topic count
  { time timeout 120 "$tool" -C -t "$1" -p 0 -p 1 -p 2 -p 3 -p 4 -p 5 -o beginning -c $(($2 * 6 / 5)) -b "127.0.0.1:$(kafka_port 1)" \
    -X queued.min.messages=1000000 -X queued.max.messages.kbytes=1000000 -X message.max.bytes=1000000 -X fetch.max.bytes=1000000 \
    >"$work/librdkafka.out" 2>&1; } 2>"$work/librdkafka.time"
  tr '\r' '\n' <"$work/librdkafka.out" | grep -oE '[0-9]+ msgs/s' | tail -n 1 | cut -d' ' -f1
}

start_server 1 --arus.flush=os
echo "| record | native/s | librdkafka/s | ratio | processor seconds: native | librdkafka |"
echo "|---|---|---|---|---|---|"
for size in 100 1024; do
  count=$((size == 100 ? 4000000 : 2000000))
  arus topic create "pairs-$size" --partitions 6 >/dev/null
  arus bench produce "pairs-$size" --records $((count * 6 / 5)) --warmup 0 --size $size >/dev/null 2>&1
  native "pairs-$size" $count >/dev/null # the first read after the write is nobody's measure
  for ((round = 0; round < rounds; round++)); do
    n=$(native "pairs-$size" $count) l=$(librdkafka "pairs-$size" $count)
    awk -v s=$size -v n="$n" -v l="$l" -v a="$(seconds "$work/native.time")" -v b="$(seconds "$work/librdkafka.time")" \
      'BEGIN { printf "| %d B | %d | %d | %.2f | %.2f | %.2f |\n", s, n, l, n / l, a, b }'
  done | tee "$work/pairs"
  echo "median of $size B: native $(cut -d'|' -f3 "$work/pairs" | median)/s, librdkafka $(cut -d'|' -f4 "$work/pairs" | median)/s," \
    "ratio $(cut -d'|' -f5 "$work/pairs" | median)"
done
kill_server 1 TERM
