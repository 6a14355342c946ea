#!/usr/bin/env bash
# kcat (Debian's package, librdkafka inside). usage: kcat.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
need_apt kcat python3-confluent-kafka

run=compat-kcat-$$-$(date +%s%N)
deadline=40
records=400

# kcat itself creates topics only by writing to them.
create_topic() { # topic partitions
  timeout 60 /usr/bin/python3 - "$bootstrap" "$1" "$2" <<'PYTHON'
import sys
from confluent_kafka.admin import AdminClient, NewTopic
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
for f in admin.create_topics([NewTopic(sys.argv[2], int(sys.argv[3]), 1)], operation_timeout=20).values():
    f.result(40)
PYTHON
}

# Key, value lines; blanks and UTF-8 inside, an empty value now and then.
lines() { # seed count
  awk -v seed="$1" -v count="$2" 'BEGIN {
    for (i = 0; i < count; i++) {
      value = "value " seed " " i " "
      for (j = 0; j < i % 40; j++) value = value "äöü " (i * j)
      print "key-" i % 50 "|" (i % 41 == 7 ? "" : value)
    }
  }'
}

produce() { timeout $deadline kcat -q -b "$bootstrap" -P -t "$1" -K '|' -H a=1 -H "b=two words" "${@:2}"; } # topic options... <lines
read_all() { timeout $deadline kcat -q -b "$bootstrap" -C -t "$1" -o beginning -e "${@:2}"; }

codec_check() { # codec
  local topic=$run-$1
  create_topic "$topic" 4 || return
  lines "$1" $records >"$work/in-$1"
  produce "$topic" -z "$1" -l "$work/in-$1" || return
  read_all "$topic" -f '%k|%s\n' >"$work/out-$1" || return
  [ "$(digest <"$work/in-$1")" = "$(digest <"$work/out-$1")" ] || { echo "other bytes came out" >&2; return 1; }
  [ "$(read_all "$topic" -f '%h\n' | sort | uniq -c | awk '{$1 = $1; print}')" = "$records a=1,b=two words" ] ||
    { echo "other headers came out" >&2; return 1; }
}

metadata_check() {
  create_topic "$run-metadata" 3 || return
  until_true "3 partitions in the metadata" sh -c "kcat -q -b '$bootstrap' -L -t '$run-metadata' -m 10 | grep -q 'with 3 partitions'"
}

auto_create_check() {
  echo 'k|v' | produce "$run-auto" || return
  [ "$(read_all "$run-auto" -f '%k|%s')" = 'k|v' ]
}

idempotent_check() {
  local topic=$run-idempotent
  create_topic "$topic" 1 || return
  seq 1 5000 >"$work/sequence"
  timeout $deadline kcat -q -b "$bootstrap" -P -t "$topic" -p 0 -l "$work/sequence" -X enable.idempotence=true \
    -X max.in.flight=5 -X batch.num.messages=50 -X linger.ms=1 || return
  read_all "$topic" -f '%s\n' | cmp - "$work/sequence" >&2
}

query_check() {
  local topic=$run-query
  create_topic "$topic" 1 || return
  seq 1 10 | timeout $deadline kcat -q -b "$bootstrap" -P -t "$topic" -p 0 || return
  [ "$(timeout $deadline kcat -b "$bootstrap" -Q -t "$topic:0:-1")" = "$topic [0] offset 10" ] || return
  [ "$(timeout $deadline kcat -b "$bootstrap" -Q -t "$topic:0:1000")" = "$topic [0] offset 0" ]
}

# A member in the background writes its records to NAME and kcat's notes to NAME.err.
member() { # name
  kcat -b "$bootstrap" -G "$run-group" -u -f '%p:%o %k|%s\n' -X auto.offset.reset=earliest -X heartbeat.interval.ms=500 \
    -X session.timeout.ms=10000 -X partition.assignment.strategy=range "$run-shared" >"$work/$1" 2>"$work/$1.err" &
  echo $! >"$work/$1.pid"
}

assigned() { grep 'rebalanced' "$work/$1.err" | tail -n 1 | grep -v 'revoked' | grep -o '\[[0-9]*\]' | wc -l; }
both_have_two() { [ "$(assigned first)" -eq 2 ] && [ "$(assigned second)" -eq 2 ]; }
has_all() { [ "$(assigned "$1")" -eq 4 ]; }
received() { cat "$@" 2>/dev/null | wc -l; }
have() { local count=$1; shift; [ "$(received "$@")" -ge "$count" ]; }
same() { # expected-file received-files...
  [ "$(digest <"$1")" = "$(cat "${@:2}" | cut -d' ' -f2- | digest)" ] || { echo "other bytes came out" >&2; return 1; }
}
stop() { # name
  local pid
  pid=$(cat "$work/$1.pid")
  kill -INT "$pid"
  until_true "the consumer ends" sh -c "! kill -0 $pid 2>/dev/null"
}

share_check() {
  create_topic "$run-shared" 4 || return
  member first
  member second
  until_true "both members have two partitions" both_have_two || return
  lines share $records >"$work/in"
  produce "$run-shared" -l "$work/in" || return
  until_true "all records" have $records "$work/first" "$work/second" || return
  same "$work/in" "$work/first" "$work/second"
}

rebalance_check() {
  local before
  stop second || return
  until_true "the remaining member has all partitions" has_all first || return
  before=$(received "$work/first")
  lines rebalance 100 >"$work/in"
  produce "$run-shared" -l "$work/in" || return
  until_true "the records after the rebalance" have $((before + 100)) "$work/first" || return
  tail -n +$((before + 1)) "$work/first" >"$work/first.after"
  same "$work/in" "$work/first.after" && stop first
}

restart_check() {
  lines restart 100 >"$work/in"
  produce "$run-shared" -l "$work/in" || return
  member third
  until_true "the records after the commit" have 100 "$work/third" || return
  stop third && same "$work/in" "$work/third"
}

check "metadata" metadata_check
check "a topic is created by writing to it" auto_create_check
for codec in none gzip snappy lz4 zstd; do
  check "same bytes out as in: $codec" codec_check $codec
done
check "a group of two shares the partitions" share_check
check "the group rebalances when a member leaves" rebalance_check
check "a restart goes on from the commit" restart_check
check "idempotent producer keeps order" idempotent_check
check "offsets by time" query_check
echo "skip admin: kcat has only metadata"
for pid in "$work"/*.pid; do
  kill "$(cat "$pid")" 2>/dev/null
done
finish
