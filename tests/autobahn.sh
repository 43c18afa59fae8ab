#!/bin/sh
# Runs Autobahn's 301 cases against /echo and prints one line. Usage: tests/autobahn.sh [PATH-OF-THE-BINARY]
#
# 12.* and 13.* are permessage-deflate, which is not offered. kosoku carries Autobahn's own case files.
set -eu
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
    --fragments-max 65536 --ping-interval 1h >"$report/stdout" 2>"$report/stderr" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
addr=
while [ -z "$addr" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$report/stderr" >&2; exit 2; }
    sleep 0.1
    addr=$(sed -n 's|.*http://\([^/]*\)/.*|\1|p' "$report/stdout")
done

kosoku "ws://$addr/echo" -x '12.*' -x '13.*' -o "$report" >"$report/log" 2>&1 || true

python3 - "$report/index.json" <<'END'
import collections, json, sys

cases = {}
def collect(node):
    for name, value in node.items():
        if isinstance(value, dict) and "behavior" in value:
            cases[name] = value
        elif isinstance(value, dict):
            collect(value)
try:
    with open(sys.argv[1]) as file:
        collect(json.load(file))
except (OSError, ValueError) as error:
    print(f"autobahn: no report: {error}", file=sys.stderr)

good = {"OK", "NON-STRICT", "INFORMATIONAL"}
bad = [f"{name}:{case['behavior']}/{case.get('behaviorClose')}" for name, case in sorted(cases.items())
       if case["behavior"] not in good or case.get("behaviorClose", "OK") not in good]
count = collections.Counter(case["behavior"] for case in cases.values())
lenient = " ".join(sorted(name for name, case in cases.items() if case["behavior"] == "NON-STRICT"))
is_good = len(cases) >= 301 and not bad
print(f"autobahn: {'OK' if is_good else 'FAIL'} cases={len(cases)} ok={count['OK']} nonstrict={count['NON-STRICT']}"
      f" info={count['INFORMATIONAL']} failed={len(bad)} nonstrict=[{lenient}] bad=[{' '.join(bad)}]")
sys.exit(not is_good)
END
