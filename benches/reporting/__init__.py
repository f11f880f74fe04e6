"""What `benches/report` is made of: `build`, `inputs`, `measure`, `stages` and `printed` get the numbers, `summary` and `targets` judge
them, `tables` and `plot` show them."""
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benches" / "peers"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
# Of the clients that do not come with the crate.
PYTHON = TARGET / "bench-peers" / "python"
NODE = TARGET / "bench-peers" / "node"


@dataclass(frozen=True)
class Program:
    """A client that imports a file."""

    label: str
    formats: tuple[str, ...]
    # It gets this part of the records.
    share: float = 1.0
    # Rounds at most; None: as many as are asked for.
    rounds: int | None = None


# In the order that they run in: first those that targets compare.
PROGRAMS = {
    "ingest": Program("notaflux", ("csv", "csv.gz", "csv.zst", "ndjson", "json")),
    "floor": Program("floor", ("csv", "csv.gz", "ndjson")),
    "naive": Program("naive Rust", ("csv", "csv.gz", "csv.zst", "ndjson")),
    "boto3": Program("boto3", ("csv", "csv.gz", "ndjson", "json"), share=0.25),
    "js": Program("JavaScript SDK", ("csv", "csv.gz", "ndjson", "json"), rounds=3),
    "awswrangler": Program("awswrangler", ("csv", "csv.gz", "ndjson"), share=0.25, rounds=3),
}
FORMATS = PROGRAMS["ingest"].formats
