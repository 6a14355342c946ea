#!/usr/bin/env bash
# The native client end to end: a broker process, `arus bench` as another. Prints a table for each flush policy: throughput,
# what the broker allocated for a batch, and latencies. Measures; proves nothing.
set -uo pipefail
CONFIGURATION=Release
. "$(dirname "$0")/../e2e/lib.sh"
export ARUS_CLI_GATEWAY=127.0.0.1:$(gateway_port 1)
records=${RECORDS:-3000000}

metric() { curl -fs http://127.0.0.1:18081/metrics | awk -v name="$1" '$1 == name || $1 == name "{}" { print $2 }'; }
field() { grep -oE "\"$1\":[0-9.eE+-]+" <<<"$2" | cut -d: -f2; }

throughput() { # flush size
  local topic="t-$2" count=$((records * 100 / $2 < 500000 ? 500000 : records * 100 / $2)) json allocated batches
  arus topic create "$topic" --partitions 6 >/dev/null
  allocated=$(metric dotnet_gc_heap_total_allocated_bytes_total) batches=$(metric arus_partition_append_batches_total)
  json=$(arus bench produce "$topic" --records "$count" --warmup $((count / 5)) --size "$2" --json)
  awk -v flush="$1" -v size="$2" -v rate="$(field recordsPerSecond "$json")" \
    -v a="$allocated" -v b="$(metric dotnet_gc_heap_total_allocated_bytes_total)" -v x="$batches" -v y="$(metric arus_partition_append_batches_total)" \
    'BEGIN { printf "| %s | produce %d B | %.0f/s | %.0f MB/s | %.0f B |\n", flush, size, rate, rate * size / 1e6, (b - a) / (y - x) }'
  allocated=$(metric dotnet_gc_heap_total_allocated_bytes_total) batches=$(metric arus_partition_fetches_total)
  json=$(arus bench consume "$topic" --records "$count" --warmup $((count / 5)) --json)
  awk -v flush="$1" -v size="$2" -v rate="$(field recordsPerSecond "$json")" \
    -v a="$allocated" -v b="$(metric dotnet_gc_heap_total_allocated_bytes_total)" -v x="$batches" -v y="$(metric arus_partition_fetches_total)" \
    'BEGIN { printf "| %s | consume %d B | %.0f/s | %.0f MB/s | %.0f B |\n", flush, size, rate, rate * size / 1e6, (b - a) / (y - x) }'
}

latency() { # flush rate
  local json
  json=$(arus bench latency "l-$2" --rate "$2" --seconds 10 --warmup 5 --linger 1 --json)
  awk -v flush="$1" -v rate="$2" -v p50="$(field p50Ms "$json")" -v p99="$(field p99Ms "$json")" -v max="$(field maxMs "$json")" \
    'BEGIN { printf "| %s | %d/s | %.2f ms | %.2f ms | %.1f ms |\n", flush, rate, p50, p99, max }'
}

for flush in os always; do
  start_server 1 --arus.flush=$flush
  echo "| flush | what | records | bytes | broker allocates for a batch (produce) or a fetch (consume) |"
  echo "|---|---|---|---|---|"
  throughput $flush 100
  throughput $flush 1024
  echo "| flush | rate | p50 | p99 | max |"
  echo "|---|---|---|---|---|"
  for rate in 1000 20000; do
    arus topic create "l-$rate" --partitions 6 >/dev/null
    latency $flush "$rate"
  done
  kill_server 1 TERM
  rm -rf "$work"/log-1 "$work"/metadata
done
