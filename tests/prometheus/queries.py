"""The expressions of deploy/, evaluated by a Prometheus that scraped a hub."""

import json
import math
import re
import urllib.parse
import urllib.request

BRACKETS = {"(": ")", "[": "]", "{": "}"}


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, address):
        self.address = address

    def ask(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def evaluate(self, expression, **parameters):
        """Returns the values of an expression: one per series."""
        data = self.ask("query", query=expression, **parameters)
        results = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
        return [float(value) for _, value in results]


def split(expression, operators):
    """Splits an expression at operators outside brackets and strings."""
    parts, closing, start, at = [], [], 0, 0
    token = re.compile(r'"(?:\\.|[^"\\])*"|' + operators + r"|[\w.:]+|\s+|.", re.DOTALL)
    while at < len(expression):
        found = token.match(expression, at)
        at, text = found.end(), found.group()
        if text in BRACKETS:
            closing.append(BRACKETS[text])
        elif closing and text == closing[-1]:
            closing.pop()
        elif not closing and re.fullmatch(operators, text):
            parts.append(expression[start : found.start()])
            start = at
    return [part.strip() for part in [*parts, expression[start:]]]


def alert_sides(expression):
    """Returns the operands of the comparisons in an alert: a comparison that does not hold has no value to judge."""
    sides = []
    for condition in split(expression, r"\b(?:and|or|unless)\b"):
        compared = split(condition, r"[=!<>]=|<|>")
        assert len(compared) == 2, f"{condition} is not a comparison"
        sides += compared
    return sides


def alerts(prometheus):
    """Yields the expressions in the alerts that Prometheus has loaded, after the alert's name."""
    for group in prometheus.ask("rules", type="alert")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", f"{rule['name']} is {rule['health']}: {rule.get('lastError')}"
            for side in alert_sides(rule["query"]):
                yield f"alert {rule['name']}", side


def panels(path, instance, member):
    """Yields the expressions of a dashboard with its variables filled in, after the panel's title. Those in the row
    "Cluster" are about `member`, a hub of a cluster."""
    variables = {"$__rate_interval": "1m", "$job": "throng", "$instance": instance}
    for panel in json.load(open(path))["panels"]:
        if panel["type"] == "row":
            variables["$instance"] = member if panel["title"] == "Cluster" else instance
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            yield f"panel {panel['title']}", expression


def judge(prometheus, expressions, at, latency):
    """Fails unless each expression has values, all of them finite. Returns which estimates of a latency are more than a
    factor of two from what `latency` returns for their quantile, and how many estimates there were."""
    wrong, count = [], 0
    for name, expression in expressions:
        values = prometheus.evaluate(expression, time=at)
        assert values, f"{name} has no value: {expression}"
        assert all(math.isfinite(value) for value in values), f"{name} is {values}: {expression}"
        # Other latencies than that of a delivery are not what the load generator measures.
        quantile = re.match(r"histogram_quantile\((0?\.\d+), .*throng_delivery_seconds_bucket", expression)
        for value in values if quantile else []:
            measured = latency(float(quantile[1]))
            count += 1
            if not measured / 2 <= value <= measured * 2:
                wrong.append(f"{name} is {value * 1e3:.1f} ms, the load generator measured {measured * 1e3:.1f} ms")
    return wrong, count
