#!/usr/bin/env bash
# Has the files of deploy/ judged by the programs that they are for. Needs haproxy, nginx, promtool, systemd-analyze,
# openssl and what tests/venv installs.
set -Eeuo pipefail
trap 'echo "$0: line $LINENO failed" >&2' ERR
cd "$(dirname "$0")/.."

PATH=$(tests/venv):$PATH

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

echo "haproxy.cfg"
haproxy -c -q -f deploy/haproxy.cfg
haproxy -c -q -f deploy/cluster/haproxy.cfg

echo "nginx.conf"
nginx -t -q -p "$tmp" -c "$PWD/deploy/nginx.conf" -g "pid $tmp/pid; error_log $tmp/log;"

echo "throng.service"
# The unit names files of an installed machine; here they are the program's own.
sed "s|/usr/local/bin/throng|$PWD/target/release/throng|" deploy/throng.service > "$tmp/throng.service"
systemd-analyze verify --man=no "$tmp/throng.service"
exposure=$(systemd-analyze security --offline=yes --no-pager "$tmp/throng.service" | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p')
echo "  exposure $exposure"
awk -v exposure="$exposure" 'BEGIN { exit !(exposure != "" && exposure <= 2.0) }' || {
    echo "the unit's exposure is $exposure, more than 2.0"
    exit 1
}

echo "prometheus"
promtool check rules deploy/prometheus/alerts.yml >/dev/null
promtool test rules deploy/prometheus/alerts_test.yml >/dev/null

echo "metrics"
# With a certificate, a hook and a cluster that is not there, so that the page has everything that it can have.
printf '[[hook]]\nname = "rpc"\nurl = "http://127.0.0.1:9/"\n' > "$tmp/hub.toml"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=throng.test -days 30 \
    -keyout "$tmp/key.pem" -out "$tmp/chain.pem" 2>/dev/null
# The shell that becomes the hub makes it later than it is looked for.
: > "$tmp/line"
target/release/throng --config "$tmp/hub.toml" --addr 127.0.0.1:0,tls+127.0.0.1:0 \
    --tls-certificate "$tmp/chain.pem" --tls-key "$tmp/key.pem" --engine nats --nats-servers nats://127.0.0.1:1 \
    --metrics public --shards 2 > "$tmp/line" 2> "$tmp/hub.log" &
hub=$!
trap 'kill -INT $hub 2>/dev/null || true; wait $hub 2>/dev/null || true; rm -rf "$tmp"' EXIT
until grep -q ready "$tmp/line"; do
    kill -0 $hub 2>/dev/null || { echo "the hub has ended:"; cat "$tmp/hub.log"; exit 1; }
    sleep 0.05
done
address=$(sed 's|.*http://\([^/]*\)/.*|\1|' "$tmp/line")
python3 - "$address" deploy/prometheus/*.yml deploy/grafana/*.json <<'PY'
"""Every metric that an alert or the dashboard names is one that the hub has, and no panel lies over another."""
import json
import re
import sys
import urllib.request

page = urllib.request.urlopen(f"http://{sys.argv[1]}/metrics").read().decode()
lines = page.splitlines()
known = {re.split(r"[{ ]", line)[0] for line in lines if line and line[0] != "#"}
# Such as that of partitions that are followed, of which there is none yet.
known |= {line.split()[2] for line in lines if line.startswith("# TYPE ")}
named = set()
for file in sys.argv[2:]:
    named |= set(re.findall(r"\b(?:throng|process)_[a-z_]+\b", open(file).read()))
unknown = {name for name in named if name not in known}
assert not unknown, f"alerts or panels name metrics that do not exist: {sorted(unknown)}"

taken = set()
for panel in json.load(open(sys.argv[-1]))["panels"]:
    place = panel["gridPos"]
    cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
    assert not cells & taken, f"{panel['title']} lies over another panel"
    assert all(x < 24 for x, _ in cells), f"{panel['title']} is wider than the page"
    taken |= cells
PY

echo "dashboard"
python3 - deploy/grafana/throng.json > "$tmp/panels.yml" <<'PY'
"""The expressions of the panels as rules, so that promtool judges them."""
import json
import sys

rules = []
for panel in json.load(open(sys.argv[1]))["panels"]:
    for target in panel.get("targets", []):
        expression = target["expr"].replace("$__rate_interval", "1m").replace("$job", "j").replace("$instance", "i")
        rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": expression})
assert len(rules) > 20
print(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
PY
promtool check rules "$tmp/panels.yml" >/dev/null

echo "kubernetes"
python3 - <<'PY'
"""The manifests parse, and their times fit the hub's own."""
import re
import subprocess
import yaml

parts = list(yaml.safe_load_all(open("deploy/kubernetes/throng.yaml")))
pod = next(part for part in parts if part["kind"] == "Deployment")["spec"]["template"]["spec"]
container = pod["containers"][0]
text = subprocess.run(["target/release/throng", "default-config"], check=True, capture_output=True, text=True).stdout
stop = sum(int(re.search(rf'# {key} = "(\d+)s"', text)[1]) for key in ("lb_grace", "drain_time", "shutdown_timeout"))
kill = pod["terminationGracePeriodSeconds"]
env = {one["name"]: one.get("value") for one in container["env"]}
assert stop < kill, f"the pod is killed after {kill} s, a stop takes {stop} s"
assert env["THRONG_KILL_TIME"] == f"{kill}s", env
unit = open("deploy/throng.service").read()
assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > stop
assert f"THRONG_KILL_TIME={re.search(r'TimeoutStopSec=(.*)', unit)[1]}s" in unit
ports = {port["name"] for port in container["ports"]}
for probe in ("readinessProbe", "livenessProbe"):
    assert container[probe]["httpGet"]["port"] in ports, probe
    assert container[probe]["httpGet"]["path"] in ("/health/ready", "/health/live"), probe
PY

echo "cluster"
mkdir "$tmp/cluster" "$tmp/store"
deploy/cluster/make-secrets "$tmp/cluster" >/dev/null 2>&1
# As inside a container, where these folders are /tls and /data.
sed "s|/tls/|$tmp/cluster/tls/nats1/|g; s|/data|$tmp/store|" deploy/cluster/nats.conf >"$tmp/cluster/nats.conf"
cp deploy/cluster/authorization.conf "$tmp/cluster/"
(
    set -a
    # shellcheck disable=SC1091 # It was made above.
    . "$tmp/cluster/.env"
    NATS_NAME=nats1 nats-server -t -c "$tmp/cluster/nats.conf" >/dev/null
)
# Files and folders of a container are not here.
sed "s|/tls/|$tmp/cluster/tls/|; s|/run/secrets/nats|$tmp/cluster/secrets/hub|" deploy/cluster/hub.toml >"$tmp/hub.toml"
(
    # shellcheck disable=SC1091 # It was made above.
    . "$tmp/cluster/.env"
    export THRONG_ADMIN_KEYS THRONG_API_KEYS
    target/release/throng check-config "$tmp/hub.toml" >/dev/null
)
python3 - "$tmp/hub.toml" <<'PY'
"""The manifests parse, hubs are given the time that their configuration reckons with, and what is mounted exists."""
import re
import sys
import tomllib
from pathlib import Path

import yaml

hub = tomllib.load(open(sys.argv[1], "rb"))
kill = hub["stopping"]["kill_time"]
compose = yaml.safe_load(open("deploy/cluster/compose.yaml"))["services"]
made = {"tls", "secrets"}
for name, service in compose.items():
    assert not name.startswith("hub") or service["stop_grace_period"] == kill, name
    for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
        if source.startswith("./") and source.split("/")[1] not in made:
            assert Path("deploy/cluster", source).is_file(), f"{name}: there is no {source}"
parts = list(yaml.safe_load_all(open("deploy/cluster/kubernetes.yaml")))
pods = {part["metadata"]["name"]: part["spec"]["template"]["spec"] for part in parts if "template" in part.get("spec", {})}
assert f"{pods['throng']['terminationGracePeriodSeconds']}s" == kill
services = {part["metadata"]["name"] for part in parts if part["kind"] == "Service"}
named = {re.sub(r"tls://(.*):\d+", r"\1", server) for server in hub["cluster"]["nats_servers"]}
assert named <= services and named <= compose.keys(), named
for name, pod in pods.items():
    volumes = {volume["name"] for volume in pod.get("volumes", [])} | {"data"}
    for container in pod["containers"]:
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts <= volumes, f"{name}: {mounts - volumes} are no volumes"
PY

echo "sysctl.conf"
sed -n 's/^\([a-z0-9_.]*\) *=.*/\1/p' deploy/sysctl.conf | while read -r key; do
    [ -e "/proc/sys/${key//.//}" ] || { echo "the kernel has no $key"; exit 1; }
done
