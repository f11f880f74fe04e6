"""Query pages over HTTP, as `benches/query.rs` tells them."""
import subprocess
import sys

from . import ROOT

INVOICES = 100_000


def measure():
    """Fills an embedded table unless that was done before, and asks it. Gives a table in Markdown."""
    done = subprocess.run(["cargo", "bench", "--bench", "query", "--", str(INVOICES)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    if done.returncode or not rows:
        sys.exit("the query pages cannot be measured")
    return "\n".join([f"{INVOICES:,} invoices, requests one after another.", "", *rows])
