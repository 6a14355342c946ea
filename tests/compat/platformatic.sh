#!/usr/bin/env bash
# @platformatic/kafka (npm): a client of only recent protocol versions, with topic ids. usage: platformatic.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
command -v npm >/dev/null || need_apt nodejs npm
cache=${COMPAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arus-compat}/platformatic
mkdir -p "$cache"
if ! [ -d "$cache/node_modules/@platformatic/kafka" ]; then
  (cd "$cache" && npm install --no-audit --no-fund --no-save --silent @platformatic/kafka@1.35.0) >"$work/npm" 2>&1 ||
    { tail -n 5 "$work/npm"; unavailable install "npm install @platformatic/kafka failed"; }
fi
# Node.js finds modules of an ECMAScript module beside it or above, not by NODE_PATH.
program=$cache/run-$$
mkdir -p "$program"
trap 'rm -rf "$work" "$program"' EXIT
cp "$compat/platformatic/compat.mjs" "$compat/javascript/common.cjs" "$program"
run_program node "$program/compat.mjs" "$bootstrap"
finish
