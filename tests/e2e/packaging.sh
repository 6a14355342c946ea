#!/usr/bin/env bash
# docker/ without a container engine: the steps of the Dockerfile, and the services of compose.yml but Grafana, each in a network namespace
# of its own. Needs root, iproute2, PostgreSQL, and Debian's docker-compose (which reads the file) and prometheus.
set -uo pipefail
exec python3 "$(dirname "$0")/packaging.py"
