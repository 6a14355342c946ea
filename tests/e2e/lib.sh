# Shared by the end-to-end scripts: a work folder, servers as real processes, checks that count.
# Every script ends in finish, which prints "N passed, N failed".

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
passed=0
failed=0
declare -A server_pid=()

configuration=${CONFIGURATION:-Debug}
server_binary="$root/src/Arus.Server/bin/$configuration/net10.0/Arus.Server"
PATH="$root/src/Arus.Cli/bin/$configuration/net10.0:$PATH"

# After a test run there is nothing left to build; alone, a script builds what it needs.
[ -x "$server_binary" ] && command -v arus >/dev/null || {
  dotnet build "$root/src/Arus.Server" -c "$configuration" -v q -nologo && dotnet build "$root/src/Arus.Cli" -c "$configuration" -v q -nologo
} || exit 1

check() { # name command...
  local name=$1
  shift
  if "$@"; then
    echo "ok: $name"
    passed=$((passed + 1))
  else
    echo "FAILED: $name"
    failed=$((failed + 1))
  fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

# Polls with a bound; a condition that never comes is a failure, not a hang.
wait_for() { # seconds command...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

kafka_port() { echo $((19092 + $1)); }
gateway_port() { echo $((13000 + $1)); }

# A PostgreSQL of the script's own with the README's user, password and database; it goes with the script. It refuses to run as root.
postgres_port=15439
start_postgres() {
  local bin as=()
  bin=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)
  bin=$(dirname "${bin:-$(command -v initdb)}")
  [ "$(id -u)" -eq 0 ] && as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  mkdir "$work/postgres"
  echo secret >"$work/postgres/password"
  [ "$(id -u)" -eq 0 ] && { chmod a+x "$work"; chown -R postgres "$work/postgres"; }
  (cd "$work/postgres" && "${as[@]}" "$bin/initdb" -D data -U arus -A scram-sha-256 --pwfile=password -E UTF8 --locale=C --no-sync >/dev/null &&
    echo 'CREATE DATABASE arus' | "${as[@]}" "$bin/postgres" --single -D data postgres >/dev/null) || return 1
  (cd "$work/postgres" && exec "${as[@]}" "$bin/postgres" -D data -p $postgres_port -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$work/postgres" -c fsync=off) >>"$work/postgres.out" 2>&1 &
  postgres_pid=$!
  disown
  wait_for 60 grep -q 'ready to accept connections' "$work/postgres.out" || { tail -n 20 "$work/postgres.out"; return 1; }
}

# Broker ID with its own log folder. Brokers are one cluster where ARUS_DATABASE is set.
start_server() { # id [flag...]
  local id=$1
  shift
  "$server_binary" --broker.id="$id" --listeners="PLAINTEXT://127.0.0.1:$(kafka_port "$id")" \
    --log.dir="$work/log-$id" --arus.http.endpoint="127.0.0.1:$((18080 + id))" \
    --orleans.silo.port=$((11900 + id)) --orleans.gateway.port="$(gateway_port "$id")" "$@" >>"$work/server-$id.out" 2>&1 &
  server_pid[$id]=$!
  disown
  wait_for 30 curl -fs "http://127.0.0.1:$((18080 + id))/health/ready" || {
    echo "server $id did not get ready:"
    tail -n 40 "$work/server-$id.out"
    failed=$((failed + 1))
    finish
  }
}

process_is_gone() { ! kill -0 "$1" 2>/dev/null; }

kill_server() { # id [signal]
  kill "-${2:-KILL}" "${server_pid[$1]}" 2>/dev/null
  wait_for 40 process_is_gone "${server_pid[$1]}"
  unset "server_pid[$1]"
}

on_exit() {
  for id in "${!server_pid[@]}"; do
    kill -KILL "${server_pid[$id]}" 2>/dev/null
  done
  [ -z "${postgres_pid:-}" ] || { kill -INT "$postgres_pid" && wait_for 30 process_is_gone "$postgres_pid"; }
  rm -rf "$work"
}
trap on_exit EXIT

# A million lines and 100 MB that a real system made: what find says of every file here, in formats of its own, each line
# keyed by its folder and numbered, so that no two are the same. KEY<TAB>NUMBER<TAB>TEXT.
make_lines() { # file lines
  local pass=0
  while [ "$(cat "$work/raw" 2>/dev/null | wc -l)" -lt "$2" ]; do
    pass=$((pass + 1))
    find / -xdev \( -path "$work" -o -path /proc \) -prune -o -printf "%h\t$pass %TY-%Tm-%Td %M %u:%g %s %i %p %k\n" 2>/dev/null >>"$work/raw"
  done
  # A name with a newline in it would make a line without a tab.
  grep -a -P '^[^\t]+\t' "$work/raw" | head -n "$2" | awk -F '\t' '{ n = index($0, "\t"); print substr($0, 1, n - 1) "\t" NR "\t" substr($0, n + 1) }' >"$1"
  rm "$work/raw"
}

# One checksum over all keys, each with its lines in the order in which they stand: equal when nothing is missing, doubled or
# out of order within a key, however keys are mixed.
per_key_checksum() { # file
  LC_ALL=C sort -s -t $'\t' -k1,1 "$1" | sha256sum | cut -d' ' -f1
}
