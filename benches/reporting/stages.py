"""Measures each stage alone with Criterion, in CPU time."""
import json
import re
import subprocess
import sys
import time

from . import ROOT, TARGET

CRITERION = TARGET / "criterion"


def measure():
    """Runs the bench. Returns the nanoseconds of each stage with its records and bytes, and the allocations per record."""
    # File times may be slightly earlier than the clock.
    began = time.time() - 1
    done = subprocess.run(["cargo", "bench", "-p", "notaflux-benches", "--bench", "stages"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit("the bench `stages` failed")
    allocations = dict(re.findall(r"^(\w+): ([\d.]+) allocations a record", done.stdout, re.MULTILINE))
    return {"stages": read(began), "allocations": allocations}


def read(since):
    """Reads the estimates written after this time. The folder also has those of other benches and of old names."""
    found = []
    for path in sorted(CRITERION.glob("**/new/benchmark.json")):
        if path.stat().st_mtime < since:
            continue
        bench = json.loads(path.read_text())
        estimates = json.loads(path.with_name("estimates.json").read_text())
        found.append({"group": bench["group_id"], "function": bench["function_id"], "value": bench["value_str"],
                      "ns": estimates["median"]["point_estimate"], **amount(bench["throughput"])})
    return found


def amount(throughput):
    """Returns the records and bytes that the bench reported, or None."""
    kind, count = next(iter((throughput or {}).items()), (None, None))
    if kind == "ElementsAndBytes":
        return {"records": count["elements"], "bytes": count["bytes"]}
    return {"records": count if kind == "Elements" else None, "bytes": count if kind == "Bytes" else None}
