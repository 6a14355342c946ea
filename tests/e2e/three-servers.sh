#!/usr/bin/env bash
# The README's cluster: three server processes and a PostgreSQL. Topics, producing and consuming work through any of them, whichever died.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1

check "a PostgreSQL starts" start_postgres
[ "$failed" -eq 0 ] || finish
export ARUS_DATABASE="Host=127.0.0.1;Port=$postgres_port;Database=arus;Username=arus;Password=secret"
check "arus db init waits for no broker" arus db init
unset ARUS_DATABASE

# The README's own words but for the port of the database and the folder of the records.
awk '$0 == "## A cluster" { found = 1; next } found && /^```bash/ { inside = 1; next } inside && /^```/ { exit } inside { print }' README.md |
  sed -e "s#Host=127.0.0.1;#Host=127.0.0.1;Port=$postgres_port;#" -e "s#data/broker#$work/broker#" >"$work/cluster"
check "the README says how to start a cluster" grep -q ARUS_DATABASE "$work/cluster"
setsid bash "$work/cluster" >"$work/servers.out" 2>&1 &
servers=$!
trap 'kill -KILL -- -$servers 2>/dev/null; on_exit' EXIT

ready() { curl -fs "http://127.0.0.1:$((8079 + $1))/health/ready"; }
gateway() { echo "127.0.0.1:$((29999 + $1))"; }
for id in 1 2 3; do
  check "server $id gets ready" wait_for 120 ready "$id"
done
[ "$failed" -eq 0 ] || { cat "$work/servers.out"; finish; }

via() { # id command...
  local id=$1
  shift
  ARUS_CLI_GATEWAY=$(gateway "$id") arus "$@"
}

sees() { # brokers id
  [ "$(via "$2" cluster --json | grep -o '"brokerId"' | wc -l)" -eq "$1" ]
}
for id in 1 2 3; do
  check "a client of server $id sees three brokers" wait_for 20 sees 3 "$id"
done

for id in 1 2 3; do
  check "server $id creates a topic" via "$id" topic create "topic-$id" --partitions 6
  seq 1 10000 | awk '{ print "key-" $1 % 100 "\t" $1 }' >"$work/in"
  check "server $id takes records" via "$id" produce "topic-$id" --file "$work/in" --key-separator $'\t'
done

# Soon: while a leadership is given to the preferred leader, the partition has none.
leaders() { for topic in 1 2 3; do via 1 topic describe "topic-$topic" --json; done | grep -o '"leader":[-0-9]*' | sort -u | tr -d '\n'; }
led_by_all() { [ "$(leaders)" = '"leader":1"leader":2"leader":3' ]; }
check "partitions are led by all three" wait_for 30 led_by_all

comes_out() { # topic via-server
  via "$2" consume "topic-$1" --from-beginning --exit-at-end --format key-value >"$work/out" &&
    [ "$(per_key_checksum "$work/out")" = "$(per_key_checksum "$work/in")" ]
}
for topic in 1 2 3; do
  for id in 1 2 3; do
    check "records of topic-$topic come out through server $id" comes_out "$topic" "$id"
  done
done

# The first is like any other; a client that knows several gateways finds the cluster.
pid_of() { pgrep -g "$servers" -f "Arus.Server.* --broker.id=$1 " | while read -r pid; do [ "$(cat "/proc/$pid/comm")" = Arus.Server ] && echo "$pid"; done; }
kill -KILL $(pid_of 1)
check "the other two see that the first is gone" wait_for 30 sees 2 2
several() { ARUS_CLI_GATEWAY="$(gateway 1),$(gateway 3)" arus cluster --json | grep -q '"brokerId":2'; }
for i in 1 2 3 4; do
  check "a client with a dead gateway among several finds the cluster" several
done
without_the_first() { comes_out "$1" 2; }
for topic in 1 2 3; do
  check "records of topic-$topic come out without the first" wait_for 30 without_the_first "$topic"
done
check "the cluster takes topics without the first" via 3 topic create topic-4 --partitions 4 --replication-factor 2
check "and records" via 2 produce topic-4 --file "$work/in" --key-separator $'\t'
finish
