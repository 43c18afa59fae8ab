"""The metrics page in both formats, read by strict parsers."""

import re
import subprocess
import urllib.request

from prometheus_client import openmetrics, parser
import prometheus_client.openmetrics.parser

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
CLASSIC = "text/plain; version=0.0.4; charset=utf-8"


def fetch(address, accept, content_type):
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answered = answer.headers["Content-Type"]
        assert answered == content_type, f"{accept} is answered with {answered}"
        return answer.read().decode()


def described(families):
    """Returns everything but the values, which change between two requests, and the units, which one format lacks."""
    metrics = {}
    for family in families:
        samples = sorted((sample.name, sorted(sample.labels.items())) for sample in family.samples)
        metrics[family.name] = (family.type, family.documentation, samples)
    return metrics


def judge(address):
    """Fails unless both formats are valid and have the same metrics. Returns how many there are."""
    strict = list(openmetrics.parser.text_string_to_metric_families(fetch(address, OPENMETRICS, OPENMETRICS)))
    assert any(family.type == "histogram" for family in strict), "the page has no histogram"
    page = fetch(address, CLASSIC, CLASSIC)
    assert described(parser.text_string_to_metric_families(page)) == described(strict), "the formats differ"
    assert not re.search(r"^\S*_created[ {]", page, re.MULTILINE), "_created is a sample of OpenMetrics only"
    promtool = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    complaints = promtool.stdout + promtool.stderr
    assert promtool.returncode == 0 and not complaints, f"promtool check metrics ({promtool.returncode}): {complaints}"
    return len(strict)
