"""Runs the benches that print a table themselves."""
import subprocess
import sys

from . import ROOT

INVOICES = 100_000
THROTTLE_SECONDS = 30


def measure():
    """Returns the tables in Markdown, by name. The bench of query pages first fills an embedded table, unless it exists."""
    return {
        "query": f"{INVOICES:,} invoices, requests one after another.\n\n{rows('query', INVOICES)}",
        "throttle": rows("throttle", THROTTLE_SECONDS),
        "ahead": rows("ahead"),
    }


def rows(bench, *arguments):
    """Runs a bench and returns the lines of its table."""
    print(f"  cargo bench --bench {bench}", flush=True)
    command = ["cargo", "bench", "-p", "notaflux-benches", "--bench", bench, "--", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith("|")]
    if done.returncode or not found:
        sys.exit(f"the bench {bench} failed or printed no table")
    return "\n".join(found)


def cells(table):
    """Returns the cells of a table, row by row, without its head."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (table or "").splitlines()[2:]]
