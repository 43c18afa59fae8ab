#!/usr/bin/env bash
# Runs Autobahn's 301 cases against /echo and prints one line. Usage: tests/autobahn.sh [PATH-OF-THE-BINARY]
#
# 12.* and 13.* are permessage-deflate, which is not offered. kosoku carries Autobahn's own case files.
#
# Autobahn gives a server one second, in which a busy machine may not let it run. A case that such a clock has ended
# is judged again by itself, and then has to be good three times in a row, within twelve tries.
set -Eeuo pipefail
trap 'echo "$0: line $LINENO failed" >&2' ERR
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
binary=${1:-}
for built in "$target/release/throng" "$target/debug/throng"; do
    if [ -z "$binary" ] && [ -x "$built" ]; then binary=$built; fi
done
if [ -z "$binary" ]; then
    echo "autobahn: no binary; run cargo build --release first" >&2
    exit 2
fi

PATH=$(tests/venv):$PATH

report=$target/autobahn/report
rm -rf "$report"
mkdir -p "$report"
# The server's shell makes it later than the loop below looks for it.
: >"$report/stdout"
# Group 9 sends 4 MiB in fragments of 64 bytes; a ping of ours in the middle of a case would fail it.
"$binary" --echo --addr 127.0.0.1:0 --message-bytes-max 16777216 --outbox-bytes-max 67108864 \
    --fragments-max 65536 --ping-interval 1day >"$report/stdout" 2>"$report/stderr" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
addr=
while [ -z "$addr" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$report/stderr" >&2; exit 2; }
    sleep 0.1
    addr=$(sed -n 's|.*http://\([^/]*\)/.*|\1|p' "$report/stdout")
done

kosoku "ws://$addr/echo" -x '12.*' -x '13.*' -o "$report/all" >"$report/log" 2>&1 || true
late=$(python3 tests/autobahn.py late "$report/all")
for case in $late; do
    echo "autobahn: a second ran out in $case, which is judged again"
    row=0
    for _ in {1..12}; do
        row=$((row + 1))
        rm -rf "$report/$case.$row"
        kosoku "ws://$addr/echo" -i "$case" -o "$report/$case.$row" >>"$report/log" 2>&1 || true
        # One that the clock has ended begins the row again.
        [ -z "$(python3 tests/autobahn.py late "$report/$case.$row")" ] || row=0
        [ "$row" != 3 ] || break
    done
done
python3 tests/autobahn.py judge "$report"
