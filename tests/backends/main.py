"""Starts every kind of backend and one gateway before them, and runs the cases beside this file."""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE / "cases"), str(HERE.parent / "clients/python")]

import world  # noqa: E402


def run_python(names):
    """Runs the Python cases, or those that are named: how many passed and failed."""
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names) if names else loader.discover(str(HERE / "cases"))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    # A case with several failing parts counts once.
    failed = len({case.id().split(" ")[0] for case, _ in result.failures + result.errors})
    return result.testsRun - failed - len(result.skipped), failed


def run_node(modules, folder):
    """Runs the Node cases: how many passed and failed."""
    reporters = []
    for kind, place in [("spec", "stderr"), ("tap", folder / "tap")]:
        reporters += [f"--test-reporter={kind}", f"--test-reporter-destination={place}"]
    files = sorted((HERE / "node").glob("*.test.mjs"))
    environment = {**os.environ, "AIRLOCK_NODE_MODULES": modules}
    status = subprocess.run(["node", "--test", *reporters, *files], env=environment).returncode
    counts = dict(re.findall(r"^# (pass|fail) (\d+)$", (folder / "tap").read_text(), re.MULTILINE))
    passed, failed = int(counts.get("pass", 0)), int(counts.get("fail", 0))
    return passed, max(failed, int(status != 0))


def stop_gateway():
    """A gateway that does not end well has failed: how many passed and failed."""
    status = world.current.gateway.stop()
    if status == 0:
        return 1, 0
    print(f"FAILED: airlock serve exited with {status}\n{world.current.gateway.log()}", file=sys.stderr)
    return 0, 1


def end(*_):
    raise SystemExit(130)


def run(given, folder):
    """Runs everything: how many passed and failed, for each runner."""
    globus = {"globus-first": given.globus_first, "globus-newest": given.globus_newest}
    with world.World(folder, given.airlock, globus, given.model) as world.current:
        counts = [run_python(given.cases)]
        if given.node_modules and not given.cases:
            counts.append(run_node(given.node_modules, folder))
        counts.append(stop_gateway())
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--airlock", type=pathlib.Path, required=True, help="the gateway")
    parser.add_argument("--globus-first", required=True, help="a Python with the versions that FIRST pins")
    parser.add_argument("--globus-newest", required=True, help="a Python with the newest versions")
    parser.add_argument("--model", required=True, help="a Python with the model server")
    parser.add_argument("--node-modules", help="where the Node client is; empty: its cases are left out")
    parser.add_argument("cases", nargs="*", help="names of Python cases to run alone")
    signal.signal(signal.SIGTERM, end)
    with tempfile.TemporaryDirectory() as folder:
        counts = run(parser.parse_args(), pathlib.Path(folder))
    passed, failed = (sum(numbers) for numbers in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
