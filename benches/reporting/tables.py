"""Writes the numbers as Markdown tables, between markers in the files that show them."""
import re

from . import FORMATS, PROGRAMS, ROOT
from .summary import results, times
from .targets import judged

README, README_PT = ROOT / "README.md", ROOT / "README.pt-BR.md"
PERFORMANCE, BENCHES = ROOT / "docs" / "performance.md", ROOT / "benches" / "README.md"
# The clients that both READMEs compare with notaflux.
SHORT = ("naive", "js", "boto3")
ABSENT = "–"
BASELINES = ("limit", "naive")


def number(value):
    """Formats with three significant digits."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, rows):
    """Makes a table. A title that begins with a space right-aligns its column."""
    marks = ["---:" if title.startswith(" ") else "---" for title in head]
    lines = [[title.strip() for title in head], marks, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def pipeline(figures):
    found, rows = results(figures), []
    for kind in FORMATS:
        ours = found.get(("ingest", kind))
        for name, program in PROGRAMS.items():
            if (result := found.get((name, kind))) is None:
                continue
            parts = " + ".join(map(number, (result.survey_us, result.merge_us, result.write_us))) if result.write_us else ABSENT
            rows.append([kind, program.label, number(result.cpu_us), parts, number(times(ours, result) if ours else None),
                         number(result.records_s), number(result.peak_mb), f"{result.records:,}", str(len(result.runs))])
    return table(["format", "client", " CPU µs a record", " survey + merge + write", " × notaflux", " records/s a core",
                  " peak MB", " records", " rounds"], rows)


def passes(figures):
    """Makes the table of each pass of notaflux, in records and bytes."""
    found, rows = results(figures), []
    for kind in FORMATS:
        if (ours := found.get(("ingest", kind))) is None:
            continue
        for name, us, part in (("survey", ours.survey_us, None), ("write pass", ours.write_us, "write_cpu_s"),
                               ("whole", ours.cpu_us, "cpu_s")):
            others = [found.get((other, kind)) if part else None for other in ("naive", "floor")]
            ratios = [number(times(ours, other, part) if other else None) for other in others]
            rows.append([kind, name, number(us), number(1e6 / us), number(ours.mb_s(us)), *ratios])
    return table(["format", "what", " CPU µs a record", " records/s", " MB/s", " times less than naive", " times less than floor"], rows)


def targets_table(figures):
    rows = []
    for target in judged(figures):
        verdict = {True: "reached", False: "**missed**", None: "not measured"}[target.is_reached]
        bound = f"{'≤' if target.is_upper else '≥'} {target.bound:g}"
        rows.append([target.what, target.of, "must" if target.is_must else "stretch", bound, number(target.found), verdict])
    return table(["target", "of", "kind", " bound", " found", "verdict"], rows)


def stages(figures):
    if not figures["stages"]:
        return "Not measured yet."
    rows = []
    for stage in figures["stages"]:
        seconds = stage["ns"] / 1e9
        records_s = stage["records"] / seconds if stage["records"] else None
        mb_s = stage["bytes"] / seconds / 1e6 if stage["bytes"] else None
        ratios = [f"{number(stage['ns'] / base['ns'])} × {base['function']}" for base in baselines(stage, figures["stages"])]
        rows.append([title(stage), number(1e9 / records_s if records_s else None), number(records_s), number(mb_s),
                     ", ".join(ratios) or ABSENT])
    counted = ", ".join(f"{name} {count}" for name, count in (figures.get("allocations") or {}).items())
    return f"{table(['stage', ' ns a record', ' records/s', ' MB/s', ' CPU time against'], rows)}\n\n" \
           f"Allocations a record, from bytes to bodies of calls: {counted or 'not counted yet'}."


def title(stage):
    return "/".join(filter(None, (stage["group"], stage["function"], stage["value"])))


def baselines(stage, every):
    """Returns the stages of its group to compare with: `limit` and `naive`, or `limit-gzip` for a stage named `gzip`."""
    names = [name for word in BASELINES for name in (word, f"{word}-{stage['function']}")]
    return [other for other in every if other is not stage and other["function"] in names
            and (other["group"], other["value"]) == (stage["group"], stage["value"])]


def machine(figures):
    return table(["", ""], [list(pair) for pair in figures["machine"].items()])


def short(figures):
    """Makes a row per format: CPU time per record, its ratio to notaflux, and peak memory."""
    found, rows = results(figures), []
    for kind in FORMATS:
        ours = found.get(("ingest", kind))
        if ours is None:
            continue
        row = [kind, f"{number(ours.cpu_us)} µs, {ours.peak_mb:.0f} MB"]
        for name in SHORT:
            other = found.get((name, kind))
            row.append(f"{number(other.cpu_us)} µs ({number(times(ours, other))} ×), {other.peak_mb:.0f} MB" if other else ABSENT)
        rows.append(row)
    return table(["", *(" " + PROGRAMS[name].label for name in ("ingest", *SHORT))], rows)


def replace(path, name, content):
    """Replaces the text between the markers of that name."""
    begin, end = f"<!-- begin: {name} -->", "<!-- end -->"
    text, count = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{content}\n{end}", path.read_text(),
                          flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{path}: expected one place marked {begin}, found {count}")
    path.write_text(text)


def write(figures):
    replace(PERFORMANCE, "machine", machine(figures))
    replace(PERFORMANCE, "pipeline", pipeline(figures))
    replace(BENCHES, "passes", passes(figures))
    replace(BENCHES, "targets", targets_table(figures))
    replace(BENCHES, "stages", stages(figures))
    for name in ("query", "throttle", "ahead"):
        replace(PERFORMANCE, name, figures.get(name) or "Not measured yet.")
    replace(README, "figures", f"{short(figures)}\n\n{figures['machine']['CPU']}, {figures['machine']['kernel']}.")
    replace(README_PT, "figures", short(figures))
