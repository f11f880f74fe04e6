"""Computes medians over the rounds, for each program and format."""
from collections import defaultdict
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Result:
    """Medians of one program on one format. Times are microseconds of CPU time per record. Parts are None if the program has none."""

    cpu_us: float
    survey_us: float | None
    merge_us: float | None
    write_us: float | None
    # Decoded bytes; None if the program does not report them.
    bytes_a_record: float | None
    peak_mb: float
    records: int
    # Each run, round by round.
    runs: list

    @property
    def records_s(self):
        """Returns the records per second of one core."""
        return 1e6 / self.cpu_us

    def mb_s(self, us):
        """Returns the decoded MB per second of CPU time, if one record takes this many microseconds."""
        return self.bytes_a_record / us


def results(figures):
    """Returns a result for each measured (program, format)."""
    groups = defaultdict(list)
    for run in figures["runs"]:
        groups[run["program"], run["format"]].append(run)
    return {key: result(runs) for key, runs in groups.items()}


def a_record(run, name):
    """Returns the microseconds of CPU time per record."""
    return run[name] / run["records"] * 1e6


def result(runs):
    def each(name):
        return median(a_record(run, name) for run in runs) if name in runs[0] else None

    bytes_a_record = runs[0]["bytes"] / runs[0]["records"] if "bytes" in runs[0] else None
    return Result(each("cpu_s"), each("survey_cpu_s"), each("merge_cpu_s"), each("write_cpu_s"), bytes_a_record,
                  median(run["peak_kib"] for run in runs) * 1024 / 1e6, runs[0]["records"], runs)


def times(one, other, part="cpu_s"):
    """Returns the CPU time of the other divided by that of the one, or of a part of it: the median over the rounds that both ran in.
    The ratio is taken per round, because a machine may be half as fast for minutes."""
    return median(a_record(others, "cpu_s") / a_record(ones, part) for ones, others in zip(one.runs, other.runs))
