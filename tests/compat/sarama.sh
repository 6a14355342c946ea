#!/usr/bin/env bash
# sarama (Debian's Go package). usage: sarama.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
need_apt golang-go golang-github-shopify-sarama-dev gcc libc6-dev
# GOPATH mode: the packages are in Debian's tree, nothing is downloaded.
mkdir -p "$work/src/compat" && cp "$compat"/sarama/*.go "$work/src/compat/"
export GO111MODULE=off GOPATH=$work:/usr/share/gocode GOFLAGS='' GOCACHE=${COMPAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arus-compat}/go
(cd "$work/src/compat" && go build -o "$work/compat" .) >"$work/go" 2>&1 || { tail -n 20 "$work/go"; unavailable build "go build failed"; }
run_program "$work/compat" "$bootstrap"
finish
