"""The parts of `benches/report`. `build`, `inputs`, `measure`, `stages` and `printed` get the numbers, `summary` and `targets` evaluate
them, `tables` and `plot` show them."""
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benches" / "peers"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
# Environments of the clients that are not in this repository.
PYTHON = TARGET / "bench-peers" / "python"
NODE = TARGET / "bench-peers" / "node"


@dataclass(frozen=True)
class Program:
    """A client that imports a file."""

    label: str
    formats: tuple[str, ...]
    # The share of the records that it gets.
    share: float = 1.0
    # The maximum number of rounds. None: no maximum.
    rounds: int | None = None


# In running order: first the programs that the targets compare.
PROGRAMS = {
    "ingest": Program("notaflux", ("csv", "csv.gz", "csv.zst", "ndjson", "json")),
    "floor": Program("floor", ("csv", "csv.gz", "ndjson")),
    "naive": Program("naive Rust", ("csv", "csv.gz", "csv.zst", "ndjson")),
    "boto3": Program("boto3", ("csv", "csv.gz", "ndjson", "json"), share=0.25),
    "js": Program("JavaScript SDK", ("csv", "csv.gz", "ndjson", "json"), rounds=3),
    "awswrangler": Program("awswrangler", ("csv", "csv.gz", "ndjson"), share=0.25, rounds=3),
}
FORMATS = PROGRAMS["ingest"].formats
