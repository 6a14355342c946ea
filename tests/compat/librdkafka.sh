#!/usr/bin/env bash
# librdkafka's C API (Debian's package): what its bindings leave out. usage: librdkafka.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
need_apt librdkafka-dev gcc libc6-dev
gcc -O1 -Wall -o "$work/compat" "$compat/librdkafka/compat.c" "$compat/librdkafka/admin.c" -lrdkafka -lpthread 2>"$work/gcc" ||
  { cat "$work/gcc"; unavailable build "gcc failed"; }
run_program "$work/compat" "$bootstrap"
finish
