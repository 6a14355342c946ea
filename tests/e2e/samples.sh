#!/usr/bin/env bash
# The README's C# snippets, as the program in tests/Arus.Samples runs them. That the README shows the same text is a unit test.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
samples="$root/tests/Arus.Samples/bin/$configuration/net10.0/Arus.Samples"
[ -x "$samples" ] || dotnet build "$root/tests/Arus.Samples" -c "$configuration" -v q -nologo || exit 1

start_server 1
timeout 120 "$samples" "$(gateway_port 1)" | tee "$work/samples.out"
passed=$((passed + $(grep -c '^ok: ' "$work/samples.out")))
failed=$((failed + $(grep -c '^FAILED: ' "$work/samples.out")))
check "every sample ran" grep -qE '^[0-9]+ passed, 0 failed$' "$work/samples.out"
finish
