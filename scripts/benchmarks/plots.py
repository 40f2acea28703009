"""Plots of a run's JSON: what a reader can take in at a glance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

OURS, PEER, MISSED, SERVER = "#1f5fa8", "#b8c0c8", "#c8553d", "#7fa7d1"
LARGE = ("download-file", "download-memory", "upload-file")

mpl.rcParams |= {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "vault",  # the same figures make the same file
}


def draw(found: dict[str, Any], output: Path) -> Iterator[Path]:
    """Draws what the run has figures for, and yields the files."""
    lines = {line["line"]: line for line in found["lines"]}
    plots = {"performance-ratios.svg": _ratios(lines), "performance-large.svg": _large(lines)}
    for name, figure in plots.items():
        if figure is not None:
            figure.savefig(output / name, metadata={"Date": None}, bbox_inches="tight")
            yield output / name


def _ratios(lines: dict[str, Any]) -> Figure | None:
    """Every comparison with a peer that has a target: how many times as fast, on a logarithmic scale."""
    rows = [
        (f"{line['line']}  ÷  {verdict['what']}", verdict)
        for line in lines.values()
        for verdict in line["verdicts"]
        if verdict["unit"] == "x" and verdict["target"] is not None and not verdict["at_most"]
    ]
    if not rows:
        return None
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(rows)))
    axes = figure.subplots()
    for place, (_, verdict) in enumerate(rows):
        axes.barh(place, verdict["value"] - 1, left=1, color=OURS if verdict["met"] else MISSED, height=0.6)
        axes.plot([verdict["target"]] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2)
        end = max(verdict["value"], 1, verdict["target"])
        axes.annotate(f"{verdict['value']:.2g} x", (end, place), (5, -4), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as the peer; black: the target; red: missed")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.margins(x=0.12)
    return figure


def _large(lines: dict[str, Any]) -> Figure | None:
    """Large objects: GB/s of everybody, and what a GB costs in processor."""
    shown = [lines[name] for name in LARGE if name in lines]
    if not shown:
        return None
    sizes = [len(line["contenders"]) for line in shown]
    figure = Figure(figsize=(10, 0.8 + sum(0.8 + 0.3 * size for size in sizes)))
    grid = figure.subplots(len(shown), 2, squeeze=False, sharex="col", height_ratios=sizes)
    for (speed, cost), line in zip(grid, shown, strict=True):
        names, wall, client, server = (
            [one[key] for one in line["contenders"]] for key in ("name", "wall", "client", "server")
        )
        colours = [OURS if name.startswith("Vault") else PEER for name in names]
        speed.barh(names, [1 / seconds for seconds in wall], color=colours)
        speed.set_title(line["line"], loc="left")
        cost.barh(names, client, color=OURS, label="client")
        cost.barh(names, server, left=client, color=SERVER, label="server")
        cost.set_yticks([])
        for axes in (speed, cost):
            axes.invert_yaxis()
    grid[-1][0].set_xlabel("GB/s")
    grid[-1][1].set_xlabel("CPU seconds a GB")
    grid[0][1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.tight_layout()
    return figure
