"""The targets: those that must be reached, and those that are a goal."""
from dataclasses import dataclass

from . import FORMATS, printed
from .summary import results, times

PEAK_LIMIT_MB = 48


@dataclass(frozen=True)
class Target:
    """A bound for one figure."""

    what: str
    # The format, or the table's limit in write units per second.
    of: str
    bound: float
    # None means not measured.
    found: float | None
    is_upper: bool
    is_must: bool

    @property
    def is_reached(self):
        if self.found is None:
            return None
        return self.found <= self.bound if self.is_upper else self.found >= self.bound


def times_less(kind, part, than):
    """Compares the CPU time of another program with that of a part of the ingestion."""
    return lambda found: times(found["ingest", kind], found[than, kind], part)


def survey_mb_s(kind):
    return lambda found: found["ingest", kind].mb_s(found["ingest", kind].survey_us)


def checks():
    """Yields label, format, bound, the function that computes the figure, whether the bound is an upper one, and whether it is required."""
    for kind, write, whole, boto3, survey in (("csv", 2, 1.6, 40, 350), ("csv.gz", 1.8, 1.4, 35, 250), ("ndjson", 1.8, 1.4, 35, 350)):
        yield "write pass, times less than naive", kind, write, times_less(kind, "write_cpu_s", "naive"), False, True
        yield "whole ingestion, times less than naive", kind, whole, times_less(kind, "cpu_s", "naive"), False, True
        yield "whole ingestion, times less than boto3", kind, boto3, times_less(kind, "cpu_s", "boto3"), False, True
        yield "survey, MB/s of decoded input", kind, survey, survey_mb_s(kind), False, True
        yield "write pass, times the floor", kind, 2.2, (
            lambda found, kind=kind: 1 / times(found["ingest", kind], found["floor", kind], "write_cpu_s")), True, False
        yield "whole ingestion, times less than naive, at best", kind, 3, times_less(kind, "cpu_s", "naive"), False, False
    for kind in FORMATS:
        yield "peak memory, MB", kind, PEAK_LIMIT_MB, lambda found, kind=kind: found["ingest", kind].peak_mb, True, True


def others(figures):
    """Yields the targets that other tables than that of whole imports answer."""
    percent = lambda text: float(text.removesuffix(" %"))  # noqa: E731
    for limit, left, _, used, items, _, throttled in printed.cells(figures.get("throttle")):
        if left == "0 %" and limit != "none":
            yield Target("write units used of those allowed, %", limit, 95, percent(used), False, True)
            yield Target("calls throttled, %", limit, 5, percent(throttled), True, True)
        elif left == "0 %":
            yield Target("items/s of one writer at 10 ms", "no limit", 40_000, float(items), False, False)
    for stage in figures["stages"] or []:
        if stage["group"] == "generate":
            yield Target("notaflux generate, MB/s", stage["function"], 300, stage["bytes"] / stage["ns"] * 1e3, False, False)


def judged(figures):
    """Returns every target with its figure, required ones first."""
    found, targets = results(figures), list(others(figures))
    for what, kind, bound, figure, is_upper, is_must in checks():
        try:
            value = figure(found)
        except KeyError:
            value = None
        targets.append(Target(what, kind, bound, value, is_upper, is_must))
    order = list(dict.fromkeys(target.what for target in targets))
    return sorted(targets, key=lambda target: (not target.is_must, order.index(target.what)))


def missed(figures):
    return [target for target in judged(figures) if target.is_must and target.is_reached is False]
