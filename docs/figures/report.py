"""Tables and charts of the documents, made of figures.json.

A document has pairs of marks, `<!-- figures NAME ... -->` and `<!-- /figures -->`; what stands between them is written
here. A figure that was not measured is a dash. While the figures come from several commits, each row names its own.
"""

import re
import sys

import chart

DOCUMENTS = ["README.md", "PERFORMANCE.md", "loadtest/README.md", "benches/README.md"]
BLOCK = re.compile(r"(<!-- figures (\w+)[^\n]*-->\n)(.*?)(<!-- /figures -->)", re.S)
NONE = "-"

# The figures that most rows are about, by the names of `loadtest --assert`.
CPU = "server_cpu_per_delivery"
HANDSHAKE = "server_cpu_per_connection"
MEMORY = "server_rss_per_connection"

# The servers of the lists centrifuge_*, by what their rows call them.
CENTRIFUGE = {"JSON": "centrifuge", "Protobuf": "centrifuge-protobuf"}


class Figures:
    """The recorded figures; remembers where those that were asked for come from, which is what a row has to name."""

    def __init__(self, entries):
        self.entries = entries
        self.used = set()

    def get(self, name, server, key, part="median"):
        entry = self.entries.get(name, {})
        figure = entry.get("servers", {}).get(server, {}).get(key, {})
        return self.note(entry, figure.get(part), figure.get(f"{part}_commit"))

    def case(self, bench, case, key):
        entry = self.entries.get(bench, {})
        return self.note(entry, entry.get("cases", {}).get(case, {}).get(key))

    def note(self, entry, value, commit=None):
        if value is not None:
            self.used.add((commit or entry["commit"], entry["machine"]))
        return value

    def is_mixed(self):
        return len({entry["commit"] for entry in self.entries.values()}) > 1

    def commits(self):
        """Returns the commits of what was asked for since the last call, and the machine if it is not the usual one."""
        commits = {f"`{commit}`" for commit, _ in self.used}
        others = {machine for _, machine in self.used} - {"", self.machine()}
        self.used.clear()
        return ", ".join([*sorted(commits), *sorted(others)]) or NONE

    def machine(self):
        """Returns the machine that most of the figures are from."""
        machines = [entry["machine"] for entry in self.entries.values() if entry["machine"]]
        return max(sorted(set(machines)), key=machines.count)


# Numbers as people read them.


def show(value, write):
    return NONE if value is None else write(value)


def times(value):
    return f"{value:.2f}"


def count(value):
    if value >= 1e6:
        return f"{value / 1e6:.1f} M"
    return f"{value:,.0f}"


def micros(value):
    return f"{value:.3f} us" if value < 1 else f"{value:.1f} us"


def millis(value):
    return f"{value / 1000:.0f} ms"


def seconds(value):
    return f"{value:.1f} s"


def size(value):
    return f"{value:,.0f} B" if value < 10_000 else f"{value / 1024:,.0f} KiB"


def each(value):
    return f"{value:.3f}"


def table(figures, head, rows):
    """Makes a table; every row is a function that asks for its figures and returns its cells."""
    lines = []
    for row in rows:
        figures.used.clear()
        cells = row(figures)
        lines.append([*cells, figures.commits()] if figures.is_mixed() else list(cells))
    head = [*head, "commit"] if figures.is_mixed() else head
    return "".join("| " + " | ".join(line) + " |\n" for line in [head, ["---"] * len(head), *lines])


# The blocks, by the name in the mark.


def about(figures):
    machine = figures.machine()
    if figures.is_mixed():
        return f"The figures are from several commits; each row names its own. Machine:\n{machine}, loopback.\n"
    entry = next(iter(figures.entries.values()))
    taken = sorted({entry["rounds"] for entry in figures.entries.values() if "rounds" in entry})
    rounds = " to ".join(str(number) for number in dict.fromkeys([taken[0], taken[-1]]))
    return (
        f"All figures: commit `{entry['commit']}`, {entry['date']}; rounds: {rounds}, servers in turns.\n"
        f"Machine: {machine}, loopback.\n"
    )


def readme(figures):
    rows = [
        lambda f: (
            show(f.get("claim_saturate", "throng", "deliveries_per_s"), lambda v: f"**{count(v)}**"),
            "deliveries per second on one core, 1,000 receivers",
            "`claim_saturate`",
        ),
        lambda f: (
            show(f.get("floor_single", "throng", CPU, "ratio"), lambda v: f"**{times(v)} times**"),
            "the CPU of a bare loop of `write` calls, delivering to 1,000",
            "`floor_single`",
        ),
        lambda f: (
            show(f.get("claim_idle", "throng", "server_rss_per_connection"), lambda v: f"**{size(v)}**"),
            "memory per idle connection, from 2,000 to 19,000",
            "`claim_idle`",
        ),
    ]
    made = table(figures, ["number", "what", "list"], rows)
    commit = "" if figures.is_mixed() else f"commit `{next(iter(figures.entries.values()))['commit']}`, "
    command = "`target/release/loadtest compare loadtest/examples/compare/LIST.toml`"
    return f"{made}\n{command};\n{commit}{figures.machine()}, loopback.\n"


def claim(text, name, key, write, is_higher_better=False, server="throng"):
    def row(figures):
        worst = figures.get(name, server, key, "min" if is_higher_better else "max")
        return text, show(figures.get(name, server, key), write), show(worst, write), f"`{name}`"

    return row


def claims(figures):
    saturate, slow, storm = "claim_saturate", "claim_slow", "claim_storm"
    rows = [
        claim("one core saturated, 1,000 receivers: deliveries/s", saturate, "deliveries_per_s", count, True),
        claim("... sends per delivery", saturate, "sends_per_delivery", each),
        claim("... a tokio-tungstenite broadcast: deliveries/s", saturate, "deliveries_per_s", count, True, "naive"),
        claim("... CPU of the generator, in cores", saturate, "generator_cpu", times),
        claim("1,000 members, each 1 message/s to all: p99", "claim_chat1000", "p99", millis),
        claim("... CPU of the generator, in cores", "claim_chat1000", "generator_cpu", times),
        claim("2,000 members, each 1 message/s to all: p99", "claim_chat2000", "p99", millis),
        claim("... CPU of the generator, in cores", "claim_chat2000", "generator_cpu", times),
        claim("memory per idle connection, from 2,000 to 19,000", "claim_idle", MEMORY, size),
        claim("10 % of 200 stop reading: p99 of the others, as a multiple", slow, "healthy_p99_ratio", times),
        claim("... kernel memory of each that stopped", slow, "kernel_tcp_per_stalled", size),
        claim("10,000 connections cut at once: until all are back", storm, "back_100", seconds),
    ]
    lost = [figures.get(name, "throng", "lost", "max") for name in sorted(figures.entries) if name.startswith("claim_")]
    known = [value for value in lost if value is not None]
    made = table(figures, ["what", "median", "worst", "list"], rows)
    return made + (f"\nMessages lost in all of these runs: {sum(known):.0f}.\n" if known else "")


def floors(figures):
    def row(load, loop, name, key, case, unit="{}"):
        def cells(f):
            pinned, free = (f.get(one, "throng", key, "ratio") for one in (name, f"{name}_unpinned"))
            alone = f.case("socket_fan_out", case, "ratio") if case else None
            write = lambda value: unit.format(times(value))  # noqa: E731
            return load, loop, show(pinned, write), show(free, write), show(alone, times)

        return cells

    def only(load, loop, case):
        return lambda f: (load, loop, NONE, NONE, show(f.case("socket_fan_out", case, "ratio"), times))

    rows = [
        row("one message to 1,000", "one `write` each", "floor_single", CPU, "1 to 1000"),
        row("16 messages at once to 1,000", "one `writev` each", "floor_burst16", CPU, "16 to 1000"),
        row("64 messages at once to 1,000", "one `writev` each", "floor_burst64", CPU, "64 to 1000"),
        only("one message to 10,000", "one `write` each", "1 to 10000"),
        only("one message to 15,000", "one `write` each", "1 to 15000"),
        row("saturated: deliveries/s", "one send per turn and client", "floor_saturated", "deliveries_per_s", None),
        row("a handshake", "a constant 101", "floor_handshake", HANDSHAKE, None),
    ]
    return table(figures, ["load", "the bare loop makes", "pinned", "unpinned", "in one process"], rows)


def encryption(figures):
    def list_row(load, name, key):
        def cells(f):
            plain, encrypted = f.get(name, "plain", key), f.get(name, "encrypted", key)
            share = plain / encrypted if plain and encrypted else None
            return load, show(plain, micros), show(encrypted, micros), show(share, times)

        return cells

    def bench_row(load, case):
        def cells(f):
            plain, encrypted, share = (f.case("tls_fan_out", case, key) for key in ("plain", "encrypted", "throughput"))
            return load, show(plain, micros), show(encrypted, micros), show(share, times)

        return cells

    rows = [
        list_row("one message of 1 KiB at a time, running system", "tls_single", CPU),
        list_row("saturated with 1 KiB, running system", "tls_saturated", CPU),
        list_row("a connection, with its handshake", "tls_saturated", HANDSHAKE),
        bench_row("one of 64 B, one process", "1 of 64 B"),
        bench_row("16 of 64 B at once, one process", "16 of 64 B"),
        bench_row("one of 1 KiB, one process", "1 of 1024 B"),
        bench_row("8 of 1 KiB at once, one process", "8 of 1024 B"),
    ]
    return table(figures, ["load", "plain", "encrypted", "throughput of plain"], rows)


def backend_to_websocket(figures):
    """Returns the p99 to the last subscriber of what a backend publishes, as a multiple of a WebSocket publisher's."""
    backend, websocket = (figures.get("api_latency", one, "last_p99") for one in ("api", "websocket"))
    return backend / websocket if backend and websocket else None


def backends(figures):
    def one(text, name, server, key, write, part="median"):
        return lambda f: (text, show(f.get(name, server, key, part), write), f"`{name}`")

    def rate(text, name, server="throng"):
        return one(text, name, server, "api_publications_per_s", count)

    def centrifuge(form, server):
        single, saturated = "centrifuge_single", "centrifuge_saturated"
        return [
            one(f"Centrifuge ({form}), one to 1,000: CPU, to chat", single, server, CPU, times, "ratio"),
            one("... saturated: deliveries/s, to chat", saturated, server, "deliveries_per_s", times, "ratio"),
            one("... CPU of the generator there, in cores", saturated, server, "generator_cpu", times),
            one("... memory of an idle connection", "centrifuge_idle", server, MEMORY, size),
        ]

    rows = [
        rate("publications/s through the API, one in a request", "api_single"),
        one("... CPU of the generator, in cores", "api_single", "throng", "generator_cpu", times),
        rate("publications/s through the API, 100 in a request", "api_batch"),
        one("... publications that a request had, on average", "api_batch", "throng", "api_batch", count),
        one("... CPU of the generator, in cores", "api_batch", "throng", "generator_cpu", times),
        one("100/s to 1,000: p99 to the last, WebSocket publisher", "api_latency", "websocket", "last_p99", millis),
        one("... published through the API", "api_latency", "api", "last_p99", millis),
        one("10,000 return and recover 100 each: all back", "recovery", "throng", "return_100", seconds),
        one("... clients that got everything, in the worst run", "recovery", "throng", "recovered", count, "min"),
        one("... p99 of 1,000 others, as a multiple of before", "recovery", "throng", "others_p99_ratio", times),
        one("... memory of the server before", "recovery", "throng", "return_rss_before", size),
        one("... and at its peak", "recovery", "throng", "return_rss_peak", size),
        one("10,000 with 5,000 joins/s: p99 of messages, joins told", "presence", "join_leave", "p99", millis),
        one("... joins not told", "presence", "presence", "p99", millis),
        *(row for form, server in CENTRIFUGE.items() for row in centrifuge(form, server)),
    ]
    return table(figures, ["what", "median", "list"], rows)


def idle_cpu(figures):
    """Returns the CPU of one idle connection in us per second, pinged every 25 s."""
    share = figures.get("idle_cpu", "throng", "idle_server_cpu")
    return None if share is None else share * 1e6 / 19_000


def targets(figures):
    def row(metric, target, write, shown_by, ask, is_higher_better=False):
        def cells(f):
            value = ask(f)
            is_met = value is not None and (value >= target if is_higher_better else value <= target)
            met = NONE if value is None else "yes" if is_met else "**no**"
            return metric, write(target), show(value, write), met, shown_by

        return cells

    def of(name, key, part="median"):
        return lambda f: f.get(name, "throng", key, part)

    def case(bench, name, key="ratio"):
        return lambda f: f.case(bench, name, key)

    def many(name):
        return case("many_channels", name, "hub")

    def rate_of(name):
        return of(name, "api_publications_per_s")

    def joins_told(f):
        return f.get("presence", "join_leave", "p99", "ratio")

    def centrifuge(form, server):
        def of_list(name, key, part="ratio"):
            return lambda f: f.get(f"centrifuge_{name}", server, key, part)

        rate, memory = of_list("saturated", "deliveries_per_s"), of_list("idle", MEMORY, "median")
        return [
            row(f"Centrifuge ({form}), CPU to chat", 1.10, times, "`centrifuge_single`", of_list("single", CPU)),
            row("... saturated, to chat", 0.80, times, "`centrifuge_saturated`", rate, True),
            row("... memory per connection", 1_228, size, "`centrifuge_idle`", memory),
        ]

    tls_alone = case("tls_fan_out", "1 of 1024 B", "throughput")
    rows = [
        row("CPU, one message to 1,000", 1.10, times, "`floor_single`", of("floor_single", CPU, "ratio")),
        row("CPU, one message to 10,000", 1.15, times, "`socket_fan_out`", case("socket_fan_out", "1 to 10000")),
        row("growth from 1,000 to 15,000", 1.10, times, "`socket_fan_out`", case("socket_fan_out", "growth")),
        row("CPU, 16 at once", 1.30, times, "`floor_burst16`", of("floor_burst16", CPU, "ratio")),
        row("CPU, 64 at once", 1.40, times, "`floor_burst64`", of("floor_burst64", CPU, "ratio")),
        row("saturated", 0.80, times, "`floor_saturated`", of("floor_saturated", "deliveries_per_s", "ratio"), True),
        row("... sends per delivery", 0.02, each, "`claim_saturate`", of("claim_saturate", "sends_per_delivery")),
        row("a handshake", 1.67, times, "`floor_handshake`", of("floor_handshake", HANDSHAKE, "ratio")),
        row("p99, 1,000 members", 20_000, millis, "`claim_chat1000`", of("claim_chat1000", "p99")),
        row("p99, 2,000 members", 50_000, millis, "`claim_chat2000`", of("claim_chat2000", "p99")),
        row("memory per connection", 820, size, "`claim_idle`", of("claim_idle", MEMORY)),
        row("API, one at a time: publications/s", 10_000, count, "`api_single`", rate_of("api_single"), True),
        row("... in batches of 100", 40_000, count, "`api_batch`", rate_of("api_batch"), True),
        row("p99 to the last, API to WebSocket", 1.50, times, "`api_latency`", backend_to_websocket),
        row("p99 while 10,000 recover, to calm", 2.00, times, "`recovery`", of("recovery", "others_p99_ratio")),
        row("p99 while joins are told, to not", 2.00, times, "`presence`", joins_told),
        row("CPU per idle connection and s", 0.5, micros, "`idle_cpu`", idle_cpu),
        row("p99 with 10 % stalled, to calm", 1.10, times, "`claim_slow`", of("claim_slow", "healthy_p99_ratio")),
        row("CPU of 2 shards, to 1", 1.05, times, "`shards`", lambda f: f.get("shards", "2 shards", CPU, "ratio")),
        row("10,000 channels, to one", 1.30, times, "`many_channels`", many("busy, many to one")),
        row("... in bursts", 1.30, times, "`many_channels`", many("burst, many to one")),
        row("encrypted, of plain", 0.70, times, "`tls_fan_out`", tls_alone, True),
        row("... saturated", 0.70, times, "`tls_saturated`", lambda f: share(f, "tls_saturated"), True),
        *(row for form, server in CENTRIFUGE.items() for row in centrifuge(form, server)),
    ]
    return table(figures, ["metric", "target", "reached", "met", "shown by"], rows)


def capacity(figures):
    def row(name, meaning, write, ask):
        return lambda f: (name, meaning, show(ask(f), write))

    def kernel(f):
        # The generator's ends of the connections are in the same kernel.
        slab = f.get("claim_idle", "throng", "slab_per_connection")
        return None if slab is None else slab / 2

    rows = [
        row("c(1,000)", "CPU of a write, 1,000 receivers", micros, lambda f: f.get("floor_single", "throng", CPU)),
        row("c(10,000)", "the same, 10,000 receivers", micros, lambda f: f.case("socket_fan_out", "1 to 10000", "hub")),
        row("b", "CPU of a delivery, saturated", micros, lambda f: f.get("claim_saturate", "throng", CPU)),
        row("i", "CPU per idle connection and second", micros, idle_cpu),
        row("u", "user memory per connection", size, lambda f: f.get("claim_idle", "throng", MEMORY)),
        row("v", "kernel memory per connection", size, kernel),
    ]
    return table(figures, ["name", "what", "value"], rows)


def generator(figures):
    def row(what, name, key, write, own):
        def cells(f):
            mine, its = (f.get(name, "throng", one) for one in (own, key))
            return what, show(mine, write), show(its, write), f"`{name}`"

        return cells

    own = "generator_cpu_per_delivery"
    memory = (MEMORY, size, "generator_rss_per_connection")
    rows = [
        row("user memory per idle client, 19,000 in one process", "claim_idle", *memory),
        row("CPU per delivery, one message at a time to 1,000", "floor_single", CPU, micros, own),
        row("... 16 at once", "floor_burst16", CPU, micros, own),
        row("... saturated", "claim_saturate", CPU, micros, own),
    ]
    return table(figures, ["", "generator", "server (throng)", "list"], rows)


BLOCKS = {
    function.__name__: function
    for function in (about, readme, claims, floors, encryption, backends, targets, capacity, generator)
}


# The charts.


def charts(figures):
    ratio = lambda name, key: figures.get(name, "throng", key, "ratio")  # noqa: E731
    own, base = (figures.get("claim_saturate", one, "deliveries_per_s") for one in ("throng", "naive"))
    loads = [
        ("one message to 1,000", ratio("floor_single", CPU)),
        ("16 at once", ratio("floor_burst16", CPU)),
        ("64 at once", ratio("floor_burst64", CPU)),
        ("a handshake", ratio("floor_handshake", HANDSHAKE)),
    ]
    lists = [("one message of 1 KiB", "tls_single"), ("saturated with 1 KiB", "tls_saturated")]
    tls = [(label, share(figures, name)) for label, name in lists]
    return {
        "saturated.svg": chart.bars(
            "Deliveries per second, one core",
            "1,000 receivers, 64 messages of 64 B under way; loadtest compare, list claim_saturate",
            [("throng", own, show(own, count), True), ("tokio-tungstenite broadcast", base, show(base, count), False)],
        ),
        "floor.svg": chart.bars(
            "CPU of throng, as a multiple of a bare loop",
            "less is better; loadtest compare, lists floor_*",
            [(label, value, show(value, times), True) for label, value in loads],
            (1.0, "bare loop"),
        ),
        "encryption.svg": chart.bars(
            "Throughput of an encrypted core, as a share of a plain one",
            "more is better; loadtest compare, lists tls_*",
            [(label, value, show(value, times), True) for label, value in tls],
            (1.0, "plain"),
        ),
    }


def share(figures, name):
    plain, encrypted = (figures.get(name, one, CPU) for one in ("plain", "encrypted"))
    return plain / encrypted if plain and encrypted else None


# Output of the benches.

NUMBER = r"(\d+\.\d+)"
SOCKET = re.compile(rf"^(\d+) at once to (\d+): floor {NUMBER}, hub {NUMBER} us per delivery, ratio {NUMBER}", re.M)
GROWTH = re.compile(rf"^growth of a delivery .*: floor {NUMBER}, hub {NUMBER}, ratio {NUMBER}", re.M)
TLS = re.compile(
    rf"^(\d+) of (\d+) B at once to \d+: plain {NUMBER}, encrypted {NUMBER} us per delivery, throughput {NUMBER}", re.M
)
PLAN = re.compile(r"^(\w+): \d+ deliveries of \d+ publications")
WAY = re.compile(rf"^  (one channel|many channels|many to one) +floor {NUMBER}, hub {NUMBER}(?:, ratio {NUMBER})?")


def cases(bench, text):
    """Reads the lines that a bench prints of its own, by case."""
    if bench == "socket_fan_out":
        found = {f"{m[1]} to {m[2]}": named("floor hub ratio", m.groups()[2:]) for m in SOCKET.finditer(text)}
        found.update({"growth": named("floor hub ratio", m.groups()) for m in GROWTH.finditer(text)})
        return found
    if bench == "tls_fan_out":
        return {f"{m[1]} of {m[2]} B": named("plain encrypted throughput", m.groups()[2:]) for m in TLS.finditer(text)}
    found, plan = {}, None
    for line in text.splitlines():
        if match := PLAN.match(line):
            plan = match[1]
        elif match := WAY.match(line):
            found[f"{plan}, {match[1]}"] = named("floor hub ratio", [part for part in match.groups()[1:] if part])
    return found


def named(names, values):
    return {name: float(value) for name, value in zip(names.split(), values)}


# Writing.


def outputs(root, entries):
    """Returns every file that the figures make, with its text."""
    figures, made = Figures(entries), {}
    for name in DOCUMENTS:
        text = (root / name).read_text()
        made[root / name] = BLOCK.sub(lambda m: m[1] + BLOCKS[m[2]](figures) + m[4], text)
    for name, drawing in charts(figures).items():
        if drawing:
            made[root / "docs/figures" / name] = drawing
    return made


def draw(root, entries):
    for path, text in outputs(root, entries).items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(root)}")


def check(root, entries):
    stale = [path for path, text in outputs(root, entries).items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(root)} is not what docs/figures/make draws", file=sys.stderr)
    return 1 if stale else 0
