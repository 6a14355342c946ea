#!/usr/bin/env bash
# kafka-python of Debian's python3, with the codecs that it takes from other packages. usage: kafka-python.sh HOST:PORT
source "$(dirname "$0")/lib.sh"
need_apt python3-kafka python3-snappy python3-lz4 python3-zstandard
run_program /usr/bin/python3 "$compat/python/kafka_python.py" "$bootstrap"
finish
