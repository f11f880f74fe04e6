#!/usr/bin/env python3
"""Runs schemathesis against the real `notaflux serve`. It compares the API with /openapi.json, with all checks.

    tools/api/run.py [SECONDS]

Needs Python 3.11 and cargo. Installs into target/api. The exit code is 1 if a check fails, or if too few requests were sent.
Everything listens on loopback.
"""
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tools" / "api"
HOME = ROOT / "target" / "api"
NOTAFLUX = ROOT / "target" / "debug" / "notaflux"
SECONDS = "90"
# Fewer requests than this mean that something stops schemathesis from sending them: a busy machine sends about 900 in 40 seconds.
CALLS_LEAST = 300


def call(*command, **more):
    """Runs a command. Prints its output only if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f"{done.stdout}\nexit code {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout


def install():
    wanted, installed = (HERE / "requirements.txt").read_text(), HOME / "installed"
    if not installed.exists() or installed.read_text() != wanted:
        call(sys.executable, "-m", "venv", HOME / "venv")
        call(HOME / "venv/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / "requirements.txt")
        installed.write_text(wanted)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, accept="application/json"):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=30) as answer:
        return answer.read().decode()


def known(url):
    """Returns ids and tax ids that are in the table."""
    rows = [row for month in ("2023-03", "2024-02") for row in csv.DictReader(io.StringIO(get(f"{url}/v1/invoices?month={month}", "text/csv")))]
    ingestions = [each["ingestion"] for each in json.loads(get(f"{url}/v1/ingestions"))["items"]]
    return {"invoices": [row["id"] for row in rows], "issuers": sorted({row["issuer_tax_id"] for row in rows}), "ingestions": ingestions}


def run(seconds):
    data, port = HOME / "data", free_port()
    archive = HOME / "notas.zip"
    call(NOTAFLUX, "generate", "--zip", "--records", 600, "--seed", 3, "--duplicates", 0.02, "--bad", 0.02, "--output", archive)
    url = f"http://127.0.0.1:{port}"
    command = [NOTAFLUX, "serve", "--data", data, "--port", port, "--aws-port", "0", "--quiet", "--log-format", "json"]
    with open(HOME / "serve.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        try:
            return schemathesis(url, archive, data, seconds)
        finally:
            server.terminate()
            server.wait()


def schemathesis(url, archive, data, seconds):
    for _ in range(200):
        try:
            get(f"{url}/health")
            break
        except OSError:
            time.sleep(0.05)
    call(NOTAFLUX, "ingest", archive, "--data", data, "--quiet")
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "NOTAFLUX_KNOWN": json.dumps(known(url)),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    command = [HOME / "venv/bin/schemathesis", "run", f"{url}/openapi.json", "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful",
               "--max-time", seconds, "--seed", "1", "--no-color", "--continue-on-failure"]
    done = subprocess.run([str(part) for part in command], cwd=HOME, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    if done.returncode:
        return done.returncode
    answered = [json.loads(line)["fields"] for line in (HOME / "serve.log").read_text().splitlines() if '"answered"' in line]
    by_status = {status: sum(each["status"] == status for each in answered) for status in sorted({each["status"] for each in answered})}
    print(f"{len(answered)} answers, by status: {by_status}")
    routes = {each["route"] for each in answered if each["status"] == 200}
    missing = set(json.loads(get(f"{url}/openapi.json"))["paths"]) - routes
    if len(answered) < CALLS_LEAST or missing:
        sys.exit(f"too few requests were sent; routes that never answered 200: {missing or 'nothing'}")
    return 0


def main(arguments):
    HOME.mkdir(parents=True, exist_ok=True)
    install()
    if arguments == ["install"]:
        return 0
    call("cargo", "build")
    shutil.rmtree(HOME / "data", ignore_errors=True)
    return run(arguments[0] if arguments else SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
