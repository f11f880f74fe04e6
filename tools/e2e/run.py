#!/usr/bin/env python3
"""Tests the whole deployed flow: the template and the real binaries, on a server that stands in for AWS.

    tools/e2e/run.py [install] [functions] [lint] [ministack] [localstack] [figures]

`install` fetches the packages of the other words; without it, they fetch them when needed. `functions` builds the functions
as they are deployed; the words that need them build them too. `lint` checks the template.
`ministack` and `localstack` start that server, deploy to it, upload files and read the invoices back from the API. `figures`
measures size, cold start and memory of the functions. The first error stops the run, with exit code 1. A server that cannot
start is an error. Needs Python 3.11, gcc and cargo. Installs into target/e2e. Everything listens on loopback.
"""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tools" / "e2e"
HOME = ROOT / "target" / "e2e"
TOOLS = HOME / "tools"
TEMPLATE = ROOT / "template.yaml"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # SAM and checkov send no telemetry and look for no updates.
    "SAM_CLI_TELEMETRY": "0",
    "__SAM_CLI_APP_DIR": str(HOME / "sam"),
    "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
}


def call(*command, **more):
    """Runs a command. Prints its output only if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **ENVIRONMENT, **more},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"{done.stdout}\nexit code {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout


def install(folder, requirements):
    """Makes a virtual environment with exactly these packages."""
    wanted, installed = (HERE / requirements).read_text(), folder / "installed"
    if not installed.exists() or installed.read_text() != wanted:
        call(sys.executable, "-m", "venv", folder)
        call(folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / requirements)
        installed.write_text(wanted)


def quieten_sam():
    """Writes the time of the last update check, so that SAM does not ask PyPI for a newer version."""
    folder = HOME / "sam"
    folder.mkdir(exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps({"telemetryEnabled": False, "lastVersionCheck": time.time()}))


def build_functions():
    """Builds both functions with `cargo lambda`, as they are deployed."""
    path = f"{TOOLS / 'bin'}:{os.environ['PATH']}"
    call("cargo", "lambda", "build", "--release", "--compiler", "cargo", "-p", "notaflux-lambda",
         "--bin", "notaflux-ingest", "--bin", "notaflux-query", PATH=path)


def build():
    """Builds both functions, and the command line in the dev profile: it generates files and is LocalStack's DynamoDB."""
    build_functions()
    call("cargo", "build")


def lint():
    """Checks the template without a server. Returns the number of checks."""
    install(HOME / "checkov", "requirements-checkov.txt")
    commands = {
        "sam validate --lint": [TOOLS / "bin" / "sam", "validate", "--lint", "--template", TEMPLATE],
        "cfn-lint": [TOOLS / "bin" / "cfn-lint", TEMPLATE],
        "checkov": [HOME / "checkov" / "bin" / "checkov", "--skip-download", "--quiet", "--compact",
                    "--framework", "cloudformation", "-f", TEMPLATE],
    }
    for name, command in commands.items():
        call(*command)
        print(f"  ok  {name} accepts the template")
    return len(commands)


def main(wanted):
    known = ["install", "functions", "lint", "ministack", "localstack", "figures"]
    if not wanted or set(wanted) - set(known):
        sys.exit(__doc__)
    HOME.mkdir(parents=True, exist_ok=True)
    install(TOOLS, "requirements.txt")
    if Path(sys.prefix) != TOOLS:
        # Continue with the packages of that environment.
        os.execv(TOOLS / "bin" / "python", [str(TOOLS / "bin" / "python"), __file__, *wanted])
    sys.path.insert(0, str(HERE))
    quieten_sam()
    os.environ.update(ENVIRONMENT)
    passed = 0
    for name in wanted:
        began = time.monotonic()
        if name == "install":
            install(HOME / "checkov", "requirements-checkov.txt")
            for server in ("ministack", "localstack"):
                call(ROOT / "tools" / server / "start.sh", HOME / server, "install")
        elif name == "functions":
            build_functions()
        elif name == "lint":
            passed += lint()
        elif name == "figures":
            import figures
            build()
            passed += figures.run()
        else:
            import flow
            build()
            passed += flow.run(name, call)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main(sys.argv[1:])
