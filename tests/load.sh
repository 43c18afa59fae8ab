#!/usr/bin/env bash
# A short load on the release build: every delivery is verified, and one that is lost fails the run. Not a measurement:
# neither how long something takes nor a generator that reads late fails it.
set -Eeuo pipefail
trap 'echo "$0: line $LINENO failed" >&2' ERR
cd "$(dirname "$0")/.."
out=$(mktemp)
server=
trap 'kill $server 2>/dev/null || true; rm -f "$out"' EXIT

# Starts a hub with these settings; sets `server` and `url`.
start() {
    # Emptied here: the shell that becomes the hub may do so only after the line of the hub before has been read.
    : >"$out"
    target/release/throng --addr 127.0.0.1:0 --metrics public "$@" >"$out" &
    server=$!
    until grep -q http "$out"; do
        kill -0 "$server" 2>/dev/null || { echo "the hub has ended: $*" >&2; exit 1; }
        sleep 0.05
    done
    url=$(sed -n 's|.*http://\([^/]*\)/.*|\1|p' "$out")
}

stop() {
    kill -TERM "$server"
    wait "$server"
}

run() {
    echo "-- loadtest $*"
    # Exit code 4: the generator used too much of its core to measure anything. Nothing is measured here.
    target/release/loadtest "$@" --url "ws://$url${path:-/ws?channel={channel\}}" --server-pid "$server" \
        --server-metrics "http://$url/metrics" --generator-waiting-max 1 --drain 120s --quiet || [ $? = 4 ]
}

# A generator that shares its core with other programs is not a slow client.
start --outbox-bytes-max 1073741824 --outbox-stall-max 1h --ping-interval 2h --pong-timeout 1h
run saturate --clients 500 --duration 3s --warmup 1s
run chat --clients 300 --duration 3s --warmup 1s
run burst --clients 200 --processes 2 --validate 4 --duration 2s --warmup 1s
run churn --clients 200 --churn-rate 50 --duration 3s --warmup 1s --assert 'closed=0'
run storm --clients 500 --jitter 1s --warmup 1s --duration 120s
path=/connection/websocket
for protocol in centrifuge centrifuge-protobuf; do
    run saturate --protocol "$protocol" --clients 200 --validate 4 --duration 2s --warmup 1s
    run channels --protocol "$protocol" --clients 200 --subscriptions 3 --duration 2s --warmup 1s
done
path=
stop
# Here it is, on purpose.
start
run slow --clients 50 --duration 12s --warmup 1s
stop
