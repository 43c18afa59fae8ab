"""Judges the reports of tests/autobahn.sh.

autobahn.py late REPORT   prints the cases that Autobahn's clock has ended
autobahn.py judge FOLDER  prints one line over FOLDER/all and the cases judged again, FOLDER/CASE.TRY; exits with 1 if
                          a case is bad
"""

import collections
import json
import pathlib
import sys

CASES = 301
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
# What the case says when the server did not end the connection within a second of the close handshake.
DROPPED = "FAILED BY CLIENT"
SECOND = 1000


def read(report):
    """Returns what each case has come to, by its name."""
    try:
        index = json.loads((report / "index.json").read_text())
    except (OSError, ValueError) as error:
        print(f"autobahn: no report: {error}", file=sys.stderr)
        return {}
    return {name: case for agent in index.values() for name, case in agent.items()}


def is_good(case):
    return case["behavior"] in GOOD and case.get("behaviorClose", "OK") in GOOD


def is_late(case):
    return not is_good(case) and (case.get("behaviorClose") == DROPPED or case.get("duration", 0) >= SECOND)


def late(folder):
    print(*sorted(name for name, case in read(folder).items() if is_late(case)))


def judge(folder):
    cases = read(folder / "all")
    tries = collections.defaultdict(list)
    for report in folder.glob("*.[123]"):
        tries[report.name.rpartition(".")[0]].extend(read(report).values())
    for name, again in tries.items():
        cases[name] = next((case for case in again if not is_good(case)), again[0]) if len(again) == 3 else cases[name]
    bad = [f"{name}:{case['behavior']}/{case.get('behaviorClose')}" for name, case in sorted(cases.items())
           if not is_good(case)]
    count = collections.Counter(case["behavior"] for case in cases.values())
    lenient = " ".join(sorted(name for name, case in cases.items() if case["behavior"] == "NON-STRICT"))
    passed = len(cases) >= CASES and not bad
    print(f"autobahn: {'OK' if passed else 'FAIL'} cases={len(cases)} ok={count['OK']} nonstrict={count['NON-STRICT']}"
          f" info={count['INFORMATIONAL']} failed={len(bad)} nonstrict=[{lenient}] bad=[{' '.join(bad)}]")
    sys.exit(not passed)


{"late": late, "judge": judge}[sys.argv[1]](pathlib.Path(sys.argv[2]))
