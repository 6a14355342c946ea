#!/usr/bin/env bash
# kafkajs (npm), with its plug-in for snappy. usage: kafkajs.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
command -v npm >/dev/null || need_apt nodejs npm
cache=${COMPAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arus-compat}/kafkajs
mkdir -p "$cache"
if ! [ -d "$cache/node_modules/kafkajs" ] || ! [ -d "$cache/node_modules/kafkajs-snappy" ]; then
  (cd "$cache" && npm install --no-audit --no-fund --no-save --silent kafkajs@2.2.4 kafkajs-snappy@1.1.0) >"$work/npm" 2>&1 ||
    { tail -n 5 "$work/npm"; unavailable install "npm install kafkajs failed"; }
fi
NODE_PATH=$cache/node_modules KAFKAJS_NO_PARTITIONER_WARNING=1 run_program node "$compat/kafkajs/compat.js" "$bootstrap"
finish
