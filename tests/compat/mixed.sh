#!/usr/bin/env bash
# The native client (the arus command) and a Kafka client (kcat) on the same topics and in one group. usage: mixed.sh HOST:PORT
# ARUS_CLI_GATEWAY says where the native client connects to; see arus --help.
source "$(dirname "$0")/lib.sh"
need_apt kcat
cd "$compat/../.." || exit 1
arus=$(ls -t src/Arus.Cli/bin/*/net*/arus.dll 2>/dev/null | head -n 1)
[ -n "$arus" ] || unavailable "the native client" "src/Arus.Cli is not built"

run=compat-mixed-$$-$(date +%s%N)
deadline=60
arus() { timeout $deadline dotnet "$arus" "$@"; }
kafka() { timeout $deadline kcat -q -b "$bootstrap" "$@"; }
lines() { seq "$2" | awk -v seed="$1" '{ print "key-" $1 "|value " seed " " $1 " äöü" }'; } # seed count
same() { [ "$(digest <"$1")" = "$(digest <"$2")" ] || { echo "$(wc -l <"$1") lines in, $(wc -l <"$2") out, and not the same" >&2; return 1; }; }

create() { arus topic create "$1" --partitions 4 >/dev/null; }

native_to_kafka() { # codec
  local topic=$run-out-$1
  create "$topic" && lines out 300 >"$work/in" || return
  arus produce "$topic" -f "$work/in" -K '|' -H a=1 -z "$1" >/dev/null || return
  kafka -C -t "$topic" -o beginning -e -f '%k|%s\n' >"$work/out" && same "$work/in" "$work/out" || return
  [ "$(kafka -C -t "$topic" -o beginning -e -f '%h\n' | sort -u)" = a=1 ] || { echo "other headers" >&2; return 1; }
}

kafka_to_native() { # codec
  local topic=$run-in-$1
  create "$topic" && lines in 300 >"$work/in" || return
  kafka -P -t "$topic" -K '|' -z "$1" -l "$work/in" || return
  arus consume "$topic" --from-beginning -e --format KeyValue -K '|' >"$work/out" && same "$work/in" "$work/out"
}

native_member() { # name
  dotnet "$arus" consume "$run-group" -G "$run" --from-beginning --format KeyValue -K '|' >"$work/$1" 2>"$work/$1.err" &
  echo $! >"$work/$1.pid"
}
kafka_member() { # name
  kcat -b "$bootstrap" -G "$run" -u -f '%k|%s\n' -X auto.offset.reset=earliest -X heartbeat.interval.ms=500 \
    -X session.timeout.ms=10000 -X partition.assignment.strategy=range "$run-group" >"$work/$1" 2>"$work/$1.err" &
  echo $! >"$work/$1.pid"
}
assigned() { grep 'rebalanced' "$work/$1.err" | tail -n 1 | grep -v 'revoked' | grep -o '\[[0-9]*\]' | wc -l; }
has() { [ "$(assigned "$1")" -eq "$2" ]; }
have() { local count=$1; shift; [ "$(cat "$@" | wc -l)" -ge "$count" ]; }
stop() { # name
  local pid
  pid=$(cat "$work/$1.pid")
  kill -TERM "$pid" # a shell starts background jobs with SIGINT ignored
  until_true "$1 ends" sh -c "! kill -0 $pid 2>/dev/null"
}

share() {
  create "$run-group" || return
  kafka_member kafka
  until_true "the Kafka member has all partitions" has kafka 4 || return
  native_member native
  until_true "the Kafka member gave half of them up" has kafka 2 || return
  lines share 400 >"$work/in"
  kafka -P -t "$run-group" -K '|' -l "$work/in" || return
  until_true "all records" have 400 "$work/kafka" "$work/native" || return
  cat "$work/kafka" "$work/native" >"$work/out"
  same "$work/in" "$work/out" || return
  [ -s "$work/native" ] && [ -s "$work/kafka" ] || { echo "one member got nothing" >&2; return 1; }
}

kafka_leaves() {
  local before
  stop kafka || return
  before=$(wc -l <"$work/native")
  lines leaves 100 >"$work/in"
  kafka -P -t "$run-group" -K '|' -l "$work/in" || return
  until_true "the native member has what the other had" have $((before + 100)) "$work/native" || return
  tail -n +$((before + 1)) "$work/native" >"$work/out"
  same "$work/in" "$work/out" && stop native
}

kafka_goes_on() {
  lines more 100 >"$work/in"
  arus produce "$run-group" -f "$work/in" -K '|' >/dev/null || return
  kafka_member again
  until_true "the records after the native member's commit" have 100 "$work/again" || return
  stop again && same "$work/in" "$work/again"
}

for codec in none gzip snappy lz4 zstd; do
  check "native to Kafka: $codec" native_to_kafka $codec
  check "Kafka to native: $codec" kafka_to_native $codec
done
check "a native and a Kafka client share one group" share
check "the native client takes over when the Kafka client leaves" kafka_leaves
check "the Kafka client goes on from the native client's commit" kafka_goes_on
for pid in "$work"/*.pid; do
  kill "$(cat "$pid")" 2>/dev/null
done
finish
