#!/usr/bin/env bash
# Three server processes are one cluster: topics, producing and consuming work through any of them.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

for id in 1 2 3; do
  start_server "$id"
done
via() { # id command...
  local id=$1
  shift
  ARUS_CLI_GATEWAY=127.0.0.1:$(gateway_port "$id") arus "$@"
}

sees_three() { [ "$(via "$1" cluster --json | grep -o '"brokerId"' | wc -l)" -eq 3 ]; }
for id in 1 2 3; do
  check "a client of server $id sees three brokers" wait_for 20 sees_three "$id"
done

for id in 1 2 3; do
  check "server $id creates a topic" via "$id" topic create "topic-$id" --partitions 6
  seq 1 10000 | awk '{ print "key-" $1 % 100 "\t" $1 }' >"$work/in"
  check "server $id takes records" via "$id" produce "topic-$id" --file "$work/in" --key-separator $'\t'
done

leaders() { via 1 topic describe topic-1 --json | grep -o '"leader":[0-9]*' | sort -u | wc -l; }
check "partitions are led by all three" [ "$(leaders)" -eq 3 ]

comes_out() { # topic via-server
  via "$2" consume "topic-$1" --from-beginning --exit-at-end --format key-value >"$work/out" &&
    [ "$(per_key_checksum "$work/out")" = "$(per_key_checksum "$work/in")" ]
}
for topic in 1 2 3; do
  for id in 1 2 3; do
    check "records of topic-$topic come out through server $id" comes_out "$topic" "$id"
  done
done
finish
