#!/usr/bin/env bash
# A million real lines through a group whose members come, go and are killed, with the server killed in between: every record is
# processed, in order within its partition (so within its key), and the committed offsets are right.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
lines=${LINES_WANTED:-1000000}
export ARUS_CLI_GATEWAY=127.0.0.1:$(gateway_port 1)
declare -A consumer=()
# A member that is left over would read for the next run's group.
trap 'kill -KILL "${consumer[@]}" 2>/dev/null; on_exit' EXIT

make_lines "$work/in" "$lines"
start_server 1 --arus.flush=always --group.initial.rebalance.delay.ms=0
arus topic create lines --partitions 6 || failed=$((failed + 1))

join() { # name
  arus consume lines --group readers --from-beginning --format json >"$work/read-$1" 2>"$work/read-$1.err" &
  consumer[$1]=$!
  disown
}
leave() { # name signal
  kill "-$2" "${consumer[$1]}"
  wait_for 60 process_is_gone "${consumer[$1]}"
}
has_read() { [ "$(wc -l <"$work/read-$1")" -ge "$2" ]; }

join a
join b
arus produce lines --file "$work/in" --key-separator $'\t' --rate $((lines / 25)) 2>"$work/produce.err" &
producer=$!
check "two members read" wait_for 60 has_read b $((lines / 100))
check "the first member reads too" wait_for 60 has_read a $((lines / 100))
join c
check "a third member joins and reads" wait_for 60 has_read c $((lines / 100))
leave a KILL
kill_server 1
start_server 1 --arus.flush=always --group.initial.rebalance.delay.ms=0
before=$(wc -l <"$work/read-c")
check "the third reads on after the server's death" wait_for 120 has_read c $((before + lines / 100))
check "every line is acknowledged, through the server's death" wait "$producer"
check "a member leaves in good order" leave c TERM

all_is_read() { [ "$(arus group describe readers --json | grep -oE '"lag":[0-9]+' | sort -u)" = '"lag":0' ]; }
check "the last member reads to the end, and commits it" wait_for 240 all_is_read
check "the last member leaves in good order" leave b TERM

committed() { arus group describe readers --json | grep -oE '"offset":[0-9]+' | cut -d: -f2 | paste -sd+ | bc; }
check "the committed offsets add up to all lines" [ "$(committed)" = "$lines" ]

# PARTITION OFFSET of every record of a member, in the order in which it was processed.
places() { grep -oE '"partition":[0-9]+,"offset":[0-9]+' "$1" | grep -oE '[0-9]+' | paste -d' ' - -; }
for name in a b c; do
  places "$work/read-$name" >"$work/places-$name"
done
check "every record was processed" [ "$(sort -u "$work"/places-? | wc -l)" = "$lines" ]
# A member goes back only where it was given a partition anew, to what was committed: no more often than there were rebalances.
steps_back() { awk '$1 in last && $2 <= last[$1] { back++ } { last[$1] = $2 } END { print back + 0 }' "$1"; }
gaps() { awk '$1 in last && $2 > last[$1] + 1 { gap++ } { last[$1] = $2 } END { print gap + 0 }' "$1"; }
for name in a b c; do
  echo "member $name: $(wc -l <"$work/places-$name") records, $(steps_back "$work/places-$name") steps back, $(gaps "$work/places-$name") steps ahead"
  check "member $name kept the order of every partition" [ "$(steps_back "$work/places-$name")" -le 18 ]
  check "member $name left nothing out while it owned a partition" [ "$(gaps "$work/places-$name")" -le 18 ]
done
repeated=$(($(cat "$work"/places-? | wc -l) - lines))
echo "repeated after kills: $repeated records"
check "what was repeated is what the kills cost" [ "$repeated" -lt $((lines / 2)) ]
finish
