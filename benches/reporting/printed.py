"""Benches that print a table of their own."""
import subprocess
import sys

from . import ROOT

INVOICES = 100_000
THROTTLE_SECONDS = 30


def measure():
    """The tables in Markdown, by name. Query pages fill an embedded table first, unless that was done before."""
    return {
        "query": f"{INVOICES:,} invoices, requests one after another.\n\n{rows('query', INVOICES)}",
        "throttle": rows("throttle", THROTTLE_SECONDS),
        "ahead": rows("ahead"),
    }


def rows(bench, *arguments):
    """Runs a bench, and gives what it prints of its table."""
    print(f"  cargo bench --bench {bench}", flush=True)
    command = ["cargo", "bench", "--bench", bench, "--", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith("|")]
    if done.returncode or not found:
        sys.exit(f"{bench} cannot be measured")
    return "\n".join(found)


def cells(table):
    """What stands in a table, row by row, without its head."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (table or "").splitlines()[2:]]
