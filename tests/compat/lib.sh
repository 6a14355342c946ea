# Sourced by the client scripts: sets up, runs one client program and counts its checks.
# A program prints a line a check: "ok NAME", "not ok NAME: reason" or "skip NAME: reason" (what the client itself cannot do).
# shellcheck shell=bash
set -u -o pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

compat=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bootstrap=${1:-}
if [ -z "$bootstrap" ]; then
  echo "usage: $0 HOST:PORT" >&2
  exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

ok() { echo "ok $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok $1: $2"; failed=$((failed + 1)); }

finish() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# For scripts that are the client program themselves.
check() { # name command...
  local name=$1
  shift
  if "$@" 2>"$work/error"; then ok "$name"; else not_ok "$name" "$(tr '\n' ' ' <"$work/error" | tail -c 300)"; fi
}

# Waits, within $deadline seconds of the script's.
until_true() { # what command...
  local what=$1 end=$((SECONDS + deadline))
  shift
  until "$@"; do
    if [ $SECONDS -ge $end ]; then
      echo "not within $deadline s: $what" >&2
      return 1
    fi
    sleep 0.1
  done
}

# Of lines in any order.
digest() { sort | sha256sum | cut -d' ' -f1; }

# Without its client a script has failed: nothing was proven.
unavailable() {
  not_ok "$1" "$2"
  finish
  exit 1
}

need_apt() { # package...
  local package missing=()
  for package; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  # One at a time: the scripts may run side by side.
  exec 9>/tmp/arus-compat-apt.lock
  flock 9
  { apt-get install -y -qq "${missing[@]}" >"$work/apt" 2>&1 ||
    { apt-get update -qq >"$work/apt" 2>&1 && apt-get install -y -qq "${missing[@]}" >"$work/apt" 2>&1; }; } ||
    { tail -n 5 "$work/apt"; unavailable "install" "apt-get install ${missing[*]} failed"; }
  flock -u 9
}

# Runs a client program, shows what it prints and counts its lines.
run_program() { # command...
  timeout --kill-after=5 "${COMPAT_TIMEOUT:-150}" "$@" 2>"$work/stderr" | tee "$work/stdout"
  local code=${PIPESTATUS[0]}
  passed=$((passed + $(grep -c '^ok ' "$work/stdout")))
  failed=$((failed + $(grep -c '^not ok ' "$work/stdout")))
  if ! grep -q '^done$' "$work/stdout"; then
    not_ok "runs to its end" "exit code $code, 124 for the time limit"
  fi
  if [ "$failed" -gt 0 ]; then
    echo "--- stderr of the client (end) ---"
    tail -n 30 "$work/stderr"
    echo "---"
  fi
}
