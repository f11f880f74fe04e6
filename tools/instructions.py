#!/usr/bin/env python3
"""Counts the CPU instructions per record of the hot stages with callgrind, and compares them with benches/instructions.json.

    tools/instructions.py                       fails if a stage takes more than 5 % above its figure
    tools/instructions.py accept "why it grew"  stores the current counts as the figures, with the reason

Counts do not depend on the load of the machine, and hardly on the machine if it is x86-64 with AVX2. So they can fail a check where
times cannot. They depend on the compiler, which rust-toolchain.toml pins, and on the libraries, which Cargo.lock pins.
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

# Growth above LIMIT fails. A change below NOISE is ignored.
LIMIT, NOISE = 0.05, 0.005

# The same number as in benches/stages.rs, which runs the stages.
RECORDS = 5_000
STAGES = [f"{form}/{stage}" for form in ("csv", "ndjson", "json") for stage in ("split", "map", "survey", "encode")]
STAGES += ["decompress/gzip", "decompress/zstd", "sink/sign"]
# The instructions of a stage are those that it adds to its base.
BASES = {"map": "split", "survey": "map", "encode": "map"}


# The bench links these and calls nothing of them that is counted: unoptimized, they build faster.
UNCOUNTED = ["aws-config", "aws-sdk-s3", "aws-sdk-sso", "aws-sdk-ssooidc", "aws-sdk-sts", "aws-sdk-sqs"]


def program():
    """Builds the bench and returns its path."""
    build = ["cargo", "bench", "-p", "notaflux-benches", "--no-default-features", "--bench", "stages", "--no-run", "--message-format=json"]
    for package in UNCOUNTED:
        build += ["--config", f"profile.bench.package.{package}.opt-level=0"]
    built = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in built.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "stages":
            return message["executable"]
    sys.exit("cargo bench printed no executable for the bench `stages`")


def count(bench, stage):
    """Returns all instructions that callgrind counts for one stage."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=*stages*counted*", f"--callgrind-out-file={out}"]
        ran = subprocess.run([*command, bench, "count", stage], capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"{stage}: {ran.stderr}")
        totals = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
    instructions = int(totals[1]) if totals else 0
    if instructions < 10 * RECORDS:
        sys.exit(f"{stage}: {instructions} instructions counted for {RECORDS} records, expected at least {10 * RECORDS}")
    return instructions


def own(stage, counted):
    """Returns the instructions of the stage itself, without its base."""
    group, name = stage.split("/")
    return counted[stage] - (counted[f"{group}/{BASES[name]}"] if name in BASES else 0)


def main(arguments):
    if arguments == ["build"]:
        program()
        return
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
        print(f"{stage:16} {now:7} instructions per record, figure {figure or 'none'} ({growth:+.1%})")
    if arguments:
        reason = arguments[1]
        for stage, now in counted.items():
            known = figures.get(stage, {}).get("instructions")
            if not known or abs(now / known - 1) > NOISE:
                figures[stage] = {"instructions": now, "reason": reason}
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    elif failed:
        sys.exit(f'a stage is more than {LIMIT:.0%} above its figure; to accept this: tools/instructions.py accept "why it grew"')


main(sys.argv[1:])
