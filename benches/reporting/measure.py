"""Runs the imports in turn, each in its own process, against one server in another process."""
import json
import subprocess
import sys
from pathlib import Path

from . import FORMATS, NODE, PEERS, PROGRAMS, PYTHON, TARGET


class Server:
    """S3 with the inputs, and a table that accepts every put and stores none."""

    def __init__(self, pipeline, folder):
        self.process = subprocess.Popen([pipeline, "serve", folder], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        said = self.process.stdout.readline()
        if not said:
            self.__exit__()
            sys.exit("the server does not start")
        place = json.loads(said)
        self.endpoint, self.bucket, self.table = place["endpoint"], place["bucket"], place["table"]
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def command(name, pipeline, server, key):
    place = [server.endpoint, server.bucket, key, server.table]
    return {
        "js": ["node", NODE / "js_import.mjs", *place],
        "boto3": [PYTHON / "bin" / "python", PEERS / "boto3_import.py", *place],
        "awswrangler": [PYTHON / "bin" / "python", PEERS / "wrangler_import.py", *place],
    }.get(name, [pipeline, name, server.endpoint, key])


def run(words):
    """Returns the values in the last line of a program's output, with the CPU time and peak memory that the kernel counted."""
    output, spawn = TARGET / "bench-output", Path(__file__).with_name("spawn.py")
    done = subprocess.run([sys.executable, "-I", "-S", spawn, output, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    status, cpu, peak = done.stdout.split()
    if status != "0":
        sys.exit(f"{done.stderr}\nexit code {status}: {' '.join(map(str, words))}")
    said = json.loads(output.read_text().splitlines()[-1])
    # A program's own value of its peak is better: the kernel's value begins with the peak of `spawn.py`.
    return {"peak_kib": int(peak)} | said | {"cpu_s": float(cpu)}


def runs(pipeline, files, names, rounds):
    """Runs these programs on each of their formats, in rounds. Programs that are compared run one right after another, so that a slow
    moment of the machine affects all of them."""
    found = []
    with Server(pipeline, files.folder) as server:
        for number in range(rounds):
            for kind, name in ((kind, name) for kind in FORMATS for name in names):
                program = PROGRAMS[name]
                if kind not in program.formats or number >= (program.rounds or rounds):
                    continue
                key = files.keys[program.share, kind]
                taken = run(command(name, pipeline, server, key))
                if taken["records"] != files.records[key]:
                    sys.exit(f"{key}: expected {files.records[key]} records, {name} found {taken['records']}")
                found.append({"program": name, "format": kind, **taken})
                each = taken["cpu_s"] / taken["records"] * 1e6
                print(f"  round {number + 1}: {name} {key}: {each:.2f} µs, {taken['peak_kib'] / 1024:.0f} MiB", flush=True)
    return found
