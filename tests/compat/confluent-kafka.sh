#!/usr/bin/env bash
# confluent-kafka of Debian's python3. usage: confluent-kafka.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
need_apt python3-confluent-kafka
run_program /usr/bin/python3 "$compat/python/confluent.py" "$bootstrap"
finish
