#!/usr/bin/env python3
"""Runs tests as `cargo test` does, several of its binaries at a time: most of their time they wait.

together.py SELECTION...  the packages, in the words of cargo

The output of each is printed as a whole when it has ended, under the line that cargo would print. What there is to run
is what cargo says that it has built, so no test is left out. Exit code 1 when any failed.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

# What runs after the others: its programs fill the cores, and what they do takes its time from a clock.
ALONE = {"cluster"}

# One more than there are cores, since none of them keeps a core busy all the time.
AT_ONCE = len(os.sched_getaffinity(0)) + 1


def binaries(selection):
    """Returns what cargo says of each test binary, the large ones, which mostly take long, first."""
    command = ["cargo", "test", *selection, "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        sys.exit(built.returncode)
    said = (json.loads(line) for line in built.stdout.splitlines())
    tests = [one for one in said if one.get("executable") and one["profile"]["test"]]
    return sorted(tests, key=lambda one: -os.stat(one["executable"]).st_size)


def run(title, command, folder=None):
    """Runs a command and returns its exit code, and its output under the title."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, title.encode() + done.stdout


def run_binary(binary):
    """Runs the tests of one binary where cargo would: in the folder of their package."""
    folder = pathlib.Path(binary["manifest_path"]).parent
    source = pathlib.Path(binary["target"]["src_path"]).relative_to(folder)
    kind = "" if "test" in binary["target"]["kind"] else "unittests "
    title = f"     Running {kind}{source} ({os.path.relpath(binary['executable'])})\n"
    return run(title, [binary["executable"]], folder)


def main():
    selection = sys.argv[1:]
    tests = binaries(selection)
    codes = []

    def take(code, output):
        codes.append(code)
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        # Examples in the documentation, which cargo compiles, names and runs by itself.
        jobs = [pool.submit(run, "", ["cargo", "test", *selection, "--doc"])]
        jobs += [pool.submit(run_binary, binary) for binary in tests if binary["target"]["name"] not in ALONE]
        for job in concurrent.futures.as_completed(jobs):
            take(*job.result())
    for binary in (binary for binary in tests if binary["target"]["name"] in ALONE):
        take(*run_binary(binary))
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
