"""Describes the machine and the versions that the numbers belong to."""
import json
import os
import platform
import subprocess
import tomllib
from importlib.metadata import version

from . import PEERS, ROOT


def describe():
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    crates = {package["name"]: package["version"] for package in locked}
    packages = json.loads((PEERS / "package-lock.json").read_text())["packages"]
    node = {name: packages[f"node_modules/{name}"]["version"] for name in ("@aws-sdk/client-dynamodb", "csv-parse")}
    return {
        "CPU": f"{cpu()}, {os.cpu_count()} cores, {platform.machine()}",
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "Rust": f"{said('rustc', '--version').split()[1]}, aws-sdk-dynamodb {crates['aws-sdk-dynamodb']}",
        "Python": f"{platform.python_version()}, " + listed({name: version(name) for name in ("boto3", "awswrangler", "pandas")}),
        "Node": f"{said('node', '--version').removeprefix('v')}, {listed(node)}",
    }


def listed(versions):
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def said(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def cpu():
    """Names the processor, and whether it has instructions for SHA-256. Every put is hashed; without them that is a quarter of an import."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        of = dict(map(str.strip, line.split(":", 1)) for line in file if ":" in line)
    hashes = {"sha_ni", "sha2"} & set(of.get("flags", of.get("Features", "")).split())
    return f"{of.get('model name', 'unknown')} {'with' if hashes else 'without'} instructions for SHA-256"
