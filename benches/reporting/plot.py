"""Draws the CPU time per record by client and format, as bars."""
import matplotlib

matplotlib.use("agg")
# The same numbers give the same bytes.
matplotlib.rcParams |= {"svg.hashsalt": "notaflux", "font.family": "DejaVu Sans", "font.size": 10}

from matplotlib import pyplot  # noqa: E402

from . import FORMATS, PROGRAMS  # noqa: E402
from .summary import results  # noqa: E402
from .tables import number  # noqa: E402

# One hue for notaflux and blue-greys for the others, which also differ in lightness. A white card works on light and dark pages.
COLOURS = {"ingest": "#c2410c", "naive": "#1e3a5f", "js": "#4a6f94", "boto3": "#86a3bf", "awswrangler": "#b9cbdb"}
INK, CARD = "#1f2328", "#ffffff"
BAR, GAP = 0.8, 1.0
# A format with fewer clients is left out, because it compares little.
LEAST_CLIENTS = 3
DPI = 160


def write(figures, folder):
    found = results(figures)
    formats = [kind for kind in FORMATS if sum((name, kind) in found for name in COLOURS) >= LEAST_CLIENTS]
    count = sum((name, kind) in found for name in COLOURS for kind in formats)
    figure, axes = pyplot.subplots(figsize=(8, 0.9 + 0.27 * (count + len(formats))), facecolor=CARD, layout="constrained")
    row, ticks = 0.0, []
    for kind in formats:
        names = [name for name in COLOURS if (name, kind) in found]
        for name in names:
            draw(axes, row, name, found[name, kind].cpu_us)
            row += 1
        ticks.append((row - 1 - (len(names) - 1) / 2, kind))
        row += GAP
    dress(axes, ticks, row - GAP)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "pipeline.svg", metadata={"Date": None, "Creator": None})
    figure.savefig(folder / "pipeline.png", dpi=DPI, metadata={"Software": None})
    pyplot.close(figure)


def draw(axes, row, name, value):
    axes.barh(row, value, BAR, color=COLOURS[name])
    is_ours = name == "ingest"
    axes.annotate(f"{number(value)}  {PROGRAMS[name].label}", (value, row), (5, 0), textcoords="offset points", va="center",
                  color=COLOURS[name] if is_ours else INK, weight="bold" if is_ours else "normal")


def dress(axes, ticks, rows):
    axes.set_xscale("log")
    axes.set_xlim(1, 3000)
    axes.set_ylim(rows - 0.5 + 0.1, -0.6)
    axes.set_yticks([at for at, _ in ticks], [kind for _, kind in ticks], color=INK, weight="bold")
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"], color=INK)
    axes.set_xlabel("µs of CPU time a record, S3 to table (each mark is ten times the one before)", color=INK)
    axes.set_facecolor(CARD)
    axes.tick_params(which="both", length=0)
    axes.grid(axis="x", color="#d0d7de", linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
