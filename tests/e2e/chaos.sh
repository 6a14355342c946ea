#!/usr/bin/env bash
# Three minutes of faults, one of each kind, on three brokers under writing and reading clients: nothing that was acknowledged is lost.
# tests/Arus.Chaos says what else it can do (--help). MINUTES (3). Needs root.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
chaos="$root/tests/Arus.Chaos/bin/$configuration/net10.0/Arus.Chaos"
[ -x "$chaos" ] || dotnet build "$root/tests/Arus.Chaos" -c "$configuration" -v q -nologo || exit 1

check "what was acknowledged through all faults is in the log" "$chaos" run --minutes "${MINUTES:-3}"
finish
