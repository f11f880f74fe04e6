#!/usr/bin/env python3
"""Instructions of the hot stages a record, counted by callgrind, against the figures in benches/instructions.json.

    tools/instructions.py                       fails where a stage takes more than 5 % above its figure, by itself
    tools/instructions.py accept "why it grew"  takes what is counted now for the figures, with the reason

Counts do not depend on the machine's load and hardly on the machine, if it is x86-64 with AVX2, so that they can gate where times
cannot. They do depend on the compiler, which rust-toolchain.toml pins, and on the libraries, which Cargo.lock does.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "benches" / "instructions.json"

# Growth that fails, and change that is none.
LIMIT, NOISE = 0.05, 0.005

# As in benches/stages.rs, which runs them.
RECORDS = 5_000
STAGES = [f"{form}/{stage}" for form in ("csv", "ndjson", "json") for stage in ("split", "map", "survey", "encode")]
STAGES += ["decompress/gzip", "decompress/zstd", "sink/sign"]
# What is counted of a stage is what it adds to another.
BASES = {"map": "split", "survey": "map", "encode": "map"}


def program():
    """Builds the bench and gives its path."""
    build = ["cargo", "bench", "--bench", "stages", "--no-run", "--message-format=json"]
    built = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in built.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "stages":
            return message["executable"]
    sys.exit("cargo names no program for the bench")


def count(bench, stage):
    """Instructions a record of one stage."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=*stages*counted*", f"--callgrind-out-file={out}"]
        ran = subprocess.run([*command, bench, "count", stage], capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"{stage}: {ran.stderr}")
        totals = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    instructions = int(totals[1]) if totals else 0
    if instructions < 10 * RECORDS:
        sys.exit(f"{stage}: {instructions} instructions were counted, which cannot be all")
    return instructions


def own(stage, counted):
    """Of all that was counted what the stage itself takes."""
    group, name = stage.split("/")
    return counted[stage] - (counted[f"{group}/{BASES[name]}"] if name in BASES else 0)


def main(arguments):
    if arguments and (arguments[0] != "accept" or len(arguments) != 2):
        sys.exit(__doc__)
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    bench = program()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = dict(zip(STAGES, pool.map(lambda stage: count(bench, stage), STAGES), strict=True))
    counted = {stage: round(own(stage, counted) / RECORDS) for stage in STAGES}
    failed = False
    for stage, now in counted.items():
        figure = figures.get(stage, {}).get("instructions")
        growth = now / figure - 1 if figure else float("inf")
        failed |= growth > LIMIT
        print(f"{stage:16} {now:7} instructions a record, {figure or 'none'} known ({growth:+.1%})")
    if arguments:
        reason = arguments[1]
        for stage, now in counted.items():
            known = figures.get(stage, {}).get("instructions")
            if not known or abs(now / known - 1) > NOISE:
                figures[stage] = {"instructions": now, "reason": reason}
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    elif failed:
        sys.exit(f'more than {LIMIT:.0%} above the figure; if it has to be: tools/instructions.py accept "why"')


main(sys.argv[1:])
