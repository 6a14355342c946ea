#!/usr/bin/env bash
# A single broker's directory becomes the first of a cluster, as the README has it: records and offsets stay, other brokers take copies,
# and the first may die.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1

start_server 1
export ARUS_CLI_GATEWAY="127.0.0.1:$(gateway_port 1)"
check "a single broker has a topic" arus topic create lines --partitions 3
check "and a compacted one" arus topic create state --partitions 1 --config cleanup.policy=compact
seq 1 5000 | awk '{ print "key-" $1 % 100 "\t" $1 }' >"$work/in"
check "it takes records" arus produce lines --file "$work/in" --key-separator $'\t'
check "of both" arus produce state --file "$work/in" --key-separator $'\t'
read_all() { arus consume lines --group readers --from-beginning --count 5000 --format key-value >"$work/read"; }
check "a group reads them" read_all
dump() { arus consume "$1" --from-beginning --exit-at-end --format key-value; }
offsets() { arus group describe readers --json | grep -o '"offsets":.*'; }
offsets >"$work/offsets"
dump lines >"$work/before"
dump state >"$work/state-before"

check "PostgreSQL starts" start_postgres
[ "$failed" -eq 0 ] || finish
export ARUS_DATABASE="Host=127.0.0.1;Port=$postgres_port;Database=arus;Username=arus;Password=secret"
says() { # words command...
  local words=$1
  shift
  "$@" >"$work/said" 2>&1
  grep -q -- "$words" "$work/said" || { cat "$work/said"; return 1; }
}
check "a directory in use is refused" says "is in use by another process" arus db import "$work/log-1"
kill_server 1 TERM
check "a folder of no broker is refused" says "is no directory of a broker" arus db import "$work"
check "arus db import takes it" says "2 topics with 4 partitions" arus db import "$work/log-1"
cat "$work/said"
check "once" says "has a database already" arus db import "$work/log-1"
without_database() { env -u ARUS_DATABASE "$server_binary" --log.dir="$work/log-1"; }
check "without the database it does not start any more" says "whose metadata is in a database" without_database

for id in 1 2 3; do
  start_server "$id"
done
same() { # topic file
  dump "$1" >"$work/after" && [ "$(per_key_checksum "$work/after")" = "$(per_key_checksum "$2")" ]
}
check "the records are there" wait_for 60 same lines "$work/before"
check "the compacted topic's, too" wait_for 60 same state "$work/state-before"
check "the group's offsets are what they were" test "$(offsets)" = "$(cat "$work/offsets")"
check "new records are taken" arus produce lines --file "$work/in" --key-separator $'\t'
read_new() { arus consume lines --group readers --count 5000 --format key-value >"$work/more"; }
check "the group goes on behind what it had read" read_new
check "and reads each once" test "$(sort -u "$work/more" | wc -l)" -eq 5000
for partition in 0 1 2; do
  check "partition $partition gets copies" arus cluster reassign lines -p "$partition" --replicas 2,3,1
done
moved() { [ "$(arus topic describe lines --json | grep -o '"isr":\[[^]]*\]' | grep -c ',.*,')" -eq 3 ]; }
check "and all are in sync" wait_for 90 moved
offsets() { arus group describe readers --json | grep -o '"offsets":.*'; }
offsets >"$work/offsets"
dump lines >"$work/before"
kill_server 1
export ARUS_CLI_GATEWAY="127.0.0.1:$(gateway_port 2)"
check "which outlive the first broker" wait_for 60 same lines "$work/before"
finish
