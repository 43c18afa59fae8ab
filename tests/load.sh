#!/usr/bin/env bash
# A short load on the release build: every delivery is verified, and one that is lost fails the run. Not a measurement.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
target/release/throng --addr 127.0.0.1:0 >"$out" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$out"' EXIT
until grep -q http "$out"; do kill -0 "$server"; sleep 0.05; done
url=$(grep -o '127.0.0.1:[0-9]*' "$out" | head -1)

run() {
    echo "-- loadtest $*"
    # A generator that shared its core is no fault of the server (exit code 4): nothing is measured here.
    target/release/loadtest "$@" --url "ws://$url/ws" --server-pid "$server" \
        --server-metrics "http://$url/metrics" --quiet || [ $? = 4 ]
}

run saturate --clients 500 --duration 3s --warmup 1s
run chat --clients 300 --duration 3s --warmup 1s
run burst --clients 200 --processes 2 --validate 4 --duration 2s --warmup 1s
run churn --clients 200 --churn-rate 50 --duration 3s --warmup 1s --assert 'closed=0'
run storm --clients 500 --jitter 1s --warmup 1s --assert 'back_100<10s'
run slow --clients 50 --duration 12s --warmup 1s
kill -TERM "$server"
wait "$server"
