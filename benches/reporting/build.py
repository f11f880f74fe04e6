"""Builds our programs with cargo, and installs the others from their lock files."""
import json
import os
import shutil
import subprocess
import sys

from . import NODE, PEERS, PYTHON, ROOT, TARGET


def call(*command):
    """Runs a command. Prints its output only if it fails."""
    print(f"  {' '.join(map(str, command))}", flush=True)
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nexit code {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout


def rust(benches):
    """Builds the program and these benches. Returns the executable of each bench."""
    call("cargo", "build", "--release")
    names = [word for bench in benches for word in ("--bench", bench)]
    messages = map(json.loads, call("cargo", "bench", "-p", "notaflux-benches", "--no-run", "--message-format=json", *names).splitlines())
    return {message["target"]["name"]: message["executable"] for message in messages
            if message["reason"] == "compiler-artifact" and message["target"]["kind"] == ["bench"]}


def notaflux():
    return TARGET / "release" / "notaflux"


def python():
    """Restarts this program in an environment with exactly the packages of `requirements.txt`."""
    requirements, installed = PEERS / "requirements.txt", PYTHON / "installed"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        call(sys.executable, "-m", "venv", "--clear", PYTHON)
        call(PYTHON / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", requirements)
        installed.write_text(requirements.read_text())
    if sys.prefix != str(PYTHON):
        interpreter = str(PYTHON / "bin" / "python")
        os.execv(interpreter, [interpreter, *sys.argv])


def javascript():
    """Copies the program next to its packages, because Node searches for packages from the program's folder."""
    NODE.mkdir(parents=True, exist_ok=True)
    lock, installed = (PEERS / "package-lock.json").read_text(), NODE / "installed"
    for name in ("package.json", "package-lock.json", "js_import.mjs"):
        shutil.copy(PEERS / name, NODE)
    if not installed.exists() or installed.read_text() != lock:
        if not shutil.which("npm"):
            sys.exit("the JavaScript program needs npm; use --only to leave that program out")
        call("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", NODE)
        installed.write_text(lock)
