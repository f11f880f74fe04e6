"""Makes the input files: the same invoices in every format, without duplicates and bad rows, so that all counts are equal."""
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import PROGRAMS, TARGET

FOLDER = TARGET / "bench-data"
# Options of `notaflux generate` for each format.
OPTIONS = {
    "csv": [],
    "csv.gz": ["--gzip"],
    "csv.zst": ["--zstd"],
    "ndjson": ["--format", "ndjson"],
    "json": ["--format", "json"],
}


@dataclass(frozen=True)
class Files:
    """A folder, the names of its files by share and format, and the number of records in each."""

    folder: Path
    keys: dict
    records: dict


def make(notaflux, records):
    """Makes all inputs again, because the generator may have changed, and removes all other files from the folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    keys, counts = {}, {}
    for program in PROGRAMS.values():
        for kind in program.formats:
            count = max(1, int(records * program.share))
            keys[program.share, kind] = key = f"{count}.{kind}"
            if key not in counts:
                counts[key] = count
                words = ["generate", "--records", str(count), *OPTIONS[kind], "--output", FOLDER / key]
                subprocess.run([notaflux, *words], check=True)
    return Files(FOLDER, keys, counts)
