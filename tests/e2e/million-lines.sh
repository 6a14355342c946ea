#!/usr/bin/env bash
# A real file of a million lines goes in keyed, into six partitions, and comes out as it went in; through kill -9 of the server.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
lines=${LINES_WANTED:-1000000}
export ARUS_CLI_GATEWAY=127.0.0.1:$(gateway_port 1)

make_lines "$work/in" "$lines"
echo "input: $(wc -l <"$work/in") lines, $(stat -c %s "$work/in") bytes, $(cut -f1 "$work/in" | sort -u | wc -l) keys"
check "the input is a million lines and 100 MB" [ "$(stat -c %s "$work/in")" -ge $((lines * 100)) ]
expected=$(per_key_checksum "$work/in")

start_server 1 --arus.flush=always
arus topic create lines --partitions 6 || failed=$((failed + 1))
check "every line is acknowledged" arus produce lines --file "$work/in" --key-separator $'\t'
read_back() { arus consume lines --from-beginning --exit-at-end --format key-value >"$work/out" && [ "$(per_key_checksum "$work/out")" = "$expected" ]; }
check "what comes out is what went in, by key" read_back

kill_server 1
start_server 1 --arus.flush=always
check "and again after kill -9 and a restart" read_back

kill_server 1 TERM
start_server 1 --arus.flush=os
check "and again after a graceful stop" read_back
finish
