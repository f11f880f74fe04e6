"""The stages, each alone, as Criterion measured them in CPU time."""
import json
import re
import subprocess
import sys
import time

from . import ROOT, TARGET

CRITERION = TARGET / "criterion"


def measure():
    """Runs the bench. Gives nanoseconds of each stage with the records and bytes that these were for, and allocations a record."""
    # File times may be a little behind the clock.
    began = time.time() - 1
    done = subprocess.run(["cargo", "bench", "--bench", "stages"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit("the stages cannot be measured")
    allocations = dict(re.findall(r"^(\w+): ([\d.]+) allocations a record", done.stdout, re.MULTILINE))
    return {"stages": read(began), "allocations": allocations}


def read(since):
    """Estimates written after this time: other benches, and names that are no more, have theirs there too."""
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
    """Records and bytes, as far as the bench told them."""
    kind, count = next(iter((throughput or {}).items()), (None, None))
    if kind == "ElementsAndBytes":
        return {"records": count["elements"], "bytes": count["bytes"]}
    return {"records": count if kind == "Elements" else None, "bytes": count if kind == "Bytes" else None}
