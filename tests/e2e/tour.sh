#!/usr/bin/env bash
# The README's own words: its run command, then its tour, pasted.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1

section() { # heading: the first bash block below it
  awk -v heading="$1" '$0 == heading { found = 1; next } found && /^```bash/ { inside = 1; next } inside && /^```/ { exit } inside { print }' README.md
}

run_command=$(section '## Run')
check "the README has a run command" [ -n "$run_command" ]
ARUS_LOG_DIR="$work/data" setsid bash -c "$run_command" >"$work/server.out" 2>&1 &
server=$!
trap 'kill -KILL -- -$server 2>/dev/null; on_exit' EXIT
check "the run command starts a server" wait_for 120 curl -fs http://localhost:8080/health/ready
[ "$failed" -eq 0 ] || cat "$work/server.out"

section '## A tour in five minutes' >"$work/tour"
check "the README has a tour" [ -s "$work/tour" ]
check "the tour works when pasted" timeout 240 bash -euo pipefail -x "$work/tour"
check "the tour's group has read what it says" grep -q . /tmp/first.txt
finish
