#!/usr/bin/env bash
# Three brokers that keep three copies beside Apache Kafka's three, in rounds that take turns: records and processor time of a producer of
# librdkafka with acks=all. Fails where Arus takes fewer records a second, or more memory. RECORDS (2000000), ROUNDS (3), FLUSH (os,always).
# Needs root, iproute2, PostgreSQL's binaries, Java 17, and the folder `kafka` below KAFKA_DIFF_TOOLS (`../shared` beside the checkout, if
# unset); where Kafka is not at hand nothing is compared, and the last line says 0 passed, 0 failed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
kafka=${KAFKA_DIFF_TOOLS:-$PWD/../shared}/kafka
if [ ! -d "$kafka/libs" ] || ! command -v java >/dev/null; then
  echo "skip Apache Kafka is not at hand (KAFKA_DIFF_TOOLS)"
  echo "0 passed, 0 failed"
  exit 0
fi

for project in src/Arus.Server tests/Arus.Chaos; do
  dotnet build $project -c Release -v q -nologo -clp:ErrorsOnly || { echo "0 passed, 1 failed"; exit 1; }
done

if tests/Arus.Chaos/bin/Release/net10.0/Arus.Chaos throughput --kafka "$kafka" \
    --records "${RECORDS:-2000000}" --rounds "${ROUNDS:-3}" --flush "${FLUSH:-os,always}"; then
  echo "1 passed, 0 failed"
else
  echo "0 passed, 1 failed"
  exit 1
fi
